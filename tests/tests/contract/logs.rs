//! The log of a webhook: one entry an attempt, its shape, its filters, and the kind of each failure.

use std::time::Duration;

use postrider_tests::Reaction;
use serde_json::{Value, json};

use crate::{Stage, email, id_of, keys, none_wrong, slow_policy};

const ENTRY: [&str; 14] = [
    "attemptNumber",
    "createdAt",
    "deliveryId",
    "durationMs",
    "errorKind",
    "errorMessage",
    "eventId",
    "eventType",
    "id",
    "nextAttemptAt",
    "outcome",
    "responseBody",
    "statusCode",
    "test",
];

#[test]
fn an_entry_has_the_contracts_members_and_no_more() {
    let stage =
        Stage::reacting("genesy", |r| Reaction::Status(if r.header("postrider-attempt") == "1" { 500 } else { 204 }));
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["20ms"] } }));
    stage.publish(&email("e1"));
    let delivery = stage.wait_for_delivery("e1", "succeeded");
    let entries = stage.wait_for_logs(id, 2);
    for entry in &entries {
        assert_eq!(keys(entry), ENTRY);
        id_of(&entry["id"]);
        assert_eq!((&entry["eventId"], &entry["eventType"]), (&json!("e1"), &json!("EMAIL_SENT")));
        assert_eq!((&entry["deliveryId"], &entry["test"]), (&delivery["id"], &json!(false)));
        assert!(entry["durationMs"].is_u64());
    }
    let [last, first] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(
        (&first["attemptNumber"], &first["statusCode"], &first["outcome"]),
        (&json!(1), &json!(500), &json!("retrying"))
    );
    assert_eq!(first["errorKind"], "http_status");
    assert!(first["errorMessage"].as_str().unwrap().starts_with("http_status"));
    assert!(first["nextAttemptAt"].as_str() > first["createdAt"].as_str());
    assert_eq!(first["responseBody"], "ok");
    assert_eq!(
        (&last["attemptNumber"], &last["statusCode"], &last["outcome"]),
        (&json!(2), &json!(204), &json!("succeeded"))
    );
    assert_eq!(
        (&last["errorKind"], &last["errorMessage"], &last["nextAttemptAt"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn each_filter_finds_its_own() {
    let stage = Stage::reacting("genesy", |r| {
        Reaction::Status(if r.header("postrider-event-id") == "bad" { 418 } else { 200 })
    });
    let id = stage.webhook(&["EMAIL_SENT", "POST_LIKED"], slow_policy());
    stage.publish(&email("good"));
    stage.wait_for_logs(id, 1);
    std::thread::sleep(Duration::from_millis(5));
    stage.publish(&json!({ "id": "bad", "type": "POST_LIKED", "data": {} }));
    let entries = stage.wait_for_logs(id, 2);
    let (bad, good) = (entries[0]["createdAt"].as_str().unwrap(), entries[1]["createdAt"].as_str().unwrap());
    let mut wrong = Vec::new();
    for (query, found) in [
        ("eventType=POST_LIKED".to_owned(), &["bad"][..]),
        ("eventType=EMAIL_SENT".into(), &["good"]),
        ("eventType=PROFILE_VISITED".into(), &[]),
        ("outcome=retrying".into(), &["bad"]),
        ("outcome=succeeded".into(), &["good"]),
        ("outcome=exhausted".into(), &[]),
        ("statusCode=418".into(), &["bad"]),
        ("statusCode=200".into(), &["good"]),
        ("eventId=good".into(), &["good"]),
        ("eventId=nope".into(), &[]),
        (format!("since={bad}"), &["bad"]),
        (format!("since={good}"), &["bad", "good"]),
        (format!("until={good}&since={good}"), &["good"]),
        ("since=2099-01-01T00:00:00Z".into(), &[]),
        ("until=2020-01-01T00:00:00.000Z".into(), &[]),
        ("until=2099-01-01T00:00:00%2B02:00".into(), &["bad", "good"]),
        ("eventType=POST_LIKED&outcome=succeeded".into(), &[]),
        ("eventType=POST_LIKED&statusCode=418&outcome=retrying&eventId=bad".into(), &["bad"]),
    ] {
        let answer = stage.client.get(&format!("/v1/webhooks/{id}/logs?{query}"));
        let ids: Vec<_> =
            answer.data().as_array().into_iter().flatten().map(|e| e["eventId"].as_str().unwrap()).collect();
        // Whether `until` belongs to the range itself, the contract leaves open.
        let is_open = query.starts_with("until=2026") && ids.is_empty();
        if answer.status != 200 || ids != found && !is_open {
            wrong.push(format!("{query}: {ids:?} {}", answer.text));
        }
    }
    none_wrong(wrong);
}

/// The kind of failure that a reaction makes.
fn kind_of(react: Reaction, more: Value) -> Value {
    let stage = Stage::reacting("genesy", move |_| react);
    let mut webhook = slow_policy();
    webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id = stage.webhook(&["EMAIL_SENT"], webhook);
    stage.publish(&email("e1"));
    let entry = stage.wait_for_logs(id, 1)[0].clone();
    assert!(entry["errorMessage"].as_str().unwrap().starts_with(entry["errorKind"].as_str().unwrap()), "{entry}");
    entry
}

#[test]
fn each_failure_has_its_kind() {
    let timeout = kind_of(Reaction::Slow(200, Duration::from_secs(3)), json!({ "timeoutMs": 1000 }));
    assert_eq!((&timeout["errorKind"], &timeout["statusCode"]), (&json!("timeout"), &Value::Null));
    let reset = kind_of(Reaction::Drop, json!({}));
    assert_eq!((&reset["errorKind"], &reset["statusCode"]), (&json!("reset"), &Value::Null));
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "<html>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let entry = kind_of(Reaction::Raw(garbage), json!({}));
        assert_eq!(
            (&entry["errorKind"], &entry["statusCode"]),
            (&json!("response_invalid"), &Value::Null),
            "{garbage}"
        );
    }
    for status in [300, 301, 302, 307, 400, 401, 404, 410, 429, 500, 503, 599] {
        let entry = kind_of(Reaction::Status(status), json!({}));
        assert_eq!((&entry["errorKind"], &entry["statusCode"]), (&json!("http_status"), &json!(status)));
        assert_eq!(entry["outcome"], "retrying");
    }
    let connect = kind_of(Reaction::Drop, json!({ "url": "http://127.0.0.1:1/" }));
    assert_eq!((&connect["errorKind"], &connect["statusCode"]), (&json!("connect"), &Value::Null));
    let dns = kind_of(Reaction::Drop, json!({ "url": "http://no-such-host.invalid/" }));
    assert_eq!(dns["errorKind"], "dns");
}

#[test]
fn a_tls_failure_is_tls() {
    let stage = Stage::new("genesy");
    let url = stage.receiver.url("/").replace("http:", "https:");
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "url": url }));
    let answer = stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    assert_eq!(answer.data()["errorKind"], "tls", "{}", answer.text);
}

#[test]
fn an_answers_body_is_kept_to_four_kibibytes_as_text() {
    static LONG: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("HTTP/1.1 500 X\r\ncontent-length: 9000\r\n\r\n{}", "é".repeat(4500)));
    let entry = kind_of(Reaction::Raw(&LONG), json!({}));
    let body = entry["responseBody"].as_str().unwrap();
    assert!(body.len() <= 4096 && body.starts_with("éé") && body.len() >= 4094, "{}", body.len());
    let empty = kind_of(Reaction::Raw("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"), json!({}));
    assert!(empty["responseBody"] == "" || empty["responseBody"].is_null());
}
