//! *attempts*: a webhook's attempts in the order in which they ended, with what a view of its health needs.

use postrider_core::attempt::Outcome;
use postrider_core::{Millis, Position, Time, WebhookId};

use super::Entry;
use super::tally::Latency;
use crate::coding::{Input, put, put_difference, put_position};

/// A finished attempt's place, and in a few bits what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptPlace {
    /// Of its record.
    pub position: Position,
    /// When it was filed.
    pub time: Time,
    /// What became of the delivery by it.
    pub outcome: Outcome,
    /// About how long it took.
    pub latency: Latency,
    /// It was a test.
    pub is_test: bool,
}

impl AttemptPlace {
    pub(crate) fn new(position: Position, time: Time, outcome: Outcome, took: Millis, is_test: bool) -> AttemptPlace {
        AttemptPlace { position, time, outcome, latency: Latency::of(took), is_test }
    }
}

/// An outcome's number on disk, and its place in a summary's counts.
pub(crate) fn ordinal(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Succeeded => 0,
        Outcome::Retrying => 1,
        Outcome::Exhausted => 2,
        Outcome::Removed => 3,
        Outcome::Cancelled => 4,
        Outcome::Failed => 5,
    }
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Succeeded, Outcome::Retrying, Outcome::Exhausted, Outcome::Removed, Outcome::Cancelled, Outcome::Failed];

/// Webhook ±, position, time ±, latency class << 4 | test << 3 | outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AttemptOf {
    pub webhook: WebhookId,
    pub place: AttemptPlace,
}

impl Entry for AttemptOf {
    const TAG: u8 = b'a';
    type Key = (WebhookId, Position);

    fn zero() -> AttemptOf {
        let place = AttemptPlace::new(Position::default(), Time(0), Outcome::Succeeded, Millis(0), false);
        AttemptOf { webhook: WebhookId(0), place }
    }

    fn key(&self) -> (WebhookId, Position) {
        (self.webhook, self.place.position)
    }

    fn write(&self, previous: &AttemptOf, out: &mut Vec<u8>) {
        put_difference(out, previous.webhook.0, self.webhook.0);
        put_position(out, previous.place.position, self.place.position);
        put_difference(out, previous.place.time.0, self.place.time.0);
        let AttemptPlace { outcome, latency, is_test, .. } = self.place;
        put(out, u64::from(latency.class()) << 4 | u64::from(is_test) << 3 | ordinal(outcome) as u64);
    }

    fn read(previous: &AttemptOf, input: &mut Input<'_>) -> Option<AttemptOf> {
        let webhook = WebhookId(input.difference(previous.webhook.0)?);
        let position = input.position(previous.place.position)?;
        let time = Time(input.difference(previous.place.time.0)?);
        let bits = input.number()?;
        let outcome = *OUTCOMES.get((bits & 7) as usize)?;
        let latency = Latency::of_class(bits >> 4)?;
        let place = AttemptPlace { position, time, outcome, latency, is_test: bits & 8 != 0 };
        Some(AttemptOf { webhook, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::golden;

    #[test]
    fn the_layout_is_this() {
        let attempt = |webhook, index, time, outcome, took, is_test| {
            let at = Position::new(5, index);
            let place = AttemptPlace::new(at, Time(time), outcome, Millis(took), is_test);
            AttemptOf { webhook: WebhookId(webhook), place }
        };
        let entries = [
            attempt(300, 2, 70, Outcome::Succeeded, 3, false),
            attempt(300, 9, 71, Outcome::Retrying, 15_000, false),
            attempt(301, 1, 69, Outcome::Failed, 40, true),
        ];
        golden(&entries, &[0xd8, 4, 10, 4, 0x8c, 1, 48, 0, 0, 14, 2, 0xb1, 6, 2, 0, 15, 3, 0x9d, 2]);
    }

    #[test]
    fn every_outcome_has_its_number() {
        for (number, outcome) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(ordinal(outcome), number);
        }
    }
}
