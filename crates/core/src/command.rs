//! A wish that may be refused, and the answers to it.

use std::sync::Arc;

use bytes::Bytes;

use crate::attempt::Exchange;
use crate::delivery::Cell;
use crate::event::NewEvent;
use crate::ids::{AttemptId, DeliveryKey, EventId, KeyId, Position, ReplayId, WebhookId, WorkspaceId};
use crate::profile::Profile;
use crate::replay::{Replay, ReplayState, Wish};
use crate::sealed::SealingKeyId;
use crate::signing::SigningKey;
use crate::time::{Millis, Time};
use crate::webhook::{Change, Settings, Webhook};
use crate::workspace::{KeyHash, Scopes};

/// What someone wishes to happen. Inputs were validated and secrets sealed before; what is decided here is what depends on the state.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes a profile usable; no fact when the newest of its name is the same.
    RegisterProfile(Arc<Profile>),
    /// Makes a workspace with its first key.
    CreateWorkspace {
        /// For people.
        name: Box<str>,
        /// The profile's name.
        profile: Box<str>,
        /// Made and synced before this command.
        sealing_key: SealingKeyId,
        /// Of the first key, which may do everything.
        key_hash: KeyHash,
    },
    /// Gives a workspace another name.
    RenameWorkspace {
        /// Which.
        id: WorkspaceId,
        /// The new name.
        name: Box<str>,
    },
    /// Removes a workspace with all that is in it.
    DeleteWorkspace {
        /// Which.
        id: WorkspaceId,
    },
    /// Makes a key.
    CreateKey {
        /// Where it acts.
        workspace: WorkspaceId,
        /// For people.
        name: Box<str>,
        /// What it may do.
        scopes: Scopes,
        /// What is kept of it.
        hash: KeyHash,
    },
    /// Revokes a key.
    RevokeKey {
        /// Where it acts.
        workspace: WorkspaceId,
        /// Which.
        id: KeyId,
    },
    /// Makes a webhook.
    CreateWebhook {
        /// Whose.
        workspace: WorkspaceId,
        /// All settings.
        settings: Box<Settings>,
    },
    /// Changes what is named.
    ChangeWebhook {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: WebhookId,
        /// What to change.
        change: Box<Change>,
    },
    /// Switches off a webhook whose attempts have all failed for too long, if it is still the same one. Nobody asks for it.
    SwitchOff {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: WebhookId,
        /// What it was when that was found.
        version: Position,
        /// When the first of these attempts began.
        failing_since: Time,
    },
    /// Has a webhook sign with a new key; the old one signs along for a while.
    RotateSecret {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: WebhookId,
        /// The new key.
        fresh: SigningKey,
        /// For how long the old one signs along.
        grace: Millis,
    },
    /// Removes a webhook and cancels what is pending for it.
    DeleteWebhook {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: WebhookId,
    },
    /// Accepts an event.
    Publish {
        /// Whose.
        workspace: WorkspaceId,
        /// The event.
        event: NewEvent,
    },
    /// Records what an attempt came to, and decides what becomes of the delivery.
    Finish(Finish),
    /// Makes a delivery due now.
    Retry {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        key: DeliveryKey,
    },
    /// Erases an event's payload and cancels what is pending of it.
    EraseEvent {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: EventId,
    },
    /// Erases the payload of an event that a terminal rule has removed, once nothing of it is pending. Nobody asks for it.
    EraseRemoved {
        /// Where the event was accepted.
        event: Position,
    },
    /// Has a webhook's past events sent again, step by step.
    StartReplay {
        /// Whose.
        workspace: WorkspaceId,
        /// To which webhook.
        webhook: WebhookId,
        /// Which events.
        wish: Box<Wish>,
    },
    /// Pauses a replay, lets it go on, or ends it.
    ChangeReplay {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: ReplayId,
        /// Running, paused or cancelled.
        state: ReplayState,
    },
    /// One step of a replay over events that were read ahead. Nobody asks for it.
    AdvanceReplay {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        id: ReplayId,
        /// So many deliveries may be made due.
        room: usize,
    },
    /// Records what a test came to.
    RecordTest {
        /// Whose webhook.
        workspace: WorkspaceId,
        /// Which webhook.
        webhook: WebhookId,
        /// The sample's id.
        event_id: EventId,
        /// The sample's type.
        event_type: Box<str>,
        /// What was measured.
        measured: Measured,
    },
}

/// What one exchange came to, with what is needed to file it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// When it was handed to a worker.
    pub started: Time,
    /// What dispatch reports.
    pub exchange: Exchange,
    /// The kept part of the response's body.
    pub body: Bytes,
    /// crc32c of `body`.
    pub crc32c: u32,
    /// The webhook's version it was sent with.
    pub webhook_version: Position,
}

/// The end of one attempt of a delivery.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Which delivery.
    pub key: DeliveryKey,
    /// What it came to.
    pub measured: Measured,
}

/// What a command came to.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// The workspace and its first key.
    WorkspaceCreated(WorkspaceId, KeyId),
    /// The key.
    KeyCreated(KeyId),
    /// The webhook as it is now.
    Webhook(Arc<Webhook>),
    /// The event is in the log.
    Accepted(Accepted),
    /// The delivery as it is now.
    Delivery(Cell),
    /// The attempt's number.
    Recorded(AttemptId),
    /// The replay as it is now.
    Replay(Box<Replay>),
}

/// The answer to a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Given or generated.
    pub id: EventId,
    /// The same event had been accepted before; nothing was created.
    pub duplicate: bool,
    /// Webhooks that were chosen.
    pub deliveries: u32,
}

/// Why a command was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such workspace.
    #[error("there is no such workspace")]
    NoWorkspace,
    /// No such profile.
    #[error("there is no profile of this name")]
    NoProfile,
    /// No such key in this workspace.
    #[error("there is no such key in this workspace")]
    NoKey,
    /// No such webhook in this workspace.
    #[error("there is no such webhook in this workspace")]
    NoWebhook,
    /// No such event in this workspace.
    #[error("there is no such event in this workspace")]
    NoEvent,
    /// The event's payload is gone.
    #[error("the event's payload was erased, so it can't be sent again")]
    Erased,
    /// No such delivery in this workspace.
    #[error("there is no such delivery in this workspace")]
    NoDelivery,
    /// The id was used for another event.
    #[error("another event was published under this id: its type, created or data differ")]
    IdTaken,
    /// The delivery ended for good.
    #[error("the delivery was {} and is not sent again", .0.as_str())]
    Ended(crate::delivery::Status),
    /// An attempt of the delivery is running.
    #[error("an attempt of this delivery is in flight; its outcome decides what comes next")]
    InFlight,
    /// The delivery's webhook is off.
    #[error("the webhook is off; switch it on to send its deliveries")]
    WebhookOff,
    /// No such replay in this workspace.
    #[error("there is no such replay in this workspace")]
    NoReplay,
    /// The replay is over.
    #[error("the replay is {} and cannot be paused or resumed", .0.as_str())]
    ReplayEnded(ReplayState),
    /// The webhook does not sign.
    #[error("this webhook does not sign; set its signing first")]
    NotSigned,
    /// A bound of the domain.
    #[error("there can be no more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
}
