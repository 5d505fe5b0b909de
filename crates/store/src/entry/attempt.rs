//! *attempts*: a webhook's attempts in the order in which they ended, with what a view of its health needs.

use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::{DeliveryKey, Millis, Position, Time, WebhookId};

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
    /// When it was begun.
    pub started: Time,
    /// Of which delivery; `None` for a test.
    pub key: Option<DeliveryKey>,
    /// What became of the delivery by it.
    pub outcome: Outcome,
    /// About how long it took.
    pub latency: Latency,
}

impl AttemptPlace {
    /// The place of an attempt, or with no `key` of a test, that was filed at `position` and `time`.
    pub fn new(position: Position, time: Time, key: Option<DeliveryKey>, attempt: &Attempt) -> AttemptPlace {
        let latency = Latency::of(attempt.exchange.duration);
        AttemptPlace { position, time, started: attempt.started, key, outcome: attempt.outcome, latency }
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

/// Webhook ±, position, time ±, start against the time, latency class << 4 | test << 3 | outcome; unless it is a test, the event against the
/// attempt's own position, and the ordinal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AttemptOf {
    pub webhook: WebhookId,
    pub place: AttemptPlace,
}

impl Entry for AttemptOf {
    const TAG: u8 = b'a';
    type Key = (WebhookId, Position);

    fn zero() -> AttemptOf {
        let (outcome, latency) = (Outcome::Succeeded, Latency::of(Millis(0)));
        let place = AttemptPlace {
            position: Position::default(),
            time: Time(0),
            started: Time(0),
            key: None,
            outcome,
            latency,
        };
        AttemptOf { webhook: WebhookId(0), place }
    }

    fn key(&self) -> (WebhookId, Position) {
        (self.webhook, self.place.position)
    }

    fn write(&self, previous: &AttemptOf, out: &mut Vec<u8>) {
        put_difference(out, previous.webhook.0, self.webhook.0);
        put_position(out, previous.place.position, self.place.position);
        put_difference(out, previous.place.time.0, self.place.time.0);
        let AttemptPlace { position, time, started, key, outcome, latency } = self.place;
        put_difference(out, time.0, started.0);
        put(out, u64::from(latency.class()) << 4 | u64::from(key.is_none()) << 3 | ordinal(outcome) as u64);
        if let Some(key) = key {
            put_position(out, position, key.event);
            put(out, u64::from(key.ordinal));
        }
    }

    fn read(previous: &AttemptOf, input: &mut Input<'_>) -> Option<AttemptOf> {
        let webhook = WebhookId(input.difference(previous.webhook.0)?);
        let position = input.position(previous.place.position)?;
        let time = Time(input.difference(previous.place.time.0)?);
        let started = Time(input.difference(time.0)?);
        let bits = input.number()?;
        let outcome = *OUTCOMES.get((bits & 7) as usize)?;
        let latency = Latency::of_class(bits >> 4)?;
        let key = match bits & 8 {
            0 => Some(DeliveryKey { event: input.position(position)?, ordinal: input.small()? }),
            _ => None,
        };
        let place = AttemptPlace { position, time, started, key, outcome, latency };
        Some(AttemptOf { webhook, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::golden;

    #[test]
    fn the_layout_is_this() {
        let attempt = |webhook, index, time, took, outcome, event: Option<(u64, u32)>| {
            let (position, latency) = (Position::new(5, index), Latency::of(Millis(took)));
            let key = event.map(|(block, ordinal)| DeliveryKey { event: Position::new(block, 7), ordinal });
            let place = AttemptPlace { position, time: Time(time), started: Time(time - 3), key, outcome, latency };
            AttemptOf { webhook: WebhookId(webhook), place }
        };
        let entries = [
            attempt(300, 2, 70, 3, Outcome::Succeeded, Some((4, 1))),
            attempt(300, 9, 71, 15_000, Outcome::Retrying, Some((5, 0))),
            attempt(301, 1, 69, 40, Outcome::Failed, None),
        ];
        let bytes =
            [0xd8, 4, 10, 4, 0x8c, 1, 5, 48, 1, 14, 1, 0, 0, 14, 2, 5, 0xb1, 6, 0, 3, 0, 2, 0, 15, 3, 5, 0x9d, 2];
        golden(&entries, &bytes);
    }

    #[test]
    fn every_outcome_has_its_number() {
        for (number, outcome) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(ordinal(outcome), number);
        }
    }
}
