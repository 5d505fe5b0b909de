//! Workspaces: what makes one, what it keeps to itself, what ends it.

use serde_json::json;

use crate::{Stage, email, error_shape, is_time, keys, none_wrong};

#[test]
fn a_workspace_is_made_with_a_key_that_is_shown_once() {
    let stage = Stage::new("genesy");
    let admin = stage.server.admin();
    for profile in ["genesy", "snaily"] {
        let made = admin.post("/v1/workspaces", &json!({ "name": "Acme, Inc. ü", "profile": profile })).expect(201);
        let data = made.data();
        assert_eq!(keys(data), ["apiKey", "createdAt", "id", "name", "profile"]);
        assert_eq!((&data["name"], &data["profile"]), (&json!("Acme, Inc. ü"), &json!(profile)));
        assert!(is_time(&data["createdAt"]));
        let key = data["apiKey"].as_str().unwrap();
        assert!(key.starts_with("prk_"));
        stage.client.with_key(key).get("/v1/webhooks").expect(200);
        let path = format!("/v1/workspaces/{}", data["id"].as_str().unwrap());
        let found = admin.get(&path).expect(200);
        assert_eq!(keys(found.data()), ["createdAt", "id", "name", "profile"]);
        assert!(!admin.get("/v1/workspaces").expect(200).text.contains(key));
        let patched = admin.patch(&path, &json!({ "name": "B" })).expect(200);
        assert_eq!(patched.data()["name"], "B");
        assert_eq!(patched.data()["profile"], profile);
        assert_eq!(admin.get(&path).expect(200).data()["name"], "B");
    }
}

#[test]
fn a_workspace_wants_a_name_and_a_known_profile() {
    let stage = Stage::new("genesy");
    let admin = stage.server.admin();
    let mut wrong = Vec::new();
    for (body, field) in [
        (json!({ "profile": "genesy" }), "name"),
        (json!({ "name": "", "profile": "genesy" }), "name"),
        (json!({ "name": null, "profile": "genesy" }), "name"),
        (json!({ "name": 5, "profile": "genesy" }), "name"),
        (json!({ "name": "a".repeat(10_000), "profile": "genesy" }), "name"),
        (json!({ "name": "a" }), "profile"),
        (json!({ "name": "a", "profile": "Genesy" }), "profile"),
        (json!({ "name": "a", "profile": null }), "profile"),
        (json!({ "name": "a", "profile": 1 }), "profile"),
        (json!({ "name": "a", "profile": "genesy", "plan": "pro" }), "plan"),
    ] {
        let answer = admin.post("/v1/workspaces", &body);
        if error_shape(&answer, 422).is_err() || !answer.fields().contains(&field) {
            wrong.push(format!("{body}: {} {}", answer.status, answer.text.chars().take(300).collect::<String>()));
        }
    }
    let id = admin.get("/v1/workspaces").expect(200).data()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/workspaces/{id}");
    for (body, field) in [
        (json!({ "profile": "snaily" }), "profile"),
        (json!({ "name": null }), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "id": "ws_1" }), "id"),
    ] {
        let answer = admin.patch(&path, &body);
        if error_shape(&answer, 422).is_err() || !answer.fields().contains(&field) {
            wrong.push(format!("PATCH {body}: {} {}", answer.status, answer.text));
        }
    }
    admin.patch(&path, &json!({})).expect(200);
    none_wrong(wrong);
}

#[test]
fn what_belongs_to_another_workspace_is_not_there() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    stage.wait_for_delivery("e1", "succeeded");
    let delivery = stage.delivery_of("e1");
    let other = stage.server.workspace("genesy");
    let own = format!("/v1/webhooks/{webhook}");
    for path in [
        own.clone(),
        format!("{own}/logs"),
        format!("{own}/health"),
        "/v1/events/e1".into(),
        format!("/v1/deliveries/{delivery}"),
    ] {
        other.get(&path).expect(404);
    }
    other.patch(&own, &json!({ "enabled": false })).expect(404);
    other.delete(&own).expect(404);
    other.post(&format!("{own}/test"), &json!({})).expect(404);
    other.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).expect(404);
    for path in ["/v1/webhooks", "/v1/events", "/v1/deliveries", "/v1/events?id=e1"] {
        assert_eq!(other.get(path).expect(200).body["meta"]["total"], 0, "{path}");
    }
    let filtered = other.get(&format!("/v1/deliveries?webhookId={webhook}"));
    assert!(filtered.status == 404 || filtered.body["data"] == json!([]), "{}", filtered.text);
    // The same id is another event there, and goes to no webhook of the first.
    let published = other.post("/v1/events", &email("e1")).expect(202);
    assert_eq!((&published.data()["duplicate"], &published.data()["deliveries"]), (&json!(false), &json!(0)));
    stage.client.get(&own).expect(200);
    assert_eq!(stage.receiver.count(), 1);
}

#[test]
fn a_deleted_workspace_ends_its_keys_and_its_deliveries() {
    let stage = Stage::failing("genesy", 500);
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["800ms"] } }));
    stage.publish(&email("e1"));
    stage.wait_for_logs(webhook, 1);
    let admin = stage.server.admin();
    let id = admin.get("/v1/workspaces").expect(200).data()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(admin.delete(&format!("/v1/workspaces/{id}")).expect(204).text, "");
    stage.client.get("/v1/webhooks").expect(401);
    stage.client.post("/v1/events", &email("e2")).expect(401);
    admin.get(&format!("/v1/workspaces/{id}")).expect(404);
    admin.delete(&format!("/v1/workspaces/{id}")).expect(404);
    admin.get(&format!("/v1/workspaces/{id}/keys")).expect(404);
    assert_eq!(admin.get("/v1/workspaces").expect(200).body["meta"]["total"], 0);
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    assert_eq!(stage.receiver.count(), 1, "nothing goes out for it any more");
}
