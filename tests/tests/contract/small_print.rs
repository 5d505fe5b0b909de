//! What is easily overlooked: bodies of requests that have nothing to say, which field an error names, sentences that are sentences.

use serde_json::{Value, json};

use crate::{Stage, email, error_shape, none_wrong, slow_policy};

#[test]
fn a_body_that_nobody_reads_is_not_swallowed() {
    let stage = Stage::failing("genesy", 500);
    let webhook = stage.webhook(&["EMAIL_SENT"], slow_policy());
    stage.publish(&email("e"));
    stage.wait_for_logs(webhook, 1);
    let replay = stage
        .client
        .post(&format!("/v1/webhooks/{webhook}/replay"), &json!({ "since": "2030-01-01T00:00:00Z", "only": "all" }));
    let replay = replay.expect(202).data()["replayId"].as_str().unwrap().to_owned();
    let mut wrong = Vec::new();
    for path in [
        format!("/v1/deliveries/{}/retry", stage.delivery_of("e")),
        format!("/v1/replays/{replay}/pause"),
        format!("/v1/replays/{replay}/resume"),
    ] {
        for (body, content_type, status) in [
            (r#"{"at":"2030-01-01T00:00:00Z"}"#, "application/json", 422),
            ("[]", "application/json", 422),
            ("{", "application/json", 400),
            ("now", "text/plain", 415),
        ] {
            let answer = stage.client.post_raw(&path, content_type, body.as_bytes());
            if let Err(e) = error_shape(&answer, status) {
                wrong.push(format!("{path} {body}: {e}"));
            }
        }
    }
    none_wrong(wrong);
    assert_eq!(stage.receiver.count(), 1, "nothing was sent for what was refused");
    let retry = format!("/v1/deliveries/{}/retry", stage.delivery_of("e"));
    stage.client.post_raw(&retry, "application/json", b"{}").expect(202);
    stage.wait_for_logs(webhook, 2);
}

#[test]
fn a_bad_idempotency_key_is_named_and_not_the_id() {
    let stage = Stage::new("genesy");
    let event = json!({ "type": "EMAIL_SENT", "data": {} });
    let long = "k".repeat(129);
    for key in ["a b", "a.b", "", &long] {
        let headers =
            [("x-api-key", stage.client.key()), ("content-type", "application/json"), ("idempotency-key", key)];
        let answer = stage.client.send("POST", "/v1/events", &headers, event.to_string().as_bytes());
        error_shape(&answer, 422).unwrap();
        assert_eq!(answer.fields(), ["Idempotency-Key"], "{key:?}: {}", answer.text);
    }
}

#[test]
fn a_day_reads_as_the_published_schedules_write_it() {
    let stage = Stage::new("genesy");
    let delays = json!(["24h", "2d", "36h", "30d", "1500ms", "90s"]);
    let made = stage.client.post(
        "/v1/webhooks",
        &json!({ "name": "n", "url": stage.receiver.url("/"), "events": ["EMAIL_SENT"], "retryPolicy": { "delays": delays } }),
    );
    assert_eq!(made.expect(201).data()["retryPolicy"]["delays"], delays);
}

/// A message is the field and what is wrong with it, so the second half has to go on from the first.
#[test]
fn messages_are_sentences() {
    let genesy = Stage::new("genesy");
    let standard = genesy.server.workspace("standard");
    let webhook = |more: Value| {
        let mut webhook = json!({ "name": "n", "url": "https://example.com/", "events": ["a"] });
        more.as_object().unwrap().iter().for_each(|(name, value)| webhook[name] = value.clone());
        webhook
    };
    let mut wrong = Vec::new();
    for (answer, begin) in [
        (standard.post("/v1/webhooks", &webhook(json!({ "campaignIds": ["1"] }))), "campaignIds must be empty"),
        (standard.post("/v1/webhooks", &webhook(json!({ "customFields": ["a"] }))), "customFields must be empty"),
        (standard.post("/v1/webhooks", &webhook(json!({ "headers": { "a b": "c" } }))), "headers has a name"),
        (standard.post("/v1/webhooks", &webhook(json!({ "url": "http://10.0.0.1/" }))), "url is not taken: 10.0.0.1"),
        (standard.post("/v1/events", &json!({ "type": "a b", "data": {} })), "type is not an event type"),
        (genesy.client.post("/v1/events", &json!({ "type": "a", "data": {} })), "type is not an event type"),
    ] {
        let message = answer.body["message"].as_str().unwrap_or_default();
        if answer.status != 422 || !message.starts_with(begin) {
            wrong.push(format!("{begin}: {} {message}", answer.status));
        }
    }
    none_wrong(wrong);
}
