//! When and in which order deliveries run: what sleeps until its time, what waits for its turn, what is in flight.
//!
//! Owns the three places an unfinished delivery can have in RAM, and the counts of permits. Promises: a delivery is in at most one
//! place; none is woken early; in flight never passes a cap; while a permit is free, something that may run is picked. All of it is
//! a plain data structure: time is an argument, so that a test or the simulator moves it at will.
//!
//! Refuses clocks, threads, tasks and files, and knows nothing of events, URLs' contents or outcomes.

mod hash;
mod hosts;
mod pace;
mod permits;
mod ready;
mod residents;
mod ring;
mod scheduler;
mod slab;
mod webhooks;
pub mod wheel;

pub use permits::Limits;
pub use scheduler::{Counts, Pick, Residency, Scheduler};

/// Which of a webhook's two queues a delivery waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Its first attempt.
    Fresh,
    /// Every attempt after the first. All together hold at most half of the permits.
    Retry,
}
