//! A folder whose log is kept in sled, with the real binary: it remembers what it is, and each command works on it or says why not.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use postrider_tests::{Receiver, Server, binary, within};
use serde_json::{Value, json};

fn postrider(args: &[&str], data: &Path) -> Output {
    Command::new(binary()).args(args).arg("--data").arg(data).output().unwrap()
}

/// The one line of an error.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    said
}

#[test]
fn a_folder_remembers_what_its_log_is_and_each_command_says_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let (in_sled, as_journal) = (folder.path().join("in-sled"), folder.path().join("as-journal"));
    let receiver = Receiver::answering(200);
    let server = Server::start_with(&in_sled, &["--log", "sled"], &[]);
    let client = server.workspace("genesy");
    client
        .post("/v1/webhooks", &json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"] }))
        .expect(201);
    for n in 0..20 {
        let event = json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": { "contact": { "id": n } } });
        client.post("/v1/events", &event).expect(202);
    }
    within(Duration::from_secs(20), "all arrive", || (receiver.count() == 20).then_some(()));
    client.delete("/v1/events/e7").expect(204);
    let began = Instant::now();
    let second = complaint(&postrider(&["serve", "--listen", "127.0.0.1:0"], &in_sled));
    assert!(second.contains("in use by another process") && began.elapsed() < Duration::from_secs(1), "{second}");
    let key = client.key().to_owned();
    assert!(server.terminate().success());

    let other = complaint(&postrider(&["serve", "--listen", "127.0.0.1:0", "--log", "journal"], &in_sled));
    assert!(other.contains("kept as `sled`, and `journal` was asked for"), "{other}");
    assert!(Server::start(&as_journal).terminate().success());
    let other = complaint(&postrider(&["serve", "--listen", "127.0.0.1:0", "--log", "sled"], &as_journal));
    assert!(other.contains("kept as `journal`, and `sled` was asked for"), "{other}");

    let verified = postrider(&["log", "verify", "--json"], &in_sled);
    let found: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&found["ok"], &found["log"]["erased"]), (&json!(true), &json!(1)), "{found}");
    let lines = |args: &[&str]| String::from_utf8(postrider(args, &in_sled).stdout).unwrap().lines().count();
    assert_eq!(lines(&["log", "cat"]) as u64, found["log"]["facts"].as_u64().unwrap());
    assert!(lines(&["log", "stats"]) > 5);
    let to = folder.path().join("to");
    let to = to.to_str().unwrap();
    let backup = complaint(&postrider(&["backup", "--to", to], &in_sled));
    assert!(backup.contains("stop the server and copy the folder"), "{backup}");
    let salvage = complaint(&postrider(&["log", "salvage", "--to", to], &in_sled));
    assert!(salvage.contains("only a journal can be salvaged"), "{salvage}");
    assert!(!Path::new(to).exists());

    // Without the option it is what it was.
    let server = Server::start(&in_sled);
    let client = server.client(&key);
    assert_eq!(client.get("/v1/deliveries?status=succeeded&pageSize=1").expect(200).body["meta"]["total"], 20);
    assert_eq!(client.get("/v1/events/e7").expect(200).data()["data"], Value::Null);
    assert!(client.get("/v1/events/e8").expect(200).data()["data"].is_object());
    assert!(server.terminate().success());
}
