//! How a webhook is doing: what is pending, how the last attempts went, and figures of the last minutes and hours.
//!
//! Kept up with each fact, so that asking costs the same whatever number of attempts there were: no log is scanned. All of it comes from
//! facts, so a replay gives the same. Tests are not counted. A webhook that is deleted is forgotten.

mod latency;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, Time};

pub(super) use windows::Windows;
pub use windows::{Slot, WindowFigures};

/// How a webhook is doing. A window is counted in whole buckets: it begins with the minute (that of 24 hours: with the quarter of an hour)
/// in which its first moment lies, and an attempt belongs to the bucket in which it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookHealth {
    /// Unfinished deliveries, exactly; also those that are due now or in flight, and those that wait because the webhook is off.
    pub pending: u64,
    /// The same by how many attempts of their present schedule have failed: none, one, and so on. No zero at the end.
    pub pending_by_tier: Vec<u64>,
    /// The earliest due time of these, as each of them shows it: in the past for what is due now or in flight, and left as it is while the
    /// webhook is off. Where a webhook has had more than 4,096 distinct due times at once it is rounded down, by no more than the span of
    /// all of them by 2,048.
    pub next_attempt_at: Option<Time>,
    /// Of an ordered webhook with more than one of these: the delivery that all others wait for.
    pub blocked_by: Option<DeliveryKey>,
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
#[derive(Debug, Decode, Default, Encode, PartialEq)]
pub(crate) struct Summary {
    pending: Pending,
    consecutive_failures: u64,
    /// When these began, in milliseconds.
    last_success: Option<u64>,
    last_failure: Option<u64>,
    /// Of the consecutive failures since the webhook was changed last, when the first began.
    failing_since: Option<u64>,
    windows: Windows,
}

/// A webhook of which all attempts fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    /// When the first of them began.
    pub since: Time,
    /// When the last of them began.
    pub last: Time,
    pub consecutive: u64,
}

/// What a delivery was before a fact.
#[derive(Clone, Copy)]
pub(super) struct Old {
    pub was: Was,
    /// The tier that it waited in.
    pub tier: u32,
}

/// Distinct due times that are kept of one webhook.
const DUES_MAX: usize = 4_096;

/// Unfinished deliveries by due time. Deliveries of one turn share theirs; where there are more than `DUES_MAX` distinct ones, those that lie
/// in the same span of 2^shift ms are counted together, and the earliest is told as the beginning of its span. It never gets finer again
/// while anything is pending.
#[derive(Debug, Decode, Default, Encode, PartialEq)]
struct Pending {
    count: u64,
    by_due: BTreeMap<u64, u64>,
    shift: u32,
    by_tier: Vec<u64>,
}

impl Pending {
    fn add(&mut self, due: Time, tier: u32) {
        self.count += 1;
        let tier = tier as usize;
        self.by_tier.resize(self.by_tier.len().max(tier + 1), 0);
        self.by_tier[tier] += 1;
        *self.by_due.entry(due.0 >> self.shift).or_default() += 1;
        while self.by_due.len() > DUES_MAX {
            self.shift += 1;
            let finer = std::mem::take(&mut self.by_due);
            finer.into_iter().for_each(|(due, count)| *self.by_due.entry(due >> 1).or_default() += count);
        }
    }

    fn remove(&mut self, due: Time, tier: u32) {
        let due = due.0 >> self.shift;
        // What was never added is not there to be removed: a log may tell anything.
        let Some(count) = self.by_due.get_mut(&due) else { return };
        self.count -= 1;
        if let Some(of_tier) = self.by_tier.get_mut(tier as usize) {
            *of_tier = of_tier.saturating_sub(1);
        }
        while self.by_tier.pop_if(|of_tier| *of_tier == 0).is_some() {}
        *count -= 1;
        if *count == 0 {
            self.by_due.remove(&due);
        }
        if self.by_due.is_empty() {
            self.shift = 0;
        }
    }

    fn earliest(&self) -> Option<Time> {
        self.by_due.keys().next().map(|due| Time(due << self.shift))
    }
}

impl Summary {
    /// A delivery changed, or began where it `was` nothing.
    pub(super) fn follow(&mut self, cell: &Cell, was: Option<Old>) {
        if let Some(old) = was.filter(|old| old.was.status == Status::Pending) {
            self.pending.remove(old.was.due, old.tier);
        }
        if cell.status == Status::Pending {
            self.pending.add(cell.due, cell.tier());
        }
    }

    /// Its pending deliveries by tier.
    pub(super) fn by_tier(&self) -> &[u64] {
        &self.pending.by_tier
    }

    /// How many deliveries are pending.
    pub(super) fn pending(&self) -> u64 {
        self.pending.count
    }

    /// When they are due, rounded down as [`WebhookHealth::next_attempt_at`] is, and how many at each time; in order.
    pub(super) fn dues(&self) -> impl Iterator<Item = (Time, u64)> {
        let shift = self.pending.shift;
        self.pending.by_due.iter().map(move |(due, count)| (Time(due << shift), *count))
    }

    /// Failed attempts since the last one that succeeded.
    pub(super) fn consecutive_failures(&self) -> u64 {
        self.consecutive_failures
    }

    /// How it fails; `None` when its last attempt succeeded, or none was made since it was changed.
    pub(crate) fn failing(&self) -> Option<Failing> {
        let (since, last) = (self.failing_since.map(Time)?, self.last_failure.map(Time)?);
        Some(Failing { since, last, consecutive: self.consecutive_failures })
    }

    /// The webhook is another: what failed may have been what was changed. One that is off since it fails goes on failing.
    pub(super) fn note_change(&mut self, webhook: &Webhook) {
        if webhook.failing_since.is_none() {
            self.failing_since = None;
        }
    }

    /// Its attempts over time.
    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// An attempt ended; `now` is the time of its record.
    pub(super) fn note(&mut self, attempt: &Attempt, now: Time) {
        let has_succeeded = attempt.outcome == Outcome::Succeeded;
        if has_succeeded {
            self.consecutive_failures = 0;
            self.failing_since = None;
            self.last_success = Some(attempt.started.0);
        } else {
            self.consecutive_failures += 1;
            self.last_failure = Some(attempt.started.0);
            self.failing_since.get_or_insert(attempt.started.0);
        }
        self.windows.note(attempt.started, attempt.exchange.duration, has_succeeded, now);
    }

    pub(super) fn told(&self, now: Time) -> WebhookHealth {
        WebhookHealth {
            pending: self.pending.count,
            pending_by_tier: self.pending.by_tier.clone(),
            next_attempt_at: self.pending.earliest(),
            // Who is first is known to the writer alone.
            blocked_by: None,
            consecutive_failures: self.consecutive_failures,
            last_success_at: self.last_success.map(Time),
            last_failure_at: self.last_failure.map(Time),
            five_minutes: self.windows.five_minutes(now),
            hour: self.windows.hour(now),
            day: self.windows.day(now),
        }
    }
}
