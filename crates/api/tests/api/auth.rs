//! Who may do what.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{ADMIN, World, event, options};

#[tokio::test]
async fn a_key_comes_in_either_header_and_an_unknown_one_is_a_401() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let ask = |name: &str, value: String| {
        let request = Request::builder().uri("/v1/webhooks").header(name, value);
        world.send(request.body(Body::empty()).unwrap())
    };
    for (name, value, status) in [
        ("x-api-key", key.clone(), 200),
        ("authorization", format!("Bearer {key}"), 200),
        ("authorization", format!("bearer {key}"), 200),
        ("authorization", format!("Basic {key}"), 401),
        ("authorization", key.clone(), 401),
        ("x-api-key", format!("{key}x"), 401),
        ("x-api-key", String::new(), 401),
        ("x-other", key.clone(), 401),
    ] {
        let answer = ask(name, value).await;
        assert_eq!(answer.status, status, "{name}");
        if status == 401 {
            assert_eq!(answer.code(), "unauthorized");
        }
    }
}

#[tokio::test]
async fn each_scope_opens_what_it_names_and_nothing_else() {
    let world = World::new();
    let (id, all) = world.workspace("genesy").await;
    let read = world.key(&id, &["READ"]).await;
    let publish = world.key(&id, &["EVENTS_WRITE"]).await;
    let both = world.key(&id, &["READ", "EVENTS_WRITE"]).await;
    for (path, allowed) in [
        ("/v1/webhooks", [true, true, false, true]),
        ("/v1/events", [true, true, false, true]),
        ("/v1/deliveries", [true, true, false, true]),
        ("/v1/egress", [true, true, false, true]),
        ("/v1/event-types", [true, true, true, true]),
    ] {
        for (key, allowed) in [&all, &read, &publish, &both].into_iter().zip(allowed) {
            let answer = world.get(key, path).await;
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{path}");
        }
    }
    for (key, status) in [(&all, 202), (&read, 403), (&publish, 202), (&both, 202)] {
        assert_eq!(world.post(key, "/v1/events", event("e")).await.status, status);
    }
    for key in [&read, &publish, &both] {
        let answer = world.post(key, "/v1/webhooks", "{}").await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "forbidden"));
    }
}

#[tokio::test]
async fn the_admin_key_and_workspace_keys_keep_to_their_own() {
    let world = World::new();
    let (id, key) = world.workspace("genesy").await;
    for path in ["/v1/webhooks", "/v1/events", "/v1/event-types", "/v1/webhooks/x"] {
        assert_eq!(world.get(ADMIN, path).await.status, 403, "{path}");
    }
    for path in ["/v1/workspaces", &format!("/v1/workspaces/{id}"), &format!("/v1/workspaces/{id}/keys")] {
        assert_eq!(world.get(&key, path).await.status, 403, "{path}");
        assert_eq!(world.get(ADMIN, path).await.status, 200, "{path}");
        assert_eq!(world.get("", path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn what_belongs_to_another_workspace_is_not_there() {
    let world = World::new();
    let (_, mine) = world.workspace("genesy").await;
    let (_, theirs) = world.workspace("genesy").await;
    let hook = world.webhook(&mine, "https://example.com/").await;
    world.post(&mine, "/v1/events", event("mine")).await;
    let delivery = world.get(&mine, "/v1/deliveries").await.data()[0]["id"].as_str().unwrap().to_owned();
    let test = format!("/v1/webhooks/{hook}/test");
    let path = format!("/v1/webhooks/{hook}");
    for path in [&path, &format!("{path}/logs"), "/v1/events/mine", &format!("/v1/deliveries/{delivery}")] {
        assert_eq!(world.get(&mine, path).await.status, 200, "{path}");
        assert_eq!(world.get(&theirs, path).await.status, 404, "{path}");
    }
    assert_eq!(world.patch(&theirs, &path, json!({"enabled": false})).await.status, 404);
    assert_eq!(world.delete(&theirs, &path).await.status, 404);
    assert_eq!(world.post(&theirs, &test, "{}").await.status, 404);
    assert_eq!(world.post(&theirs, &format!("/v1/deliveries/{delivery}/retry"), "").await.status, 404);
    let filtered = world.get(&theirs, &format!("/v1/deliveries?webhookId={hook}")).await;
    assert_eq!(filtered.json()["meta"]["total"], 0);
}

#[tokio::test]
async fn a_revoked_key_and_the_keys_of_a_deleted_workspace_are_unknown() {
    let world = World::new();
    let (id, first) = world.workspace("genesy").await;
    let second = world.key(&id, &["ALL"]).await;
    let keys = format!("/v1/workspaces/{id}/keys");
    let list = world.get(ADMIN, &keys).await;
    assert!(!list.text.contains("prk_"), "a list shows no keys");
    let newest = list.data()[0].clone();
    assert_eq!(newest["scopes"], json!(["ALL"]));
    let path = format!("{keys}/{}", newest["id"].as_str().unwrap());
    assert_eq!(world.delete(ADMIN, &path).await.status, 204);
    assert_eq!(world.delete(ADMIN, &path).await.status, 404);
    assert_eq!(world.get(&second, "/v1/webhooks").await.status, 401);
    assert_eq!(world.get(&first, "/v1/webhooks").await.status, 200);
    assert_eq!(world.delete(ADMIN, &format!("/v1/workspaces/{id}")).await.status, 204);
    assert_eq!(world.get(&first, "/v1/webhooks").await.status, 401);
    assert_eq!(world.get(ADMIN, &format!("/v1/workspaces/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_key_has_its_requests_a_minute_but_publishes_freely() {
    let limited = postrider_api::ApiOptions { rate_limit_per_minute: 3, ..options() };
    let world = World::with(limited, &[]);
    let (id, key) = world.workspace("genesy").await;
    let other = world.key(&id, &["ALL"]).await;
    for _ in 0..3 {
        assert_eq!(world.get(&key, "/v1/webhooks").await.status, 200);
    }
    let refused = world.get(&key, "/v1/webhooks").await;
    assert_eq!((refused.status.as_u16(), &*refused.code()), (429, "rate_limited"));
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    for n in 0..10 {
        assert_eq!(world.post(&key, "/v1/events", event(&n.to_string())).await.status, 202);
    }
    assert_eq!(world.get(&other, "/v1/webhooks").await.status, 200);
    assert_eq!(world.get("", "/healthz").await.status, 200);
}
