//! Attempts: entries of a webhook's log, the report of a test.

use postrider_engine::{AttemptDetail, Subject, TestReport};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Message, text};

/// One attempt.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogEntryView {
    #[schema(example = 17)]
    id: u64,
    #[schema(example = "MESSAGE_REPLIED")]
    event_type: String,
    /// Null when no response came.
    #[schema(example = 503)]
    status_code: Option<u16>,
    /// `dns`, `blocked_address`, `connect`, `tls`, `timeout`, `reset`, `response_invalid` or `http_status`; null after a success.
    #[schema(value_type = Option<String>, example = "http_status")]
    error_kind: Option<&'static str>,
    /// Begins with the kind, then says what a person can do.
    error_message: Option<String>,
    /// Within the delivery, from 1.
    #[schema(example = 1)]
    attempt_number: u32,
    #[schema(example = 42)]
    duration_ms: u64,
    /// The attempt's start.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    created_at: String,
    #[schema(example = "evt-1")]
    event_id: String,
    /// Null for a test.
    #[schema(example = "dlv_00000000000200000")]
    delivery_id: Option<String>,
    /// `succeeded`, `retrying`, `exhausted`, `removed`, `cancelled`, or `failed` for a test.
    #[schema(value_type = String, example = "retrying")]
    outcome: &'static str,
    next_attempt_at: Option<String>,
    /// The first 4 KiB as text; null when no response came.
    response_body: Option<String>,
    test: bool,
}

impl From<&AttemptDetail> for LogEntryView {
    fn from(detail: &AttemptDetail) -> LogEntryView {
        let AttemptDetail { entry, response_body, .. } = detail;
        let attempt = &entry.attempt;
        let failure = attempt.exchange.failure.as_ref();
        let status_code = attempt.exchange.status_code;
        LogEntryView {
            id: attempt.id.0,
            event_type: entry.subject.event_type().to_owned(),
            status_code,
            error_kind: failure.map(|failure| failure.kind.as_str()),
            error_message: failure.map(|failure| failure.message.to_string()),
            attempt_number: attempt.number,
            duration_ms: attempt.exchange.duration.0,
            created_at: attempt.started.to_string(),
            event_id: entry.subject.event_id().to_string(),
            delivery_id: match &entry.subject {
                Subject::Delivery(key, _) => Some(key.to_string()),
                Subject::Test(..) => None,
            },
            outcome: attempt.outcome.as_str(),
            next_attempt_at: entry.next_attempt_at.map(|at| at.to_string()),
            response_body: status_code.map(|_| text(response_body).into_owned()),
            test: matches!(entry.subject, Subject::Test(..)),
        }
    }
}

/// One attempt of a delivery, with what was sent.
#[derive(Serialize, ToSchema)]
pub struct AttemptView {
    #[serde(flatten)]
    entry: LogEntryView,
    /// Secrets masked. Null where it cannot be made again.
    request: Option<Message>,
}

impl From<&AttemptDetail> for AttemptView {
    fn from(detail: &AttemptDetail) -> AttemptView {
        let request = detail.request.as_ref();
        AttemptView {
            entry: detail.into(),
            request: request.map(|sent| Message::new(&sent.headers, sent.body.as_deref())),
        }
    }
}

/// What a test came to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestView {
    /// Whether the answer was a 2xx.
    pub success: bool,
    /// Null when no response came.
    #[schema(example = 200)]
    status_code: Option<u16>,
    #[schema(example = 42)]
    duration_ms: u64,
    #[schema(value_type = Option<String>)]
    error_kind: Option<&'static str>,
    /// Begins with the kind, then says what a person can do.
    error_message: Option<String>,
    /// What was sent, secrets masked.
    request: Message,
    /// What came; null when nothing did.
    response: Option<Message>,
}

impl From<&TestReport> for TestView {
    fn from(report: &TestReport) -> TestView {
        let exchange = &report.exchange;
        let failure = exchange.failure.as_ref();
        let response = || Message::new(&report.response_headers, Some(&report.response_body));
        TestView {
            success: failure.is_none(),
            status_code: exchange.status_code,
            duration_ms: exchange.duration.0,
            error_kind: failure.map(|failure| failure.kind.as_str()),
            error_message: failure.map(|failure| failure.message.to_string()),
            request: Message::new(&report.request_headers, Some(&report.request_body)),
            response: exchange.status_code.map(|_| response()),
        }
    }
}
