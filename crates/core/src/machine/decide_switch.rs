//! Webhooks that are switched off and on by what their receivers answer, not by their owner.

use std::sync::Arc;

use super::{Decision, Kernel, Moment};
use crate::command::{Measured, Rejection, Reply};
use crate::delivery::Cell;
use crate::fact::Fact;
use crate::ids::{Position, WebhookId, WorkspaceId};
use crate::time::Time;
use crate::webhook::Webhook;

/// What the log says of the attempt that switched its webhook off.
pub(super) const GONE_MESSAGE: &str = "http_status: 410 Gone; the receiver wants no more, so the webhook was switched off; \
    what is pending waits and goes out when it is switched on again";

/// The webhook as an answer makes it: off where the profile takes a 410 for the wish to get no more, on again where it was off because it
/// failed, and this attempt, made to try it, succeeded. Only an answer to the webhook as it is now counts: who has changed it since has not
/// been answered yet.
pub(super) fn by_answer(kernel: &Kernel, cell: &Cell, measured: &Measured, moment: &Moment<'_>) -> Option<Webhook> {
    let (_, profile) = kernel.directory.profile_of(cell.workspace)?;
    let webhook =
        kernel.directory.webhook(cell.webhook).filter(|webhook| webhook.version == measured.webhook_version)?;
    let is_gone = profile.gone_disables && measured.exchange.status_code == Some(410) && webhook.settings.enabled;
    let is_well_again = webhook.failing_since.is_some() && measured.exchange.failure.is_none();
    // The second fact of its decision.
    let at = Position::new(moment.at.block(), moment.at.index() + 1);
    (is_gone || is_well_again).then(|| switched(webhook, is_well_again, None, at, moment.now))
}

/// Off, since all attempts have failed for longer than the operator lets them; if it is still what it was when that was found.
pub(super) fn off(
    kernel: &Kernel,
    (workspace, id): (WorkspaceId, WebhookId),
    version: Position,
    since: Time,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let webhook = kernel.directory.webhook_in(workspace, id).ok_or(Rejection::NoWebhook)?;
    if webhook.version != version || !webhook.settings.enabled {
        return Ok(Decision::nothing(Reply::Webhook(Arc::clone(webhook))));
    }
    let webhook = Arc::new(switched(webhook, false, Some(since), moment.at, moment.now));
    Ok(Decision::one(Fact::WebhookChanged(Arc::clone(&webhook)), Reply::Webhook(webhook)))
}

fn switched(webhook: &Webhook, enabled: bool, failing_since: Option<Time>, at: Position, now: Time) -> Webhook {
    let mut webhook = Webhook::clone(webhook);
    webhook.settings.enabled = enabled;
    webhook.failing_since = failing_since;
    webhook.updated_at = now;
    webhook.version = at;
    webhook
}
