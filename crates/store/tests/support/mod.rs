//! A small world that makes facts as the machine does, and a model of the store: maps in RAM, computed anew from the records each time.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use postrider_core::attempt::{Attempt, Exchange, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::{Chosen, Digest, Event};
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::event_cells;
use postrider_core::{AttemptId, DeliveryKey, EventId, Millis, Position, Time, WebhookId, WorkspaceId};
use postrider_store::{
    Asleep, AttemptPlace, EventPlace, Lane, LogIdentity, Mark, OpenError, Opened, Reader, Store, Summary,
};
use proptest::prelude::*;

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

/// What the store shall answer.
#[derive(Debug, Default, PartialEq)]
pub struct Answers {
    pub asleep: BTreeSet<Asleep>,
    pub counts: BTreeMap<WebhookId, u64>,
    pub heads: BTreeMap<DeliveryKey, Option<Position>>,
    pub ids: BTreeMap<(u64, u8), Vec<Position>>,
    pub erased: BTreeMap<Position, Option<Position>>,
    pub added: BTreeMap<Position, u32>,
    pub attempts: BTreeMap<WebhookId, Vec<AttemptPlace>>,
    pub events: BTreeMap<WorkspaceId, Vec<EventPlace>>,
    pub hours: BTreeMap<WebhookId, Vec<(Time, Vec<u32>)>>,
}

fn outcomes(summary: &Summary) -> Vec<u32> {
    use Outcome::{Cancelled, Exhausted, Failed, Removed, Retrying, Succeeded};
    [Succeeded, Retrying, Exhausted, Removed, Cancelled, Failed].map(|outcome| summary.of(outcome)).to_vec()
}

fn day_of(time: Time) -> u64 {
    time.0 / DAY_MS
}

/// The answers by the model: of the records below `block`, days before `first_day` forgotten.
pub fn expected(records: &[Record], block: u64, first_day: u64) -> Answers {
    let covered = || records.iter().filter(|record| record.position.block() < block);
    let mut answers = Answers::default();
    let mut cells: BTreeMap<DeliveryKey, Cell> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    let mut newest: BTreeMap<DeliveryKey, Position> = BTreeMap::new();
    let mut accepted: BTreeMap<Position, Time> = BTreeMap::new();
    let mut hours: BTreeMap<(WebhookId, u64), Summary> = BTreeMap::new();
    let mut erased: BTreeMap<Position, Position> = BTreeMap::new();
    for webhook in (1..=WEBHOOKS).map(WebhookId) {
        answers.attempts.insert(webhook, Vec::new());
        answers.hours.insert(webhook, Vec::new());
    }
    for number in 0..WORKSPACES {
        answers.events.insert(workspace(number), Vec::new());
        (0..40).for_each(|n| drop(answers.ids.insert((number, n), Vec::new())));
    }
    for record in covered() {
        let is_kept = day_of(record.time) >= first_day;
        let mut note = |webhook: WebhookId, attempt: &Attempt, key: Option<DeliveryKey>| {
            if is_kept {
                let place = AttemptPlace::new(record.position, record.time, key, attempt);
                answers.attempts.get_mut(&webhook).unwrap().insert(0, place);
                if key.is_some() {
                    let summary = hours.entry((webhook, record.time.0 / HOUR_MS)).or_insert(Summary::EMPTY);
                    summary.count(attempt.outcome, postrider_store::Latency::of(attempt.exchange.duration));
                }
            }
        };
        match &record.fact {
            Fact::EventAccepted(event) => {
                cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                newest.extend(event_cells(event).map(|cell| (cell.key, record.position)));
                accepted.insert(event.at, record.time);
                if is_kept {
                    let deliveries = event.chosen.len() as u32;
                    let place = EventPlace { position: record.position, time: record.time, deliveries };
                    answers.events.get_mut(&event.workspace).unwrap().insert(0, place);
                    let number = event.workspace.0.to_u64() - 1000;
                    let own = event.id.as_str().strip_prefix("order-").map(|n| n.parse().unwrap());
                    own.into_iter().for_each(|n| answers.ids.get_mut(&(number, n)).unwrap().insert(0, record.position));
                }
            }
            Fact::AttemptFinished { cell, attempt, .. } => {
                cells.insert(cell.key, *cell);
                newest.insert(cell.key, record.position);
                note(cell.webhook, attempt, Some(cell.key));
            }
            Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                cells.insert(cell.key, *cell);
                newest.insert(cell.key, record.position);
            }
            Fact::EventErased { event, cancelled, .. } => {
                erased.insert(*event, record.position);
                for cell in cancelled {
                    cells.insert(cell.key, *cell);
                    newest.insert(cell.key, record.position);
                }
            }
            Fact::EventCarried { cells, .. } => newest.extend(cells.iter().map(|cell| (cell.key, record.position))),
            Fact::TestFinished { webhook, attempt, .. } => note(*webhook, attempt, None),
            Fact::WebhookDeleted { id, .. } | Fact::Restated(Restated::WebhookDeleted(id, _)) => drop(gone.insert(*id)),
            _ => unreachable!(),
        }
    }
    for cell in cells.values().filter(|cell| cell.status == Status::Pending && !gone.contains(&cell.webhook)) {
        let lane = if cell.is_fresh() { Lane::Fresh } else { Lane::Retry };
        answers.asleep.insert(Asleep { due: cell.due, key: cell.key, webhook: cell.webhook, lane });
        *answers.counts.entry(cell.webhook).or_default() += 1;
    }
    for (key, position) in newest {
        let is_kept = day_of(accepted[&key.event]) >= first_day;
        answers.heads.insert(key, is_kept.then_some(position));
        if is_kept && key.is_added() {
            *answers.added.entry(key.event).or_default() += 1;
        }
        answers.erased.insert(key.event, erased.get(&key.event).copied().filter(|_| is_kept));
    }
    for ((webhook, hour), summary) in hours {
        answers.hours.get_mut(&webhook).unwrap().push((Time(hour * HOUR_MS), outcomes(&summary)));
    }
    answers
}

/// By day: of all webhooks, and of every other one, between which there are others.
fn read_hours(reader: &Reader<'_>, answers: &mut Answers) -> Result<(), postrider_store::ReadError> {
    let all: Vec<_> = (1..=WEBHOOKS).map(WebhookId).collect();
    let some: Vec<_> = all.iter().copied().step_by(2).collect();
    answers.hours = all.iter().map(|webhook| (*webhook, Vec::new())).collect();
    let last = answers.attempts.values().flatten().map(|attempt| attempt.time.0).max().unwrap_or(START);
    for day in START / DAY_MS..=last / DAY_MS {
        let mut found = Vec::new();
        let mut note = |webhook, start, summary: &Summary| found.push((webhook, start, outcomes(summary)));
        assert!(reader.hourly(&all, Time(day * DAY_MS + 1), &mut note)? >= reader.at().history.block);
        let mut found_again = Vec::new();
        let mut note = |webhook, start, summary: &Summary| found_again.push((webhook, start, outcomes(summary)));
        reader.hourly(&some, Time(day * DAY_MS), &mut note)?;
        assert!(found.iter().filter(|(webhook, ..)| some.contains(webhook)).eq(&found_again));
        for (webhook, start, counts) in found {
            assert_eq!(start.0 / DAY_MS, day);
            answers.hours.entry(webhook).or_default().push((start, counts));
        }
    }
    Ok(())
}

/// The answers that the store gives, page by page. `keys` are the deliveries to ask for.
pub fn given(
    reader: &Reader<'_>,
    keys: impl Iterator<Item = DeliveryKey>,
    page: usize,
) -> Result<Answers, postrider_store::ReadError> {
    let mut answers = given_pending(reader, page)?;
    for key in keys {
        answers.heads.insert(key, reader.head(key)?);
        answers.erased.insert(key.event, reader.erased(key.event)?);
    }
    let last = Position::from_u64(u64::MAX);
    answers.added = reader.added(Position::default(), last)?.into_iter().collect();
    for (event, count) in &answers.added {
        assert_eq!(reader.added(*event, *event)?, [(*event, *count)]);
    }
    for webhook in (1..=WEBHOOKS).map(WebhookId) {
        let mut all: Vec<AttemptPlace> = Vec::new();
        loop {
            let before = all.last().map(|attempt| attempt.position);
            let some = reader.attempts(webhook, before, page)?;
            all.extend(&some);
            if some.len() < page {
                break;
            }
        }
        assert_eq!(reader.attempts_len(webhook)?, all.len() as u64);
        answers.attempts.insert(webhook, all);
    }
    read_hours(reader, &mut answers)?;
    for number in 0..WORKSPACES {
        let workspace = workspace(number);
        let mut all: Vec<EventPlace> = Vec::new();
        loop {
            let before = all.last().map(|event| event.position);
            let some = reader.events(workspace, before, page)?;
            all.extend(&some);
            if some.len() < page {
                break;
            }
        }
        assert_eq!(reader.events_len(workspace)?, all.len() as u64);
        let from = all.get(all.len() / 2).map_or(Position::default(), |place| place.position);
        let up: Vec<_> = all.iter().rev().filter(|place| place.position >= from).copied().collect();
        assert_eq!(reader.events_up(workspace, from, usize::MAX)?, up);
        assert_eq!(reader.events_up(workspace, from, 3)?, up[..up.len().min(3)]);
        for place in &all {
            assert!(reader.day_begin(place.time).is_some_and(|begin| begin <= place.position));
            let next = reader.day_begin(Time(place.time.0 + DAY_MS));
            assert!(next.is_none_or(|begin| begin > place.position));
        }
        answers.events.insert(workspace, all);
        for n in 0..40 {
            answers.ids.insert((number, n), reader.candidates(workspace, &id(n))?);
        }
    }
    Ok(answers)
}

/// The part of the answers that is about what is pending.
pub fn given_pending(reader: &Reader<'_>, page: usize) -> Result<Answers, postrider_store::ReadError> {
    let mut answers = Answers::default();
    let mut add = |some: &[Asleep], after: &mut Option<Asleep>| {
        for asleep in some {
            assert!(Some(*asleep) > *after, "in order");
            assert!(answers.asleep.insert(*asleep), "once: {asleep:?}");
            *after = Some(*asleep);
        }
        some.len() == page
    };
    let mut after = None;
    while add(&reader.due(after, Time(u64::MAX), page)?, &mut after) {}
    let first = reader.next_due(None)?;
    assert!(first.is_none_or(|first| first >= reader.swept()));
    for webhook in (1..=WEBHOOKS).map(WebhookId) {
        for lane in [Lane::Fresh, Lane::Retry] {
            let mut after = None;
            while add(&reader.backlog(webhook, lane, after, page)?, &mut after) {}
            assert!(after.is_none_or(|last| last.due < reader.swept() && (last.webhook, last.lane) == (webhook, lane)));
        }
    }
    assert_eq!(reader.asleep_len(), answers.asleep.len() as u64);
    answers.counts = reader.pending_by_webhook().collect();
    answers.counts.iter().for_each(|(webhook, n)| assert_eq!(reader.pending(*webhook), *n));
    Ok(answers)
}
