//! The machine's clocks: boot time, which only goes on, and a wall clock that steps; and engine time as the laws define it.
//!
//! The engine under test makes its own time from the same hands by [`postrider_engine::EngineClock`]; the checker judges by this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postrider_core::{Millis, Time};
use postrider_engine::Hands;

/// What the wall clock shows when it is right and a world begins: 2026-01-01.
const BEGIN: i64 = 1_767_225_600_000;

/// See the module.
pub struct Clocks {
    now: Time,
    boot: u64,
    suspended: u64,
    /// By how much the wall clock is wrong.
    skew: i64,
    hands: SimHands,
    /// Of a bug: a process's clock that stands still while the machine is suspended.
    stops_in_suspend: bool,
}

impl Clocks {
    /// The clocks of a machine that boots now.
    pub fn new(stops_in_suspend: bool) -> Clocks {
        let mut clocks =
            Clocks { now: Time(0), boot: 0, suspended: 0, skew: 0, hands: SimHands::default(), stops_in_suspend };
        clocks.show();
        clocks
    }

    /// Engine time by the laws.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What has passed since the world began.
    pub fn elapsed(&self) -> Millis {
        Millis(self.boot)
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> Time {
        Time((BEGIN + self.boot as i64 + self.skew).max(0) as u64)
    }

    /// For the engine under test.
    pub fn hands(&self) -> SimHands {
        self.hands.clone()
    }

    /// Time goes on to `now`, which is not in the past.
    pub fn advance_to(&mut self, now: Time) {
        self.pass(now.since(self.now));
    }

    /// Time goes on by `span`.
    pub fn pass(&mut self, span: Millis) {
        self.boot += span.0;
        self.now = self.now + span;
        self.show();
    }

    /// The machine is suspended for `span`.
    pub fn suspend(&mut self, span: Millis) {
        self.suspended += span.0;
        self.pass(span);
    }

    /// The wall clock is wrong by so much from here on.
    pub fn set_wall(&mut self, skew: i64) {
        self.skew = skew;
        self.show();
    }

    /// The wall clock shows 1970.
    pub fn set_wall_to_1970(&mut self) {
        self.set_wall(-BEGIN - self.boot as i64);
    }

    /// A process begins: the law says at which time.
    pub fn begin(&mut self, last_record: Time) {
        self.now = self.wall().max(last_record);
    }

    fn show(&mut self) {
        let boot = if self.stops_in_suspend { self.boot - self.suspended } else { self.boot };
        self.hands.0.boot.store(boot, Ordering::Relaxed);
        self.hands.0.wall.store(self.wall().0, Ordering::Relaxed);
    }
}

/// What a process sees of the clocks.
#[derive(Clone, Default)]
pub struct SimHands(Arc<Faces>);

#[derive(Default)]
struct Faces {
    wall: AtomicU64,
    boot: AtomicU64,
}

impl Hands for SimHands {
    fn wall(&self) -> Time {
        Time(self.0.wall.load(Ordering::Relaxed))
    }

    fn boot(&self) -> Millis {
        Millis(self.0.boot.load(Ordering::Relaxed))
    }
}
