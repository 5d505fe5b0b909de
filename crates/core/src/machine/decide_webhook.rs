//! Decisions about webhooks.

use std::sync::Arc;

use super::{Decision, Kernel, Moment};
use crate::command::{Rejection, Reply};
use crate::fact::Fact;
use crate::ids::{WebhookId, WorkspaceId};
use crate::limits;
use crate::signing::SigningKey;
use crate::time::Millis;
use crate::webhook::{Change, Settings, Webhook};

pub(super) fn create(
    kernel: &Kernel,
    workspace: WorkspaceId,
    settings: &Settings,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    kernel.directory.workspace(workspace).ok_or(Rejection::NoWorkspace)?;
    if kernel.directory.webhook_count(workspace) >= limits::WEBHOOKS_MAX {
        return Err(Rejection::TooMany { what: "webhooks in a workspace", max: limits::WEBHOOKS_MAX });
    }
    let webhook = Arc::new(Webhook {
        id: WebhookId(kernel.webhooks_made + 1),
        workspace,
        settings: settings.clone(),
        created_at: moment.now,
        updated_at: moment.now,
        version: moment.at,
        revision: moment.at,
        failing_since: None,
    });
    Ok(Decision::one(Fact::WebhookCreated(Arc::clone(&webhook)), Reply::Webhook(webhook)))
}

pub(super) fn change(
    kernel: &Kernel,
    workspace: WorkspaceId,
    id: WebhookId,
    change: &Change,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let old = kernel.directory.webhook_in(workspace, id).ok_or(Rejection::NoWebhook)?;
    let mut webhook = Webhook::clone(old);
    webhook.settings.change(change.clone());
    if let Some(signing) = &mut webhook.settings.signing {
        signing.prune(moment.now);
    }
    if change.enabled.is_some() {
        webhook.failing_since = None;
    }
    webhook.updated_at = moment.now;
    webhook.version = moment.at;
    if webhook.settings.custom_fields != old.settings.custom_fields {
        webhook.revision = moment.at;
    }
    let webhook = Arc::new(webhook);
    Ok(Decision::one(Fact::WebhookChanged(Arc::clone(&webhook)), Reply::Webhook(webhook)))
}

pub(super) fn rotate_secret(
    kernel: &Kernel,
    workspace: WorkspaceId,
    id: WebhookId,
    fresh: &SigningKey,
    grace: Millis,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let old = kernel.directory.webhook_in(workspace, id).ok_or(Rejection::NoWebhook)?;
    let signing = old.settings.signing.as_ref().ok_or(Rejection::NotSigned)?;
    let too_many =
        Rejection::TooMany { what: "replaced secrets that still sign", max: limits::SIGNING_KEYS_RETIRED_MAX };
    let rotated = signing.rotated(fresh.clone(), moment.now, grace).ok_or(too_many)?;
    let mut webhook = Webhook::clone(old);
    webhook.settings.signing = Some(rotated);
    webhook.updated_at = moment.now;
    webhook.version = moment.at;
    let webhook = Arc::new(webhook);
    Ok(Decision::one(Fact::WebhookChanged(Arc::clone(&webhook)), Reply::Webhook(webhook)))
}

pub(super) fn delete(kernel: &Kernel, workspace: WorkspaceId, id: WebhookId) -> Result<Decision, Rejection> {
    kernel.directory.webhook_in(workspace, id).ok_or(Rejection::NoWebhook)?;
    Ok(Decision::one(Fact::WebhookDeleted { workspace, id }, Reply::Done))
}
