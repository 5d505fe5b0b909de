//! The end of an attempt: what the laws say that becomes of the delivery, and when the next attempt is due.

use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::fact::Record;
use postrider_core::policy::RetryPolicy;
use postrider_core::webhook::Webhook;
use postrider_core::{Millis, Time};

use super::{Checker, Verdict, broken, law};

impl Checker {
    pub(super) fn finished(&mut self, record: &Record, cell: &Cell, was: Was, attempt: &Attempt) -> Verdict {
        let (key, now) = (cell.key, record.time);
        let Some(delivery) = self.deliveries.get(&key) else {
            return Err(broken!(1, "an attempt of {key}, which no event has"));
        };
        let old = delivery.cell;
        law!(2, was == Was::from(&old), "{key} was {old:?}, and its fact says {was:?}");
        let Some(flight) = self.flights.get(&key) else {
            return Err(broken!(4, "an outcome of {key}, of which no attempt is in flight"));
        };
        let number = old.attempts + 1;
        law!(
            4,
            attempt.number == number && flight.number == number,
            "attempt {} of {key} after {}",
            attempt.number,
            old.attempts
        );
        law!(2, attempt.previous == old.last_attempt, "attempt {number} of {key} does not lead to the one before");
        law!(4, attempt.id.0 == self.attempts_made + 1, "attempt id {} after {}", attempt.id, self.attempts_made);
        let Some((ended, exchange)) = flight.ended.clone() else {
            return Err(broken!(9, "an outcome of {key} before the receiver answered"));
        };
        // Of a 410 the decision may say what it did about it; what was measured stays as it was.
        let mut filed = attempt.exchange.clone();
        if let (Some(410), Some(filed), Some(measured)) = (filed.status_code, &mut filed.failure, &exchange.failure) {
            filed.message = measured.message.clone();
        }
        law!(9, filed == exchange, "{key} came to {exchange:?} and is filed as {:?}", attempt.exchange);
        let expected =
            self.after(&old, number, exchange.failure.is_none(), ended, now, exchange.retry_after.map(|r| r.0));
        let is_due = expected.due.is_none_or(|(least, most)| (least..=most).contains(&cell.due.0));
        law!(
            5,
            is_due,
            "{key} is due at {} after an attempt that ended at {ended}, not within {:?}",
            cell.due,
            expected.due
        );
        law!(
            4,
            cell.status == expected.status,
            "{key} is {:?} after attempt {number}, not {:?}",
            cell.status,
            expected.status
        );
        law!(4, attempt.outcome == expected.outcome, "{key}: {:?}, not {:?}", attempt.outcome, expected.outcome);
        let (attempts, due) = (number, if cell.status == Status::Pending { cell.due } else { old.due });
        let last_attempt = Some(record.position);
        let expected = Cell { status: expected.status, attempts, due, last_attempt, ..old };
        law!(2, *cell == expected, "{cell:?} does not follow from {old:?}");

        self.attempts_made += 1;
        self.land(key);
        self.cut.remove(&key);
        self.put(cell, old.status);
        Ok(())
    }

    /// What the laws say that becomes of a delivery by the end of this attempt.
    fn after(&self, old: &Cell, number: u32, is_success: bool, ended: Time, now: Time, asked: Option<u64>) -> Expected {
        let is = |status, outcome| Expected { status, outcome, due: None };
        if is_success {
            return is(Status::Succeeded, Outcome::Succeeded);
        }
        let policy = self
            .hooks
            .get(&old.webhook)
            .filter(|hook| hook.alive)
            .and_then(|hook| self.policy_of(&hook.webhook))
            .filter(|_| old.status == Status::Pending);
        let Some(policy) = policy else {
            return is(Status::Cancelled, Outcome::Cancelled);
        };
        let failures = number - old.attempts_before;
        match policy.delays.get(failures as usize - 1) {
            Some(delay) => {
                let jittered = delay.0 + delay.0 * u64::from(policy.jitter_permille) / 1000;
                let asked = asked.unwrap_or(0).min(delay.0 * 2);
                let due = Some((ended.0 + delay.0.max(asked), now.0 + jittered.max(asked)));
                Expected { status: Status::Pending, outcome: Outcome::Retrying, due }
            }
            None if self.workspaces.get(&old.workspace).is_some_and(|profile| &**profile == "snaily") => {
                is(Status::Removed, Outcome::Removed)
            }
            None => is(Status::Exhausted, Outcome::Exhausted),
        }
    }

    /// The webhook's own policy or the published one of its profile, from the public documents and not from the profile's text.
    pub(super) fn policy_of(&self, webhook: &Webhook) -> Option<RetryPolicy> {
        const MINUTE: u64 = 60_000;
        const HOUR: u64 = 60 * MINUTE;
        if let Some(own) = &webhook.settings.retry_policy {
            return Some(own.clone());
        }
        let (delays, jitter_permille) = match &**self.workspaces.get(&webhook.workspace)? {
            "genesy" => (vec![30_000, 5 * MINUTE, 50 * MINUTE], 0),
            "snaily" => (vec![12 * HOUR; 14], 0),
            _ => {
                let hours = [2, 5, 10, 14, 20, 24].map(|h| h * HOUR);
                ([5_000, 5 * MINUTE, 30 * MINUTE].into_iter().chain(hours).collect(), 100)
            }
        };
        Some(RetryPolicy { delays: delays.into_iter().map(Millis).collect(), jitter_permille })
    }
}

struct Expected {
    status: Status,
    outcome: Outcome,
    /// The least and the most that the next due time may be.
    due: Option<(u64, u64)>,
}
