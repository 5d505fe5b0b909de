//! What the scheduler costs: nanoseconds an operation of the wheel and of the whole, and a hash of what came out.
//!
//! `cargo bench -p postrider-benches --bench wheel` measures; without `--bench` it runs tiny, as a test that it still works.

use std::time::Instant;

use postrider_core::ids::{DeliveryKey, Position, WebhookId};
use postrider_core::time::{Millis, Time};
use postrider_scheduler::wheel::Wheel;
use postrider_scheduler::{Lane, Limits, Scheduler};

const NOW: u64 = 1_771_497_000_000;
const HALF_A_DAY_MS: u64 = 12 * 60 * 60 * 1000;

fn main() {
    let full = std::env::args().any(|arg| arg == "--bench");
    let sleepers: u64 = if full { 1_000_000 } else { 1_000 };
    let turns: u64 = if full { 1_000_000 } else { 1_000 };
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    wheel(sleepers, &mut hash);
    sleep(sleepers, &mut hash);
    for webhooks in [1, 100, 10_000] {
        turn(
            &format!("{webhooks} webhooks, a host each"),
            webhooks,
            turns,
            &mut hash,
            |webhook| format!("host-{webhook}:443"),
        );
        turn(
            &format!("{webhooks} webhooks at one host"),
            webhooks,
            turns,
            &mut hash,
            |_| "host:443".into(),
        );
    }
    blocked(turns, &mut hash);
    println!("hash of the results: {:016x}", hash.0);
}

/// FNV-1a over numbers.
struct Hash(u64);

impl Hash {
    fn take(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0100_0000_01b3);
    }
}

/// A spread of numbers that is the same at every run.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn key(number: u64) -> DeliveryKey {
    DeliveryKey {
        event: Position::from_u64(number),
        ordinal: 0,
    }
}

fn report(what: &str, times: u64, started: Instant) {
    println!("{:>8.1} ns  {what}", started.elapsed().as_nanos() as f64 / times as f64);
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
        report(round, sleepers, started);
        let started = Instant::now();
        for handle in handles.iter().step_by(2) {
            hash.take(wheel.cancel(*handle).map_or(0, u64::from));
        }
        report("a cancel", sleepers / 2, started);
        let (started, before) = (Instant::now(), out.len());
        now += HALF_A_DAY_MS;
        while wheel.advance(Time(now + 16), 4096, &mut out) {}
        report("a firing, with its cascades", (out.len() - before) as u64, started);
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
        scheduler.sleep(
            key(number),
            WebhookId(1 + number % 1000),
            Time(NOW + spread(number) % HALF_A_DAY_MS),
        );
    }
    report("a sleep", sleepers, started);
    let started = Instant::now();
    let mut now = NOW;
    while scheduler.asleep_len() > 0 {
        now += 100;
        while scheduler.advance(Time(now)) {}
    }
    report("a waking, looked at every 100 ms", sleepers, started);
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
    let (mut pick_ns, mut picks, mut rest_ns) = (0, 0, 0);
    while picks < turns {
        // In batches, so that reading the clock costs nothing.
        let started = Instant::now();
        let before = in_flight.len();
        in_flight.extend(std::iter::from_fn(|| scheduler.pick(Time(NOW))).take(64));
        pick_ns += started.elapsed().as_nanos();
        picks += (in_flight.len() - before) as u64;
        let started = Instant::now();
        for pick in in_flight.drain(..in_flight.len().min(64)) {
            scheduler.finished(pick.key, Millis(5 + spread(pick.key.event.to_u64()) % 100));
            queue(&mut scheduler, pick.webhook);
            hash.take(pick.key.event.to_u64());
        }
        rest_ns += started.elapsed().as_nanos();
    }
    let each = |ns: u128| ns as f64 / picks as f64;
    println!(
        "{:>8.1} ns  a pick; {:.1} ns to finish and queue another: {what}",
        each(pick_ns),
        each(rest_ns)
    );
}

/// Picks in vain: 10,000 webhooks wait at hosts that are full.
fn blocked(turns: u64, hash: &mut Hash) {
    let mut scheduler = Scheduler::new(Limits {
        per_host: 1,
        ..Limits::default()
    });
    for number in 1..=10_000 {
        scheduler.add_webhook(WebhookId(number), &format!("host-{}:443", number % 100));
        scheduler.ready(key(number), WebhookId(number), Lane::Fresh);
    }
    while scheduler.pick(Time(NOW)).is_some() {}
    let started = Instant::now();
    let picked = (0..turns).filter(|_| scheduler.pick(Time(NOW)).is_some()).count();
    report("a pick in vain, 10,000 webhooks at full hosts", turns, started);
    hash.take(picked as u64 + u64::from(scheduler.in_flight()));
}
