//! What is wrong with a request, and how that is said.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{ADMIN, World, request};

/// Method, path, content type, body; then status, code, and the first field if one is named.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, u16, &'a str, Option<&'a str>);

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn every_bad_request_is_answered_with_what_to_mend() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, "https://example.com/").await;
    let one = format!("/v1/webhooks/{hook}");
    let logs = format!("{one}/logs");
    let logs = |query: &str| format!("{logs}?{query}");
    let cases: &[Case<'_>] = &[
        ("GET", "/nothing", None, "", 404, "not_found", None),
        ("GET", "/v1", None, "", 404, "not_found", None),
        ("GET", "/v1/webhooks/", None, "", 404, "not_found", None),
        ("PUT", "/v1/webhooks", JSON, "{}", 405, "method_not_allowed", None),
        ("DELETE", "/v1/events", None, "", 405, "method_not_allowed", None),
        ("GET", "/v1/webhooks/x", None, "", 404, "not_found", None),
        ("GET", "/v1/webhooks/007", None, "", 404, "not_found", None),
        ("GET", "/v1/webhooks/-1", None, "", 404, "not_found", None),
        ("GET", "/v1/webhooks/99999999999999999999", None, "", 404, "not_found", None),
        ("GET", "/v1/webhooks/%ff", None, "", 404, "not_found", None),
        ("GET", "/v1/webhooks/12345", None, "", 404, "not_found", None),
        ("GET", "/v1/deliveries/dlv_x", None, "", 404, "not_found", None),
        ("GET", "/v1/events/a%20b", None, "", 404, "not_found", None),
        ("GET", "/v1/events/absent", None, "", 404, "not_found", None),
        ("POST", "/v1/webhooks", None, "{}", 415, "unsupported_media_type", None),
        ("POST", "/v1/webhooks", Some("text/plain"), "{}", 415, "unsupported_media_type", None),
        ("POST", "/v1/webhooks", JSON, "", 400, "malformed_json", None),
        ("POST", "/v1/webhooks", JSON, "{\"url\":", 400, "malformed_json", None),
        ("POST", "/v1/webhooks", JSON, "{} {}", 400, "malformed_json", None),
        ("POST", "/v1/webhooks", JSON, "[]", 422, "validation_failed", Some("body")),
        ("POST", "/v1/webhooks", JSON, "null", 422, "validation_failed", Some("body")),
        ("POST", "/v1/webhooks", JSON, "{}", 422, "validation_failed", Some("name")),
        ("POST", "/v1/webhooks", JSON, r#"{"url":5}"#, 422, "validation_failed", Some("url")),
        ("POST", "/v1/webhooks", JSON, r#"{"events":["POST_LIKED",5]}"#, 422, "validation_failed", Some("events[1]")),
        ("POST", "/v1/webhooks", JSON, r#"{"colour":"red"}"#, 422, "validation_failed", Some("colour")),
        ("POST", "/v1/webhooks", JSON, r#"{"url":"a","url":"b"}"#, 422, "validation_failed", Some("url")),
        ("POST", "/v1/webhooks?dry=1", JSON, "{}", 422, "validation_failed", Some("dry")),
        ("PATCH", &one, JSON, r#"{"retryPolicy":["30s"]}"#, 422, "validation_failed", Some("retryPolicy")),
        (
            "PATCH",
            &one,
            JSON,
            r#"{"retryPolicy":{"delays":["1y"]}}"#,
            422,
            "validation_failed",
            Some("retryPolicy.delays[0]"),
        ),
        (
            "PATCH",
            &one,
            JSON,
            r#"{"retryPolicy":{"delays":[],"x":1}}"#,
            422,
            "validation_failed",
            Some("retryPolicy.x"),
        ),
        ("PATCH", &one, JSON, r#"{"retryPolicy":{}}"#, 422, "validation_failed", Some("retryPolicy.delays")),
        (
            "PATCH",
            &one,
            JSON,
            r#"{"retryPolicy":{"delays":[],"jitter":1e999}}"#,
            422,
            "validation_failed",
            Some("retryPolicy.jitter"),
        ),
        ("PATCH", &one, JSON, r#"{"campaignIds":[1,true]}"#, 422, "validation_failed", Some("campaignIds[1]")),
        ("PATCH", &one, JSON, r#"{"headers":{"X-A":1}}"#, 422, "validation_failed", Some("headers.X-A")),
        ("PATCH", &one, JSON, r#"{"headers":["X-A"]}"#, 422, "validation_failed", Some("headers")),
        ("PATCH", &one, JSON, r#"{"timeoutMs":999}"#, 422, "validation_failed", Some("timeoutMs")),
        ("PATCH", &one, JSON, r#"{"timeoutMs":1.5}"#, 422, "validation_failed", Some("timeoutMs")),
        (
            "PATCH",
            &one,
            JSON,
            r#"{"rateLimit":{"perSecond":0}}"#,
            422,
            "validation_failed",
            Some("rateLimit.perSecond"),
        ),
        ("PATCH", &one, JSON, r#"{"enabled":"yes"}"#, 422, "validation_failed", Some("enabled")),
        ("GET", "/v1/webhooks?colour=red", None, "", 422, "validation_failed", Some("colour")),
        ("GET", "/v1/webhooks?page=1&page=2", None, "", 422, "validation_failed", Some("page")),
        ("GET", &logs("outcome=lost"), None, "", 422, "validation_failed", Some("outcome")),
        ("GET", &logs("statusCode=2xx"), None, "", 422, "validation_failed", Some("statusCode")),
        ("GET", &logs("eventType=NOPE"), None, "", 422, "validation_failed", Some("eventType")),
        ("GET", &logs("eventId=a%20b"), None, "", 422, "validation_failed", Some("eventId")),
        ("GET", &logs("since=yesterday"), None, "", 422, "validation_failed", Some("since")),
        ("GET", "/v1/deliveries?status=lost", None, "", 422, "validation_failed", Some("status")),
        ("GET", "/v1/deliveries?webhookId=x", None, "", 422, "validation_failed", Some("webhookId")),
        ("GET", "/v1/events?until=2026-02-19", None, "", 422, "validation_failed", Some("until")),
    ];
    for &(method, path, content_type, body, status, code, field) in cases {
        let method: Method = method.parse().unwrap();
        let what = format!("{method} {path} {body}");
        let answer = world.send(request(method, &key, path, content_type, Body::from(body.to_owned()))).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{what}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert_eq!(answer.json()["status"], "error", "{what}");
        assert!(answer.json()["message"].as_str().is_some_and(|m| m.ends_with('.')), "{what}: {}", answer.text);
        assert_eq!(answer.fields().first().map(String::as_str), field, "{what}: {}", answer.text);
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{what}");
    }
}

#[tokio::test]
async fn workspaces_and_keys_are_checked_as_well() {
    let world = World::new();
    let (id, _) = world.workspace("genesy").await;
    let one = format!("/v1/workspaces/{id}");
    let keys = format!("{one}/keys");
    let cases: &[(&str, &str, Value, &str)] = &[
        ("POST", "/v1/workspaces", json!({"profile": "genesy"}), "name"),
        ("POST", "/v1/workspaces", json!({"name": "", "profile": "genesy"}), "name"),
        ("POST", "/v1/workspaces", json!({"name": "w"}), "profile"),
        ("POST", "/v1/workspaces", json!({"name": "w", "profile": "acme"}), "profile"),
        ("POST", "/v1/workspaces", json!({"name": "w", "profile": "genesy", "x": 1}), "x"),
        ("PATCH", &one, json!({"profile": "snaily"}), "profile"),
        ("POST", &keys, json!({"name": "k"}), "scopes"),
        ("POST", &keys, json!({"name": "k", "scopes": []}), "scopes"),
        ("POST", &keys, json!({"name": "k", "scopes": ["READ", "WRITE"]}), "scopes[1]"),
        ("POST", &keys, json!({"name": "k", "scopes": "ALL"}), "scopes"),
    ];
    for (method, path, body, field) in cases {
        let answer = match *method {
            "POST" => world.post(ADMIN, path, body).await,
            _ => world.patch(ADMIN, path, body).await,
        };
        assert_eq!(answer.status, 422, "{path} {body}");
        assert_eq!(answer.fields(), [*field], "{path} {body}");
    }
    let renamed = world.patch(ADMIN, &one, json!({"name": "Acme"})).await;
    assert_eq!(renamed.data()["name"], "Acme");
    assert_eq!(renamed.data()["profile"], "genesy");
    for path in ["/v1/workspaces/ws_x", "/v1/workspaces/ws_0000000000zzz"] {
        assert_eq!(world.get(ADMIN, path).await.status, 404, "{path}");
        assert_eq!(world.delete(ADMIN, path).await.status, 404, "{path}");
        assert_eq!(world.patch(ADMIN, path, json!({"name": "x"})).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_body_past_the_bounds_is_refused() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(3 << 20));
    let answer = world.post(&key, "/v1/webhooks", large).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (413, "payload_too_large"));
    let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    assert_eq!(world.post(&key, "/v1/webhooks", deep).await.status, 422);
    let zipped = axum::http::Request::post("/v1/webhooks")
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(Body::from("{}"));
    assert_eq!(world.send(zipped.unwrap()).await.status, 415);
}

#[tokio::test]
async fn head_is_answered_and_a_body_on_a_get_does_not_matter() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let head = world.send(request(Method::HEAD, &key, "/v1/webhooks", None, Body::empty())).await;
    assert_eq!((head.status.as_u16(), &*head.text), (200, ""));
    let get = request(Method::GET, &key, "/v1/webhooks", Some("text/html"), Body::from("<x>"));
    assert_eq!(world.send(get).await.status, 200);
}

/// A body of which nothing ever comes.
struct Stalled;

impl hyper::body::Body for Stalled {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_without_end() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    tokio::time::pause();
    for path in ["/v1/events", "/v1/webhooks"] {
        let request = request(Method::POST, &key, path, JSON, Body::new(Stalled));
        let answer = world.send(request).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (408, "request_timeout"));
        assert_eq!(answer.headers["connection"], "close");
    }
}
