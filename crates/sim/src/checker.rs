//! The judge: what must be true whatever happens, told from the laws and not from the code.
//!
//! It knows only what an outsider can: which facts are durable (read back from the log, not taken from the engine's word), what was asked
//! and answered, what reached the receivers and when. From that it keeps its own naive books, and says which law was broken first.

mod answers;
mod attempts;
mod erasure;
mod facts;
mod hook;
mod places;
mod replays;
mod retention;
mod sends;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use postrider_core::delivery::{Cell, Status};
use postrider_core::event::{Digest, Event};
use postrider_core::profile::Profile;
use postrider_core::replay::Replay;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, EventId, Position, ReplayId, Time, WebhookId, WorkspaceId};
use postrider_log::{Block, ChainHash, LogReader, codec};
use postrider_scheduler::Limits;

pub use answers::Asked;
use hook::Hook;
use sends::Flight;
pub use sends::Request;

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the list of laws.
    pub law: u8,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {}: {}", self.law, self.what)
    }
}

/// A broken law by its number, and what happened.
macro_rules! broken {
    ($number:literal, $($message:tt)+) => {
        $crate::checker::Violation { law: $number, what: format!($($message)+) }
    };
}
pub(crate) use broken;

/// Fails with law and message unless the condition holds.
macro_rules! law {
    ($number:literal, $holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err($crate::checker::broken!($number, $($message)+));
        }
    };
}
pub(crate) use law;

/// No timer may move by more than this, whatever the wall clock does.
const CLOCK_SLACK_MS: u64 = 1_000;

/// What a check says.
pub type Verdict = Result<(), Violation>;

/// One delivery in the books.
#[derive(Clone, Debug)]
struct Delivery {
    /// As the last durable fact about it says.
    cell: Cell,
    /// Of the body that every attempt must carry.
    body: u64,
    /// The highest number of an attempt that reached the receiver.
    reached: u32,
}

/// One accepted event in the books.
#[derive(Clone, Debug)]
struct Known {
    event: Arc<Event>,
    payload: Box<[u8]>,
    at: Position,
    digest: Digest,
    deliveries: u32,
    /// What its workspace may not have twice.
    stamp: Option<(WorkspaceId, Box<str>, Box<str>)>,
}

/// See the module.
pub struct Checker {
    limits: Limits,
    next_block: u64,
    last_hash: Option<ChainHash>,
    last_time: Time,
    profiles: BTreeMap<Position, Arc<Profile>>,
    workspaces: BTreeMap<WorkspaceId, Box<str>>,
    hooks: BTreeMap<WebhookId, Hook>,
    events: BTreeMap<(WorkspaceId, EventId), Known>,
    names: BTreeMap<Position, (WorkspaceId, EventId)>,
    deliveries: BTreeMap<DeliveryKey, Delivery>,
    stamps: BTreeSet<(WorkspaceId, Box<str>, Box<str>)>,
    flights: BTreeMap<DeliveryKey, Flight>,
    /// Attempts that reached a receiver and whose outcome a crash took: only these may come twice.
    cut: BTreeSet<DeliveryKey>,
    /// Deliveries that a person has asked to send again, and has no answer yet.
    retries_asked: Vec<DeliveryKey>,
    attempts_made: u64,
    deliveries_made: u64,
    duplicates: u64,
    /// Events whose payloads are erased by a durable fact.
    erased: BTreeSet<Position>,
    /// Events that were carried to a newer part of the log, and the facts beside which their payloads lie.
    carried: BTreeMap<Position, Position>,
    /// Where payloads lay that are erased, or were carried away.
    spent: BTreeSet<Position>,
    /// The block that the log begins with.
    first: u64,
    /// Events that a person has asked to erase, and has no answer yet.
    erasures_asked: Vec<(WorkspaceId, EventId)>,
    /// Events that publishers have sent, and have no answer yet.
    publishes_asked: Vec<(WorkspaceId, Option<EventId>, Digest)>,
    /// All replays, as the last durable fact about each says.
    replays: BTreeMap<ReplayId, Replay>,
    /// What the facts that come next have to make due, for a step of a replay.
    releases: VecDeque<Cell>,
    replayed: u64,
    /// Replays that a person has asked for, or to change, and has no answer yet.
    replays_asked: Vec<Asked>,
    /// Wishes without an answer.
    unanswered: usize,
}

impl Checker {
    /// Empty books, for an engine with these permits.
    pub fn new(limits: Limits) -> Checker {
        Checker {
            limits,
            next_block: 0,
            last_hash: None,
            last_time: Time(0),
            profiles: BTreeMap::new(),
            workspaces: BTreeMap::new(),
            hooks: BTreeMap::new(),
            events: BTreeMap::new(),
            names: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            stamps: BTreeSet::new(),
            flights: BTreeMap::new(),
            cut: BTreeSet::new(),
            retries_asked: Vec::new(),
            attempts_made: 0,
            deliveries_made: 0,
            duplicates: 0,
            erased: BTreeSet::new(),
            carried: BTreeMap::new(),
            spent: BTreeSet::new(),
            first: 0,
            erasures_asked: Vec::new(),
            publishes_asked: Vec::new(),
            replays: BTreeMap::new(),
            releases: VecDeque::new(),
            replayed: 0,
            replays_asked: Vec::new(),
            unanswered: 0,
        }
    }

    /// Reads what has become durable since the last look; all of it in a turn at `turn`, if that is known.
    ///
    /// # Errors
    /// When a fact, or the order of facts, breaks a law.
    pub fn read(&mut self, reader: &impl LogReader, turn: Option<Time>) -> Verdict {
        if self.next_block == reader.end() {
            return Ok(());
        }
        for block in reader.blocks(self.next_block) {
            let block = block.map_err(|error| broken!(1, "block {} cannot be read: {error}", self.next_block))?;
            if let Some(turn) = turn {
                let is_on_time = block.time().0.abs_diff(turn.0) <= CLOCK_SLACK_MS;
                law!(5, is_on_time, "engine time is {}, and {turn} by the clock that never steps", block.time());
            }
            self.block(&block)?;
        }
        law!(1, self.next_block == reader.end(), "block {} is durable and absent", self.next_block);
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Verdict {
        law!(6, block.number() == self.next_block, "block {} follows {}", block.number(), self.next_block);
        law!(6, block.time() >= self.last_time, "time went back from {} to {}", self.last_time, block.time());
        self.next_block += 1;
        self.last_hash = Some(block.hash());
        self.last_time = block.time();
        for (position, bytes) in block.facts() {
            let record = codec::decode(position, block.time(), bytes)
                .map_err(|error| broken!(2, "an appended fact cannot be read: {error}"))?;
            let payload = block
                .payload(position.index())
                .map_err(|fault| broken!(1, "the payload at {position} is damaged: {fault:?}"))?;
            self.fact(&record, &payload.unwrap_or_default())?;
        }
        self.nothing_is_to_be_released()
    }

    /// After a restart: what was durable is there as it was. What the last append may or may not have kept is read in.
    ///
    /// # Errors
    /// When anything that was durable is gone or different.
    pub fn reread(&mut self, reader: &impl LogReader) -> Verdict {
        if let Some(last) = self.next_block.checked_sub(1) {
            let hash = reader.read_block(last).ok().flatten().map(|block| block.hash());
            law!(1, hash.is_some(), "block {last} was durable and is gone");
            law!(1, hash == self.last_hash, "block {last} or one before it has changed");
        }
        self.read(reader, None)?;
        self.forget_below(reader.first())?;
        self.retries_asked.clear();
        self.erasures_asked.clear();
        self.publishes_asked.clear();
        self.replays_asked.clear();
        self.unanswered = 0;
        Ok(())
    }

    /// The time of the last durable record.
    pub fn last_time(&self) -> Time {
        self.last_time
    }

    /// Blocks that were durable at the last look.
    pub fn blocks(&self) -> u64 {
        self.next_block
    }

    /// Deliveries that are in flight.
    pub fn flying(&self) -> BTreeSet<DeliveryKey> {
        self.flights.keys().copied().collect()
    }

    /// Deliveries that have not ended, of webhooks that are there.
    pub fn unfinished(&self) -> u64 {
        self.hooks.values().map(|hook| hook.pending).sum()
    }

    /// Every delivery has ended.
    ///
    /// # Errors
    /// When one has not, though faults have stopped and its schedule is over.
    pub fn settled(&self) -> Verdict {
        let waits = |delivery: &&Delivery| delivery.cell.status == Status::Pending && self.is_alive(&delivery.cell);
        let left = self.deliveries.values().find(waits);
        law!(11, left.is_none(), "a delivery has not ended within its schedule: {:?}", left.map(|d| d.cell));
        law!(11, self.flights.is_empty(), "attempts have not ended: {:?}", self.flights.keys());
        self.replays_are_over()
    }

    /// The latest time at which all that is pending must have ended, if nothing new comes and every answer takes at most a second.
    pub fn settled_by(&self, now: Time, is_up: bool) -> Time {
        let due = self.deliveries.values().filter(|d| d.cell.status == Status::Pending).map(|d| d.cell.due.max(now));
        let tail = |hook: &Hook| match (is_up, self.policy_of(&hook.webhook)) {
            (false, Some(policy)) => policy.delays.iter().map(|d| d.0 * 2 + 2_000).sum(),
            _ => 0,
        };
        let longest = self.hooks.values().map(tail).max().unwrap_or(0);
        // Behind caps and rates of one a second, each attempt may have to wait for all others.
        let queue = self.unfinished() * 16 * 2_000 + 120_000;
        Time(due.max().unwrap_or(now).0 + longest + queue)
    }

    /// Attempts that reached a receiver twice.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Deliveries that were ever chosen or added.
    pub fn deliveries(&self) -> u64 {
        self.deliveries_made
    }

    /// Attempts whose outcome is durable.
    pub fn attempts(&self) -> u64 {
        self.attempts_made
    }

    /// Workspaces that are there.
    pub fn workspaces(&self) -> Vec<(WorkspaceId, Box<str>)> {
        self.workspaces.iter().map(|(id, profile)| (*id, profile.clone())).collect()
    }

    /// Webhooks that are there.
    pub fn webhooks(&self) -> Vec<(WorkspaceId, WebhookId)> {
        self.hooks.values().filter(|hook| hook.alive).map(|hook| (hook.webhook.workspace, hook.webhook.id)).collect()
    }

    /// A webhook that is there.
    pub fn webhook(&self, id: WebhookId) -> Option<&Webhook> {
        self.hooks.get(&id).filter(|hook| hook.alive).map(|hook| &*hook.webhook)
    }

    /// One of the deliveries; the newest ones more often.
    pub fn delivery(&self, draw: u64) -> Option<(WorkspaceId, DeliveryKey)> {
        let among = if draw.is_multiple_of(2) { 20 } else { self.deliveries.len() };
        let nth = (draw / 2 % among.max(1) as u64) as usize;
        self.deliveries.values().rev().nth(nth).map(|delivery| (delivery.cell.workspace, delivery.cell.key))
    }

    /// The event of one of the deliveries.
    pub fn event(&self, draw: u64) -> Option<(WorkspaceId, EventId)> {
        let (_, key) = self.delivery(draw)?;
        self.event_at(key.event)
    }

    fn event_at(&self, at: Position) -> Option<(WorkspaceId, EventId)> {
        self.names.get(&at).cloned()
    }

    /// Whether durable facts say that the payload at `at` is erased or lies somewhere else.
    pub fn is_spent(&self, at: Position) -> bool {
        self.spent.contains(&at) || at.block() < self.first
    }

    fn is_alive(&self, cell: &Cell) -> bool {
        self.hooks.get(&cell.webhook).is_some_and(|hook| hook.alive)
    }
}
