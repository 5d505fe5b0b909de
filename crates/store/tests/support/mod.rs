//! A small world that makes facts as the machine does, and what the store shall answer of them (`answers`).
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod answers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use postrider_core::attempt::{Attempt, Exchange, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::{Chosen, Digest, Event};
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::event_cells;
use postrider_core::{AttemptId, DeliveryKey, EventId, Millis, Position, Time, WebhookId, WorkspaceId};
use postrider_store::{LogIdentity, Mark, OpenError, Opened, Store};
use proptest::prelude::*;

#[allow(unused_imports, reason = "each test file uses its part")]
pub use answers::*;

pub const LOG: [u8; 16] = [7; 16];
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const HOUR_MS: u64 = 60 * 60 * 1000;
/// A quarter past eleven at night, so that worlds soon reach another day.
pub const START: u64 = 20_500 * DAY_MS - 45 * 60 * 1000;
pub const WEBHOOKS: u64 = 6;
pub const WORKSPACES: u64 = 3;

/// What happens in a world.
#[derive(Clone, Debug)]
pub enum Step {
    Publish { workspace: u64, webhooks: Vec<u64>, own_id: Option<u8> },
    Attempt { pick: prop::sample::Index, ends: bool, delay_ms: u64, took_ms: u64 },
    Retry { pick: prop::sample::Index },
    Add { pick: prop::sample::Index, webhook: u64 },
    Erase { pick: prop::sample::Index },
    Test { webhook: u64 },
    Delete { webhook: u64 },
    Wait { ms: u64 },
    EndBlock,
}

pub fn step() -> impl Strategy<Value = Step> {
    let webhooks = prop::collection::btree_set(1..=WEBHOOKS, 0..4).prop_map(|set| set.into_iter().collect());
    let own_id = prop_oneof![Just(None), (0u8..40).prop_map(Some)];
    prop_oneof![
        6 => (0..WORKSPACES, webhooks, own_id).prop_map(|(workspace, webhooks, own_id)| Step::Publish { workspace, webhooks, own_id }),
        8 => (any::<prop::sample::Index>(), prop::bool::weighted(0.4), prop_oneof![1u64..5000, 1u64..50_000_000], 0u64..30_000)
            .prop_map(|(pick, ends, delay_ms, took_ms)| Step::Attempt { pick, ends, delay_ms, took_ms }),
        1 => any::<prop::sample::Index>().prop_map(|pick| Step::Retry { pick }),
        1 => (any::<prop::sample::Index>(), 1..=WEBHOOKS).prop_map(|(pick, webhook)| Step::Add { pick, webhook }),
        1 => any::<prop::sample::Index>().prop_map(|pick| Step::Erase { pick }),
        1 => (1..=WEBHOOKS).prop_map(|webhook| Step::Test { webhook }),
        1 => prop::bool::weighted(0.1).prop_flat_map(|_| 1..=WEBHOOKS).prop_map(|webhook| Step::Delete { webhook }),
        3 => prop_oneof![1u64..100, 1u64..5_000_000, Just(DAY_MS)].prop_map(|ms| Step::Wait { ms }),
        6 => Just(Step::EndBlock),
    ]
}

/// Makes records.
pub struct World {
    pub records: Vec<Record>,
    pub cells: BTreeMap<DeliveryKey, Cell>,
    pub gone: BTreeSet<WebhookId>,
    pub now: u64,
    pub block: u64,
    index: u32,
    attempts: u64,
    deletions_left: u32,
}

impl World {
    pub fn new() -> World {
        let (records, cells, gone) = Default::default();
        World { records, cells, gone, now: START, block: 0, index: 0, attempts: 0, deletions_left: 2 }
    }

    fn at(&self) -> Position {
        Position::new(self.block, self.index)
    }

    fn push(&mut self, fact: Fact) {
        self.records.push(Record { position: self.at(), time: Time(self.now), fact });
        self.index += 1;
    }

    /// The block is full: all its records are durable.
    pub fn end_block(&mut self) {
        if self.index > 0 {
            (self.block, self.index) = (self.block + 1, 0);
        }
    }

    pub fn mark(&self) -> Mark {
        Mark { block: self.block, chain: chain(self.block) }
    }

    pub fn run(&mut self, step: &Step) {
        match step {
            Step::Publish { workspace, webhooks, own_id } => self.publish(*workspace, webhooks, *own_id),
            Step::Attempt { pick, ends, delay_ms, took_ms } => {
                if let Some(key) = self.pick(pick) {
                    self.attempt(key, *ends, *delay_ms, *took_ms);
                }
            }
            Step::Retry { pick } => self.retry(pick),
            Step::Add { pick, webhook } => self.add(pick, WebhookId(*webhook)),
            Step::Erase { pick } => self.erase(pick),
            Step::Test { webhook } => {
                let attempt = self.filed(Outcome::Failed, 1, 5);
                let (workspace, event_id) = (workspace(0), "sample".parse().unwrap());
                let webhook = WebhookId(*webhook);
                self.push(Fact::TestFinished { workspace, webhook, event_id, event_type: "x".into(), attempt });
            }
            Step::Delete { webhook } => {
                if self.deletions_left > 0 && self.gone.insert(WebhookId(*webhook)) {
                    self.deletions_left -= 1;
                    self.push(Fact::WebhookDeleted { workspace: workspace(0), id: WebhookId(*webhook) });
                }
            }
            Step::Wait { ms } => {
                // All records of a block have one time.
                self.end_block();
                self.now += ms;
            }
            Step::EndBlock => self.end_block(),
        }
    }

    pub fn publish(&mut self, number: u64, webhooks: &[u64], own_id: Option<u8>) {
        let at = self.at();
        let webhooks =
            webhooks.iter().map(|webhook| WebhookId(*webhook)).filter(|webhook| !self.gone.contains(webhook));
        let chosen: Arc<[Chosen]> = webhooks.map(|webhook| Chosen { webhook, revision: at }).collect();
        let id = own_id.map_or_else(|| EventId::generate(at, 5), id);
        let event = Event {
            at,
            accepted: Time(self.now),
            workspace: workspace(number),
            id,
            event_type: "x".into(),
            created: "".into(),
            campaign: None,
            digest: Digest([0; 16]),
            payload_len: 0,
            profile: Position::default(),
            chosen,
        };
        self.cells.extend(event_cells(&event).map(|cell| (cell.key, cell)));
        self.push(Fact::EventAccepted(Arc::new(event)));
    }

    /// One that is pending, or was when its webhook was deleted: an attempt can outlive that.
    fn pick(&self, pick: &prop::sample::Index) -> Option<DeliveryKey> {
        let pending: Vec<_> = self.cells.values().filter(|cell| cell.status == Status::Pending).collect();
        (!pending.is_empty()).then(|| pick.get(&pending).key)
    }

    pub fn attempt(&mut self, key: DeliveryKey, ends: bool, delay_ms: u64, took_ms: u64) {
        let old = self.cells[&key];
        let mut cell = Cell { attempts: old.attempts + 1, last_attempt: Some(self.at()), ..old };
        let outcome = match (self.gone.contains(&cell.webhook), ends) {
            (true, _) => Outcome::Cancelled,
            (false, true) => Outcome::Succeeded,
            (false, false) => Outcome::Retrying,
        };
        cell.status = match outcome {
            Outcome::Cancelled => Status::Cancelled,
            Outcome::Succeeded => Status::Succeeded,
            _ => Status::Pending,
        };
        if outcome == Outcome::Retrying {
            cell.due = Time(self.now + delay_ms);
        }
        let attempt = Attempt { previous: old.last_attempt, ..self.filed(outcome, cell.attempts, took_ms) };
        self.cells.insert(key, cell);
        self.push(Fact::AttemptFinished { cell, was: Was::from(&old), attempt });
    }

    /// Carries an event with all its deliveries over to here.
    pub fn carry(&mut self, at: Position) {
        let accepted = self.records.iter().find_map(|record| match &record.fact {
            Fact::EventAccepted(event) if event.at == at => Some(Arc::clone(event)),
            _ => None,
        });
        let cells = self.cells.values().filter(|cell| cell.key.event == at).copied().collect();
        let carried = |record: &Record| matches!(&record.fact, Fact::EventCarried { event, .. } if event.at == at);
        let was = self.records.iter().rev().find(|record| carried(record)).map_or(at, |record| record.position);
        self.push(Fact::EventCarried { event: accepted.unwrap(), was, cells });
    }

    /// Says once more which webhooks are gone.
    pub fn restate_gone(&mut self) {
        for webhook in self.gone.clone() {
            let at = self.at();
            self.push(Fact::Restated(Restated::WebhookDeleted(webhook, at)));
        }
    }

    fn filed(&mut self, outcome: Outcome, number: u32, took_ms: u64) -> Attempt {
        self.attempts += 1;
        let exchange = Exchange { duration: Millis(took_ms), status_code: None, failure: None, retry_after: None };
        let started = Time(self.now);
        Attempt {
            id: AttemptId(self.attempts),
            number,
            started,
            exchange,
            outcome,
            webhook_version: Position::default(),
            previous: None,
        }
    }

    fn retry(&mut self, pick: &prop::sample::Index) {
        let can = |cell: &&Cell| {
            let is_open = cell.status == Status::Pending && cell.due.0 > self.now || cell.status == Status::Succeeded;
            is_open && !self.gone.contains(&cell.webhook)
        };
        let some: Vec<_> = self.cells.values().filter(can).copied().collect();
        if some.is_empty() {
            return;
        }
        let old = *pick.get(&some);
        let cell = Cell { status: Status::Pending, due: Time(self.now), ..old };
        self.cells.insert(cell.key, cell);
        self.push(Fact::RetryRequested { cell, was: Was::from(&old) });
    }

    /// A replay adds a delivery to an event.
    fn add(&mut self, pick: &prop::sample::Index, webhook: WebhookId) {
        if self.cells.is_empty() || self.gone.contains(&webhook) {
            return;
        }
        let cells: Vec<_> = self.cells.values().copied().collect();
        let Cell { key, workspace, .. } = *pick.get(&cells);
        let of_event = cells.iter().filter(|cell| cell.key.event == key.event);
        let nth = of_event.filter(|cell| cell.key.is_added()).count() as u32;
        let key = DeliveryKey::added(key.event, nth);
        let cell = Cell::fresh(key, workspace, webhook, self.at(), Time(self.now));
        self.cells.insert(key, cell);
        self.push(Fact::DeliveryAdded { cell });
    }

    fn erase(&mut self, pick: &prop::sample::Index) {
        if self.cells.is_empty() {
            return;
        }
        let keys: Vec<_> = self.cells.keys().copied().collect();
        let event = pick.get(&keys).event;
        let of_event = self.cells.values_mut().filter(|cell| cell.key.event == event);
        let pending = of_event.filter(|cell| cell.status == Status::Pending);
        let cancelled = pending.map(|cell| {
            cell.status = Status::Cancelled;
            *cell
        });
        let cancelled = cancelled.collect();
        self.push(Fact::EventErased { workspace: workspace(0), event, cancelled });
    }
}

pub fn workspace(number: u64) -> WorkspaceId {
    WorkspaceId(Position::from_u64(1000 + number))
}

pub fn id(number: u8) -> EventId {
    format!("order-{number}").parse().unwrap()
}

pub fn chain(block: u64) -> [u8; 16] {
    if block == 0 { [0; 16] } else { [block as u8 ^ 0x5a; 16] }
}

pub fn identity() -> LogIdentity<'static> {
    LogIdentity { log: LOG, chain_at: &|block| Some(chain(block)) }
}

/// A folder in RAM where there is one: what the disk does is not tested here, and its syncs take most of the time.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn open(folder: &Path) -> Result<Opened, OpenError> {
    Store::open(folder, identity())
}
