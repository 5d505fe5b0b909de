//! A webhook: a subscription with URL, filter, secret and policy.

mod history;

use std::num::NonZeroU32;

use crate::ids::{Position, WebhookId, WorkspaceId};
use crate::policy::RetryPolicy;
use crate::sealed::Sealed;
use crate::signing::Signing;
use crate::time::{Millis, Time};

pub use history::History;

/// A campaign's id as the customer wrote it: a JSON string or a JSON number. Compared as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignId {
    /// The string's value, or the number's digits as given.
    pub text: Box<str>,
    /// Whether it was a number.
    pub is_number: bool,
}

/// What the customer decides about a webhook. Secret and header values are sealed before they come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For people.
    pub name: Box<str>,
    /// For people.
    pub description: Option<Box<str>>,
    /// Where to; absolute http or https.
    pub url: Box<str>,
    /// Types of the profile's catalogue; at least one.
    pub events: Vec<Box<str>>,
    /// Only events of these campaigns; empty: of all, and of none.
    pub campaign_ids: Vec<CampaignId>,
    /// Members of contact and company that are sent beyond the base set.
    pub custom_fields: Vec<Box<str>>,
    /// Off: no new events, and pending deliveries wait.
    pub enabled: bool,
    /// Sent in the profile's secret header.
    pub secret: Option<Sealed>,
    /// Sent with every request: names in the clear, values sealed.
    pub headers: Vec<(Box<str>, Sealed)>,
    /// Instead of the profile's.
    pub retry_policy: Option<RetryPolicy>,
    /// For a whole attempt.
    pub timeout: Millis,
    /// Attempts a second, at the most.
    pub rate_limit: Option<NonZeroU32>,
    /// With which keys requests are signed.
    pub signing: Option<Signing>,
    /// One delivery at a time, in the order of the events: the next one only once the one before has ended.
    pub ordered: bool,
}

/// The time for a whole attempt when the webhook names none.
pub const TIMEOUT_DEFAULT: Millis = Millis::from_secs(15);
/// The least and the most a webhook may name.
pub const TIMEOUT_RANGE: std::ops::RangeInclusive<u64> = 1_000..=60_000;

/// A webhook as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Never reused.
    pub id: WebhookId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// What the customer decided.
    pub settings: Settings,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// The position of the fact that made it what it is. A worker holds one version and asks, just before it writes the request, whether
    /// that is still the newest.
    pub version: Position,
    /// The position of the fact that last set `custom_fields`: what bodies are rendered from.
    pub revision: Position,
    /// Off, and not by its owner: all attempts have failed from this time on.
    pub failing_since: Option<Time>,
}

impl Webhook {
    /// Whether attempts may be made: it is on, or was not switched off by its owner and is tried now and then.
    pub fn may_be_attempted(&self) -> bool {
        self.settings.enabled || self.failing_since.is_some()
    }
}

/// A change to some settings; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// New name.
    pub name: Option<Box<str>>,
    /// New description, or none.
    pub description: Option<Option<Box<str>>>,
    /// New URL.
    pub url: Option<Box<str>>,
    /// New types.
    pub events: Option<Vec<Box<str>>>,
    /// New campaigns.
    pub campaign_ids: Option<Vec<CampaignId>>,
    /// New custom fields.
    pub custom_fields: Option<Vec<Box<str>>>,
    /// On or off.
    pub enabled: Option<bool>,
    /// New secret, or none.
    pub secret: Option<Option<Sealed>>,
    /// New headers, all of them.
    pub headers: Option<Vec<(Box<str>, Sealed)>>,
    /// New policy, or the profile's.
    pub retry_policy: Option<Option<RetryPolicy>>,
    /// New timeout.
    pub timeout: Option<Millis>,
    /// New rate, or none.
    pub rate_limit: Option<Option<NonZeroU32>>,
    /// A new key in the place of all there were, or none.
    pub signing: Option<Option<Signing>>,
    /// In order or not.
    pub ordered: Option<bool>,
}

/// Why a webhook does not get an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// It is off.
    Off,
    /// It does not list the event's type.
    Type,
    /// It lists campaigns, and the event's is not among them.
    Campaign,
}

impl Settings {
    /// Whether a webhook with these settings gets an event, and if not, why. The directory's lookup by type and campaign gives the same.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn wants(&self, event_type: &str, campaign: Option<&str>) -> Result<(), Unwanted> {
        if self.enabled { self.selects(event_type, campaign) } else { Err(Unwanted::Off) }
    }

    /// Whether the filter lets an event through, on or off.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn selects(&self, event_type: &str, campaign: Option<&str>) -> Result<(), Unwanted> {
        if !self.events.iter().any(|listed| &**listed == event_type) {
            return Err(Unwanted::Type);
        }
        let is_listed = self.campaign_ids.iter().any(|listed| Some(&*listed.text) == campaign);
        if self.campaign_ids.is_empty() || is_listed { Ok(()) } else { Err(Unwanted::Campaign) }
    }

    /// Takes over what `change` names.
    pub fn change(&mut self, change: Change) {
        fn set<T>(setting: &mut T, new: Option<T>) {
            if let Some(value) = new {
                *setting = value;
            }
        }
        set(&mut self.name, change.name);
        set(&mut self.description, change.description);
        set(&mut self.url, change.url);
        set(&mut self.events, change.events);
        set(&mut self.campaign_ids, change.campaign_ids);
        set(&mut self.custom_fields, change.custom_fields);
        set(&mut self.enabled, change.enabled);
        set(&mut self.secret, change.secret);
        set(&mut self.headers, change.headers);
        set(&mut self.retry_policy, change.retry_policy);
        set(&mut self.timeout, change.timeout);
        set(&mut self.rate_limit, change.rate_limit);
        set(&mut self.signing, change.signing);
        set(&mut self.ordered, change.ordered);
    }
}
