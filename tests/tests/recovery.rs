//! After an outage of all receivers: they were switched off since they failed, much waits for each, and they are back all at once. Each sees
//! a ramp, never more requests at a time than its caps allow; what is fresh does not wait behind what is old.
//!
//! `POSTRIDER_WAITING` says how many deliveries wait for each webhook.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use postrider_tests::{Client, Reaction, Receiver, Request, Server, within};
use serde_json::{Value, json};

const WAITING_DEFAULT: usize = 400;
/// The webhooks of each receiver: one has three, which together want more than it may get.
const WEBHOOKS: [usize; 6] = [1, 1, 1, 1, 1, 3];
const PER_WEBHOOK: usize = 8;
const PER_HOST: usize = 12;
const PERMITS: usize = 64;
/// Retries hold at most half of the permits.
const RETRIES: usize = PERMITS / 2;
/// What each answer takes once they are back: so long a request holds its slot, at the least.
const ANSWER: Duration = Duration::from_millis(50);
const FRESH_EVERY: Duration = Duration::from_millis(100);
const FRESH_MAX: Duration = Duration::from_secs(2);

struct Hook {
    id: Value,
    path: String,
    receiver: usize,
}

fn publish(client: &Client, ids: impl Iterator<Item = String>) {
    let events: Value = ids.map(|id| json!({ "id": id, "type": "EMAIL_SENT", "data": {} })).collect();
    client.post("/v1/events", &events).expect(202);
}

fn is_on(client: &Client, hook: &Hook) -> bool {
    client.get(&format!("/v1/webhooks/{}", hook.id)).expect(200).data()["enabled"] == true
}

fn subscribe(client: &Client, receivers: &[Receiver]) -> Vec<Hook> {
    let places = WEBHOOKS.iter().enumerate().flat_map(|(receiver, webhooks)| (0..*webhooks).map(move |_| receiver));
    let hooks = places.enumerate().map(|(number, receiver)| {
        let path = format!("/{number}");
        let webhook = json!({ "name": path, "url": receivers[receiver].url(&path), "events": ["EMAIL_SENT"],
            "retryPolicy": { "delays": vec!["8s"; 64] } });
        Hook { id: client.post("/v1/webhooks", &webhook).expect(201).data()["id"].clone(), path, receiver }
    });
    hooks.collect()
}

/// A fresh event, when it was published, and the webhooks that were on by then.
struct Fresh {
    id: String,
    at: Instant,
    paths: Vec<String>,
}

/// Fresh events again and again until nothing waits any more.
fn publish_until_drained(client: &Client, admin: &Client, hooks: &[Hook]) -> Vec<Fresh> {
    let (began, mut on, mut fresh) = (Instant::now(), BTreeSet::new(), Vec::new());
    loop {
        for hook in hooks {
            if !on.contains(&hook.path) && is_on(client, hook) {
                on.insert(hook.path.clone());
            }
        }
        // No more than fresh ones on their way.
        if on.len() == hooks.len() && admin.metric("postrider_pending") <= Some(2 * hooks.len() as u64) {
            within(FRESH_MAX, "all has come", || (admin.metric("postrider_pending") == Some(0)).then_some(()));
            return fresh;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "what waits never ends");
        let (id, at) = (format!("f{}", fresh.len()), Instant::now());
        publish(client, std::iter::once(id.clone()));
        fresh.push(Fresh { id, at, paths: on.iter().cloned().collect() });
        std::thread::sleep(FRESH_EVERY);
    }
}

/// The most of these that came within the time that an answer takes: all of them were in flight together.
fn most_at_once<'a>(requests: impl Iterator<Item = &'a Request>) -> usize {
    let mut at: Vec<_> = requests.map(|request| request.at).collect();
    at.sort_unstable();
    (0..at.len()).map(|first| at.partition_point(|one| *one < at[first] + ANSWER) - first).max().unwrap_or(0)
}

fn is_retry(request: &Request) -> bool {
    request.attempt().1 > 1
}

/// How many came in each second.
fn by_second(requests: &[Request], began: Instant) -> Vec<usize> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for request in requests {
        *counts.entry(request.at.duration_since(began).as_secs()).or_default() += 1;
    }
    counts.into_values().collect()
}

/// Each old event came to each webhook once, and each fresh one soon, before most of what is old. The slowest.
fn assert_arrivals(requests: &[Request], hooks: &[Hook], waiting: usize, fresh: &[Fresh]) -> Duration {
    let mut slowest = Duration::ZERO;
    for hook in hooks {
        let came = requests.iter().filter(|request| request.path == hook.path);
        let came: BTreeMap<_, _> = came.map(|request| (request.header("postrider-event-id"), request.at)).collect();
        let old: Vec<_> = came.iter().filter(|(id, _)| id.starts_with('e')).map(|(_, at)| *at).collect();
        let sent = requests.iter().filter(|request| request.path == hook.path).count();
        assert_eq!((old.len(), sent), (waiting, came.len()), "{}: all of it, and nothing twice", hook.path);
        let mine = fresh.iter().filter(|fresh| fresh.paths.contains(&hook.path));
        let mut first = None;
        for Fresh { id, at, .. } in mine {
            let arrived = came.get(id.as_str()).unwrap_or_else(|| panic!("{} never got {id}", hook.path));
            let took = arrived.duration_since(*at);
            assert!(took < FRESH_MAX, "{id} took {took:?} to {}", hook.path);
            (slowest, first) = (slowest.max(took), first.min(Some(*arrived)).or(Some(*arrived)));
        }
        let first = first.expect("it was over before anything fresh came");
        let overtaken = old.iter().filter(|at| **at > first).count();
        assert!(overtaken > waiting / 2, "{}: the first fresh one overtook {overtaken} of {waiting}", hook.path);
    }
    slowest
}

#[test]
fn receivers_that_are_back_see_a_ramp_and_what_is_fresh_first() {
    let waiting: usize = std::env::var("POSTRIDER_WAITING").map_or(WAITING_DEFAULT, |text| text.parse().unwrap());
    let is_back = Arc::new(AtomicBool::new(false));
    let receiver = |_| {
        let is_back = Arc::clone(&is_back);
        Receiver::reacting(move |_| if is_back.load(SeqCst) { Reaction::Slow(200, ANSWER) } else { Reaction::Drop })
    };
    let receivers: Vec<_> = WEBHOOKS.iter().map(receiver).collect();
    let folder = tempfile::tempdir().unwrap();
    let (all, webhook, host) = (PERMITS.to_string(), PER_WEBHOOK.to_string(), PER_HOST.to_string());
    let caps = ["--permits", &*all, "--permits-per-webhook", &webhook, "--permits-per-host", &host];
    let rules = ["--failing-off-after", "8s", "--failing-probe-every", "1s"];
    let server = Server::start_with(folder.path(), &[&caps[..], &rules].concat(), &[]);
    let (client, admin) = (server.workspace("genesy"), server.admin());

    let hooks = subscribe(&client, &receivers);
    for first in (0..waiting).step_by(100) {
        publish(&client, (first..(first + 100).min(waiting)).map(|n| format!("e{n}")));
    }
    within(Duration::from_secs(30), "all are off", || hooks.iter().all(|hook| !is_on(&client, hook)).then_some(()));
    // Until all that failed is due again, and waits for nothing but its webhook.
    std::thread::sleep(Duration::from_millis(8_500));
    assert_eq!(admin.metric("postrider_pending"), Some((waiting * hooks.len()) as u64));
    let tried: usize =
        receivers.iter().map(|receiver| receiver.requests().iter().filter(|one| !is_retry(one)).count()).sum();
    assert_eq!(
        tried,
        waiting * hooks.len(),
        "too many for this machine: not all were tried before it was switched off"
    );

    let began = Instant::now();
    is_back.store(true, SeqCst);
    let fresh = publish_until_drained(&client, &admin, &hooks);
    let drained = began.elapsed();

    let mut all = Vec::new();
    for (number, receiver) in receivers.iter().enumerate() {
        // The last ones that were dropped may have come before, and those of before are not of the ramp.
        let requests: Vec<_> = receiver.requests().into_iter().filter(|request| request.at >= began).collect();
        let most = most_at_once(requests.iter());
        println!("receiver {number}: at most {most} at once; by the second {:?}", by_second(&requests, began));
        assert!(most <= if WEBHOOKS[number] > 1 { PER_HOST } else { PER_WEBHOOK }, "receiver {number}: {most} at once");
        for hook in hooks.iter().filter(|hook| hook.receiver == number) {
            let most = most_at_once(requests.iter().filter(|request| request.path == hook.path));
            assert!(most <= PER_WEBHOOK, "{}: {most} at once", hook.path);
        }
        all.extend(requests);
    }
    let (most, retries) = (most_at_once(all.iter()), most_at_once(all.iter().filter(|request| is_retry(request))));
    let slowest = assert_arrivals(&all, &hooks, waiting, &fresh);
    println!(
        "{} deliveries waited and arrived within {drained:?}, at most {most} at once, {retries} of them old; {} fresh events meanwhile, \
         the slowest after {slowest:?}",
        waiting * hooks.len(),
        fresh.len()
    );
    assert!(most <= PERMITS && retries <= RETRIES, "{most} at once, {retries} of them retries");
    assert!(server.terminate().success());
}
