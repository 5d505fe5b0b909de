//! Support for the benchmarks: how much to do, how to say what it took, and a hash of what came out.
//!
//! Each benchmark is a program: with `--bench` (as `cargo bench` calls it) it measures; without, as the tests call it, it runs tiny.

use std::time::{Duration, Instant};

/// Whether to measure, or only to show that it still works.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As large as it takes for figures to mean something.
    Full,
    /// As small as it can be.
    Tiny,
}

impl Scale {
    /// As the program was called.
    pub fn of_arguments() -> Scale {
        if std::env::args().any(|arg| arg == "--bench") { Scale::Full } else { Scale::Tiny }
    }

    /// One of two numbers.
    pub fn pick<T>(self, full: T, tiny: T) -> T {
        if self == Scale::Full { full } else { tiny }
    }
}

/// A hash of the results, so that two runs can be told to have done the same: FNV-1a.
pub struct Hash(u64);

impl Hash {
    /// Of nothing yet.
    pub fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in a number.
    pub fn take(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    /// Takes in bytes.
    pub fn take_bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.take(u64::from(*byte)));
    }

    /// Prints itself.
    pub fn report(&self) {
        println!("hash of the results: {:016x}", self.0);
    }
}

impl Default for Hash {
    fn default() -> Self {
        Hash::new()
    }
}

/// A spread of numbers that is the same at every run.
pub fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

/// Prints what one of `times` took.
pub fn report(what: &str, times: u64, took: Duration) {
    println!("{:>9.1} ns  {what}", took.as_nanos() as f64 / times as f64);
}

/// Runs `work` and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let made = work();
    (made, started.elapsed())
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A JSON object of about `bytes` bytes, as a Genesy event's `data`.
pub fn genesy_data(number: u64, bytes: usize) -> String {
    let head = format!(
        r#"{{"campaign":{{"id":{},"name":"Q1"}},"contact":{{"id":{number},"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}},"company":{{"id":7,"name":"Analytical Engines"}},"note":""#,
        number % 100
    );
    let fill = bytes.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", "x".repeat(fill))
}

/// What this process has in RAM.
///
/// # Panics
/// Where there is no `/proc`.
pub fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
}
