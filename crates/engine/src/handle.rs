//! The handle: what others hold of a running engine. Cheap to clone; everything that can be asked of it is a method, no channel is seen.

mod inspect;
mod reads;
mod replays;
mod signing;
mod webhooks;
mod workspaces;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postrider_core::command::{Accepted, Command, Rejection, Reply};
use postrider_core::event::NewEvent;
use postrider_core::invalid::FieldError;
use postrider_core::profile::Profile;
use postrider_core::{DeliveryKey, EventId, WorkspaceId};
use postrider_dispatch::{Config, Dispatcher};
use tokio::sync::{Semaphore, mpsc};

use crate::clock::Clock;
use crate::inbox::{Answer, Declined, Inbox, SendError};
use crate::intake::{self, EventDraft, IntakeError};
use crate::keyring::Keyring;
use crate::shared::Shared;
use crate::worker::Work;

pub use inspect::{EgressRules, EngineFigures};
pub use reads::{AttemptDetail, DeliveryDetail, EventDetail, EventSummary, SentRequest};
pub use replays::ReplayProgress;
pub use webhooks::{SavedWebhook, TestReport};
pub use workspaces::{NewKey, new_admin_key, new_session_token};

/// A running engine.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) inbox: Inbox,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatch: Arc<Config>,
    pub(crate) data_bytes_max: usize,
    pub(crate) workers: Vec<mpsc::Sender<Work>>,
    pub(crate) trials: Semaphore,
}

/// Why the engine does not do what it was asked for. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The input has to be mended.
    #[error("the input is not valid")]
    Invalid(Vec<FieldError>),
    /// An event's data has more bytes than this.
    #[error("data has more than {0} bytes")]
    TooLarge(usize),
    /// The state does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much is waiting already; try again in a moment.
    #[error("too many requests are waiting; try again in a moment")]
    Overloaded,
    /// What happened earlier cannot be read just now.
    #[error("what happened earlier cannot be read just now; try again in a moment")]
    Unreadable,
    /// The log has no space left.
    #[error("the log has no space left")]
    Full,
    /// The key that the workspace's secrets are sealed with is not there.
    #[error("the workspace's sealing key is missing: put the folder keys back as it was")]
    KeyMissing,
    /// The engine is stopping or has stopped.
    #[error("the engine is stopping")]
    Closed,
}

impl From<SendError> for Refused {
    fn from(error: SendError) -> Refused {
        match error {
            SendError::Overloaded => Refused::Overloaded,
            SendError::Closed => Refused::Closed,
        }
    }
}

impl From<Declined> for Refused {
    fn from(declined: Declined) -> Refused {
        match declined {
            Declined::Rejected(rejection) => Refused::Rejected(rejection),
            Declined::Full => Refused::Full,
            Declined::Unread => Refused::Overloaded,
        }
    }
}

impl From<IntakeError> for Refused {
    fn from(error: IntakeError) -> Refused {
        match error {
            IntakeError::Invalid(faults) => Refused::Invalid(faults),
            IntakeError::TooLarge(max) => Refused::TooLarge(max),
        }
    }
}

/// How long a reader waits for the projector before it is told to come again.
const READ_PATIENCE: Duration = Duration::from_secs(1);

impl Handle {
    pub(crate) fn new(inner: Inner) -> Handle {
        Handle(Arc::new(inner))
    }

    /// From now on nothing is delivered to `listener`, an address of this process, whatever is open.
    pub fn listens_at(&self, listener: SocketAddr) {
        self.0.dispatch.policy().listens_at(listener);
    }

    /// Checks an event against its workspace's profile. Takes a pass over its data, on the caller's thread.
    ///
    /// # Errors
    /// When it has to be mended, or there is no such workspace.
    pub fn check_event(&self, workspace: WorkspaceId, draft: EventDraft) -> Result<NewEvent, Refused> {
        let profile = self.profile_of(workspace)?;
        Ok(intake::check(&profile, draft, self.0.data_bytes_max)?)
    }

    /// Publishes events that were checked. Each one that is accepted is durable when this returns.
    ///
    /// # Errors
    /// When none of them is taken; else each has an answer of its own, in their order.
    pub async fn publish_all(
        &self,
        workspace: WorkspaceId,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Result<Accepted, Refused>>, Refused> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.0.inbox.publish(workspace, events)?.await.map_err(|_| Refused::Closed)?;
        Ok(answers.into_iter().map(|answer| answer.map(accepted).map_err(Refused::from)).collect())
    }

    /// Publishes one event. It is durable when this returns.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn publish(&self, workspace: WorkspaceId, draft: EventDraft) -> Result<Accepted, Refused> {
        let event = self.check_event(workspace, draft)?;
        Ok(accepted(self.ask(Command::Publish { workspace, event }).await?))
    }

    /// Makes a delivery due now: its next attempt if it is pending, a new schedule if it ended and may be sent again.
    ///
    /// # Errors
    /// When there is no such delivery, or it can't be sent now.
    pub async fn retry(&self, workspace: WorkspaceId, key: DeliveryKey) -> Result<(), Refused> {
        self.ask(Command::Retry { workspace, key }).await.map(drop)
    }

    /// Erases an event's payload and cancels what is pending of it. An attempt that is in flight may still end.
    ///
    /// # Errors
    /// When there is no such event.
    pub async fn erase_event(&self, workspace: WorkspaceId, id: EventId) -> Result<(), Refused> {
        self.ask(Command::EraseEvent { workspace, id }).await.map(drop)
    }

    /// The profile that a workspace's new events are accepted under.
    ///
    /// # Errors
    /// When there is no such workspace.
    pub fn profile_of(&self, workspace: WorkspaceId) -> Result<Arc<Profile>, Refused> {
        let directory = self.0.shared.directory.read();
        let (_, profile) = directory.profile_of(workspace).ok_or(Rejection::NoWorkspace)?;
        Ok(Arc::clone(profile))
    }

    /// Whether commands are taken: the engine has started, is not stopping, and its log can be written.
    pub fn is_ready(&self) -> bool {
        !self.0.inbox.is_closed() && self.0.shared.poison.reason().is_none()
    }

    /// Waits until the engine can't go on, and says why.
    pub async fn poisoned(&self) -> String {
        self.0.shared.poison.wait().await
    }

    pub(crate) fn close(&self) {
        self.0.inbox.close();
    }

    pub(crate) fn poison(&self) -> Option<String> {
        self.0.shared.poison.reason()
    }

    pub(crate) fn longest_timeout(&self) -> Duration {
        let directory = self.0.shared.directory.read();
        directory.webhooks().map(|webhook| webhook.settings.timeout).max().unwrap_or_default().into()
    }

    async fn ask(&self, command: Command) -> Result<Reply, Refused> {
        let answer: Answer = self.0.inbox.command(command)?.await.map_err(|_| Refused::Closed)?;
        Ok(answer?)
    }

    /// [`Handle::ask`] for a thread of the engine.
    pub(crate) fn ask_blocking(&self, command: Command) -> Result<Reply, Refused> {
        let answer: Answer = self.0.inbox.command(command)?.blocking_recv().map_err(|_| Refused::Closed)?;
        Ok(answer?)
    }

    /// Whether the URL's host leads to a refused address now, said as a warning.
    async fn warning(&self, url: &str) -> Option<String> {
        let target = postrider_dispatch::Target::parse(url, false).ok()?;
        let dispatch = Arc::clone(&self.0.dispatch);
        let failure = Dispatcher::new(dispatch).check_host(&target).await.err()?;
        (failure.kind == postrider_core::attempt::ErrorKind::BlockedAddress).then(|| failure.message.into())
    }
}

fn accepted(reply: Reply) -> Accepted {
    match reply {
        Reply::Accepted(accepted) => accepted,
        other => unreachable!("publishing is answered by Accepted, not {other:?}"),
    }
}
