//! A server under steady load for a long time: what it holds in RAM and on disk stays flat, since what is finished goes.
//!
//! `POSTRIDER_SOAK` says for how many seconds; `make soak` is the long run.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use postrider_tests::{Server, Sink, binary, within};
use serde_json::{Value, json};

const SECONDS_DEFAULT: u64 = 24;
const LOG_BYTES: u64 = 48 << 20;
const SEGMENT_BYTES: u64 = 4 << 20;
/// The log keeps so many of its old segments to be written over.
const SPARES: u64 = 4;
/// Events are published at this pace, or as fast as they are delivered where that is slower: what is unfinished is kept whatever the bound
/// says.
const BATCH_EVERY: Duration = Duration::from_millis(50);
const PENDING_MAX: u64 = 2_000;
const EVENT_BYTES: u64 = 4_000;
/// More in the last third than in the middle one is growth.
const SLACK: f64 = 1.25;

/// What a server holds at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    rss: u64,
    disk: u64,
    /// Of the disk, what the log has.
    log: u64,
}

fn sample(server: &Server) -> Sample {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    let log = bytes_in(&server.data().join("log"));
    Sample { rss: kib * 1024, disk: bytes_in(server.data()), log }
}

/// Files come and go while this looks.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

fn batch(first: u64) -> Value {
    let event = |n| json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": { "contact": { "id": n, "firstName": "x".repeat(EVENT_BYTES as usize) } } });
    (first..first + 100).map(event).collect()
}

fn most(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> f64 {
    samples.iter().map(of).max().unwrap() as f64
}

#[test]
fn memory_and_disk_stay_flat() {
    let seconds = std::env::var("POSTRIDER_SOAK").map_or(SECONDS_DEFAULT, |text| text.parse().unwrap());
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start(&["--fail-rate", "0.02"]));
    let (segment, bytes) = (format!("{SEGMENT_BYTES}B"), format!("{LOG_BYTES}B"));
    let server = Server::start_with(folder.path(), &["--segment", &segment, "--retention-bytes", &bytes], &[]);
    let client = server.workspace("genesy");
    let policy = json!({ "delays": ["100ms", "1s", "2s"] });
    let webhook = json!({ "name": "soak", "url": sink.url(), "events": ["EMAIL_SENT"], "retryPolicy": policy });
    client.post("/v1/webhooks", &webhook).expect(201);

    let (began, mut published, mut samples, mut sampled) = (Instant::now(), 0, Vec::new(), Instant::now());
    // A slow machine gets the time that it needs to fill the log more than twice.
    let is_enough =
        |published| published * EVENT_BYTES > 3 * LOG_BYTES || began.elapsed() > 5 * Duration::from_secs(seconds);
    while began.elapsed() < Duration::from_secs(seconds) || !is_enough(published) {
        let next = Instant::now() + BATCH_EVERY;
        client.post("/v1/events", &batch(published)).expect(202);
        published += 100;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        within(Duration::from_secs(30), "deliveries to keep up", || {
            client.metric("postrider_pending").filter(|pending| *pending <= PENDING_MAX)
        });
        if sampled.elapsed() >= Duration::from_millis(200) {
            sampled = Instant::now();
            samples.push(sample(&server));
        }
    }
    within(Duration::from_secs(30), "all deliveries to end", || {
        let pending = client.get("/v1/deliveries?status=pending&pageSize=1").expect(200);
        (pending.body["meta"]["total"] == 0).then_some(())
    });

    assert!(server.terminate().success());
    let verified = Command::new(binary()).args(["log", "verify", "--data"]).arg(folder.path()).status().unwrap();
    assert!(verified.success(), "a log that began later is whole");

    let third = samples.len() / 3;
    let (middle, last) = (&samples[third..2 * third], &samples[2 * third..]);
    let line = |samples: &[Sample]| {
        let mib = |of: fn(&Sample) -> u64| most(samples, of) / 1048576.0;
        format!("RSS {:.0} MiB, disk {:.0} MiB", mib(|s| s.rss), mib(|s| s.disk))
    };
    println!(
        "{published} events of 4 KB in {seconds} s; at the most in the middle third: {}; in the last: {}",
        line(middle),
        line(last)
    );
    assert!(published * EVENT_BYTES > 2 * LOG_BYTES, "too little was published to fill the log twice: {published}");
    for of in [|s: &Sample| s.rss, |s: &Sample| s.disk] {
        assert!(most(last, of) <= SLACK * most(middle, of), "it grows: {samples:?}");
    }
    // The bound; what is unfinished, which may be carried once more; the segment that is written and those that are kept; and as much
    // again as half the bound for what comes while the log is looked through.
    let bound = LOG_BYTES + 2 * PENDING_MAX * EVENT_BYTES + (SPARES + 1) * SEGMENT_BYTES + LOG_BYTES / 2;
    assert!(most(last, |s| s.log) <= bound as f64, "the log is bounded by {} MiB", bound >> 20);
}
