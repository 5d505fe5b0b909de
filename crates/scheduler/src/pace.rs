//! A webhook's rate limit: attempts spaced in time, delayed and never dropped.
//!
//! Attempts are booked one interval apart on a schedule that never lags behind the present by more than [`SLACK_US`]: a driver that
//! wakes late may catch up by that much, so any second sees at most the rate, a twentieth of it, and one.

use std::num::NonZeroU32;

use postrider_core::time::Time;

/// How far the schedule may run ahead of its spacing, in microseconds: longer than a driver oversleeps, short to a receiver.
const SLACK_US: u64 = 50_000;

/// See the module. Microseconds, because a rate above 1,000 has less than a millisecond between attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    interval_us: u64,
    /// When the next attempt is booked by the schedule.
    booked_us: u64,
}

impl Pace {
    /// Attempts per second from now on. What is booked already stays, but not beyond one new interval from `now`.
    pub(crate) fn set(&mut self, rate: Option<NonZeroU32>, now: Time) {
        self.interval_us = rate.map_or(0, |rate| 1_000_000 / u64::from(rate.get()));
        self.booked_us = self.booked_us.min(micros(now) + self.interval_us);
    }

    /// The first millisecond at which an attempt may start.
    pub(crate) fn opens(&self) -> Time {
        match self.interval_us {
            0 => Time(0),
            _ => Time(self.booked_us.saturating_sub(self.slack_us()).div_ceil(1000)),
        }
    }

    /// An attempt starts at `now`.
    pub(crate) fn book(&mut self, now: Time) {
        if self.interval_us > 0 {
            self.booked_us = self.booked_us.max(micros(now)) + self.interval_us;
        }
    }

    /// Where attempts lie further apart than the slack there is none: a driver is not that late, and a slow rate is exact.
    fn slack_us(&self) -> u64 {
        if self.interval_us > SLACK_US { 0 } else { SLACK_US }
    }
}

fn micros(time: Time) -> u64 {
    time.0.saturating_mul(1000)
}
