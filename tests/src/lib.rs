//! Support for the tests that run the whole: the real binary, a client that speaks to it, and a receiver that it delivers to.

mod client;
mod receiver;
mod server;

use std::time::{Duration, Instant};

pub use client::{Answer, Client};
pub use receiver::{Reaction, Receiver, Request};
pub use server::{Server, binary};

/// Looks until there is something to see, for at most `limit`.
///
/// # Panics
/// When it does not happen in time; `what` says what should have.
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
