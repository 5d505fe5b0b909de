//! What an operator does by hand, with the command line: workspaces, keys, webhooks, events, deliveries, replays, and listening. The real
//! binary on both sides.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use postrider_tests::{Reaction, Receiver, Server, binary, within};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server, and the command line with a key.
struct Desk {
    server: Server,
    key: String,
    _folder: TempDir,
}

impl Desk {
    /// With a workspace of this profile, made by the command line.
    fn new(profile: &str) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let key = server.admin().key().to_owned();
        let mut desk = Desk { server, key, _folder: folder };
        let made = desk.json(&["workspace", "create", "acme", "--profile", profile]);
        desk.key = made["data"]["apiKey"].as_str().unwrap().to_owned();
        desk
    }

    fn command(&self, key: &str, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("POSTRIDER_URL", self.server.base()).env("POSTRIDER_KEY", key);
        command.args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(&self.key, args).output().unwrap()
    }

    /// What it prints for people.
    #[track_caller]
    fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it prints for scripts.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    fn webhook(&self, receiver: &Receiver, more: &[&str]) -> String {
        let url = receiver.url("/hook");
        let args = ["webhook", "create", "--to", &url, "--name", "crm", "--events", "EMAIL_SENT"];
        self.json(&[&args, more].concat())["data"]["id"].to_string()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a sheet says of a member.
#[track_caller]
fn of<'a>(sheet: &'a str, member: &str) -> &'a str {
    let line = sheet.lines().find_map(|line| line.strip_prefix(member)?.strip_prefix("  "));
    line.unwrap_or_else(|| panic!("{member} in {sheet}")).trim()
}

/// The one line of a failure, and its exit code.
#[track_caller]
fn refused(output: &Output, code: i32, part: &str) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(line.starts_with("postrider: ") && line.contains(part) && line.lines().count() == 1, "{part}: {line}");
    assert!(output.stdout.is_empty());
}

#[test]
fn workspaces_and_keys_by_the_admin_key() {
    let desk = Desk::new("genesy");
    let admin = desk.server.admin().key().to_owned();
    let run = |args: &[&str]| desk.command(&admin, args).output().unwrap();
    let list = String::from_utf8(run(&["workspace", "list"]).stdout).unwrap();
    let id = list.lines().nth(1).unwrap().split(' ').next().unwrap();
    assert!(list.starts_with("id ") && id.starts_with("ws_") && list.contains("genesy"), "{list}");
    let renamed = run(&["workspace", "update", id, "--name", "Acme Ltd"]);
    assert_eq!(of(&String::from_utf8_lossy(&renamed.stdout), "name"), "Acme Ltd");
    assert_eq!(stderr(&renamed), "Workspace changed.\n");

    let made = run(&["key", "create", id, "--name", "publisher", "--scopes", "EVENTS_WRITE,READ", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["data"]["scopes"], json!(["READ", "EVENTS_WRITE"]));
    let (key, key_id) = (made["data"]["key"].as_str().unwrap(), made["data"]["id"].as_str().unwrap());
    assert!(desk.command(key, &["webhook", "list"]).output().unwrap().status.success());
    let keys = String::from_utf8(run(&["key", "list", id]).stdout).unwrap();
    assert!(keys.contains(key_id) && !keys.contains(key), "{keys}");
    refused(&run(&["key", "revoke", id, key_id]), 2, "--yes");
    assert!(run(&["key", "revoke", id, key_id, "--yes"]).status.success());
    let gone = desk.command(key, &["webhook", "list"]).output().unwrap();
    refused(&gone, 1, "the server answered 401");

    // An admin key of its own variable goes before the other; the option before both.
    let mut command = desk.command("prk_other", &["workspace", "show", id]);
    assert!(command.env("POSTRIDER_ADMIN_KEY", &admin).output().unwrap().status.success());
    refused(&command.args(["--key", "wrong"]).output().unwrap(), 1, "401");
    refused(&run(&["workspace", "delete", id]), 2, "cannot be undone");
    assert_eq!(stderr(&run(&["workspace", "delete", id, "--yes"])), format!("Workspace {id} is deleted.\n"));
    refused(&run(&["workspace", "show", id]), 1, "404 There is no such workspace here.");
}

#[test]
fn a_webhook_from_its_making_to_its_end() {
    let desk = Desk::new("genesy");
    let receiver = Receiver::answering(200);
    let id = desk.webhook(
        &receiver,
        &[
            "--secret",
            "correct horse",
            "--header",
            "X-Team: sales",
            "--retry",
            "1s,2s",
            "--timeout",
            "5s",
            "--rate",
            "9/s",
        ],
    );
    let made = desk.json(&["webhook", "show", &id]);
    let at = |pointer: &str| made.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(made, desk.server.client(&desk.key).get(&format!("/v1/webhooks/{id}")).body, "the API's own JSON");
    assert_eq!(
        (at("/data/hasSecret"), at("/data/headers"), at("/data/timeoutMs")),
        (json!(true), json!(["X-Team"]), json!(5_000))
    );
    assert_eq!((at("/data/retryPolicy/delays"), at("/data/rateLimit/perSecond")), (json!(["1s", "2s"]), json!(9)));

    let sheet =
        desk.text(&["webhook", "update", &id, "--name", "CRM", "--enabled", "false", "--unset", "secret,retryPolicy"]);
    assert_eq!((of(&sheet, "name"), of(&sheet, "enabled"), of(&sheet, "hasSecret")), ("CRM", "no", "no"));
    assert_eq!(of(&sheet, "retryPolicy"), "delays 30s, 5m, 50m, jitter 0.0", "the profile's again");
    let list = desk.text(&["webhook", "list"]);
    assert!(list.lines().nth(1).unwrap().contains("no  http://127.0.0.1:"), "{list}");

    let tested = desk.text(&["webhook", "test", &id]);
    assert_eq!((of(&tested, "success"), of(&tested, "statusCode")), ("yes", "200"));
    assert_eq!(receiver.count(), 1, "also while it is off");
    let logs = desk.text(&["webhook", "logs", &id, "--type", "EMAIL_SENT", "--since", "1h"]);
    assert!(logs.lines().nth(1).unwrap().contains("200"), "{logs}");
    assert_eq!(desk.text(&["webhook", "logs", &id, "--outcome", "exhausted"]), "");
    let health = desk.text(&["webhook", "health", &id]);
    assert!(health.starts_with("pending") && health.contains("\nwindow  attempts"), "{health}");
    let stats = desk.text(&["webhook", "stats", &id, "--step", "day", "--since", "48h"]);
    assert_eq!((of(&stats, "step"), stats.contains("attempts")), ("day", false), "a test is not counted: {stats}");

    refused(&desk.run(&["webhook", "rotate", &id]), 1, "409");
    refused(&desk.run(&["webhook", "update", &id]), 2, "nothing is named");
    refused(&desk.run(&["webhook", "update", &id, "--name", "x", "--unset", "name"]), 2, "--unset name");
    refused(&desk.run(&["webhook", "create", "--to", "ftp://x", "--name", "x", "--events", "E"]), 1, "[events[0]: ");
    refused(&desk.run(&["webhook", "logs", &id, "--since", "yesterday"]), 2, "neither an RFC 3339 time");
    refused(&desk.run(&["webhook", "stats", "--step", "week"]), 1, "[step: must be one of hour, day]");
    refused(&desk.run(&["webhook", "delete", &id]), 2, "--yes");
    desk.text(&["webhook", "delete", &id, "--yes"]);
    refused(&desk.run(&["webhook", "show", &id]), 1, "404 There is no such webhook here.");
    refused(&desk.run(&["webhook", "show", "seven"]), 2, "seven");
}

#[test]
fn a_failed_test_is_a_failure_and_says_why() {
    let desk = Desk::new("standard");
    let receiver = Receiver::answering(503);
    let id = desk.webhook(&receiver, &[]);
    let output = desk.run(&["webhook", "test", &id, "--type", "EMAIL_SENT"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!((of(&told, "errorKind"), of(&told, "statusCode")), ("http_status", "503"));
    let rotated = desk.json(&["webhook", "rotate", &id, "--grace", "0s"]);
    assert!(rotated["data"]["signingSecret"].as_str().unwrap().starts_with("whsec_"), "{rotated}");
}

#[test]
fn an_event_is_published_found_explained_and_erased() {
    let desk = Desk::new("genesy");
    let receiver = Receiver::answering(200);
    let id = desk.webhook(&receiver, &[]);
    let data = desk.server.data().join("data.json");
    std::fs::write(&data, r#"{"contact":{"id":1, "firstName":"Ada"},"campaign":{"id":7}}"#).unwrap();
    let data = format!("@{}", data.display());
    let publish = ["event", "publish", "EMAIL_SENT", "--id", "a:1", "--data", &data];
    assert_eq!(desk.text(&publish), "id          a:1\nduplicate   no\ndeliveries  1\n");
    assert_eq!(desk.json(&publish)["data"]["duplicate"], true);
    assert_eq!(desk.json(&["event", "publish", "POST_LIKED"])["data"]["deliveries"], 0);
    let found = desk.json(&["event", "list", "--campaign", "7", "--type", "EMAIL_SENT", "--until", "0s"]);
    assert_eq!(found["meta"]["total"], 1, "{found}");
    within(Duration::from_secs(5), "it is delivered", || (receiver.count() == 1).then_some(()));
    let shown = within(Duration::from_secs(5), "the delivery has ended", || {
        Some(desk.text(&["event", "show", "a:1"])).filter(|text| text.contains("succeeded"))
    });
    assert!(of(&shown, "campaignId") == "7" && shown.contains("\ndelivery "), "{shown}");
    let why = desk.text(&["event", "explain", "a:1", "--webhook", &id]);
    assert_eq!(why.lines().nth(1).unwrap().split_whitespace().nth(1), Some("succeeded"), "{why}");
    assert!(desk.text(&["event", "types"]).contains("MESSAGE_REPLIED"));

    refused(&desk.run(&["event", "publish", "EMAIL_SENT", "--data", "{"]), 2, "--data is not JSON");
    refused(&desk.run(&["event", "publish", "EMAIL_SENT", "--data", "@/no/such"]), 2, "/no/such");
    refused(&desk.run(&["event", "publish", "NO_SUCH"]), 1, "422");
    refused(&desk.run(&["event", "erase", "a:1"]), 2, "--yes");
    desk.text(&["event", "erase", "a:1", "--yes"]);
    assert!(!desk.json(&["event", "show", "a:1"])["data"]["erasedAt"].is_null());
    // An id is one segment of the path, whatever is in it.
    refused(&desk.run(&["event", "show", "../webhooks"]), 1, "404");
}

#[test]
fn what_failed_is_found_and_sent_again() {
    let desk = Desk::new("genesy");
    let receiver = Receiver::reacting(|request| {
        Reaction::Status(if request.header("postrider-attempt") == "1" { 500 } else { 200 })
    });
    // `--retry` of none at all can't be said; a policy without delays can be had of the API alone.
    let id = desk.webhook(&receiver, &[]);
    let client = desk.server.client(&desk.key);
    client.patch(&format!("/v1/webhooks/{id}"), &json!({ "retryPolicy": { "delays": [] } })).expect(200);
    for event in ["e1", "e2"] {
        desk.text(&["event", "publish", "EMAIL_SENT", "--id", event]);
    }
    let failed = within(Duration::from_secs(10), "both have failed for good", || {
        let list = desk.json(&["delivery", "list", "--status", "exhausted", "--webhook", &id]);
        (list["meta"]["total"] == 2).then_some(list)
    });
    let delivery = failed["data"][0]["id"].as_str().unwrap();
    let page = desk.run(&["delivery", "list", "--page-size", "1"]);
    assert!(stderr(&page).starts_with("1 of 2; go on with --cursor "), "{}", stderr(&page));
    let text = desk.text(&["delivery", "show", delivery]);
    assert!(of(&text, "status") == "exhausted" && text.contains("http_status"), "{text}");
    desk.text(&["delivery", "retry", delivery]);
    within(Duration::from_secs(10), "it is delivered", || {
        (desk.json(&["delivery", "show", delivery])["data"]["status"] == "succeeded").then_some(())
    });
    refused(&desk.run(&["delivery", "retry", "dlv_00000000000000000"]), 1, "404");

    // The other one with all that failed: counted, then sent.
    let counted = desk.text(&["delivery", "retry-failed", &id, "--since", "1h", "--dry-run"]);
    assert_eq!(counted, "matched  1\nskipped  0\n");
    let sent = desk.text(&["delivery", "retry-failed", &id, "--since", "1h", "--wait"]);
    assert_eq!((of(&sent, "state"), of(&sent, "created")), ("finished", "1"));
    within(Duration::from_secs(10), "none is failed", || {
        (desk.json(&["delivery", "list", "--status", "succeeded"])["meta"]["total"] == 2).then_some(())
    });
}

#[test]
fn a_replay_is_counted_started_watched_and_cancelled() {
    let desk = Desk::new("genesy");
    let receiver = Receiver::answering(200);
    for event in ["e1", "e2", "e3"] {
        desk.text(&["event", "publish", "EMAIL_SENT", "--id", event]);
    }
    let id = desk.webhook(&receiver, &["--rate", "1/s"]);
    let start = ["replay", "start", &id, "--since", "1h", "--only", "missed"];
    assert_eq!(desk.text(&[&start[..], &["--dry-run"]].concat()), "matched  3\nskipped  0\n");
    let begun = desk.json(&start);
    let replay = begun["data"]["replayId"].as_str().unwrap();
    let over = desk.text(&["replay", "show", replay, "--wait"]);
    assert_eq!((of(&over, "created"), of(&over, "remaining")), ("3", "0"));
    refused(&desk.run(&["replay", "pause", replay]), 1, "409");
    refused(&desk.run(&["replay", "resume", replay]), 1, "409");
    assert!(desk.run(&["replay", "cancel", replay]).status.success(), "one that is over stays as it is");
    refused(&desk.run(&["replay", "start", &id, "--since", "1h"]), 2, "--only");
    refused(&desk.run(&["replay", "show", "rpl_none"]), 1, "404");
}

/// Ends with its handle.
struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Listener {
    /// Returns once it listens; its lines.
    fn start(desk: &Desk, args: &[&str]) -> (Listener, impl Iterator<Item = String> + use<>) {
        let mut command = desk.command(&desk.key, &[&["listen"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "listening");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        (Listener(child), lines)
    }
}

#[test]
fn listening_tells_each_attempt_as_it_ends() {
    let desk = Desk::new("genesy");
    let (good, bad) = (Receiver::answering(200), Receiver::answering(500));
    let (good, bad) = (desk.webhook(&good, &[]), desk.webhook(&bad, &[]));
    let (_all, mut all) = Listener::start(&desk, &[]);
    let (_one, mut one) = Listener::start(&desk, &["--json", "--webhook", &bad]);
    desk.text(&["event", "publish", "EMAIL_SENT", "--id", "e1"]);
    let mut lines = [all.next().unwrap(), all.next().unwrap()];
    lines.sort_by_key(|line| line.contains("500"));
    assert!(lines[0].contains(&format!(" webhook {good} EMAIL_SENT e1 attempt 1 200 succeeded ")), "{lines:?}");
    assert!(lines[1].contains(&format!(" webhook {bad} EMAIL_SENT e1 attempt 1 500 retrying ")), "{lines:?}");
    assert!(lines[1].contains(" ms, next 2") && lines[1].contains(": http_status"), "{lines:?}");
    let message: Value = serde_json::from_str(&one.next().unwrap()).unwrap();
    assert_eq!((message["webhookId"].to_string(), &message["outcome"]), (bad, &json!("retrying")));
    let wrong = desk.command("prk_wrong", &["listen"]).output().unwrap();
    refused(&wrong, 1, "the server answered 401");
}

#[test]
fn listening_goes_on_after_the_server_was_away_and_ends_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (address, admin) = (server.base().trim_start_matches("http://").to_owned(), server.admin());
    let made = admin.post("/v1/workspaces", &json!({ "name": "acme", "profile": "genesy" })).expect(201);
    let (workspace, key) = (made.data()["id"].as_str().unwrap(), made.data()["apiKey"].as_str().unwrap());
    let receiver = Receiver::answering(200);
    let client = server.client(key);
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"] });
    client.post("/v1/webhooks", &webhook).expect(201);

    let mut command = Command::new(binary());
    command.env_clear().args(["listen", "--url", server.base(), "--key", key]).stdin(Stdio::null());
    let mut listener = Listener(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(listener.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut lines = BufReader::new(listener.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(said.next().unwrap(), "listening");
    server.kill();
    let told = said.next().unwrap();
    assert!(told.starts_with("not listening: ") && told.ends_with("; trying again in 1 s"), "{told}");
    let told = said.next().unwrap();
    assert!(told.contains("cannot connect to") && told.ends_with("; trying again in 2 s"), "{told}");

    let server = Server::start_at(&address, folder.path(), &["--allow", "loopback", "--rate-limit", "0"], &[]);
    let told: Vec<String> = said.by_ref().take_while(|line| line != "listening").collect();
    assert!(told.iter().all(|line| line.starts_with("not listening: ")), "{told:?}");
    client.post("/v1/events", &json!({ "id": "later", "type": "EMAIL_SENT", "data": {} })).expect(202);
    assert!(lines.next().unwrap().contains(" EMAIL_SENT later attempt 1 200 succeeded "));

    // A key that is no good any more is not tried again.
    let keys = server.admin().get(&format!("/v1/workspaces/{workspace}/keys")).expect(200);
    let id = keys.data()[0]["id"].as_str().unwrap();
    server.admin().delete(&format!("/v1/workspaces/{workspace}/keys/{id}")).expect(204);
    assert!(said.next().unwrap().starts_with("not listening: the server ended the stream"));
    assert!(said.next().unwrap().starts_with("postrider: the server answered 401"));
    assert_eq!(listener.0.wait().unwrap().code(), Some(1));
}

#[test]
fn what_is_missing_or_not_there_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| Command::new(binary()).env_clear().current_dir(&folder).args(args).output().unwrap();
    refused(&run(&["webhook", "list"]), 2, "--url is missing");
    refused(&run(&["webhook", "list", "--url", "http://127.0.0.1:1"]), 2, "--key is missing: a key of the workspace");
    refused(&run(&["workspace", "list", "--url", "http://127.0.0.1:1"]), 2, "--key is missing: the admin key");
    refused(&run(&["event", "list", "--url", "ftp://h", "--key", "k"]), 2, "not a server's address");
    refused(
        &run(&["delivery", "list", "--url", "http://127.0.0.1:1", "--key", "k"]),
        1,
        "cannot connect to 127.0.0.1:1",
    );
    for noun in ["workspace", "key", "webhook", "event", "delivery", "replay"] {
        refused(&run(&[noun]), 2, &format!("a command is missing; `postrider {noun} --help`"));
    }
}
