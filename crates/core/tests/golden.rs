//! Bodies byte for byte, as receivers have been getting them: each file in `golden/` is one whole body.
//!
//! They were made from the published examples and body shapes, not by this program: a difference is a break of the contract.

use postrider_core::profile::{EventTypes, EventView, Profile};
use std::path::PathBuf;

fn golden(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn profile(name: &str) -> Profile {
    Profile::built_in().into_iter().find(|p| &*p.name == name).expect("built in")
}

/// Renders under `name`'s profile and compares with the golden file, one member a line.
fn assert_body(file: &str, name: &str, event: &EventView<'_>, custom_fields: &[&str]) {
    let mut out = Vec::new();
    profile(name).render(event, custom_fields, &mut out);
    let (body, expected) = (String::from_utf8(out).expect("UTF-8"), golden(file));
    if body != expected {
        panic!("the body differs from golden/{file}\n{}", diff(&expected, &body));
    }
}

/// The lines around the first difference, `-` expected and `+` rendered.
fn diff(expected: &str, body: &str) -> String {
    let lines =
        |text: &str| text.replace(",\"", ",\n\"").replace("{\"", "{\n\"").lines().map(String::from).collect::<Vec<_>>();
    let (expected, body) = (lines(expected), lines(body));
    let same = expected.iter().zip(&body).take_while(|(e, b)| e == b).count();
    let show = |mark: &str, lines: &[String]| {
        lines.iter().skip(same).take(3).map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    let before: String = expected[same.saturating_sub(2)..same].iter().map(|line| format!("  {line}\n")).collect();
    format!("{before}{}{}", show("-", &expected), show("+", &body))
}

#[test]
fn each_genesy_type_has_the_documented_body() {
    let genesy = profile("genesy");
    let EventTypes::Listed(types) = &genesy.event_types else { panic!("genesy lists its types") };
    for event_type in types {
        let (name, data) = (&*event_type.name, event_type.sample.as_bytes());
        let event = EventView { id: "evt_123456", event_type: name, created: "2026-02-19T10:30:00.000Z", data };
        assert_body(&format!("genesy.{name}.json"), "genesy", &event, &[]);
    }
}

#[test]
fn a_genesy_webhook_gets_the_custom_fields_that_it_names() {
    let genesy = profile("genesy");
    let data = genesy.sample("PROFILE_VISITED").expect("listed");
    let event =
        EventView { id: "evt_123456", event_type: "PROFILE_VISITED", created: "2026-02-19T10:30:00.000Z", data };
    let names = ["industry", "leadScore", "domain", "nowhere", "email"];
    assert_body("genesy.custom-fields.json", "genesy", &event, &names);
    assert_body("genesy.bare.json", "genesy", &EventView { data: b"{}", ..event }, &[]);
}

#[test]
fn each_snaily_type_has_the_documented_body() {
    let snaily = profile("snaily");
    for (id, event_type) in
        [("evt_123456", "contact.connected"), ("evt_789012", "contact.replied"), ("evt_345678", "invitation.sent")]
    {
        let data = snaily.sample(event_type).expect("listed");
        let created = snaily.check(event_type, data).expect("valid").created.expect("the data has a time");
        let event = EventView { id, event_type, created: &created, data };
        assert_body(&format!("snaily.{event_type}.json"), "snaily", &event, &[]);
    }
}

#[test]
fn snaily_data_keeps_the_space_that_it_was_published_with() {
    let data = golden("snaily.as-published.data.json");
    profile("snaily").check("contact.connected", data.as_bytes()).expect("the published example is valid");
    let event = EventView {
        id: "evt_123456",
        event_type: "contact.connected",
        created: "2026-02-19T10:30:00Z",
        data: data.as_bytes(),
    };
    assert_body("snaily.as-published.json", "snaily", &event, &[]);
}

#[test]
fn a_standard_body_is_type_time_and_data() {
    let standard = profile("standard");
    let data = standard.sample("invoice.paid").expect("any type");
    let event = EventView { id: "evt_123456", event_type: "invoice.paid", created: "2026-02-19T10:30:00.000Z", data };
    assert_body("standard.json", "standard", &event, &[]);
}
