//! What happened: the facts of the log, and the only way in which state changes.

mod describe;

use std::sync::Arc;

use crate::attempt::Attempt;
use crate::delivery::{Cell, Was};
use crate::event::Event;
use crate::ids::{EventId, KeyId, Position, ReplayId, WebhookId, WorkspaceId};
use crate::profile::Profile;
use crate::replay::{Replay, ReplayState};
use crate::sealed::SealingKeyId;
use crate::time::Time;
use crate::webhook::Webhook;
use crate::workspace::{Key, Workspace};

pub use describe::Description;

/// One fact. Whatever a decision drew or computed is in it, so that applying it needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A profile can be used from here on. A later one of the same name takes over for later events.
    ProfileRegistered(Arc<Profile>),
    /// A workspace was made.
    WorkspaceCreated {
        /// Named by this fact's position.
        id: WorkspaceId,
        /// For people.
        name: Box<str>,
        /// The profile's name.
        profile: Box<str>,
        /// Made and synced before this fact.
        sealing_key: SealingKeyId,
    },
    /// A workspace has another name.
    WorkspaceRenamed {
        /// Which.
        id: WorkspaceId,
        /// The new name.
        name: Box<str>,
    },
    /// A workspace is gone, and with it its keys, webhooks and pending deliveries.
    WorkspaceDeleted {
        /// Which.
        id: WorkspaceId,
    },
    /// A key may be used.
    KeyCreated(Key),
    /// A key may no longer be used.
    KeyRevoked {
        /// Where it acted.
        workspace: WorkspaceId,
        /// Which.
        id: KeyId,
    },
    /// A webhook was made.
    WebhookCreated(Arc<Webhook>),
    /// A webhook has other settings: the whole of it as it is now.
    WebhookChanged(Arc<Webhook>),
    /// A webhook is gone, and what was pending for it is cancelled.
    WebhookDeleted {
        /// Whose it was.
        workspace: WorkspaceId,
        /// Which.
        id: WebhookId,
    },
    /// An event was accepted and its deliveries chosen. Its payload lies beside it.
    EventAccepted(Arc<Event>),
    /// An attempt has ended. The kept part of the response's body lies beside it.
    AttemptFinished {
        /// The delivery as it is now.
        cell: Cell,
        /// What it was.
        was: Was,
        /// What happened.
        attempt: Attempt,
    },
    /// A delivery was made due at once, by hand or by the replay whose step stands before it.
    RetryRequested {
        /// The delivery as it is now.
        cell: Cell,
        /// What it was.
        was: Was,
    },
    /// An event's payload is of no use any more and its bytes in the log become zeros; what was pending of it is cancelled.
    EventErased {
        /// Whose it was.
        workspace: WorkspaceId,
        /// Where it was accepted.
        event: Position,
        /// The deliveries that were pending, as they are now; their due times are the old ones.
        cancelled: Box<[Cell]>,
    },
    /// An unfinished event was carried over from a part of the log that is let go: as it is now, with all its deliveries. Its payload
    /// lies beside this fact from here on.
    EventCarried {
        /// As it was accepted, at its old position.
        event: Arc<Event>,
        /// The fact beside which its payload lay before: what lies there is of no use any more.
        was: Position,
        /// All of its deliveries, as they are now.
        cells: Box<[Cell]>,
    },
    /// A part of the state as it is now, so that the log can be made to begin here.
    Restated(Restated),
    /// A replay has begun, at the first of its events.
    ReplayStarted(Box<Replay>),
    /// A replay has made a step. The deliveries that it made due are the facts that follow, in the same block.
    ReplayAdvanced {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: ReplayId,
        /// What lies before this was looked at.
        next: Position,
        /// Deliveries that were made due.
        released: u32,
        /// Events that it means and that cannot be sent.
        skipped: u32,
    },
    /// A replay was paused, resumed or cancelled.
    ReplayChanged {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: ReplayId,
        /// What it is now.
        state: ReplayState,
    },
    /// An event goes to a webhook that was not chosen when it came: as the delivery begins, due at once.
    DeliveryAdded {
        /// The delivery.
        cell: Cell,
    },
    /// A test was sent. The kept part of the response's body lies beside it.
    TestFinished {
        /// Whose webhook.
        workspace: WorkspaceId,
        /// Which webhook.
        webhook: WebhookId,
        /// The sample's id.
        event_id: EventId,
        /// The sample's type.
        event_type: Box<str>,
        /// What happened.
        attempt: Attempt,
    },
}

/// One part of the state, among others between a beginning and an end. Where the log begins with them they are the state; elsewhere they
/// say what is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restated {
    /// The state begins.
    Begin {
        /// Webhooks ever made.
        webhooks_made: u64,
        /// Attempts ever filed.
        attempts_made: u64,
    },
    /// A profile, and where it was registered.
    Profile(Position, Arc<Profile>),
    /// A workspace with its keys.
    Workspace(Box<Workspace>),
    /// A version of a webhook; the last one counts.
    Webhook(Arc<Webhook>),
    /// A webhook that is gone, and where it went.
    WebhookDeleted(WebhookId, Position),
    /// Unfinished deliveries of a webhook.
    Pending(WebhookId, u64),
    /// Timestamps that are taken, of one type of a workspace; there may be more of it in other parts.
    TakenTimes(Box<TakenTimes>),
    /// An event of which a delivery was removed, and whose payload is to be erased once none of the others is pending.
    OwedErasure(Position),
    /// A replay as it stands.
    Replay(Box<Replay>),
    /// The state is whole.
    End,
}

/// Timestamps of events of one type in one workspace, as runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenTimes {
    /// Where they may not repeat.
    pub workspace: WorkspaceId,
    /// Among events of this type.
    pub event_type: Box<str>,
    /// First and last millisecond of each run, ascending.
    pub millis: Vec<(u64, u64)>,
    /// Seconds, ascending, with the last microsecond within each that was given out.
    pub micros: Vec<(u64, u32)>,
    /// Before this second no microseconds are given out.
    pub micros_from: u64,
}

impl Fact {
    /// Whether it is about profiles, workspaces, keys or webhooks.
    pub fn concerns_directory(&self) -> bool {
        match self {
            Fact::ProfileRegistered(_)
            | Fact::WorkspaceCreated { .. }
            | Fact::WorkspaceRenamed { .. }
            | Fact::WorkspaceDeleted { .. }
            | Fact::KeyCreated(_)
            | Fact::KeyRevoked { .. }
            | Fact::WebhookCreated(_)
            | Fact::WebhookChanged(_)
            | Fact::WebhookDeleted { .. } => true,
            Fact::Restated(_)
            | Fact::EventCarried { .. }
            | Fact::EventAccepted(_)
            | Fact::AttemptFinished { .. }
            | Fact::RetryRequested { .. }
            | Fact::EventErased { .. }
            | Fact::ReplayStarted(_)
            | Fact::ReplayAdvanced { .. }
            | Fact::ReplayChanged { .. }
            | Fact::DeliveryAdded { .. }
            | Fact::TestFinished { .. } => false,
        }
    }

    /// Whether it says something about a replay, or ends some.
    pub fn concerns_replays(&self) -> bool {
        matches!(
            self,
            Fact::ReplayStarted(_)
                | Fact::ReplayAdvanced { .. }
                | Fact::ReplayChanged { .. }
                | Fact::WebhookDeleted { .. }
                | Fact::WorkspaceDeleted { .. }
        )
    }
}

/// A fact with its place and time, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub position: Position,
    /// Engine time of its turn.
    pub time: Time,
    /// What happened.
    pub fact: Fact,
}
