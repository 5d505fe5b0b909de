//! Receivers of https, good ones and those whose TLS or HTTP/2 is not, through a real server: what its log says of them, and that each attempt
//! is one request, ends in time and gives its slot back, while a healthy webhook beside them is as quick as alone.

use std::time::Duration;

use postrider_tests::{Client, Server, Sink};
use serde_json::{Value, json};

use crate::beside::{Healthy, assert_all_end, hook, publish_liked};
use crate::by_itself;

/// What the log says of each: the kind, and what to do about it. No kind is a success.
const SAID: [(&str, &str, &str); 13] = [
    ("tls-expired", "tls", "the certificate of 127.0.0.1 has expired; renew it"),
    (
        "tls-self-signed",
        "tls",
        "is not signed by a known authority; serve the whole chain, or trust a private CA by egress.ca_files",
    ),
    ("tls-wrong-name", "tls", "is for another name; use the name that it was issued for"),
    (
        "tls-unknown-ca",
        "tls",
        "is not signed by a known authority; serve the whole chain, or trust a private CA by egress.ca_files",
    ),
    ("tls-1.0", "tls", "offers no version of TLS that is safe; let it serve TLS 1.2 or 1.3"),
    ("tls-plain", "tls", "did not speak TLS; check that the port is an https one"),
    ("tls-drip", "timeout", "no TLS session came of it within 3 s; check that the port is an https one"),
    (
        "h2-goaway",
        "reset",
        "ended the connection (GOAWAY, NO_ERROR) before it answered; it was restarting, or look at its logs",
    ),
    ("h2-goaway-after", "", ""),
    ("h2-reset", "reset", "reset the stream (INTERNAL_ERROR); it may have processed the request, look at its logs"),
    (
        "h2-refuse",
        "reset",
        "reset the stream (REFUSED_STREAM); it did not process the request; let it take more streams",
    ),
    ("h2-zero-window", "timeout", "no complete answer within 3 s; answer 2xx first and process afterwards"),
    ("h2-pings", "response_invalid", "frames without an end came, and no answer; answer with a status from 200 to 599"),
];
/// Of several requests on such a connection the receiver sees some, and each is an attempt that failed: so they come one by one.
const BREAK_THE_CONNECTION: [&str; 3] = ["h2-goaway", "h2-goaway-after", "h2-pings"];
const EVENTS: usize = 3;
/// Of an attempt.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What it may be missed by on a busy machine.
const LATE: Duration = Duration::from_secs(1);

/// A server that trusts the authorities of these, on a folder of its own.
fn trusting(sinks: &[Sink], folder: &std::path::Path) -> Server {
    let files: Vec<_> = sinks.iter().filter_map(Sink::authority).collect();
    let trusted = files.iter().flat_map(|file| ["--ca-file", file.to_str().unwrap()]);
    // Fewer permits than the hanging ones would like to have.
    Server::start_with(folder, &["--permits", "16"].into_iter().chain(trusted).collect::<Vec<_>>(), &[])
}

fn logs(client: &Client, webhook: u64) -> Vec<Value> {
    client.get(&format!("/v1/webhooks/{webhook}/logs")).expect(200).data().as_array().unwrap().clone()
}

/// What is wrong with what the log says of a receiver.
fn wrong_with(logs: &[Value], kind: &str, words: &str) -> Vec<String> {
    let (expected, outcomes) = if kind.is_empty() {
        (Value::Null, [("succeeded", EVENTS), ("retrying", 0), ("exhausted", 0)])
    } else {
        (json!(kind), [("succeeded", 0), ("retrying", EVENTS), ("exhausted", EVENTS)])
    };
    let mut wrong = Vec::new();
    for entry in logs {
        let message = entry["errorMessage"].as_str().unwrap_or_default();
        let is_late = Duration::from_millis(entry["durationMs"].as_u64().unwrap()) > TIMEOUT + LATE;
        if entry["errorKind"] != expected || !message.contains(words) || is_late {
            wrong.push(entry.to_string());
        }
    }
    for (outcome, expected) in outcomes {
        let there = logs.iter().filter(|entry| entry["outcome"] == outcome).count();
        if there != expected {
            wrong.push(format!("{there} attempts {outcome}"));
        }
    }
    wrong
}

#[test]
fn bad_tls_and_bad_http2_say_what_to_do_and_slow_nobody() {
    let _by_itself = by_itself();
    let sinks: Vec<Sink> = SAID.iter().map(|(behaviour, ..)| Sink::behaving(behaviour)).collect();
    let folder = tempfile::tempdir().unwrap();
    let server = trusting(&sinks, folder.path());
    let client = server.workspace("genesy");
    let healthy = Healthy::alone(&client);
    let hooks: Vec<_> = sinks.iter().map(|sink| hook(&client, sink.url(), "POST_LIKED", TIMEOUT)).collect();
    for ((behaviour, ..), hook) in SAID.iter().zip(&hooks) {
        if BREAK_THE_CONNECTION.contains(behaviour) {
            client.patch(&format!("/v1/webhooks/{hook}"), &json!({ "ordered": true })).expect(200);
        }
    }
    publish_liked(&client, EVENTS, &sinks);
    healthy.assert_not_slowed("thirteen of bad TLS and HTTP/2");
    assert_all_end(&client);

    let mut wrong = Vec::new();
    for (((behaviour, kind, words), hook), sink) in SAID.into_iter().zip(hooks).zip(&sinks) {
        let logs = logs(&client, hook);
        wrong.extend(wrong_with(&logs, kind, words).into_iter().map(|what| format!("{behaviour}: {what}")));
        if sink.stats()["requests"] != logs.len() {
            wrong.push(format!("{behaviour}: {} attempts, and it saw {}", logs.len(), sink.stats()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_certificate_is_taken_by_those_who_trust_its_authority_and_by_no_others() {
    let sinks = [Sink::start(&["--tls", "--threads", "1"])];
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let event = json!({ "id": "e1", "type": "EMAIL_SENT", "data": {} });
    let by = |server: &Server| {
        let client = server.workspace("genesy");
        let webhook = hook(&client, sinks[0].url(), "EMAIL_SENT", TIMEOUT);
        client.post("/v1/events", &event).expect(202);
        assert_all_end(&client);
        logs(&client, webhook)
    };
    let taken = by(&trusting(&sinks, folders[0].path()));
    assert_eq!((taken.len(), &taken[0]["outcome"], &taken[0]["statusCode"]), (1, &json!("succeeded"), &json!(200)));
    let stats = sinks[0].stats();
    assert_eq!((&stats["requests"], &stats["succeeded"]), (&json!(1), &json!(1)));

    let refused = by(&trusting(&[], folders[1].path()));
    assert_eq!((refused.len(), &refused[0]["errorKind"]), (2, &json!("tls")));
    let message = refused[0]["errorMessage"].as_str().unwrap();
    assert!(message.contains("trust a private CA by egress.ca_files"), "{message}");
    assert_eq!(sinks[0].stats()["failed"], 2, "a handshake that came to nothing is a request that failed");
}
