//! How long attempts took: a log-linear histogram that keeps only what it has seen.
//!
//! Each octave from 16 ms on is cut into 16 equal parts, so that a percentile is told exactly below 32 ms, from there at most a sixteenth
//! too high, and never too low. Two histograms add up without a further loss. Costs 8 bytes for each part that was seen: 208 parts reach up to 65 s.

use bincode::{Decode, Encode};
use postrider_core::Millis;

/// An octave is cut into so many parts, as a power of two.
const PART_BITS: u32 = 4;
const PARTS: u64 = 1 << PART_BITS;

/// Spans of time, counted by size.
#[derive(Clone, Debug, Decode, Default, Encode, PartialEq)]
pub struct Latency {
    /// Part → how many, in the order of the parts; none is 0.
    counts: Vec<(u16, u32)>,
    longest_ms: u64,
}

impl Latency {
    /// Counts one.
    pub fn note(&mut self, span: Millis) {
        self.put(part_of(span), 1);
        self.longest_ms = self.longest_ms.max(span.0);
    }

    /// Counts all that the other has.
    pub fn add(&mut self, other: &Latency) {
        other.counts.iter().for_each(|(part, count)| self.put(*part, *count));
        self.longest_ms = self.longest_ms.max(other.longest_ms);
    }

    /// The span that this many percent of the attempts do not exceed (nearest rank), at most a sixteenth too high and no longer than the
    /// longest; `None` when nothing was counted.
    pub fn percentile(&self, percent: u64) -> Option<Millis> {
        let all: u64 = self.counts.iter().map(|(_, count)| u64::from(*count)).sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut passed = 0;
        let reached = self.counts.iter().find(|(_, count)| {
            passed += u64::from(*count);
            passed >= rank
        });
        reached.map(|(part, _)| end_of(*part).min(Millis(self.longest_ms)))
    }

    fn put(&mut self, part: u16, count: u32) {
        match self.counts.binary_search_by_key(&part, |(part, _)| *part) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (part, count)),
        }
    }
}

/// Parts are numbered upward: below [`PARTS`] by the millisecond itself, then octave by octave.
fn part_of(span: Millis) -> u16 {
    if span.0 < PARTS {
        return span.0 as u16;
    }
    let octave = u64::from(span.0.ilog2() - PART_BITS);
    let part = (span.0 >> octave) - PARTS;
    (PARTS + octave * PARTS + part) as u16
}

/// The longest span of a part.
fn end_of(part: u16) -> Millis {
    let part = u64::from(part);
    let Some(beyond) = part.checked_sub(PARTS) else {
        return Millis(part);
    };
    let (octave, part) = (beyond / PARTS, beyond % PARTS);
    Millis(((PARTS + part) << octave) + ((1 << octave) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(spans: &[u64]) -> Latency {
        let mut latency = Latency::default();
        spans.iter().for_each(|span| latency.note(Millis(*span)));
        latency
    }

    #[test]
    fn nothing_has_no_percentile_and_one_span_is_all_of_them() {
        assert_eq!(Latency::default().percentile(50), None);
        for percent in [1, 50, 95, 99, 100] {
            assert_eq!(of(&[15_003]).percentile(percent), Some(Millis(15_003)), "no longer than the longest");
        }
    }

    #[test]
    fn the_parts_follow_each_other_without_a_gap() {
        let ends: Vec<_> = (0..=part_of(Millis(u64::MAX))).map(end_of).collect();
        assert_eq!(ends.last(), Some(&Millis(u64::MAX)));
        for (part, pair) in ends.windows(2).enumerate() {
            assert_eq!((part_of(pair[0]), part_of(Millis(pair[0].0 + 1))), (part as u16, part as u16 + 1));
        }
        assert_eq!(part_of(Millis(65_535)), 207, "as the module says");
    }

    /// As receivers answer: often quickly, sometimes slowly, rarely beyond all sense.
    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![6 => 0u64..64, 6 => 0u64..2_000, 3 => 0u64..60_000, 1 => any::<u64>()]
    }

    proptest! {
        #[test]
        fn a_percentile_is_never_too_low_and_at_most_a_sixteenth_too_high(
            mut spans in prop::collection::vec(span(), 1..300), percent in 1u64..=100,
        ) {
            let told = of(&spans).percentile(percent).expect("there are some").0;
            spans.sort_unstable();
            let rank = (spans.len() * percent as usize).div_ceil(100);
            let exact = spans[rank - 1];
            prop_assert!(told >= exact && told - exact <= exact / 16, "{told} for {exact}");
            prop_assert!(told <= spans[spans.len() - 1]);
            prop_assert!(exact >= 32 || told == exact);
        }

        #[test]
        fn a_sum_is_the_histogram_of_all(
            left in prop::collection::vec(span(), 0..100), right in prop::collection::vec(span(), 0..100),
        ) {
            let mut sum = of(&left);
            sum.add(&of(&right));
            let all = of(&[left, right].concat());
            prop_assert_eq!((sum.counts, sum.longest_ms), (all.counts, all.longest_ms));
        }
    }
}
