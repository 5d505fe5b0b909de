//! A log at rest, looked at with the real binary: what was erased is no damage, what was harmed is named by file and offset.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use postrider_tests::{Client, Server, binary, within};
use serde_json::{Value, json};

const SEGMENT: &str = "log/00000000000000.seg";

fn start(data: &Path) -> Server {
    Server::start_with(data, &["--segment", "4MiB"], &[])
}

/// A payload that is found again in the file.
fn payload(id: &str) -> String {
    format!(r#"{{"contact":{{"id":"the-payload-of-{id}","fullName":"Ada Lovelace, Countess"}}}}"#)
}

fn publish(client: &Client, id: &str) {
    let event = format!(r#"{{"id":"{id}","type":"EMAIL_SENT","data":{}}}"#, payload(id));
    client.post_raw("/v1/events", "application/json", event.as_bytes()).expect(202);
}

/// A server that took events, each in a block of its own, and was killed.
fn killed_after(data: &Path, ids: &[&str]) {
    let server = start(data);
    let client = server.workspace("genesy");
    ids.iter().for_each(|id| publish(&client, id));
    server.kill();
}

fn log(args: &[&str], data: &Path) -> Output {
    Command::new(binary()).arg("log").args(args).arg("--data").arg(data).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one line of an error.
fn complaint(output: &Output) -> String {
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
    line
}

fn verified(data: &Path) -> Value {
    let output = log(&["verify", "--json"], data);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["log"].take()
}

/// The fact that the event `id` was accepted: file, offset of its block, position.
fn accepted(data: &Path, id: &str) -> (String, u64, String) {
    let facts = stdout(&log(&["cat", "--json"], data));
    let mut facts = facts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_it = |fact: &Value| fact["kind"] == "EventAccepted" && fact["what"].as_str().unwrap().starts_with(id);
    let fact = facts.find(is_it).unwrap();
    let text = |name: &str| fact[name].as_str().unwrap().to_owned();
    (text("file"), fact["offset"].as_u64().unwrap(), text("position"))
}

/// Where these bytes lie in the only segment.
fn find(data: &Path, bytes: &[u8]) -> Option<u64> {
    let segment = fs::read(data.join(SEGMENT)).unwrap();
    segment.windows(bytes.len()).position(|w| w == bytes).map(|at| at as u64)
}

fn write(path: PathBuf, bytes: &[u8], at: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_log_with_erased_payloads_is_whole_and_says_what_is_still_to_be_erased() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = start(data);
    let client = server.workspace("genesy");
    ["e1", "e2", "e3"].iter().for_each(|id| publish(&client, id));
    let at = find(data, payload("e2").as_bytes()).unwrap();
    client.delete("/v1/events/e2").expect(204);
    let is_erased = || find(data, payload("e2").as_bytes()).is_none().then_some(());
    within(Duration::from_secs(10), "the payload is erased", is_erased);
    server.kill();

    let stats = verified(data);
    assert_eq!((&stats["erased"], &stats["toErase"], &stats["gaps"]), (&json!(1), &json!([]), &json!(0)), "{stats}");
    let told = stdout(&log(&["verify"], data));
    assert!(told.starts_with("the log is whole: ") && told.ends_with("; payloads erased: 1\n"), "{told}");
    let told = stdout(&log(&["stats"], data));
    assert!(told.contains("\nerased     1 payloads\nto erase   0 at the next start\ngaps       0 "), "{told}");

    // As a crash between fact and zeros leaves it: whole, or half of it.
    let (_, _, position) = accepted(data, "e2");
    let whole = payload("e2").into_bytes();
    let half = [&whole[..40], &vec![0; whole.len() - 40]].concat();
    for left in [whole, half] {
        write(data.join(SEGMENT), &left, at);
        let stats = verified(data);
        assert_eq!((&stats["erased"], &stats["toErase"]), (&json!(0), &json!([position])), "{stats}");
        let told = stdout(&log(&["verify"], data));
        assert!(told.ends_with(&format!("; payloads that the next start erases: 1 ({position})\n")), "{told}");
        let told = stdout(&log(&["stats"], data));
        assert!(told.contains(&format!("\nto erase   1 ({position}) at the next start\n")), "{told}");
    }
    let server = start(data);
    server.workspace("genesy");
    within(Duration::from_secs(10), "the first turn erases it", || {
        find(data, b"the-payload-of-e2").is_none().then_some(())
    });
    assert!(server.terminate().success());
    let stats = verified(data);
    assert_eq!((&stats["erased"], &stats["toErase"]), (&json!(1), &json!([])), "{stats}");
}

#[test]
fn zeros_that_no_fact_speaks_of_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    killed_after(data, &["e1", "e2", "e3"]);
    assert_eq!(verified(data)["erased"], 0);
    let at = find(data, payload("e2").as_bytes()).unwrap();
    write(data.join(SEGMENT), &vec![0; payload("e2").len()], at);
    let (file, offset, _) = accepted(data, "e2");
    for args in [&["verify"][..], &["verify", "--json"], &["stats"], &["stats", "--json"]] {
        let output = log(args, data);
        let line = complaint(&output);
        assert!(line.contains(&format!("{file} at byte {offset}: ")) && line.contains("zeros"), "{line}");
        assert!(output.stdout.is_empty());
    }
}
