//! Who gets how much when webhooks compete: receivers that answer after a fixed time, in simulated time.

use std::collections::BTreeSet;

use postrider_core::ids::{DeliveryKey, Position, WebhookId};
use postrider_core::time::{Millis, Time};
use postrider_scheduler::{Lane, Limits, Scheduler};
use proptest::prelude::*;

/// A receiver with an endless queue.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    answers_after: u64,
    lane: Lane,
}

const HEALTHY: Receiver = Receiver { answers_after: 10, lane: Lane::Fresh };
const HANGING: Receiver = Receiver { answers_after: 15_000, lane: Lane::Fresh };
const FAILING: Receiver = Receiver { answers_after: 10, lane: Lane::Retry };

/// What each receiver got, after a warm-up.
struct Shares {
    turns: Vec<u64>,
    /// Milliseconds for which it held slots, over those that passed: slots held on average.
    slots: Vec<f64>,
    retries_most: u32,
}

fn queue(scheduler: &mut Scheduler, next: &mut u64, receivers: &[Receiver], which: usize) {
    *next += 1;
    let key = DeliveryKey { event: Position::from_u64(*next), ordinal: which as u32 };
    scheduler.ready(key, WebhookId(which as u64 + 1), receivers[which].lane);
}

fn run(limits: Limits, receivers: &[Receiver], seconds: u64) -> Shares {
    let mut scheduler = Scheduler::new(limits);
    let mut next = 0;
    for which in 0..receivers.len() {
        scheduler.add_webhook(WebhookId(which as u64 + 1), &format!("receiver-{which}:443"));
        (0..limits.global * 2).for_each(|_| queue(&mut scheduler, &mut next, receivers, which));
    }
    let mut answers = BTreeSet::new();
    let (mut turns, mut held_ms, mut retries_most) = (vec![0; receivers.len()], vec![0; receivers.len()], 0);
    // Two answers of the slowest, so that all means are known.
    let (warm, end) = (31_000, 31_000 + seconds * 1000);
    let mut now = 0;
    while now < end {
        while let Some(pick) = scheduler.pick(Time(now)) {
            let which = pick.key.ordinal as usize;
            queue(&mut scheduler, &mut next, receivers, which);
            let answered = now + receivers[which].answers_after;
            answers.insert((answered, pick.key));
            turns[which] += u64::from(now >= warm);
            held_ms[which] += answered.clamp(warm, end) - now.clamp(warm, end);
        }
        retries_most = retries_most.max(scheduler.retries_in_flight());
        assert!(scheduler.in_flight() <= limits.global);
        let (answered, key) = answers.pop_first().expect("with endless queues something is in flight");
        now = answered;
        scheduler.finished(key, Millis(receivers[key.ordinal as usize].answers_after));
    }
    let slots = held_ms.iter().map(|&held| held as f64 / (end - warm) as f64).collect();
    Shares { turns, slots, retries_most }
}

fn open(global: u32) -> Limits {
    Limits { global, per_webhook: global, per_host: global }
}

#[test]
fn a_hanging_webhook_among_three_healthy_gets_its_quarter_of_the_slots_and_few_turns() {
    let shares = run(open(8), &[HANGING, HEALTHY, HEALTHY, HEALTHY], 300);
    assert!((1.5..=2.5).contains(&shares.slots[0]), "a quarter of 8 slots, not {}", shares.slots[0]);
    let healthy: u64 = shares.turns[1..].iter().sum();
    // Six slots for 300 s at 10 ms are 180,000 turns; two at 15 s are 40.
    assert!(healthy >= 160_000, "{healthy} turns of the healthy");
    assert!((30..=50).contains(&shares.turns[0]), "{} turns of the hanging", shares.turns[0]);
}

#[test]
fn hanging_webhooks_in_any_number_leave_a_quarter_to_one_healthy() {
    let mut receivers = vec![HANGING; 40];
    receivers.push(HEALTHY);
    let shares = run(open(16), &receivers, 120);
    assert!((3.5..=4.5).contains(&shares.slots[40]), "{} of 16 slots", shares.slots[40]);
    assert!(shares.turns[40] >= 40_000, "{} turns", shares.turns[40]);
}

#[test]
fn hanging_webhooks_alone_use_three_quarters_and_retries_alone_a_half() {
    let hanging: f64 = run(open(16), &[HANGING; 30], 120).slots.iter().sum();
    assert!((11.5..12.01).contains(&hanging), "{hanging}");
    let failing: f64 = run(open(16), &[FAILING; 30], 10).slots.iter().sum();
    assert!((7.9..8.01).contains(&failing), "{failing}");
}

#[test]
fn a_thousand_failing_webhooks_leave_half_of_the_slots_to_one_healthy() {
    let mut receivers = vec![FAILING; 1000];
    receivers.push(HEALTHY);
    let shares = run(open(16), &receivers, 10);
    assert_eq!(shares.retries_most, 8);
    assert!((7.9..8.01).contains(&shares.slots[1000]), "{} of 16 slots", shares.slots[1000]);
}

/// Each kind's share of the slots, by the rules: equal for each webhook, but the slow ones together at most three quarters and the
/// retries at most half; what a kind may not use falls to the others.
fn expected(global: f64, healthy: f64, hanging: f64, failing: f64) -> [f64; 3] {
    let (slow_max, retry_max) = ((global * 0.75).floor(), (global * 0.5).floor());
    let split = |slots: f64, kind: f64| slots * kind / (healthy + hanging + failing);
    let (slow, retries) = (split(global, hanging), split(global, failing));
    if slow <= slow_max && retries <= retry_max {
        return [global - slow - retries, slow, retries];
    }
    if slow > slow_max {
        let rest = global - slow_max;
        let retries = (rest * failing / (healthy + failing)).min(retry_max);
        return [rest - retries, slow_max, retries];
    }
    let rest = global - retry_max;
    let slow = (rest * hanging / (healthy + hanging)).min(slow_max);
    [rest - slow, slow, retry_max]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// The shares: every webhook that competes holds the same number of slots on average, whatever its slot time, up to the caps on
    /// its kind. So one that answers in 10 ms gets 1,500 turns for each turn of one that hangs for 15 s.
    #[test]
    fn each_kind_gets_its_share_of_the_slots(global in 8..24u32, healthy in 1..5usize, hanging in 0..6usize, failing in 0..6usize) {
        let mut receivers = vec![HEALTHY; healthy];
        receivers.extend(vec![HANGING; hanging]);
        receivers.extend(vec![FAILING; failing]);
        let shares = run(open(global), &receivers, 180);
        let wanted = expected(f64::from(global), healthy as f64, hanging as f64, failing as f64);
        let kinds = [0..healthy, healthy..healthy + hanging, healthy + hanging..receivers.len()];
        for (kind, wanted) in kinds.into_iter().zip(wanted) {
            let held: f64 = shares.slots[kind.clone()].iter().sum();
            prop_assert!((held - wanted).abs() <= wanted * 0.1 + 0.75, "{kind:?} of {global} held {held:.2}, not {wanted:.2}");
            for which in kind.clone() {
                let (slots, share) = (shares.slots[which], held / kind.len() as f64);
                prop_assert!((slots - share).abs() <= share * 0.1 + 0.75, "{which} of {kind:?} held {slots:.2}, not {share:.2}");
            }
        }
    }
}
