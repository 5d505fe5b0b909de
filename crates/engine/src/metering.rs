//! What the engine tells the `metrics` recorder, if the program has one. No label names a workspace, a webhook or a URL.
//!
//! Counts come from durable facts only, so that they agree with the log.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{counter, gauge, histogram};
use postrider_core::attempt::{Attempt, ErrorKind, Outcome};
use postrider_core::fact::{Fact, Record};

/// Figures of one moment.
pub struct Levels {
    /// Unfinished deliveries.
    pub pending: u64,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Deliveries that wait for a slot.
    pub ready: usize,
    /// Deliveries that sleep until they are due.
    pub asleep: usize,
    /// Events that the writer has in RAM.
    pub events: usize,
    /// Bytes of the log's files.
    pub log_bytes: u64,
}

/// The name, kind and meaning of everything that is told: the source of the documented table.
pub const NAMES: [(&str, &str, &str); 17] = [
    ("postrider_events_accepted_total", "counter", "events that were accepted"),
    (
        "postrider_deliveries_created_total",
        "counter",
        "deliveries that accepted events were fanned out to, and those that replays added",
    ),
    ("postrider_replayed_deliveries_total", "counter", "deliveries that replays made due, added ones among them"),
    ("postrider_attempts_total", "counter", "attempts by `outcome`"),
    ("postrider_attempt_failures_total", "counter", "failed attempts by `error_kind`"),
    ("postrider_attempt_seconds", "histogram", "time an attempt took, from name lookup to its end"),
    ("postrider_commit_seconds", "histogram", "time a turn took, from its first decision to its sync"),
    ("postrider_pending", "gauge", "unfinished deliveries"),
    (
        "postrider_pending_by_tier",
        "gauge",
        "the same by `tier`: how many attempts of their present schedule have failed",
    ),
    ("postrider_inflight", "gauge", "attempts in flight"),
    ("postrider_ready", "gauge", "deliveries that wait for a slot"),
    (
        "postrider_asleep",
        "gauge",
        "deliveries that sleep until they are due, or wait in the store for room in their queue",
    ),
    (
        "postrider_events_in_memory",
        "gauge",
        "events that the writer has in RAM: those touched since the store's position, or about to be sent",
    ),
    ("postrider_log_bytes", "gauge", "bytes of the log's files"),
    ("postrider_store_behind_blocks", "gauge", "blocks of the log that the store does not cover yet"),
    ("postrider_store_commit_seconds", "histogram", "time a commit of the store took"),
    ("postrider_store_failures_total", "counter", "times that the store failed and was closed"),
];

const OUTCOMES: [Outcome; 5] =
    [Outcome::Succeeded, Outcome::Retrying, Outcome::Exhausted, Outcome::Removed, Outcome::Cancelled];

const ERROR_KINDS: [ErrorKind; 8] = [
    ErrorKind::Dns,
    ErrorKind::BlockedAddress,
    ErrorKind::Connect,
    ErrorKind::Tls,
    ErrorKind::Timeout,
    ErrorKind::Reset,
    ErrorKind::ResponseInvalid,
    ErrorKind::HttpStatus,
];

/// Says what each name means, to a recorder that wants to know, and begins its counters at zero: what appears with its first increment
/// hides that increment from whoever computes rates.
pub fn describe() {
    for (name, kind, meaning) in NAMES {
        match kind {
            "counter" => metrics::describe_counter!(name, meaning),
            "gauge" => metrics::describe_gauge!(name, meaning),
            _ => metrics::describe_histogram!(name, meaning),
        }
    }
    for name in ["events_accepted", "deliveries_created", "replayed_deliveries", "store_failures"] {
        counter!(format!("postrider_{name}_total")).increment(0);
    }
    for outcome in OUTCOMES {
        counter!("postrider_attempts_total", "outcome" => outcome.as_str()).increment(0);
    }
    for kind in ERROR_KINDS {
        counter!("postrider_attempt_failures_total", "error_kind" => kind.as_str()).increment(0);
    }
}

/// Counts the facts of one turn, which took so many seconds.
pub fn count(records: &[Record], seconds: f64) {
    let (mut events, mut deliveries, mut replayed) = (0, 0, 0);
    for record in records {
        match &record.fact {
            Fact::EventAccepted(event) => {
                events += 1;
                deliveries += event.chosen.len() as u64;
            }
            Fact::DeliveryAdded { .. } => deliveries += 1,
            Fact::ReplayAdvanced { released, .. } => replayed += u64::from(*released),
            Fact::AttemptFinished { attempt, .. } => count_attempt(attempt),
            _ => {}
        }
    }
    if events > 0 {
        counter!("postrider_events_accepted_total").increment(events);
    }
    if deliveries > 0 {
        counter!("postrider_deliveries_created_total").increment(deliveries);
    }
    if replayed > 0 {
        counter!("postrider_replayed_deliveries_total").increment(replayed);
    }
    if !records.is_empty() {
        histogram!("postrider_commit_seconds").record(seconds);
    }
}

fn count_attempt(attempt: &Attempt) {
    counter!("postrider_attempts_total", "outcome" => attempt.outcome.as_str()).increment(1);
    histogram!("postrider_attempt_seconds").record(attempt.exchange.duration.0 as f64 / 1000.0);
    if let Some(failure) = &attempt.exchange.failure {
        counter!("postrider_attempt_failures_total", "error_kind" => failure.kind.as_str()).increment(1);
    }
}

/// Sets the levels.
pub fn level(levels: &Levels) {
    gauge!("postrider_pending").set(levels.pending as f64);
    gauge!("postrider_inflight").set(f64::from(levels.in_flight));
    gauge!("postrider_ready").set(levels.ready as f64);
    gauge!("postrider_asleep").set(levels.asleep as f64);
    gauge!("postrider_events_in_memory").set(levels.events as f64);
    gauge!("postrider_log_bytes").set(levels.log_bytes as f64);
}

/// Sets how many are pending by tier; tiers that had some and have none now included.
pub fn pending_by_tier(counts: &[u64]) {
    // The first one always, so that there is a zero to be seen where nothing has been pending yet.
    static TOLD: AtomicUsize = AtomicUsize::new(1);
    let tiers = TOLD.fetch_max(counts.len(), Ordering::Relaxed).max(counts.len());
    for tier in 0..tiers {
        let count = counts.get(tier).copied().unwrap_or(0);
        gauge!("postrider_pending_by_tier", "tier" => tier.to_string()).set(count as f64);
    }
}

/// Says how far the store is behind what is projected.
pub fn store_behind(blocks: u64) {
    gauge!("postrider_store_behind_blocks").set(blocks as f64);
}

/// Notes a commit of the store, which took so many seconds.
pub fn store_committed(seconds: f64) {
    histogram!("postrider_store_commit_seconds").record(seconds);
}

/// Notes that the store has failed.
pub fn store_failed() {
    counter!("postrider_store_failures_total").increment(1);
}
