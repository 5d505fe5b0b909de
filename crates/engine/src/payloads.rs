//! Payloads of events that were accepted lately or are about to be sent, so that an attempt need not read them back from the log.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use postrider_core::Position;

/// Payloads at hand, up to a bound in bytes; then those that came first are let go. Each goes with the last delivery that waits for it.
pub struct Payloads {
    by_position: HashMap<Position, Waited>,
    /// Some are gone already.
    oldest_first: VecDeque<Position>,
    bytes: usize,
    bytes_max: usize,
}

struct Waited {
    payload: Bytes,
    /// Deliveries that wait for it.
    by: usize,
}

impl Payloads {
    /// Empty, to hold at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Payloads {
        Payloads { by_position: HashMap::new(), oldest_first: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Keeps a payload for `by` deliveries, as many as now wait for it.
    pub fn put(&mut self, at: Position, payload: Bytes, by: usize) {
        self.forget(at);
        if by == 0 {
            return;
        }
        self.bytes += payload.len();
        self.by_position.insert(at, Waited { payload, by });
        self.oldest_first.push_back(at);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.oldest_first.pop_front() else {
                break;
            };
            self.forget(oldest);
        }
        // What was taken leaves its place behind.
        if self.oldest_first.len() > 2 * self.by_position.len() + 64 {
            self.oldest_first.retain(|at| self.by_position.contains_key(at));
        }
    }

    /// Keeps a payload that was read back for a delivery, unless it is here.
    pub fn bring(&mut self, at: Position, payload: Bytes) {
        if !self.by_position.contains_key(&at) {
            self.put(at, payload, 1);
        }
    }

    /// Lets go of one, as when it was erased.
    pub fn forget(&mut self, at: Position) {
        self.bytes -= self.by_position.remove(&at).map_or(0, |waited| waited.payload.len());
    }

    /// The payload for one delivery, if it is at hand.
    pub fn take(&mut self, at: Position) -> Option<Bytes> {
        let waited = self.by_position.get_mut(&at)?;
        waited.by -= 1;
        let payload = waited.payload.clone();
        if waited.by == 0 {
            self.forget(at);
        }
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Position {
        Position::new(n, 0)
    }

    #[test]
    fn the_oldest_go_first_and_the_bound_holds() {
        let mut payloads = Payloads::new(10);
        for n in 0..4 {
            payloads.put(at(n), Bytes::from_static(b"1234"), 1);
        }
        assert!(payloads.bytes <= 10);
        assert_eq!([0, 1, 2, 3].map(|n| payloads.take(at(n)).is_some()), [false, false, true, true]);
    }

    #[test]
    fn one_is_kept_until_the_last_delivery_that_waits_for_it() {
        let mut payloads = Payloads::new(10);
        payloads.put(at(1), Bytes::from_static(b"1234"), 2);
        payloads.put(at(2), Bytes::from_static(b"1234"), 0);
        assert_eq!([1, 1, 1, 2].map(|n| payloads.take(at(n)).is_some()), [true, true, false, false]);
        assert_eq!(payloads.bytes, 0);
    }

    #[test]
    fn what_is_read_back_waits_for_one_and_takes_no_place_of_what_is_here() {
        let mut payloads = Payloads::new(10);
        payloads.put(at(1), Bytes::from_static(b"1234"), 2);
        payloads.bring(at(1), Bytes::from_static(b"1234"));
        payloads.bring(at(2), Bytes::from_static(b"1234"));
        assert_eq!([1, 1, 1, 2, 2].map(|n| payloads.take(at(n)).is_some()), [true, true, false, true, false]);
    }

    #[test]
    fn what_was_taken_leaves_nothing_behind() {
        let mut payloads = Payloads::new(1000);
        // The first one stays, so that there is always something older.
        payloads.put(at(0), Bytes::from_static(b"1234"), 1);
        for n in 1..10_000 {
            payloads.put(at(n), Bytes::from_static(b"1234"), 1);
            payloads.take(at(n));
        }
        assert_eq!((payloads.bytes, payloads.by_position.len()), (4, 1));
        assert!(payloads.oldest_first.len() < 100);
    }
}
