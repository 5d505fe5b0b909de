//! Bodies of `POST /v1/events`: one event, an array, or one a line, in each profile. Each event has one entry, in order, and is accepted or
//! refused in it; what was accepted is read back as it was sent, and sent again it is a duplicate.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::choice;
use crate::world::{JSON, ask};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

pub fn run(bytes: &[u8]) {
    let Some((choice, body)) = choice(bytes) else { return };
    let profile = (choice & 3) % 3;
    let is_lines = choice & 4 != 0;
    let mut headers = vec![if is_lines { NDJSON } else { JSON }];
    if choice & 8 != 0 {
        headers.push(("idempotency-key", "key"));
    }
    let answer = ask(profile, "POST", "/v1/events", &headers, body.to_vec());
    let data = &answer.body["data"];
    if let Some(entries) = data.as_array() {
        batch(body, is_lines, entries);
        let accepted = entries.iter().any(|entry| entry["error"].is_null());
        assert_eq!(answer.status == 202, accepted, "{data}");
    } else if answer.status == 202 {
        kept(profile, data, body);
        repeated(profile, data, body, &headers);
    }
}

fn batch(body: &[u8], is_lines: bool, entries: &[Value]) {
    assert!(entries.iter().all(|entry| entry["error"].is_object() != entry["deliveries"].is_u64()), "{entries:?}");
    if is_lines {
        let lines = body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
        assert_eq!(entries.len(), lines.count(), "an entry a line");
    } else {
        let sent: Vec<&RawValue> = serde_json::from_slice(body).expect("what was answered so is an array");
        assert_eq!(entries.len(), sent.len(), "an entry an element");
    }
}

/// A single event's data is what was sent.
fn kept(profile: usize, accepted: &Value, body: &[u8]) {
    #[derive(Deserialize)]
    struct Sent<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let id = accepted["id"].as_str().expect("an id");
    let sent: Sent<'_> = serde_json::from_slice(body).expect("what was accepted is JSON");
    let read = ask(profile, "GET", &format!("/v1/events/{id}"), &[], Vec::new());
    assert_eq!(read.status, 200, "what was accepted is there");
    // Only what a tree can hold is compared.
    if let Ok(tree) = serde_json::from_str::<Value>(sent.data.get()) {
        assert_eq!(read.body["data"]["data"], tree);
    }
}

/// With an id of its own, the same event once more is known. Others were given a new one.
fn repeated(profile: usize, accepted: &Value, body: &[u8], headers: &[(&str, &str)]) {
    let again = ask(profile, "POST", "/v1/events", headers, body.to_vec());
    assert_eq!(again.status, 202, "{}", again.body);
    let is_same = again.body["data"]["id"] == accepted["id"];
    assert_eq!(again.body["data"]["duplicate"], is_same, "{}", again.body);
}
