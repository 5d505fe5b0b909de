//! For tests: a shell around the machine as small as one can be, on a log in memory. It remembers everything, naively: what readers and the
//! store say is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::command::{Command, Finish, Measured};
use postrider_core::delivery::{Cell, Status};
use postrider_core::event::{Digest, Event, NewEvent};
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::{Entropy, Kernel, Moment, Prior, apply, decide, event_cells};
use postrider_core::policy::RetryPolicy;
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::{Change, Settings, TIMEOUT_DEFAULT};
use postrider_core::workspace::KeyHash;
use postrider_core::{DeliveryKey, EventId, Millis, Position, Time, WebhookId, WorkspaceId};
use postrider_log::memory::{Memory, Reader, Writer};
use postrider_log::{Batch, EventLog, LogId, LogReader, LogWriter, codec};
use proptest::prelude::*;
use proptest::sample::Index;

pub const LOG: LogId = LogId([7; 16]);
pub const TYPES: [&str; 2] = ["EMAIL_SENT", "POST_LIKED"];
/// A quarter past eleven at night, so that stories soon reach another day.
const START: u64 = 20_500 * DAY - 45 * 60 * 1000;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// What happens.
#[derive(Clone, Debug)]
pub enum Step {
    Publish {
        workspace: usize,
        kind: usize,
        own_id: Option<u8>,
    },
    Finish {
        pick: Index,
        is_good: bool,
        took: u64,
    },
    Retry {
        pick: Index,
    },
    /// A replay adds the delivery that a webhook did not get.
    Add {
        pick: Index,
        webhook: usize,
    },
    Erase {
        pick: Index,
    },
    Test {
        webhook: usize,
    },
    Delete {
        webhook: usize,
    },
    Switch {
        webhook: usize,
        on: bool,
    },
    Wait {
        ms: u64,
    },
    EndBlock,
    /// The log begins as late as it can.
    Retain,
}

pub fn step() -> impl Strategy<Value = Step> {
    let own_id = prop_oneof![Just(None), (0u8..30).prop_map(Some)];
    prop_oneof![
        8 => (0usize..2, 0usize..2, own_id).prop_map(|(workspace, kind, own_id)| Step::Publish { workspace, kind, own_id }),
        9 => (any::<Index>(), any::<bool>(), 0u64..30_000).prop_map(|(pick, is_good, took)| Step::Finish { pick, is_good, took }),
        1 => any::<Index>().prop_map(|pick| Step::Retry { pick }),
        1 => (any::<Index>(), 0usize..4).prop_map(|(pick, webhook)| Step::Add { pick, webhook }),
        1 => any::<Index>().prop_map(|pick| Step::Erase { pick }),
        1 => (0usize..4).prop_map(|webhook| Step::Test { webhook }),
        1 => (0usize..40).prop_map(|webhook| Step::Delete { webhook }),
        1 => (0usize..4, any::<bool>()).prop_map(|(webhook, on)| Step::Switch { webhook, on }),
        4 => prop_oneof![1u64..100, 1u64..5_000_000, Just(DAY)].prop_map(|ms| Step::Wait { ms }),
        6 => Just(Step::EndBlock),
        1 => Just(Step::Retain),
    ]
}

struct Draws(u64);

impl Entropy for Draws {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0
    }
}

/// See the module.
pub struct Stage {
    pub kernel: Kernel,
    pub writer: Writer,
    pub reader: Reader,
    batch: Batch,
    /// All records of the log, and of the block that is being filled.
    pub records: Vec<Record>,
    pub cells: BTreeMap<DeliveryKey, Cell>,
    pub events: BTreeMap<Position, Arc<Event>>,
    pub erased: BTreeMap<Position, (Position, Time)>,
    pub carried: BTreeMap<Position, Position>,
    /// Where the log can be made to begin.
    beginnings: BTreeSet<u64>,
    pub workspaces: Vec<WorkspaceId>,
    pub webhooks: Vec<(WorkspaceId, WebhookId)>,
    pub now: Time,
    draws: Draws,
}

impl Stage {
    /// Two workspaces, each with two webhooks.
    pub fn new() -> Stage {
        let claimed = Memory::with_segments(LOG, 8).claim(0, 1, Time(START)).unwrap();
        let mut stage = Stage {
            kernel: Kernel::default(),
            writer: claimed.writer,
            reader: claimed.reader,
            batch: Batch::new(Time(START)),
            records: Vec::new(),
            cells: BTreeMap::new(),
            events: BTreeMap::new(),
            erased: BTreeMap::new(),
            carried: BTreeMap::new(),
            beginnings: BTreeSet::new(),
            workspaces: Vec::new(),
            webhooks: Vec::new(),
            now: Time(START),
            draws: Draws(7),
        };
        let genesy = Profile::built_in().into_iter().find(|p| &*p.name == "genesy").unwrap();
        stage.tell(Command::RegisterProfile(Arc::new(genesy)));
        for n in 0..2 {
            let (sealing_key, key_hash) = (SealingKeyId(n), KeyHash([n as u8; 32]));
            let name = "acme".into();
            stage.tell(Command::CreateWorkspace { name, profile: "genesy".into(), sealing_key, key_hash });
            let workspace = stage.kernel.directory.workspaces().map(|workspace| workspace.id).max().unwrap();
            stage.workspaces.push(workspace);
            for kinds in [&TYPES[..], &TYPES[..1]] {
                stage.tell(Command::CreateWebhook { workspace, settings: Box::new(settings(kinds)) });
                stage.webhooks.push((workspace, stage.kernel.directory.webhooks().map(|w| w.id).max().unwrap()));
            }
        }
        stage.end_block();
        stage
    }

    pub fn run(&mut self, step: &Step) {
        match step {
            Step::Publish { workspace, kind, own_id } => self.publish(*workspace, TYPES[*kind], *own_id),
            Step::Finish { pick, is_good, took } => {
                if let Some(key) = self.pick(pick, |cell| cell.status == Status::Pending) {
                    let measured = measured(Time(self.now.0 - took), *took, *is_good);
                    self.tell(Command::Finish(Finish { key, measured }));
                }
            }
            Step::Retry { pick } => {
                if let Some(key) = self.pick(pick, |_| true) {
                    let workspace = self.cells[&key].workspace;
                    self.tell(Command::Retry { workspace, key });
                }
            }
            Step::Add { pick, webhook } => self.add(pick, self.webhooks[*webhook]),
            Step::Erase { pick } => {
                if let Some(key) = self.pick(pick, |_| true) {
                    let Event { workspace, id, .. } = &*self.events[&key.event];
                    self.tell(Command::EraseEvent { workspace: *workspace, id: id.clone() });
                }
            }
            Step::Test { webhook } => {
                let (workspace, webhook) = self.webhooks[*webhook];
                let (event_id, event_type) = ("sample".parse().unwrap(), TYPES[0].into());
                let measured = measured(self.now, 3, false);
                self.tell(Command::RecordTest { workspace, webhook, event_id, event_type, measured });
            }
            Step::Delete { webhook } => {
                if let Some((workspace, id)) = self.webhooks.get(*webhook).copied() {
                    self.tell(Command::DeleteWebhook { workspace, id });
                }
            }
            Step::Switch { webhook, on } => {
                let (workspace, id) = self.webhooks[*webhook];
                let change = Box::new(Change { enabled: Some(*on), ..Change::default() });
                self.tell(Command::ChangeWebhook { workspace, id, change });
            }
            Step::Wait { ms } => {
                self.end_block();
                self.now = self.now + Millis(*ms);
            }
            Step::EndBlock => self.end_block(),
            Step::Retain => self.retain(),
        }
    }

    pub fn publish(&mut self, workspace: usize, event_type: &str, own_id: Option<u8>) {
        let event = NewEvent {
            id: own_id.map(id),
            event_type: event_type.into(),
            created: None,
            campaign: own_id.map(|n| format!("c{}", n % 3).into()),
            data: Bytes::from_static(b"{}"),
            digest: Digest::of(event_type, None, b"{}"),
            crc32c: crc32c::crc32c(b"{}"),
        };
        self.tell(Command::Publish { workspace: self.workspaces[workspace], event });
    }

    fn add(&mut self, pick: &Index, (workspace, webhook): (WorkspaceId, WebhookId)) {
        let is_theirs = |event: &&Arc<Event>| event.workspace == workspace && !self.erased.contains_key(&event.at);
        let events: Vec<_> = self.events.values().filter(is_theirs).collect();
        if events.is_empty() || self.kernel.directory.webhook(webhook).is_none() {
            return;
        }
        let event = pick.get(&events).at;
        let of_event: Vec<_> = self.cells.values().filter(|cell| cell.key.event == event).collect();
        if of_event.iter().any(|cell| cell.webhook == webhook) {
            return;
        }
        let nth = of_event.iter().filter(|cell| cell.key.is_added()).count() as u32;
        if self.batch.is_empty() {
            self.begin_block();
        }
        let key = DeliveryKey::added(event, nth);
        self.push(Fact::DeliveryAdded { cell: Cell::fresh(key, workspace, webhook, self.at(), self.now) });
    }

    fn pick(&self, pick: &Index, is_wanted: impl Fn(&Cell) -> bool) -> Option<DeliveryKey> {
        let wanted: Vec<_> = self.cells.values().filter(|cell| is_wanted(cell)).collect();
        (!wanted.is_empty()).then(|| pick.get(&wanted).key)
    }

    /// A command that is refused changes nothing.
    pub fn tell(&mut self, command: Command) {
        if self.batch.is_empty() {
            self.begin_block();
        }
        let at = self.at();
        let (cell, event) = match &command {
            Command::Finish(finish) => (self.cells.get(&finish.key), None),
            Command::Retry { key, .. } => (self.cells.get(key), None),
            Command::EraseEvent { workspace, id } => (None, self.event_with_id(*workspace, id)),
            Command::Publish { workspace, event } => {
                (None, event.id.as_ref().and_then(|id| self.event_with_id(*workspace, id)))
            }
            _ => (None, None),
        };
        let about = event.map(|event| event.at).or(cell.map(|cell| cell.key.event));
        let siblings: Vec<_> = self.cells.values().filter(|cell| Some(cell.key.event) == about).copied().collect();
        let is_erased = about.is_some_and(|at| self.erased.contains_key(&at));
        let event = event.cloned();
        let prior = Prior { cell, event: event.as_deref(), siblings: &siblings, is_erased, ..Prior::default() };
        let mut moment = Moment { now: self.now, at, entropy: &mut self.draws };
        let facts = decide(&self.kernel, prior, &command, &mut moment).map_or(Vec::new(), |decision| decision.facts);
        facts.into_iter().for_each(|fact| self.push(fact));
    }

    pub fn event_with_id(&self, workspace: WorkspaceId, id: &EventId) -> Option<&Arc<Event>> {
        self.events.values().find(|event| event.workspace == workspace && event.id == *id)
    }

    fn at(&self) -> Position {
        Position::new(self.writer.tail(), self.batch.len())
    }

    fn push(&mut self, fact: Fact) {
        let record = Record { position: self.at(), time: self.now, fact };
        self.batch.push_with(None, |out| codec::encode(&record.fact, record.time, out));
        match &record.fact {
            Fact::EventAccepted(event) => {
                self.cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                self.events.insert(event.at, Arc::clone(event));
            }
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                self.cells.insert(cell.key, *cell);
            }
            Fact::EventErased { event, cancelled, .. } => {
                self.cells.extend(cancelled.iter().map(|cell| (cell.key, *cell)));
                self.erased.insert(*event, (record.position, record.time));
            }
            Fact::EventCarried { event, .. } => drop(self.carried.insert(event.at, record.position)),
            _ => {}
        }
        apply(&mut self.kernel, &record, |_| ());
        self.records.push(record);
    }

    /// Restates the state where the log may be made to begin.
    fn begin_block(&mut self) {
        self.batch.reset(self.now);
        if self.writer.begins_segment() && self.beginnings.insert(self.writer.tail()) {
            self.kernel.restate().into_iter().for_each(|fact| self.push(fact));
        }
    }

    /// What was told since the last one is durable.
    pub fn end_block(&mut self) {
        if !self.batch.is_empty() {
            self.writer.append(self.writer.tail(), &self.batch).unwrap();
        }
        self.batch.reset(self.now);
    }

    fn retain(&mut self) {
        self.end_block();
        let Some(below) = self.beginnings.last().copied().filter(|below| *below > self.reader.first()) else { return };
        let old: Vec<_> =
            self.events.values().filter(|event| self.payload_of(event.at).block() < below).cloned().collect();
        for event in old {
            let cells: Vec<_> = self.cells.values().filter(|cell| cell.key.event == event.at).copied().collect();
            if cells.iter().any(|cell| self.kernel.is_pending(cell)) {
                if self.batch.is_empty() {
                    self.begin_block();
                }
                let was = self.payload_of(event.at);
                self.push(Fact::EventCarried { event, was, cells: cells.into() });
            }
        }
        self.end_block();
        let first = self.writer.truncate(below).unwrap();
        let gone: Vec<_> =
            self.events.values().filter(|event| self.payload_of(event.at).block() < first).cloned().collect();
        for event in gone {
            self.events.remove(&event.at);
            self.cells.retain(|key, _| key.event != event.at);
        }
        self.records.retain(|record| record.position.block() >= first);
        self.beginnings.retain(|block| *block > first);
        self.kernel.directory.forget_below(first);
    }

    /// Where the payload of an event lies.
    pub fn payload_of(&self, event: Position) -> Position {
        self.carried.get(&event).copied().unwrap_or(event)
    }
}

pub fn id(number: u8) -> EventId {
    format!("order-{number}").parse().unwrap()
}

fn settings(types: &[&str]) -> Settings {
    let delays = [30_000, 300_000].map(Millis).into();
    Settings {
        name: "crm".into(),
        description: None,
        url: "https://example.com/hook".into(),
        events: types.iter().map(|event_type| (*event_type).into()).collect(),
        campaign_ids: Vec::new(),
        custom_fields: Vec::new(),
        enabled: true,
        secret: None,
        headers: Vec::new(),
        retry_policy: Some(RetryPolicy { delays, jitter_permille: 0 }),
        timeout: TIMEOUT_DEFAULT,
        rate_limit: None,
        signing: None,
        ordered: false,
    }
}

pub fn measured(started: Time, took: u64, is_good: bool) -> Measured {
    let failure = Failure { kind: ErrorKind::HttpStatus, message: "http_status".into() };
    let exchange = Exchange {
        duration: Millis(took),
        status_code: Some(if is_good { 200 } else { 503 }),
        failure: (!is_good).then_some(failure),
        retry_after: None,
    };
    Measured { started, exchange, body: Bytes::new(), crc32c: 0, webhook_version: Position::new(0, 0) }
}
