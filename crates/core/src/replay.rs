//! Replays: jobs that send a webhook's past events again, one step at a time.
//!
//! A replay looks at the events of its window once, oldest first, and keeps its place in the log: after a crash it goes on behind the last
//! event that a durable fact says it has looked at. Which of them it delivers is judged here, from what the shell has read of each; the
//! same judgement counts them beforehand. It never looks at events that were accepted after it began.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::delivery::{Cell, Status};
use crate::event::Event;
use crate::fact::{Fact, Restated};
use crate::ids::{Position, ReplayId, WebhookId, WorkspaceId};
use crate::limits;
use crate::time::Time;
use crate::webhook::Settings;

/// Which events of its window a replay means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Only {
    /// Those whose delivery to the webhook has not succeeded.
    Failed,
    /// Those that have a delivery to the webhook.
    All,
    /// Those that the webhook's filter lets through now and that never had a delivery to it.
    Missed,
}

impl Only {
    /// All of them.
    pub const ALL: [Only; 3] = [Only::Failed, Only::All, Only::Missed];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Only::Failed => "failed",
            Only::All => "all",
            Only::Missed => "missed",
        }
    }
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplayState {
    /// It makes deliveries due as its webhook's queue has room.
    Running,
    /// It makes none until it is resumed.
    Paused,
    /// It has looked at all of its events.
    Finished,
    /// A person has ended it, or its webhook is gone.
    Cancelled,
}

impl ReplayState {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplayState::Running => "running",
            ReplayState::Paused => "paused",
            ReplayState::Finished => "finished",
            ReplayState::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, ReplayState::Finished | ReplayState::Cancelled)
    }
}

/// Which events are to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Accepted at this time or later.
    pub since: Time,
    /// Accepted before this time; `None`: until the replay begins.
    pub until: Option<Time>,
    /// Of these types; empty: of all.
    pub event_types: Vec<Box<str>>,
    /// Which of these.
    pub only: Only,
}

/// An event as a replay needs it, read by the shell.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The event.
    pub event: Arc<Event>,
    /// Its delivery to the replay's webhook.
    pub delivery: Option<Cell>,
    /// Deliveries of it that replays have added, to any webhook.
    pub added: u32,
    /// Its payload was erased.
    pub is_erased: bool,
}

/// Events that were read ahead for one step.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    /// All events of the workspace from where reading began, oldest first; those that the window surely leaves out can be missing.
    pub candidates: Vec<Candidate>,
    /// Where reading ended.
    pub read_to: Position,
}

/// What a replay does about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Delivers it.
    Deliver,
    /// Would deliver it, and cannot: it was erased or its delivery removed, or it is pending already.
    Skip,
    /// Does not mean it.
    Pass,
}

impl Wish {
    /// What a replay to a webhook with these settings does about an event. Whether the webhook is on does not matter.
    pub fn judge(&self, webhook: &Settings, candidate: &Candidate) -> Judgement {
        let event = &candidate.event;
        let is_of_type = self.event_types.is_empty() || self.event_types.contains(&event.event_type);
        if event.accepted < self.since || self.until.is_some_and(|until| event.accepted >= until) || !is_of_type {
            return Judgement::Pass;
        }
        let status = candidate.delivery.map(|cell| cell.status);
        let is_meant = match (self.only, status) {
            (Only::Missed, None) => webhook.selects(&event.event_type, event.campaign.as_deref()).is_ok(),
            (Only::Missed, Some(_)) | (Only::Failed | Only::All, None) => false,
            (Only::Failed, Some(status)) => status != Status::Succeeded,
            (Only::All, Some(_)) => true,
        };
        let can_be_sent = match status {
            None => event.chosen.len() + (candidate.added as usize) < limits::WEBHOOKS_MAX,
            Some(status) => matches!(status, Status::Succeeded | Status::Exhausted),
        };
        match is_meant {
            false => Judgement::Pass,
            true if can_be_sent && !candidate.is_erased => Judgement::Deliver,
            true => Judgement::Skip,
        }
    }
}

/// A replay as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Named by the position of its beginning: only events before it are looked at.
    pub id: ReplayId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Where it sends.
    pub webhook: WebhookId,
    /// Which events.
    pub wish: Wish,
    /// When it began.
    pub started_at: Time,
    /// Where it stands.
    pub state: ReplayState,
    /// What lies before this was looked at.
    pub next: Position,
    /// Deliveries that it has made due.
    pub created: u64,
    /// Events that it means and that could not be sent when it came to them.
    pub skipped: u64,
}

impl Replay {
    /// Behind the last of its events.
    pub fn end(&self) -> Position {
        self.id.0
    }
}

/// All replays that are known: those that have not ended, and the newest of those that have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replays {
    of: BTreeMap<WorkspaceId, BTreeMap<ReplayId, Replay>>,
    running: BTreeSet<(WorkspaceId, ReplayId)>,
}

impl Replays {
    /// A replay of this workspace.
    pub fn get(&self, workspace: WorkspaceId, id: ReplayId) -> Option<&Replay> {
        self.of.get(&workspace)?.get(&id)
    }

    /// Those that make steps, of all workspaces.
    pub fn running(&self) -> impl Iterator<Item = &Replay> {
        self.running.iter().filter_map(|(workspace, id)| self.get(*workspace, *id))
    }

    /// How many of a workspace have not ended.
    pub fn open(&self, workspace: WorkspaceId) -> usize {
        self.of.get(&workspace).map_or(0, |of| of.values().filter(|replay| !replay.state.is_over()).count())
    }

    /// Takes in what a fact says about replays.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::ReplayStarted(replay) => {
                self.put(replay);
                self.forget_old(replay.workspace);
            }
            Fact::ReplayAdvanced { workspace, id, next, released, skipped } => self.change(*workspace, *id, |replay| {
                replay.next = *next;
                replay.created += u64::from(*released);
                replay.skipped += u64::from(*skipped);
                if replay.next >= replay.end() {
                    replay.state = ReplayState::Finished;
                }
            }),
            Fact::ReplayChanged { workspace, id, state } => {
                self.change(*workspace, *id, |replay| replay.state = *state);
            }
            Fact::WebhookDeleted { workspace, id } => self.cancel_all(*workspace, *id),
            Fact::WorkspaceDeleted { id } => {
                self.of.remove(id);
                self.running.retain(|(workspace, _)| workspace != id);
            }
            _ => {}
        }
    }

    /// Takes in a replay as it stands.
    pub fn put(&mut self, replay: &Replay) {
        let name = (replay.workspace, replay.id);
        self.of.entry(replay.workspace).or_default().insert(replay.id, replay.clone());
        if replay.state == ReplayState::Running {
            self.running.insert(name);
        } else {
            self.running.remove(&name);
        }
    }

    /// All of them as facts that a log can begin with.
    pub fn restate(&self) -> impl Iterator<Item = Restated> {
        self.of.values().flat_map(BTreeMap::values).map(|replay| Restated::Replay(Box::new(replay.clone())))
    }

    fn change(&mut self, workspace: WorkspaceId, id: ReplayId, change: impl FnOnce(&mut Replay)) {
        // One that was forgotten, or of a salvaged log that lacks its beginning, is not followed.
        let Some(replay) = self.of.get_mut(&workspace).and_then(|of| of.get_mut(&id)) else { return };
        change(replay);
        if replay.state == ReplayState::Running {
            self.running.insert((workspace, id));
        } else {
            self.running.remove(&(workspace, id));
        }
    }

    fn cancel_all(&mut self, workspace: WorkspaceId, webhook: WebhookId) {
        let of = self.of.get(&workspace).into_iter().flat_map(BTreeMap::values);
        let open = of.filter(|replay| replay.webhook == webhook && !replay.state.is_over());
        let open: Vec<ReplayId> = open.map(|replay| replay.id).collect();
        for id in open {
            self.change(workspace, id, |replay| replay.state = ReplayState::Cancelled);
        }
    }

    fn forget_old(&mut self, workspace: WorkspaceId) {
        let Some(of) = self.of.get_mut(&workspace) else { return };
        let over: Vec<ReplayId> = of.values().filter(|replay| replay.state.is_over()).map(|replay| replay.id).collect();
        let too_many = over.len().saturating_sub(limits::REPLAYS_ENDED_MAX);
        over.iter().take(too_many).for_each(|id| drop(of.remove(id)));
    }
}
