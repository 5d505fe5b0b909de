//! What is no profile, and how that is told.

use super::*;

/// What is said of the Snaily profile with `from` replaced by `to`.
fn refused(from: &str, to: &str) -> String {
    let text = BUILT_IN[1].1;
    assert!(text.contains(from), "the profile has {from}");
    Profile::parse(&text.replacen(from, to, 1)).expect_err("it must be refused").to_string()
}

#[test]
fn a_key_that_no_profile_has_is_refused_by_name() {
    assert!(refused("title = ", "colour = 1\ntitle = ").contains("colour"));
    assert!(refused("jitter = 0.0", "").contains("jitter"));
    assert!(matches!(Profile::parse("name ="), Err(ProfileError::Form(_))));
}

#[test]
fn values_that_cannot_be_meant_are_refused_with_their_path() {
    for (from, to, field) in [
        ("name = \"snaily\"", "name = \"Snaily!\"", "name"),
        ("\"12h\"", "\"12 h\"", "retry.delays[0]"),
        ("jitter = 0.0", "jitter = 1.5", "retry.jitter"),
        ("\"X-Snaily-Token\"", "\"X Snaily\"", "secret.header"),
        ("chars_min = 1", "chars_min = 300", "secret.chars_min"),
        ("id = \"campaign.id\"", "id = \"campaign..id\"", "campaign.id"),
        ("[[event_types]]", "[any_type]\npattern = \"[a-z]{1,9}\"\nsample = \"{}\"\n[[event_types]]", "event_types"),
        ("name = \"contact.replied\"", "name = \"contact.connected\"", "event_types.contact.connected"),
        ("name = \"contact.replied\"", "name = \"contact replied\"", "event_types.contact replied: name"),
        ("schema = \"replied\"", "schema = \"answered\"", "event_types.contact.replied: schemas.answered"),
        ("created_from = \"sent_at\"", "created_from = \"contact\"", "event_types.invitation.sent: created_from"),
        ("created_from = \"sent_at\"", "created_from = \"created_at\"", "event_types.invitation.sent: created_from"),
    ] {
        assert!(refused(from, to).starts_with(&format!("{field}: ")), "{to}: {}", refused(from, to));
    }
}

#[test]
fn a_schema_that_promises_what_is_not_checked_is_refused() {
    let place = r#""is_premium": {"type": ["boolean", "null"]}"#;
    for (schema, message) in [
        (r#"{"minLength": 3}"#, "the keyword minLength is not understood here"),
        (r#"{"additionalProperties": false}"#, "the keyword additionalProperties is not understood here"),
        (r#"{"type": "text"}"#, "type: must be types of JSON"),
        (r#"{"type": []}"#, "type: must be types of JSON"),
        (r#"{"format": "email"}"#, "format: must be date-time, the one that is checked"),
        (r#"{"enum": [1]}"#, "enum: must be strings and null"),
        (r#"{"enum": ["a"], "items": {}}"#, "enum and format cannot stand beside properties, required or items"),
        (r#"{"required": [1]}"#, "required: must be names"),
        ("true", "must be an object of keywords"),
    ] {
        let told = refused(place, &format!("\"is_premium\": {schema}"));
        assert_eq!(told, format!("event_types.contact.connected: schemas.connected.contact.is_premium: {message}"));
    }
}

#[test]
fn schemas_refer_one_level_deep_so_that_none_is_endless() {
    let told = refused(r#""user_context": {"$ref": "user_context"}"#, r#""user_context": {"$ref": "nothing"}"#);
    assert!(told.ends_with("schemas.nothing: is referred to and missing"), "{told}");
    let told = refused(r#""name": {"type": "string"}"#, r#""name": {"$ref": "campaign"}"#);
    assert!(told.ends_with("the keyword $ref is not understood here"), "{told}");
}

#[test]
fn an_envelope_that_refers_to_nothing_is_refused() {
    for (to, message) in [
        ("\"$event.name\"", "envelope: $event.name refers to nothing"),
        ("[\"$data.a\"]", "envelope: $data.a can be left out, so it must be a member's value"),
        ("\"$data.a{b\"", "envelope: a { is never closed"),
        ("\"$data.a..b\"", "envelope: $data.a..b is not of the form $data.a.b or $data.a{x,y}"),
        ("\"$data.a{b,}\"", "envelope: $data.a{b,} is not of the form $data.a.b or $data.a{x,y}"),
        ("\"$custom_fields\"", "envelope: $custom_fields and the table custom_fields must both be there, or neither"),
    ] {
        assert_eq!(refused("\"$data\"", to), message);
    }
    assert!(refused("{\"id\": \"$event.id\"", "{\"id\" \"$event.id\"").starts_with("envelope: is not JSON"));
}

#[test]
fn a_sample_passes_its_own_schema() {
    let told = refused("\"distance\": 2,", "\"distance\": \"2\",");
    assert_eq!(told, "event_types.contact.connected: sample: data.contact.distance: must be an integer or null");
}

#[test]
fn a_campaign_has_a_text() {
    let told = refused("id = \"campaign.id\"", "id = \"contact.last_job\"");
    assert!(told.ends_with("data.contact.last_job: is an object or an array, which has no text"), "{told}");
    assert!(
        refused("id = \"campaign.id\"", "id = \"created_at.id\"").contains("lies within something that is no object")
    );
}

#[test]
fn an_object_describes_at_most_64_members_also_by_its_campaign() {
    let members = |n: usize| (0..n).map(|i| format!("\"m{i}\": {{}},")).collect::<String>();
    let with = |n: usize| {
        let text = BUILT_IN[0].1.replacen("\"campaign\": {", &format!("{}\"campaign\": {{", members(n)), 1);
        Profile::parse(&text.replacen("id = \"campaign.id\"", "id = \"tag\"", 1)).map_err(|e| e.to_string())
    };
    assert!(with(58).is_ok());
    assert!(with(59).is_err_and(|told| told.contains("data.tag: is one more than the 64")));
    assert!(with(60).is_err_and(|told| told.contains("describes more than 64 members")));
}

#[test]
fn envelopes_may_begin_with_what_can_be_left_out() {
    let text = BUILT_IN[2].1.replacen("{\"type\"", "{\"a\": \"$data.a\", \"b\": \"$data.b.c\", \"type\"", 1);
    let profile = Profile::parse(&text).expect("a profile");
    let body = |data: &'static str| {
        let mut out = Vec::new();
        profile.render(&EventView { id: "", event_type: "t", created: "c", data: data.as_bytes() }, &[""; 0], &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    assert_eq!(body("{}"), r#"{"type":"t","timestamp":"c","data":{}}"#);
    assert_eq!(body(r#"{"b":{"c":1}}"#), r#"{"b":1,"type":"t","timestamp":"c","data":{"b":{"c":1}}}"#);
    assert_eq!(body(r#"{"a":{}}"#), r#"{"a":{},"type":"t","timestamp":"c","data":{"a":{}}}"#);
}
