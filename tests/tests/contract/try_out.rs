//! `POST /v1/webhooks/{id}/test`: one request now, on the production path, told in full.

use std::time::Duration;

use postrider_tests::Reaction;
use serde_json::{Value, json};

use crate::{Stage, error_shape, keys, none_wrong};

#[test]
fn a_test_that_succeeds_shows_what_went_out_and_what_came_back() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(
        &["POST_LIKED", "EMAIL_SENT"],
        json!({ "secret": "not to be shown", "headers": { "X-Team": "nor this one" } }),
    );
    let path = format!("/v1/webhooks/{id}");
    let answer = stage.client.post(&format!("{path}/test"), &json!({})).expect(200);
    let data = answer.data();
    assert_eq!(keys(data), ["durationMs", "errorKind", "errorMessage", "request", "response", "statusCode", "success"]);
    assert_eq!((&data["success"], &data["statusCode"]), (&json!(true), &json!(200)));
    assert_eq!((&data["errorKind"], &data["errorMessage"]), (&Value::Null, &Value::Null));
    assert!(data["durationMs"].is_u64());
    assert_eq!((keys(&data["request"]), keys(&data["response"])), (vec!["body", "headers"], vec!["body", "headers"]));
    assert_eq!(data["response"]["body"], "ok");
    assert!(!answer.text.contains("not to be shown") && !answer.text.contains("nor this one"), "{}", answer.text);
    let shown = data["request"]["headers"].to_string().to_lowercase();
    for name in ["x-webhook-secret", "x-team", "postrider-event-id", "content-type", "user-agent"] {
        assert!(shown.contains(name), "{shown}");
    }
    let request = &stage.wait_for_requests(1)[0];
    assert_eq!((request.header("x-webhook-secret"), request.header("x-team")), ("not to be shown", "nor this one"));
    assert_eq!(data["request"]["body"], request.text(), "the body that went out is the body that is shown");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["eventType"], "POST_LIKED", "the webhook's first type");
    assert_eq!(request.header("postrider-attempt"), "1");

    let entries = stage.wait_for_logs(id, 1);
    let entry = &entries[0];
    assert_eq!(
        (&entry["test"], &entry["deliveryId"], &entry["outcome"]),
        (&json!(true), &Value::Null, &json!("succeeded"))
    );
    assert_eq!((&entry["eventType"], &entry["attemptNumber"]), (&json!("POST_LIKED"), &json!(1)));
    assert!(entry["nextAttemptAt"].is_null());
    assert_eq!(stage.client.get(&format!("{path}/logs")).expect(200).body["meta"]["total"], 1);
    for path in ["/v1/events", "/v1/deliveries"] {
        assert_eq!(stage.client.get(path).expect(200).body["meta"]["total"], 0, "a test counts nowhere else");
    }
}

#[test]
fn a_test_takes_no_body_an_empty_one_or_a_type() {
    let stage = Stage::new("genesy");
    let path = format!("/v1/webhooks/{}/test", stage.webhook(&["EMAIL_SENT"], json!({})));
    let key = ("x-api-key", stage.client.key());
    let mut wrong = Vec::new();
    let json_type = ("content-type", "application/json");
    for (what, answer) in [
        ("nothing", stage.client.send("POST", &path, &[key], b"")),
        ("an empty JSON body", stage.client.send("POST", &path, &[key, json_type], b"")),
        ("an object", stage.client.post(&path, &json!({}))),
        ("null", stage.client.post(&path, &json!({ "eventType": null }))),
        ("the type", stage.client.post(&path, &json!({ "eventType": "EMAIL_SENT" }))),
    ] {
        if answer.status != 200 || answer.data()["success"] != true {
            wrong.push(format!("{what}: {} {}", answer.status, answer.text));
        }
    }
    for (body, field) in [
        (json!({ "eventType": "NOPE" }), "eventType"),
        (json!({ "eventType": "contact.replied" }), "eventType"),
        (json!({ "eventType": 5 }), "eventType"),
        (json!({ "eventType": "" }), "eventType"),
        (json!({ "type": "EMAIL_SENT" }), "type"),
    ] {
        let answer = stage.client.post(&path, &body);
        if error_shape(&answer, 422).is_err() || answer.fields() != [field] {
            wrong.push(format!("{body}: {} {}", answer.status, answer.text));
        }
    }
    error_shape(&stage.client.post_raw(&path, "application/json", b"{"), 400).unwrap();
    none_wrong(wrong);
}

#[test]
fn a_test_of_any_type_of_the_profile_carries_its_sample_with_a_fresh_id_and_time() {
    let stage = Stage::new("snaily");
    let id = stage.webhook(&["contact.replied"], json!({}));
    for event_type in crate::SNAILY_TYPES {
        let answer =
            stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({ "eventType": event_type })).expect(200);
        assert_eq!(answer.data()["success"], true, "{}", answer.text);
    }
    let requests = stage.wait_for_requests(3);
    let mut ids: Vec<_> = requests.iter().map(|r| r.header("postrider-event-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    for (request, event_type) in requests.iter().zip(crate::SNAILY_TYPES) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["events"][0]["type"], event_type);
        assert_eq!(body["events"][0]["id"], request.header("postrider-event-id"));
        assert!(body["events"][0]["created"].as_str().unwrap() > "2026-11", "a fresh time: {body}");
    }
}

#[test]
fn a_test_that_fails_is_still_an_answer_and_is_not_tried_again() {
    let stage = Stage::failing("genesy", 503);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["10ms", "10ms"] } }));
    let answer = stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    let data = answer.data();
    assert_eq!(
        (&data["success"], &data["statusCode"], &data["errorKind"]),
        (&json!(false), &json!(503), &json!("http_status"))
    );
    assert!(data["errorMessage"].as_str().unwrap().starts_with("http_status"), "{data}");
    assert_eq!(data["response"]["body"], "ok");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.receiver.count(), 1);
    let entry = &stage.wait_for_logs(id, 1)[0];
    assert_eq!(
        (&entry["outcome"], &entry["test"], &entry["nextAttemptAt"]),
        (&json!("failed"), &json!(true), &Value::Null)
    );
    let failed = stage.client.get(&format!("/v1/webhooks/{id}/logs?outcome=failed")).expect(200);
    assert_eq!(failed.body["meta"]["total"], 1);
}

#[test]
fn a_test_that_gets_no_answer_says_so_with_nulls() {
    let stage = Stage::reacting("genesy", |_| Reaction::Drop);
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    let answer = stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    let data = answer.data();
    assert_eq!((&data["success"], &data["statusCode"], &data["response"]), (&json!(false), &Value::Null, &Value::Null));
    assert_eq!(data["errorKind"], "reset");
    assert!(data["request"]["body"].as_str().unwrap().contains("EMAIL_SENT"));
}

#[test]
fn a_webhook_that_is_off_can_be_tested() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "enabled": false }));
    let answer = stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    assert_eq!(answer.data()["success"], true, "{}", answer.text);
    stage.wait_for_requests(1);
}
