//! A running engine behind the router, and short words for asking it.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use postrider_api::{Api, ApiOptions, router};
use postrider_engine::{Engine, EngineOptions};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

pub const ADMIN: &str = "admin-key-of-the-tests";

/// An engine in memory with the API over it; stopped when dropped.
pub struct World {
    pub router: Router,
    engine: Option<Engine>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    pub fn data(&self) -> Value {
        self.json()["data"].take()
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("none").to_owned()
    }

    /// The fields that the errors name.
    pub fn fields(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| text(&e["field"])).collect()
    }
}

pub fn options() -> ApiOptions {
    ApiOptions {
        admin_key: ADMIN.into(),
        rate_limit_per_minute: 0,
        event_bytes_max: 256 * 1024,
        egress_addresses: vec!["203.0.113.7".into()],
        metrics: None,
        tls: None,
    }
}

impl World {
    pub fn new() -> World {
        World::with(options(), &[])
    }

    /// May send to this machine.
    pub fn local() -> World {
        World::with(options(), &["loopback"])
    }

    pub fn with(options: ApiOptions, allow: &[&str]) -> World {
        let engine = Engine::start(EngineOptions {
            workers: 1,
            egress_allow: allow.iter().map(|word| (*word).to_owned()).collect(),
            ..EngineOptions::default()
        })
        .expect("an engine in memory needs nothing");
        let router = router(Api::new(engine.handle(), options));
        World { router, engine: Some(engine) }
    }

    pub fn handle(&self) -> postrider_engine::Handle {
        self.engine.as_ref().expect("running").handle()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.into()).expect("UTF-8") }
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.send(request(Method::GET, key, path, None, Body::empty())).await
    }

    pub async fn delete(&self, key: &str, path: &str) -> Answer {
        self.send(request(Method::DELETE, key, path, None, Body::empty())).await
    }

    pub async fn post(&self, key: &str, path: &str, body: impl ToString) -> Answer {
        self.json(Method::POST, key, path, body).await
    }

    pub async fn patch(&self, key: &str, path: &str, body: impl ToString) -> Answer {
        self.json(Method::PATCH, key, path, body).await
    }

    async fn json(&self, method: Method, key: &str, path: &str, body: impl ToString) -> Answer {
        let body = Body::from(body.to_string());
        self.send(request(method, key, path, Some("application/json"), body)).await
    }

    /// A new workspace's id and key.
    pub async fn workspace(&self, profile: &str) -> (String, String) {
        let made = self.post(ADMIN, "/v1/workspaces", json!({"name": "w", "profile": profile})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let data = made.data();
        (text(&data["id"]), text(&data["apiKey"]))
    }

    /// A new key with these scopes.
    pub async fn key(&self, workspace: &str, scopes: &[&str]) -> String {
        let path = format!("/v1/workspaces/{workspace}/keys");
        let made = self.post(ADMIN, &path, json!({"name": "k", "scopes": scopes})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        text(&made.data()["key"])
    }

    /// A new Genesy webhook's id.
    pub async fn webhook(&self, key: &str, url: &str) -> u64 {
        let body = json!({"name": "h", "url": url, "events": ["POST_LIKED"]});
        let made = self.post(key, "/v1/webhooks", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.data()["id"].as_u64().expect("a number")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop(Duration::ZERO);
        }
    }
}

pub fn request(method: Method, key: &str, path: &str, content_type: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !key.is_empty() {
        request = request.header("x-api-key", key);
    }
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(body).expect("a valid request")
}

/// A JSON string's text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

pub fn event(id: &str) -> Value {
    json!({"id": id, "type": "POST_LIKED", "data": {"post": {"id": 1}}})
}
