//! Webhooks: defaults, changes, secrets, on and off, deletion.

use std::time::Duration;

use postrider_tests::Reaction;
use serde_json::{Value, json};

use crate::{GENESY_TYPES, Stage, email, error_shape, id_of, is_time, none_wrong, slow_policy};

#[test]
fn a_webhook_has_the_profiles_defaults() {
    let stage = Stage::new("genesy");
    let url = stage.receiver.url("/in?x=1");
    let made =
        stage.client.post("/v1/webhooks", &json!({ "name": "crm", "url": url, "events": GENESY_TYPES })).expect(201);
    let data = made.data();
    id_of(&data["id"]);
    assert_eq!((&data["name"], &data["url"], &data["events"]), (&json!("crm"), &json!(url), &json!(GENESY_TYPES)));
    assert_eq!((&data["campaignIds"], &data["customFields"]), (&json!([]), &json!([])));
    assert_eq!((&data["enabled"], &data["hasSecret"]), (&json!(true), &json!(false)));
    assert_eq!(data["timeoutMs"], 15_000);
    assert_eq!(data["retryPolicy"], json!({ "delays": ["30s", "5m", "50m"], "jitter": 0.0 }));
    assert!(is_time(&data["createdAt"]) && is_time(&data["updatedAt"]));
    let found = stage.client.get(&format!("/v1/webhooks/{}", data["id"])).expect(200);
    assert_eq!(found.data(), data);
    assert_eq!(&stage.client.get("/v1/webhooks").expect(200).data()[0], data);
}

#[test]
fn snaily_needs_no_name_and_waits_twelve_hours_fourteen_times() {
    let stage = Stage::new("snaily");
    let made = stage
        .client
        .post("/v1/webhooks", &json!({ "url": "https://hooks.example.com:8443/x", "events": ["contact.replied"] }))
        .expect(201);
    let data = made.data();
    assert_eq!(data["name"], "hooks.example.com");
    assert_eq!(data["retryPolicy"]["delays"], json!(vec!["12h"; 14]));
    let null = stage
        .client
        .post("/v1/webhooks", &json!({ "name": null, "url": stage.receiver.url("/"), "events": ["contact.replied"] }))
        .expect(201);
    assert_eq!(null.data()["name"], "127.0.0.1");
}

#[test]
fn everything_that_can_be_given_is_kept_and_shown_but_secrets() {
    let stage = Stage::new("genesy");
    let made = stage
        .client
        .post(
            "/v1/webhooks",
            &json!({
                "name": "ü".repeat(255), "url": stage.receiver.url("/"), "events": ["EMAIL_SENT"], "secret": "keep this to us",
                "campaignIds": [7, "7b", "8", 9_007_199_254_740_993_u64], "customFields": ["industry", "size"], "enabled": false,
                "description": "why", "retryPolicy": { "delays": ["1ms", "2s", "3m", "4h", "30d"], "jitter": 0.5 }, "timeoutMs": 60_000,
                "headers": { "X-Team": "sales-header-value", "Authorization": "Bearer header-token" }, "rateLimit": { "perSecond": 5 },
            }),
        )
        .expect(201);
    let data = made.data();
    assert_eq!(data["campaignIds"], json!([7, "7b", "8", 9_007_199_254_740_993_u64]));
    assert_eq!(data["customFields"], json!(["industry", "size"]));
    assert_eq!((&data["enabled"], &data["hasSecret"]), (&json!(false), &json!(true)));
    assert_eq!(data["description"], "why");
    assert_eq!(data["retryPolicy"], json!({ "delays": ["1ms", "2s", "3m", "4h", "30d"], "jitter": 0.5 }));
    assert_eq!((&data["timeoutMs"], &data["rateLimit"]["perSecond"].as_f64()), (&json!(60_000), &Some(5.0)));
    let mut names: Vec<_> =
        data["headers"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["authorization", "x-team"]);
    let path = format!("/v1/webhooks/{}", data["id"]);
    let texts = [
        made.text.clone(),
        stage.client.get(&path).expect(200).text,
        stage.client.get("/v1/webhooks").expect(200).text,
        stage.client.patch(&path, &json!({ "description": "x" })).expect(200).text,
        stage.client.post(&format!("{path}/test"), &json!({})).expect(200).text,
        stage.client.get(&format!("{path}/logs")).expect(200).text,
    ];
    for text in texts {
        for secret in ["keep this to us", "sales-header-value", "header-token"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_patch_changes_only_what_it_names() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(
        &["EMAIL_SENT"],
        json!({ "secret": "long enough", "campaignIds": [1], "customFields": ["a"], "description": "d" }),
    );
    let path = format!("/v1/webhooks/{id}");
    let before = stage.client.get(&path).expect(200).data().clone();
    for (name, value) in [
        ("name", json!("other")),
        ("url", json!("https://example.com/new")),
        ("events", json!(["EMAIL_SENT", "POST_LIKED"])),
        ("campaignIds", json!(["x", 2])),
        ("customFields", json!(["b"])),
        ("enabled", json!(false)),
        ("description", json!("other")),
        ("retryPolicy", json!({ "delays": ["1s"], "jitter": 1.0 })),
        ("timeoutMs", json!(1000)),
        ("rateLimit", json!({ "perSecond": 2 })),
        ("headers", json!({ "X-A": "b" })),
    ] {
        let answer = stage.client.patch(&path, &json!({ name: value })).expect(200);
        let mut expected = before.clone();
        expected[name] = if name == "headers" { json!(["X-A"]) } else { value };
        let mut got = answer.data().clone();
        assert!(is_time(&got["updatedAt"]));
        for data in [&mut got, &mut expected] {
            data["updatedAt"] = Value::Null;
            data.as_object_mut().unwrap().remove("warnings");
            data["headers"] = json!(data["headers"].to_string().to_lowercase());
            data["rateLimit"] = json!(data["rateLimit"]["perSecond"].as_f64());
        }
        assert_eq!(got, expected, "{name}");
        stage
            .client
            .patch(&path, &json!({ name: if name == "headers" { json!({}) } else { before[name].clone() } }))
            .expect(200);
    }
    assert_eq!(stage.client.patch(&path, &json!({})).expect(200).data()["hasSecret"], true);
}

#[test]
fn a_null_in_a_patch_sets_the_default() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(
        &["EMAIL_SENT"],
        json!({
            "secret": "long enough", "campaignIds": [1], "customFields": ["a"], "description": "d", "enabled": false,
            "retryPolicy": { "delays": ["1s"] }, "timeoutMs": 1000, "headers": { "X-A": "b" }, "rateLimit": { "perSecond": 1 },
        }),
    );
    let path = format!("/v1/webhooks/{id}");
    let fresh = stage
        .client
        .post("/v1/webhooks", &json!({ "name": "crm", "url": stage.receiver.url("/"), "events": ["EMAIL_SENT"] }))
        .expect(201);
    let mut wrong = Vec::new();
    for name in
        ["campaignIds", "customFields", "enabled", "description", "retryPolicy", "timeoutMs", "headers", "rateLimit"]
    {
        let answer = stage.client.patch(&path, &json!({ name: null }));
        if answer.status != 200 || answer.data()[name] != fresh.data()[name] {
            wrong.push(format!("{name}: {} {}", answer.status, answer.text));
        }
    }
    assert_eq!(stage.client.patch(&path, &json!({ "secret": null })).expect(200).data()["hasSecret"], false);
    for name in ["name", "url", "events"] {
        let answer = stage.client.patch(&path, &json!({ name: null }));
        if error_shape(&answer, 422).is_err() || answer.fields() != [name] {
            wrong.push(format!("{name}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_refused_patch_changes_nothing() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    let path = format!("/v1/webhooks/{id}");
    let before = stage.client.get(&path).expect(200).data().clone();
    let answer = stage
        .client
        .patch(&path, &json!({ "name": "new", "timeoutMs": 1, "hasSecret": true, "events": ["NOPE"] }))
        .expect(422);
    let mut fields = answer.fields();
    fields.sort_unstable();
    assert!(fields.contains(&"hasSecret") || fields.contains(&"timeoutMs"), "{}", answer.text);
    assert_eq!(stage.client.get(&path).expect(200).data(), &before);
}

#[test]
fn off_skips_new_events_and_holds_what_is_pending() {
    let stage =
        Stage::reacting("genesy", |r| Reaction::Status(if r.header("postrider-attempt") == "1" { 500 } else { 200 }));
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["800ms"] } }));
    let path = format!("/v1/webhooks/{id}");
    stage.publish(&email("before"));
    stage.wait_for_logs(id, 1);
    stage.client.patch(&path, &json!({ "enabled": false })).expect(200);
    let skipped = stage.client.post("/v1/events", &email("while off")["data"]);
    assert_eq!(skipped.status, 422);
    let skipped = stage.client.post("/v1/events", &email("while_off")).expect(202);
    assert_eq!(skipped.data()["deliveries"], 0);
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(stage.receiver.count(), 1, "what is pending waits");
    stage.wait_for_delivery("before", "pending");
    stage.client.patch(&path, &json!({ "enabled": true })).expect(200);
    let delivery = stage.wait_for_delivery("before", "succeeded");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 2);
    std::thread::sleep(Duration::from_millis(200));
    let seen: Vec<_> = stage.receiver.requests().iter().map(|r| r.header("postrider-event-id").to_owned()).collect();
    assert_eq!(seen, ["before", "before"], "what was skipped does not come by itself");
}

#[test]
fn a_deletion_cancels_what_is_pending() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["800ms"] } }));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    let delivery = stage.delivery_of("e1");
    assert_eq!(stage.client.delete(&format!("/v1/webhooks/{id}")).expect(204).text, "");
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(stage.receiver.count(), 1);
    let cancelled = stage.wait_for_delivery("e1", "cancelled");
    assert!(cancelled["nextAttemptAt"].is_null(), "{cancelled}");
    stage.client.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).expect(409);
    for answer in [
        stage.client.get(&format!("/v1/webhooks/{id}")),
        stage.client.get(&format!("/v1/webhooks/{id}/logs")),
        stage.client.delete(&format!("/v1/webhooks/{id}")),
        stage.client.patch(&format!("/v1/webhooks/{id}"), &json!({})),
        stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})),
    ] {
        error_shape(&answer, 404).unwrap();
    }
    assert_eq!(stage.client.get("/v1/webhooks").expect(200).body["meta"]["total"], 0);
    let next = stage.webhook(&["EMAIL_SENT"], slow_policy());
    assert!(next > id, "an id is never used again");
}

#[test]
fn a_webhook_with_campaigns_gets_only_theirs_and_nothing_without_one() {
    let stage = Stage::new("genesy");
    stage.webhook_at("/some", &["EMAIL_SENT"], json!({ "campaignIds": [7, "b"] }));
    stage.webhook_at("/all", &["EMAIL_SENT"], json!({}));
    for (id, campaign, deliveries) in [
        ("n", json!({ "id": 7 }), 2),
        ("s", json!({ "id": "7" }), 2),
        ("b", json!({ "id": "b" }), 2),
        ("float", json!({ "id": 7.0 }), 1),
        ("other", json!({ "id": 8 }), 1),
        ("null", json!({ "id": null }), 1),
        ("nameless", json!({ "name": "x" }), 1),
    ] {
        let event = json!({ "id": id, "type": "EMAIL_SENT", "data": { "campaign": campaign } });
        assert_eq!(stage.client.post("/v1/events", &event).expect(202).data()["deliveries"], deliveries, "{id}");
    }
    assert_eq!(stage.client.post("/v1/events", &email("without")).expect(202).data()["deliveries"], 1);
    stage.wait_for_requests(11);
}
