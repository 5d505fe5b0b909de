//! The contract with clients, held against the real binary over HTTP: what is asked, what is answered, what the receiver sees.
//!
//! Written from the contract, not from the code. A table of cases says at its end which of them were wrong, all of them.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod auth;
mod bad_input;
mod conventions;
mod dashboard;
mod deliveries;
mod egress;
mod erase;
mod events;
mod explain;
mod failing;
mod health;
mod live;
mod log_lines;
mod logs;
mod operations;
mod ordered;
mod paging;
mod receiver;
mod replay;
mod small_print;
mod snaily;
mod standard;
mod stats;
mod try_out;
mod validation;
mod webhooks;
mod workspaces;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use postrider_tests::{Client, Reaction, Receiver, Request, Server, within};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server with one workspace, and a receiver.
struct Stage {
    server: Server,
    client: Client,
    receiver: Receiver,
    _folder: TempDir,
}

impl Stage {
    fn new(profile: &str) -> Stage {
        Stage::with(profile, Receiver::answering(200))
    }

    fn with(profile: &str, receiver: Receiver) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let client = server.workspace(profile);
        Stage { server, client, receiver, _folder: folder }
    }

    fn failing(profile: &str, status: u16) -> Stage {
        Stage::with(profile, Receiver::answering(status))
    }

    fn reacting(profile: &str, react: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> Stage {
        Stage::with(profile, Receiver::reacting(react))
    }

    /// A webhook to the receiver, with more members; its id.
    fn webhook(&self, events: &[&str], more: Value) -> u64 {
        self.webhook_at("/", events, more)
    }

    fn webhook_at(&self, path: &str, events: &[&str], more: Value) -> u64 {
        let mut webhook = json!({ "name": "crm", "url": self.receiver.url(path), "events": events });
        for (name, value) in more.as_object().unwrap() {
            webhook[name] = value.clone();
        }
        id_of(&self.client.post("/v1/webhooks", &webhook).expect(201).data()["id"])
    }

    /// Publishes; the event's id.
    fn publish(&self, event: &Value) -> String {
        self.client.post("/v1/events", event).expect(202).data()["id"].as_str().unwrap().to_owned()
    }

    fn wait_for_requests(&self, n: usize) -> Vec<Request> {
        within(Duration::from_secs(10), &format!("{n} requests"), || (self.receiver.count() >= n).then_some(()));
        self.receiver.requests()
    }

    /// The one delivery of an event, once it has this status.
    fn wait_for_delivery(&self, event: &str, status: &str) -> Value {
        within(Duration::from_secs(10), &format!("the delivery of {event} is {status}"), || {
            let list = self.client.get("/v1/deliveries?pageSize=200").expect(200);
            let found =
                list.data().as_array().unwrap().iter().find(|d| d["eventId"] == event && d["status"] == status)?;
            let id = found["id"].as_str().unwrap();
            Some(self.client.get(&format!("/v1/deliveries/{id}")).expect(200).data().clone())
        })
    }

    fn wait_for_logs(&self, webhook: u64, n: usize) -> Vec<Value> {
        within(Duration::from_secs(10), &format!("{n} log entries"), || {
            let list = self.client.get(&format!("/v1/webhooks/{webhook}/logs")).expect(200);
            let entries = list.data().as_array().unwrap();
            (entries.len() >= n).then(|| entries.clone())
        })
    }

    /// The id of the one delivery of an event, whatever its status.
    fn delivery_of(&self, event: &str) -> String {
        let list = self.client.get("/v1/deliveries?pageSize=200").expect(200);
        let found = list.data().as_array().unwrap().iter().find(|d| d["eventId"] == event).cloned();
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }
}

/// An id that is a number below 2^53.
fn id_of(value: &Value) -> u64 {
    value.as_u64().filter(|id| *id < 1 << 53).unwrap_or_else(|| panic!("an integer below 2^53, not {value}"))
}

/// The names of an object's members, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        value.as_object().unwrap_or_else(|| panic!("an object, not {value}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The members of an object in the order of the text, which a parsed value does not keep.
fn in_order(text: &str, names: &[&str]) -> bool {
    let places: Vec<_> = names.iter().map(|name| text.find(&format!("\"{name}\":"))).collect();
    places.iter().all(Option::is_some) && places.is_sorted()
}

/// RFC 3339, UTC, written with `Z` and milliseconds.
fn is_time(value: &Value) -> bool {
    let shape: String =
        value.as_str().unwrap_or_default().chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

/// Sends bytes as they are; the answer as far as it came, up to the end of the connection.
#[allow(clippy::disallowed_methods, reason = "a client of the server under test")]
fn raw(server: &Server, bytes: &[u8]) -> String {
    let address = server.base().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The server may answer and close before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// The contract's shape of an error, with this status; what is wrong with it otherwise.
fn error_shape(answer: &postrider_tests::Answer, status: u16) -> Result<(), String> {
    let body = &answer.body;
    let is_shaped = body.is_object()
        && keys(body) == ["code", "errors", "message", "status"]
        && body["status"] == "error"
        && body["code"].as_str().is_some_and(|code| !code.is_empty())
        && body["message"].as_str().is_some_and(|message| !message.is_empty())
        && body["errors"].as_array().is_some_and(|errors| errors.iter().all(|e| keys(e) == ["field", "message"]))
        && answer.content_type.starts_with("application/json");
    if answer.status == status && is_shaped { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) }
}

/// Fails with every case that was wrong.
#[track_caller]
fn none_wrong(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

const GENESY_TYPES: [&str; 8] = [
    "CONNECTION_REQUEST_SENT",
    "CONNECTION_REQUEST_ACCEPTED",
    "LINKEDIN_MESSAGE_SENT",
    "EMAIL_SENT",
    "INMAIL_SENT",
    "MESSAGE_REPLIED",
    "POST_LIKED",
    "PROFILE_VISITED",
];

const SNAILY_TYPES: [&str; 3] = ["contact.connected", "contact.replied", "invitation.sent"];

/// An event that wants nothing of its data.
fn email(id: &str) -> Value {
    json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "id": 1 } } })
}

/// A retry policy that does not get to its first retry within a test.
fn slow_policy() -> Value {
    json!({ "retryPolicy": { "delays": ["1h"] } })
}
