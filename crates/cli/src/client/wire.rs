//! What commands read of the API's answers.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workspace {
    pub api_key: String,
}

#[derive(Deserialize)]
pub struct EventType {
    pub name: String,
    pub sample: Box<RawValue>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub id: u64,
    pub name: String,
    pub url: String,
    pub retry_policy: RetryPolicy,
}

#[derive(Clone, Deserialize)]
pub struct RetryPolicy {
    pub delays: Vec<String>,
}

#[derive(Deserialize)]
pub struct Accepted {
    pub id: String,
    pub duplicate: bool,
    pub deliveries: u64,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub id: String,
    pub event_id: String,
    pub webhook_id: u64,
    pub status: String,
    pub next_attempt_at: Option<String>,
    /// Only in a delivery that was asked for by its id.
    #[serde(default)]
    pub attempts: Vec<LogEntry>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    pub id: u64,
    pub event_type: String,
    pub status_code: Option<u16>,
    pub error_message: Option<String>,
    pub attempt_number: u32,
    pub duration_ms: u64,
    pub created_at: String,
    pub outcome: String,
}

impl LogEntry {
    /// When it ended, in milliseconds since 1970.
    pub fn ended_ms(&self) -> i64 {
        let started = crate::clock::parse(&self.created_at).unwrap_or_default();
        started.saturating_add(i64::try_from(self.duration_ms).unwrap_or(i64::MAX))
    }
}

impl RetryPolicy {
    pub fn attempts_max(&self) -> usize {
        self.delays.len() + 1
    }
}
