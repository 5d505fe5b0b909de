//! The process: its pages without a key, its end, its folder, its options.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use postrider_tests::{Reaction, Server, binary, within};
use serde_json::json;

use crate::{Stage, email, slow_policy};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// One clear line on stderr.
fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
    text
}

#[test]
fn health_and_readiness_are_told() {
    let stage = Stage::new("genesy");
    for path in ["/healthz", "/readyz"] {
        assert!(stage.client.get(path).expect(200).content_type.starts_with("application/json"), "{path}");
    }
}

#[test]
fn metrics_are_prometheus_text_without_labels_of_tenants() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], slow_policy());
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    let scrape = || stage.client.send("GET", "/metrics", &[], b"").expect(200);
    let metrics = scrape();
    assert!(metrics.content_type.starts_with("text/plain"), "{}", metrics.content_type);
    assert!(metrics.text.contains("\npostrider_inflight "), "levels are there from the start");
    within(Duration::from_secs(1), "the levels are those of now", || {
        let text = scrape().text;
        let has = |line: &str| text.lines().any(|l| l == line);
        let by_tier = has("postrider_pending_by_tier{tier=\"0\"} 0") && has("postrider_pending_by_tier{tier=\"1\"} 1");
        (has("postrider_inflight 0") && has("postrider_pending 1") && by_tier).then_some(())
    });
    for label in ["workspace=", "webhook=", "url=", "127.0.0.1", "host="] {
        assert!(!metrics.text.contains(label), "{label}");
    }
}

#[test]
fn every_figure_is_documented_and_every_documented_figure_is_there() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": [] } }));
    stage.webhook(&["EMAIL_SENT"], slow_policy());
    stage.publish(&email("e1"));
    stage.wait_for_delivery("e1", "exhausted");
    let replay = json!({ "since": "2020-01-01T00:00:00Z", "only": "failed" });
    stage.client.post(&format!("/v1/webhooks/{id}/replay"), &replay).expect(202);
    stage.wait_for_logs(id, 2);
    let table = include_str!("../../../docs/metrics.md");
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `postrider_")?.split_once("` | ")?;
        ["counter", "gauge", "histogram"].iter().any(|kind| rest.starts_with(kind)).then(|| name.to_owned())
    };
    let mut documented: Vec<_> = table.lines().filter_map(row).collect();
    documented.sort_unstable();
    let text = within(Duration::from_secs(5), "the store has committed", || {
        let text = stage.client.send("GET", "/metrics", &[], b"").expect(200).text;
        text.contains("postrider_store_commit_seconds").then_some(text)
    });
    let name = |line: &str| line.strip_prefix("# TYPE postrider_")?.split(' ').next().map(str::to_owned);
    let mut shown: Vec<_> = text.lines().filter_map(name).collect();
    shown.sort_unstable();
    assert_eq!(shown, documented);
}

#[test]
fn the_openapi_document_names_every_route_that_answers() {
    let stage = Stage::new("genesy");
    let document = stage.client.get("/openapi.json").expect(200).body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    for (path, methods) in [
        ("/v1/workspaces", &["get", "post"][..]),
        ("/v1/workspaces/{id}", &["get", "patch", "delete"]),
        ("/v1/workspaces/{id}/keys", &["get", "post"]),
        ("/v1/workspaces/{id}/keys/{keyId}", &["delete"]),
        ("/v1/webhooks", &["get", "post"]),
        ("/v1/webhooks/{webhookId}", &["get", "patch", "delete"]),
        ("/v1/webhooks/{webhookId}/test", &["post"]),
        ("/v1/webhooks/{webhookId}/logs", &["get"]),
        ("/v1/webhooks/{webhookId}/health", &["get"]),
        ("/v1/webhooks/{webhookId}/replay", &["post"]),
        ("/v1/replays/{id}", &["get", "delete"]),
        ("/v1/replays/{id}/pause", &["post"]),
        ("/v1/replays/{id}/resume", &["post"]),
        ("/v1/live", &["get"]),
        ("/v1/events", &["get", "post"]),
        ("/v1/events/{id}", &["get", "delete"]),
        ("/v1/events/{id}/explain", &["get"]),
        ("/v1/event-types", &["get"]),
        ("/v1/egress", &["get"]),
        ("/v1/deliveries", &["get"]),
        ("/v1/deliveries/{id}", &["get"]),
        ("/v1/deliveries/{id}/retry", &["post"]),
        ("/healthz", &["get"]),
        ("/readyz", &["get"]),
        ("/metrics", &["get"]),
        ("/openapi.json", &["get"]),
    ] {
        for method in methods {
            let operation = &document["paths"][path][method];
            assert!(operation["responses"].is_object(), "{method} {path}");
            for name in path.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
                let parameters = operation["parameters"].to_string();
                assert!(
                    parameters.contains(&format!("\"name\":\"{name}\"")),
                    "{method} {path} declares {name}: {parameters}"
                );
            }
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|part| part.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let mut operations: Vec<_> =
        text.split("\"operationId\":\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    let all = operations.len();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), all, "an operation's id is its own");
}

#[test]
fn asked_to_end_it_lets_what_is_in_flight_end_and_exits_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = postrider_tests::Receiver::reacting(|_| Reaction::Slow(200, Duration::from_millis(700)));
    let server = Server::start(folder.path());
    let client = server.workspace("genesy");
    let key = client.key().to_owned();
    client
        .post("/v1/webhooks", &json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"] }))
        .expect(201);
    client.post("/v1/events", &email("e1")).expect(202);
    within(Duration::from_secs(5), "it is in flight", || (receiver.count() == 1).then_some(()));
    assert_eq!(server.terminate().code(), Some(0));
    let server = Server::start(folder.path());
    let list = server.client(&key).get("/v1/deliveries").expect(200);
    assert_eq!(
        (&list.data()[0]["status"], &list.data()[0]["attemptCount"]),
        (&json!("succeeded"), &json!(1)),
        "{}",
        list.text
    );
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(receiver.count(), 1, "it is not sent again");
}

#[test]
fn the_grace_is_raised_to_the_timeout_of_what_is_in_flight_and_nothing_new_begins() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = postrider_tests::Receiver::reacting(|_| Reaction::Slow(200, Duration::from_millis(1_500)));
    let server = Server::start_with(folder.path(), &["--grace", "100ms", "--permits", "1"], &[]);
    let client = server.workspace("genesy");
    let key = client.key().to_owned();
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "timeoutMs": 5_000 });
    client.post("/v1/webhooks", &webhook).expect(201);
    client.post("/v1/events", &json!([email("e1"), email("e2")])).expect(202);
    within(Duration::from_secs(5), "one is in flight", || (receiver.count() == 1).then_some(()));
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(receiver.count(), 1, "the second never began");
    let server = Server::start(folder.path());
    let client = server.client(&key);
    within(Duration::from_secs(5), "the second goes out now", || (receiver.count() == 2).then_some(()));
    let first = client.get("/v1/events/e1").expect(200);
    assert_eq!(first.data()["deliveries"][0]["status"], "succeeded", "{}", first.text);
}

#[test]
fn an_idle_server_ends_at_once() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    let began = Instant::now();
    assert_eq!(stage.server.terminate().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_with_one_line() {
    let stage = Stage::new("genesy");
    let began = Instant::now();
    let folder = stage.server.data().to_str().unwrap().to_owned();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", &folder, "--admin-key", "another-admin-key-1"]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(output.status.code(), Some(1));
    assert!(one_line(&output).contains(&folder), "{}", one_line(&output));
    stage.client.get("/v1/webhooks").expect(200);
}

#[test]
fn bad_usage_is_one_line_and_a_two() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let missing = folder.path().join("none.toml");
    for arguments in [
        &["serve", "--listen", "nowhere", "--data", data][..],
        &["serve", "--listen", "127.0.0.1:99999", "--data", data],
        &["serve", "--rate-limit", "many", "--data", data],
        &["serve", "--allow", "10.0.0.0/99", "--data", data],
        &["serve", "--allow", "everything", "--data", data],
        &["serve", "--clock", "sundial", "--data", data],
        &["serve", "--grace", "20", "--data", data],
        &["serve", "--init", "acme", "--data", data],
        &["serve", "--event-max", "2MiB", "--data", data],
        &["serve", "--config", missing.to_str().unwrap(), "--data", data],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        one_line(&output);
    }
    for arguments in [&["serve", "--no-such-option"][..], &["no-such-command"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_taken_address_is_a_failure_with_one_line() {
    let stage = Stage::new("genesy");
    let folder = tempfile::tempdir().unwrap();
    let address = stage.server.base().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let output = run(&[
        "serve",
        "--listen",
        &address,
        "--data",
        folder.path().to_str().unwrap(),
        "--admin-key",
        "another-admin-key-1",
    ]);
    assert_eq!(output.status.code(), Some(1));
    one_line(&output);
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = postrider_tests::Receiver::answering(500);
    let server = Server::start(folder.path());
    let client = server.workspace("genesy");
    let key = client.key().to_owned();
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "secret": "kept over time", "retryPolicy": { "delays": ["1h"] } });
    client.post("/v1/webhooks", &webhook).expect(201);
    client.post("/v1/events", &email("e1")).expect(202);
    let seen = |client: &postrider_tests::Client| {
        let webhooks = client.get("/v1/webhooks").expect(200).body;
        let id = webhooks["data"][0]["id"].clone();
        let lists = ["/v1/events".to_owned(), "/v1/deliveries".into(), format!("/v1/webhooks/{id}/logs")];
        let mut all: Vec<_> = lists.iter().map(|path| client.get(path).expect(200).body).collect();
        all.push(webhooks);
        all
    };
    within(Duration::from_secs(5), "it was tried", || (seen(&client)[2]["meta"]["total"] == 1).then_some(()));
    let before = seen(&client);
    assert_eq!(server.terminate().code(), Some(0));
    let server = Server::start(folder.path());
    assert_eq!(seen(&server.client(&key)), before);
    let again = server.client(&key).post("/v1/events", &email("e1")).expect(202);
    assert_eq!(again.data()["duplicate"], true);
}

#[test]
fn an_admin_key_is_made_kept_private_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data", folder.path().to_str().unwrap(), "--init", "snaily"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = folder.path().join("admin.key");
    within(Duration::from_secs(5), "the key is written", || {
        std::fs::read_to_string(&path).ok().filter(|k| !k.trim().is_empty())
    });
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(mode & 0o777, 0o600);
}
