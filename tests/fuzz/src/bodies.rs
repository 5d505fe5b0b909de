//! Any bytes as an event's `data`, in each profile: refused with a path from `data` on, or such that the body made of it is JSON, the same
//! each time, with `data` in it byte for byte where the profile has it so. Nor does rendering fail on what was not checked.

use std::sync::LazyLock;

use postrider_core::profile::{EventView, Profile};
use serde_json::value::RawValue;

use crate::choice;

const TYPES: [&str; 8] = [
    "CONNECTION_REQUEST_SENT",
    "MESSAGE_REPLIED",
    "EMAIL_SENT",
    "contact.connected",
    "contact.replied",
    "invitation.sent",
    "order.paid",
    "no type",
];
const CUSTOM_FIELDS: [&str; 5] = ["leadScore", "id", "customFields", "\"", "none"];

static PROFILES: LazyLock<[Profile; 4]> = LazyLock::new(Profile::built_in);

pub fn run(bytes: &[u8]) {
    let Some((choice, data)) = choice(bytes) else { return };
    let profile = &PROFILES[choice % 3];
    let event_type = TYPES[choice / 3 % TYPES.len()];
    let event = EventView { id: "evt_1", event_type, created: "2026-02-19T10:30:00.000Z", data };
    let body = rendered(profile, &event);
    match profile.check(event_type, data) {
        Ok(_) => {
            // As bytes: lone surrogates and numbers beyond all bounds are JSON, too, and no tree can hold them.
            let sent: &RawValue = serde_json::from_slice(&body).expect("a body is JSON");
            assert!(sent.get().starts_with('{'));
            let keeps = profile.has_custom_fields || body.windows(data.len()).any(|window| window == data);
            assert!(keeps, "data is sent as it came");
            assert_eq!(rendered(profile, &event), body, "the same bytes at every attempt");
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| fault.field == "type" || fault.field.starts_with("data")), "{faults:?}");
        }
    }
}

fn rendered(profile: &Profile, event: &EventView<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let custom_fields: &[&str] = if profile.has_custom_fields { &CUSTOM_FIELDS } else { &[] };
    profile.render(event, custom_fields, &mut body);
    body
}
