//! Replays: what is asked for, what it comes to, and how far it is.

use postrider_core::Time;
use postrider_core::invalid::FieldError;
use postrider_core::profile::is_date_time;
use postrider_core::replay::{Only, Wish};
use postrider_engine::{ReplayCount, ReplayProgress};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;

/// Which events are sent again.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplaySettings {
    /// Events accepted at this time or later: RFC 3339.
    #[schema(format = DateTime, example = "2026-02-19T10:30:00Z")]
    since: String,
    /// Events accepted before this time, which is later than `since`; left out: until now.
    #[serde(default)]
    #[schema(required = false, format = DateTime, example = "2026-02-20T10:30:00Z")]
    until: Option<String>,
    /// Of these types; left out or empty: of all.
    #[serde(default)]
    #[schema(required = false, example = json!(["MESSAGE_REPLIED"]))]
    event_types: Option<Vec<String>>,
    /// Which of these.
    only: OnlyName,
    /// Count, and send nothing.
    #[serde(default)]
    #[schema(required = false, example = false)]
    dry_run: Option<bool>,
}

/// `failed`: events whose delivery to this webhook did not succeed. `all`: events that have a delivery to this webhook, those that succeeded
/// too. `missed`: events that the webhook's filter lets through now and that never had a delivery to it, also from before it was made and
/// from while it was off.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnlyName {
    Failed,
    All,
    Missed,
}

impl From<OnlyName> for Only {
    fn from(name: OnlyName) -> Only {
        match name {
            OnlyName::Failed => Only::Failed,
            OnlyName::All => Only::All,
            OnlyName::Missed => Only::Missed,
        }
    }
}

impl From<Only> for OnlyName {
    fn from(only: Only) -> OnlyName {
        match only {
            Only::Failed => OnlyName::Failed,
            Only::All => OnlyName::All,
            Only::Missed => OnlyName::Missed,
        }
    }
}

impl ReplaySettings {
    /// The wish, and whether nothing is to be sent.
    pub fn read(self) -> Result<(Wish, bool), ApiError> {
        let mut faults = Vec::new();
        let mut time = |field: &str, text: &str| {
            let time = text.parse::<Time>().ok().filter(|_| is_date_time(text));
            if time.is_none() {
                faults.push(FieldError::new(
                    field,
                    "must be an RFC 3339 time with an offset, such as 2026-02-19T10:30:00Z",
                ));
            }
            time.unwrap_or_default()
        };
        let since = time("since", &self.since);
        let until = self.until.map(|until| time("until", &until));
        if !faults.is_empty() {
            return Err(ApiError::invalid(faults));
        }
        let event_types = self.event_types.unwrap_or_default().into_iter().map(Into::into).collect();
        Ok((Wish { since, until, event_types, only: self.only.into() }, self.dry_run.unwrap_or(false)))
    }
}

/// What a replay comes to. Both are null where its times hold more than 10,000 events.
#[derive(Serialize, ToSchema)]
pub struct ReplayCounts {
    /// Events that are delivered.
    #[schema(example = 12)]
    matched: Option<u64>,
    /// Events that it means and that are not delivered: those that were erased or removed, and those whose delivery is pending anyway.
    #[schema(example = 1)]
    skipped: Option<u64>,
}

impl From<Option<ReplayCount>> for ReplayCounts {
    fn from(count: Option<ReplayCount>) -> ReplayCounts {
        ReplayCounts { matched: count.map(|count| count.matched), skipped: count.map(|count| count.skipped) }
    }
}

/// A replay that has begun.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedReplay {
    #[schema(example = "rpl_0000000000020")]
    pub replay_id: String,
    #[serde(flatten)]
    pub counts: ReplayCounts,
}

/// A replay.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    #[schema(example = "rpl_0000000000020")]
    id: String,
    #[schema(example = 1)]
    webhook_id: u64,
    /// `running`, `paused`, `finished` (every event was looked at; what it made due may still be retried) or `cancelled`.
    #[schema(value_type = String, example = "running")]
    state: &'static str,
    /// Deliveries that it has made due so far.
    #[schema(example = 5)]
    created: u64,
    /// Events that it means and that could not be delivered when it came to them.
    #[schema(example = 0)]
    skipped: u64,
    /// Events that it has still to deliver, as of now; null where more than 10,000 events are left to look at.
    #[schema(example = 7)]
    remaining: Option<u64>,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    since: String,
    until: Option<String>,
    /// Empty: all types.
    event_types: Vec<String>,
    only: OnlyName,
    #[schema(example = "2026-02-21T08:00:00.000Z")]
    created_at: String,
}

impl From<&ReplayProgress> for ReplayView {
    fn from(progress: &ReplayProgress) -> ReplayView {
        let replay = &progress.replay;
        ReplayView {
            id: replay.id.to_string(),
            webhook_id: replay.webhook.0,
            state: replay.state.as_str(),
            created: replay.created,
            skipped: replay.skipped,
            remaining: progress.remaining,
            since: replay.wish.since.to_string(),
            until: replay.wish.until.map(|until| until.to_string()),
            event_types: replay.wish.event_types.iter().map(|name| name.to_string()).collect(),
            only: replay.wish.only.into(),
            created_at: replay.started_at.to_string(),
        }
    }
}
