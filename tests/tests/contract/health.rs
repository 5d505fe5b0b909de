//! `GET /v1/webhooks/{id}/health`: what is pending, how the last attempts went, figures of the last minutes and hours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use postrider_tests::{Client, Reaction, Server, within};
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, is_time, keys, slow_policy};

const WINDOWS: [&str; 3] = ["5m", "1h", "24h"];

fn health(client: &Client, webhook: u64) -> Value {
    client.get(&format!("/v1/webhooks/{webhook}/health")).expect(200).data().clone()
}

/// A stage whose receiver answers with a status that can be changed.
fn changing(status: u16) -> (Stage, Arc<AtomicU16>) {
    let now = Arc::new(AtomicU16::new(status));
    let shared = Arc::clone(&now);
    (Stage::reacting("genesy", move |_| Reaction::Status(shared.load(Ordering::SeqCst))), now)
}

/// The newest entry of the log with this outcome.
fn newest(stage: &Stage, webhook: u64, outcome: &str) -> Value {
    let list = stage.client.get(&format!("/v1/webhooks/{webhook}/logs?outcome={outcome}&pageSize=1")).expect(200);
    list.data()[0].clone()
}

#[test]
fn a_new_webhook_has_zeros_and_nulls() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    let nothing = json!({
        "attempts": 0, "succeeded": 0, "failed": 0, "successRate": null, "p50Ms": null, "p95Ms": null, "p99Ms": null,
    });
    let expected = json!({
        "pending": 0, "nextAttemptAt": null, "consecutiveFailures": 0, "lastSuccessAt": null, "lastFailureAt": null,
        "windows": { "5m": nothing, "1h": nothing, "24h": nothing },
    });
    assert_eq!(health(&stage.client, id), expected);
}

#[test]
fn attempts_are_counted_tests_are_not_and_all_of_it_outlives_the_process() {
    let (stage, status) = changing(200);
    let id = stage.webhook(&["EMAIL_SENT"], slow_policy());
    for event in ["good1", "good2", "good3"] {
        stage.publish(&email(event));
    }
    stage.wait_for_logs(id, 3);
    assert_eq!(health(&stage.client, id)["windows"]["5m"]["successRate"], json!(1.0));
    status.store(503, Ordering::SeqCst);
    stage.publish(&email("bad1"));
    stage.wait_for_logs(id, 4);
    stage.publish(&email("bad2"));
    stage.wait_for_logs(id, 5);
    let told = health(&stage.client, id);
    assert_eq!(
        keys(&told),
        ["consecutiveFailures", "lastFailureAt", "lastSuccessAt", "nextAttemptAt", "pending", "windows"]
    );
    assert_eq!((&told["pending"], &told["consecutiveFailures"]), (&json!(2), &json!(2)), "{told}");
    let (good, bad) = (newest(&stage, id, "succeeded"), newest(&stage, id, "retrying"));
    assert_eq!((&told["lastSuccessAt"], &told["lastFailureAt"]), (&good["createdAt"], &bad["createdAt"]));
    assert!(is_time(&told["lastFailureAt"]) && is_time(&told["nextAttemptAt"]), "{told}");
    let first = stage.wait_for_delivery("bad1", "pending");
    assert_eq!(told["nextAttemptAt"], first["nextAttemptAt"], "that of the delivery that is due first");
    for window in WINDOWS.map(|name| &told["windows"][name]) {
        assert_eq!(keys(window), ["attempts", "failed", "p50Ms", "p95Ms", "p99Ms", "succeeded", "successRate"]);
        assert_eq!((&window["attempts"], &window["succeeded"], &window["failed"]), (&json!(5), &json!(3), &json!(2)));
        assert_eq!(window["successRate"], json!(0.6));
        let percentiles: Vec<_> = ["p50Ms", "p95Ms", "p99Ms"].map(|name| window[name].as_u64().unwrap()).into();
        assert!(percentiles.is_sorted() && percentiles[2] < 10_000, "{window}");
    }
    for answer in [200, 500] {
        status.store(answer, Ordering::SeqCst);
        stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    }
    stage.wait_for_logs(id, 7);
    assert_eq!(health(&stage.client, id), told, "a test is counted in the log alone");

    let Stage { server, client, receiver: _receiver, _folder } = stage;
    assert_eq!(server.terminate().code(), Some(0));
    let server = Server::start(_folder.path());
    let client = server.client(client.key());
    assert_eq!(health(&client, id), told);
    status.store(200, Ordering::SeqCst);
    let pending = client.get("/v1/deliveries?status=pending").expect(200);
    for delivery in pending.data().as_array().unwrap() {
        client.post(&format!("/v1/deliveries/{}/retry", delivery["id"].as_str().unwrap()), &json!({})).expect(202);
    }
    let well = within(Duration::from_secs(10), "both went out", || {
        Some(health(&client, id)).filter(|told| told["windows"]["1h"]["attempts"] == 7)
    });
    assert_eq!((&well["pending"], &well["nextAttemptAt"]), (&json!(0), &Value::Null));
    assert_eq!((&well["consecutiveFailures"], &well["lastFailureAt"]), (&json!(0), &told["lastFailureAt"]));
}

#[test]
fn percentiles_tell_how_long_attempts_took() {
    let stage = Stage::reacting("genesy", |request| {
        Reaction::Slow(200, Duration::from_millis(if request.text().contains("slow") { 400 } else { 0 }))
    });
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    for n in 0..10 {
        let name = if n == 0 { "slow" } else { "quick" };
        stage.publish(&json!({ "type": "EMAIL_SENT", "data": { "contact": { "id": 1, "fullName": name } } }));
    }
    let mut took: Vec<_> =
        stage.wait_for_logs(id, 10).iter().map(|entry| entry["durationMs"].as_u64().unwrap()).collect();
    took.sort_unstable();
    let told = health(&stage.client, id);
    for window in WINDOWS.map(|name| &told["windows"][name]) {
        for (name, exact) in [("p50Ms", took[4]), ("p95Ms", took[9]), ("p99Ms", took[9])] {
            let told = window[name].as_u64().unwrap();
            assert!(told >= exact && told <= exact + exact / 16, "{name} {told} for {exact}");
        }
    }
}

#[test]
fn what_is_due_or_in_flight_is_pending_and_so_is_what_waits_for_a_webhook_that_is_off() {
    let stage = Stage::reacting("genesy", |r| {
        Reaction::Slow(500, Duration::from_millis(if r.path == "/slow" { 2_000 } else { 0 }))
    });
    let slow = stage.webhook_at("/slow", &["EMAIL_SENT"], slow_policy());
    let other = stage.webhook_at("/quick", &["POST_LIKED"], slow_policy());
    let events: Vec<_> = (0..30).map(|n| email(&format!("e{n}"))).collect();
    stage.client.post("/v1/events", &json!(events)).expect(202);
    stage.wait_for_requests(1);
    let busy = health(&stage.client, slow);
    assert_eq!((&busy["pending"], &busy["windows"]["24h"]["attempts"]), (&json!(30), &json!(0)), "{busy}");
    assert_eq!(health(&stage.client, other)["pending"], 0, "it is each webhook's own");
    within(Duration::from_secs(60), "all have failed once", || {
        (health(&stage.client, slow)["windows"]["24h"]["failed"] == 30).then_some(())
    });
    let failed = health(&stage.client, slow);
    assert_eq!((&failed["pending"], &failed["consecutiveFailures"]), (&json!(30), &json!(30)));
    stage.client.patch(&format!("/v1/webhooks/{slow}"), &json!({ "enabled": false })).expect(200);
    stage.publish(&email("skipped"));
    assert_eq!(health(&stage.client, slow), failed, "off: they wait, with their due times as they were");
    let deliveries = stage.client.get(&format!("/v1/deliveries?webhookId={slow}&pageSize=200")).expect(200);
    let dues = deliveries.data().as_array().unwrap().iter().map(|delivery| delivery["nextAttemptAt"].as_str().unwrap());
    assert_eq!(failed["nextAttemptAt"], dues.min().unwrap());
}

#[test]
fn what_is_erased_is_no_longer_pending_and_what_is_deleted_is_not_there() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], slow_policy());
    for event in ["e1", "e2", "e3"] {
        stage.publish(&email(event));
    }
    stage.wait_for_logs(id, 3);
    stage.client.delete("/v1/events/e2").expect(204);
    let told = health(&stage.client, id);
    assert_eq!((&told["pending"], &told["windows"]["1h"]["attempts"]), (&json!(2), &json!(3)), "{told}");
    let path = format!("/v1/webhooks/{id}/health");
    stage.client.delete(&format!("/v1/webhooks/{id}")).expect(204);
    error_shape(&stage.client.get(&path), 404).unwrap();
    let next = stage.webhook(&["EMAIL_SENT"], json!({}));
    assert_eq!(health(&stage.client, next)["pending"], 0);
}
