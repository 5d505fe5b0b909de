//! Erasing and explaining events; and what lies on the disk in clear.

use std::fs;
use std::path::Path;
use std::time::Duration;

use postrider_tests::{Reaction, within};
use serde_json::{Value, json};

use crate::snaily::reply;
use crate::{Stage, email, error_shape, is_time, none_wrong, slow_policy};

/// Whether these bytes lie anywhere in a folder.
fn lies_in(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return lies_in(&path, bytes);
        }
        fs::read(&path).is_ok_and(|all| all.windows(bytes.len()).any(|w| w == bytes))
    })
}

#[test]
fn an_erased_event_keeps_its_attempts_and_nothing_else() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["1s"] } }));
    let event = json!({ "id": "e1", "type": "EMAIL_SENT", "data": { "contact": { "id": "a-person-to-forget" } } });
    stage.publish(&event);
    stage.wait_for_logs(id, 1);
    let delivery = stage.delivery_of("e1");
    assert_eq!(stage.client.delete("/v1/events/e1").expect(204).text, "");
    let erased = stage.client.get("/v1/events/e1").expect(200);
    assert_eq!(erased.data()["data"], Value::Null, "{}", erased.text);
    assert!(is_time(&erased.data()["erasedAt"]), "{}", erased.text);
    assert_eq!(erased.data()["deliveries"][0]["status"], "cancelled");
    let entries = stage.wait_for_logs(id, 1);
    assert_eq!((&entries[0]["eventId"], &entries[0]["statusCode"]), (&json!("e1"), &json!(500)));
    let shown = stage.client.get(&format!("/v1/deliveries/{delivery}")).expect(200);
    assert!(!shown.text.contains("a-person-to-forget"), "{}", shown.text);
    error_shape(&stage.client.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})), 409).unwrap();
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(stage.receiver.count(), 1, "what was pending is cancelled");
    within(Duration::from_secs(10), "its bytes are gone from the disk", || {
        (!lies_in(stage.server.data(), b"a-person-to-forget")).then_some(())
    });
    assert_eq!(stage.client.post("/v1/events", &event).expect(202).data()["duplicate"], true, "its id is still known");
    stage.client.post("/v1/events", &email("e1")).expect(409);
    stage.client.get("/v1/events?id=e1").expect(200);
}

#[test]
fn what_was_delivered_is_erased_too_and_cannot_be_sent_again() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    let done = stage.wait_for_delivery("e1", "succeeded");
    assert!(lies_in(stage.server.data(), br#"{"contact":{"id":1}}"#), "until then it lies there in clear");
    stage.client.delete("/v1/events/e1").expect(204);
    let delivery = stage.client.get(&format!("/v1/deliveries/{}", done["id"].as_str().unwrap())).expect(200);
    assert_eq!(delivery.data()["status"], "succeeded");
    let retried = stage.client.post(&format!("/v1/deliveries/{}/retry", done["id"].as_str().unwrap()), &json!({}));
    error_shape(&retried, 409).unwrap();
    error_shape(&stage.client.delete("/v1/events/never-was"), 404).unwrap();
    error_shape(&stage.server.workspace("genesy").delete("/v1/events/e1"), 404).unwrap();
}

#[test]
fn what_snaily_removed_is_erased_by_itself_and_its_attempts_stay() {
    let stage = Stage::failing("snaily", 500);
    let id = stage.webhook(&["contact.replied"], json!({ "retryPolicy": { "delays": ["10ms"] } }));
    let mut data = reply();
    data["reply_text"] = json!("words-to-forget");
    stage.publish(&json!({ "id": "e1", "type": "contact.replied", "data": data }));
    stage.wait_for_delivery("e1", "removed");
    let erased = within(Duration::from_secs(60), "its payload is erased", || {
        let event = stage.client.get("/v1/events/e1").expect(200);
        event.data()["data"].is_null().then(|| event.data().clone())
    });
    assert!(is_time(&erased["erasedAt"]), "{erased}");
    assert_eq!(stage.wait_for_logs(id, 2)[0]["outcome"], "removed");
    within(Duration::from_secs(60), "its bytes are gone", || {
        (!lies_in(stage.server.data(), b"words-to-forget")).then_some(())
    });
}

#[test]
fn a_removed_delivery_does_not_take_the_payload_from_those_that_are_pending() {
    let stage = Stage::reacting("snaily", |r| {
        Reaction::Status(if r.path == "/later" && r.header("postrider-attempt") == "2" { 200 } else { 500 })
    });
    stage.webhook_at("/now", &["contact.replied"], json!({ "retryPolicy": { "delays": [] } }));
    stage.webhook_at("/later", &["contact.replied"], json!({ "retryPolicy": { "delays": ["700ms"] } }));
    stage.publish(&json!({ "id": "e1", "type": "contact.replied", "data": reply() }));
    stage.wait_for_delivery("e1", "removed");
    assert!(stage.client.get("/v1/events/e1").expect(200).data()["data"].is_object());
    stage.wait_for_delivery("e1", "succeeded");
    let bodies: Vec<_> = stage.receiver.requests().iter().map(|r| r.body.clone()).collect();
    assert!(bodies.len() == 3 && bodies.iter().all(|b| *b == bodies[0]));
}

#[test]
fn explaining_an_event_says_for_each_webhook_why() {
    let stage = Stage::reacting("genesy", |r| Reaction::Status(if r.path == "/good" { 200 } else { 500 }));
    let mut expected = vec![
        (stage.webhook_at("/good", &["EMAIL_SENT"], json!({})), "succeeded"),
        (stage.webhook_at("/bad", &["EMAIL_SENT"], slow_policy()), "pending"),
        (stage.webhook_at("/bad", &["EMAIL_SENT"], json!({ "retryPolicy": { "delays": [] } })), "exhausted"),
        (stage.webhook(&["EMAIL_SENT"], json!({ "enabled": false })), "webhook_off"),
        (stage.webhook(&["POST_LIKED"], json!({})), "type_not_subscribed"),
        (stage.webhook(&["EMAIL_SENT"], json!({ "campaignIds": [5] })), "campaign_not_listed"),
    ];
    let gone = stage.webhook(&["POST_LIKED"], json!({}));
    stage.publish(&email("e1"));
    within(Duration::from_secs(5), "all are settled", || {
        let list = stage.client.get("/v1/deliveries?status=pending").expect(200);
        let all = stage.client.get("/v1/deliveries").expect(200);
        let tried = all.data().as_array().unwrap().iter().all(|d| d["attemptCount"] == 1);
        (list.body["meta"]["total"] == 1 && tried).then_some(())
    });
    stage.client.delete(&format!("/v1/webhooks/{gone}")).expect(204);
    expected.push((stage.webhook(&["EMAIL_SENT"], json!({})), "created_later"));
    // As decided at the time: a change of today changes nothing.
    stage.client.patch(&format!("/v1/webhooks/{}", expected[3].0), &json!({ "enabled": true })).expect(200);
    stage.client.patch(&format!("/v1/webhooks/{}", expected[4].0), &json!({ "events": ["EMAIL_SENT"] })).expect(200);
    stage.client.patch(&format!("/v1/webhooks/{}", expected[5].0), &json!({ "campaignIds": [] })).expect(200);
    let answer = stage.client.get("/v1/events/e1/explain").expect(200);
    let mut wrong = Vec::new();
    for (webhook, code) in &expected {
        let found = answer.data().as_array().unwrap().iter().find(|e| e["webhookId"] == *webhook);
        if found.is_none_or(|e| e["code"] != *code) {
            wrong.push(format!("{webhook} is not {code}: {found:?}"));
        }
        let one = stage.client.get(&format!("/v1/events/e1/explain?webhookId={webhook}")).expect(200);
        if one.data().as_array().is_none_or(|all| all.len() != 1 || all[0]["code"] != *code) {
            wrong.push(format!("alone {webhook}: {}", one.text));
        }
    }
    none_wrong(wrong);
    error_shape(&stage.client.get("/v1/events/nope/explain"), 404).unwrap();
    assert_eq!(stage.client.get("/v1/events/e1/explain?webhookId=x").expect(422).fields(), ["webhookId"]);
    assert_eq!(stage.client.get("/v1/events/e1/explain?why=x").expect(422).fields(), ["why"]);
}

#[test]
fn no_key_and_no_secret_lies_on_the_disk_in_clear() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "secret": "secret-in-clear", "headers": { "X-Team": "header-in-clear" }, "retryPolicy": { "delays": [] } }));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    stage.client.patch(&format!("/v1/webhooks/{id}"), &json!({ "secret": "second-in-clear" })).expect(200);
    stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    let key = stage.client.key().trim_start_matches("prk_").to_owned();
    for secret in ["secret-in-clear", "header-in-clear", "second-in-clear", &key] {
        assert!(!lies_in(stage.server.data(), secret.as_bytes()), "{secret}");
    }
}
