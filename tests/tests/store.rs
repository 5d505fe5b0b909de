//! The store of the real binary: whatever becomes of it, it is built anew from the log, which is said, and everything is found as before.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use postrider_tests::{Client, Reaction, Receiver, Server, within};
use serde_json::{Value, json};

/// A server that delivered some events, and failed to deliver others.
fn filled(data: &Path, receiver: &Receiver) -> Client {
    let server = Server::start(data);
    let client = server.workspace("genesy");
    for (name, path) in [("up", "/up"), ("down", "/down")] {
        let hook = json!({ "name": name, "url": receiver.url(path), "events": ["EMAIL_SENT"],
                           "retryPolicy": { "delays": ["1h"] } });
        client.post("/v1/webhooks", &hook).expect(201);
    }
    for n in 0..30 {
        let event = json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": { "contact": { "id": n } } });
        client.post("/v1/events", &event).expect(202);
    }
    client.delete("/v1/events/e3").expect(204);
    within(Duration::from_secs(20), "all attempts are filed", || {
        let total =
            |id| client.get(&format!("/v1/webhooks/{id}/logs?pageSize=1")).expect(200).body["meta"]["total"].clone();
        (total(1).as_u64().unwrap() + total(2).as_u64().unwrap() >= 58).then_some(())
    });
    assert!(server.terminate().success());
    client
}

/// All that the workspace's key can read, once it can be read.
fn seen(client: &Client) -> Vec<Value> {
    let mut paths: Vec<String> =
        ["/v1/events?pageSize=200", "/v1/deliveries?pageSize=200", "/v1/webhooks/1/logs?pageSize=200"]
            .map(Into::into)
            .into();
    paths.extend((0..30).map(|n| format!("/v1/events/e{n}")));
    let get = |path: &String| {
        within(Duration::from_secs(30), "what is gathered from the log again can be read", || {
            let answer = client.get(path);
            assert!(answer.status == 200 || answer.status == 503 && answer.retry_after.is_some(), "{}", answer.body);
            (answer.status == 200).then_some(answer.body)
        })
    };
    paths.iter().map(get).collect()
}

/// The bytes of a sled database, one changed in each 64.
fn harm(database: &Path) {
    let file = database.join("db");
    let mut bytes = fs::read(&file).unwrap();
    bytes.iter_mut().step_by(64).for_each(|byte| *byte ^= 0x55);
    fs::write(file, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_store_that_is_gone_or_not_to_be_relied_on_is_built_anew() {
    let receiver = Receiver::reacting(|request| Reaction::Status(if request.path == "/up" { 200 } else { 500 }));
    let folder = tempfile::tempdir().unwrap();
    let [data, other] = ["data", "other"].map(|name| folder.path().join(name));
    let client = filled(&data, &receiver);
    filled(&other, &receiver);
    let store = data.join("store");
    assert!(store.join("pending/db").exists());

    let delete: &dyn Fn() = &|| fs::remove_dir_all(&store).unwrap();
    let foreign: &dyn Fn() = &|| {
        fs::remove_dir_all(&store).unwrap();
        copy(&other.join("store"), &store);
    };
    let days: &dyn Fn() = &|| fs::read_dir(store.join("days")).unwrap().for_each(|day| harm(&day.unwrap().path()));
    let cases: [(&str, &dyn Fn(), bool); 6] = [
        ("as it was", &|| (), false),
        ("deleted", delete, false),
        ("of another log", foreign, true),
        ("damaged", &|| harm(&store.join("pending")), true),
        ("damaged where it is looked at later", days, true),
        ("no store", &|| fs::write(store.join("pending/db"), "hello").unwrap(), true),
    ];
    let mut before = None;
    for (what, change, is_aside) in cases {
        change();
        let server = Server::start(&data);
        let client = server.client(client.key());
        let now = seen(&client);
        assert_eq!(before.get_or_insert_with(|| now.clone()), &now, "{what}");
        let is_there = || {
            fs::read_dir(&data).unwrap().any(|e| e.unwrap().file_name().to_str().unwrap().starts_with("store.broken"))
        };
        assert_eq!(is_there(), is_aside, "{what}");
        assert!(server.terminate().success());
        assert!(store.join("pending/db").exists(), "{what}");
        let aside: Vec<_> = fs::read_dir(&data)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.to_str().unwrap().contains("broken"))
            .collect();
        aside.iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }
}
