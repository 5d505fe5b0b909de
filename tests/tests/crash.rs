//! kill -9 at random moments under load and during starts: nothing that was acknowledged is lost, and no more is sent twice than was in
//! flight.
//!
//! `POSTRIDER_CRASH_ROUNDS` says how many kills of each kind; `make crash ROUNDS=2000` is the long run.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postrider_tests::{Client, Reaction, Receiver, Server, binary, within};
use serde_json::json;

const PERMITS: usize = 64;

/// One publisher: posts events with ids of its own until the server is gone; the acknowledged ids.
fn publish_until_killed(client: &Client, next: &AtomicU64, is_over: &AtomicBool) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    while !is_over.load(Ordering::Acquire) {
        let id = format!("e{}", next.fetch_add(1, Ordering::Relaxed));
        let event = json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "id": id } } });
        match client.try_post("/v1/events", "application/json", event.to_string().as_bytes()) {
            Ok(answer) if answer.status() == 202 => {
                acknowledged.insert(id);
            }
            Ok(answer) => assert_eq!(answer.status(), 503, "only a stopping server refuses"),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Kills a server so long after its process began; whether it was ready by then.
fn kill_at_start(data: &Path, options: &[&str], moment: Duration) -> bool {
    let mut command = Command::new(binary());
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "warn",
        "--allow",
        "loopback",
        "--admin-key",
        "admin-key-of-the-tests",
    ]);
    command.arg("--data").arg(data).args(options).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(moment);
    assert_eq!(child.try_wait().unwrap(), None, "it does not end by itself");
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("ready at")
}

fn rounds() -> u64 {
    std::env::var("POSTRIDER_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

#[test]
fn nothing_acknowledged_is_lost_and_duplicates_stay_below_the_permits() {
    killed_again_and_again("journal", rounds());
}

#[test]
fn a_sled_log_loses_nothing_either() {
    killed_again_and_again("sled", rounds() / 4);
}

fn killed_again_and_again(log: &str, rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    // One request in four fails, so that retries are under way at every kill.
    let seen = AtomicU64::new(0);
    let receiver = Receiver::reacting(move |_| {
        let n = seen.fetch_add(1, Ordering::Relaxed);
        if n % 4 == 3 { Reaction::Status(500) } else { Reaction::Slow(200, Duration::from_millis(n % 7)) }
    });
    let permits = PERMITS.to_string();
    let options = ["--permits", &permits, "--permits-per-webhook", &permits, "--grace", "1s", "--log", log];
    let start = || Server::start_with(folder.path(), &options, &[]);

    let server = start();
    let made = server.admin().post("/v1/workspaces", &json!({ "name": "acme", "profile": "genesy" })).expect(201);
    let key = made.data()["apiKey"].as_str().unwrap().to_owned();
    let webhook = json!({
        "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"],
        "retryPolicy": { "delays": ["20ms", "40ms", "80ms", "160ms", "320ms", "640ms", "1s", "2s"] },
    });
    server.client(&key).post("/v1/webhooks", &webhook).expect(201);
    let mut server = Some(server);

    let mut acknowledged = BTreeSet::new();
    let next = AtomicU64::new(0);
    let mut twice_before = 0;
    let mut twice_most = 0;
    let mut ready_early = 0;
    for round in 0..rounds {
        let running = server.take().unwrap();
        let client = running.client(&key);
        let is_over = AtomicBool::new(false);
        // Spread over the start as well as over steady work; the same moments in every run.
        let moment = Duration::from_micros((round * 7_919 * 1_009) % 150_000);
        std::thread::scope(|scope| {
            let publishers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| publish_until_killed(&client, &next, &is_over))).collect();
            std::thread::sleep(moment);
            running.kill();
            is_over.store(true, Ordering::Release);
            publishers.into_iter().for_each(|p| acknowledged.extend(p.join().unwrap()));
        });
        // The start after it is killed, too, within its first 50 ms.
        let moment = Duration::from_micros((round * 7_919 * 1_013) % 50_000);
        ready_early += u64::from(kill_at_start(folder.path(), &options, moment));
        server = Some(start());
        let twice = sent_twice(&receiver);
        assert!(twice - twice_before <= 2 * PERMITS, "round {round}: {} repeats of two kills", twice - twice_before);
        twice_most = twice_most.max(twice - twice_before);
        twice_before = twice;
    }

    let server = server.unwrap();
    let client = server.client(&key);
    let began = Instant::now();
    within(Duration::from_secs(120), "every delivery ends", || {
        let pending = client.get("/v1/deliveries?status=pending&pageSize=1").expect(200);
        (pending.body["meta"]["total"] == 0).then_some(())
    });
    let delivered: BTreeSet<_> =
        receiver.requests().iter().map(|r| r.header("postrider-event-id").to_owned()).collect();
    let lost: Vec<_> = acknowledged.difference(&delivered).collect();
    assert!(lost.is_empty(), "{} acknowledged events never arrived: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    println!(
        "{log}: {rounds} kills under load, {rounds} within 50 ms of a start ({ready_early} of them ready), {} events acknowledged, {} requests, at \
         most {twice_most} repeated in a round of both; settled in {:?}",
        acknowledged.len(),
        receiver.count(),
        began.elapsed()
    );
    assert!(server.terminate().success());
}

#[test]
fn a_first_start_that_is_killed_leaves_a_folder_that_starts() {
    for round in 0..16 {
        let log: &[&str] = if round % 2 == 0 { &[] } else { &["--log", "sled"] };
        let folder = tempfile::tempdir().unwrap();
        // Log, lock, keys and ballast are made one after another; each kill finds some of them.
        for kill in 0..4 {
            kill_at_start(folder.path(), log, Duration::from_micros((round * 4 + kill) * 50_000 / 64));
        }
        let server = Server::start_with(folder.path(), log, &[]);
        let key = server.workspace("genesy").key().to_owned();
        server.kill();
        let server = Server::start(folder.path());
        server.client(&key).get("/v1/webhooks").expect(200);
        assert!(server.terminate().success());
    }
}

/// Attempts that the receiver saw more than once.
fn sent_twice(receiver: &Receiver) -> usize {
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    for request in receiver.requests() {
        *seen.entry(request.attempt()).or_default() += 1;
    }
    seen.values().map(|times| times - 1).sum()
}
