//! A disk that runs full: what is asked for is refused, what was acknowledged still ends, and it goes on when there is space again.
//!
//! Needs to mount a small file system, so it says that it was left out where it may not.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use postrider_tests::{Client, Receiver, Server, binary, within};
use serde_json::json;

/// A file system of so many MiB in RAM. Unmounted when it is dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(mib: u32) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), &format!("size={mib}m")).then_some(SmallDisk { folder })
    }

    fn grow(&self, mib: u32) {
        assert!(mount(self.folder.path(), &format!("remount,size={mib}m")));
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let filler = self.folder.path().join("filler");
        let status = Command::new("dd")
            .arg("if=/dev/zero")
            .arg(format!("of={}", filler.display()))
            .arg("bs=4096")
            .output()
            .unwrap();
        assert!(!status.status.success(), "dd goes on until there is no space");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

fn mount(folder: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder);
    command.output().is_ok_and(|done| done.status.success())
}

fn publish(client: &Client, number: u32) -> u16 {
    let data = json!({ "contact": { "id": number }, "note": "x".repeat(60_000) });
    let event = json!({ "id": format!("e{number}"), "type": "EMAIL_SENT", "data": data });
    let answer = client.post("/v1/events", &event);
    if answer.status == 503 {
        assert_eq!(answer.body["code"], "unavailable", "{}", answer.body);
        assert!(answer.retry_after.is_some());
    }
    answer.status
}

fn events(client: &Client) -> u64 {
    client.get("/v1/events?pageSize=1").expect(200).body["meta"]["total"].as_u64().unwrap()
}

#[test]
fn a_full_disk_refuses_and_loses_nothing_and_goes_on_when_there_is_space() {
    runs_full("journal", 24, |disk, start| {
        disk.fill();
        start()
    });
}

/// sled has to write before it can read: without any space it does not start, and says so.
#[test]
fn a_sled_log_needs_some_space_to_start_and_loses_nothing() {
    runs_full("sled", 80, |disk, start| {
        disk.fill();
        let mut refused = Command::new(binary());
        refused.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(disk.path().join("data"));
        let output = refused.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("No space left"), "{said}");
        disk.grow(81);
        start()
    });
}

/// Fills a disk of so many MiB, starts the killed server as `start_full` says, and lets the disk grow.
fn runs_full(log: &str, mib: u32, start_full: impl FnOnce(&SmallDisk, &dyn Fn() -> Server) -> Server) {
    let Some(disk) = SmallDisk::mount(mib) else {
        println!("left out: this user may not mount a file system");
        return;
    };
    let start = || Server::start_with(&disk.path().join("data"), &["--segment", "4MiB", "--log", log], &[]);
    let receiver = Receiver::reacting(|request| match request.attempt().1 {
        1 => postrider_tests::Reaction::Slow(500, Duration::from_millis(100)),
        _ => postrider_tests::Reaction::Status(200),
    });
    let server = start();
    let made = server.admin().post("/v1/workspaces", &json!({ "name": "acme", "profile": "genesy" })).expect(201);
    let key = made.data()["apiKey"].as_str().unwrap().to_owned();
    let client = server.client(&key);
    let webhook = json!({
        "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "retryPolicy": { "delays": ["500ms", "500ms"] },
    });
    client.post("/v1/webhooks", &webhook).expect(201);

    let accepted = (1..2_000).take_while(|n| publish(&client, *n) == 202).count() as u64;
    assert!((100..1_999).contains(&accepted), "{accepted} events fit");
    assert_eq!(events(&client), accepted);
    // Retries are still attempted, and their outcomes filed, in the space that was kept for them.
    let ended = |client: &Client| {
        let found = client.get("/v1/deliveries?status=succeeded&pageSize=1").expect(200);
        (found.body["meta"]["total"] == accepted).then_some(())
    };
    within(Duration::from_secs(30), "every delivery ends on a full disk", || ended(&client));
    assert_eq!(publish(&client, 5_000), 503);
    server.kill();

    let server = start_full(&disk, &start);
    let client = server.client(&key);
    assert_eq!(events(&client), accepted, "nothing that was acknowledged is lost");
    assert_eq!(publish(&client, 5_001), 503);
    disk.grow(mib + 40);
    within(Duration::from_secs(10), "it goes on when there is space", || {
        (publish(&client, 5_002) == 202).then_some(())
    });
    assert!(server.terminate().success());
}
