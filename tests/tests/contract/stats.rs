//! `GET /v1/stats` and `GET /v1/webhooks/{id}/stats`: attempts and events over time, what is pending, and when it comes due.

use postrider_tests::{Reaction, Server, millis};
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, is_time, keys};

fn sum(slots: &Value, member: &str) -> u64 {
    slots.as_array().unwrap().iter().map(|slot| slot[member].as_u64().unwrap()).sum()
}

#[test]
fn a_workspace_is_told_by_the_minute_the_quarter_and_the_coming_week() {
    let react = |request: &postrider_tests::Request| Reaction::Status(if request.path == "/down" { 503 } else { 200 });
    let stage = Stage::reacting("genesy", react);
    let policy = json!({ "retryPolicy": { "delays": ["12h", "10d"] } });
    let down = stage.webhook_at("/down", &["EMAIL_SENT"], policy);
    let good = stage.webhook(&["EMAIL_SENT"], json!({}));
    for n in 0..10 {
        stage.publish(&email(&format!("e{n}")));
    }
    stage.wait_for_logs(down, 10);
    stage.wait_for_logs(good, 10);
    let answer = stage.client.get("/v1/stats").expect(200);
    let told = answer.data();
    assert_eq!(
        keys(told),
        [
            "at",
            "attemptsPerSecond",
            "eventsPerSecond",
            "minutes",
            "pending",
            "quarters",
            "webhooks",
            "webhooksOn",
            "windows"
        ]
    );
    assert!(is_time(&told["at"]));
    assert_eq!((&told["webhooks"], &told["webhooksOn"]), (&json!(2), &json!(2)));
    let (minutes, quarters) = (&told["minutes"], &told["quarters"]);
    for (slots, len, grain) in [(minutes, 61, 60_000), (quarters, 97, 900_000)] {
        let slots = slots.as_array().unwrap();
        assert_eq!(slots.len(), len);
        assert!(slots.windows(2).all(|pair| millis(&pair[1]["start"]) - millis(&pair[0]["start"]) == grain));
    }
    for slots in [minutes, quarters] {
        assert_eq!((sum(slots, "attempts"), sum(slots, "succeeded"), sum(slots, "failed")), (20, 10, 10));
    }
    assert_eq!(sum(minutes, "events"), 10);
    assert_eq!(told["windows"]["1h"]["successRate"], json!(0.5));
    assert!(told["eventsPerSecond"].as_f64().unwrap() > 0.0 && told["attemptsPerSecond"].as_f64().unwrap() > 0.0);

    let pending = &told["pending"];
    assert_eq!(keys(pending), ["byTier", "calendar", "due", "later", "off", "total"]);
    assert_eq!((&pending["total"], &pending["byTier"]), (&json!(10), &json!([0, 10])));
    assert_eq!((&pending["due"], &pending["later"], &pending["off"]), (&json!(0), &json!(0), &json!(0)));
    // Ten failures in a moment can lie on both sides of an hour.
    assert_eq!(sum(&pending["calendar"], "deliveries"), 10);
    let ahead = millis(&pending["calendar"][0]["start"]) - millis(&told["at"]);
    assert!((11 * 3_600_000..=12 * 3_600_000).contains(&ahead), "{ahead}");

    stage.client.patch(&format!("/v1/webhooks/{down}"), &json!({ "enabled": false })).expect(200);
    let answer = stage.client.get("/v1/stats").expect(200);
    let pending = &answer.data()["pending"];
    assert_eq!((&pending["total"], &pending["off"], &pending["calendar"]), (&json!(10), &json!(10), &json!([])));
}

#[test]
fn a_webhook_is_told_alone_and_all_of_it_outlives_the_process() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    let other = stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    stage.wait_for_logs(other, 1);
    let path = format!("/v1/webhooks/{id}/stats");
    let told = stage.client.get(&path).expect(200).data().clone();
    assert_eq!(keys(&told), ["at", "minutes", "quarters"]);
    assert_eq!(
        keys(&told["minutes"][0]),
        ["attempts", "failed", "p50Ms", "p95Ms", "p99Ms", "start", "succeeded", "successRate"]
    );
    assert_eq!((sum(&told["minutes"], "attempts"), sum(&told["quarters"], "succeeded")), (1, 1));
    let key = stage.client.key().to_owned();
    let Stage { server, _folder: folder, .. } = stage;
    server.terminate();
    let server = Server::start(folder.path());
    let client = server.client(&key);
    assert_eq!(sum(&client.get(&path).expect(200).data()["quarters"], "attempts"), 1);
    let told = client.get("/v1/stats").expect(200).data().clone();
    assert_eq!((sum(&told["quarters"], "attempts"), sum(&told["minutes"], "events")), (2, 1));
}

#[test]
fn a_history_by_the_hour_and_the_day_is_exact_over_a_restart() {
    let react = |request: &postrider_tests::Request| Reaction::Status(if request.path == "/down" { 503 } else { 200 });
    let stage = Stage::reacting("genesy", react);
    let down = stage.webhook_at("/down", &["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["12h"] } }));
    let good = stage.webhook(&["EMAIL_SENT"], json!({}));
    for n in 0..8 {
        stage.publish(&email(&format!("e{n}")));
    }
    stage.wait_for_logs(down, 8);
    stage.wait_for_logs(good, 8);
    let key = stage.client.key().to_owned();
    let Stage { server, _folder: folder, .. } = stage;
    server.terminate();
    let server = Server::start(folder.path());
    let client = server.client(&key);
    for (step, len, grain) in [("hour", 169, 3_600_000), ("day", 31, 86_400_000)] {
        let told = client.get(&format!("/v1/stats?step={step}")).expect(200).data().clone();
        assert!(told["minutes"].is_array() && told["windows"].is_object(), "beside the rest");
        let history = &told["history"];
        assert_eq!(keys(history), ["keptSince", "slots", "step"]);
        assert_eq!((&history["step"], &history["keptSince"]), (&json!(step), &json!(null)));
        let slots = history["slots"].as_array().unwrap();
        assert_eq!(slots.len(), len);
        assert!(slots.windows(2).all(|pair| millis(&pair[1]["start"]) - millis(&pair[0]["start"]) == grain));
        assert_eq!(millis(&slots[0]["start"]) % grain, 0, "of the clock");
        assert_eq!(
            keys(&slots[0]),
            ["attempts", "failed", "p50Ms", "p95Ms", "p99Ms", "start", "succeeded", "successRate"]
        );
        assert_eq!(
            (&slots[0]["attempts"], &slots[0]["successRate"], &slots[0]["p50Ms"]),
            (&json!(0), &json!(null), &json!(null))
        );
        let slots = &history["slots"];
        assert_eq!((sum(slots, "attempts"), sum(slots, "succeeded"), sum(slots, "failed")), (16, 8, 8));
        for (webhook, succeeded) in [(down, 0), (good, 8)] {
            let told = client.get(&format!("/v1/webhooks/{webhook}/stats?step={step}")).expect(200).data().clone();
            assert_eq!(keys(&told), ["at", "history", "minutes", "quarters"]);
            let slots = &told["history"]["slots"];
            assert_eq!((sum(slots, "attempts"), sum(slots, "succeeded")), (8, succeeded));
        }
    }
    // Bounds are of slots: one that begins before the end is whole.
    let now = client.get("/v1/stats").expect(200).data()["at"].as_str().unwrap().to_owned();
    let told = client.get(&format!("/v1/stats?step=day&since={now}")).expect(200).data().clone();
    assert_eq!(told["history"]["slots"].as_array().unwrap().len(), 1);
    let long_ago = "/v1/stats?step=hour&since=2020-01-01T00:30:00Z&until=2020-01-01T03:00:00Z";
    let told = client.get(long_ago).expect(200).data().clone();
    assert_eq!(
        (told["history"]["slots"].as_array().unwrap().len(), sum(&told["history"]["slots"], "attempts")),
        (3, 0)
    );
}

#[test]
fn a_history_that_cannot_be_meant_is_refused_by_name() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    for (query, field) in [
        ("step=minute", "step"),
        ("step=", "step"),
        ("step=hour&step=day", "step"),
        ("since=2026-02-19T10:30:00Z", "since"),
        ("until=2026-02-19T10:30:00Z", "until"),
        ("step=hour&since=yesterday", "since"),
        ("step=hour&until=2026-02-19", "until"),
        ("step=hour&since=2020-01-01T00:00:00Z", "since"),
        ("step=day&since=2020-01-01T00:00:00Z", "since"),
        ("step=day&since=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z", "since"),
        ("step=day&since=2020-01-02T00:00:00Z&until=2020-01-02T00:00:00Z", "since"),
        ("step=day&since=9000-01-02T00:00:00Z", "since"),
        ("step=day&window=7d", "window"),
    ] {
        for path in ["/v1/stats".to_owned(), format!("/v1/webhooks/{id}/stats")] {
            let answer = stage.client.get(&format!("{path}?{query}"));
            error_shape(&answer, 422).unwrap();
            assert_eq!(answer.fields()[0], field, "{query}");
        }
    }
    error_shape(&stage.client.get("/v1/webhooks/999/stats?step=day"), 404).unwrap();
    error_shape(&stage.server.workspace("genesy").get(&format!("/v1/webhooks/{id}/stats?step=day")), 404).unwrap();
}

#[test]
fn what_is_not_there_and_what_is_not_known_is_said() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    error_shape(&stage.client.get("/v1/webhooks/999/stats"), 404).unwrap();
    error_shape(&stage.client.get("/v1/stats?window=1h"), 422).unwrap();
    error_shape(&stage.client.get(&format!("/v1/webhooks/{id}/stats?x=1")), 422).unwrap();
    error_shape(&stage.server.workspace("genesy").get(&format!("/v1/webhooks/{id}/stats")), 404).unwrap();
    error_shape(&stage.server.admin().get("/v1/stats"), 403).unwrap();
}
