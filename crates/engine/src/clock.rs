//! Engine time: the one place where clocks are read.
//!
//! Engine time begins at the wall clock's time or the last record's, whichever is later, and from there goes on with CLOCK_BOOTTIME, which
//! counts suspend and never steps: a step of the wall clock moves no timer. In wall mode it follows the wall clock instead, so that a test
//! under a faked clock can hurry it. In both it never goes backward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use postrider_core::{Millis, Time};

/// Where the turn gets its `now`.
pub trait Clock: Send + Sync {
    /// Engine time; never less than what any earlier call gave.
    fn now(&self) -> Time;
}

/// What engine time goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// CLOCK_BOOTTIME.
    #[default]
    Boot,
    /// The wall clock, at every reading.
    Wall,
}

/// The clocks that engine time is made from; the simulator has its own.
pub trait Hands: Send + Sync {
    /// The wall clock, which steps.
    fn wall(&self) -> Time;
    /// Time since the machine booted, suspended or not, which never steps.
    fn boot(&self) -> Millis;
}

/// The operating system's clocks.
pub struct SystemHands;

impl Hands for SystemHands {
    fn wall(&self) -> Time {
        wall()
    }

    fn boot(&self) -> Millis {
        boot()
    }
}

/// Engine time of a running process.
pub struct EngineClock<H = SystemHands> {
    hands: H,
    mode: ClockMode,
    started_at: Time,
    boot_at_start: Millis,
    latest: AtomicU64,
}

impl EngineClock {
    /// A clock that begins no earlier than `last_record`.
    pub fn start(mode: ClockMode, last_record: Time) -> EngineClock {
        EngineClock::start_with(SystemHands, mode, last_record)
    }
}

impl<H: Hands> EngineClock<H> {
    /// The same with other hands.
    pub fn start_with(hands: H, mode: ClockMode, last_record: Time) -> EngineClock<H> {
        let (started_at, boot_at_start) = (hands.wall().max(last_record), hands.boot());
        EngineClock { hands, mode, started_at, boot_at_start, latest: AtomicU64::new(started_at.0) }
    }
}

impl<H: Hands> Clock for EngineClock<H> {
    fn now(&self) -> Time {
        let now = match self.mode {
            ClockMode::Boot => self.started_at + Millis(self.hands.boot().0.saturating_sub(self.boot_at_start.0)),
            ClockMode::Wall => self.hands.wall(),
        };
        Time(self.latest.fetch_max(now.0, Ordering::AcqRel).max(now.0))
    }
}

/// The wall clock; 0 for a clock set before 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn wall() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64))
}

fn boot() -> Millis {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Millis(since.tv_sec as u64 * 1000 + since.tv_nsec as u64 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_starts_no_earlier_than_the_last_record_and_never_goes_back() {
        let ahead = wall() + Millis::from_secs(3600);
        for mode in [ClockMode::Boot, ClockMode::Wall] {
            let clock = EngineClock::start(mode, ahead);
            let first = clock.now();
            assert!(first >= ahead);
            assert!(clock.now() >= first);
        }
    }
}
