//! What stamped requests say of their way: how long it took them to get here, and whether each came once.
//!
//! A stamp is an event id of the form `t1700000000000000-…`: microseconds since 1970, when its publisher sent it. Times are kept in a
//! histogram of 32 steps an octave, so that they are exact to 3 % and take the same memory however many come. The checksum is a sum over
//! ids and paths that does not depend on their order: whoever knows what has to come can compute it ([`mark`]).

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::Request;

const LINEAR: u64 = 64;
const STEPS: u64 = 32;
const BUCKETS: usize = (LINEAR + (64 - 6) * STEPS) as usize;

/// Counts of stamped requests.
pub struct Measure {
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    max_us: AtomicU64,
    last_us: AtomicU64,
    checksum: AtomicU64,
}

/// A reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Requests with a stamp.
    pub count: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// When the last one came, in microseconds since 1970.
    pub last_us: u64,
    /// The sum of their marks, modulo 2^64, as hexadecimal digits.
    pub checksum: String,
}

impl Default for Measure {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            buckets: (0..BUCKETS).map(|_| zero()).collect(),
            count: zero(),
            max_us: zero(),
            last_us: zero(),
            checksum: zero(),
        }
    }
}

impl Measure {
    /// Takes in a request that came at `now_us`, if it has a stamp.
    pub fn take(&self, request: &Request<'_>, now_us: u64) {
        let Some(id) = request.headers.get("postrider-event-id").and_then(|id| id.to_str().ok()) else { return };
        let Some(sent_us) = stamp(id) else { return };
        let took = now_us.saturating_sub(sent_us);
        self.buckets[bucket(took)].fetch_add(1, Relaxed);
        self.max_us.fetch_max(took, Relaxed);
        self.last_us.fetch_max(now_us, Relaxed);
        self.checksum.fetch_add(mark(id, request.path), Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    pub fn read(&self) -> Measured {
        let counts: Vec<u64> = self.buckets.iter().map(|count| count.load(Relaxed)).collect();
        let max_us = self.max_us.load(Relaxed);
        let at = |percent: u64| percentile(&counts, percent).min(max_us);
        Measured {
            count: self.count.load(Relaxed),
            p50_us: at(50),
            p99_us: at(99),
            max_us,
            last_us: self.last_us.load(Relaxed),
            checksum: format!("{:016x}", self.checksum.load(Relaxed)),
        }
    }

    /// As at the start.
    pub fn clear(&self) {
        self.buckets.iter().chain([&self.count, &self.max_us, &self.last_us, &self.checksum]).for_each(|cell| {
            cell.store(0, Relaxed);
        });
    }
}

/// The part of one request in the checksum. The same in every process of one build.
pub fn mark(id: &str, path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    hasher.write(path.as_bytes());
    hasher.finish()
}

/// When an event was sent, by its id.
fn stamp(id: &str) -> Option<u64> {
    id.strip_prefix('t')?.split_once('-')?.0.parse().ok()
}

fn bucket(us: u64) -> usize {
    if us < LINEAR {
        return us as usize;
    }
    let octave = u64::from(us.ilog2()) - 6;
    (LINEAR + octave * STEPS + ((us >> (octave + 1)) - STEPS)) as usize
}

/// The largest time that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let (octave, step) = ((bucket - LINEAR) / STEPS, (bucket - LINEAR) % STEPS);
    ((STEPS + step) << (octave + 1)) | ((1 << (octave + 1)) - 1)
}

/// The smallest bucket's upper bound below which lie so many of a hundred; 0 of nothing.
fn percentile(counts: &[u64], percent: u64) -> u64 {
    let total: u64 = counts.iter().sum();
    let rank = (total * percent).div_ceil(100).max(1);
    let mut below = 0;
    let found = counts.iter().position(|count| {
        below += count;
        below >= rank
    });
    found.map_or(0, upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;
    use hyper::header::HeaderValue;

    #[test]
    fn every_time_falls_into_a_bucket_that_is_at_most_a_thirtieth_wide() {
        let times = (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) + 1, (1 << bit) | ((1 << bit) - 1)]);
        for us in times.chain([0, u64::MAX, 1_000_000, 123_456_789]) {
            let above = upper(bucket(us));
            assert!(above >= us && above - us <= us / 30, "{us}: {above}");
            assert!(bucket(us) == 0 || upper(bucket(us) - 1) < us, "{us}");
        }
    }

    #[test]
    fn stamped_requests_are_timed_and_summed_and_others_left_alone() {
        let measure = Measure::default();
        let take = |id: &str, path: &str, now_us: u64| {
            let mut headers = HeaderMap::new();
            headers.insert("postrider-event-id", HeaderValue::from_str(id).unwrap());
            let request = Request { number: 1, received_ms: 0, method: "POST", path, headers: &headers, body: b"" };
            measure.take(&request, now_us);
        };
        for n in 0..98 {
            take(&format!("t1000-{n}"), "/a", 1_010);
        }
        take("t1000-98", "/a", 1_050);
        take("t1000-99", "/a", 900_000);
        for unstamped in ["evt_1", "t-1", "tx-1", "t12"] {
            take(unstamped, "/a", 5_000);
        }
        let read = measure.read();
        assert_eq!((read.count, read.p50_us, read.p99_us, read.max_us), (100, 10, 50, 899_000));
        assert_eq!(read.last_us, 900_000);
        let marks = (0..100).fold(0_u64, |sum, n| sum.wrapping_add(mark(&format!("t1000-{n}"), "/a")));
        assert_eq!(read.checksum, format!("{marks:016x}"));
        measure.clear();
        assert_eq!(measure.read(), Measure::default().read());
    }
}
