//! Entries in words, with the ids that users know, for the one line that names a difference.

use crate::entry::Entry;
use crate::entry::added::Added;
use crate::entry::attempt::AttemptOf;
use crate::entry::carried::Carried;
use crate::entry::dormant::{Asleep, ByDue, ByWebhook, Lane};
use crate::entry::event::EventOf;
use crate::entry::gone::Gone;
use crate::entry::head::Head;
use crate::entry::id::Id;
use crate::entry::tally::{Tally, hour_start};

/// An entry that can be named.
pub trait Told: Entry {
    /// The name of its list.
    const LIST: &'static str;

    /// All that it says.
    fn told(&self) -> String;
}

fn asleep(Asleep { due, key, webhook, lane }: Asleep) -> String {
    let lane = match lane {
        Lane::Fresh => "fresh",
        Lane::Retry => "retry",
    };
    format!("{key} to {webhook}, due {due} ({lane})")
}

impl Told for ByDue {
    const LIST: &'static str = "sleep";

    fn told(&self) -> String {
        asleep(self.0.asleep)
    }
}

impl Told for ByWebhook {
    const LIST: &'static str = "backlog";

    fn told(&self) -> String {
        asleep(self.0.asleep)
    }
}

impl Told for Gone {
    const LIST: &'static str = "gone";

    fn told(&self) -> String {
        format!("{}, deleted in block {}", self.webhook, self.block)
    }
}

impl Told for Carried {
    const LIST: &'static str = "carried";

    fn told(&self) -> String {
        format!("event {}, carried to {}", self.event, self.to)
    }
}

impl Told for EventOf {
    const LIST: &'static str = "events";

    fn told(&self) -> String {
        let place = &self.place;
        format!("event {} of {} at {} with {} deliveries", place.position, self.workspace, place.time, place.deliveries)
    }
}

impl Told for Id {
    const LIST: &'static str = "ids";

    fn told(&self) -> String {
        format!("an id with the fingerprint {:012x} of event {}", self.fingerprint, self.at)
    }
}

impl Told for Head {
    const LIST: &'static str = "heads";

    fn told(&self) -> String {
        match self.is_of_event() {
            true => format!("event {}, erased by the fact {}", self.key.event, self.newest),
            false => format!("{}, whose newest fact is {}", self.key, self.newest),
        }
    }
}

impl Told for Added {
    const LIST: &'static str = "added";

    fn told(&self) -> String {
        format!("event {}, to which replays have added {}", self.event, self.count)
    }
}

impl Told for AttemptOf {
    const LIST: &'static str = "attempts";

    fn told(&self) -> String {
        let place = &self.place;
        let of = place.key.map_or_else(|| "a test".to_owned(), |key| format!("of {key}"));
        format!(
            "attempt {} to {}, {of}, {:?}, begun {}, ended {}, {} ms at most",
            place.position,
            self.webhook,
            place.outcome,
            place.started,
            place.time,
            place.latency.at_most().0
        )
    }
}

impl Told for Tally {
    const LIST: &'static str = "tallies";

    fn told(&self) -> String {
        let (outcomes, latencies) = self.summary.counts();
        format!(
            "{} in the hour of {}: outcomes {outcomes:?}, latencies {latencies:?}",
            self.webhook,
            hour_start(self.hour)
        )
    }
}
