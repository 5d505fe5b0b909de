//! Payloads of what is about to be sent, so that an attempt need not read them back from the log.
//!
//! Deliveries go out in the order in which they came, so the payloads that came first are the ones that are needed first: when there is no
//! room, a newcomer is read back later, unless what is here has waited for long and so may wait on.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use postrider_core::{Millis, Position, Time};

/// What has waited for so long gives way to what comes: its receiver is slow, or switched off.
const WAITS_MAX: Millis = Millis(5_000);

/// Payloads at hand, up to a bound in bytes. Each goes with the last delivery that waits for it.
pub struct Payloads {
    by_position: HashMap<Position, Waited>,
    /// With when it came. Some are gone already.
    oldest_first: VecDeque<(Time, Position)>,
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

    /// Keeps a payload for `by` deliveries, as many as now wait for it, unless it is here or there is no room.
    pub fn put(&mut self, at: Position, payload: Bytes, by: usize, now: Time) {
        if by == 0 || self.has(at) {
            return;
        }
        while self.bytes + payload.len() > self.bytes_max {
            let long_ago = |&mut (came, _): &mut (Time, Position)| came + WAITS_MAX <= now;
            let Some((_, oldest)) = self.oldest_first.pop_front_if(long_ago) else { return };
            self.forget(oldest);
        }
        self.bytes += payload.len();
        self.by_position.insert(at, Waited { payload, by });
        self.oldest_first.push_back((now, at));
        // What was taken leaves its place behind.
        if self.oldest_first.len() > 2 * self.by_position.len() + 64 {
            self.oldest_first.retain(|(_, at)| self.by_position.contains_key(at));
        }
    }

    /// Whether a payload is here.
    pub fn has(&self, at: Position) -> bool {
        self.by_position.contains_key(&at)
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
    fn what_came_first_stays_until_it_has_waited_for_long() {
        let mut payloads = Payloads::new(10);
        let mut put = |n: u64, now: u64| payloads.put(at(n), Bytes::from_static(b"1234"), 1, Time(now));
        (0..4).for_each(|n| put(n, 1_000 * n));
        put(4, 6_000);
        assert_eq!(payloads.bytes, 8);
        // Only the first one had waited for 5 s by then.
        assert_eq!([0, 1, 2, 3, 4].map(|n| payloads.take(at(n)).is_some()), [false, true, false, false, true]);
    }

    #[test]
    fn one_is_kept_until_the_last_delivery_that_waits_for_it() {
        let mut payloads = Payloads::new(10);
        payloads.put(at(1), Bytes::from_static(b"1234"), 2, Time(0));
        // Read back for one of them.
        payloads.put(at(1), Bytes::from_static(b"1234"), 1, Time(0));
        payloads.put(at(2), Bytes::from_static(b"1234"), 0, Time(0));
        assert_eq!([1, 1, 1, 2].map(|n| payloads.take(at(n)).is_some()), [true, true, false, false]);
        assert_eq!(payloads.bytes, 0);
    }

    #[test]
    fn what_was_taken_leaves_nothing_behind() {
        let mut payloads = Payloads::new(1000);
        // The first one stays, so that there is always something older.
        payloads.put(at(0), Bytes::from_static(b"1234"), 1, Time(0));
        for n in 1..10_000 {
            payloads.put(at(n), Bytes::from_static(b"1234"), 1, Time(0));
            payloads.take(at(n));
        }
        assert_eq!((payloads.bytes, payloads.by_position.len()), (4, 1));
        assert!(payloads.oldest_first.len() < 100);
    }
}
