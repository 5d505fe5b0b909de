//! Memory does not grow with what sleeps: thousands of deliveries that wait for an hour leave nothing of their events in RAM, nor after a
//! clean stop or a kill, and each of them is counted and none is sent early.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::process::Command;
use std::time::Duration;

use postrider_tests::{Client, Server, Sink, binary, within};
use serde_json::{Value, json};

const DELIVERIES: u64 = 5_000;
const BATCH: u64 = 500;

/// All of them sleep, and the writer has let go of them.
fn sleeps(server: &Server, client: &Client, sink: &Sink) {
    within(Duration::from_secs(30), "nothing of what sleeps is in RAM", || {
        (client.metric("postrider_events_in_memory") == Some(0)).then_some(())
    });
    assert_eq!(client.metric("postrider_pending"), Some(DELIVERIES));
    let pending = client.get("/v1/deliveries?status=pending&pageSize=1").expect(200);
    assert_eq!(pending.body["meta"]["total"], DELIVERIES);
    assert_eq!(client.get("/v1/webhooks/1/health").expect(200).data()["pending"], DELIVERIES);
    assert_eq!(sink.stats()["requests"], DELIVERIES, "one attempt each, and none before its hour; {}", server.base());
}

#[test]
fn what_sleeps_costs_no_memory() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start(&["--fail-rate", "1"]));
    let server = Server::start(folder.path());
    let client = server.workspace("genesy");
    let policy = json!({ "delays": ["1h"] });
    let webhook = json!({ "name": "down", "url": sink.url(), "events": ["EMAIL_SENT"], "retryPolicy": policy });
    client.post("/v1/webhooks", &webhook).expect(201);
    for first in (0..DELIVERIES).step_by(BATCH as usize) {
        let event = |n| json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": { "contact": { "id": n } } });
        client.post("/v1/events", &(first..first + BATCH).map(event).collect::<Value>()).expect(202);
    }
    within(Duration::from_secs(60), "all have had their attempt", || {
        (client.get("/v1/webhooks/1/logs?pageSize=1").expect(200).body["meta"]["total"] == DELIVERIES).then_some(())
    });
    sleeps(&server, &client, &sink);
    assert!(server.terminate().success());

    let server = Server::start(folder.path());
    let client = server.client(client.key());
    sleeps(&server, &client, &sink);
    server.kill();

    let server = Server::start(folder.path());
    let client = server.client(client.key());
    sleeps(&server, &client, &sink);
    assert!(server.terminate().success());
    let verified = Command::new(binary()).args(["log", "verify", "--data"]).arg(folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && told.contains("the store says what the log says"), "{told}");
}
