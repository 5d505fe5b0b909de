//! Replays: counted beforehand, begun, looked at, paused, resumed, cancelled; what each kind sends, and what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use postrider_tests::{Answer, Reaction, within};
use serde_json::{Value, json};

use crate::auth::new_key;
use crate::snaily::reply;
use crate::{Stage, email, error_shape, is_time, keys, none_wrong, slow_policy};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";
const NO_RETRY: &str = r#"{ "retryPolicy": { "delays": [] } }"#;

fn no_retry() -> Value {
    serde_json::from_str(NO_RETRY).unwrap()
}

fn since(time: &str, only: &str) -> Value {
    json!({ "since": time, "only": only })
}

fn ask(stage: &Stage, webhook: u64, body: &Value) -> Answer {
    stage.client.post(&format!("/v1/webhooks/{webhook}/replay"), body)
}

/// Begins a replay of everything; its id and what it was said to come to.
fn begin(stage: &Stage, webhook: u64, only: &str) -> (String, Value, Value) {
    let answer = ask(stage, webhook, &since(LONG_AGO, only)).expect(202);
    let data = answer.data();
    (data["replayId"].as_str().unwrap().to_owned(), data["matched"].clone(), data["skipped"].clone())
}

fn get(stage: &Stage, id: &str) -> Value {
    stage.client.get(&format!("/v1/replays/{id}")).expect(200).data().clone()
}

fn steer(stage: &Stage, id: &str, verb: &str) -> Answer {
    stage.client.post(&format!("/v1/replays/{id}/{verb}"), &json!({}))
}

fn wait_for_end(stage: &Stage, id: &str) -> Value {
    within(Duration::from_secs(10), "the replay is finished", || {
        Some(get(stage, id)).filter(|replay| replay["state"] == "finished")
    })
}

/// The events of all requests to a path, in the order of their ids.
fn arrived(stage: &Stage, path: &str) -> Vec<(String, String)> {
    let requests = stage.receiver.requests();
    let to_path = requests.iter().filter(|request| request.path == path);
    let mut seen: Vec<_> = to_path
        .map(|r| (r.header("postrider-event-id").to_owned(), r.header("postrider-attempt").to_owned()))
        .collect();
    seen.sort();
    seen
}

fn total(stage: &Stage, query: &str) -> u64 {
    stage.client.get(&format!("/v1/deliveries?{query}")).expect(200).body["meta"]["total"].as_u64().unwrap()
}

fn wait_for_total(stage: &Stage, query: &str, n: u64) {
    within(Duration::from_secs(20), &format!("{n} deliveries with {query}"), || {
        (total(stage, query) == n).then_some(())
    });
}

/// A stage whose receiver answers with a status that can be changed.
fn changing(profile: &str, status: u16) -> (Stage, Arc<AtomicU16>) {
    let now = Arc::new(AtomicU16::new(status));
    let shared = Arc::clone(&now);
    (Stage::reacting(profile, move |_| Reaction::Status(shared.load(Ordering::SeqCst))), now)
}

#[test]
fn what_failed_is_counted_then_sent_again_with_numbers_going_on() {
    let (stage, status) = changing("genesy", 500);
    let webhook = stage.webhook(&["EMAIL_SENT"], no_retry());
    for id in ["a", "b"] {
        stage.publish(&email(id));
        stage.wait_for_delivery(id, "exhausted");
    }
    status.store(200, Ordering::SeqCst);
    stage.publish(&email("c"));
    stage.wait_for_delivery("c", "succeeded");

    let mut dry = since(LONG_AGO, "failed");
    dry["dryRun"] = json!(true);
    let counted = ask(&stage, webhook, &dry).expect(200);
    assert_eq!(*counted.data(), json!({ "matched": 2, "skipped": 0 }), "no id");
    assert_eq!(stage.receiver.count(), 3, "a dry run sends nothing");

    let answer = ask(&stage, webhook, &since(LONG_AGO, "failed")).expect(202);
    assert_eq!(keys(answer.data()), ["matched", "replayId", "skipped"]);
    assert_eq!((&answer.data()["matched"], &answer.data()["skipped"]), (&json!(2), &json!(0)));
    let id = answer.data()["replayId"].as_str().unwrap();
    assert!(id.starts_with("rpl_"), "{id}");
    let replay = wait_for_end(&stage, id);
    let members = [
        "createdAt",
        "created",
        "eventTypes",
        "id",
        "only",
        "remaining",
        "since",
        "skipped",
        "state",
        "until",
        "webhookId",
    ];
    assert_eq!(keys(&replay).into_iter().collect::<BTreeSet<_>>(), members.into());
    assert_eq!((&replay["id"], &replay["webhookId"]), (&json!(id), &json!(webhook)));
    assert_eq!((&replay["created"], &replay["remaining"], &replay["skipped"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!((&replay["only"], &replay["eventTypes"]), (&json!("failed"), &json!([])));
    assert_eq!((&replay["since"], &replay["until"]), (&json!("2020-01-01T00:00:00.000Z"), &json!(null)));
    assert!(is_time(&replay["createdAt"]));
    wait_for_total(&stage, "status=succeeded", 3);
    let sent = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "1")].map(|(e, n)| (e.into(), n.into()));
    assert_eq!(arrived(&stage, "/"), sent);
}

#[test]
fn all_sends_what_succeeded_too_and_what_is_pending_is_skipped() {
    let stage = Stage::reacting("genesy", |r| Reaction::Status(if r.text().contains("\"p\"") { 500 } else { 200 }));
    let webhook = stage.webhook(&["EMAIL_SENT"], slow_policy());
    for id in ["a", "b"] {
        stage.publish(&email(id));
        stage.wait_for_delivery(id, "succeeded");
    }
    stage.publish(&email("p"));
    stage.wait_for_logs(webhook, 3);
    let (id, matched, skipped) = begin(&stage, webhook, "all");
    assert_eq!((matched, skipped), (json!(2), json!(1)));
    let replay = wait_for_end(&stage, &id);
    assert_eq!((&replay["created"], &replay["skipped"]), (&json!(2), &json!(1)));
    stage.wait_for_requests(5);
    wait_for_total(&stage, "status=pending", 1);
    let sent = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("p", "1")].map(|(e, n)| (e.into(), n.into()));
    assert_eq!(arrived(&stage, "/"), sent);
}

#[test]
fn missed_sends_what_the_filter_lets_through_now_also_from_before_the_webhook_and_while_it_was_off() {
    let stage = Stage::new("genesy");
    let first = stage.webhook_at("/first", &["EMAIL_SENT"], json!({}));
    stage.publish(&email("before"));
    stage.publish(&json!({ "id": "other", "type": "POST_LIKED", "data": {} }));
    let late = stage.webhook_at("/late", &["EMAIL_SENT"], json!({ "customFields": ["leadScore"] }));
    stage.publish(&email("had"));
    let path = format!("/v1/webhooks/{late}");
    stage.client.patch(&path, &json!({ "enabled": false })).expect(200);
    stage.publish(&json!({ "id": "off", "type": "EMAIL_SENT", "data": { "contact": { "leadScore": 7 } } }));
    let explained = stage.client.get(&format!("/v1/events/off/explain?webhookId={late}")).expect(200);
    assert_eq!(explained.data()[0]["code"], "webhook_off");
    error_shape(&ask(&stage, late, &since(LONG_AGO, "missed")), 409).unwrap();
    stage.client.patch(&path, &json!({ "enabled": true })).expect(200);
    wait_for_total(&stage, "status=succeeded", 4);

    let (id, matched, skipped) = begin(&stage, late, "missed");
    assert_eq!((matched, skipped), (json!(2), json!(0)));
    wait_for_end(&stage, &id);
    wait_for_total(&stage, "status=succeeded", 6);
    let sent = [("before", "1"), ("had", "1"), ("off", "1")].map(|(e, n)| (e.into(), n.into()));
    assert_eq!(arrived(&stage, "/late"), sent);
    let requests = stage.receiver.requests();
    let of_off = requests.iter().find(|r| r.path == "/late" && r.header("postrider-event-id") == "off").unwrap();
    let body: Value = serde_json::from_str(&of_off.text()).unwrap();
    assert_eq!(body["customFields"], json!({ "leadScore": 7 }), "as the webhook is now");

    // It is a delivery like any other.
    let event = stage.client.get("/v1/events/off").expect(200);
    let deliveries = event.data()["deliveries"].as_array().unwrap();
    assert_eq!((deliveries.len(), &event.data()["deliveryCount"]), (2, &json!(2)));
    let added = deliveries.iter().find(|d| d["webhookId"] == late).unwrap();
    let shown = stage.client.get(&format!("/v1/deliveries/{}", added["id"].as_str().unwrap())).expect(200);
    assert_eq!(shown.data()["id"], of_off.header("postrider-delivery-id"));
    assert_eq!(shown.data()["attempts"][0]["request"]["body"], of_off.text());
    let explained = stage.client.get(&format!("/v1/events/off/explain?webhookId={late}")).expect(200);
    assert_eq!((&explained.data()[0]["code"], &explained.data()[0]["deliveryId"]), (&json!("succeeded"), &added["id"]));
    let health = stage.client.get(&format!("{path}/health")).expect(200);
    assert_eq!(health.data()["windows"]["5m"]["succeeded"], 3);
    let listed = stage.client.get("/v1/events?id=off").expect(200);
    assert_eq!(listed.data()[0]["deliveryCount"], 2);
    let logs = stage.client.get(&format!("{path}/logs?eventId=off")).expect(200);
    assert_eq!(logs.data()[0]["deliveryId"], added["id"]);
    // Never had one, and the first webhook had all.
    assert_eq!(begin(&stage, late, "missed").1, 0);
    assert_eq!(begin(&stage, first, "missed").1, 0);
}

#[test]
fn a_window_and_types_narrow_it() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT", "POST_LIKED"], json!({}));
    let mut accepted = Vec::new();
    for (n, event_type) in ["EMAIL_SENT", "POST_LIKED", "EMAIL_SENT"].into_iter().enumerate() {
        let id = format!("e{n}");
        stage.publish(&json!({ "id": id, "type": event_type, "data": {} }));
        stage.wait_for_delivery(&id, "succeeded");
        let event = stage.client.get(&format!("/v1/events/{id}")).expect(200);
        accepted.push(event.data()["acceptedAt"].as_str().unwrap().to_owned());
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut wrong = Vec::new();
    for (since, until, types, matched) in [
        (LONG_AGO, None, json!(null), 3),
        (LONG_AGO, None, json!([]), 3),
        (LONG_AGO, None, json!(["POST_LIKED"]), 1),
        (LONG_AGO, None, json!(["POST_LIKED", "EMAIL_SENT"]), 3),
        (LONG_AGO, None, json!(["PROFILE_VISITED"]), 0),
        (&accepted[1], None, json!(null), 2),
        (&accepted[1], Some(&*accepted[2]), json!(null), 1),
        (&accepted[1], Some("2099-01-01T00:00:00+02:00"), json!(["EMAIL_SENT"]), 1),
        ("2099-01-01T00:00:00Z", None, json!(null), 0),
    ] {
        let body = json!({ "since": since, "until": until, "eventTypes": types, "only": "all", "dryRun": true });
        let answer = ask(&stage, webhook, &body);
        if answer.status != 200 || answer.data()["matched"] != matched {
            wrong.push(format!("{body}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn what_has_to_be_mended_is_named() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let good = json!({ "since": LONG_AGO, "only": "all", "dryRun": true });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let mut wrong = Vec::new();
    for (body, field) in [
        (json!([]), "body"),
        (without("since"), "since"),
        (without("only"), "only"),
        (with("since", json!(null)), "since"),
        (with("since", json!(1_771_497_000)), "since"),
        (with("since", json!("yesterday")), "since"),
        (with("since", json!("2026-02-19")), "since"),
        (with("since", json!("2026-02-19T10:30:00")), "since"),
        (with("since", json!("1969-12-31T23:59:59Z")), "since"),
        (with("until", json!("never")), "until"),
        (with("until", json!(5)), "until"),
        (with("until", json!(LONG_AGO)), "until"),
        (with("until", json!("2019-01-01T00:00:00Z")), "until"),
        (with("only", json!("succeeded")), "only"),
        (with("only", json!("Failed")), "only"),
        (with("only", json!(null)), "only"),
        (with("only", json!(["failed"])), "only"),
        (with("eventTypes", json!("EMAIL_SENT")), "eventTypes"),
        (with("eventTypes", json!(["EMAIL_SENT", "NO_SUCH"])), "eventTypes[1]"),
        (with("eventTypes", json!([7])), "eventTypes[0]"),
        (with("eventTypes", json!(vec!["EMAIL_SENT"; 101])), "eventTypes"),
        (with("dryRun", json!("yes")), "dryRun"),
        (with("dryrun", json!(true)), "dryrun"),
        (with("limit", json!(5)), "limit"),
    ] {
        let answer = ask(&stage, webhook, &body);
        if error_shape(&answer, 422).is_err() || answer.fields() != [field] {
            wrong.push(format!("{body}: {} {}", answer.status, answer.text));
        }
    }
    let path = format!("/v1/webhooks/{webhook}/replay");
    for (what, status, answer) in [
        ("no JSON", 400, stage.client.post_raw(&path, "application/json", b"{")),
        ("no body", 400, stage.client.post_raw(&path, "application/json", b"")),
        ("text", 415, stage.client.post_raw(&path, "text/plain", b"{}")),
        ("a parameter", 422, stage.client.post(&format!("{path}?dryRun=true"), &good)),
        ("GET", 405, stage.client.get(&path)),
    ] {
        if let Err(e) = error_shape(&answer, status) {
            wrong.push(format!("{what}: {e}"));
        }
    }
    none_wrong(wrong);
    assert_eq!(stage.receiver.count(), 0);
}

#[test]
fn what_is_not_there_or_of_another_workspace_is_a_404() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let (id, ..) = begin(&stage, webhook, "all");
    let other = stage.server.workspace("genesy");
    let mut wrong = Vec::new();
    let mut check = |what: String, answer: Answer| {
        if let Err(e) = error_shape(&answer, 404) {
            wrong.push(format!("{what}: {e}"));
        }
    };
    let wish = since(LONG_AGO, "all");
    check("a foreign webhook".into(), other.post(&format!("/v1/webhooks/{webhook}/replay"), &wish));
    check("no webhook".into(), stage.client.post("/v1/webhooks/4711/replay", &wish));
    check("no number".into(), stage.client.post("/v1/webhooks/x/replay", &wish));
    let altered = format!("{}{}", &id[..id.len() - 1], if id.ends_with('0') { '1' } else { '0' });
    let strange =
        ["x", "rpl_", "1", "rpl_0000000000000000", "%20", &altered, &id.to_uppercase(), &id.replace("rpl", "dlv")];
    let foreign = strange.map(|id| (&stage.client, id.to_owned())).into_iter().chain([(&other, id.clone())]);
    for (client, id) in foreign {
        let path = format!("/v1/replays/{id}");
        check(format!("GET {path}"), client.get(&path));
        check(format!("DELETE {path}"), client.delete(&path));
        for verb in ["pause", "resume"] {
            check(format!("{verb} {path}"), client.post(&format!("{path}/{verb}"), &json!({})));
        }
    }
    none_wrong(wrong);
    wait_for_end(&stage, &id);
}

#[test]
fn a_key_that_reads_may_look_and_nothing_else() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let (id, ..) = begin(&stage, webhook, "all");
    let (_, key) = new_key(&stage, &json!(["READ"]));
    let reader = stage.client.with_key(&key);
    reader.get(&format!("/v1/replays/{id}")).expect(200);
    let mut dry = since(LONG_AGO, "all");
    dry["dryRun"] = json!(true);
    error_shape(&reader.post(&format!("/v1/webhooks/{webhook}/replay"), &dry), 403).unwrap();
    for verb in ["pause", "resume"] {
        error_shape(&reader.post(&format!("/v1/replays/{id}/{verb}"), &json!({})), 403).unwrap();
    }
    error_shape(&reader.delete(&format!("/v1/replays/{id}")), 403).unwrap();
}

/// A stage with `n` events that succeeded, and a receiver that takes its time from then on.
fn slow_after(n: usize, pause: Duration) -> (Stage, u64) {
    let millis = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&millis);
    let stage =
        Stage::reacting("genesy", move |_| Reaction::Slow(200, Duration::from_millis(shared.load(Ordering::SeqCst))));
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let events: Vec<_> = (0..n).map(|n| email(&format!("e{n}"))).collect();
    stage.client.post("/v1/events", &json!(events)).expect(202);
    wait_for_total(&stage, "status=succeeded", n as u64);
    millis.store(pause.as_millis() as u64, Ordering::SeqCst);
    (stage, webhook)
}

#[test]
fn a_replay_is_paused_resumed_and_cancelled() {
    let (stage, webhook) = slow_after(600, Duration::from_millis(100));
    let (id, matched, _) = begin(&stage, webhook, "all");
    assert_eq!(matched, 600);
    // Its first step is made behind its answer.
    within(Duration::from_secs(10), "a first step", || (get(&stage, &id)["created"] != 0).then_some(()));
    let paused = steer(&stage, &id, "pause").expect(200);
    assert_eq!((&paused.data()["id"], &paused.data()["state"]), (&json!(id), &json!("paused")));
    let created = paused.data()["created"].as_u64().unwrap();
    assert!((1..400).contains(&created), "{created} at once");
    assert_eq!(paused.data()["remaining"], 600 - created);
    steer(&stage, &id, "pause").expect(200);
    // What it made due goes out, and nothing more.
    wait_for_total(&stage, "status=pending", 0);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(stage.receiver.count() as u64, 600 + created);
    assert_eq!(get(&stage, &id)["created"], created);

    assert_eq!(steer(&stage, &id, "resume").expect(200).data()["state"], "running");
    steer(&stage, &id, "resume").expect(200);
    within(Duration::from_secs(10), "it goes on", || {
        (get(&stage, &id)["created"].as_u64().unwrap() > created).then_some(())
    });
    stage.client.delete(&format!("/v1/replays/{id}")).expect(204);
    let over = get(&stage, &id);
    assert_eq!((&over["state"], &over["remaining"]), (&json!("cancelled"), &json!(0)));
    let created = over["created"].as_u64().unwrap();
    assert!(created < 600, "{created}");
    wait_for_total(&stage, "status=pending", 0);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(stage.receiver.count() as u64, 600 + created);
    for verb in ["pause", "resume"] {
        error_shape(&steer(&stage, &id, verb), 409).unwrap();
    }
    stage.client.delete(&format!("/v1/replays/{id}")).expect(204);
}

#[test]
fn a_replay_waits_while_its_webhook_is_off_and_ends_with_it() {
    let (stage, webhook) = slow_after(300, Duration::from_millis(50));
    let (id, ..) = begin(&stage, webhook, "all");
    let path = format!("/v1/webhooks/{webhook}");
    stage.client.patch(&path, &json!({ "enabled": false })).expect(200);
    let created = get(&stage, &id)["created"].clone();
    std::thread::sleep(Duration::from_millis(300));
    let waits = get(&stage, &id);
    assert_eq!((&waits["state"], &waits["created"]), (&json!("running"), &created));
    stage.client.delete(&path).expect(204);
    assert_eq!(get(&stage, &id)["state"], "cancelled");
}

#[test]
fn fresh_events_are_not_held_up_by_a_replay() {
    let (stage, webhook) = slow_after(1_000, Duration::from_millis(50));
    let (id, ..) = begin(&stage, webhook, "all");
    stage.wait_for_requests(1_030);
    stage.publish(&email("fresh"));
    stage.wait_for_delivery("fresh", "succeeded");
    let replay = get(&stage, &id);
    assert_eq!(replay["state"], "running", "a thousand at 32 a time take over a second and a half: {replay}");
    assert!(replay["created"].as_u64().unwrap() < 1_000, "{replay}");
    wait_for_end(&stage, &id);
    wait_for_total(&stage, "status=pending", 0);
    assert_eq!(stage.receiver.count(), 2_001, "each once more, and the fresh one");
}

#[test]
fn what_was_erased_or_removed_is_skipped() {
    let stage = Stage::failing("snaily", 500);
    let webhook = stage.webhook(&["contact.replied"], no_retry());
    for id in ["gone", "erased"] {
        stage.publish(&json!({ "id": id, "type": "contact.replied", "data": reply() }));
        stage.wait_for_delivery(id, "removed");
    }
    let late = stage.webhook_at("/late", &["contact.replied"], no_retry());
    for (webhook, only) in [(webhook, "failed"), (webhook, "all"), (late, "missed")] {
        let (id, matched, skipped) = begin(&stage, webhook, only);
        assert_eq!((matched, skipped), (json!(0), json!(2)), "{only}");
        assert_eq!(wait_for_end(&stage, &id)["skipped"], 2);
    }
    assert_eq!(stage.receiver.count(), 2);
    assert_eq!(total(&stage, ""), 2);
}

#[test]
fn past_ten_thousand_events_counts_are_null_and_the_replay_runs() {
    let stage = Stage::new("genesy");
    for batch in 0..2 {
        let events: Vec<_> = (0..5_001).map(|n| email(&format!("e{batch}-{n}"))).collect();
        stage.client.post("/v1/events", &json!(events)).expect(202);
    }
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let mut dry = since(LONG_AGO, "missed");
    dry["dryRun"] = json!(true);
    let counted = ask(&stage, webhook, &dry).expect(200);
    assert_eq!(*counted.data(), json!({ "matched": null, "skipped": null }));
    let answer = ask(&stage, webhook, &since(LONG_AGO, "missed")).expect(202);
    assert_eq!((&answer.data()["matched"], &answer.data()["skipped"]), (&json!(null), &json!(null)));
    let id = answer.data()["replayId"].as_str().unwrap();
    let replay = within(Duration::from_secs(60), "the replay is finished", || {
        Some(get(&stage, id)).filter(|replay| replay["state"] == "finished")
    });
    assert_eq!(replay["created"], 10_002);
    within(Duration::from_secs(60), "all have arrived", || (stage.receiver.count() >= 10_002).then_some(()));
    wait_for_total(&stage, "status=pending", 0);
    assert_eq!(stage.receiver.count(), 10_002);
}

#[test]
fn too_many_at_once_are_refused() {
    let (stage, webhook) = slow_after(300, Duration::from_millis(200));
    let mut ids = Vec::new();
    let refused = loop {
        let answer = ask(&stage, webhook, &since(LONG_AGO, "all"));
        match answer.status {
            202 => ids.push(answer.data()["replayId"].as_str().unwrap().to_owned()),
            _ => break answer,
        }
        assert!(ids.len() < 100, "there is a bound");
    };
    error_shape(&refused, 409).unwrap();
    ids.iter().for_each(|id| drop(stage.client.delete(&format!("/v1/replays/{id}")).expect(204)));
    begin(&stage, webhook, "failed");
}
