//! After downtime: what came due meanwhile is sent once each, oldest first, and then goes on with its normal spacing; and it keeps nothing
//! fresh waiting.
//!
//! `POSTRIDER_OVERDUE` says how many deliveries are overdue.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postrider_tests::{Client, Reaction, Receiver, Request, Server, within};
use serde_json::{Value, json};

const OVERDUE_DEFAULT: u64 = 8_000;
const PERMITS: u64 = 32;
const DELAY: Duration = Duration::from_secs(1);
/// First attempts that wait at a time, to both webhooks: as many as the queue of one holds.
const QUEUED_MAX: u64 = 1_000;
/// Of so many retries one fails again.
const FAILING: u64 = 10;

/// A webhook with this delay, and then three short ones.
fn subscribe(client: &Client, url: &str, event_type: &str, first: Duration) -> Value {
    let delays: Vec<_> = [first, DELAY, DELAY, DELAY].iter().map(|delay| format!("{}s", delay.as_secs())).collect();
    let webhook = json!({ "name": "crm", "url": url, "events": [event_type], "retryPolicy": { "delays": delays } });
    client.post("/v1/webhooks", &webhook).expect(201).data()["id"].clone()
}

fn publish(client: &Client, event_type: &str, ids: impl Iterator<Item = String>) {
    let data = json!({ "contact": { "id": 1 } });
    let events: Value = ids.map(|id| json!({ "id": id, "type": event_type, "data": data })).collect();
    client.post("/v1/events", &events).expect(202);
}

/// The number in an event's id.
fn number(request: &Request) -> u64 {
    request.header("postrider-event-id").trim_start_matches('e').parse().unwrap()
}

#[test]
fn what_is_overdue_is_sent_once_and_in_order_and_holds_nothing_up() {
    let overdue: u64 = std::env::var("POSTRIDER_OVERDUE").map_or(OVERDUE_DEFAULT, |text| text.parse().unwrap());
    // Long enough for all first attempts to fail before the first retry is due.
    let first_delay = Duration::from_secs(15 + overdue / 2_000);
    let folder = tempfile::tempdir().unwrap();
    let slow = Receiver::reacting(|request| match (request.attempt().1, number(request) % FAILING) {
        (2, 0) => Reaction::Slow(500, Duration::from_millis(5)),
        _ => Reaction::Slow(200, Duration::from_millis(5)),
    });
    let healthy = Receiver::answering(200);
    let permits = PERMITS.to_string();
    let start = || Server::start_with(folder.path(), &["--permits", &permits], &[]);

    // Nobody listens where the first attempts go. Each event is for two webhooks.
    let server = start();
    let client = server.workspace("genesy");
    let hooks = ["/a", "/b"].map(|path| (path, subscribe(&client, "http://127.0.0.1:1/", "EMAIL_SENT", first_delay)));
    subscribe(&client, &healthy.url("/"), "MESSAGE_REPLIED", first_delay);
    let began = Instant::now();
    let have_failed = |count: u64| {
        let retried = r#"postrider_attempts_total{outcome="retrying"}"#;
        within(first_delay, "they fail", || (server.admin().metric(retried)? >= count).then_some(()));
    };
    for first in (0..overdue / 2).step_by(100) {
        publish(&client, "EMAIL_SENT", (first..(first + 100).min(overdue / 2)).map(|n| format!("e{n}")));
        // No faster than first attempts are made: an event that comes while others wait in the store may be sent before them, and what
        // failed first is due first.
        have_failed((2 * (first + 100)).min(overdue).saturating_sub(QUEUED_MAX));
    }
    have_failed(overdue);
    for (path, id) in &hooks {
        client.patch(&format!("/v1/webhooks/{id}"), &json!({ "url": slow.url(path) })).expect(200);
    }
    assert_eq!(slow.count(), 0, "too many for this machine: the first was due before the last slept");
    println!("{overdue} deliveries failed once in {:?}", began.elapsed());
    assert!(server.terminate().success());
    // Long enough for several attempts of each.
    std::thread::sleep(first_delay + 3 * DELAY);

    let started = Instant::now();
    let server = start();
    let client = server.client(client.key());
    let (mut waits, mut drained) = (Vec::new(), false);
    while !drained {
        let (id, sent) = (format!("h{}", waits.len()), Instant::now());
        publish(&client, "MESSAGE_REPLIED", std::iter::once(id.clone()));
        let is_it = |request: &Request| request.header("postrider-event-id") == id;
        let arrived = || healthy.requests().into_iter().find(is_it).map(|request| request.at);
        waits.push(within(Duration::from_secs(2), "a fresh event arrives", arrived).duration_since(sent));
        drained = slow.count() as u64 >= overdue + overdue / FAILING;
        assert!(started.elapsed() < Duration::from_secs(60 + overdue / 100), "all are sent: {}", slow.count());
        std::thread::sleep(Duration::from_millis(100));
    }
    let drained = started.elapsed();
    std::thread::sleep(2 * DELAY);
    let requests = slow.requests();
    assert_attempts(&requests, overdue);
    let moved: Vec<_> = hooks.iter().map(|(path, _)| most_moved(&requests, path)).collect();
    println!(
        "drained in {drained:?}; {} fresh events meanwhile, the slowest after {:?}; at most {moved:?} places out of order",
        waits.len(),
        waits.iter().max().unwrap()
    );
    assert!(waits.len() > 5, "it was over before anything fresh came");
    // Those in flight together overtake each other, when they first failed and now.
    assert!(moved.iter().all(|moved| *moved <= 4 * PERMITS), "oldest first: {moved:?}");
    assert!(server.terminate().success());
}

/// Each delivery was attempted again once, and where that failed once more, after its delay.
fn assert_attempts(requests: &[Request], overdue: u64) {
    let mut deliveries: BTreeMap<String, Vec<&Request>> = BTreeMap::new();
    for request in requests {
        deliveries.entry(request.attempt().0).or_default().push(request);
    }
    assert_eq!(deliveries.len() as u64, overdue);
    for sent in deliveries.values() {
        let numbers: Vec<_> = sent.iter().map(|request| request.attempt().1).collect();
        let expected: &[u32] = if number(sent[0]).is_multiple_of(FAILING) { &[2, 3] } else { &[2] };
        assert_eq!(numbers, expected, "event {}", number(sent[0]));
        let gaps = sent.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at));
        gaps.for_each(|gap| assert!(gap >= DELAY, "its normal spacing, not {gap:?}"));
    }
}

/// How far the first retry at `path` that came most out of the order of events was from its place.
fn most_moved(requests: &[Request], path: &str) -> u64 {
    let first = requests.iter().filter(|request| request.path == path && request.attempt().1 == 2);
    (0..).zip(first).map(|(place, request)| number(request).abs_diff(place)).max().unwrap()
}
