//! `postrider log verify` on the store that a server has left: one that says what the log says passes, wherever it is; one that is not there
//! or of no use is said and is no fault; one that says a single thing otherwise is found, and its place is named.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use postrider::inspect::LogFolder;
use postrider_core::Time;
use postrider_core::fact::{Fact, Record, Restated};
use postrider_log::journal;
use postrider_store::{LogIdentity, Mark, Opened, Part, Store};
use postrider_tests::{Client, Reaction, Receiver, Server, binary, within};
use serde_json::{Value, json};

fn verify(data: &Path, more: &[&str]) -> Output {
    Command::new(binary()).args(["log", "verify"]).args(more).arg("--data").arg(data).output().unwrap()
}

/// What it says of the store, for people and for programs.
fn said(data: &Path) -> (String, Value) {
    let output = verify(data, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("the log is whole: "), "{told}");
    let output = verify(data, &["--json"]);
    let mut all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["ok"], true, "{all}");
    (lines[1].to_owned(), all["store"].take())
}

fn publish(client: &Client, ids: std::ops::Range<u32>) {
    for n in ids {
        let event = json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": { "contact": { "id": n } } });
        client.post("/v1/events", &event).expect(202);
    }
}

/// A workspace with a webhook that gets its events and one that does not; the second workspace is deleted with what it has pending.
fn filled(server: &Server, receiver: &Receiver) -> Client {
    let policy = json!({ "delays": ["1h"] });
    let hook = |name: &str, path: &str| {
        let url = receiver.url(path);
        json!({ "name": name, "url": url, "events": ["EMAIL_SENT"], "retryPolicy": policy })
    };
    let client = server.workspace("genesy");
    let gone = server.workspace("genesy");
    gone.post("/v1/webhooks", &hook("gone", "/down")).expect(201);
    publish(&gone, 100..110);
    for (name, path) in [("up", "/up"), ("down", "/down"), ("deleted", "/down")] {
        client.post("/v1/webhooks", &hook(name, path)).expect(201);
    }
    publish(&client, 0..20);
    within(Duration::from_secs(20), "all had their attempt", || (receiver.count() >= 70).then_some(()));
    client.delete("/v1/events/e3").expect(204);
    client.delete("/v1/webhooks/4").expect(204);
    let workspaces = server.admin().get("/v1/workspaces").expect(200).body;
    let id = workspaces["data"][0]["id"].as_str().unwrap().to_owned();
    server.admin().delete(&format!("/v1/workspaces/{id}")).expect(204);
    client
}

/// Every file, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut all: BTreeMap<_, _> = files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    folders.iter().for_each(|folder| all.extend(self::files(folder)));
    all
}

/// Makes the store anew, by its own writer, of what the log says with the first of the facts that `change` takes changed.
fn doctor(data: &Path, mut change: impl FnMut(&mut Record) -> bool) {
    let store = data.join("store");
    fs::remove_dir_all(&store).unwrap();
    let log = journal::open_read_only(data).unwrap();
    let last = log.blocks().last().unwrap().unwrap().block;
    let identity = LogIdentity { log: log.log().0, chain_at: &|_| None };
    let Opened { store, mut writer, .. } = Store::open(&store, identity).unwrap();
    let mut is_changed = false;
    for stored in LogFolder::open(data).unwrap().records() {
        let mut record = stored.unwrap().record;
        is_changed = is_changed || change(&mut record);
        writer.take(Part::Both, &record).unwrap();
    }
    assert!(is_changed);
    writer.commit(Part::Both, Mark { block: last.number() + 1, chain: last.hash().0 }, None).unwrap();
    writer.close();
    drop(store);
}

/// What is found in a store: the line on stderr, and what is told to programs.
fn found(data: &Path) -> (String, Value) {
    let before = files(data);
    let output = verify(data, &["--json"]);
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
    let mut all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&all["ok"], &all["store"]["state"]), (&json!(false), &json!("differs")), "{all}");
    assert!(files(data) == before, "nothing was changed");
    (line, all["store"].take())
}

#[test]
fn a_good_store_passes_wherever_it_is() {
    let receiver = Receiver::reacting(|request| Reaction::Status(if request.path == "/up" { 200 } else { 500 }));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = Server::start(data);
    let client = filled(&server, &receiver);
    let output = verify(data, &[]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("the store is in use by another process"), "{told}");
    assert!(server.terminate().success());
    let (told, json) = said(data);
    let covered = json["covered"].as_u64().unwrap();
    assert!(told.ends_with(&format!("below block {covered}")) && json["state"] == "agrees", "{told} {json}");
    let before = files(data);
    said(data);
    assert!(files(data) == before, "nothing was changed");

    // W is behind the log's end: the last second was not committed.
    let server = Server::start(data);
    let client = server.client(client.key());
    publish(&client, 50..60);
    server.kill();
    let (_, json) = said(data);
    let log = journal::open_read_only(data).unwrap();
    let end = log.blocks().last().unwrap().unwrap().block.number() + 1;
    assert!(json["state"] == "agrees" && (covered..end).contains(&json["covered"].as_u64().unwrap()), "{json}, {end}");

    fs::remove_dir_all(data.join("store")).unwrap();
    let (told, json) = said(data);
    assert!(told.starts_with("there is no store") && json == json!({ "state": "missing" }), "{told} {json}");
}

#[test]
fn a_store_that_a_start_would_set_aside_is_said() {
    let receiver = Receiver::answering(500);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = Server::start(data);
    filled(&server, &receiver);
    assert!(server.terminate().success());
    let file = data.join("store/pending/db");
    let mut bytes = fs::read(&file).unwrap();
    bytes.iter_mut().step_by(64).for_each(|byte| *byte ^= 0x55);
    fs::write(file, bytes).unwrap();
    let (told, json) = said(data);
    assert!(told.starts_with("the store is of no use and is built anew from the log at a start: "), "{told}");
    assert!(json["state"] == "of-no-use" && json["reason"].is_string(), "{json}");
}

#[test]
fn one_entry_that_is_not_what_the_log_says_is_found_and_named() {
    let receiver = Receiver::reacting(|request| Reaction::Status(if request.path == "/up" { 200 } else { 500 }));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = Server::start(data);
    filled(&server, &receiver);
    assert!(server.terminate().success());

    // An erasure of which it was not told.
    doctor(data, |record| {
        let is_it = matches!(record.fact, Fact::EventErased { .. });
        if is_it {
            record.fact = Fact::Restated(Restated::End);
        }
        is_it
    });
    let (line, json) = found(data);
    assert!(line.contains(": store/days/") && line.contains(", heads: the store has dlv_"), "{line}");
    let (store, log) = (json["store"].as_str().unwrap(), json["log"].as_str().unwrap());
    assert!(json["list"] == "heads" && line.contains(store) && line.contains(log) && store != log, "{json}");

    // The last delivery to the webhook that is there and fails sleeps a minute longer.
    doctor(data, |record| match &mut record.fact {
        Fact::AttemptFinished { cell, .. } if cell.webhook.0 == 3 => {
            cell.due = Time(cell.due.0 + 60_000);
            true
        }
        _ => false,
    });
    let (line, json) = found(data);
    assert!(line.contains(": store/pending, sleep: the store lacks dlv_"), "{line}");
    assert_eq!((&json["database"], &json["list"]), (&json!("pending"), &json!("sleep")), "{json}");

    // And one that was not doctored at all, by the same way, passes.
    doctor(data, |_| true);
    assert_eq!(said(data).1["state"], "agrees");
}
