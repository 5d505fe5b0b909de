//! What the scheduler costs: nanoseconds an operation of the wheel and of the whole, and a hash of what came out.

use std::time::Instant;

use postrider_benches::{Hash, Scale, report, spread};
use postrider_core::ids::{DeliveryKey, Position, WebhookId};
use postrider_core::time::{Millis, Time};
use postrider_scheduler::wheel::Wheel;
use postrider_scheduler::{Lane, Limits, Scheduler};

const NOW: u64 = 1_771_497_000_000;
const HALF_A_DAY_MS: u64 = 12 * 60 * 60 * 1000;

fn main() {
    let scale = Scale::of_arguments();
    let (sleepers, turns) = (scale.pick(1_000_000, 1_000), scale.pick(1_000_000, 1_000));
    let mut hash = Hash::new();
    wheel(sleepers, &mut hash);
    sleep(sleepers, &mut hash);
    for webhooks in [1, 100, 10_000] {
        turn(&format!("{webhooks} webhooks, a host each"), webhooks, turns, &mut hash, |webhook| {
            format!("host-{webhook}:443")
        });
        turn(&format!("{webhooks} webhooks at one host"), webhooks, turns, &mut hash, |_| "host:443".into());
    }
    blocked(turns, &mut hash);
    hash.report();
}

fn key(number: u64) -> DeliveryKey {
    DeliveryKey { event: Position::from_u64(number), ordinal: 0 }
}

/// The wheel by itself, filled, thinned by half and fired.
fn wheel(sleepers: u64, hash: &mut Hash) {
    let mut wheel = Wheel::new();
    let mut out = Vec::with_capacity(sleepers as usize);
    let mut now = NOW;
    // Twice, because the first filling pays for the memory.
    for round in ["an insert into a new wheel", "an insert into a used wheel"] {
        while wheel.advance(Time(now), 1, &mut out) {}
        let started = Instant::now();
        let handles: Vec<_> = (0..sleepers)
            .map(|number| wheel.insert(Time(now + spread(number) % HALF_A_DAY_MS), number as u32))
            .collect();
        report(round, sleepers, started.elapsed());
        let started = Instant::now();
        for handle in handles.iter().step_by(2) {
            hash.take(wheel.cancel(*handle).map_or(0, u64::from));
        }
        report("a cancel", sleepers / 2, started.elapsed());
        let (started, before) = (Instant::now(), out.len());
        now += HALF_A_DAY_MS;
        while wheel.advance(Time(now + 16), 4096, &mut out) {}
        report("a firing, with its cascades", (out.len() - before) as u64, started.elapsed());
    }
    out.iter().for_each(|&item| hash.take(u64::from(item)));
}

/// Deliveries that sleep and wake in the scheduler.
fn sleep(sleepers: u64, hash: &mut Hash) {
    let mut scheduler = Scheduler::new(Limits::default());
    assert!(!scheduler.advance(Time(NOW)));
    (1..=1000).for_each(|webhook| scheduler.add_webhook(WebhookId(webhook), &format!("host-{webhook}:443")));
    let started = Instant::now();
    for number in 0..sleepers {
        scheduler.sleep(key(number), WebhookId(1 + number % 1000), Time(NOW + spread(number) % HALF_A_DAY_MS));
    }
    report("a sleep", sleepers, started.elapsed());
    let started = Instant::now();
    let mut now = NOW;
    while scheduler.asleep_len() > 0 {
        now += 100;
        while scheduler.advance(Time(now)) {}
    }
    report("a waking, looked at every 100 ms", sleepers, started.elapsed());
    hash.take(scheduler.ready_len() as u64);
}

/// Turns in a steady state: everything is queued, as many as may be are in flight, each answer is followed by a pick.
fn turn(what: &str, webhooks: u64, turns: u64, hash: &mut Hash, host: impl Fn(u64) -> String) {
    let mut scheduler = Scheduler::new(Limits::default());
    let mut next = 0;
    let mut queue = |scheduler: &mut Scheduler, webhook| {
        next += 1;
        scheduler.ready(key(next), webhook, Lane::Fresh);
    };
    for webhook in 1..=webhooks {
        scheduler.add_webhook(WebhookId(webhook), &host(webhook));
        (0..40).for_each(|_| queue(&mut scheduler, WebhookId(webhook)));
    }
    let mut in_flight = std::collections::VecDeque::new();
    let (mut picks, mut pick_ns, mut rest_ns) = (0, Vec::new(), Vec::new());
    while picks < turns {
        // In batches, so that reading the clock costs nothing; their median, so that what else runs here does not count.
        let (started, before) = (Instant::now(), in_flight.len());
        in_flight.extend(std::iter::from_fn(|| scheduler.pick(Time(NOW))).take(64));
        let picked = (in_flight.len() - before) as u64;
        pick_ns.push(started.elapsed().as_nanos() as u64 / picked.max(1));
        picks += picked;
        let started = Instant::now();
        for pick in in_flight.drain(..in_flight.len().min(64)) {
            scheduler.finished(pick.key, Millis(5 + spread(pick.key.event.to_u64()) % 100));
            queue(&mut scheduler, pick.webhook);
            hash.take(pick.key.event.to_u64());
        }
        rest_ns.push(started.elapsed().as_nanos() as u64 / picked.max(1));
    }
    let median = |mut ns: Vec<u64>| {
        let middle = ns.len() / 2;
        *ns.select_nth_unstable(middle).1
    };
    println!("{:>8} ns  a pick; {} ns to finish and queue another: {what}", median(pick_ns), median(rest_ns));
}

/// Picks in vain: 10,000 webhooks wait at hosts that are full.
fn blocked(turns: u64, hash: &mut Hash) {
    let mut scheduler = Scheduler::new(Limits { per_host: 1, ..Limits::default() });
    for number in 1..=10_000 {
        scheduler.add_webhook(WebhookId(number), &format!("host-{}:443", number % 100));
        scheduler.ready(key(number), WebhookId(number), Lane::Fresh);
    }
    while scheduler.pick(Time(NOW)).is_some() {}
    let started = Instant::now();
    let picked = (0..turns).filter(|_| scheduler.pick(Time(NOW)).is_some()).count();
    report("a pick in vain, 10,000 webhooks at full hosts", turns, started.elapsed());
    hash.take(picked as u64 + u64::from(scheduler.in_flight()));
}
