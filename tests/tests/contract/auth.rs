//! Keys: where they go, what each scope opens, what ends them, and how often they may ask.

use postrider_tests::{Client, Server};
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, none_wrong};

/// Every route of a workspace: the method, the path and the scopes that open it.
fn routes(stage: &Stage) -> Vec<(&'static str, String, &'static [&'static str])> {
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    stage.wait_for_delivery("e1", "succeeded");
    let delivery = stage.delivery_of("e1");
    let wish = json!({ "since": "2020-01-01T00:00:00Z", "only": "failed" });
    let replay = stage.client.post(&format!("/v1/webhooks/{webhook}/replay"), &wish).expect(202);
    let replay = replay.data()["replayId"].as_str().unwrap().to_owned();
    let read: &[&str] = &["READ", "ALL"];
    let all: &[&str] = &["ALL"];
    vec![
        ("GET", "/v1/webhooks".into(), read),
        ("GET", format!("/v1/webhooks/{webhook}"), read),
        ("GET", format!("/v1/webhooks/{webhook}/logs"), read),
        ("GET", format!("/v1/webhooks/{webhook}/health"), read),
        ("GET", "/v1/events".into(), read),
        ("GET", "/v1/events/e1".into(), read),
        ("GET", "/v1/events/e1/explain".into(), read),
        ("GET", "/v1/event-types".into(), &["READ", "EVENTS_WRITE", "ALL"]),
        ("GET", "/v1/egress".into(), read),
        ("GET", "/v1/deliveries".into(), read),
        ("GET", format!("/v1/deliveries/{delivery}"), read),
        ("GET", format!("/v1/replays/{replay}"), read),
        ("POST", "/v1/events".into(), &["EVENTS_WRITE", "ALL"]),
        ("POST", "/v1/webhooks".into(), all),
        ("POST", format!("/v1/webhooks/{webhook}/test"), all),
        ("POST", format!("/v1/deliveries/{delivery}/retry"), all),
        ("POST", format!("/v1/webhooks/{webhook}/replay"), all),
        ("POST", format!("/v1/replays/{replay}/pause"), all),
        ("POST", format!("/v1/replays/{replay}/resume"), all),
        ("PATCH", format!("/v1/webhooks/{webhook}"), all),
        ("DELETE", format!("/v1/webhooks/{webhook}"), all),
        ("DELETE", "/v1/events/e1".into(), all),
        ("DELETE", format!("/v1/replays/{replay}"), all),
    ]
}

fn ask(client: &Client, method: &str, path: &str, header: (&str, &str)) -> postrider_tests::Answer {
    let body = if path == "/v1/events" { email("e2") } else { json!({}) };
    let body = if matches!(method, "GET" | "DELETE") { String::new() } else { body.to_string() };
    let headers = [header, ("content-type", "application/json")];
    client.send(method, path, if body.is_empty() { &headers[..1] } else { &headers }, body.as_bytes())
}

fn own_workspace(stage: &Stage) -> String {
    let list = stage.server.admin().get("/v1/workspaces").expect(200);
    list.data()[0]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn new_key(stage: &Stage, scopes: &Value) -> (String, String) {
    let path = format!("/v1/workspaces/{}/keys", own_workspace(stage));
    let made = stage.server.admin().post(&path, &json!({ "name": "k", "scopes": scopes })).expect(201);
    let data = made.data();
    let key = data["key"].as_str().or(data["apiKey"].as_str()).unwrap_or_else(|| panic!("{data}"));
    (data["id"].as_str().unwrap().to_owned(), key.to_owned())
}

#[test]
fn each_scope_opens_its_routes_and_no_others() {
    let stage = Stage::new("genesy");
    let routes = routes(&stage);
    let mut wrong = Vec::new();
    for scope in ["READ", "EVENTS_WRITE", "ALL"] {
        let (_, key) = new_key(&stage, &json!([scope]));
        assert!(key.starts_with("prk_"), "{key}");
        for (method, path, opens) in &routes {
            let answer = ask(&stage.client, method, path, ("x-api-key", &key));
            if !opens.contains(&scope) {
                if let Err(e) = error_shape(&answer, 403) {
                    wrong.push(format!("{scope} {method} {path}: {e}"));
                }
            } else if matches!(answer.status, 401 | 403 | 404 | 500) {
                wrong.push(format!("{scope} {method} {path}: {} {}", answer.status, answer.text));
            }
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_key_comes_in_either_header_and_no_key_or_a_wrong_one_is_a_401() {
    let stage = Stage::new("genesy");
    let routes = routes(&stage);
    let key = stage.client.key().to_owned();
    for header in [
        ("x-api-key", key.clone()),
        ("X-API-KEY", key.clone()),
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer {key}")),
    ] {
        let answer = ask(&stage.client, "GET", "/v1/webhooks", (header.0, &header.1));
        assert_eq!(answer.status, 200, "{}: {}", header.0, answer.text);
    }
    let mut wrong = Vec::new();
    let last = if key.ends_with('x') { 'y' } else { 'x' };
    let altered = format!("{}{last}", &key[..key.len() - 1]);
    let short = &key[..key.len() - 1];
    for (method, path, _) in routes {
        for header in [
            ("x-nothing", "1"),
            ("x-api-key", ""),
            ("x-api-key", "prk_"),
            ("x-api-key", &altered),
            ("x-api-key", short),
            ("authorization", &key),
            ("authorization", "Bearer "),
            ("authorization", &format!("Basic {key}")),
            ("authorization", &format!("Bearer {altered}")),
            ("x-api-key", &format!("Bearer {key}")),
        ] {
            let answer = ask(&stage.client, method, &path, header);
            if let Err(e) = error_shape(&answer, 401) {
                wrong.push(format!("{method} {path} {}: {e}", header.0));
            }
            assert!(!answer.text.contains(&altered), "the key is repeated");
        }
    }
    none_wrong(wrong);
}

#[test]
fn the_admin_key_opens_no_resource_and_a_workspace_key_no_workspaces() {
    let stage = Stage::new("genesy");
    let own = own_workspace(&stage);
    let admin = stage.server.admin();
    let mut wrong = Vec::new();
    for (method, path, _) in routes(&stage) {
        let answer = ask(&admin, method, &path, ("x-api-key", admin.key()));
        if let Err(e) = error_shape(&answer, 403) {
            wrong.push(format!("admin {method} {path}: {e}"));
        }
    }
    for (method, path) in [
        ("GET", "/v1/workspaces".to_owned()),
        ("POST", "/v1/workspaces".to_owned()),
        ("GET", format!("/v1/workspaces/{own}")),
        ("PATCH", format!("/v1/workspaces/{own}")),
        ("GET", format!("/v1/workspaces/{own}/keys")),
        ("POST", format!("/v1/workspaces/{own}/keys")),
        ("DELETE", format!("/v1/workspaces/{own}")),
    ] {
        let answer = ask(&stage.client, method, &path, ("x-api-key", stage.client.key()));
        if let Err(e) = error_shape(&answer, 403) {
            wrong.push(format!("workspace {method} {path}: {e}"));
        }
    }
    let answer = ask(&admin, "GET", "/v1/workspaces", ("authorization", &format!("Bearer {}", admin.key())));
    assert_eq!(answer.status, 200);
    none_wrong(wrong);
}

#[test]
fn keys_are_shown_once_and_revoked_at_once() {
    let stage = Stage::new("genesy");
    let admin = stage.server.admin();
    let path = format!("/v1/workspaces/{}/keys", own_workspace(&stage));
    let (id, key) = new_key(&stage, &json!(["READ", "EVENTS_WRITE"]));
    let client = stage.client.with_key(&key);
    client.get("/v1/webhooks").expect(200);
    client.post("/v1/events", &email("e1")).expect(202);
    client.post("/v1/webhooks", &json!({})).expect(403);
    let list = admin.get(&path).expect(200);
    assert!(!list.text.contains(&key) && !list.text.contains(stage.client.key()), "{}", list.text);
    let entry = list.data().as_array().unwrap().iter().find(|k| k["id"] == *id).unwrap();
    assert_eq!((&entry["name"], &entry["scopes"]), (&json!("k"), &json!(["READ", "EVENTS_WRITE"])));
    assert_eq!(admin.delete(&format!("{path}/{id}")).expect(204).text, "");
    client.get("/v1/webhooks").expect(401);
    client.post("/v1/events", &email("e2")).expect(401);
    admin.delete(&format!("{path}/{id}")).expect(404);
    assert!(!admin.get(&path).expect(200).text.contains(&id));
}

#[test]
fn a_key_wants_a_name_and_known_scopes_and_belongs_to_its_workspace() {
    let stage = Stage::new("genesy");
    let admin = stage.server.admin();
    let path = format!("/v1/workspaces/{}/keys", own_workspace(&stage));
    let mut wrong = Vec::new();
    for (body, field) in [
        (json!({ "scopes": ["READ"] }), "name"),
        (json!({ "name": "", "scopes": ["READ"] }), "name"),
        (json!({ "name": 1, "scopes": ["READ"] }), "name"),
        (json!({ "name": "k" }), "scopes"),
        (json!({ "name": "k", "scopes": [] }), "scopes"),
        (json!({ "name": "k", "scopes": "READ" }), "scopes"),
        (json!({ "name": "k", "scopes": ["READ", "WRITE"] }), "scopes"),
        (json!({ "name": "k", "scopes": ["read"] }), "scopes"),
        (json!({ "name": "k", "scopes": ["READ"], "expires": 1 }), "expires"),
    ] {
        let answer = admin.post(&path, &body);
        if error_shape(&answer, 422).is_err() || !answer.fields().iter().any(|f| f.starts_with(field)) {
            wrong.push(format!("{body}: {} {}", answer.status, answer.text));
        }
    }
    let (id, key) = new_key(&stage, &json!(["ALL"]));
    let other =
        admin.post("/v1/workspaces", &json!({ "name": "b", "profile": "genesy" })).expect(201).data()["id"].clone();
    admin.delete(&format!("/v1/workspaces/{}/keys/{id}", other.as_str().unwrap())).expect(404);
    stage.client.with_key(&key).get("/v1/webhooks").expect(200);
    none_wrong(wrong);
}

#[test]
fn what_needs_no_key_needs_none() {
    let stage = Stage::new("genesy");
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(stage.client.send("GET", path, &[], b"").status, 200, "{path}");
        assert_eq!(stage.client.send("GET", path, &[("x-api-key", "wrong")], b"").status, 200, "{path}");
    }
}

#[test]
fn a_key_may_ask_a_hundred_times_a_minute_and_publish_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(folder.path(), &[], &[]);
    let client = server.workspace("genesy");
    let other = server.workspace("genesy");
    for n in 0..120 {
        client.post("/v1/events", &email(&format!("e{n}"))).expect(202);
    }
    for _ in 0..100 {
        client.get("/v1/webhooks").expect(200);
    }
    let refused = client.get("/v1/webhooks");
    error_shape(&refused, 429).unwrap();
    let seconds: u64 = refused.retry_after.as_deref().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    client.post("/v1/webhooks", &json!({})).expect(429);
    client.post("/v1/events", &email("more")).expect(202);
    client.get("/healthz").expect(200);
    other.get("/v1/webhooks").expect(200);
}

#[test]
fn the_limit_is_an_option() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(folder.path(), &[], &[("POSTRIDER_RATE_LIMIT", "3")]);
    let client = server.workspace("genesy");
    for _ in 0..3 {
        client.get("/v1/event-types").expect(200);
    }
    client.get("/v1/event-types").expect(429);
}
