//! How a webhook is doing: what is pending, how the last attempts went, and figures of the last minutes and hours.
//!
//! Kept up with each fact, so that asking costs the same whatever number of attempts there were: no log is scanned. All of it comes from
//! facts, so a replay gives the same. Tests are not counted. A webhook that is deleted is forgotten.

mod latency;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::BTreeMap;

use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::{Time, WebhookId, WorkspaceId};

use super::Views;
pub use windows::WindowFigures;
use windows::Windows;

/// How a webhook is doing. A window is counted in whole buckets: it begins with the minute (that of 24 hours: with the quarter of an hour)
/// in which its first moment lies, and an attempt belongs to the bucket in which it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookHealth {
    /// Unfinished deliveries, exactly; also those that are due now or in flight, and those that wait because the webhook is off.
    pub pending: u64,
    /// The earliest due time of these, as each of them shows it: in the past for what is due now or in flight, and left as it is while the
    /// webhook is off.
    pub next_attempt_at: Option<Time>,
    /// Failed attempts since the last one that succeeded, in the order of their ends.
    pub consecutive_failures: u64,
    /// When the attempt that was the last to succeed began.
    pub last_success_at: Option<Time>,
    /// When the attempt that was the last to fail began.
    pub last_failure_at: Option<Time>,
    /// The last five minutes.
    pub five_minutes: WindowFigures,
    /// The last hour.
    pub hour: WindowFigures,
    /// The last 24 hours.
    pub day: WindowFigures,
}

/// What is kept of one webhook.
#[derive(Default)]
pub(super) struct Summary {
    pending: Pending,
    consecutive_failures: u64,
    last_success: Option<Time>,
    last_failure: Option<Time>,
    windows: Windows,
}

/// Unfinished deliveries by due time. Deliveries of one turn share theirs.
#[derive(Default)]
struct Pending {
    count: u64,
    by_due: BTreeMap<Time, u64>,
}

impl Pending {
    fn add(&mut self, due: Time) {
        self.count += 1;
        *self.by_due.entry(due).or_default() += 1;
    }

    fn remove(&mut self, due: Time) {
        // What was never added is not there to be removed: a log may tell anything.
        let Some(count) = self.by_due.get_mut(&due) else { return };
        self.count -= 1;
        *count -= 1;
        if *count == 0 {
            self.by_due.remove(&due);
        }
    }
}

impl Summary {
    /// A delivery changed, or began where it `was` nothing.
    pub(super) fn follow(&mut self, cell: &Cell, was: Option<Was>) {
        if let Some(was) = was.filter(|was| was.status == Status::Pending) {
            self.pending.remove(was.due);
        }
        if cell.status == Status::Pending {
            self.pending.add(cell.due);
        }
    }

    /// An attempt ended; `now` is the time of its record.
    pub(super) fn note(&mut self, attempt: &Attempt, now: Time) {
        let has_succeeded = attempt.outcome == Outcome::Succeeded;
        if has_succeeded {
            self.consecutive_failures = 0;
            self.last_success = Some(attempt.started);
        } else {
            self.consecutive_failures += 1;
            self.last_failure = Some(attempt.started);
        }
        self.windows.note(attempt.started, attempt.exchange.duration, has_succeeded, now);
    }

    fn told(&self, now: Time) -> WebhookHealth {
        WebhookHealth {
            pending: self.pending.count,
            next_attempt_at: self.pending.by_due.keys().next().copied(),
            consecutive_failures: self.consecutive_failures,
            last_success_at: self.last_success,
            last_failure_at: self.last_failure,
            five_minutes: self.windows.five_minutes(now),
            hour: self.windows.hour(now),
            day: self.windows.day(now),
        }
    }
}

impl Views {
    /// How a webhook of this workspace is doing at `now`, which is no earlier than the last fact; `None` when there is no such webhook.
    pub fn health(&self, workspace: WorkspaceId, webhook: WebhookId, now: Time) -> Option<WebhookHealth> {
        Some(self.workspaces.get(&workspace)?.health.get(&webhook)?.told(now))
    }
}
