//! The rate limit: so many requests a minute for each key. A key's minute begins with its first request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_core::KeyId;

use crate::limits::RATE_KEYS_MAX;

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// The admin key.
    Admin,
    /// A workspace's key.
    Key(KeyId),
}

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    requests: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Counts requests.
pub struct RateLimit {
    /// 0: no limit.
    per_minute: u32,
    windows: Mutex<HashMap<Counted, Window>>,
}

impl RateLimit {
    /// At most `per_minute` requests a minute for each key; 0 for no limit.
    pub fn new(per_minute: u32) -> RateLimit {
        RateLimit { per_minute, windows: Mutex::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When it is one too many; the whole seconds until the next one is taken, at least 1.
    pub fn take(&self, who: Counted, now: Instant) -> Result<(), u64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let mut windows = self.windows.lock();
        if windows.len() >= RATE_KEYS_MAX && !windows.contains_key(&who) {
            windows.retain(|_, window| now.duration_since(window.began) < MINUTE);
        }
        let fresh = Window { began: now, requests: 0 };
        let window = windows.entry(who).or_insert(fresh);
        let elapsed = now.duration_since(window.began);
        if elapsed >= MINUTE {
            *window = fresh;
        }
        if window.requests >= self.per_minute {
            let left = MINUTE.saturating_sub(elapsed);
            return Err(left.as_millis().div_ceil(1000).max(1) as u64);
        }
        window.requests += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_core::Position;

    #[test]
    fn a_minute_takes_so_many_and_says_when_the_next_begins() {
        let (limit, start) = (RateLimit::new(2), Instant::now());
        let at = |ms| limit.take(Counted::Admin, start + Duration::from_millis(ms));
        assert_eq!([at(0), at(10)], [Ok(()), Ok(())]);
        assert_eq!([at(20), at(59_999)], [Err(60), Err(1)]);
        assert_eq!([at(60_000), at(60_001), at(60_002)], [Ok(()), Ok(()), Err(60)]);
    }

    #[test]
    fn each_key_has_its_own_count_and_zero_is_no_limit() {
        let (limit, now) = (RateLimit::new(1), Instant::now());
        for n in 0..3 {
            assert_eq!(limit.take(Counted::Key(KeyId(Position::from_u64(n))), now), Ok(()));
        }
        let off = RateLimit::new(0);
        assert!((0..1000).all(|_| off.take(Counted::Admin, now).is_ok()));
    }
}
