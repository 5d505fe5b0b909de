//! Support for the tests that run the whole: the real binary, a client that speaks to it, and a receiver that it delivers to. And the page about
//! the API, which one of them holds against its description.

mod client;
mod receiver;
pub mod reference;
mod server;
mod sink;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use client::{Answer, Client};
pub use receiver::{Reaction, Receiver, Request};
pub use server::{Server, binary, cargo};
pub use sink::{Sink, behaviours};

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

/// Milliseconds of an answer's time since 1 March of the year 0, for differences.
///
/// # Panics
/// When it is not RFC 3339 in UTC with milliseconds.
pub fn millis(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_else(|| panic!("a time, not {time}"));
    let number = |range: std::ops::Range<usize>| {
        text.get(range).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or_else(|| panic!("a time, not {text}"))
    };
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month <= 2 { (year - 1, month + 12) } else { (year, month) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1;
    ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60_000 + number(17..19) * 1000 + number(20..23)
}

/// What `LD_PRELOAD` takes of `support/NAME.c`, made in `folder`.
///
/// # Panics
/// When there is no C compiler.
pub fn preload(folder: &Path, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("support").join(name).with_extension("c");
    let shim = folder.join(name).with_extension("so");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).arg("-ldl");
    assert!(command.status().expect("a C compiler can be run").success(), "a C compiler is there");
    shim
}
