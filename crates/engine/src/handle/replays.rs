//! Replays through the handle: counted beforehand, begun, looked at, paused, resumed and cancelled.

use postrider_core::command::{Command, Rejection, Reply};
use postrider_core::invalid::FieldError;
use postrider_core::profile::Profile;
use postrider_core::replay::{Replay, ReplayState, Wish};
use postrider_core::{Position, ReplayId, WebhookId, WorkspaceId, limits};

use super::{Handle, Refused};
use crate::past::Reach;
use crate::views::ReplayCount;

/// A replay, and what is left of it.
#[derive(Clone, Debug)]
pub struct ReplayProgress {
    /// As it stands.
    pub replay: Replay,
    /// Events that it has still to deliver, as of now; `None` where more events are left than are counted.
    pub remaining: Option<u64>,
}

impl Handle {
    /// What a replay would come to, as of now; `None` where its times hold more events than are counted. Whether the webhook is on does not
    /// matter: nothing is sent.
    ///
    /// # Errors
    /// When the wish has to be mended, there is no such webhook, or the views are too far behind.
    pub async fn count_replay(
        &self,
        workspace: WorkspaceId,
        webhook: WebhookId,
        wish: &Wish,
    ) -> Result<Option<ReplayCount>, Refused> {
        let target = self.webhook(workspace, webhook).ok_or(Rejection::NoWebhook)?;
        let faults = faults(wish, &*self.profile_of(workspace)?);
        if !faults.is_empty() {
            return Err(Refused::Invalid(faults));
        }
        let wish = wish.clone();
        self.look(move |look, _| {
            let (from, to) = (Position::default(), Position::from_u64(u64::MAX));
            look.count_replay(Reach { workspace, webhook, wish: &wish, from, to }, &target.settings)
        })
        .await
    }

    /// Begins a replay. It is durable when this returns, and goes on over restarts.
    ///
    /// # Errors
    /// When the wish has to be mended, there is no such webhook, it is off, or too many replays have not ended.
    pub async fn start_replay(
        &self,
        workspace: WorkspaceId,
        webhook: WebhookId,
        wish: Wish,
    ) -> Result<Replay, Refused> {
        let faults = faults(&wish, &*self.profile_of(workspace)?);
        if !faults.is_empty() {
            return Err(Refused::Invalid(faults));
        }
        let command = Command::StartReplay { workspace, webhook, wish: Box::new(wish) };
        Ok(replay(self.ask(command).await?))
    }

    /// Pauses a replay (what it made due goes on), resumes it, or ends it. What it is already, it stays.
    ///
    /// # Errors
    /// When there is no such replay, or it is over and was to be paused or resumed.
    pub async fn change_replay(
        &self,
        workspace: WorkspaceId,
        id: ReplayId,
        state: ReplayState,
    ) -> Result<ReplayProgress, Refused> {
        let changed = replay(self.ask(Command::ChangeReplay { workspace, id, state }).await?);
        self.progress_of(changed).await
    }

    /// A replay and what is left of it; `None` when there is no such replay.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn replay(&self, workspace: WorkspaceId, id: ReplayId) -> Result<Option<ReplayProgress>, Refused> {
        let found = self.0.shared.replays.read().get(workspace, id).cloned();
        match found {
            Some(replay) => self.progress_of(replay).await.map(Some),
            None => Ok(None),
        }
    }

    async fn progress_of(&self, replay: Replay) -> Result<ReplayProgress, Refused> {
        let target = self.webhook(replay.workspace, replay.webhook).filter(|_| !replay.state.is_over());
        let remaining = match target {
            None => Some(0),
            Some(target) => {
                let left = replay.clone();
                let count = self.look(move |look, _| look.count_replay(Reach::left(&left), &target.settings));
                count.await?.map(|count| count.matched)
            }
        };
        Ok(ReplayProgress { replay, remaining })
    }
}

fn faults(wish: &Wish, profile: &Profile) -> Vec<FieldError> {
    let unknown = wish.event_types.iter().enumerate().filter(|(_, name)| !profile.knows_type(name));
    let message = format!("is not an event type of the profile {}", profile.name);
    let mut faults: Vec<_> =
        unknown.map(|(n, _)| FieldError::new(format!("eventTypes[{n}]"), message.clone())).collect();
    if wish.event_types.len() > limits::EVENT_TYPES_MAX {
        faults = vec![FieldError::new("eventTypes", format!("must be at most {} types", limits::EVENT_TYPES_MAX))];
    }
    if wish.until.is_some_and(|until| until <= wish.since) {
        faults.push(FieldError::new("until", "must be later than since"));
    }
    faults
}

fn replay(reply: Reply) -> Replay {
    match reply {
        Reply::Replay(replay) => *replay,
        other => unreachable!("a replay's command is answered by Replay, not {other:?}"),
    }
}
