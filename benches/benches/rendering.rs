//! What it costs to check an event's data and to render the body that receivers get.

use postrider_benches::{Hash, Scale, report, timed};
use postrider_core::profile::{EventTypes, EventView, Profile};

fn main() {
    let scale = Scale::of_arguments();
    let rounds = scale.pick(200_000, 100);
    let mut hash = Hash::new();
    for profile in Profile::built_in() {
        let EventTypes::Listed(types) = &profile.event_types else { continue };
        for event_type in types {
            let data = event_type.sample.as_bytes();
            let (_, took) = timed(|| {
                for _ in 0..rounds {
                    std::hint::black_box(profile.check(&event_type.name, std::hint::black_box(data)).is_ok());
                }
            });
            report(&format!("to check {} of {} ({} B)", event_type.name, profile.name, data.len()), rounds, took);
            let view =
                EventView { id: "evt_1", event_type: &event_type.name, created: "2026-02-19T10:30:00.000Z", data };
            let fields: &[&str] = if profile.has_custom_fields { &["industry", "seniority"] } else { &[] };
            let mut body = Vec::with_capacity(4096);
            let (_, took) = timed(|| {
                for _ in 0..rounds {
                    body.clear();
                    profile.render(std::hint::black_box(&view), fields, &mut body);
                }
            });
            report(&format!("to render {} of {} ({} B)", event_type.name, profile.name, body.len()), rounds, took);
            hash.take_bytes(&body);
        }
    }
    hash.report();
}
