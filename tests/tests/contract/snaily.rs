//! Snaily's events: what they must have, what they may have, and `created` byte for byte.

use serde_json::{Value, json};

use crate::{Stage, error_shape, none_wrong};

/// The published example of a reply, whole.
pub fn reply() -> Value {
    json!({
        "created_at": "2026-02-19T11:45:00Z",
        "reply_text": "Thank you for reaching out! I'd be happy to discuss potential opportunities.",
        "contact": {
            "snaily_id": "contact-id-123", "given_name": "Jane", "family_name": "Smith", "full_name": "Jane Smith",
            "occupation": "Senior Product Manager", "location": "San Francisco, California, United States", "country": "United States",
            "distance": 2, "linkedin_entity_id": "linkedin-entity-id", "linkedin_public_identifier": "jane-smith", "is_premium": true,
            "last_action_at": "2026-02-19T09:15:00Z", "email_address": "jane.smith@example.com",
            "custom_field_1": "Custom value 1", "custom_field_2": "Custom value 2", "custom_field_3": "Custom value 3",
            "last_job": {
                "title": "Senior Product Manager",
                "company": {
                    "name": "Tech Corp", "website_url": "https://techcorp.com",
                    "industries": [{ "id": "96", "name": "Technology, Information and Internet" }],
                    "employee_count_range": { "start": 1000, "end": 5000 },
                },
            },
        },
        "campaign": { "id": "campaign-id-456", "name": "Q1 Outreach Campaign" },
        "user_context": {
            "snaily_email": "user@example.com", "linkedin_profile_public_identifier": "john-doe",
            "linkedin_profile_entity_id": "linkedin-entity-id-123",
        },
    })
}

pub fn connected() -> Value {
    let mut data = reply();
    data.as_object_mut().unwrap().remove("reply_text");
    data
}

pub fn invitation() -> Value {
    let mut data = connected();
    let at = data.as_object_mut().unwrap().remove("created_at");
    data["sent_at"] = at.unwrap();
    data
}

/// The data with the member at this path changed, or taken out.
fn with(mut data: Value, path: &str, value: Option<Value>) -> Value {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer: String = parents.split('.').filter(|p| !p.is_empty()).map(|p| format!("/{p}")).collect();
    let parent = data.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => drop(parent.insert(name.to_owned(), value)),
        None => drop(parent.remove(name)),
    }
    data
}

#[test]
fn the_published_examples_are_accepted() {
    let stage = Stage::new("snaily");
    for (event_type, data) in
        [("contact.replied", reply()), ("contact.connected", connected()), ("invitation.sent", invitation())]
    {
        stage.publish(&json!({ "type": event_type, "data": data }));
    }
}

#[test]
fn what_is_required_is_named_when_it_is_missing_or_null() {
    let stage = Stage::new("snaily");
    let mut wrong = Vec::new();
    let common = ["contact", "contact.snaily_id", "campaign", "campaign.id", "campaign.name", "user_context"];
    let mut cases: Vec<(&str, Value, &str)> = vec![
        ("contact.replied", reply(), "reply_text"),
        ("contact.replied", reply(), "created_at"),
        ("contact.connected", connected(), "created_at"),
        ("invitation.sent", invitation(), "sent_at"),
    ];
    for path in common {
        cases.push(("contact.replied", reply(), path));
        cases.push(("contact.connected", connected(), path));
        cases.push(("invitation.sent", invitation(), path));
    }
    for (event_type, data, path) in cases {
        for value in [None, Some(Value::Null), Some(json!(true))] {
            let what = format!("{event_type} {path} {value:?}");
            // `created` is given, so that only the rule itself can refuse.
            let event = json!({ "type": event_type, "created": "2026-02-19T11:45:00Z", "data": with(data.clone(), path, value) });
            let answer = stage.client.post("/v1/events", &event);
            let field = format!("data.{path}");
            if error_shape(&answer, 422).is_err()
                || !answer.fields().iter().any(|f| *f == field || f.starts_with(&format!("{field}.")))
            {
                wrong.push(format!("{what}: {} {}", answer.status, answer.text));
            }
        }
    }
    none_wrong(wrong);
}

#[test]
fn what_is_optional_may_be_absent_or_null_else_has_its_type() {
    let stage = Stage::new("snaily");
    let mut wrong = Vec::new();
    let text = |path: &'static str| (path, vec![json!(5), json!({}), json!([])]);
    let cases = vec![
        text("contact.given_name"),
        text("contact.family_name"),
        text("contact.full_name"),
        text("contact.occupation"),
        text("contact.location"),
        text("contact.country"),
        ("contact.distance", vec![json!("2"), json!(1.5), json!(true), json!([])]),
        text("contact.linkedin_entity_id"),
        text("contact.linkedin_public_identifier"),
        ("contact.is_premium", vec![json!("true"), json!(1)]),
        ("contact.last_action_at", vec![json!(5), json!("yesterday")]),
        text("contact.email_address"),
        text("contact.custom_field_1"),
        text("contact.custom_field_2"),
        text("contact.custom_field_3"),
        ("contact.last_job", vec![json!("boss"), json!([])]),
        text("contact.last_job.title"),
        ("contact.last_job.company", vec![json!("Tech Corp"), json!([])]),
        text("contact.last_job.company.name"),
        text("contact.last_job.company.website_url"),
        ("contact.last_job.company.industries", vec![json!({}), json!("IT"), json!(["IT"])]),
        ("contact.last_job.company.employee_count_range", vec![json!(5), json!([1, 2])]),
        ("contact.last_job.company.employee_count_range.start", vec![json!("1"), json!(1.5)]),
        ("contact.last_job.company.employee_count_range.end", vec![json!("1"), json!(false)]),
        text("user_context.snaily_email"),
        text("user_context.linkedin_profile_public_identifier"),
        text("user_context.linkedin_profile_entity_id"),
    ];
    for (path, bad) in cases {
        for good in [None, Some(Value::Null)] {
            let answer = stage
                .client
                .post("/v1/events", &json!({ "type": "contact.replied", "data": with(reply(), path, good.clone()) }));
            if answer.status != 202 {
                wrong.push(format!("{path} {good:?}: {} {}", answer.status, answer.text));
            }
        }
        for value in bad {
            let answer = stage.client.post(
                "/v1/events",
                &json!({ "type": "contact.replied", "data": with(reply(), path, Some(value.clone())) }),
            );
            let field = format!("data.{path}");
            if error_shape(&answer, 422).is_err() || !answer.fields().iter().any(|f| f.starts_with(&field)) {
                wrong.push(format!("{path} {value}: {} {}", answer.status, answer.text));
            }
        }
    }
    for (path, value) in [
        ("contact.unknown", json!([1])),
        ("unknown", json!({ "a": 1 })),
        ("campaign.budget", json!(5)),
        ("contact.last_job.company.industries", json!([])),
    ] {
        let answer = stage
            .client
            .post("/v1/events", &json!({ "type": "contact.replied", "data": with(reply(), path, Some(value)) }));
        if answer.status != 202 {
            wrong.push(format!("{path}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn created_is_kept_byte_for_byte_and_defaults_to_the_datas_own_time() {
    let stage = Stage::new("snaily");
    stage.webhook(&crate::SNAILY_TYPES, json!({}));
    let odd = [
        "2026-02-19T10:30:00Z",
        "2026-02-19T10:30:00.1Z",
        "2026-02-19T12:30:00.123456789+02:00",
        "2026-02-19t10:30:00-00:00",
    ];
    let mut expected = Vec::new();
    for (n, created) in odd.iter().enumerate() {
        stage.publish(
            &json!({ "id": format!("e{n}"), "type": "contact.connected", "created": created, "data": connected() }),
        );
        expected.push((format!("e{n}"), (*created).to_owned()));
        let data = with(reply(), "created_at", Some(json!(created)));
        stage.publish(&json!({ "id": format!("d{n}"), "type": "contact.replied", "data": data }));
        expected.push((format!("d{n}"), (*created).to_owned()));
    }
    let data = with(invitation(), "sent_at", Some(json!("2026-02-19T09:00:00+05:30")));
    stage.publish(&json!({ "id": "s", "type": "invitation.sent", "data": data }));
    expected.push(("s".into(), "2026-02-19T09:00:00+05:30".into()));
    let mut seen: Vec<_> = stage
        .wait_for_requests(expected.len())
        .iter()
        .map(|r| {
            let body: Value = serde_json::from_slice(&r.body).unwrap();
            let event = &body["events"][0];
            (event["id"].as_str().unwrap().to_owned(), event["created"].as_str().unwrap().to_owned())
        })
        .collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(stage.client.get("/v1/events/e2").expect(200).data()["created"], odd[2]);
}

#[test]
fn two_events_may_have_the_same_time() {
    let stage = Stage::new("snaily");
    stage.webhook(&["contact.connected"], json!({}));
    for id in ["a", "b"] {
        stage.publish(&json!({ "id": id, "type": "contact.connected", "data": connected() }));
    }
    let requests = stage.wait_for_requests(2);
    assert!(requests.iter().all(|r| r.text().contains(r#""created":"2026-02-19T11:45:00Z""#)));
}

#[test]
fn campaigns_filter_snailys_events_too() {
    let stage = Stage::new("snaily");
    stage.webhook_at("/other", &["contact.connected"], json!({ "campaignIds": ["campaign-id-789"] }));
    stage.webhook_at("/this", &["contact.connected"], json!({ "campaignIds": ["campaign-id-789", "campaign-id-456"] }));
    let answer =
        stage.client.post("/v1/events", &json!({ "type": "contact.connected", "data": connected() })).expect(202);
    assert_eq!(answer.data()["deliveries"], 1);
    assert_eq!(stage.wait_for_requests(1)[0].path, "/this");
}
