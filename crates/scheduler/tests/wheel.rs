//! The wheel against a sorted map, and a few stories.

use std::collections::BTreeMap;

use postrider_core::time::Time;
use postrider_scheduler::wheel::{Handle, TICK_MS, Wheel};
use proptest::prelude::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const NOTHING: [u32; 0] = [];

/// Fires all that is due, `budget` entries a step.
fn fire(wheel: &mut Wheel<u32>, now: u64, budget: usize) -> Vec<u32> {
    let mut out = Vec::new();
    while wheel.advance(Time(now), budget, &mut out) {}
    out
}

#[test]
fn an_entry_fires_at_the_first_tick_that_is_not_early() {
    for due in [1, 15, 16, 17, 4095, 4096, 1_771_497_000_123] {
        let mut wheel = Wheel::new();
        wheel.insert(Time(due), 7);
        assert_eq!(fire(&mut wheel, due - 1, 1), NOTHING, "{due}");
        assert_eq!(fire(&mut wheel, due + TICK_MS - 1, 1), [7], "{due}");
    }
}

#[test]
fn a_clock_that_jumps_a_year_fires_all_in_order_and_steps_over_what_is_empty() {
    let mut wheel = Wheel::new();
    let start = 1_771_497_000_000;
    assert_eq!(fire(&mut wheel, start, 1), NOTHING);
    for day in (0..400).rev() {
        wheel.insert(Time(start + day * DAY_MS), day as u32);
    }
    let mut out = Vec::new();
    let mut steps = 0;
    while wheel.advance(Time(start + 365 * DAY_MS), 1, &mut out) {
        steps += 1;
    }
    assert_eq!(out, (0..=365).collect::<Vec<_>>());
    assert!(steps <= 400 * 8, "each entry is moved once a level at the most, not {steps} steps");
}

#[test]
fn the_farthest_time_of_all_sleeps_on() {
    let mut wheel = Wheel::new();
    wheel.insert(Time(u64::MAX), 1);
    assert_eq!(fire(&mut wheel, u64::MAX - 1, 9), NOTHING);
    assert_eq!(wheel.len(), 1);
}

#[test]
fn a_clock_that_turns_back_fires_nothing_and_loses_nothing() {
    let mut wheel = Wheel::new();
    wheel.insert(Time(9_000_000), 1);
    assert_eq!(fire(&mut wheel, 5_000_000, 9), NOTHING);
    wheel.insert(Time(5_100_000), 2);
    assert_eq!(fire(&mut wheel, 1_000, 9), NOTHING);
    wheel.insert(Time(2_000), 3);
    assert_eq!(fire(&mut wheel, 4_000_000, 9), NOTHING, "not before the clock is back where it was");
    assert_eq!(fire(&mut wheel, 9_000_016, 9), [3, 2, 1]);
}

#[test]
fn a_handle_is_stale_once_its_entry_fired_even_when_the_place_is_taken_again() {
    let mut wheel = Wheel::new();
    let first = wheel.insert(Time(10), 1);
    assert_eq!(fire(&mut wheel, 100, 9), [1]);
    let second = wheel.insert(Time(200), 2);
    assert_eq!((wheel.cancel(first), wheel.due(first)), (None, None));
    assert_eq!(wheel.due(second), Some(Time(200)));
    assert_eq!((wheel.cancel(second), wheel.cancel(second)), (Some(2), None));
    assert!(wheel.is_empty() && wheel.next_due().is_none());
}

#[test]
fn a_driver_that_sleeps_until_next_due_wakes_a_few_times_and_never_late() {
    let mut wheel = Wheel::new();
    let start = 1_771_497_000_000;
    fire(&mut wheel, start, 1);
    wheel.insert(Time(start + 30 * DAY_MS), 1);
    let mut wakes = 0;
    loop {
        let now = wheel.next_due().expect("it still sleeps");
        wakes += 1;
        if !fire(&mut wheel, now.0, 9).is_empty() {
            assert!(now.0 >= start + 30 * DAY_MS && now.0 < start + 30 * DAY_MS + TICK_MS);
            break;
        }
    }
    assert!(wakes <= 8, "{wakes} wakes for one sleeper");
}

#[derive(Clone, Debug)]
enum Op {
    /// So long from now, or before it.
    Insert {
        ahead: u64,
        back: u64,
    },
    Cancel(usize),
    /// One call: it may leave some for later.
    Step {
        ahead: u64,
        budget: usize,
    },
    /// Calls until nothing more is due.
    Advance {
        ahead: u64,
    },
}

/// Spans that lie on, before and behind the borders of levels, and others of every size.
fn span() -> impl Strategy<Value = u64> {
    let border = (0..6u32, 0..3u64, 0..3 * TICK_MS)
        .prop_map(|(level, times, off)| ((times << (8 * level)) * TICK_MS + off).saturating_sub(TICK_MS));
    prop_oneof![4 => border, 2 => 0..100u64, 2 => 0..DAY_MS, 1 => 0..800 * DAY_MS]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (span(), prop_oneof![9 => Just(0), 1 => 0..1000u64]).prop_map(|(ahead, back)| Op::Insert { ahead, back }),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => (span(), 0..5usize).prop_map(|(ahead, budget)| Op::Step { ahead, budget }),
        1 => span().prop_map(|ahead| Op::Advance { ahead }),
    ]
}

/// An entry in the model, which knows no slots: only when each entry is due.
struct Sleeper {
    tick: u64,
    /// It was due when it was inserted: it has no place in the order.
    late: bool,
    handle: Handle,
}

#[derive(Default)]
struct Model {
    asleep: BTreeMap<u32, Sleeper>,
    last_tick: u64,
}

impl Model {
    fn fired(&mut self, out: &[u32], now: u64) -> Result<(), TestCaseError> {
        for item in out {
            let sleeper = self.asleep.remove(item).ok_or_else(|| TestCaseError::fail("fired, but not asleep"))?;
            prop_assert!(sleeper.tick * TICK_MS <= now, "early");
            if !sleeper.late {
                prop_assert!(sleeper.tick >= self.last_tick, "out of order");
                self.last_tick = sleeper.tick;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_wheel_does_what_a_sorted_map_does(
        start in prop_oneof![Just(0), Just(1_771_497_000_000), ((1u64 << 32) - 300) * TICK_MS..(1u64 << 32) * TICK_MS],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let (mut wheel, mut model, mut now) = (Wheel::new(), Model::default(), start);
        prop_assert_eq!(fire(&mut wheel, start, 1), NOTHING);
        for (number, op) in ops.into_iter().enumerate() {
            let mut out = Vec::new();
            match op {
                Op::Insert { ahead, back } => {
                    let due = (now + ahead).saturating_sub(back);
                    let handle = wheel.insert(Time(due), number as u32);
                    let tick = due.div_ceil(TICK_MS);
                    model.asleep.insert(number as u32, Sleeper { tick, late: tick * TICK_MS <= now, handle });
                }
                Op::Cancel(which) => {
                    let Some(&item) = model.asleep.keys().nth(which % model.asleep.len().max(1)) else { continue };
                    let sleeper = model.asleep.remove(&item);
                    let handle = sleeper.expect("just seen").handle;
                    prop_assert_eq!(wheel.cancel(handle), Some(item));
                    prop_assert_eq!(wheel.cancel(handle), None);
                }
                Op::Step { ahead, budget } => {
                    now += ahead;
                    let more = wheel.advance(Time(now), budget, &mut out);
                    prop_assert!(out.len() <= budget);
                    model.fired(&out, now)?;
                    let due = model.asleep.values().any(|sleeper| sleeper.tick * TICK_MS <= now);
                    prop_assert!(more || !due, "it says that nothing more is due");
                }
                Op::Advance { ahead } => {
                    now += ahead;
                    out = fire(&mut wheel, now, 3);
                    model.fired(&out, now)?;
                    prop_assert!(model.asleep.values().all(|sleeper| sleeper.tick * TICK_MS > now), "late");
                }
            }
            prop_assert_eq!(wheel.len(), model.asleep.len());
            prop_assert_eq!(wheel.is_empty(), model.asleep.is_empty());
            prop_assert_eq!(wheel.next_due().is_some(), !model.asleep.is_empty());
            let first = model.asleep.values().filter(|sleeper| sleeper.tick * TICK_MS > now).map(|sleeper| sleeper.tick).min();
            if let (Some(first), Some(bound)) = (first, wheel.next_due()) {
                prop_assert!(bound.0 <= first * TICK_MS, "a driver would oversleep");
            }
        }
        let out = fire(&mut wheel, now + 3000 * DAY_MS * 365, 100);
        model.fired(&out, now + 3000 * DAY_MS * 365)?;
        prop_assert!(wheel.is_empty() && model.asleep.is_empty());
    }
}
