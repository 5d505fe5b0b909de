//! A wall clock that steps while retries sleep, over restarts, and back to 1970; and a process that is stopped for a while. Due times hold.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use postrider_tests::{Client, Reaction, Receiver, Request, Server, binary, millis, preload, within};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const HOURS_13: i64 = 13 * 3_600;
const YEAR: i64 = 365 * 24 * 3_600;
/// What a retry may be later than it is due.
const LATE_MAX: Duration = Duration::from_secs(1);

/// A folder, and a wall clock that the servers on it see.
struct Bench {
    folder: tempfile::TempDir,
    shim: PathBuf,
    step: fs::File,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let shim = preload(folder.path(), "stepped_clock");
        let step = fs::File::create(folder.path().join("step")).unwrap();
        let bench = Bench { folder, shim, step };
        bench.set(0);
        bench
    }

    /// Puts the wall clock so many seconds away from the real one, at once.
    fn set(&self, seconds: i64) {
        self.step.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Server {
        let step = self.folder.path().join("step");
        let environment = [("LD_PRELOAD", self.shim.to_str().unwrap()), ("STEP", step.to_str().unwrap())];
        Server::start_with(&self.data(), &["--segment", "4MiB"], &environment)
    }

    /// The log is whole, and the times of its records never decrease.
    fn assert_records_in_order(&self) {
        let log = |what: &[&str]| Command::new(binary()).arg("log").args(what).arg("--data").arg(self.data()).output();
        assert!(log(&["verify"]).unwrap().status.success());
        let facts = log(&["cat", "--json"]).unwrap();
        let facts = String::from_utf8(facts.stdout).unwrap();
        let times: Vec<_> =
            facts.lines().map(|line| millis(&serde_json::from_str::<Value>(line).unwrap()["time"])).collect();
        assert!(times.len() > 5 && times.is_sorted(), "{times:?}");
    }
}

fn subscribe(client: &Client, receiver: &Receiver, path: &str, delays: &[&str]) {
    let webhook = json!({
        "name": path, "url": receiver.url(path), "events": ["EMAIL_SENT"], "retryPolicy": { "delays": delays },
    });
    client.post("/v1/webhooks", &webhook).expect(201);
}

fn publish(client: &Client, id: &str) {
    let event = json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "id": id } } });
    client.post("/v1/events", &event).expect(202);
}

/// The requests for one event at one path.
fn requests(receiver: &Receiver, path: &str, id: &str) -> Vec<Request> {
    let is_it = |request: &Request| request.path == path && request.header("postrider-event-id") == id;
    receiver.requests().into_iter().filter(is_it).collect()
}

fn wait_for(receiver: &Receiver, path: &str, id: &str, count: usize) -> Request {
    let nth = || requests(receiver, path, id).into_iter().nth(count - 1);
    within(Duration::from_secs(20), &format!("attempt {count} of {id} at {path}"), nth)
}

/// Where the only delivery stands: how often it was attempted, when it is due.
fn delivery(client: &Client) -> (u64, Value) {
    let found = client.get("/v1/deliveries").expect(200);
    (found.data()[0]["attemptCount"].as_u64().unwrap_or(0), found.data()[0]["nextAttemptAt"].clone())
}

fn accepted_at(client: &Client, id: &str) -> i64 {
    millis(&client.get(&format!("/v1/events/{id}")).expect(200).data()["acceptedAt"])
}

/// # Panics
/// When `retry` did not come so long after `before`.
#[track_caller]
fn assert_gap(before: Instant, retry: &Request, delay: Duration, what: &str) {
    let gap = retry.at.duration_since(before);
    println!("{what}: after {gap:?}, due after {delay:?}");
    // A receiver sees an attempt a moment before its end, from which the delay counts.
    assert!(gap >= delay, "{what}: early, after {gap:?}");
    assert!(gap <= delay + LATE_MAX, "{what}: late, after {gap:?}");
}

#[test]
fn a_step_of_the_wall_clock_moves_no_timer() {
    let (bench, receiver) = (Bench::new(), Receiver::answering(500));
    let server = bench.start();
    let client = server.workspace("genesy");
    let steps = [HOURS_13, -HOURS_13, YEAR, -YEAR, 0];
    subscribe(&client, &receiver, "/", &["1500ms"; 5]);
    publish(&client, "e1");
    let mut before = wait_for(&receiver, "/", "e1", 1);
    for (n, step) in (2..).zip(steps) {
        std::thread::sleep(Duration::from_millis(400));
        bench.set(step);
        let retry = wait_for(&receiver, "/", "e1", n);
        assert_gap(before.at, &retry, Duration::from_millis(1_500), &format!("the wall clock at {step} s"));
        before = retry;
    }
    let ended = || (client.get("/v1/deliveries?status=exhausted").expect(200).body["meta"]["total"] == 1).then_some(());
    within(Duration::from_secs(5), "it ends", ended);
    let id = client.get("/v1/deliveries").expect(200).data()[0]["id"].as_str().unwrap().to_owned();
    let shown = client.get(&format!("/v1/deliveries/{id}")).expect(200);
    let times: Vec<_> = shown.data()["attempts"].as_array().unwrap().iter().map(|a| millis(&a["createdAt"])).collect();
    let is_near = |pair: &[i64]| (1_500..=2_500).contains(&(pair[1] - pair[0]));
    assert!(times.len() == 6 && times.windows(2).all(is_near), "what is told does not step either: {times:?}");
    let accepted = accepted_at(&client, "e1");
    assert!(server.terminate().success());

    // A start takes the wall clock's time, which also shows that the steps were steps.
    bench.set(YEAR);
    let server = bench.start();
    publish(&server.client(client.key()), "e2");
    let passed = accepted_at(&server.client(client.key()), "e2") - accepted;
    assert!(passed >= YEAR * 1_000, "{passed} ms");
    assert!(server.terminate().success());
    bench.assert_records_in_order();
}

#[test]
fn due_times_hold_over_a_restart_also_with_the_wall_clock_set_back() {
    for (step, is_killed) in [(0, true), (-HOURS_13, false), (-YEAR, true)] {
        let (bench, receiver) = (Bench::new(), Receiver::answering(500));
        let server = bench.start();
        let client = server.workspace("genesy");
        subscribe(&client, &receiver, "/", &["3s"]);
        publish(&client, "e1");
        let first = wait_for(&receiver, "/", "e1", 1);
        let filed = || Some(delivery(&client)).filter(|(attempts, _)| *attempts == 1);
        let (_, due) = within(Duration::from_secs(5), "the attempt is filed", filed);
        if is_killed {
            server.kill();
        } else {
            assert!(server.terminate().success());
        }
        bench.set(step);
        let server = bench.start();
        let started = Instant::now();
        let client = server.client(client.key());
        assert_eq!(delivery(&client), (1, due), "the due time is what it was");
        let retry = wait_for(&receiver, "/", "e1", 2);
        let delay = Duration::from_secs(3);
        if step == 0 {
            assert_gap(first.at, &retry, delay, "after a restart");
        } else {
            // Time goes on from the last record then, so what passed since is waited for once more, at the most.
            let gap = retry.at.duration_since(first.at);
            println!("after a restart with the wall clock at {step} s: after {gap:?}");
            assert!(gap >= delay, "early, after {gap:?}");
            assert!(retry.at.duration_since(started) <= delay + LATE_MAX, "late, after {gap:?}");
        }
        assert!(server.terminate().success());
        bench.assert_records_in_order();
    }
}

#[test]
fn a_start_in_1970_goes_on_from_the_last_record() {
    let (bench, receiver) = (
        Bench::new(),
        Receiver::reacting(|request| match request.attempt().1 {
            1 => Reaction::Status(500),
            _ => Reaction::Status(200),
        }),
    );
    let server = bench.start();
    let client = server.workspace("genesy");
    subscribe(&client, &receiver, "/", &["2s"]);
    publish(&client, "e1");
    let first = wait_for(&receiver, "/", "e1", 1);
    let filed = || Some(delivery(&client)).filter(|(attempts, _)| *attempts == 1);
    let (_, due) = within(Duration::from_secs(5), "the attempt is filed", filed);
    assert!(server.terminate().success());

    let of = Command::new("date").arg("+%s").output().unwrap();
    let today: i64 = String::from_utf8(of.stdout).unwrap().trim().parse().unwrap();
    bench.set(5 - today);
    let server = bench.start();
    let started = Instant::now();
    let client = server.client(client.key());
    assert_eq!(delivery(&client), (1, due.clone()));
    publish(&client, "e2");
    wait_for(&receiver, "/", "e2", 1);
    let retry = wait_for(&receiver, "/", "e1", 2);
    assert!(retry.at.duration_since(first.at) >= Duration::from_secs(2), "early");
    assert!(retry.at.duration_since(started) <= Duration::from_secs(2) + LATE_MAX, "late");
    let accepted = accepted_at(&client, "e2");
    assert!((0..=2_000).contains(&(millis(&due) - accepted)), "time went on from the last record");
    wait_for(&receiver, "/", "e2", 2);
    assert!(server.terminate().success());

    bench.set(0);
    let server = bench.start();
    publish(&server.client(client.key()), "e3");
    wait_for(&receiver, "/", "e3", 2);
    assert!(server.terminate().success());
    bench.assert_records_in_order();
}

#[test]
fn what_falls_due_while_the_process_is_stopped_is_sent_when_it_wakes() {
    let (bench, receiver) = (Bench::new(), Receiver::answering(500));
    let server = bench.start();
    let client = server.workspace("genesy");
    subscribe(&client, &receiver, "/soon", &["2s", "4s"]);
    subscribe(&client, &receiver, "/later", &["7500ms"]);
    publish(&client, "e1");
    let (soon, later) = (wait_for(&receiver, "/soon", "e1", 1), wait_for(&receiver, "/later", "e1", 1));
    std::thread::sleep(Duration::from_secs(1).saturating_sub(soon.at.elapsed()));
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(receiver.count(), 2, "it is stopped");
    let woken = Instant::now();
    kill_process(pid, Signal::CONT).unwrap();
    let retry = wait_for(&receiver, "/soon", "e1", 2);
    assert_gap(woken, &retry, Duration::ZERO, "due while it was stopped, after waking");
    assert_gap(later.at, &wait_for(&receiver, "/later", "e1", 2), Duration::from_millis(7_500), "due after waking");
    assert_gap(retry.at, &wait_for(&receiver, "/soon", "e1", 3), Duration::from_secs(4), "the next one");
    assert!(server.terminate().success());
    bench.assert_records_in_order();
}
