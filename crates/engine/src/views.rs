//! What readers see of events, deliveries and attempts: derived from the facts, newest state only.
//!
//! The projector feeds it after each durable turn; queries in `query` read it under a shared lock that the writer never takes. Bodies and
//! payloads are not here: a reader fetches them from the log by position. Until the store exists everything is in RAM.

mod explain;
mod health;
mod page;
mod query;

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::directory::Directory;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::event_cells;
use postrider_core::{AttemptId, DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};

use explain::History;
pub use explain::{Explanation, Verdict};
use health::Summary;
pub use health::{WebhookHealth, WindowFigures};
pub use page::{Cursor, CursorError, Page, PageQuery, paginate, read_cursor};
pub use query::{DeliveryFilter, EventFilter, LogFilter};

/// All workspaces' events, deliveries and attempts.
#[derive(Default)]
pub struct Views {
    directory: Directory,
    workspaces: BTreeMap<WorkspaceId, WorkspaceView>,
}

#[derive(Default)]
struct WorkspaceView {
    events: BTreeMap<Position, Arc<Event>>,
    ids: BTreeMap<EventId, Position>,
    /// Events whose payload is gone, and since when.
    erased: BTreeMap<Position, Time>,
    deliveries: BTreeMap<DeliveryKey, DeliveryRow>,
    logs: BTreeMap<WebhookId, BTreeMap<AttemptId, LogEntry>>,
    webhooks: BTreeMap<WebhookId, History>,
    /// Of the webhooks that there are.
    health: BTreeMap<WebhookId, Summary>,
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
            Fact::AttemptFinished { cell, was, attempt } => {
                // An attempt can outlive its workspace.
                let Some(workspace) = self.workspaces.get_mut(&cell.workspace) else { return };
                // And its webhook.
                if let Some(summary) = workspace.health.get_mut(&cell.webhook) {
                    summary.follow(cell, Some(*was));
                    summary.note(attempt, record.time);
                }
                let Some(row) = workspace.deliveries.get_mut(&cell.key) else { return };
                row.cell = *cell;
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
            Fact::RetryRequested { cell, was } => self.put_cell(cell, *was),
            Fact::EventErased { workspace, event, cancelled } => {
                for cell in cancelled {
                    self.put_cell(cell, Was { status: Status::Pending, due: cell.due });
                }
                if let Some(view) = self.workspaces.get_mut(workspace) {
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
            Fact::WebhookCreated(webhook) | Fact::WebhookChanged(webhook) => {
                let view = self.workspaces.entry(webhook.workspace).or_default();
                view.webhooks.entry(webhook.id).or_default().note(webhook);
                view.health.entry(webhook.id).or_default();
            }
            Fact::WebhookDeleted { workspace, id } => {
                // The attempts of a deleted webhook stay visible in its deliveries.
                let Some(view) = self.workspaces.get_mut(workspace) else { return };
                view.health.remove(id);
                if let Some(history) = view.webhooks.get_mut(id) {
                    history.end(record.position);
                }
            }
            Fact::WorkspaceDeleted { id } => {
                self.workspaces.remove(id);
            }
            Fact::ProfileRegistered(_)
            | Fact::WorkspaceCreated { .. }
            | Fact::WorkspaceRenamed { .. }
            | Fact::KeyCreated(_)
            | Fact::KeyRevoked { .. } => {}
        }
    }

    fn put_cell(&mut self, cell: &Cell, was: Was) {
        let Some(view) = self.workspaces.get_mut(&cell.workspace) else { return };
        if let Some(row) = view.deliveries.get_mut(&cell.key) {
            row.cell = *cell;
        }
        if let Some(summary) = view.health.get_mut(&cell.webhook) {
            summary.follow(cell, Some(was));
        }
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
        if event.id.position() != Some(event.at) {
            workspace.ids.insert(event.id.clone(), event.at);
        }
        workspace.events.insert(event.at, Arc::clone(event));
    }
}

impl WorkspaceView {
    fn log(&mut self, entry: LogEntry) {
        self.logs.entry(entry.webhook).or_default().insert(entry.attempt.id, entry);
    }
}
