//! When attempts are begun: the schedule is advanced by the process's clock, and jobs are handed to the workers.

use postrider_core::{Millis, Time};
use postrider_engine::Clock;

use super::{Happening, Outside, Process};
use crate::checker::Verdict;
use crate::fault::Fault;

/// Slots of a level of the wheel, and milliseconds of a slot of its lowest one: for the bug at their borders.
const WHEEL_SLOTS: u64 = 256;
const WHEEL_TICK_MS: u64 = 16;

impl Process {
    /// When the driver wakes up for what falls due at `due` by the process's clock.
    pub(super) fn wakes(&self, due: Time, now: Time, fault: Option<Fault>) -> Time {
        let wait = due.since(self.clock.now()).0.max(1);
        let wait = match fault {
            Some(Fault::Oversleep) => wait.max(60_000),
            Some(Fault::WheelBorder) if is_border(due) => wait + WHEEL_SLOTS * WHEEL_TICK_MS,
            _ => wait,
        };
        now + Millis(wait)
    }

    /// Wakes what is due.
    pub(super) fn advance(&mut self, time: Time, now: Time, outside: &mut Outside) {
        let ahead = match outside.fault {
            Some(Fault::RetryEarly) => 2_000,
            Some(Fault::EarlyByJitter) => outside.chance.below(100),
            Some(Fault::CatchUpBurst) if now.since(self.bugs.began).0 < 60_000 => self.bugs.downtime.0,
            _ => 0,
        };
        while self.shard.advance(time + Millis(ahead)) {}
    }

    pub(super) fn begin_attempts(&mut self, time: Time, outside: &mut Outside) -> Verdict {
        let now = outside.clocks.now();
        while !self.is_stopping {
            let Some(job) = self.shard.pick(time) else { break };
            if self.bugs.lost.contains(&job.cell.key) {
                continue;
            }
            outside.trace.numbers(&[1, now.0, job.cell.key.event.to_u64(), job.number.into()]);
            outside.checker.picked(&job, now)?;
            // A kept-alive connection at once, a new one later.
            let delay = if outside.chance.one_in(4) { outside.chance.below(400) } else { 0 };
            self.schedule(now + Millis(delay), Happening::Write(Box::new(job)));
        }
        Ok(())
    }
}

fn is_border(due: Time) -> bool {
    (due.0 / WHEEL_TICK_MS).is_multiple_of(WHEEL_SLOTS)
}
