//! kill -9 in the middle of replays, again and again: each event is sent once more, and only attempts that were in flight come twice.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use postrider_tests::{Client, Reaction, Receiver, Server, within};
use serde_json::{Value, json};

const EVENTS: usize = 3_000;
const PERMITS: usize = 16;
const KILLS: u64 = 12;

fn total(client: &Client, query: &str) -> u64 {
    client.get(&format!("/v1/deliveries?{query}")).expect(200).body["meta"]["total"].as_u64().unwrap()
}

fn wait_for_end(client: &Client, replay: &str) -> Value {
    let replay = within(Duration::from_secs(120), "the replay is finished", || {
        let found = client.get(&format!("/v1/replays/{replay}")).expect(200);
        Some(found.data().clone()).filter(|replay| replay["state"] == "finished")
    });
    within(Duration::from_secs(120), "every delivery ends", || {
        (total(client, "status=pending&pageSize=1") == 0).then_some(())
    });
    replay
}

fn start_replay(client: &Client, webhook: u64, only: &str) -> String {
    let wish = json!({ "since": "2020-01-01T00:00:00Z", "only": only });
    let started = client.post(&format!("/v1/webhooks/{webhook}/replay"), &wish).expect(202);
    assert_eq!(started.data()["matched"], EVENTS);
    started.data()["replayId"].as_str().unwrap().to_owned()
}

/// How often the attempts with this number to this path came, of how many deliveries.
fn came(receiver: &Receiver, path: &str, attempt: u32) -> (usize, usize) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for request in receiver.requests().iter().filter(|request| request.path == path) {
        let (delivery, number) = request.attempt();
        if number == attempt {
            *seen.entry(delivery).or_default() += 1;
        }
    }
    (seen.values().sum(), seen.len())
}

#[test]
fn killed_in_the_middle_a_replay_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::reacting(|_| Reaction::Slow(200, Duration::from_millis(5)));
    let permits = PERMITS.to_string();
    let options = ["--permits", &permits, "--permits-per-webhook", &permits];
    let start = || Server::start_with(folder.path(), &options, &[]);
    let mut server = start();
    let key = server.workspace("genesy").key().to_owned();
    let mut client = server.client(&key);
    let webhook = |client: &Client, path: &str| {
        let webhook = json!({ "name": "crm", "url": receiver.url(path), "events": ["EMAIL_SENT"] });
        client.post("/v1/webhooks", &webhook).expect(201).data()["id"].as_u64().unwrap()
    };
    let first = webhook(&client, "/first");
    let events: Vec<_> =
        (0..EVENTS).map(|n| json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": {} })).collect();
    client.post("/v1/events", &json!(events)).expect(202);
    within(Duration::from_secs(60), "all have arrived", || (receiver.count() >= EVENTS).then_some(()));
    within(Duration::from_secs(10), "all are filed", || {
        (total(&client, "status=succeeded&pageSize=1") == EVENTS as u64).then_some(())
    });
    let late = webhook(&client, "/late");

    // One sends again, the other for the first time; both at once.
    let replays = [start_replay(&client, first, "all"), start_replay(&client, late, "missed")];
    let mut in_the_middle = 0;
    for round in 0..KILLS {
        std::thread::sleep(Duration::from_millis(40 + round * 7_919 % 60));
        server.kill();
        server = start();
        client = server.client(&key);
        let states = replays.each_ref().map(|id| client.get(&format!("/v1/replays/{id}")).expect(200));
        in_the_middle += usize::from(states.iter().any(|replay| replay.data()["state"] == "running"));
    }
    assert!(in_the_middle >= 3, "only {in_the_middle} of {KILLS} kills came in the middle");
    for replay in &replays {
        let replay = wait_for_end(&client, replay);
        assert_eq!((&replay["created"], &replay["skipped"]), (&json!(EVENTS), &json!(0)), "{replay}");
    }

    let most = EVENTS + KILLS as usize * PERMITS;
    for (path, attempt) in [("/first", 2), ("/late", 1)] {
        let (times, deliveries) = came(&receiver, path, attempt);
        assert_eq!(deliveries, EVENTS, "{path}: each once more");
        assert!(times <= most, "{path}: {} came twice", times - EVENTS);
        println!("{path}: {} of {EVENTS} came twice over {in_the_middle} kills in the middle", times - EVENTS);
        assert_eq!(came(&receiver, path, attempt + 1), (0, 0), "{path}: and no more");
    }
    assert_eq!(total(&client, "status=succeeded&pageSize=1"), 2 * EVENTS as u64);
    assert!(server.terminate().success());
}
