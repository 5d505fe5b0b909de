//! How a webhook is doing.

use postrider_engine::{WebhookHealth, WindowFigures};
use serde::Serialize;
use utoipa::ToSchema;

/// How a webhook is doing. Tests are not counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// Unfinished deliveries, exactly; also those that are due now or in flight, and those that wait because the webhook is off.
    #[schema(example = 3)]
    pending: u64,
    /// The earliest `nextAttemptAt` of the pending deliveries: in the past when one is due now or in flight; it stays as it is while the
    /// webhook is off, though nothing is sent then. Null when nothing is pending.
    #[schema(example = "2026-02-19T10:35:00.000Z")]
    next_attempt_at: Option<String>,
    /// Failed attempts since the last one that succeeded, in the order of their ends.
    #[schema(example = 2)]
    consecutive_failures: u64,
    /// `createdAt` (the start) of the attempt that was the last to succeed; null when none ever did.
    #[schema(example = "2026-02-19T10:20:00.000Z")]
    last_success_at: Option<String>,
    /// `createdAt` (the start) of the attempt that was the last to fail; null when none ever did.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    last_failure_at: Option<String>,
    /// Of an ordered webhook: the delivery that all others pending wait for, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, example = "dlv_00000000000200000")]
    blocked_by: Option<String>,
    windows: WindowsView,
}

/// The last five minutes, hour and 24 hours. A window is counted in whole buckets: it begins with the minute (that of 24 hours: with the
/// quarter of an hour) in which its first moment lies. An attempt belongs to it when it began in it.
#[derive(Serialize, ToSchema)]
pub struct WindowsView {
    #[serde(rename = "5m")]
    five_minutes: WindowView,
    #[serde(rename = "1h")]
    hour: WindowView,
    #[serde(rename = "24h")]
    day: WindowView,
}

/// What came of a window's attempts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowView {
    /// That have ended.
    #[schema(example = 40)]
    attempts: u64,
    /// Answered with a 2xx.
    #[schema(example = 38)]
    succeeded: u64,
    /// All others.
    #[schema(example = 2)]
    failed: u64,
    /// `succeeded` by `attempts`, from 0 to 1; null when there are no attempts.
    #[schema(minimum = 0, maximum = 1, example = 0.95)]
    success_rate: Option<f64>,
    /// Milliseconds that half of the attempts did not exceed, failed ones included. Told exactly below 32 ms, from there at most a
    /// sixteenth too high (in a `history` a quarter) and never too low; null when there are no attempts.
    #[schema(example = 42)]
    p50_ms: Option<u64>,
    /// The same for 95 of 100 attempts.
    #[schema(example = 180)]
    p95_ms: Option<u64>,
    /// The same for 99 of 100 attempts.
    #[schema(example = 950)]
    p99_ms: Option<u64>,
}

impl From<&WebhookHealth> for HealthView {
    fn from(health: &WebhookHealth) -> HealthView {
        HealthView {
            pending: health.pending,
            next_attempt_at: health.next_attempt_at.map(|at| at.to_string()),
            consecutive_failures: health.consecutive_failures,
            last_success_at: health.last_success_at.map(|at| at.to_string()),
            last_failure_at: health.last_failure_at.map(|at| at.to_string()),
            windows: WindowsView::of([&health.five_minutes, &health.hour, &health.day]),
            blocked_by: health.blocked_by.map(|key| key.to_string()),
        }
    }
}

impl WindowsView {
    /// Of the last five minutes, the last hour and the last 24.
    pub fn of(windows: [&WindowFigures; 3]) -> WindowsView {
        let [five_minutes, hour, day] = windows.map(WindowView::from);
        WindowsView { five_minutes, hour, day }
    }
}

impl From<&WindowFigures> for WindowView {
    fn from(figures: &WindowFigures) -> WindowView {
        let WindowFigures { attempts, succeeded, p50, p95, p99 } = *figures;
        let ms = |span: Option<postrider_core::Millis>| span.map(|span| span.0);
        WindowView {
            attempts,
            succeeded,
            failed: attempts - succeeded,
            success_rate: (attempts > 0).then(|| succeeded as f64 / attempts as f64),
            p50_ms: ms(p50),
            p95_ms: ms(p95),
            p99_ms: ms(p99),
        }
    }
}
