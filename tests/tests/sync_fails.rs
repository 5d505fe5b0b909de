//! A disk that fails under the log: the process says so and ends, acknowledges nothing more, and never tries again; nothing that it had
//! acknowledged is lost, and a start on a disk that works goes on.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postrider_tests::{Client, Receiver, Server, binary, preload, within};
use serde_json::json;

/// The syncs that fail, counted from a start's first. Three belong to the start itself.
const MOMENTS: [u64; 9] = [1, 2, 3, 4, 5, 6, 9, 20, 60];

/// What fails for good.
#[derive(Clone, Copy, Debug)]
enum Call {
    Sync,
    Write,
}

/// A server whose disk will fail.
struct Doomed {
    child: Child,
    told: PathBuf,
    /// Where it listens; `None` if it ended before.
    base: Option<String>,
}

impl Doomed {
    fn start(shim: &Path, data: &Path, call: Call, moment: u64) -> Doomed {
        let told = shim.with_file_name("told");
        let _ = fs::remove_file(&told);
        let mut command = Command::new(binary());
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log-level",
            "error",
            "--allow",
            "loopback",
            "--rate-limit",
            "0",
        ]);
        command.args(["--segment", "4MiB", "--data"]).arg(data);
        command.env("LD_PRELOAD", shim).env("FAIL_UNDER", data.join("log")).env("FAIL_TOLD", &told);
        command.env("FAIL_AT", moment.to_string());
        command.env("FAIL_CALL", if matches!(call, Call::Sync) { "sync" } else { "write" });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.contains("ready at"));
        let base =
            ready.map(|line| line.split([' ', ',']).find(|word| word.starts_with("http://")).unwrap().to_owned());
        Doomed { child, told, base }
    }

    /// Whether the failure has come.
    fn has_failed(told: &Path) -> bool {
        fs::metadata(told).is_ok_and(|told| told.len() > 0)
    }

    /// Waits until it ends; what it said. It had to end by itself, with an error.
    fn last_words(mut self) -> String {
        let ended = within(Duration::from_secs(20), "it ends", || self.child.try_wait().unwrap());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(ended.code(), Some(1), "{said}");
        said
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(client: &Client, id: &str) -> Option<u16> {
    let event = json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "id": id } } });
    client
        .try_post("/v1/events", "application/json", event.to_string().as_bytes())
        .ok()
        .map(|answer| answer.status().as_u16())
}

/// Posts until nobody answers any more; the acknowledged ids.
fn publish_until_gone(client: &Client, next: &AtomicU64, told: &Path) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    loop {
        let id = format!("e{}", next.fetch_add(1, Ordering::Relaxed));
        let had_failed = Doomed::has_failed(told);
        match publish(client, &id) {
            Some(202) => {
                assert!(!had_failed, "{id} was acknowledged after the disk had failed");
                acknowledged.insert(id);
            }
            Some(status) => assert_eq!(status, 503, "{id}"),
            None => return acknowledged,
        }
    }
}

#[test]
fn a_disk_that_fails_ends_the_process_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shim = preload(folder.path(), "failing_disk");
    let data = folder.path().canonicalize().unwrap().join("data");
    let receiver = Receiver::answering(200);
    let server = Server::start_with(&data, &["--segment", "4MiB"], &[]);
    let key = server.workspace("genesy").key().to_owned();
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"] });
    server.client(&key).post("/v1/webhooks", &webhook).expect(201);
    assert!(server.terminate().success());

    let (next, began) = (AtomicU64::new(0), Instant::now());
    let (mut acknowledged, mut at_start) = (BTreeSet::new(), 0);
    for (call, moment) in [Call::Sync, Call::Write].into_iter().flat_map(|call| MOMENTS.map(|moment| (call, moment))) {
        let doomed = Doomed::start(&shim, &data, call, moment);
        let told = doomed.told.clone();
        if let Some(base) = &doomed.base {
            let client = Client::new(base, &key);
            std::thread::scope(|scope| {
                let publish = || scope.spawn(|| publish_until_gone(&client, &next, &told));
                let publishers: Vec<_> = (0..4).map(|_| publish()).collect();
                publishers.into_iter().for_each(|p| acknowledged.extend(p.join().unwrap()));
            });
        } else {
            at_start += 1;
        }
        let said = doomed.last_words();
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("postrider: ") && last.contains("the log cannot be "), "{call:?} {moment}: {said}");
        assert!(last.contains("Input/output error"), "{call:?} {moment}: {said}");
        let calls = fs::read_to_string(&told).unwrap();
        let expected = if matches!(call, Call::Sync) { "sync\n" } else { "write\n" };
        assert_eq!(calls, expected, "{call:?} {moment}: the first failure is the last call");

        // On a disk that works.
        let server = Server::start_with(&data, &["--segment", "4MiB"], &[]);
        let client = server.client(&key);
        let id = format!("e{}", next.fetch_add(1, Ordering::Relaxed));
        assert_eq!(publish(&client, &id), Some(202), "{call:?} {moment}: it goes on");
        acknowledged.insert(id);
        let lost = acknowledged.iter().find(|id| client.get(&format!("/v1/events/{id}")).status != 200);
        assert_eq!(lost, None, "{call:?} {moment}: lost");
        assert!(server.terminate().success());
    }
    let server = Server::start(&data);
    let arrived = || receiver.requests().iter().map(|r| r.header("postrider-event-id").to_owned()).collect();
    let lost = || acknowledged.difference(&arrived()).next().cloned();
    within(Duration::from_secs(30), "all that was acknowledged arrives", || lost().is_none().then_some(()));
    assert!(server.terminate().success());
    println!(
        "{} failures, {at_start} of them at the start, {} events acknowledged, none lost, in {:?}",
        2 * MOMENTS.len(),
        acknowledged.len(),
        began.elapsed()
    );
}
