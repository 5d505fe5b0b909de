//! Payloads of events that were accepted a moment ago, so that a first attempt need not read them back from the log.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use postrider_core::Position;

/// The newest payloads, up to a bound in bytes; older ones are let go.
pub struct RecentPayloads {
    by_position: HashMap<Position, Bytes>,
    oldest_first: VecDeque<Position>,
    bytes: usize,
    bytes_max: usize,
}

impl RecentPayloads {
    /// Empty, to hold at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> RecentPayloads {
        RecentPayloads { by_position: HashMap::new(), oldest_first: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Keeps a payload for now.
    pub fn put(&mut self, at: Position, payload: Bytes) {
        self.bytes += payload.len();
        self.by_position.insert(at, payload);
        self.oldest_first.push_back(at);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.oldest_first.pop_front() else {
                break;
            };
            self.bytes -= self.by_position.remove(&oldest).map_or(0, |payload| payload.len());
        }
    }

    /// Lets go of one that was erased.
    pub fn forget(&mut self, at: Position) {
        self.bytes -= self.by_position.remove(&at).map_or(0, |payload| payload.len());
    }

    /// The payload, if it is still here.
    pub fn get(&self, at: Position) -> Option<Bytes> {
        self.by_position.get(&at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_the_bound_holds() {
        let mut recent = RecentPayloads::new(10);
        let at = |n| Position::new(n, 0);
        for n in 0..4 {
            recent.put(at(n), Bytes::from_static(b"1234"));
        }
        assert_eq!([0, 1, 2, 3].map(|n| recent.get(at(n)).is_some()), [false, false, true, true]);
        assert!(recent.bytes <= 10);
    }
}
