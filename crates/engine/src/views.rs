//! What readers see of events, deliveries and attempts: derived from the facts, newest state only.
//!
//! The projector feeds it after each durable turn; queries in `query` read it under a shared lock that the writer never takes. Bodies and
//! payloads are not here: a reader fetches them from the log by position. Until the store exists everything is in RAM.

mod explain;
mod forget;
mod health;
mod page;
mod past;
mod query;

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::directory::Directory;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::event_cells;
use postrider_core::{AttemptId, DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};

pub use explain::{Explanation, Verdict};
use health::Summary;
pub use health::{WebhookHealth, WindowFigures};
pub use page::{Cursor, CursorError, Page, PageQuery, paginate, read_cursor};
pub use past::ReplayCount;
pub use query::{DeliveryFilter, EventFilter, LogFilter};

/// All workspaces' events, deliveries and attempts.
#[derive(Default)]
pub struct Views {
    directory: Directory,
    workspaces: BTreeMap<WorkspaceId, WorkspaceView>,
    /// During a replay: attempts of events that are let go, or that come back further on.
    orphans: Option<BTreeMap<Position, Vec<Record>>>,
}

#[derive(Default)]
struct WorkspaceView {
    events: BTreeMap<Position, Arc<Event>>,
    ids: BTreeMap<EventId, Position>,
    /// Events whose payload is gone, and since when.
    erased: BTreeMap<Position, Time>,
    deliveries: BTreeMap<DeliveryKey, DeliveryRow>,
    logs: BTreeMap<WebhookId, BTreeMap<AttemptId, LogEntry>>,
    /// Of the webhooks that there are.
    health: BTreeMap<WebhookId, Summary>,
    /// Event that was carried → the fact beside which its payload lies.
    carried: BTreeMap<Position, Position>,
}

/// A delivery with its event and the attempts it has had.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// As it stands.
    pub cell: Cell,
    /// What it delivers.
    pub event: Arc<Event>,
    /// Oldest first.
    pub attempts: Vec<AttemptId>,
}

/// One entry of a webhook's log: one attempt.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Of its record; the kept part of the response's body lies beside it in the log.
    pub position: Position,
    /// What was sent.
    pub subject: Subject,
    /// Where it was sent.
    pub webhook: WebhookId,
    /// What happened.
    pub attempt: Attempt,
    /// When the next one is due, if this one led to another.
    pub next_attempt_at: Option<Time>,
}

/// What an attempt was of.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A delivery of an event.
    Delivery(DeliveryKey, Arc<Event>),
    /// A test, with the sample's id and type.
    Test(EventId, Box<str>),
}

impl Subject {
    /// The id that the receiver saw.
    pub fn event_id(&self) -> &EventId {
        match self {
            Subject::Delivery(_, event) => &event.id,
            Subject::Test(id, _) => id,
        }
    }

    /// The type that the receiver saw.
    pub fn event_type(&self) -> &str {
        match self {
            Subject::Delivery(_, event) => &event.event_type,
            Subject::Test(_, event_type) => event_type,
        }
    }
}

impl Views {
    /// Takes in a fact.
    pub fn apply(&mut self, record: &Record) {
        self.directory.apply(record);
        match &record.fact {
            Fact::EventAccepted(event) => self.accept(event),
            Fact::EventCarried { event, cells } => self.carry(event, cells, record.position),
            Fact::AttemptFinished { cell, was, attempt } => {
                // An attempt can outlive its workspace.
                let Some(workspace) = self.workspaces.get_mut(&cell.workspace) else { return };
                // And its webhook.
                if let Some(summary) = workspace.health.get_mut(&cell.webhook) {
                    summary.note(attempt, record.time);
                }
                self.put_cell(cell, *was);
                self.file(record, cell, attempt);
            }
            Fact::RetryRequested { cell, was } => self.put_cell(cell, *was),
            Fact::DeliveryAdded { cell } => self.add(cell),
            Fact::EventErased { workspace, event, cancelled } => {
                for cell in cancelled {
                    self.put_cell(cell, Was { status: Status::Pending, due: cell.due });
                }
                let view = self.workspaces.get_mut(workspace);
                if let Some(view) = view.filter(|view| view.events.contains_key(event)) {
                    view.erased.insert(*event, record.time);
                }
            }
            Fact::TestFinished { workspace, webhook, event_id, event_type, attempt } => {
                self.workspaces.entry(*workspace).or_default().log(LogEntry {
                    position: record.position,
                    subject: Subject::Test(event_id.clone(), event_type.clone()),
                    webhook: *webhook,
                    attempt: attempt.clone(),
                    next_attempt_at: None,
                });
            }
            Fact::WebhookCreated(webhook)
            | Fact::WebhookChanged(webhook)
            | Fact::Restated(Restated::Webhook(webhook)) => {
                let view = self.workspaces.entry(webhook.workspace).or_default();
                view.health.entry(webhook.id).or_default();
            }
            // Its attempts stay visible in its deliveries.
            Fact::WebhookDeleted { id, .. } | Fact::Restated(Restated::WebhookDeleted(id, _)) => {
                self.workspaces.values_mut().for_each(|view| drop(view.health.remove(id)));
            }
            Fact::WorkspaceDeleted { id } => {
                self.workspaces.remove(id);
            }
            Fact::WorkspaceCreated { .. }
            | Fact::Restated(_)
            | Fact::ReplayStarted(_)
            | Fact::ReplayAdvanced { .. }
            | Fact::ReplayChanged { .. }
            | Fact::ProfileRegistered(_)
            | Fact::WorkspaceRenamed { .. }
            | Fact::KeyCreated(_)
            | Fact::KeyRevoked { .. } => {}
        }
    }

    /// What is not known is not followed: it is let go, or comes back further on.
    fn put_cell(&mut self, cell: &Cell, was: Was) {
        let Some(view) = self.workspaces.get_mut(&cell.workspace) else { return };
        let Some(row) = view.deliveries.get_mut(&cell.key) else { return };
        row.cell = *cell;
        if let Some(summary) = view.health.get_mut(&cell.webhook) {
            summary.follow(cell, Some(was));
        }
    }

    /// A replay has added a delivery. That of an event which is not known comes back with it.
    fn add(&mut self, cell: &Cell) {
        let Some(view) = self.workspaces.get_mut(&cell.workspace) else { return };
        let Some(event) = view.events.get(&cell.key.event).cloned() else { return };
        view.deliveries.insert(cell.key, DeliveryRow { cell: *cell, event, attempts: Vec::new() });
        if let Some(summary) = view.health.get_mut(&cell.webhook) {
            summary.follow(cell, None);
        }
    }

    /// An attempt becomes an entry of its webhook's log.
    fn file(&mut self, record: &Record, cell: &Cell, attempt: &Attempt) {
        let Some(workspace) = self.workspaces.get_mut(&cell.workspace) else { return };
        let Some(row) = workspace.deliveries.get_mut(&cell.key) else {
            let orphans = self.orphans.as_mut().map(|orphans| orphans.entry(cell.key.event).or_default());
            orphans.into_iter().for_each(|of_event| of_event.push(record.clone()));
            return;
        };
        row.attempts.push(attempt.id);
        let entry = LogEntry {
            position: record.position,
            subject: Subject::Delivery(cell.key, Arc::clone(&row.event)),
            webhook: cell.webhook,
            attempt: attempt.clone(),
            next_attempt_at: (attempt.outcome == Outcome::Retrying).then_some(cell.due),
        };
        workspace.log(entry);
    }

    fn accept(&mut self, event: &Arc<Event>) {
        let workspace = self.workspaces.entry(event.workspace).or_default();
        for cell in event_cells(event) {
            if let Some(summary) = workspace.health.get_mut(&cell.webhook) {
                summary.follow(&cell, None);
            }
            let row = DeliveryRow { cell, event: Arc::clone(event), attempts: Vec::new() };
            workspace.deliveries.insert(cell.key, row);
        }
        workspace.put_event(event);
    }

    /// In a replay the event comes back; else it is there, and only its payload has moved.
    fn carry(&mut self, event: &Arc<Event>, cells: &[Cell], at: Position) {
        let workspace = self.workspaces.entry(event.workspace).or_default();
        workspace.carried.insert(event.at, at);
        if workspace.events.contains_key(&event.at) {
            return;
        }
        workspace.put_event(event);
        for cell in cells {
            let row = DeliveryRow { cell: *cell, event: Arc::clone(event), attempts: Vec::new() };
            workspace.deliveries.insert(cell.key, row);
            if let Some(summary) = workspace.health.get_mut(&cell.webhook) {
                summary.follow(cell, None);
            }
        }
        let orphans = self.orphans.as_mut().and_then(|orphans| orphans.remove(&event.at));
        for record in orphans.into_iter().flatten() {
            if let Fact::AttemptFinished { cell, attempt, .. } = &record.fact {
                self.file(&record, cell, attempt);
            }
        }
    }
}

impl WorkspaceView {
    fn put_event(&mut self, event: &Arc<Event>) {
        if event.id.position() != Some(event.at) {
            self.ids.insert(event.id.clone(), event.at);
        }
        self.events.insert(event.at, Arc::clone(event));
    }

    fn log(&mut self, entry: LogEntry) {
        self.logs.entry(entry.webhook).or_default().insert(entry.attempt.id, entry);
    }
}
