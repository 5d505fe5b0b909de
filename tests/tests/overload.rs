//! More than the disk takes: it is refused before it is acknowledged, and what was acknowledged is counted to the last event.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider_tests::{Client, Receiver, Server, preload, within};
use serde_json::{Value, json};

/// Together more than the inbox holds, 64 MiB.
const PUBLISHERS: u64 = 40;
const BATCHES: u64 = 4;
const EVENTS: u64 = 20;
const EVENT_BYTES: usize = 120_000;

/// Of each batch: its events' ids if it was accepted.
fn publish(client: &Client, publisher: u64) -> (BTreeSet<String>, Vec<String>) {
    let fill = "x".repeat(EVENT_BYTES);
    let (mut accepted, mut refused) = (BTreeSet::new(), Vec::new());
    for batch in 0..BATCHES {
        let ids: Vec<_> = (0..EVENTS).map(|n| format!("p{publisher}-{batch}-{n}")).collect();
        let event =
            |id: &String| json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "id": 1 }, "fill": fill } });
        let answer = client.post("/v1/events", &ids.iter().map(event).collect::<Value>());
        match answer.status {
            202 => {
                let entries = answer.body["data"].as_array().unwrap();
                assert!(entries.iter().all(|entry| entry["error"].is_null()), "{}", answer.text);
                accepted.extend(ids);
            }
            status => {
                assert_eq!((status, answer.body["code"].as_str()), (503, Some("overloaded")), "{}", answer.text);
                let seconds: u64 = answer.retry_after.unwrap().parse().unwrap();
                assert!((1..=60).contains(&seconds));
                refused.extend(ids);
            }
        }
    }
    (accepted, refused)
}

fn total(client: &Client, path: &str) -> u64 {
    client.get(path).expect(200).body["meta"]["total"].as_u64().unwrap()
}

#[test]
fn what_was_accepted_is_delivered_or_pending_and_what_was_refused_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let shim = preload(folder.path(), "slow_disk");
    let data = folder.path().join("data");
    let receiver = Receiver::answering(200);
    let environment = [("LD_PRELOAD", shim.to_str().unwrap()), ("SLOW_MS", "60")];
    let server = Server::start_with(&data, &[], &environment);
    let client = server.workspace("genesy");
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"] });
    client.post("/v1/webhooks", &webhook).expect(201);

    let is_over = AtomicBool::new(false);
    let (mut accepted, mut refused) = (BTreeSet::new(), Vec::new());
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|n| {
                scope.spawn({
                    let client = &client;
                    move || publish(client, n)
                })
            })
            .collect();
        // Whoever only looks is served.
        let looker = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                client.get("/v1/webhooks").expect(200);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for publisher in publishers {
            let (more, less) = publisher.join().unwrap();
            accepted.extend(more);
            refused.extend(less);
        }
        is_over.store(true, Ordering::Relaxed);
        looker.join().unwrap();
    });
    println!("{} events accepted, {} refused", accepted.len(), refused.len());
    assert!(!refused.is_empty(), "nothing was refused: the disk was not slow enough to say anything");
    assert!(!accepted.is_empty());

    // Exactly, while most of it is still being delivered.
    let count = accepted.len() as u64;
    assert_eq!(total(&client, "/v1/events?pageSize=1"), count);
    assert_eq!(total(&client, "/v1/deliveries?pageSize=1"), count);
    let gone = refused.iter().find(|id| client.get(&format!("/v1/events/{id}")).status != 404);
    assert_eq!(gone, None, "it was refused and is there");
    within(Duration::from_secs(60), "all that was accepted is delivered", || {
        (total(&client, "/v1/deliveries?status=succeeded&pageSize=1") == count).then_some(())
    });
    let arrived: BTreeSet<_> = receiver.requests().iter().map(|r| r.header("postrider-event-id").to_owned()).collect();
    assert_eq!(arrived, accepted);
    assert_eq!(receiver.count() as u64, count, "each once");
    assert!(server.terminate().success());
}
