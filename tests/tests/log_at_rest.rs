//! A log at rest, looked at with the real binary: what was erased is no damage, what was harmed is named by file and offset, and what is
//! whole can be saved.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use postrider_tests::{Client, Receiver, Server, binary, within};
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

/// A server that cannot start on this folder: its one line.
fn refused(data: &Path) -> String {
    let mut command = Command::new(binary());
    complaint(&command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).output().unwrap())
}

fn salvage(from: &Path, to: &Path, more: &[&str]) -> Output {
    Command::new(binary()).args(["log", "salvage"]).arg(from).arg("--to").arg(to).args(more).output().unwrap()
}

/// Every file, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut all: BTreeMap<_, _> = files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    folders.iter().for_each(|folder| all.extend(self::files(folder)));
    all
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
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
    assert!(told.starts_with("the log is whole: ") && told.contains("; payloads erased: 1\n"), "{told}");
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
        assert!(told.contains(&format!("; payloads that the next start erases: 1 ({position})\n")), "{told}");
        let told = stdout(&log(&["stats"], data));
        assert!(told.contains(&format!("\nto erase   1 ({position}) at the next start\n")), "{told}");
    }
    let server = start(data);
    within(Duration::from_secs(10), "the start erases it", || find(data, b"the-payload-of-e2").is_none().then_some(()));
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

#[test]
fn what_is_whole_of_a_damaged_log_goes_on_in_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved) = (folder.path().join("data"), folder.path().join("saved"));
    let receiver = Receiver::answering(200);
    let server = start(&data);
    let client = server.workspace("genesy");
    let webhook =
        json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "secret": "secret-of-the-crm" });
    client.post("/v1/webhooks", &webhook).expect(201);
    // The attempt of e2 is left when e2 itself is lost.
    for (sent, id) in (1..).zip(["e1", "e2", "e3", "e4", "e5"]) {
        publish(&client, id);
        let succeeded = || client.get("/v1/deliveries?status=succeeded").expect(200).body["meta"]["total"] == sent;
        within(Duration::from_secs(10), "it is delivered", || succeeded().then_some(()));
    }
    client.delete("/v1/events/e5").expect(204);
    within(Duration::from_secs(10), "it is erased", || find(&data, b"the-payload-of-e5").is_none().then_some(()));
    server.kill();

    // In the facts of e2 and in the payload of e4.
    let (file, offset, position) = accepted(&data, "e2");
    let (_, payload_offset, payload_position) = accepted(&data, "e4");
    write(data.join(&file), b"!", offset + 130);
    let at = find(&data, payload("e4").as_bytes()).unwrap();
    write(data.join(SEGMENT), b"!", at + 20);
    let place = format!("{file} at byte {offset}: block {}: ", position.split('.').next().unwrap());
    let before = files(&data);
    let line = complaint(&log(&["verify"], &data));
    assert!(line.contains(&place), "{line}");
    let line = refused(&data);
    assert!(line.contains(&place), "{line}");
    assert!(files(&data) == before, "nothing was changed");

    let output = salvage(&data, &saved, &[]);
    let line = complaint(&output);
    assert!(line.contains("lacks 1 block and 1 payload of"), "{line}");
    let told = stdout(&output);
    for part in [
        &format!("missing  {file} at byte {offset}, up to "),
        &format!("missing  {file} at byte {payload_offset}: block "),
        "keys copied: keys/",
        "master.key",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(files(&data) == before, "nothing was changed");
    let keys: Vec<_> = fs::read_dir(saved.join("keys")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!((keys.len(), mode(saved.join("keys")), mode(saved.join("master.key"))), (1, 0o700, 0o600));
    assert_eq!(mode(keys[0].clone()), 0o600);

    let server = start(&saved);
    let client = server.client(client.key());
    let found: Vec<u16> =
        ["e1", "e2", "e3", "e4", "e5"].iter().map(|id| client.get(&format!("/v1/events/{id}")).status).collect();
    assert_eq!(found, [200, 404, 200, 200, 200]);
    publish(&client, "e2");
    within(Duration::from_secs(10), "it delivers again", || (receiver.count() == 6).then_some(()));
    assert_eq!(receiver.requests()[5].header("x-webhook-secret"), "secret-of-the-crm", "the keys came along");
    assert!(server.terminate().success());

    // Once more, for programs.
    let again = salvage(&data, &folder.path().join("again"), &["--json"]);
    complaint(&again);
    let told: Value = serde_json::from_slice(&again.stdout).unwrap();
    let (missing, payloads) = (&told["missing"][0], &told["payloads"]);
    assert_eq!((&told["ok"], &missing["file"], &missing["offset"]), (&json!(false), &json!(file), &json!(offset)));
    assert!(missing["until"].as_u64().unwrap() > offset, "{told}");
    assert_eq!((payloads.as_array().unwrap().len(), &payloads[0]["position"]), (1, &json!(payload_position)), "{told}");
}

#[test]
fn a_whole_log_is_salvaged_whole_and_not_over_another_nor_from_under_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved) = (folder.path().join("data"), folder.path().join("saved"));
    let server = start(&data);
    let client = server.workspace("genesy");
    publish(&client, "e1");
    let line = complaint(&salvage(&data, &saved, &[]));
    assert!(line.contains("in use by another process") && !saved.exists(), "{line}");
    server.kill();

    let nothing = folder.path().join("nothing");
    let line = complaint(&salvage(&nothing, &saved, &[]));
    assert!(line.contains("holds no log") && !saved.exists() && !nothing.exists(), "{line}");
    let output = salvage(&data, &saved, &[]);
    assert!(output.status.success() && !stdout(&output).contains("missing"), "{}", stdout(&output));
    assert_eq!(verified(&saved)["gaps"], 0);
    let before = files(&saved);
    for taken in [&saved, &data, &data.join("LOCK")] {
        let output = salvage(&data, taken, &[]);
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.contains("is not an empty folder"), "{line}");
    }
    assert!(files(&saved) == before, "nothing was changed");
    // The folder as the other commands name it, and no folder for what is whole.
    let mut with_data = Command::new(binary());
    with_data.args(["log", "salvage", "--data"]).arg(&data).arg("--to").arg(folder.path().join("again"));
    assert!(with_data.output().unwrap().status.success());
    let output = Command::new(binary()).args(["log", "salvage"]).arg(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
