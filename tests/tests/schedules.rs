//! The published schedules, on the real binary: how many attempts, how far apart, with which body, and then silence.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::time::Duration;

use postrider_tests::{Client, Receiver, Request, Server, preload, within};
use serde_json::{Value, json};

/// A profile's part in these tests.
struct Seed {
    profile: &'static str,
    event_type: &'static str,
    attempts: usize,
    end: &'static str,
    /// The secret header's name.
    header: &'static str,
}

const GENESY: Seed = Seed {
    profile: "genesy",
    event_type: "MESSAGE_REPLIED",
    attempts: 4,
    end: "exhausted",
    header: "x-webhook-secret",
};
const SNAILY: Seed =
    Seed { profile: "snaily", event_type: "contact.replied", attempts: 15, end: "removed", header: "x-snaily-token" };

fn subscribe(client: &Client, seed: &Seed, url: &str, policy: Option<Value>) -> u64 {
    let mut webhook = json!({ "name": "crm", "url": url, "events": [seed.event_type], "secret": "correct horse" });
    if let Some(policy) = policy {
        webhook["retryPolicy"] = policy;
    }
    client.post("/v1/webhooks", &webhook).expect(201).data()["id"].as_u64().unwrap()
}

fn publish_sample(client: &Client, seed: &Seed, id: &str) {
    let types = client.get("/v1/event-types").expect(200);
    let sample =
        types.data().as_array().unwrap().iter().find(|t| t["name"] == seed.event_type).unwrap()["sample"].clone();
    let event = json!({ "id": id, "type": seed.event_type, "data": sample });
    assert_eq!(client.post("/v1/events", &event).expect(202).data()["deliveries"], 1);
}

fn wait_for_end(client: &Client, seed: &Seed, limit: Duration) -> Value {
    within(limit, "the delivery ends", || {
        let found = client.get(&format!("/v1/deliveries?status={}", seed.end)).expect(200);
        let id = found.data().get(0)?["id"].as_str()?.to_owned();
        Some(client.get(&format!("/v1/deliveries/{id}")).expect(200).data().clone())
    })
}

fn assert_whole_schedule(seed: &Seed, requests: &[Request], delivery: &Value) {
    assert_eq!(requests.len(), seed.attempts, "{} sends exactly so often", seed.profile);
    for (i, request) in requests.iter().enumerate() {
        assert_eq!(request.header("postrider-attempt"), (i + 1).to_string());
        assert_eq!(request.header(seed.header), "correct horse");
        assert_eq!(request.text(), requests[0].text(), "the body never changes");
    }
    let attempts = delivery["attempts"].as_array().unwrap();
    let numbers: Vec<_> = attempts.iter().map(|a| a["attemptNumber"].as_u64().unwrap() as usize).collect();
    assert_eq!(numbers, (1..=seed.attempts).collect::<Vec<_>>());
    assert_eq!(attempts.last().unwrap()["outcome"], seed.end);
    assert!(delivery["nextAttemptAt"].is_null());
}

#[test]
fn a_receiver_that_always_fails_sees_the_whole_schedule_and_then_silence() {
    for seed in [GENESY, SNAILY] {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::answering(500);
        let server = Server::start(folder.path());
        let client = server.workspace(seed.profile);
        let delays = vec!["20ms"; seed.attempts - 1];
        subscribe(&client, &seed, &receiver.url("/"), Some(json!({ "delays": delays })));
        publish_sample(&client, &seed, "e1");
        let delivery = wait_for_end(&client, &seed, Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(500));
        assert_whole_schedule(&seed, &receiver.requests(), &delivery);
    }
}

#[test]
fn the_schedule_goes_on_where_it_was_after_kills_and_restarts() {
    for seed in [GENESY, SNAILY] {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::answering(503);
        let mut server = Server::start(folder.path());
        let made =
            server.admin().post("/v1/workspaces", &json!({ "name": "acme", "profile": seed.profile })).expect(201);
        let key = made.data()["apiKey"].as_str().unwrap().to_owned();
        let delays = vec!["400ms"; seed.attempts - 1];
        subscribe(&server.client(&key), &seed, &receiver.url("/"), Some(json!({ "delays": delays })));
        publish_sample(&server.client(&key), &seed, "e1");
        for killed in 1..seed.attempts {
            let logged = || {
                let found = server.client(&key).get("/v1/deliveries").expect(200);
                (found.data()[0]["attemptCount"].as_u64()? as usize >= killed).then_some(())
            };
            within(Duration::from_secs(5), "the next attempt is logged", logged);
            // Most are killed; some stop cleanly.
            if killed % 3 == 0 {
                assert!(server.terminate().success());
            } else {
                server.kill();
            }
            server = Server::start(folder.path());
        }
        let delivery = wait_for_end(&server.client(&key), &seed, Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(800));
        assert_whole_schedule(&seed, &receiver.requests(), &delivery);
    }
}

#[test]
fn the_real_schedules_are_kept_by_a_hurried_wall_clock_and_never_early() {
    let hours = 3_600_000;
    let genesy = [30_000, 300_000, 3_000_000];
    let snaily = [12 * hours; 14];
    let made = tempfile::tempdir().unwrap();
    let shim = preload(made.path(), "hurried_clock");
    for (seed, delays, hurry) in [(GENESY, &genesy[..], 500), (SNAILY, &snaily[..], 40_000)] {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::answering(500);
        let hurried = hurry.to_string();
        let environment = [("LD_PRELOAD", shim.to_str().unwrap()), ("HURRY", &*hurried), ("POSTRIDER_CLOCK", "wall")];
        let server = Server::start_with(folder.path(), &[], &environment);
        let client = server.workspace(seed.profile);
        subscribe(&client, &seed, &receiver.url("/"), None);
        publish_sample(&client, &seed, "e1");
        let delivery = wait_for_end(&client, &seed, Duration::from_secs(60));
        let requests = receiver.requests();
        assert_whole_schedule(&seed, &requests, &delivery);

        let entries = delivery["attempts"].as_array().unwrap();
        // The engine looks at the clock at least every 100 ms of real time; a busy machine may look later.
        let late_max = 1_000 * hurry;
        for (i, delay) in delays.iter().enumerate() {
            let real = requests[i + 1].at.duration_since(requests[i].at).as_millis() as i64;
            assert!(real * hurry >= delay - hurry, "retry {} of {} came early: {real} ms", i + 1, seed.profile);
            let gap = millis(&entries[i + 1]["createdAt"]) - millis(&entries[i]["createdAt"]);
            assert!(
                gap >= *delay && gap <= delay + late_max,
                "retry {} of {}: {gap} ms for {delay}",
                i + 1,
                seed.profile
            );
        }
    }
}

/// Milliseconds of a time of these days, as differences go.
fn millis(time: &Value) -> i64 {
    let text = time.as_str().unwrap();
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (y, m) = if month <= 2 { (year - 1, month + 12) } else { (year, month) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + day;
    ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60_000 + number(17..19) * 1000 + number(20..23)
}
