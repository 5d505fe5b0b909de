//! *tallies*: what a webhook's attempts of one hour came to: counts by outcome and a histogram of latencies.

use postrider_core::attempt::Outcome;
use postrider_core::{Millis, Time, WebhookId};

use super::Entry;
use super::attempt::ordinal;
use crate::coding::{Input, put, put_difference};

/// Four classes an octave from 4 ms on, each at most a quarter wide: 64 reach 2 min, the last one holds all beyond.
pub const LATENCY_CLASSES: usize = 64;
const OUTCOMES: usize = 6;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// A span to within a quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Latency(u8);

impl Latency {
    /// The class that a span falls into.
    pub fn of(span: Millis) -> Latency {
        let ms = span.0;
        let class = match ms {
            0..4 => ms,
            _ => {
                let octave = u64::from(ms.ilog2());
                (octave - 1) * 4 + (ms >> (octave - 2) & 3)
            }
        };
        Latency(class.min(LATENCY_CLASSES as u64 - 1) as u8)
    }

    /// The longest span of this class; of the last class, the shortest.
    pub fn at_most(self) -> Millis {
        let class = u64::from(self.0);
        match class {
            0..4 => Millis(class),
            _ if usize::from(self.0) == LATENCY_CLASSES - 1 => Millis(first_of(class)),
            _ => Millis(first_of(class + 1) - 1),
        }
    }

    pub(crate) fn class(self) -> u8 {
        self.0
    }

    pub(crate) fn of_class(class: u64) -> Option<Latency> {
        (class < LATENCY_CLASSES as u64).then_some(Latency(class as u8))
    }
}

/// The shortest span, in ms, of a class from 4 on.
fn first_of(class: u64) -> u64 {
    let (octave, quarter) = (class / 4 + 1, class % 4);
    (4 | quarter) << (octave - 2)
}

/// What attempts came to. Tests are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    outcomes: [u32; OUTCOMES],
    latencies: [u32; LATENCY_CLASSES],
}

impl Summary {
    /// Of no attempt.
    pub const EMPTY: Summary = Summary { outcomes: [0; OUTCOMES], latencies: [0; LATENCY_CLASSES] };

    /// Takes in one attempt.
    pub fn count(&mut self, outcome: Outcome, latency: Latency) {
        let of_outcome = &mut self.outcomes[ordinal(outcome)];
        *of_outcome = of_outcome.saturating_add(1);
        let of_class = &mut self.latencies[usize::from(latency.0)];
        *of_class = of_class.saturating_add(1);
    }

    /// Takes in those of another summary.
    pub fn add(&mut self, other: &Summary) {
        let pairs = self.outcomes.iter_mut().zip(&other.outcomes);
        pairs.chain(self.latencies.iter_mut().zip(&other.latencies)).for_each(|(a, b)| *a = a.saturating_add(*b));
    }

    /// The counts by outcome, and by class of latency those that occurred.
    pub(crate) fn counts(&self) -> ([u32; OUTCOMES], Vec<(usize, u32)>) {
        (self.outcomes, self.latencies.into_iter().enumerate().filter(|(_, n)| *n > 0).collect())
    }

    /// Attempts in all.
    pub fn attempts(&self) -> u64 {
        self.outcomes.iter().map(|&n| u64::from(n)).sum()
    }

    /// Attempts with one outcome.
    pub fn of(&self, outcome: Outcome) -> u32 {
        self.outcomes[ordinal(outcome)]
    }

    /// The latency that `per_mille` of the attempts kept to; `None` when there were none.
    pub fn quantile(&self, per_mille: u32) -> Option<Latency> {
        let rank = (self.attempts() * u64::from(per_mille)).div_ceil(1000).max(1);
        let mut passed = 0;
        let class = self.latencies.iter().position(|&n| {
            passed += u64::from(n);
            passed >= rank
        })?;
        Latency::of_class(class as u64)
    }
}

/// The hour, counted from 1970, that a time lies in.
pub(crate) fn hour_of(time: Time) -> u64 {
    time.0 / HOUR_MS
}

/// When an hour begins.
pub(crate) fn hour_start(hour: u64) -> Time {
    Time(hour.saturating_mul(HOUR_MS))
}

/// Webhook ±, hour ±, a bit for each outcome that occurred, their counts, how many classes occurred, then class ± and count of each.
/// Two entries of a key add up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tally {
    pub webhook: WebhookId,
    pub hour: u64,
    pub summary: Summary,
}

impl Entry for Tally {
    const TAG: u8 = b't';
    type Key = (WebhookId, u64);

    fn zero() -> Tally {
        Tally { webhook: WebhookId(0), hour: 0, summary: Summary::EMPTY }
    }

    fn key(&self) -> (WebhookId, u64) {
        (self.webhook, self.hour)
    }

    fn write(&self, previous: &Tally, out: &mut Vec<u8>) {
        put_difference(out, previous.webhook.0, self.webhook.0);
        put_difference(out, previous.hour, self.hour);
        let Summary { outcomes, latencies } = &self.summary;
        put(out, outcomes.iter().enumerate().fold(0, |bits, (i, &n)| bits | u64::from(n > 0) << i));
        outcomes.iter().filter(|&&n| n > 0).for_each(|&n| put(out, u64::from(n)));
        put(out, latencies.iter().filter(|&&n| n > 0).count() as u64);
        let mut last = 0;
        for (class, &n) in latencies.iter().enumerate().filter(|&(_, &n)| n > 0) {
            put(out, (class - last) as u64);
            put(out, u64::from(n));
            last = class;
        }
    }

    fn read(previous: &Tally, input: &mut Input<'_>) -> Option<Tally> {
        let webhook = WebhookId(input.difference(previous.webhook.0)?);
        let hour = input.difference(previous.hour)?;
        let mut summary = Summary::EMPTY;
        let occurred = input.number().filter(|&bits| bits < 1 << OUTCOMES)?;
        for (outcome, count) in summary.outcomes.iter_mut().enumerate() {
            if occurred >> outcome & 1 == 1 {
                *count = input.small()?;
            }
        }
        let mut class = 0usize;
        for _ in 0..input.number().filter(|&n| n <= LATENCY_CLASSES as u64)? {
            class = class.checked_add(usize::try_from(input.number()?).ok()?)?;
            *summary.latencies.get_mut(class)? = input.small()?;
        }
        Some(Tally { webhook, hour, summary })
    }

    fn join(older: Tally, newer: Tally) -> Option<Tally> {
        let mut summary = older.summary;
        summary.add(&newer.summary);
        Some(Tally { summary, ..newer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{golden, settle};
    use proptest::prelude::*;

    fn tally(webhook: u64, hour: u64, attempts: &[(Outcome, u64)]) -> Tally {
        let mut summary = Summary::EMPTY;
        attempts.iter().for_each(|&(outcome, ms)| summary.count(outcome, Latency::of(Millis(ms))));
        Tally { webhook: WebhookId(webhook), hour, summary }
    }

    #[test]
    fn the_layout_is_this() {
        let busy = tally(300, 5, &[(Outcome::Succeeded, 2), (Outcome::Succeeded, 2), (Outcome::Removed, 9)]);
        let other = tally(301, 5, &[(Outcome::Retrying, 300_000)]);
        golden(&[busy, other], &[0xd8, 4, 10, 9, 2, 1, 2, 2, 2, 6, 1, 2, 0, 2, 1, 1, 63, 1]);
    }

    #[test]
    fn the_same_hour_adds_up() {
        let mut both = vec![tally(1, 1, &[(Outcome::Failed, 7)]), tally(1, 1, &[(Outcome::Failed, 9)])];
        settle(&mut both);
        assert_eq!(both, [tally(1, 1, &[(Outcome::Failed, 7), (Outcome::Failed, 9)])]);
        assert_eq!((both[0].summary.attempts(), both[0].summary.of(Outcome::Failed)), (2, 2));
    }

    #[test]
    fn a_quantile_is_the_class_that_so_many_kept_to() {
        let spans: Vec<_> = (1..=100).map(|ms| (Outcome::Succeeded, ms)).collect();
        let summary = tally(1, 1, &spans).summary;
        assert_eq!(Summary::EMPTY.quantile(500), None);
        assert_eq!(summary.quantile(500), Some(Latency::of(Millis(50))));
        assert_eq!(summary.quantile(0), Some(Latency::of(Millis(1))));
        assert_eq!(summary.quantile(1000), Some(Latency::of(Millis(100))));
    }

    proptest! {
        #[test]
        fn a_class_holds_its_spans_to_within_a_quarter(ms in 0u64..114_000) {
            let at_most = Latency::of(Millis(ms)).at_most().0;
            prop_assert!(at_most >= ms && at_most <= ms + ms / 4 + 1, "{} {}", ms, at_most);
            prop_assert!(Latency::of(Millis(ms)) <= Latency::of(Millis(ms + 1)));
        }
    }
}
