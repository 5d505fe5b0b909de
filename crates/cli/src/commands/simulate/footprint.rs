//! What deliveries take up, in bytes: measured of a real server, with the runs in `docs/benchmarks.md`.

use postrider::rehearsal::Sample;

/// RAM for a delivery that sleeps: "The store", of ten million.
pub const SLEEPER_RAM: f64 = 11.5;
/// Log for an event with one delivery, beside its data: "What an outage costs".
pub const EVENT_LOG: f64 = 117.0;
/// Log for an attempt: "What an outage costs".
pub const ATTEMPT_LOG: f64 = 155.0;
/// Store for a delivery with its first attempt, and sled's garbage: "What an outage costs".
pub const DELIVERY_STORE: f64 = 98.0;
/// Store for each further attempt: "What an outage costs".
pub const ATTEMPT_STORE: f64 = 36.0;

/// Bytes at one moment.
#[derive(Clone, Copy)]
pub struct Footprint {
    /// Of the deliveries that sleep; the server itself takes tens of megabytes more.
    pub ram: f64,
    /// Written to the log since the start; nothing of it is let go before the retention is over.
    pub log: f64,
    /// The store beside it.
    pub store: f64,
}

impl Footprint {
    pub fn of(sample: &Sample, payload: u64) -> Footprint {
        let (events, attempts) = (sample.published as f64, sample.attempts as f64);
        Footprint {
            ram: sample.pending as f64 * SLEEPER_RAM,
            log: events * (payload as f64 + EVENT_LOG) + attempts * ATTEMPT_LOG,
            store: events * DELIVERY_STORE + (attempts - events).max(0.0) * ATTEMPT_STORE,
        }
    }

    pub fn disk(&self) -> f64 {
        self.log + self.store
    }
}
