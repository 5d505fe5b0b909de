//! What was answered: a yes only for what is durable, a no only for a reason that the books know.

use postrider_core::command::{Rejection, Reply};
use postrider_core::delivery::Status;
use postrider_core::event::Digest;
use postrider_core::replay::ReplayState;
use postrider_core::{DeliveryKey, EventId, ReplayId, WebhookId, WorkspaceId};

use super::{Checker, Verdict, broken, law};

/// What a person asked for, as far as the answer is judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An event, with the publisher's id and what tells it from another one.
    Publish(WorkspaceId, Option<EventId>, Digest),
    /// A new webhook.
    Create(WorkspaceId),
    /// Other settings.
    Change(WebhookId),
    /// Its end.
    Delete(WebhookId),
    /// To send again.
    Retry(DeliveryKey),
    /// The end of a payload.
    Erase(WorkspaceId, EventId),
    /// The end of a workspace.
    DeleteWorkspace(WorkspaceId),
    /// Past events to be sent again.
    StartReplay(WorkspaceId, WebhookId),
    /// Another state of a replay.
    ChangeReplay(WorkspaceId, ReplayId, ReplayState),
    /// What is not judged.
    Other,
}

impl Checker {
    /// A person is about to ask.
    pub fn asks(&mut self, asked: &Asked) {
        self.unanswered += 1;
        match asked {
            Asked::Publish(workspace, id, digest) => self.publishes_asked.push((*workspace, id.clone(), *digest)),
            Asked::Retry(key) => self.retries_asked.push(*key),
            Asked::Erase(workspace, id) => self.erasures_asked.push((*workspace, id.clone())),
            Asked::StartReplay(..) | Asked::ChangeReplay(..) => self.replays_asked.push(asked.clone()),
            _ => {}
        }
    }

    /// A person has, or gets, no yes: nothing more may come of the wish.
    pub fn refused(&mut self, asked: &Asked) {
        self.unanswered = self.unanswered.saturating_sub(1);
        match asked {
            Asked::Publish(workspace, id, digest) => {
                take(&mut self.publishes_asked, &(*workspace, id.clone(), *digest));
            }
            Asked::Retry(key) => take(&mut self.retries_asked, key),
            Asked::Erase(workspace, id) => take(&mut self.erasures_asked, &(*workspace, id.clone())),
            Asked::StartReplay(..) | Asked::ChangeReplay(..) => take(&mut self.replays_asked, asked),
            _ => {}
        }
    }

    /// A person was answered, after the durable facts behind the answer were read.
    ///
    /// # Errors
    /// When the books do not bear the answer out.
    pub fn answered(&mut self, asked: &Asked, answer: &Result<Reply, Rejection>) -> Verdict {
        self.refused(asked);
        match (asked, answer) {
            (Asked::Publish(workspace, id, digest), Ok(Reply::Accepted(accepted))) => {
                law!(1, id.as_ref().is_none_or(|id| *id == accepted.id), "{id:?} was accepted as {:?}", accepted.id);
                let known = self.events.get(&(*workspace, accepted.id.clone()));
                law!(1, known.is_some(), "{} was acknowledged and is not durable", accepted.id.as_str());
                let is_same = known.is_some_and(|k| k.digest == *digest && k.deliveries == accepted.deliveries);
                law!(1, is_same, "{accepted:?} was acknowledged, and {known:?} is durable");
                // A generated id says where its event lies, or it would have to be looked up.
                let is_placed = id.is_some() || accepted.id.position() == known.map(|k| k.at);
                law!(1, is_placed, "{accepted:?} does not name its place {known:?}");
            }
            (Asked::Publish(workspace, Some(id), digest), Err(Rejection::IdTaken)) => {
                let known = self.events.get(&(*workspace, id.clone()));
                law!(1, known.is_some_and(|k| k.digest != *digest), "{} was refused as taken: {known:?}", id.as_str());
            }
            (Asked::Publish(workspace, ..) | Asked::Create(workspace), Err(Rejection::NoWorkspace)) => {
                law!(1, !self.workspaces.contains_key(workspace), "{workspace} is there and was not found");
            }
            (Asked::Create(_) | Asked::Change(_), Ok(Reply::Webhook(webhook))) => {
                let hook = self.hooks.get(&webhook.id);
                law!(1, hook.is_some_and(|h| h.webhook.version >= webhook.version), "{webhook:?} is not durable");
            }
            (Asked::Delete(id), Ok(_)) => {
                law!(8, self.hooks.get(id).is_none_or(|hook| !hook.alive), "webhook {id} was deleted and is there");
            }
            (Asked::Change(id) | Asked::Delete(id), Err(Rejection::NoWebhook)) => {
                law!(1, self.hooks.get(id).is_none_or(|hook| !hook.alive), "webhook {id} is there and was not found");
            }
            (Asked::DeleteWorkspace(id), Ok(_) | Err(Rejection::NoWorkspace)) => {
                law!(8, !self.workspaces.contains_key(id), "{id} was deleted and is there");
            }
            (Asked::Retry(key), answer) => self.retry_answered(*key, answer)?,
            (Asked::StartReplay(_, webhook), answer) => self.replay_answered(*webhook, answer)?,
            (Asked::ChangeReplay(_, id, state), answer) => self.replay_change_answered(*id, *state, answer)?,
            (Asked::Erase(workspace, id), answer) => {
                let known = self.events.get(&(*workspace, id.clone()));
                let is_right = match answer {
                    Ok(_) => known.is_some_and(|known| self.erased.contains(&known.at)),
                    Err(Rejection::NoEvent) => known.is_none(),
                    Err(_) => false,
                };
                law!(1, is_right, "erasing {} was answered by {answer:?}: {known:?}", id.as_str());
            }
            (Asked::Other, _) => {}
            (asked, answer) => return Err(broken!(1, "{asked:?} was answered by {answer:?}")),
        }
        Ok(())
    }

    fn retry_answered(&self, key: DeliveryKey, answer: &Result<Reply, Rejection>) -> Verdict {
        let Some(delivery) = self.deliveries.get(&key) else {
            law!(1, matches!(answer, Err(Rejection::NoDelivery)), "{key} is not in the books: {answer:?}");
            return Ok(());
        };
        let cell = delivery.cell;
        let hook = self.hooks.get(&cell.webhook);
        match answer {
            Ok(Reply::Delivery(_)) => {
                let is_over = matches!(cell.status, Status::Removed | Status::Cancelled);
                // An erasure can come later in the same turn.
                law!(4, !is_over || self.is_erased(key), "{key} ended and is sent again");
            }
            Err(Rejection::Ended(_)) => {
                let is_over = matches!(cell.status, Status::Removed | Status::Cancelled) || !self.is_alive(&cell);
                law!(1, is_over, "{key} can be sent again and was refused: {answer:?}");
            }
            Err(Rejection::Erased) => law!(1, self.is_erased(key), "{key} has its payload and was refused"),
            // Off or in flight at the time; later commands of the same turn may have changed it.
            Err(Rejection::WebhookOff | Rejection::InFlight) => law!(1, hook.is_some(), "{key} has no webhook"),
            other => return Err(broken!(1, "sending {key} again was answered by {other:?}")),
        }
        Ok(())
    }
}

/// Takes one of the equal ones out.
fn take<T: PartialEq>(asked: &mut Vec<T>, item: &T) {
    if let Some(place) = asked.iter().position(|one| one == item) {
        asked.remove(place);
    }
}
