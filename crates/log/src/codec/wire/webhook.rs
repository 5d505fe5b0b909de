//! The wire types of a webhook.

use std::num::NonZeroU32;

use bincode::{BorrowDecode, Encode};
use postrider_core::policy::RetryPolicy;
use postrider_core::webhook::{CampaignId, Settings, Webhook};
use postrider_core::{Millis, Time, WebhookId, WorkspaceId};

use super::{At, Span, WireSealed, WireSigning, at, position, span, time};

#[derive(Encode, BorrowDecode)]
pub(in crate::codec) struct WireWebhook<'a> {
    id: u64,
    workspace: At,
    name: &'a str,
    description: Option<&'a str>,
    url: &'a str,
    events: Vec<&'a str>,
    /// Text, and whether it was a JSON number.
    campaign_ids: Vec<(&'a str, bool)>,
    custom_fields: Vec<&'a str>,
    enabled: bool,
    secret: Option<WireSealed<'a>>,
    headers: Vec<(&'a str, WireSealed<'a>)>,
    /// Delays in milliseconds, jitter in thousandths.
    retry_policy: Option<(Vec<u64>, u16)>,
    timeout_ms: u64,
    /// Attempts a second; 0: no limit.
    rate_limit: u32,
    created_at: Span,
    updated_at: Span,
    version: At,
    revision: At,
}

/// What not every webhook has.
#[derive(Encode, BorrowDecode)]
pub(in crate::codec) struct WireExtras<'a> {
    signing: Option<WireSigning<'a>>,
    ordered: bool,
    failing_since: Option<Span>,
}

/// A webhook in the shortest of the forms that can hold it. Each is a variant of its own wherever webhooks are written.
pub(super) enum Form<'a> {
    Plain(WireWebhook<'a>),
    Signing(WireWebhook<'a>, WireSigning<'a>),
    Full(WireWebhook<'a>, WireExtras<'a>),
}

impl<'a> Form<'a> {
    pub(super) fn from_domain(webhook: &'a Webhook, base: Time) -> Form<'a> {
        let wire = WireWebhook::from_domain(webhook, base);
        let signing = webhook.settings.signing.as_ref().map(|signing| WireSigning::from_domain(signing, base));
        let (ordered, failing_since) = (webhook.settings.ordered, webhook.failing_since.map(|at| span(at, base)));
        match signing {
            signing if ordered || failing_since.is_some() => {
                Form::Full(wire, WireExtras { signing, ordered, failing_since })
            }
            Some(signing) => Form::Signing(wire, signing),
            None => Form::Plain(wire),
        }
    }

    pub(super) fn into_domain(self, base: Time) -> Result<Webhook, String> {
        let (wire, extras) = match self {
            Form::Plain(wire) => return wire.into_domain(base),
            Form::Signing(wire, signing) => {
                (wire, WireExtras { signing: Some(signing), ordered: false, failing_since: None })
            }
            Form::Full(wire, extras) => (wire, extras),
        };
        let mut webhook = wire.into_domain(base)?;
        webhook.settings.signing = extras.signing.map(|signing| signing.into_domain(base)).transpose()?;
        webhook.settings.ordered = extras.ordered;
        webhook.failing_since = extras.failing_since.map(|at| time(at, base));
        Ok(webhook)
    }
}

impl<'a> WireWebhook<'a> {
    fn from_domain(webhook: &'a Webhook, base: Time) -> WireWebhook<'a> {
        let settings = &webhook.settings;
        WireWebhook {
            id: webhook.id.0,
            workspace: at(webhook.workspace.0),
            name: &settings.name,
            description: settings.description.as_deref(),
            url: &settings.url,
            events: settings.events.iter().map(|e| &**e).collect(),
            campaign_ids: settings.campaign_ids.iter().map(|c| (&*c.text, c.is_number)).collect(),
            custom_fields: settings.custom_fields.iter().map(|f| &**f).collect(),
            enabled: settings.enabled,
            secret: settings.secret.as_ref().map(WireSealed::from_domain),
            headers: settings.headers.iter().map(|(name, value)| (&**name, WireSealed::from_domain(value))).collect(),
            retry_policy: settings.retry_policy.as_ref().map(policy_to_wire),
            timeout_ms: settings.timeout.0,
            rate_limit: settings.rate_limit.map_or(0, NonZeroU32::get),
            created_at: span(webhook.created_at, base),
            updated_at: span(webhook.updated_at, base),
            version: at(webhook.version),
            revision: at(webhook.revision),
        }
    }

    fn into_domain(self, base: Time) -> Result<Webhook, String> {
        let settings = Settings {
            name: self.name.into(),
            description: self.description.map(Into::into),
            url: self.url.into(),
            events: self.events.into_iter().map(Into::into).collect(),
            campaign_ids: self
                .campaign_ids
                .into_iter()
                .map(|(text, is_number)| CampaignId { text: text.into(), is_number })
                .collect(),
            custom_fields: self.custom_fields.into_iter().map(Into::into).collect(),
            enabled: self.enabled,
            secret: self.secret.map(WireSealed::into_domain),
            headers: self.headers.into_iter().map(|(name, value)| (name.into(), value.into_domain())).collect(),
            retry_policy: self.retry_policy.map(|(delays, jitter_permille)| RetryPolicy {
                delays: delays.into_iter().map(Millis).collect(),
                jitter_permille,
            }),
            timeout: Millis(self.timeout_ms),
            rate_limit: NonZeroU32::new(self.rate_limit),
            signing: None,
            ordered: false,
        };
        Ok(Webhook {
            id: WebhookId(self.id),
            workspace: WorkspaceId(position(self.workspace)?),
            settings,
            created_at: time(self.created_at, base),
            updated_at: time(self.updated_at, base),
            version: position(self.version)?,
            revision: position(self.revision)?,
            failing_since: None,
        })
    }
}

fn policy_to_wire(policy: &RetryPolicy) -> (Vec<u64>, u16) {
    (policy.delays.iter().map(|d| d.0).collect(), policy.jitter_permille)
}
