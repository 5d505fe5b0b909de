//! What the fuzz targets do with their bytes, one file each. `make fuzz` runs them under libFuzzer; `tests/seeds.rs` runs them with the tests,
//! on the seeds alone.
//!
//! Each file says what it asserts: round trips, and a second judge where there is one. For all of them holds: no panic, no overflow, no
//! hang, and never more heap at once than the target is given here.

mod addresses;
mod blocks;
mod bodies;
mod configuration;
mod facts;
mod memory;
mod mend;
mod publish;
mod queries;
mod requests;
mod responses;
mod words;
mod world;

/// A fuzz target.
pub struct Target {
    /// Of its executable, its seeds and its file here.
    pub name: &'static str,
    /// The most bytes of heap that an input may take at once.
    heap_max: usize,
    body: fn(&[u8]),
}

impl Target {
    const fn new(name: &'static str, heap_max: usize, body: fn(&[u8])) -> Target {
        Target { name, heap_max, body }
    }

    /// Runs it on one input.
    ///
    /// # Panics
    /// When something does not hold that has to.
    pub fn run(&self, bytes: &[u8]) {
        let peak = memory::peak_of(|| (self.body)(bytes));
        assert!(peak <= self.heap_max, "{}: {peak} bytes of heap at once, of {} at the most", self.name, self.heap_max);
    }
}

const MIB: usize = 1 << 20;

/// `POST /v1/events`.
pub const PUBLISH: Target = Target::new("publish", 64 * MIB, publish::run);
/// Payloads, and the bodies that are made of them.
pub const BODIES: Target = Target::new("bodies", 8 * MIB, bodies::run);
/// All other requests with a body.
pub const REQUESTS: Target = Target::new("requests", 64 * MIB, requests::run);
/// Paths, queries and cursors.
pub const QUERIES: Target = Target::new("queries", 64 * MIB, queries::run);
/// What receivers answer.
pub const RESPONSES: Target = Target::new("responses", 8 * MIB, responses::run);
/// URLs and the address policy.
pub const ADDRESSES: Target = Target::new("addresses", MIB, addresses::run);
/// Facts of the log.
pub const FACTS: Target = Target::new("facts", 8 * MIB, facts::run);
/// Files of the log.
pub const BLOCKS: Target = Target::new("blocks", 16 * MIB, blocks::run);
/// The configuration.
pub const CONFIGURATION: Target = Target::new("configuration", 8 * MIB, configuration::run);
/// Ids, times, delays, secrets, profiles.
pub const WORDS: Target = Target::new("words", 8 * MIB, words::run);

/// All of them.
pub const TARGETS: [Target; 10] =
    [PUBLISH, BODIES, REQUESTS, QUERIES, RESPONSES, ADDRESSES, FACTS, BLOCKS, CONFIGURATION, WORDS];

/// An input's first byte, by which a target chooses, and the rest. Seeds are text, so of the first byte only the lower six bits count.
fn choice(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((usize::from(first & 0x3f), rest))
}
