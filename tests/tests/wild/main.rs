//! Receivers that misbehave, each as `postrider sink --behaviour` has it: what an attempt to one comes to, and what it costs the others.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod beside;
mod https;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use postrider_core::attempt::ErrorKind::{self, HttpStatus, Reset, ResponseInvalid, Timeout, Tls};
use postrider_core::time::{Millis, Time};
use postrider_dispatch::{AddressPolicy, Answer, Config, Dispatched, Dispatcher, Request, Target};
use postrider_tests::{Sink, behaviours};
use serde_json::json;

/// Of one attempt.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// What a deadline may be missed by on a busy machine.
const LATE: Duration = Duration::from_secs(1);
const ATTEMPTS: u64 = 3;
/// What all rows together may add to this process: 53 receivers at once, of which some send for ever.
const MEMORY_KIB_MAX: u64 = 64 * 1024;

/// What each attempt to a receiver comes to.
struct Row {
    behaviour: &'static str,
    /// None is a success.
    kind: Option<ErrorKind>,
    status: Option<u16>,
    /// Whether the connection may be used again afterwards.
    kept: bool,
    /// Whether the attempt lasts until its deadline.
    lasts: bool,
}

const fn row(behaviour: &'static str, kind: Option<ErrorKind>, status: u16) -> Row {
    let status = if status == 0 { None } else { Some(status) };
    Row { behaviour, kind, status, kept: false, lasts: false }
}

const fn kept(row: Row) -> Row {
    Row { kept: true, ..row }
}

const fn lasts(row: Row) -> Row {
    Row { lasts: true, ..row }
}

const ROWS: &[Row] = &[
    kept(row("ok", None, 200)),
    lasts(row("silent", Some(Timeout), 0)),
    row("hang-up", Some(Reset), 0),
    row("reset", Some(Reset), 0),
    row("reset-unread", Some(Reset), 0),
    row("one-byte", Some(Reset), 0),
    lasts(row("deaf", Some(Timeout), 0)),
    lasts(row("drip-head", Some(Timeout), 0)),
    row("long-line", Some(ResponseInvalid), 0),
    row("huge-head", Some(ResponseInvalid), 0),
    row("many-fields", Some(ResponseInvalid), 0),
    kept(row("bare-lf", None, 200)),
    row("status-99", Some(ResponseInvalid), 0),
    row("status-600", Some(ResponseInvalid), 0),
    row("status-999", Some(ResponseInvalid), 0),
    row("endless-1xx", Some(ResponseInvalid), 0),
    row("switch", Some(ResponseInvalid), 0),
    row("garbage", Some(ResponseInvalid), 0),
    row("wrong-length", None, 200),
    row("short-length", None, 200),
    row("double-length", Some(ResponseInvalid), 0),
    row("negative-length", Some(ResponseInvalid), 0),
    row("length-and-chunks", None, 200),
    row("broken-chunks", None, 200),
    row("second-answer", None, 200),
    row("endless-body", None, 200),
    row("huge-body", None, 200),
    lasts(row("drip-body", None, 200)),
    row("gzip-bomb", None, 200),
    kept(row("binary", None, 200)),
    kept(row("html", Some(HttpStatus), 500)),
    row("early", None, 200),
    row("reset-after-head", None, 200),
    kept(row("redirect", Some(HttpStatus), 302)),
    kept(row("redirect-307", Some(HttpStatus), 307)),
    kept(row("gone", Some(HttpStatus), 410)),
    kept(row("busy", Some(HttpStatus), 429)),
    kept(row("busy-date", Some(HttpStatus), 503)),
    kept(row("busy-absurd", Some(HttpStatus), 503)),
    kept(row("busy-garbage", Some(HttpStatus), 429)),
    row("tls-expired", Some(Tls), 0),
    row("tls-self-signed", Some(Tls), 0),
    row("tls-wrong-name", Some(Tls), 0),
    row("tls-unknown-ca", Some(Tls), 0),
    row("tls-1.0", Some(Tls), 0),
    row("tls-plain", Some(Tls), 0),
    lasts(row("tls-drip", Some(Timeout), 0)),
    row("h2-goaway", Some(Reset), 0),
    row("h2-goaway-after", None, 200),
    kept(row("h2-reset", Some(Reset), 0)),
    kept(row("h2-refuse", Some(Reset), 0)),
    lasts(row("h2-zero-window", Some(Timeout), 0)),
    row("h2-pings", Some(ResponseInvalid), 0),
];

/// One that trusts the sink's authority, if it has one.
fn dispatcher(sink: &Sink) -> Dispatcher {
    let policy = AddressPolicy::from_words(["loopback"]).unwrap();
    let trusted: Vec<_> = sink.authority().iter().map(|file| std::fs::read(file).unwrap()).collect();
    Dispatcher::new(Arc::new(Config::new(policy, false, &trusted).unwrap()))
}

async fn attempt(dispatcher: &Dispatcher, url: &str) -> Answer {
    let target = Target::parse(url, false).unwrap();
    let body = Bytes::from_static(b"{\"a\":1}");
    let request =
        Request { target: &target, headers: Vec::new(), body, timeout: DEADLINE, now: Time(1_771_497_000_000) };
    match dispatcher.attempt(request, || true).await {
        Dispatched::Done(answer) => answer,
        Dispatched::Withdrawn => panic!("withdrawn, though wanted"),
    }
}

/// Taken by what measures, and by what is too much to be beside that.
fn by_itself() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The most that this process had in memory so far.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What is wrong with the attempts to one receiver.
async fn wrong_with(row: &Row, options: &[&str]) -> Vec<String> {
    let sink = Sink::start(&[&["--threads", "1", "--behaviour", row.behaviour], options].concat());
    let dispatcher = dispatcher(&sink);
    let url = format!("{}/hook", sink.url());
    let mut wrong = Vec::new();
    for number in 1..=ATTEMPTS {
        let began = Instant::now();
        let Answer { exchange, body, .. } = attempt(&dispatcher, &url).await;
        let took = began.elapsed();
        let kind = exchange.failure.as_ref().map(|failure| failure.kind);
        if (kind, exchange.status_code) != (row.kind, row.status) {
            wrong.push(format!("attempt {number}: {exchange:?}"));
        }
        if row.lasts != (took >= DEADLINE) || took > DEADLINE + LATE {
            wrong.push(format!("attempt {number} took {took:?}"));
        }
        if exchange.failure.is_some_and(|failure| !failure.message.contains("; ")) {
            wrong.push(format!("attempt {number}: the message gives no advice"));
        }
        if body.len() > 4096 {
            wrong.push(format!("attempt {number}: {} bytes of body are kept", body.len()));
        }
        // What comes late must not be taken for the next one's answer.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let stats = sink.stats();
    let connections = if row.kept { 1 } else { ATTEMPTS };
    if (&stats["requests"], &stats["connections"]) != (&json!(ATTEMPTS), &json!(connections)) {
        wrong.push(format!("{ATTEMPTS} attempts, and it saw {stats}"));
    }
    wrong.into_iter().map(|what| format!("{}: {what}", row.behaviour)).collect()
}

#[test]
fn each_behaviour_has_its_outcome_within_the_deadline_in_one_request_and_bounded_memory() {
    let _by_itself = by_itself();
    let (named, tested) = (behaviours(), ROWS.iter().map(|row| row.behaviour.to_owned()));
    // It has a test of its own.
    let tested: BTreeSet<_> = tested.chain(["reuse-close".to_owned()]).collect();
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), tested);
    let before = peak_kib();
    try_all(ROWS, &[]);
    let grown = peak_kib() - before;
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB for {} receivers", ROWS.len());
    println!("{} receivers, {ATTEMPTS} attempts each, added {grown} KiB to this process", ROWS.len());
}

#[test]
fn over_tls_each_behaviour_has_the_same_outcome() {
    let _by_itself = by_itself();
    let of_http = ROWS.iter().position(|row| row.behaviour.starts_with("tls-")).unwrap();
    try_all(&ROWS[..of_http], &["--tls"]);
}

/// All at once.
fn try_all(rows: &[Row], options: &[&str]) {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(|| on_a_runtime(wrong_with(row, options)))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_close_just_at_reuse_costs_one_attempt_and_is_never_sent_again_unseen() {
    on_a_runtime(async {
        let sink = Sink::behaving("reuse-close");
        let (dispatcher, mut kinds) = (dispatcher(&sink), Vec::new());
        for _ in 0..6 {
            kinds.push(attempt(&dispatcher, sink.url()).await.exchange.failure.map(|failure| failure.kind));
        }
        assert_eq!(kinds, [None, Some(Reset), None, Some(Reset), None, Some(Reset)]);
        let stats = sink.stats();
        assert_eq!((&stats["requests"], &stats["connections"]), (&json!(6), &json!(3)));
    });
}

#[test]
fn what_retry_after_asks_for_is_read_or_left_alone() {
    on_a_runtime(async {
        for (behaviour, least) in [
            ("busy", Some(1_000)),
            ("busy-date", Some(1 << 40)),
            ("busy-absurd", Some(u64::MAX)),
            ("busy-garbage", None),
        ] {
            let sink = Sink::behaving(behaviour);
            let asked = attempt(&dispatcher(&sink), sink.url()).await.exchange.retry_after;
            assert_eq!(asked.is_some(), least.is_some(), "{behaviour}: {asked:?}");
            assert!(asked >= least.map(Millis), "{behaviour}: {asked:?}");
        }
    });
}
