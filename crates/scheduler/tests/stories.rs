//! What the engine relies on, one short story each.

use std::num::NonZeroU32;

use postrider_core::ids::{DeliveryKey, Position, WebhookId};
use postrider_core::time::{Millis, Time};
use postrider_scheduler::{Lane, Limits, Residency, Scheduler};

const A: WebhookId = WebhookId(1);
const B: WebhookId = WebhookId(2);
const NOW: Time = Time(1_771_497_000_000);

fn key(number: u64) -> DeliveryKey {
    DeliveryKey { event: Position::from_u64(number), ordinal: 0 }
}

/// A scheduler at [`NOW`] with webhooks A and B at hosts of their own, both answered once in 10 ms.
fn scheduler() -> Scheduler {
    let mut scheduler = Scheduler::new(Limits::default());
    for (webhook, host, number) in [(A, "a:443", 1001), (B, "b:443", 1002)] {
        scheduler.add_webhook(webhook, host);
        scheduler.ready(key(number), webhook, Lane::Fresh);
        assert_eq!(picked(&mut scheduler), [number]);
        scheduler.finished(key(number), Millis(10));
    }
    assert!(!scheduler.advance(NOW));
    scheduler
}

/// Picks until there is nothing more.
fn picked(scheduler: &mut Scheduler) -> Vec<u64> {
    picked_at(scheduler, NOW)
}

fn picked_at(scheduler: &mut Scheduler, now: Time) -> Vec<u64> {
    std::iter::from_fn(|| scheduler.pick(now)).map(|pick| pick.key.event.to_u64()).collect()
}

#[test]
fn a_webhook_without_history_has_one_slot_until_its_first_answer() {
    let mut scheduler = Scheduler::new(Limits::default());
    scheduler.add_webhook(A, "a:443");
    (1..=50).for_each(|number| scheduler.ready(key(number), A, Lane::Fresh));
    assert_eq!(picked(&mut scheduler), [1]);
    scheduler.finished(key(1), Millis(10));
    assert_eq!(picked(&mut scheduler), (2..34).collect::<Vec<_>>(), "then as many as its cap");
}

#[test]
fn a_serial_webhook_has_one_attempt_in_flight_whatever_its_cap() {
    let mut scheduler = scheduler();
    (1..=3).for_each(|number| scheduler.ready(key(number), A, Lane::Fresh));
    assert_eq!(picked(&mut scheduler), [1, 2, 3]);
    scheduler.set_serial(A, true);
    scheduler.ready(key(4), A, Lane::Fresh);
    for number in [2, 1] {
        scheduler.finished(key(number), Millis(10));
        assert!(picked(&mut scheduler).is_empty(), "others are in flight still");
    }
    scheduler.finished(key(3), Millis(10));
    assert_eq!(picked(&mut scheduler), [4]);
    scheduler.ready(key(5), A, Lane::Fresh);
    scheduler.ready(key(6), B, Lane::Fresh);
    assert_eq!(picked(&mut scheduler), [6], "others are not held up");
    scheduler.set_serial(A, false);
    assert_eq!(picked(&mut scheduler), [5]);
}

#[test]
fn what_waits_for_a_webhook_can_be_let_go_while_the_rest_goes_on() {
    let mut scheduler = scheduler();
    scheduler.ready(key(1), A, Lane::Fresh);
    assert_eq!(picked(&mut scheduler), [1]);
    scheduler.ready(key(2), A, Lane::Retry);
    scheduler.sleep(key(3), A, NOW + Millis(5));
    scheduler.ready(key(4), B, Lane::Fresh);
    assert_eq!(scheduler.clear(A), 2);
    assert_eq!((scheduler.residency(key(2)), scheduler.residency(key(3))), (None, None));
    assert_eq!(picked(&mut scheduler), [4]);
    scheduler.finished(key(1), Millis(10));
    scheduler.ready(key(2), A, Lane::Retry);
    assert_eq!(picked(&mut scheduler), [2], "it is known still");
}

#[test]
fn lanes_are_first_in_first_out_and_take_turns() {
    let mut scheduler = scheduler();
    for number in 1..=4 {
        scheduler.ready(key(number), A, Lane::Fresh);
        scheduler.ready(key(number + 10), A, Lane::Retry);
    }
    scheduler.ready(key(5), A, Lane::Fresh);
    // The last one was fresh.
    assert_eq!(picked(&mut scheduler), [11, 1, 12, 2, 13, 3, 14, 4, 5]);
}

#[test]
fn a_held_webhook_keeps_its_queue_and_gathers_what_falls_due() {
    let mut scheduler = scheduler();
    scheduler.hold(A);
    scheduler.ready(key(1), A, Lane::Fresh);
    scheduler.sleep(key(2), A, NOW + Millis(100));
    scheduler.ready(key(3), B, Lane::Fresh);
    let later = NOW + Millis(200);
    assert!(!scheduler.advance(later));
    assert_eq!(picked_at(&mut scheduler, later), [3]);
    assert_eq!(scheduler.residency(key(2)), Some(Residency::Ready(Lane::Retry)));
    scheduler.release(A);
    assert_eq!(picked_at(&mut scheduler, later), [2, 1]);
}

#[test]
fn one_delivery_at_a_time_is_let_through_of_a_held_webhook() {
    let mut scheduler = scheduler();
    scheduler.hold(A);
    scheduler.let_one_through(A);
    assert!(picked(&mut scheduler).is_empty(), "there is none yet");
    scheduler.ready(key(1), A, Lane::Fresh);
    scheduler.ready(key(2), A, Lane::Fresh);
    scheduler.let_one_through(A);
    assert_eq!(picked(&mut scheduler), [1], "asked for twice, it is one");
    scheduler.finished(key(1), Millis(1));
    assert!(picked(&mut scheduler).is_empty());
    scheduler.let_one_through(A);
    assert_eq!(picked(&mut scheduler), [2]);
    scheduler.ready(key(3), A, Lane::Fresh);
    scheduler.let_one_through(A);
    scheduler.hold(A);
    assert!(picked(&mut scheduler).is_empty(), "held anew, nothing is left of what was asked for before");
    scheduler.let_one_through(B);
    scheduler.ready(key(4), B, Lane::Fresh);
    scheduler.hold(B);
    assert!(picked(&mut scheduler).is_empty(), "of one that is not held there is nothing to let through");
}

#[test]
fn a_dropped_webhook_takes_all_with_it_but_what_is_in_flight() {
    let mut scheduler = scheduler();
    (1..=3).for_each(|number| scheduler.ready(key(number), A, Lane::Fresh));
    assert_eq!(scheduler.pick(NOW).map(|pick| pick.key), Some(key(1)));
    scheduler.sleep(key(4), A, NOW + Millis(100));
    assert_eq!(scheduler.drop_webhook(A), 3);
    assert_eq!((scheduler.ready_len(), scheduler.asleep_len(), scheduler.in_flight()), (0, 0, 1));
    assert_eq!(scheduler.residency(key(2)), None);
    assert_eq!(scheduler.residency(key(1)), Some(Residency::InFlight));
    assert_eq!(scheduler.host_in_flight("a:443"), 1);
    scheduler.finished(key(1), Millis(10));
    assert_eq!((scheduler.in_flight(), scheduler.host_in_flight("a:443")), (0, 0));
    assert_eq!(scheduler.next_due(), None);
}

#[test]
fn a_sleeper_can_be_woken_or_forgotten_but_what_is_in_flight_cannot() {
    let mut scheduler = scheduler();
    let due = NOW + Millis::from_secs(3600);
    (1..=2).for_each(|number| scheduler.sleep(key(number), A, due));
    assert_eq!(scheduler.residency(key(1)), Some(Residency::Asleep(due)));
    assert!(scheduler.wake(key(1)) && scheduler.forget(key(2)) && !scheduler.forget(key(2)));
    assert_eq!(picked(&mut scheduler), [1]);
    assert!(!scheduler.wake(key(1)) && !scheduler.forget(key(1)));
}

#[test]
#[should_panic(expected = "resident already")]
fn a_delivery_handed_over_twice_would_be_sent_twice() {
    let mut scheduler = scheduler();
    scheduler.sleep(key(1), A, NOW + Millis(100));
    scheduler.ready(key(1), A, Lane::Fresh);
}

#[test]
#[should_panic(expected = "only by what holds it")]
fn a_delivery_that_is_queued_has_no_permit_to_give_back() {
    let mut scheduler = scheduler();
    scheduler.ready(key(1), A, Lane::Fresh);
    scheduler.finished(key(1), Millis(10));
}

#[test]
fn webhooks_of_one_host_share_its_cap() {
    let mut scheduler = Scheduler::new(Limits { per_host: 3, ..Limits::default() });
    for number in 1..=100 {
        scheduler.add_webhook(WebhookId(number), "shared:443");
        scheduler.ready(key(number), WebhookId(number), Lane::Fresh);
    }
    assert_eq!(picked(&mut scheduler), [1, 2, 3]);
    scheduler.finished(key(2), Millis(10));
    assert_eq!(picked(&mut scheduler), [4], "each permit that returns lets one more go");
    scheduler.set_host(WebhookId(50), "own:443");
    assert_eq!(picked(&mut scheduler), [50]);
}

#[test]
fn a_driver_that_sleeps_until_next_due_reaches_a_webhooks_rate() {
    let mut scheduler = scheduler();
    scheduler.set_rate(A, NonZeroU32::new(4));
    (1..=100).for_each(|number| scheduler.ready(key(number), A, Lane::Fresh));
    let (mut now, mut sent) = (NOW, 0);
    while now.since(NOW) < Millis(10_000) {
        for number in picked_at(&mut scheduler, now) {
            sent += 1;
            scheduler.finished(key(number), Millis(1));
        }
        now = scheduler.next_due().expect("its rate opens again");
    }
    assert_eq!(sent, 40);
    scheduler.set_rate(A, None);
    assert_eq!(picked_at(&mut scheduler, now).len(), 32, "without a rate, as many as its cap");
}

#[test]
fn a_webhook_that_turns_slow_counts_as_slow_with_all_that_it_holds() {
    let mut scheduler = Scheduler::new(Limits { global: 8, per_webhook: 8, per_host: 8 });
    scheduler.add_webhook(A, "a:443");
    (1..=20).for_each(|number| scheduler.ready(key(number), A, Lane::Fresh));
    assert_eq!(picked(&mut scheduler).len(), 1);
    scheduler.finished(key(1), Millis(10));
    assert_eq!(picked(&mut scheduler).len(), 8);
    scheduler.finished(key(2), Millis(15_000));
    assert_eq!((scheduler.slow_in_flight(), scheduler.in_flight()), (7, 7));
    assert!(picked(&mut scheduler).is_empty(), "it holds more than three quarters already");
    scheduler.finished(key(3), Millis(15_000));
    scheduler.finished(key(4), Millis(15_000));
    assert_eq!(picked(&mut scheduler), [10], "six of eight");
}

#[test]
fn one_that_comes_back_from_idleness_neither_jumps_the_queue_nor_waits_for_it() {
    let mut scheduler = scheduler();
    (1..=200).for_each(|number| scheduler.ready(key(number), A, Lane::Fresh));
    // A takes turns for a second of slot time while B has nothing.
    for number in 1..=100 {
        assert_eq!(scheduler.pick(NOW).map(|pick| pick.key), Some(key(number)));
        scheduler.finished(key(number), Millis(10));
    }
    (501..=600).for_each(|number| scheduler.ready(key(number), B, Lane::Fresh));
    let mut turns = [0, 0];
    for _ in 0..20 {
        let pick = scheduler.pick(NOW).expect("both wait");
        turns[usize::from(pick.webhook == B)] += 1;
        scheduler.finished(pick.key, Millis(10));
    }
    assert_eq!(turns, [10, 10]);
}

#[test]
fn a_guess_that_was_wrong_is_charged_when_the_attempt_ends() {
    let mut scheduler = scheduler();
    for number in 1..=300 {
        scheduler.ready(key(number), A, Lane::Fresh);
        scheduler.ready(key(number + 500), B, Lane::Fresh);
    }
    // One of A's takes 800 ms where 10 were expected.
    let first = scheduler.pick(NOW).expect("both wait");
    assert_eq!(first.webhook, A);
    scheduler.finished(first.key, Millis(800));
    let turns_of_b = std::iter::from_fn(|| {
        let pick = scheduler.pick(NOW)?;
        scheduler.finished(pick.key, Millis(10));
        Some(pick.webhook)
    });
    let turns_of_b = turns_of_b.take_while(|&webhook| webhook == B).count();
    assert!((75..=85).contains(&turns_of_b), "B makes up for it with {turns_of_b} turns");
}
