//! The API over an engine in memory, as targets ask it, and what every answer has to be: never a failure of the server, and where it is a
//! refusal, one that says what to mend and has the contract's shape.

use std::cell::RefCell;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use postrider_api::{Api, ApiOptions, router};
use postrider_dispatch::NameServers;
use postrider_engine::{Engine, EngineOptions};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt;

const ADMIN: &str = "admin-key-of-the-fuzzer";
/// What the API is told about larger events, so that inputs get there.
const EVENT_BYTES_MAX: usize = 2048;
/// An engine in memory keeps what it is told. Requests after which a new one is made.
const REQUESTS_MAX: usize = 5_000;
/// The profiles, in the order in which targets choose them.
const PROFILES: [&str; 3] = ["genesy", "snaily", "standard"];
/// Whoever asks with this instead of a workspace's number asks with the admin key.
pub const AS_ADMIN: usize = 3;
/// The header of a JSON body.
pub const JSON: (&str, &str) = ("content-type", "application/json");

struct World {
    runtime: Runtime,
    router: Router,
    /// Of a workspace of each profile, then the admin's.
    keys: [String; 4],
    requests: usize,
    _engine: Engine,
}

/// What was answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; null when there was none.
    pub body: Value,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Asks with a key, and checks what holds for every answer.
pub fn ask(who: usize, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    WORLD.with_borrow_mut(|world| {
        if world.as_ref().is_none_or(|world| world.requests >= REQUESTS_MAX) {
            // The old one ends before there is a new one.
            *world = None;
            *world = Some(World::new());
        }
        let world = world.as_mut().expect("it was just made");
        world.requests += 1;
        let key = world.keys[who].clone();
        let answer = world.ask(method, &key, path, headers, body);
        check(&answer);
        answer
    })
}

impl World {
    fn new() -> World {
        // Without name servers, nothing that looks like a name leaves this machine.
        let options =
            EngineOptions { workers: 1, name_servers: NameServers::At(Vec::new()), ..EngineOptions::default() };
        let engine = Engine::start(options).expect("an engine in memory needs nothing");
        let options = ApiOptions {
            admin_key: ADMIN.into(),
            rate_limit_per_minute: 0,
            event_bytes_max: EVENT_BYTES_MAX,
            egress_addresses: Vec::new(),
            metrics: None,
            tls: None,
        };
        let router = router(Api::new(engine.handle(), options));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let keys = [ADMIN; 4].map(str::to_owned);
        let mut world = World { runtime, router, keys, requests: 0, _engine: engine };
        for (n, profile) in PROFILES.into_iter().enumerate() {
            let body = json!({ "name": "w", "profile": profile }).to_string();
            let made = world.ask("POST", ADMIN, "/v1/workspaces", &[JSON], body.into());
            world.keys[n] = made.body["data"]["apiKey"].as_str().expect("a key").to_owned();
            world.add_webhook(n);
        }
        world
    }

    /// One that is off, so that nothing is sent, and that wants everything.
    fn add_webhook(&mut self, n: usize) {
        let key = self.keys[n].clone();
        let events = match PROFILES[n] {
            "genesy" => json!(["MESSAGE_REPLIED", "EMAIL_SENT"]),
            "snaily" => json!(["contact.replied", "contact.connected"]),
            _ => json!(["order.paid"]),
        };
        let body = json!({ "name": "w", "url": "https://8.8.8.8/h", "events": events, "enabled": false }).to_string();
        let made = self.ask("POST", &key, "/v1/webhooks", &[JSON], body.into());
        assert_eq!(made.status, 201, "{}", made.body);
    }

    fn ask(&mut self, method: &str, key: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("x-api-key", key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Ok(request) = request.body(Body::from(body)) else {
            // Nothing that a connection could carry.
            return Answer { status: StatusCode::NO_CONTENT, body: Value::Null };
        };
        let router = self.router.clone();
        let (status, bytes) = self.runtime.block_on(async {
            let response = router.oneshot(request).await.expect("the router answers");
            let (parts, body) = response.into_parts();
            (parts.status, body.collect().await.expect("a whole body").to_bytes())
        });
        Answer { status, body: tree(&bytes) }
    }
}

/// An answer's body. One that shows what a publisher sent can hold lone surrogates and numbers beyond all bounds: that is JSON, and no tree.
fn tree(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let raw: &RawValue = serde_json::from_slice(body).expect("an answer is JSON");
    serde_json::from_str(raw.get()).unwrap_or(Value::Null)
}

fn check(answer: &Answer) {
    let Answer { status, body } = answer;
    assert!(!status.is_server_error(), "{status} {body}");
    if !status.is_client_error() {
        return;
    }
    assert_eq!(body["status"], "error", "{body}");
    assert!(body["code"].as_str().is_some_and(|code| !code.is_empty()), "{body}");
    assert!(body["message"].as_str().is_some_and(|message| message.len() < 2_000), "{body}");
    let errors = body["errors"].as_array().expect("a list of errors");
    let is_shaped = |e: &Value| e["field"].is_string() && e["message"].as_str().is_some_and(|text| !text.is_empty());
    assert!(errors.iter().all(is_shaped), "{body}");
    if *status == StatusCode::UNPROCESSABLE_ENTITY && body["data"].is_null() {
        assert!(!errors.is_empty(), "a 422 names what to mend: {body}");
    }
}
