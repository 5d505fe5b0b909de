//! One run of the engine from its start to its end: the shard, and a driver in the place of writer and workers.
//!
//! A step is what the writer does in one round: what has come in meanwhile goes into a turn, then attempts are begun. While a sync runs,
//! nothing is answered and nothing is begun, and the network goes on. A process that is dropped has crashed: what was in flight, waiting
//! or not yet appended is gone with it.

mod network;
mod retain;
mod schedule;
mod start;
mod store;
mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use postrider_core::command::{Command, Finish};
use postrider_core::directory::Directory;
use postrider_core::sealed::Sealed;
use postrider_core::{DeliveryKey, Millis, Time, WebhookId};
use postrider_engine::shard::{Input, Job, Retention, Shard, Turned, Wanted};
use postrider_engine::{Clock, EngineClock};

use crate::chance::{Chance, Fnv};
use crate::checker::{Asked, Checker, Violation};
use crate::clocks::{Clocks, SimHands};
use crate::fault::Fault;
use crate::medium::{Medium, Reader, Rot, Writer};
use crate::receivers::Receivers;
use crate::store::Store;
use crate::trouble::{Trouble, Troubles};

pub use start::{Begun, profiles};

/// What a process meets outside of itself.
pub struct Outside {
    /// Who watches.
    pub checker: Checker,
    /// Who is sent to.
    pub receivers: Receivers,
    /// What the machine's clocks show.
    pub clocks: Clocks,
    /// What the log lies on.
    pub medium: Medium,
    /// A flipped bit that nobody has read yet.
    pub rot: Option<Rot>,
    /// Where chance comes from.
    pub chance: Chance,
    /// What has happened, as a hash.
    pub trace: Fnv,
    /// What may happen in this world; nothing once it is quiet.
    pub troubles: Troubles,
    /// How much of the log is kept.
    pub retention: Retention,
    /// What the engine relies on, if it does.
    pub store: Option<Store>,
    /// The bug of this run.
    pub fault: Option<Fault>,
}

impl Outside {
    /// Whether this trouble is on, and it is time for it.
    pub fn troubled(&mut self, trouble: Trouble, one_in: u64) -> bool {
        let is_time = self.chance.one_in(one_in);
        is_time && self.troubles.has(trouble)
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The process goes on.
    Alive,
    /// Its log has failed, and it has ended itself; or it was killed.
    Died,
    /// The power has failed.
    Cut,
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

/// A turn whose sync still runs.
struct Unreleased {
    until: Time,
    /// When the turn was, by the laws and by the process's clock.
    at: Time,
    began: Time,
    turned: Turned<Token>,
}

/// See the module.
pub struct Process {
    /// The engine.
    pub shard: Shard<Writer>,
    /// What is durable.
    pub reader: Reader,
    clock: EngineClock<SimHands>,
    /// What the workers see: as of the last release.
    directory: Directory,
    calendar: BTreeMap<(Time, u64), Happening>,
    happenings: u64,
    outcomes: VecDeque<Input<Token>>,
    inbox: VecDeque<Input<Token>>,
    withdrawals: Vec<DeliveryKey>,
    /// Commands for which something is to be read.
    again: Vec<Input<Token>>,
    /// What is being read.
    wanted: Option<Wanted>,
    unreleased: Option<Box<Unreleased>>,
    turn_at: Option<Time>,
    seal_at: Option<Time>,
    ballast_asked: Time,
    is_full: bool,
    /// The last pause since there was no space.
    full_pause: Millis,
    free_since: Time,
    retain_at: Time,
    retention: Retention,
    is_stopping: bool,
    steps: u64,
    bugs: Bugs,
}

/// What single bugs remember.
struct Bugs {
    began: Time,
    downtime: Millis,
    holds_back: Arc<AtomicBool>,
    secrets: BTreeMap<WebhookId, Option<Sealed>>,
    lost: BTreeSet<DeliveryKey>,
}

/// The longest that what has come in waits for its turn, as it does behind a sync.
const COLLECT_MS: u64 = 20;
/// The store takes in what is durable no less often while something waits for that.
const COMMIT_MS: u64 = 300;
/// So many steps may pass until the books are compared with the schedule; a place that is lost stays lost.
const COUNT_EVERY: u64 = 8;
/// The log is sealed when nothing was appended for this long.
const DRY_BEFORE_SEAL: Millis = Millis(100);

impl Process {
    /// Puts a wish into the inbox.
    pub fn ask(&mut self, command: Command, asked: Asked, outside: &mut Outside) {
        outside.checker.asks(&asked);
        self.inbox.push_back(Input::new(command, Token::Person(asked)));
        self.want_turn(outside);
    }

    /// No attempts are begun from here on.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether it has nothing left to do before it may end.
    pub fn is_idle(&self) -> bool {
        let is_empty =
            self.outcomes.is_empty() && self.inbox.is_empty() && self.again.is_empty() && self.withdrawals.is_empty();
        self.shard.scheduler().in_flight() == 0 && is_empty && self.unreleased.is_none()
    }

    /// Whether a sync is running.
    pub fn is_syncing(&self) -> bool {
        self.unreleased.is_some()
    }

    /// Whether it begins what is due: it is neither stopping nor behind a sync.
    pub fn is_free(&self) -> bool {
        !self.is_stopping && self.unreleased.is_none()
    }

    /// Since when it can do anything: it began then, or a sync ended, or the machine woke up.
    pub fn free_since(&self) -> Time {
        self.free_since
    }

    /// The machine was suspended for so long: what counts time by itself goes on where it was.
    pub fn slept(&mut self, span: Millis, now: Time) {
        let shifted = |at: Time| at + span;
        self.calendar =
            std::mem::take(&mut self.calendar).into_iter().map(|((at, n), h)| ((shifted(at), n), h)).collect();
        self.seal_at = self.seal_at.map(shifted);
        self.turn_at = self.turn_at.map(shifted);
        if let Some(unreleased) = &mut self.unreleased {
            unreleased.until = shifted(unreleased.until);
        }
        self.free_since = now;
    }

    /// When the driver does something next.
    pub fn next_step(&self, now: Time, fault: Option<Fault>) -> Option<Time> {
        let happening = self.calendar.keys().next().map(|(at, _)| *at);
        if let Some(unreleased) = &self.unreleased {
            return happening.into_iter().chain([unreleased.until]).min();
        }
        let due = self.shard.next_due().filter(|_| !self.is_stopping).map(|due| self.wakes(due, now, fault));
        let is_reading = !self.again.is_empty() || self.wanted.is_some();
        let commit = self.shard.has_spilled().then_some(now + Millis(COMMIT_MS));
        let withdrawn = (is_reading || !self.withdrawals.is_empty()).then_some(now + Millis(1));
        happening.into_iter().chain(due).chain(withdrawn).chain(commit).chain(self.turn_at).chain(self.seal_at).min()
    }

    /// One round of the driver.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn step(&mut self, outside: &mut Outside) -> Result<Life, Violation> {
        let now = outside.clocks.now();
        self.network(now, outside)?;
        let mut time = self.clock.now();
        let mut life = match self.unreleased.take_if(|unreleased| unreleased.until <= now) {
            Some(unreleased) => {
                time = unreleased.began;
                self.release(*unreleased, outside)?
            }
            None if self.unreleased.is_some() => return Ok(Life::Alive),
            None => self.round(now, outside)?,
        };
        if life == Life::Alive && self.unreleased.is_none() {
            life = self.clean_up(now, outside)?;
        }
        if life != Life::Alive || self.unreleased.is_some() {
            return Ok(life);
        }
        self.read_store(outside);
        self.begin_attempts(time, outside)?;
        self.want_replays(now);
        if outside.fault == Some(Fault::NeverRests) && self.steps >= COUNT_EVERY {
            self.turn_at = Some(now);
        }
        self.steps += 1;
        if self.steps % COUNT_EVERY != 1 {
            return Ok(Life::Alive);
        }
        let waiting = self.inbox.iter().chain(&self.again);
        let asking = waiting.filter(|input| matches!(input.token, Token::Person(_))).count();
        outside.checker.counts(&self.shard, asking)?;
        Ok(Life::Alive)
    }

    fn round(&mut self, now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        let time = self.clock.now();
        self.advance(time, now, outside);
        for key in std::mem::take(&mut self.withdrawals) {
            outside.checker.withdrawn(key)?;
            self.shard.withdrawn(key);
        }
        if self.turn_at.is_some_and(|at| at <= now) {
            return self.turn(now, outside);
        }
        if self.seal_at.is_some_and(|at| at <= now) {
            self.seal_at = None;
            return self.seal(outside);
        }
        Ok(Life::Alive)
    }

    /// An empty block after the last one.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn seal(&mut self, outside: &mut Outside) -> Result<Life, Violation> {
        let sealed = self.shard.seal();
        if outside.medium.is_cut() {
            return Ok(Life::Cut);
        }
        if sealed.is_err() {
            return Ok(Life::Died);
        }
        outside.checker.read(&self.reader, None)?;
        Ok(Life::Alive)
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.happenings += 1;
        self.calendar.insert((at, self.happenings), happening);
    }

    /// A queue may have room for a replay now; while there is no space, that is asked again and again, as the writer does.
    fn want_replays(&mut self, now: Time) {
        let runs = self.shard.kernel().replays.running().next().is_some();
        let wake = match self.is_full {
            _ if self.is_stopping || !runs => None,
            true if self.turn_at.is_none() => Some(now + self.full_pause()),
            true => None,
            false => self.shard.has_chores().then_some(now),
        };
        self.turn_at = self.turn_at.or(wake);
    }

    fn want_turn(&mut self, outside: &mut Outside) {
        let now = outside.clocks.now();
        // A pause since there is no space keeps nobody from being refused.
        if self.turn_at.is_none_or(|at| at > now + Millis(COLLECT_MS)) {
            let wait = if outside.chance.one_in(3) { outside.chance.below(COLLECT_MS) } else { 0 };
            self.turn_at = Some(now + Millis(wait));
        }
    }
}
