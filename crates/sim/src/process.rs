//! One run of the engine from its start to its end: the shard, and a driver in the place of writer and workers.
//!
//! A step is what the writer does in one round: what has come in meanwhile goes into a turn, then attempts are begun. A process that is
//! dropped has crashed: what was in flight, waiting or not yet appended is gone with it.

mod network;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use postrider_core::command::{Command, Finish};
use postrider_core::profile::Profile;
use postrider_core::{Millis, Time};
use postrider_engine::shard::{Input, Job, Shard};
use postrider_log::memory::{Memory, Reader, Writer};
use postrider_log::{EventLog, LogReader, codec};
use postrider_scheduler::Limits;

use crate::chance::{Chance, Fnv};
use crate::checker::{Asked, Checker, Violation, broken};
use crate::fault::Fault;
use crate::receivers::Receivers;

/// What a process meets outside of itself.
pub struct Outside {
    /// Who watches.
    pub checker: Checker,
    /// Who is sent to.
    pub receivers: Receivers,
    /// Where chance comes from.
    pub chance: Chance,
    /// What has happened, as a hash.
    pub trace: Fnv,
    /// The bug of this run.
    pub fault: Option<Fault>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The process goes on.
    Alive,
    /// Its log or its power has failed.
    Over,
}

/// Who waits for an answer.
enum Token {
    Person(Asked),
    Nobody,
}

/// What the network does next.
enum Happening {
    /// A worker is about to write a request.
    Write(Box<Job>),
    /// A receiver has answered, or has not in time.
    End(Box<Finish>),
}

/// See the module.
pub struct Process {
    /// The engine.
    pub shard: Shard<Writer>,
    /// What is durable.
    pub reader: Reader,
    calendar: BTreeMap<(Time, u64), Happening>,
    happenings: u64,
    outcomes: VecDeque<Input<Token>>,
    inbox: VecDeque<Input<Token>>,
    turn_at: Option<Time>,
    is_stopping: bool,
    picks: u64,
}

/// The longest that what has come in waits for its turn, as it does behind a sync.
const SYNC_MS: u64 = 20;

impl Process {
    /// Opens the log and replays it. `wall` may be behind the log; the time that the process begins at is not.
    ///
    /// # Errors
    /// When the log cannot be claimed or read.
    pub fn replay(
        memory: Memory,
        wall: Time,
        limits: Limits,
        fault: Option<Fault>,
    ) -> Result<(Process, Time), Violation> {
        let claimed = memory.claim(0, 1, wall).map_err(|error| broken!(1, "the log cannot be claimed: {error}"))?;
        let mut shard = Shard::new(claimed.writer, limits);
        let mut records = Vec::new();
        for block in claimed.reader.blocks(claimed.reader.first()) {
            let block = block.map_err(|error| broken!(1, "the log cannot be read: {error}"))?;
            for (position, bytes) in block.facts() {
                let record = codec::decode(position, block.time(), bytes);
                records.push(record.map_err(|error| broken!(2, "the log cannot be decoded: {error}"))?);
            }
        }
        if fault == Some(Fault::SkipInReplay) {
            records.pop();
        }
        records.iter().for_each(|record| shard.replay(record));
        let process = Process {
            shard,
            reader: claimed.reader,
            calendar: BTreeMap::new(),
            happenings: 0,
            outcomes: VecDeque::new(),
            inbox: VecDeque::new(),
            turn_at: None,
            is_stopping: false,
            picks: 0,
        };
        Ok((process, claimed.time.max(wall)))
    }

    /// After the replay: what a server does before it listens.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn resume(&mut self, profiles: &[Arc<Profile>], now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        for profile in profiles {
            self.ask(Command::RegisterProfile(Arc::clone(profile)), Asked::Other, now, outside);
        }
        self.turn_at = Some(now);
        let life = self.turn(now, outside)?;
        let erased = self.shard.overlay().erased().map(|(event, _)| event).collect();
        self.shard.erase_again(erased);
        self.erase(outside)?;
        if outside.fault != Some(Fault::ForgetToResume) {
            self.shard.resume();
        }
        if self.shard.has_chores() {
            self.turn_at = Some(now);
        }
        Ok(life)
    }

    /// Puts a wish into the inbox.
    pub fn ask(&mut self, command: Command, asked: Asked, now: Time, outside: &mut Outside) {
        outside.checker.asks(&asked);
        self.inbox.push_back(Input { command, token: Token::Person(asked) });
        self.want_turn(now, outside);
    }

    /// No attempts are begun from here on.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether it has nothing left to do before it may end.
    pub fn is_idle(&self) -> bool {
        self.shard.scheduler().in_flight() == 0 && self.outcomes.is_empty() && self.inbox.is_empty()
    }

    /// Attempts that were begun.
    pub fn picks(&self) -> u64 {
        self.picks
    }

    /// When the driver wakes up by itself.
    pub fn next_step(&self, now: Time, fault: Option<Fault>) -> Option<Time> {
        let happening = self.calendar.keys().next().map(|(at, _)| *at);
        let due = self.shard.next_due().filter(|_| !self.is_stopping).map(|due| due.max(now + Millis(1)));
        let due = due.map(|due| if fault == Some(Fault::Oversleep) { due.max(now + Millis(60_000)) } else { due });
        happening.into_iter().chain(due).chain(self.turn_at).min()
    }

    /// One round of the driver.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn step(&mut self, now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        let ahead = if outside.fault == Some(Fault::RetryEarly) { Millis(2_000) } else { Millis(0) };
        while self.shard.advance(now + ahead) {}
        while let Some(entry) = self.calendar.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Happening::Write(job) => self.write(*job, now, outside)?,
                Happening::End(finish) => self.end(*finish, now, outside),
            }
        }
        let is_turn = self.turn_at.is_some_and(|at| at <= now);
        if is_turn && self.turn(now, outside)? == Life::Over {
            return Ok(Life::Over);
        }
        // Now and then the power fails between a durable turn and what follows from it.
        if is_turn && (outside.chance.one_in(400) || self.erase(outside)? == Life::Over) {
            return Ok(Life::Over);
        }
        if outside.fault == Some(Fault::RetryEarly) {
            while self.shard.advance(now + Millis(2_000)) {}
        }
        while !self.is_stopping {
            let Some(job) = self.shard.pick(now) else { break };
            self.picks += 1;
            outside.trace.numbers(&[1, now.0, job.cell.key.event.to_u64(), job.number.into()]);
            outside.checker.picked(&job, now)?;
            // A kept-alive connection at once, a new one later.
            let delay = if outside.chance.one_in(4) { outside.chance.below(400) } else { 0 };
            self.schedule(now + Millis(delay), Happening::Write(Box::new(job)));
        }
        outside.checker.counts(&self.shard)?;
        Ok(Life::Alive)
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.happenings += 1;
        self.calendar.insert((at, self.happenings), happening);
    }

    fn want_turn(&mut self, now: Time, outside: &mut Outside) {
        if self.turn_at.is_none() {
            let wait = if outside.chance.one_in(3) { outside.chance.below(SYNC_MS) } else { 0 };
            self.turn_at = Some(now + Millis(wait));
        }
    }
}
