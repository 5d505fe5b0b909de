//! Counts of one receiver. Each is exact on its own; a reading while requests come in may catch them a request apart.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::measure::Measured;
use crate::clock;

/// How a request ended, as far as the receiver decides it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Answered with a 2xx head.
    Succeeded,
    /// Answered otherwise, or cut off.
    Failed,
    /// Left without a whole head.
    Hung,
}

#[derive(Default)]
pub struct Counters {
    requests: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    hung: AtomicU64,
    bytes: AtomicU64,
    connections: AtomicU64,
    /// 0: none yet.
    first_ms: AtomicI64,
    last_ms: AtomicI64,
}

/// A reading of the counters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub requests: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub hung: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// Connections that carried at least one counted request.
    pub connections: u64,
    /// Requests a second between the first and the last; 0 where there is no time between them.
    pub per_second: f64,
    pub first_at: Option<String>,
    pub last_at: Option<String>,
    /// Of stamped requests, where they are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

impl Counters {
    /// Counts an arrival and gives its number, from 1.
    pub fn arrived(&self, bytes: u64, at_ms: i64) -> u64 {
        self.bytes.fetch_add(bytes, Relaxed);
        self.last_ms.fetch_max(at_ms, Relaxed);
        let number = self.requests.fetch_add(1, Relaxed) + 1;
        if number == 1 {
            self.first_ms.store(at_ms, Relaxed);
        }
        number
    }

    pub fn ended(&self, end: End) {
        let counter = match end {
            End::Succeeded => &self.succeeded,
            End::Failed => &self.failed,
            End::Hung => &self.hung,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// As at the start.
    pub fn clear(&self) {
        for counter in [&self.requests, &self.succeeded, &self.failed, &self.hung, &self.bytes, &self.connections] {
            counter.store(0, Relaxed);
        }
        self.first_ms.store(0, Relaxed);
        self.last_ms.store(0, Relaxed);
    }

    pub fn read(&self) -> Stats {
        let requests = self.requests.load(Relaxed);
        let (first, last) = (self.first_ms.load(Relaxed), self.last_ms.load(Relaxed));
        let time = |ms: i64| (ms != 0).then(|| clock::rfc3339(ms));
        Stats {
            requests,
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            hung: self.hung.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            connections: self.connections.load(Relaxed),
            per_second: per_second(requests, first, last),
            first_at: time(first),
            last_at: time(last),
            measured: None,
        }
    }
}

/// To one decimal: n requests have n - 1 gaps between them.
fn per_second(requests: u64, first_ms: i64, last_ms: i64) -> f64 {
    if requests < 2 || first_ms == 0 || last_ms <= first_ms {
        return 0.0;
    }
    let seconds = (last_ms - first_ms) as f64 / 1_000.0;
    ((requests - 1) as f64 / seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_time_between_requests() {
        assert_eq!(per_second(0, 0, 0), 0.0);
        assert_eq!(per_second(5, 1_000, 1_000), 0.0);
        assert_eq!(per_second(11, 1_000, 3_000), 5.0);
    }

    #[test]
    fn counts_add_up() {
        let counters = Counters::default();
        assert_eq!(counters.read().first_at, None);
        assert_eq!((counters.arrived(10, 1_000), counters.arrived(20, 2_000)), (1, 2));
        counters.ended(End::Failed);
        let stats = counters.read();
        assert_eq!((stats.requests, stats.failed, stats.bytes), (2, 1, 30));
        assert_eq!(stats.last_at.as_deref(), Some("1970-01-01T00:00:02.000Z"));
    }
}
