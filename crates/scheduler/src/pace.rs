//! A webhook's rate limit: attempts spaced in time, delayed and never dropped.
//!
//! Attempts are booked one interval apart, and one may start up to [`SLACK_US`] before its booking: a driver that wakes late catches
//! up, and any second sees at most the rate, a twentieth of it, and one. A rate above a million is none.

use std::num::NonZeroU32;

use postrider_core::time::Time;

/// How long before its booking an attempt may start, in microseconds: longer than a driver oversleeps, short to a receiver.
const SLACK_US: u64 = 50_000;

/// See the module. Microseconds, because a rate above 1,000 has less than a millisecond between attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    interval_us: u64,
    /// When the next attempt is booked.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts an attempt whenever the rate is open, for `span` milliseconds looked at every `step`; the starts.
    fn run(rate: u32, step: u64, span: u64) -> Vec<u64> {
        let mut pace = Pace::default();
        pace.set(NonZeroU32::new(rate), Time(0));
        let mut starts = Vec::new();
        for now in (1_000_000..1_000_000 + span).step_by(step as usize) {
            while pace.opens() <= Time(now) {
                pace.book(Time(now));
                starts.push(now);
            }
        }
        starts
    }

    #[test]
    fn a_rate_is_reached_by_a_driver_that_wakes_late_and_never_much_passed() {
        for (rate, step) in [(1, 1), (3, 7), (10, 40), (50, 40), (1000, 1), (1500, 40), (5000, 16)] {
            let starts = run(rate, step, 10_000);
            let reached = starts.len() as f64 / 10.0 / f64::from(rate);
            // A driver that looks every `step` starts a spaced attempt that much too late, each time anew.
            let least = 1000.0 / (1000.0 + step as f64 * f64::from(rate.min(20))) * 0.99;
            assert!(reached >= least && reached <= 1.2, "{rate}/s looked at every {step} ms gives {reached} of it");
            for (index, start) in starts.iter().enumerate() {
                let within = starts[index..].iter().take_while(|&&later| later < start + 1000).count();
                assert!(within as f64 <= f64::from(rate) * 1.05 + 1.0, "{within} within a second at {rate}/s");
            }
        }
    }

    #[test]
    fn lifting_or_raising_a_rate_counts_at_once() {
        let mut pace = Pace::default();
        pace.set(NonZeroU32::new(1), Time(0));
        pace.book(Time(5000));
        assert_eq!(pace.opens(), Time(6000));
        pace.set(NonZeroU32::new(10), Time(5000));
        assert_eq!(pace.opens(), Time(5100));
        pace.set(None, Time(5000));
        assert_eq!(pace.opens(), Time(0));
    }
}
