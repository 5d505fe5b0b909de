//! Timestamps that do not repeat within a workspace and type, for receivers that recognise an event by them.
//!
//! A taken time moves to the next free millisecond within a second of it; when these thousand are all taken, to microseconds, of which
//! its calendar second has 999,000 beside its milliseconds; then to the next. Taken milliseconds are kept as runs, so that a burst costs
//! one entry. They stay taken when their events are let go. Of one type no more than 16,384 runs are kept: then the gap between the two
//! oldest counts as taken, so that an event which claims a time in it is moved by microseconds though it need not be.

use std::collections::BTreeMap;

use crate::fact::TakenTimes;
use crate::ids::WorkspaceId;
use crate::time::Time;

/// The timestamps taken so far, by workspace and type. Costs about 50 bytes for each run of adjacent milliseconds, of which there are so
/// many at the most in each type.
const RUNS_MAX: usize = 16_384;
/// Runs in one part of what is restated.
const RUNS_IN_PART_MAX: usize = 4_096;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timestamps {
    taken: BTreeMap<WorkspaceId, BTreeMap<Box<str>, Taken>>,
}

/// What one type of one workspace has taken.
#[derive(Clone, Debug, Default, PartialEq)]
struct Taken {
    /// First millisecond → last millisecond of a run.
    millis: BTreeMap<u64, u64>,
    /// Second → the last microsecond within it that was given out.
    micros: BTreeMap<u64, u32>,
    /// Before this second no microseconds are given out.
    micros_from: u64,
}

impl Timestamps {
    /// The first free timestamp at or after `created`. A text that is not a time (no profile with unique times lets one in) stays as it is.
    pub(super) fn free_from(&self, workspace: WorkspaceId, event_type: &str, created: &str) -> Box<str> {
        let taken = self.taken.get(&workspace).and_then(|types| types.get(event_type));
        match (taken, created.parse::<Time>()) {
            (Some(taken), Ok(wish)) => taken.free_from(wish.0).to_string().into(),
            _ => created.into(),
        }
    }

    /// Marks the timestamp of an accepted event as taken.
    pub(super) fn take(&mut self, workspace: WorkspaceId, event_type: &str, created: &str) {
        let Some(stamp) = Stamp::parse(created) else { return };
        let types = self.taken.entry(workspace).or_default();
        match types.get_mut(event_type) {
            Some(taken) => taken.take(stamp),
            None => types.entry(event_type.into()).or_default().take(stamp),
        }
    }

    /// All of it, in parts of a bounded size.
    pub(super) fn restate(&self) -> impl Iterator<Item = TakenTimes> {
        let types = self.taken.iter().flat_map(|(workspace, types)| types.iter().map(|of_type| (*workspace, of_type)));
        types.flat_map(|(workspace, (event_type, taken))| taken.restate(workspace, event_type))
    }

    /// Takes in a part of what was restated.
    pub(super) fn take_back(&mut self, restated: &TakenTimes) {
        let types = self.taken.entry(restated.workspace).or_default();
        let taken = types.entry(restated.event_type.clone()).or_default();
        taken.millis.extend(restated.millis.iter().copied());
        taken.micros.extend(restated.micros.iter().copied());
        taken.micros_from = restated.micros_from;
    }

    /// Forgets a workspace.
    pub(super) fn forget(&mut self, workspace: WorkspaceId) {
        self.taken.remove(&workspace);
    }
}

const SECONDS_AHEAD_MAX: usize = 86_400;

/// A timestamp: a whole millisecond, or a microsecond between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Millis(u64),
    /// The second and the microsecond within it; never a whole millisecond.
    Micros(u64, u32),
}

impl Stamp {
    fn parse(text: &str) -> Option<Stamp> {
        let at: jiff::Timestamp = text.parse().ok()?;
        let micros = u64::try_from(at.as_microsecond()).ok()?;
        match micros % 1000 {
            0 => Some(Stamp::Millis(micros / 1000)),
            _ => Some(Stamp::Micros(micros / 1_000_000, (micros % 1_000_000) as u32)),
        }
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stamp::Millis(ms) => Time(*ms).fmt(f),
            Stamp::Micros(second, micros) => {
                let at = jiff::Timestamp::from_microsecond((second * 1_000_000) as i64 + i64::from(*micros));
                write!(f, "{:.6}", at.map_err(|_| std::fmt::Error)?)
            }
        }
    }
}

impl Taken {
    /// The first free stamp at or after `wish`, looking at most a day ahead: no one fills 86 billion microseconds.
    fn free_from(&self, mut wish: u64) -> Stamp {
        for _ in 0..SECONDS_AHEAD_MAX {
            let second = wish / 1000;
            let free = match self.millis.range(..=wish).next_back() {
                Some((_, &last)) if last >= wish => last + 1,
                _ => wish,
            };
            if free < wish + 1000 {
                return Stamp::Millis(free);
            }
            if second < self.micros_from {
                wish = self.micros_from * 1000;
                continue;
            }
            let last = self.micros.get(&second).copied().unwrap_or(0).max((wish % 1000) as u32 * 1000);
            let next = if (last + 1).is_multiple_of(1000) { last + 2 } else { last + 1 };
            if next < 1_000_000 {
                return Stamp::Micros(second, next);
            }
            wish = (second + 1) * 1000;
        }
        Stamp::Millis(wish)
    }

    fn take(&mut self, stamp: Stamp) {
        match stamp {
            Stamp::Micros(second, micros) => {
                let last = self.micros.entry(second).or_default();
                *last = micros.max(*last);
            }
            Stamp::Millis(ms) => {
                let before = self.millis.range(..=ms).next_back().map(|(&first, &last)| (first, last));
                if before.is_some_and(|(_, last)| last >= ms) {
                    return;
                }
                let first = before.filter(|&(_, last)| last + 1 == ms).map_or(ms, |(first, _)| first);
                let last = self.millis.remove(&(ms + 1)).unwrap_or(ms);
                self.millis.insert(first, last);
            }
        }
        self.bound();
    }
}

impl Taken {
    fn restate(&self, workspace: WorkspaceId, event_type: &str) -> Vec<TakenTimes> {
        let part = |millis, micros| TakenTimes {
            workspace,
            event_type: event_type.into(),
            millis,
            micros,
            micros_from: self.micros_from,
        };
        let millis: Vec<_> = self.millis.iter().map(|(first, last)| (*first, *last)).collect();
        let micros: Vec<_> = self.micros.iter().map(|(second, last)| (*second, *last)).collect();
        let of_millis = millis.chunks(RUNS_IN_PART_MAX).map(|runs| part(runs.to_vec(), Vec::new()));
        of_millis.chain(micros.chunks(RUNS_IN_PART_MAX).map(|seconds| part(Vec::new(), seconds.to_vec()))).collect()
    }

    /// The two oldest runs become one, and the oldest second goes: no time repeats for that, and some that are free count as taken.
    fn bound(&mut self) {
        if self.millis.len() > RUNS_MAX
            && let (Some((first, _)), Some((_, last))) = (self.millis.pop_first(), self.millis.pop_first())
        {
            self.millis.insert(first, last);
        }
        if self.micros.len() > RUNS_MAX
            && let Some((second, _)) = self.micros.pop_first()
        {
            self.micros_from = second + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn workspace() -> WorkspaceId {
        WorkspaceId(crate::ids::Position::new(0, 0))
    }

    fn publish(stamps: &mut Timestamps, created: &str) -> String {
        let free = stamps.free_from(workspace(), "EMAIL_SENT", created);
        stamps.take(workspace(), "EMAIL_SENT", &free);
        free.into()
    }

    #[test]
    fn a_taken_time_moves_to_the_next_free_millisecond() {
        let mut stamps = Timestamps::default();
        let noon = "2026-02-19T12:00:00.000Z";
        assert_eq!(publish(&mut stamps, noon), noon);
        assert_eq!(publish(&mut stamps, noon), "2026-02-19T12:00:00.001Z");
        assert_eq!(publish(&mut stamps, "2026-02-19T12:00:00.001Z"), "2026-02-19T12:00:00.002Z");
        assert_eq!(publish(&mut stamps, "2026-02-19T11:59:59.999Z"), "2026-02-19T11:59:59.999Z");
    }

    #[test]
    fn past_a_thousand_in_a_second_it_goes_on_in_microseconds() {
        let mut stamps = Timestamps::default();
        let noon = "2026-02-19T12:00:00.000Z";
        let written: Vec<_> = (0..3000).map(|_| publish(&mut stamps, noon)).collect();
        assert_eq!(written[999], "2026-02-19T12:00:00.999Z");
        assert_eq!(written[1000], "2026-02-19T12:00:00.000001Z");
        assert_eq!(written[1999], "2026-02-19T12:00:00.001001Z");
        assert_eq!(written.iter().collect::<BTreeSet<_>>().len(), 3000);
    }

    #[test]
    fn a_burst_late_in_a_second_goes_on_in_milliseconds_of_the_next() {
        let mut stamps = Timestamps::default();
        let late = "2026-02-19T12:00:00.950Z";
        let written: Vec<_> = (0..1001).map(|_| publish(&mut stamps, late)).collect();
        assert_eq!(written[50], "2026-02-19T12:00:01.000Z");
        assert_eq!(written[999], "2026-02-19T12:00:01.949Z");
        assert_eq!(written[1000], "2026-02-19T12:00:00.950001Z");
    }

    #[test]
    fn memory_is_bounded_and_still_no_time_repeats() {
        let mut stamps = Timestamps::default();
        let mut seen = BTreeSet::new();
        // Every other second, then the same again: all in gaps or runs by then.
        for wish in (0..40_000_u64).chain(0..40_000).map(|n| n * 2_000) {
            let given = publish(&mut stamps, &Time(wish).to_string());
            assert!(given.parse::<Time>().expect("a time").0 >= wish);
            assert!(seen.insert(given));
        }
        let taken = &stamps.taken[&workspace()]["EMAIL_SENT"];
        assert!(taken.millis.len() <= RUNS_MAX && taken.micros.len() <= RUNS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_restated_is_what_was_taken(wishes in prop::collection::vec(0u64..3_000, 0..5_000)) {
            let (mut stamps, mut again) = (Timestamps::default(), Timestamps::default());
            wishes.iter().for_each(|wish| drop(publish(&mut stamps, &Time(*wish).to_string())));
            stamps.restate().for_each(|part| again.take_back(&part));
            prop_assert_eq!(again, stamps);
        }

        #[test]
        fn no_timestamp_repeats_and_none_goes_back(wishes in prop::collection::vec(0u64..4000, 1..6000)) {
            let mut stamps = Timestamps::default();
            let mut seen = BTreeSet::new();
            for wish in wishes {
                let given = publish(&mut stamps, &Time(wish).to_string());
                let at: Time = given.parse().expect("a time");
                prop_assert!(at.0 >= wish, "{given} is before {wish}");
                prop_assert!(seen.insert(given));
            }
        }
    }
}
