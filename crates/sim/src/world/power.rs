//! The power supply and the disk: crashes, failing appends, a full log, clean stops, and what a start finds afterwards.

use postrider_core::{Millis, Time};
use postrider_log::memory::Fate;
use postrider_scheduler::Limits;

use super::{HOUR, MINUTE, World, profiles};
use crate::checker::{Verdict, broken};
use crate::fault::Fault;
use crate::process::Process;

impl World {
    /// The power fails between two steps.
    pub(super) fn crash(&mut self) -> Verdict {
        self.begin_again(true)
    }

    /// The power, or the disk, fails during the next append.
    pub(super) fn fail_append(&mut self) -> Verdict {
        let fate = if self.outside.chance.one_in(2) { Fate::Lost } else { Fate::Kept };
        self.memory.fail_next_append(fate);
        self.is_armed = true;
        Ok(())
    }

    /// The log is full for a while.
    pub(super) fn fill_log(&mut self) -> Verdict {
        self.memory.set_capacity(0);
        let wait = Millis(self.outside.chance.below(MINUTE));
        let (begun, until) = (self.crashes + self.stops, self.now + wait);
        self.publish()?;
        if begun == self.crashes + self.stops {
            // Outcomes wait and hold their slots; that is what full means, so nothing is late by it.
            while let Some(next) = self.next_step().filter(|next| *next <= until) {
                self.now = next.max(self.now);
                self.step()?;
            }
        }
        self.memory.set_capacity(usize::MAX);
        Ok(())
    }

    pub(super) fn seal(&mut self) -> Verdict {
        match self.process().shard.seal() {
            Ok(()) => self.read(),
            Err(_) => self.begin_again(false),
        }
    }

    /// A clean stop: what is in flight ends, nothing is begun.
    pub(super) fn stop(&mut self) -> Verdict {
        self.process().stop();
        let begun = self.crashes;
        while !self.process().is_idle() && self.outside.fault != Some(Fault::StopInFlight) {
            let Some(next) = self.next_step() else { break };
            self.now = next.max(self.now);
            self.step()?;
            if self.crashes != begun {
                return Ok(());
            }
        }
        if self.process().shard.seal().is_err() {
            return self.begin_again(false);
        }
        self.read()?;
        self.outside.checker.stopped()?;
        self.stops += 1;
        let old = self.process.take();
        let downtime = self.downtime();
        self.start(downtime, old)
    }

    /// The process is gone without a word. `is_comparable`: its state held nothing that was not durable.
    pub(super) fn begin_again(&mut self, is_comparable: bool) -> Verdict {
        // What the last append has kept after all is durable, though nobody was told.
        self.read()?;
        self.outside.checker.crashed()?;
        self.crashes += 1;
        let old = self.process.take().filter(|_| is_comparable);
        let downtime = self.downtime();
        self.start(downtime, old)
    }

    fn downtime(&mut self) -> u64 {
        let chance = &mut self.outside.chance;
        match chance.below(10) {
            0..5 => chance.below(10_000),
            5..8 => chance.below(30 * MINUTE),
            8 => chance.below(12 * HOUR),
            _ => chance.below(72 * HOUR),
        }
    }

    /// A process begins over what the log has kept.
    pub(super) fn start(&mut self, downtime: u64, old: Option<Process>) -> Verdict {
        self.memory = self.memory.crash();
        self.memory.set_capacity(usize::MAX);
        self.is_armed = false;
        // Now and then the wall clock was set back meanwhile.
        let set_back = if self.outside.chance.one_in(10) { self.outside.chance.below(HOUR) } else { 0 };
        let wall = Time((self.now.0 + downtime).saturating_sub(set_back));
        let fault = self.outside.fault;
        let limits = match fault {
            Some(Fault::MorePermits) => Limits { global: self.limits.global + 1, per_webhook: 99, per_host: 99 },
            _ => self.limits,
        };
        let (mut process, now) = Process::replay(self.memory.clone(), wall, limits, fault)?;
        self.now = now;
        self.latest = self.latest.max(now);
        self.outside.checker.reread(&process.reader)?;
        if let Some(old) = old.filter(|old| old.shard.kernel() != process.shard.kernel()) {
            return Err(broken!(2, "replayed after {} attempts, the kernel is another", old.picks()));
        }
        process.resume(profiles(), now, &mut self.outside)?;
        self.outside.checker.each_place(&process.shard)?;
        self.outside.trace.numbers(&[5, now.0]);
        self.process = Some(process);
        self.step()
    }
}
