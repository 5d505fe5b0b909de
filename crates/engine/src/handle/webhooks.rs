//! Webhooks through the handle: drafts are checked and sealed here, before the writer sees them.

use std::sync::Arc;

use postrider_core::command::{Command, Rejection, Reply};
use postrider_core::draft::{self, Field, WebhookDraft};
use postrider_core::event::{Digest, Event};
use postrider_core::invalid::FieldError;
use postrider_core::profile::Profile;
use postrider_core::sealed::Sealed;
use postrider_core::signing::Scheme;
use postrider_core::webhook::{Change, Settings, TIMEOUT_DEFAULT, Webhook};
use postrider_core::{EventId, Millis, Position, Time, WebhookId, WorkspaceId};
use postrider_dispatch::Target;
use secrecy::SecretString;
use tokio::sync::oneshot;

use super::{Handle, Refused, signing};
use crate::entropy;
use crate::worker::{Trial, Tried, Work};

/// A webhook as it is now.
pub struct SavedWebhook {
    /// The webhook.
    pub webhook: Arc<Webhook>,
    /// The secret that it signs with, where one was made for it. It is not to be had again.
    pub signing_secret: Option<SecretString>,
}

/// What a test came to, and what was sent.
pub struct TestReport {
    /// What was measured.
    pub exchange: postrider_core::attempt::Exchange,
    /// As sent, secrets masked.
    pub request_headers: Vec<(String, String)>,
    /// As sent.
    pub request_body: bytes::Bytes,
    /// As they came.
    pub response_headers: Vec<(String, String)>,
    /// The kept part.
    pub response_body: bytes::Bytes,
}

impl Handle {
    /// Makes a webhook.
    ///
    /// # Errors
    /// When the draft has to be mended or there is no such workspace.
    pub async fn create_webhook(&self, workspace: WorkspaceId, draft: WebhookDraft) -> Result<SavedWebhook, Refused> {
        let profile = self.profile_of(workspace)?;
        let host = self.check(&draft, &profile, None, true)?;
        let (change, signing_secret) = self.seal(workspace, draft, &profile, None)?;
        let mut settings = Settings {
            name: host.unwrap_or_default().into(),
            description: None,
            url: "".into(),
            events: Vec::new(),
            campaign_ids: Vec::new(),
            custom_fields: Vec::new(),
            enabled: true,
            secret: None,
            headers: Vec::new(),
            retry_policy: None,
            timeout: TIMEOUT_DEFAULT,
            rate_limit: None,
            signing: None,
            ordered: false,
        };
        settings.change(change);
        let reply = self.ask(Command::CreateWebhook { workspace, settings: Box::new(settings) }).await?;
        Ok(SavedWebhook { webhook: webhook(reply), signing_secret })
    }

    /// Changes what the draft names. What was in flight with the old settings may still end; nothing more is sent with them.
    ///
    /// # Errors
    /// When the draft has to be mended or there is no such webhook.
    pub async fn change_webhook(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        draft: WebhookDraft,
    ) -> Result<SavedWebhook, Refused> {
        let profile = self.profile_of(workspace)?;
        let old = self.webhook(workspace, id).ok_or(Rejection::NoWebhook)?;
        let current = old.settings.signing.as_ref().map(|signing| signing.key.scheme);
        self.check(&draft, &profile, current, false)?;
        let (change, signing_secret) = self.seal(workspace, draft, &profile, current)?;
        let change = Box::new(change);
        let reply = self.ask(Command::ChangeWebhook { workspace, id, change }).await?;
        Ok(SavedWebhook { webhook: webhook(reply), signing_secret })
    }

    /// Has a webhook sign with a new secret of the scheme that it has. The one it had signs along for `grace`.
    ///
    /// # Errors
    /// When there is no such webhook, or it does not sign, or too many replaced secrets sign along already.
    pub async fn rotate_secret(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        grace: Millis,
    ) -> Result<SavedWebhook, Refused> {
        let old = self.webhook(workspace, id).ok_or(Rejection::NoWebhook)?;
        let scheme = old.settings.signing.as_ref().ok_or(Rejection::NotSigned)?.key.scheme;
        let sealing_key = self.workspace(workspace).ok_or(Rejection::NoWorkspace)?.sealing_key;
        let (fresh, text) = self.draw_signing_key(sealing_key, scheme)?;
        let reply = self.ask(Command::RotateSecret { workspace, id, fresh, grace }).await?;
        Ok(SavedWebhook { webhook: webhook(reply), signing_secret: Some(text) })
    }

    /// Deletes a webhook and cancels what is pending for it.
    ///
    /// # Errors
    /// When there is no such webhook.
    pub async fn delete_webhook(&self, workspace: WorkspaceId, id: WebhookId) -> Result<(), Refused> {
        self.ask(Command::DeleteWebhook { workspace, id }).await.map(drop)
    }

    /// Sends the sample of a type (the webhook's first one by default) now, once, and waits for what comes of it.
    ///
    /// # Errors
    /// When there is no such webhook or type, or too many tests are running.
    pub async fn test_webhook(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        event_type: Option<&str>,
    ) -> Result<TestReport, Refused> {
        let webhook = self.webhook(workspace, id).ok_or(Rejection::NoWebhook)?;
        let event_type = event_type.unwrap_or(&webhook.settings.events[0]);
        let (event, data) = self.sample(workspace, event_type)?;
        let _slot = self.0.trials.try_acquire().map_err(|_| Refused::Overloaded)?;
        let (reply, tried) = oneshot::channel();
        let trial = Trial { webhook, event: event.clone(), data, started: event.accepted, reply };
        let lane = &self.0.workers[id.0 as usize % self.0.workers.len()];
        lane.try_send(Work::Test(Box::new(trial))).map_err(|_| Refused::Overloaded)?;
        let Tried { measured, request_headers, request_body, response_headers } =
            tried.await.map_err(|_| Refused::Closed)?;
        let (exchange, response_body) = (measured.exchange.clone(), measured.body.clone());
        let (event_id, event_type) = (event.id, event.event_type);
        self.ask(Command::RecordTest { workspace, webhook: id, event_id, event_type, measured }).await?;
        Ok(TestReport { exchange, request_headers, request_body, response_headers, response_body })
    }

    /// A webhook.
    pub fn webhook(&self, workspace: WorkspaceId, id: WebhookId) -> Option<Arc<Webhook>> {
        self.0.shared.directory.read().webhook_in(workspace, id).cloned()
    }

    /// A workspace's webhooks, newest first.
    pub fn webhooks(&self, workspace: WorkspaceId) -> Vec<Arc<Webhook>> {
        self.0.shared.directory.read().webhooks_in(workspace).rev().cloned().collect()
    }

    /// What should be said about a webhook though it can be used: its host leads to a refused address now.
    pub async fn warnings(&self, webhook: &Webhook) -> Vec<String> {
        self.warning(&webhook.settings.url).await.into_iter().collect()
    }

    /// Everything that is wrong with a draft; the URL's host when there is nothing.
    fn check(
        &self,
        draft: &WebhookDraft,
        profile: &Profile,
        signs_by: Option<Scheme>,
        is_new: bool,
    ) -> Result<Option<String>, Refused> {
        let mut faults = draft.faults(profile, is_new);
        faults.extend(signing::wish(draft, profile, signs_by).err());
        let host = draft.url.value().and_then(|url| match self.check_url(url) {
            Ok(host) => Some(host),
            Err(fault) => {
                faults.push(fault);
                None
            }
        });
        if faults.is_empty() { Ok(host) } else { Err(Refused::Invalid(faults)) }
    }

    fn check_url(&self, url: &str) -> Result<String, FieldError> {
        let fault = |message: String| FieldError::new("url", message);
        let target = Target::parse(url, self.0.dispatch.https_only()).map_err(|error| fault(error.to_string()))?;
        let checked = self.0.dispatch.policy().check_target(&target);
        checked.map_err(|refused| fault(format!("is not taken: {refused}")))?;
        Ok(target.host().to_owned())
    }

    /// The draft with its secrets sealed, and the secret that was made for it. It has no faults.
    fn seal(
        &self,
        workspace: WorkspaceId,
        mut draft: WebhookDraft,
        profile: &Profile,
        signs_by: Option<Scheme>,
    ) -> Result<(Change, Option<SecretString>), Refused> {
        let key = self.workspace(workspace).ok_or(Rejection::NoWorkspace)?.sealing_key;
        let seal = |secret: &str| self.0.keyring.seal(key, secret).ok_or(Refused::KeyMissing);
        let wish = signing::wish(&draft, profile, signs_by).map_err(|fault| Refused::Invalid(vec![fault]))?;
        let (signing, signing_secret) = self.signing(key, wish)?;
        if profile.signing.is_some() {
            draft.secret = Field::Absent;
        }
        let secret = sealed(draft.secret, seal)?;
        let headers = match draft.headers {
            Field::Absent => None,
            Field::Null => Some(Vec::new()),
            Field::Set(headers) => Some(
                headers
                    .into_iter()
                    .map(|(name, value)| Ok((name.into(), seal(&value)?)))
                    .collect::<Result<_, Refused>>()?,
            ),
        };
        let change = Change {
            name: draft.name.value().map(|name| name.as_str().into()),
            description: draft.description.map_or(None, |text| Some(text.into())),
            url: draft.url.map_or("".into(), Into::into),
            events: draft.events.map_or(Vec::new(), boxed),
            campaign_ids: draft.campaign_ids.map_or(Vec::new(), |ids| ids),
            custom_fields: draft.custom_fields.map_or(Vec::new(), boxed),
            enabled: draft.enabled.map_or(true, |enabled| enabled),
            secret,
            headers,
            retry_policy: draft.retry_policy.map_or(None, |policy| policy.policy()),
            timeout: draft.timeout_ms.map_or(TIMEOUT_DEFAULT, postrider_core::Millis),
            rate_limit: draft.rate_limit.map_or(None, draft::rate_limit),
            signing,
            ordered: draft.ordered.map_or(false, |ordered| ordered),
        };
        Ok((change, signing_secret))
    }

    fn sample(&self, workspace: WorkspaceId, event_type: &str) -> Result<(Event, bytes::Bytes), Refused> {
        let directory = self.0.shared.directory.read();
        let (profile_at, profile) = directory.profile_of(workspace).ok_or(Rejection::NoWorkspace)?;
        let Some(sample) = profile.sample(event_type) else {
            let fault = FieldError::new("eventType", format!("is not an event type of the profile {}", profile.name));
            return Err(Refused::Invalid(vec![fault]));
        };
        let mut salt = [0; 8];
        entropy::fill(&mut salt);
        let id: EventId = format!("evt_test_{:016x}", u64::from_le_bytes(salt)).parse().expect("letters, digits and _");
        let now: Time = self.0.clock.now();
        let event = Event {
            at: Position::from_u64(0),
            accepted: now,
            workspace,
            id,
            event_type: event_type.into(),
            created: now.to_string().into(),
            campaign: None,
            digest: Digest([0; 16]),
            payload_len: sample.len() as u32,
            profile: profile_at,
            chosen: Arc::new([]),
        };
        Ok((event, bytes::Bytes::copy_from_slice(sample)))
    }
}

fn sealed(
    secret: Field<String>,
    seal: impl Fn(&str) -> Result<Sealed, Refused>,
) -> Result<Option<Option<Sealed>>, Refused> {
    Ok(match secret {
        Field::Absent => None,
        Field::Null => Some(None),
        Field::Set(secret) => Some(Some(seal(&secret)?)),
    })
}

fn boxed(texts: Vec<String>) -> Vec<Box<str>> {
    texts.into_iter().map(Into::into).collect()
}

fn webhook(reply: Reply) -> Arc<Webhook> {
    match reply {
        Reply::Webhook(webhook) => webhook,
        other => unreachable!("a webhook's command is answered by Webhook, not {other:?}"),
    }
}
