//! What readers see of events, deliveries and attempts: derived from the facts, newest state only.
//!
//! The projector feeds it after each durable turn. Here is what is always in RAM: the directory, each webhook's health, and the *tail*, which
//! says where the facts above W lie. What lies below W the store knows. Either way the facts themselves are read from the log: a [`Look`]
//! asks tail, store and log, in this order, and every query goes through one.

mod cells;
mod explain;
mod health;
mod history;
mod lists;
mod look;
mod page;
mod past;
mod statistics;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use postrider_core::attempt::Attempt;
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::directory::Directory;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::event_cells;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};

pub use explain::{Explanation, Verdict};
use health::Old;
pub(crate) use health::{Failing, Summary};
pub use health::{Slot, WebhookHealth, WindowFigures};
pub use history::{History, HistoryQuery, HistoryStep};
pub use lists::{DeliveryFilter, EventFilter, LogFilter};
pub use look::Look;
pub use page::{Cursor, CursorError, ListName, Page, PageQuery, paginate, read_cursor};
pub use past::ReplayCount;
pub use statistics::{Pending, Statistics, WebhookSeries};
use tail::Tail;

use crate::snapshot::Known;

/// What readers see and is in RAM.
#[derive(Default)]
pub struct Views {
    directory: Directory,
    /// Of the webhooks that there are.
    health: BTreeMap<WebhookId, (WorkspaceId, Summary)>,
    tail: Tail,
    /// The block behind the newest record.
    taken: u64,
    /// During the replay of a log that begins later.
    replay: Option<Replayed>,
}

/// What a replay knows.
struct Replayed {
    first: u64,
    /// The tail need not take what the store has.
    covered: u64,
    before: Before,
}

/// What it knows of what lies before its beginning.
enum Before {
    /// It begins with the log. Of the events from before that it has met these again, carried: facts about the others say nothing.
    Carried(BTreeSet<Position>),
    /// How webhooks were doing is known: the block below which all that concerns one is counted already.
    Counted(BTreeMap<WebhookId, u64>),
}

/// A delivery with its event.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// As it stands.
    pub cell: Cell,
    /// What it delivers.
    pub event: Arc<Event>,
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
    /// The projection revision that the body was rendered from; `None` for a test.
    pub revision: Option<Position>,
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
    /// Empty, to be fed with all of a log that begins with block `first`, beside a store that covers what lies below `covered`.
    pub fn for_replay(first: u64, covered: u64) -> Views {
        Views {
            replay: Some(Replayed { first, covered, before: Before::Carried(BTreeSet::new()) }),
            ..Views::default()
        }
    }

    /// As [`Views::for_replay`], to be fed from where a snapshot says.
    pub fn for_replay_behind(first: u64, covered: u64, health: BTreeMap<WebhookId, Known>) -> Views {
        let counted = health.iter().map(|(webhook, known)| (*webhook, known.end)).collect();
        let health = health.into_iter().map(|(webhook, known)| (webhook, (known.workspace, known.summary))).collect();
        Views {
            health,
            replay: Some(Replayed { first, covered, before: Before::Counted(counted) }),
            ..Views::default()
        }
    }

    /// Ends the replay.
    pub fn settle(&mut self) {
        if let Some(replay) = self.replay.take() {
            self.forget_below(replay.first);
        }
    }

    /// Takes in a fact.
    pub fn apply(&mut self, record: &Record) {
        self.directory.apply(record);
        self.taken = self.taken.max(record.position.block() + 1);
        if self.replay.as_ref().is_none_or(|replay| record.position.block() >= replay.covered) {
            self.tail.apply(record);
        }
        let at = record.position;
        match &record.fact {
            Fact::EventAccepted(event) => event_cells(event).for_each(|cell| self.follow(&cell, None, at)),
            Fact::EventCarried { event, cells, .. } => {
                let is_new = !self.knows(event.at);
                if let Some(Replayed { before: Before::Carried(carried), .. }) = &mut self.replay {
                    carried.insert(event.at);
                }
                if is_new {
                    cells.iter().for_each(|cell| self.follow(cell, None, at));
                }
            }
            Fact::AttemptFinished { cell, was, attempt } => {
                // An attempt can outlive its webhook.
                if let Some(summary) = self.summary(cell.webhook, at) {
                    summary.note(attempt, record.time);
                }
                let tier = cell.tier().saturating_sub(1);
                self.follow(cell, Some(Old { was: *was, tier }), at);
            }
            Fact::RetryRequested { cell, was } => self.follow(cell, Some(Old { was: *was, tier: cell.tier() }), at),
            Fact::DeliveryAdded { cell } => self.follow(cell, None, at),
            Fact::EventErased { cancelled, .. } => {
                let was = |cell: &Cell| Was { status: Status::Pending, due: cell.due };
                let old = |cell: &Cell| Old { was: was(cell), tier: cell.tier() };
                cancelled.iter().for_each(|cell| self.follow(cell, Some(old(cell)), at));
            }
            Fact::WebhookCreated(webhook)
            | Fact::WebhookChanged(webhook)
            | Fact::Restated(Restated::Webhook(webhook)) => {
                self.health.entry(webhook.id).or_insert_with(|| (webhook.workspace, Summary::default()));
                if matches!(record.fact, Fact::WebhookChanged(_))
                    && let Some(summary) = self.summary(webhook.id, at)
                {
                    summary.note_change(webhook);
                }
            }
            // Its attempts stay visible in its deliveries.
            Fact::WebhookDeleted { id, .. } | Fact::Restated(Restated::WebhookDeleted(id, _)) => {
                self.health.remove(id);
            }
            Fact::WorkspaceDeleted { id } => self.health.retain(|_, (workspace, _)| workspace != id),
            Fact::TestFinished { .. }
            | Fact::WorkspaceCreated { .. }
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

    /// Lets go of what lies in blocks below `first`, with which the log begins now.
    pub fn forget_below(&mut self, first: u64) {
        self.directory.forget_below(first);
        self.tail.forget_below(first);
    }

    /// Lets go of what the store knows: a bounded part of what lies in blocks below `covered`. True: there is more.
    pub fn forget_covered(&mut self, covered: u64) -> bool {
        self.tail.forget_some(covered)
    }

    /// A fact at `at` says of a delivery, if its event is known, that it has changed, or begun where it `was` nothing.
    fn follow(&mut self, cell: &Cell, was: Option<Old>, at: Position) {
        if self.knows(cell.key.event)
            && let Some(summary) = self.summary(cell.webhook, at)
        {
            summary.follow(cell, was);
        }
    }

    fn knows(&self, event: Position) -> bool {
        self.replay.as_ref().is_none_or(|replay| match &replay.before {
            Before::Carried(carried) => event.block() >= replay.first || carried.contains(&event),
            Before::Counted(_) => true,
        })
    }

    /// How a webhook is doing, if there is one, for a fact at `at` to be counted in it; `None` also when it is counted.
    fn summary(&mut self, webhook: WebhookId, at: Position) -> Option<&mut Summary> {
        if let Some(Replayed { before: Before::Counted(counted), .. }) = &self.replay
            && counted.get(&webhook).is_some_and(|end| at.block() < *end)
        {
            return None;
        }
        self.health.get_mut(&webhook).map(|(_, summary)| summary)
    }

    /// The first block that it has not taken in.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Unfinished deliveries of all webhooks by tier: see [`WebhookHealth::pending_by_tier`].
    pub fn pending_by_tier(&self) -> Vec<u64> {
        let mut all = Vec::new();
        for (_, summary) in self.health.values() {
            let by_tier = summary.by_tier();
            all.resize(all.len().max(by_tier.len()), 0);
            all.iter_mut().zip(by_tier).for_each(|(all, count)| *all += count);
        }
        all
    }

    /// How the webhooks after this one are doing, in the order of their ids.
    pub(crate) fn summaries(
        &self,
        after: Option<WebhookId>,
    ) -> impl Iterator<Item = (WebhookId, WorkspaceId, &Summary)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.health
            .range((from, Bound::Unbounded))
            .map(|(webhook, (workspace, summary))| (*webhook, *workspace, summary))
    }

    /// A webhook as of the last fact.
    pub(crate) fn webhook(&self, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.directory.webhook(id)
    }

    /// A delivery's status as clients see it: pending deliveries of a webhook that is gone are cancelled without a fact of their own.
    fn status_of(&self, cell: &Cell) -> Status {
        match cell.status {
            Status::Pending if self.directory.webhook(cell.webhook).is_none() => Status::Cancelled,
            status => status,
        }
    }

    fn has_workspace(&self, workspace: WorkspaceId) -> bool {
        self.directory.workspace(workspace).is_some()
    }

    /// Whether a webhook is or was this workspace's.
    fn has_webhook(&self, workspace: WorkspaceId, webhook: WebhookId) -> bool {
        let history = self.directory.history(webhook);
        history.is_some_and(|history| history.versions()[0].workspace == workspace)
    }

    /// How a webhook of this workspace is doing at `now`, which is no earlier than the last fact; `None` when there is no such webhook.
    pub fn health(&self, workspace: WorkspaceId, webhook: WebhookId, now: Time) -> Option<WebhookHealth> {
        self.health.get(&webhook).filter(|(of, _)| *of == workspace).map(|(_, summary)| summary.told(now))
    }

    /// What came of a webhook's attempts over time; `None` when there is no such webhook.
    pub fn series(&self, workspace: WorkspaceId, webhook: WebhookId, now: Time) -> Option<WebhookSeries> {
        let known = self.health.get(&webhook).filter(|(of, _)| *of == workspace);
        known.map(|(_, summary)| WebhookSeries::of(summary.windows(), now))
    }
}
