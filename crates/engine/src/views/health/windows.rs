//! The attempts of the last day, counted in buckets: by the minute as far as the last hour needs it, by the quarter of an hour before that.
//!
//! An attempt counts in the bucket in which it began, so that a window agrees with a log filtered by `since`. A window is counted in whole
//! buckets: it begins with the minute (that of 24 hours: with the quarter of an hour) in which its first moment lies, so it leaves nothing
//! out and reaches back by up to a bucket more than its name says. At most 75 minutes and 92 quarters are kept, those without an attempt
//! not at all.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use postrider_core::{Millis, Time};

use super::latency::Latency;

const MINUTE: u64 = 60_000;
const QUARTER: u64 = 15 * MINUTE;
const MINUTES_IN_QUARTER: u64 = QUARTER / MINUTE;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What came of a window's attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowFigures {
    /// That began in the window.
    pub attempts: u64,
    /// Of these, those that were answered with a 2xx.
    pub succeeded: u64,
    /// Half of them took no longer, failed ones included; `None` without an attempt. Exact below 32 ms, from there at most a sixteenth too
    /// high, never too low; less exact in a [`History`](super::super::History).
    pub p50: Option<Millis>,
    /// The same for 95 of 100.
    pub p95: Option<Millis>,
    /// The same for 99 of 100.
    pub p99: Option<Millis>,
}

/// What came of the attempts that began in one minute, or in one quarter of an hour; in a [`History`](super::super::History), of those that
/// ended in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// When it begins.
    pub start: Time,
    /// Its attempts.
    pub figures: WindowFigures,
}

/// Buckets by number, counted from 1970.
#[derive(Debug, Decode, Default, Encode, PartialEq)]
pub struct Windows {
    minutes: BTreeMap<u64, Bucket>,
    quarters: BTreeMap<u64, Bucket>,
}

#[derive(Debug, Decode, Default, Encode, PartialEq)]
struct Bucket {
    attempts: u64,
    succeeded: u64,
    latency: Latency,
}

impl Bucket {
    fn add(&mut self, other: &Bucket) {
        self.attempts += other.attempts;
        self.succeeded += other.succeeded;
        self.latency.add(&other.latency);
    }
}

impl Windows {
    /// Counts an attempt. `now` is the time of its record, which never goes back; attempts that overlap come in any order of their starts.
    pub fn note(&mut self, started: Time, took: Millis, has_succeeded: bool, now: Time) {
        self.age(now);
        let quarter = started.0 / QUARTER;
        let bucket = if quarter >= first_in_minutes(now) {
            self.minutes.entry(started.0 / MINUTE).or_default()
        } else if quarter >= first_quarter(now) {
            self.quarters.entry(quarter).or_default()
        } else {
            return;
        };
        bucket.attempts += 1;
        bucket.succeeded += u64::from(has_succeeded);
        bucket.latency.note(took);
    }

    /// The last five minutes.
    pub fn five_minutes(&self, now: Time) -> WindowFigures {
        sum(self.minutes.range(before(now, 5 * MINUTE) / MINUTE..))
    }

    /// The last hour.
    pub fn hour(&self, now: Time) -> WindowFigures {
        sum(self.minutes.range(before(now, HOUR) / MINUTE..))
    }

    /// The last 24 hours.
    pub fn day(&self, now: Time) -> WindowFigures {
        let first = first_quarter(now);
        sum(self.quarters.range(first..).chain(self.minutes.range(first * MINUTES_IN_QUARTER..)))
    }

    /// The last hour by the minute, oldest first, those without an attempt too.
    pub fn by_minute(&self, now: Time) -> Vec<Slot> {
        let minutes = before(now, HOUR) / MINUTE..=now.0 / MINUTE;
        minutes
            .map(|n| Slot { start: Time(n * MINUTE), figures: sum(self.minutes.get_key_value(&n).into_iter()) })
            .collect()
    }

    /// The last 24 hours by the quarter of an hour, oldest first, those without an attempt too.
    pub fn by_quarter(&self, now: Time) -> Vec<Slot> {
        let slot = |n: u64| {
            let minutes = self.minutes.range(n * MINUTES_IN_QUARTER..(n + 1) * MINUTES_IN_QUARTER);
            Slot { start: Time(n * QUARTER), figures: sum(self.quarters.get_key_value(&n).into_iter().chain(minutes)) }
        };
        (first_quarter(now)..=now.0 / QUARTER).map(slot).collect()
    }

    /// Counts the attempts of another, too; `now` is no earlier than all that both have.
    pub fn add(&mut self, other: &Windows, now: Time) {
        let pairs = [(&mut self.minutes, &other.minutes), (&mut self.quarters, &other.quarters)];
        for (all, some) in pairs {
            some.iter().for_each(|(n, bucket)| all.entry(*n).or_default().add(bucket));
        }
        self.age(now);
    }

    /// Merges minutes that no hour from now on asks for into their quarters, and forgets quarters that no day asks for.
    fn age(&mut self, now: Time) {
        let first_kept = first_in_minutes(now) * MINUTES_IN_QUARTER;
        while let Some(minute) = self.minutes.first_entry().filter(|minute| *minute.key() < first_kept) {
            let quarter = *minute.key() / MINUTES_IN_QUARTER;
            self.quarters.entry(quarter).or_default().add(&minute.remove());
        }
        while let Some(quarter) = self.quarters.first_entry().filter(|quarter| *quarter.key() < first_quarter(now)) {
            quarter.remove();
        }
    }
}

/// The first quarter that is kept by the minute: the one in which the hour up to `now` begins.
fn first_in_minutes(now: Time) -> u64 {
    before(now, HOUR) / QUARTER
}

/// The first quarter that is kept at all.
fn first_quarter(now: Time) -> u64 {
    before(now, DAY) / QUARTER
}

fn before(now: Time, span: u64) -> u64 {
    now.0.saturating_sub(span)
}

fn sum<'a>(buckets: impl Iterator<Item = (&'a u64, &'a Bucket)>) -> WindowFigures {
    let mut all = Bucket::default();
    buckets.for_each(|(_, bucket)| all.add(bucket));
    let Bucket { attempts, succeeded, latency } = all;
    let [p50, p95, p99] = [50, 95, 99].map(|percent| latency.percentile(percent));
    WindowFigures { attempts, succeeded, p50, p95, p99 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-02-19T10:30:00Z.
    const START: u64 = 1_771_497_000_000;

    fn counts(windows: &Windows, now: u64) -> [u64; 3] {
        let now = Time(now);
        [windows.five_minutes(now), windows.hour(now), windows.day(now)].map(|window| window.attempts)
    }

    #[test]
    fn an_attempt_leaves_each_window_with_its_bucket() {
        let mut windows = Windows::default();
        let at = START + 20_000;
        windows.note(Time(at), Millis(7), true, Time(at + 7));
        assert_eq!(counts(&windows, at + 7), [1, 1, 1]);
        assert_eq!(counts(&windows, START + 6 * MINUTE - 1), [1, 1, 1], "its minute began 5 min 59 s ago");
        assert_eq!(counts(&windows, START + 6 * MINUTE), [0, 1, 1]);
        assert_eq!(counts(&windows, START + HOUR + MINUTE - 1), [0, 1, 1]);
        assert_eq!(counts(&windows, START + HOUR + MINUTE), [0, 0, 1]);
        assert_eq!(counts(&windows, START + DAY + QUARTER - 1), [0, 0, 1]);
        assert_eq!(counts(&windows, START + DAY + QUARTER), [0, 0, 0]);
    }

    #[test]
    fn a_busy_day_is_kept_in_75_minutes_and_92_quarters() {
        let mut windows = Windows::default();
        for minute in 0..3 * 24 * 60 {
            let at = Time(START + minute * MINUTE);
            windows.note(at, Millis(minute % 40), true, at);
            assert!(windows.minutes.len() <= 75 && windows.quarters.len() <= 92);
        }
        assert_eq!((windows.minutes.len(), windows.quarters.len()), (75, 92));
        assert_eq!(counts(&windows, START + 3 * DAY - MINUTE), [6, 61, 24 * 60 + 15]);
    }

    #[test]
    fn two_added_up_tell_by_the_slot_what_their_windows_tell() {
        let (mut all, mut some) = (Windows::default(), Windows::default());
        for minute in 0..2 * 24 * 60 {
            let at = Time(START + minute * MINUTE);
            let one = if minute % 3 == 0 { &mut all } else { &mut some };
            one.note(at, Millis(minute % 40), minute % 2 == 0, at);
        }
        let now = Time(START + 2 * DAY + 3 * MINUTE);
        all.add(&some, now);
        for (slots, window, len, grain) in
            [(all.by_minute(now), all.hour(now), 61, MINUTE), (all.by_quarter(now), all.day(now), 97, QUARTER)]
        {
            assert_eq!(slots.len(), len);
            assert!(slots.windows(2).all(|pair| pair[1].start.0 - pair[0].start.0 == grain));
            assert_eq!(slots.iter().map(|slot| slot.figures.attempts).sum::<u64>(), window.attempts);
            assert_eq!(slots.iter().map(|slot| slot.figures.succeeded).sum::<u64>(), window.succeeded);
        }
        assert_eq!((all.hour(now).attempts, all.minutes.len() <= 75), (57, true));
    }

    proptest! {
        /// Attempts come late, out of order and after long silence; what is asked for is compared with all that ever was.
        #[test]
        fn windows_are_what_a_recount_in_whole_buckets_gives(
            steps in prop::collection::vec(
                (prop_oneof![4 => 0u64..5_000, 3 => 0..2 * QUARTER, 1 => 0..DAY], prop_oneof![8 => 0u64..60_000, 1 => 0..2 * DAY], 0u64..30_000, any::<bool>()),
                0..150,
            ),
            wait in prop_oneof![0u64..10 * MINUTE, 0..DAY],
        ) {
            let (mut windows, mut all, mut now) = (Windows::default(), Vec::new(), START);
            for (pause, late, took, has_succeeded) in steps {
                now += pause;
                windows.note(Time(now - late), Millis(took), has_succeeded, Time(now));
                all.push((now - late, took, has_succeeded));
            }
            let asked = now + wait;
            for (figures, span, grain) in [
                (windows.five_minutes(Time(asked)), 5 * MINUTE, MINUTE),
                (windows.hour(Time(asked)), HOUR, MINUTE),
                (windows.day(Time(asked)), DAY, QUARTER),
            ] {
                let first = (asked - span) / grain * grain;
                let within: Vec<_> = all.iter().filter(|(started, ..)| *started >= first).collect();
                prop_assert_eq!(figures.attempts, within.len() as u64);
                prop_assert_eq!(figures.succeeded, within.iter().filter(|(.., good)| *good).count() as u64);
                let mut latency = Latency::default();
                within.iter().for_each(|(_, took, _)| latency.note(Millis(*took)));
                let percentiles = [50, 95, 99].map(|percent| latency.percentile(percent));
                prop_assert_eq!([figures.p50, figures.p95, figures.p99], percentiles);
            }
        }
    }
}
