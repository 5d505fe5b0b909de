//! `postrider backup` with the real binary: what a copy has that was made under a running server, and what a server on it does.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use postrider_tests::{Client, Receiver, Server, binary, within};
use serde_json::{Value, json};

fn start(data: &Path) -> Server {
    Server::start_with(data, &["--segment", "4MiB", "--grace", "1s"], &[])
}

/// Delivers nothing to this machine: what is pending in a copy stays pending.
fn restore(data: &Path) -> Server {
    Server::start_bare(data, &["--rate-limit", "0", "--segment", "4MiB", "--grace", "1s"], &[])
}

fn command(from: &Path, to: &Path) -> Command {
    let mut command = Command::new(binary());
    command.arg("backup").arg("--data").arg(from).arg("--to").arg(to);
    command
}

fn backup(from: &Path, to: &Path) -> Output {
    command(from, to).output().unwrap()
}

fn backed_up(from: &Path, to: &Path) -> Value {
    let output = command(from, to).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["ok"], &told["payloads"], &told["keysMissing"]),
        (&json!(true), &json!([]), &json!([])),
        "{told}"
    );
    told
}

/// The one line of an error.
fn complaint(output: &Output, code: i32) -> String {
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), line.lines().count()), (Some(code), 1), "{line}");
    line
}

fn verified(data: &Path) -> Value {
    let output = Command::new(binary()).args(["log", "verify", "--json", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["log"].take()
}

fn event(id: &str, text: &str) -> Value {
    json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "fullName": format!("{id} {text}") } } })
}

fn webhook(receiver: &Receiver, secret: &str) -> Value {
    json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "secret": secret })
}

/// Every file, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut all: BTreeMap<_, _> = files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    folders.iter().for_each(|folder| all.extend(self::files(folder)));
    all
}

fn has_bytes(folder: &Path, bytes: &str) -> bool {
    files(folder).values().any(|file| file.windows(bytes.len()).any(|window| window == bytes.as_bytes()))
}

/// Counts that only grow, as sets of names.
#[derive(Clone, Default)]
struct Acknowledged {
    events: BTreeSet<String>,
    erased: BTreeSet<String>,
    /// Keys of workspaces that were made and not deleted.
    workspaces: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

/// What publishers and others do to a server until it is over.
struct Load<'a> {
    server: &'a Server,
    client: Client,
    receiver: &'a Receiver,
    is_over: AtomicBool,
    next: AtomicU64,
    acknowledged: Mutex<Acknowledged>,
}

impl Load<'_> {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn publish(&self, size: usize) {
        while !self.is_over() {
            let ids: Vec<_> = (0..3).map(|_| format!("e{}", self.next.fetch_add(1, Ordering::Relaxed))).collect();
            let events: Value = ids.iter().map(|id| event(id, &"x".repeat(size))).collect();
            self.client.post("/v1/events", &events).expect(202);
            self.acknowledged.lock().unwrap().events.extend(ids);
        }
    }

    fn erase(&self) {
        while !self.is_over() {
            let known = self.acknowledged.lock().unwrap().clone();
            // The newest: their zeros and facts are near the end.
            let Some(id) = known.events.difference(&known.erased).max_by_key(|id| id[1..].parse::<u64>().unwrap())
            else {
                continue;
            };
            self.client.delete(&format!("/v1/events/{id}")).expect(204);
            self.acknowledged.lock().unwrap().erased.insert(id.clone());
        }
    }

    /// Workspaces come and go, each with a webhook whose secret its key has sealed.
    fn rotate(&self) {
        while !self.is_over() {
            let made =
                self.server.admin().post("/v1/workspaces", &json!({ "name": "acme", "profile": "genesy" })).expect(201);
            let text = |name: &str| made.data()[name].as_str().unwrap().to_owned();
            let (id, key) = (text("id"), text("apiKey"));
            self.client.with_key(&key).post("/v1/webhooks", &webhook(self.receiver, "secret-of-the-crm")).expect(201);
            let n = {
                let mut acknowledged = self.acknowledged.lock().unwrap();
                acknowledged.workspaces.insert(key.clone());
                acknowledged.workspaces.len() + acknowledged.deleted.len()
            };
            if n % 2 == 0 {
                // From here on it may be gone.
                self.acknowledged.lock().unwrap().workspaces.remove(&key);
                self.server.admin().delete(&format!("/v1/workspaces/{id}")).expect(204);
                self.acknowledged.lock().unwrap().deleted.insert(key);
            }
        }
    }
}

/// Whether a copy has what was acknowledged before it was begun.
fn check(copy: &Path, key: &str, before: &Acknowledged) {
    let stats = verified(copy);
    assert!(stats["torn"].is_null(), "{stats}");
    let server = restore(copy);
    let client = server.client(key);
    for id in &before.events {
        let found = client.get(&format!("/v1/events/{id}")).expect(200);
        let is_erased = !found.data()["erasedAt"].is_null();
        assert!(is_erased || !before.erased.contains(id), "{id} was erased");
        assert!(
            is_erased || found.data()["data"]["contact"]["fullName"].as_str().unwrap().starts_with(id),
            "{found:?}"
        );
    }
    for key in &before.workspaces {
        // What says whether the sealing key is there: a new secret has to be sealed with it.
        let hooks = client.with_key(key).get("/v1/webhooks").expect(200);
        let changed = client
            .with_key(key)
            .patch(&format!("/v1/webhooks/{}", hooks.body["data"][0]["id"]), &json!({ "secret": "another-secret" }));
        assert_eq!(changed.status, 200, "{}", changed.body);
    }
    for key in &before.deleted {
        client.with_key(key).get("/v1/webhooks").expect(401);
    }
    client.post("/v1/events", &event("a-new-one", "")).expect(202);
    assert!(server.terminate().success());
    assert_eq!(verified(copy)["toErase"], json!([]));
}

#[test]
fn copies_of_a_busy_server_have_all_that_was_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let receiver = Receiver::answering(200);
    let server = start(&data);
    let client = server.workspace("genesy");
    client.post("/v1/webhooks", &webhook(&receiver, "secret-of-the-crm")).expect(201);
    let load = Load {
        server: &server,
        client: client.clone(),
        receiver: &receiver,
        is_over: AtomicBool::default(),
        next: AtomicU64::default(),
        acknowledged: Mutex::default(),
    };
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| load.publish(2_000))));
        scope.spawn(|| load.erase());
        scope.spawn(|| load.rotate());
        for n in 0..6 {
            within(Duration::from_secs(60), "more events", || {
                (load.acknowledged.lock().unwrap().events.len() > 60 * (n + 1)).then_some(())
            });
            let before = load.acknowledged.lock().unwrap().clone();
            let to = folder.path().join(format!("copy-{n}"));
            let told = backed_up(&data, &to);
            copies.push((to, before, told));
        }
        load.is_over.store(true, Ordering::Release);
    });
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    assert!(acknowledged.erased.len() > 10 && acknowledged.deleted.len() > 5, "the load was one");
    for (to, before, told) in &copies {
        let keys: BTreeSet<_> = fs::read_dir(to.join("keys")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(keys.len() + 1, told["keys"].as_array().unwrap().len(), "and master.key");
        check(to, client.key(), before);
        // A key that no workspace of the copy needs would be destroyed at the start.
        assert!(keys.iter().all(|key| key.exists()), "only keys that are needed were copied");
    }
    // The original never noticed.
    assert!(server.terminate().success());
    let stats = verified(&data);
    assert!(stats["torn"].is_null() && stats["toErase"] == json!([]), "{stats}");
    let everything = Acknowledged { workspaces: BTreeSet::new(), ..acknowledged };
    check(&data, client.key(), &everything);
}

#[test]
fn a_log_that_lets_go_of_its_beginning_is_copied_from_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let receiver = Receiver::answering(200);
    let options = ["--segment", "4MiB", "--retention-bytes", "10MiB", "--grace", "1s"];
    let server = Server::start_with(&data, &options, &[]);
    let client = server.workspace("genesy");
    let load = Load {
        server: &server,
        client: client.clone(),
        receiver: &receiver,
        is_over: AtomicBool::default(),
        next: AtomicU64::default(),
        acknowledged: Mutex::default(),
    };
    let begins = |data: &Path| {
        let names = fs::read_dir(data.join("log")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".seg")).min().unwrap()
    };
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| load.publish(60_000))));
        let mut last = begins(&data);
        for n in 0..5 {
            // As soon as it begins later, which is when it does so again soon.
            last = within(Duration::from_secs(60), "the log begins later", || {
                Some(begins(&data)).filter(|now| *now != last)
            });
            let to = folder.path().join(format!("copy-{n}"));
            copies.push((backed_up(&data, &to), to));
        }
        load.is_over.store(true, Ordering::Release);
    });
    assert!(copies.iter().all(|(told, _)| told["firstBlock"].as_u64() > Some(0)));
    for (_, copy) in &copies {
        assert!(verified(copy)["torn"].is_null());
        let server = restore(copy);
        server.client(client.key()).post("/v1/events", &event("a-new-one", "")).expect(202);
        assert!(server.terminate().success());
        verified(copy);
    }
}

#[test]
fn a_copy_of_a_folder_at_rest_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("backups/monday"));
    let receiver = Receiver::answering(200);
    let server = Server::start_bare(&data, &["--allow", "loopback", "--init", "genesy", "--segment", "4MiB"], &[]);
    let client = server.workspace("genesy");
    client.post("/v1/webhooks", &webhook(&receiver, "secret-of-the-crm")).expect(201);
    for id in ["e1", "e2"] {
        client.post("/v1/events", &event(id, "the-payload-of")).expect(202);
    }
    client.delete("/v1/events/e2").expect(204);
    within(Duration::from_secs(10), "e1 is delivered", || (receiver.count() >= 1).then_some(()));
    assert!(server.terminate().success());
    fs::write(data.join("admin.key"), "the-admin-key-that-was-made\n").unwrap();
    fs::set_permissions(data.join("admin.key"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(data.join("keys/00000000000000aa"), "of a workspace that was never made").unwrap();

    let before = files(&data);
    let output = backup(&data, &copy);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains(" blocks, ") && told.contains(", up to block ") && told.contains(" 4 files with keys"),
        "{told}"
    );
    assert!(told.ends_with(&format!("to restore: postrider serve --data {}\n", copy.display())), "{told}");
    assert!(files(&data) == before, "nothing was changed");
    let (original, copied) = (verified(&data), verified(&copy));
    assert_eq!(original, copied);
    assert!(has_bytes(&copy, "e1 the-payload-of") && !has_bytes(&copy, "e2 the-payload-of"));
    let mode = |path: &str| fs::metadata(copy.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("master.key"), mode("admin.key"), mode("keys"), mode("")], [0o600, 0o640, 0o700, 0o700]);
    assert!(!copy.join("keys/00000000000000aa").exists() && !copy.join("ballast").exists());

    let server = start(&copy);
    let client = server.client(client.key());
    client.post("/v1/events", &event("e3", "")).expect(202);
    let sent = within(Duration::from_secs(10), "it delivers again", || {
        receiver.requests().into_iter().find(|request| request.header("postrider-event-id") == "e3")
    });
    assert_eq!(sent.header("x-webhook-secret"), "secret-of-the-crm", "the keys came along");
}

#[test]
fn what_cannot_be_copied_is_refused_in_one_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy, full) = (folder.path().join("data"), folder.path().join("copy"), folder.path().join("full"));
    let server = start(&data);
    let client = server.workspace("genesy");
    for n in 0..20 {
        client.post("/v1/events", &event(&format!("e{n}"), "the-payload-of")).expect(202);
    }
    assert!(server.terminate().success());
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter.txt"), "mine").unwrap();
    let before = files(folder.path());
    for taken in [&full, &full.join("letter.txt"), &data] {
        let line = complaint(&backup(&data, taken), 2);
        assert!(line.contains("--to: "), "{line}");
    }
    let line = complaint(&backup(&data, &data.join("log/../backups/monday")), 2);
    assert!(line.contains("is in the data folder itself"), "{line}");
    let line = complaint(&Command::new(binary()).arg("backup").arg("--data").arg(&data).output().unwrap(), 2);
    assert!(line.contains("--to"), "{line}");
    let line = complaint(&backup(&full, &copy), 1);
    assert!(line.contains("holds no"), "{line}");
    assert!(files(folder.path()) == before && !copy.exists());

    // In a block in the middle.
    let segment = data.join("log/00000000000000.seg");
    let bytes = fs::read(&segment).unwrap();
    let heads = |from: usize| bytes[from..].windows(8).position(|window| window == b"PRblock\n").map(|at| at + from);
    let tenth = (0..10).fold(0, |at, _| heads(at + 1).unwrap());
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(b"!", tenth as u64 + 130).unwrap();
    let line = complaint(&backup(&data, &copy), 1);
    assert!(line.contains(&format!("log/00000000000000.seg at byte {tenth}: block 10: ")), "{line}");
    assert!(!copy.exists(), "nothing is left of it");
    file.write_all_at(&bytes[tenth + 130..tenth + 131], tenth as u64 + 130).unwrap();

    // A payload alone is copied as it is, and named.
    let at = bytes.windows(18).position(|window| window == b"e7 the-payload-of\"").unwrap();
    file.write_all_at(b"!", at as u64).unwrap();
    let output = backup(&data, &copy);
    let line = complaint(&output, 1);
    assert!(line.contains("lacks 1 whole payload, and so does its copy"), "{line}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("damaged  log/00000000000000.seg at byte "));
    file.write_all_at(b"e", at as u64).unwrap();

    // The keys of a workspace that is there.
    let keys = fs::read_dir(data.join("keys")).unwrap().map(|entry| entry.unwrap().path());
    keys.for_each(|key| fs::remove_file(key).unwrap());
    let output = backup(&data, &folder.path().join("keyless"));
    let line = complaint(&output, 1);
    assert!(line.contains("lacks 1 key, and so does its copy"), "{line}");
}

#[test]
fn a_copy_that_was_cut_off_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = start(&data);
    let client = server.workspace("genesy");
    let events: Value = (0..100).map(|n| event(&format!("e{n}"), &"x".repeat(100_000))).collect();
    client.post("/v1/events", &events).expect(202);
    let cut_off = (0..50).find_map(|n| {
        let to = folder.path().join(format!("copy-{n}"));
        let mut child = command(&data, &to).stdout(Stdio::null()).spawn().unwrap();
        within(Duration::from_secs(10), "it begins", || to.join("log/00000000000000.seg").exists().then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
        (!to.join("log/HEAD").exists()).then_some(to)
    });
    let to = cut_off.expect("one of fifty was cut off before its end");
    let mut serve = Command::new(binary());
    let line = complaint(&serve.args(["serve", "--listen", "0", "--data"]).arg(&to).output().unwrap(), 1);
    assert!(line.contains("holds no Postrider log"), "{line}");
    let line = complaint(&backup(&data, &to), 2);
    assert!(line.contains("is not an empty folder"), "{line}");
}
