//! `ordered`: one delivery at a time, in the order of the events; what blocks the others is shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider_tests::{Reaction, Receiver, Request, Server, within};
use serde_json::{Value, json};

use crate::{Stage, email, error_shape};

/// Fails everything while told to.
fn moody() -> (Arc<AtomicBool>, Receiver) {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let react = move |_: &Request| Reaction::Status(if down.load(Ordering::SeqCst) { 500 } else { 200 });
    (is_down, Receiver::reacting(react))
}

fn ids(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| request.header("postrider-event-id").to_owned()).collect()
}

fn delivery(stage: &Stage, event: &str) -> Value {
    let id = stage.delivery_of(event);
    stage.client.get(&format!("/v1/deliveries/{id}")).expect(200).data().clone()
}

#[test]
fn it_is_off_by_default_set_changed_and_refused_when_it_is_no_bool() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(stage.client.get(&path).expect(200).data()["ordered"], false);
    for (set, shown) in [(json!(true), true), (json!(null), false), (json!(true), true), (json!(false), false)] {
        let changed = stage.client.patch(&path, &json!({ "ordered": set })).expect(200);
        assert_eq!(changed.data()["ordered"], shown);
    }
    let made = stage.webhook(&["EMAIL_SENT"], json!({ "ordered": true }));
    assert_eq!(stage.client.get(&format!("/v1/webhooks/{made}")).expect(200).data()["ordered"], true);
    let refused = stage.client.patch(&path, &json!({ "ordered": "yes" }));
    assert_eq!(refused.fields(), ["ordered"], "{}", refused.text);
    error_shape(&refused, 422).unwrap();
}

#[test]
fn the_next_event_waits_until_the_one_before_has_ended_and_shows_for_what() {
    let (is_down, receiver) = moody();
    let mut stage = Stage::with("genesy", receiver);
    let hook = stage.webhook(&["EMAIL_SENT"], json!({ "ordered": true, "retryPolicy": { "delays": ["1h"] } }));
    for id in ["e1", "e2", "e3"] {
        stage.publish(&email(id));
    }
    stage.wait_for_requests(1);
    let head = stage.delivery_of("e1");
    let blocked = |stage: &Stage, event: &str| delivery(stage, event).get("blockedBy").cloned();
    within(Duration::from_secs(5), "the first one sleeps", || {
        (delivery(&stage, "e1")["attemptCount"] == 1).then_some(())
    });
    assert_eq!((blocked(&stage, "e1"), blocked(&stage, "e3")), (None, Some(json!(head))));
    let health = |stage: &Stage| stage.client.get(&format!("/v1/webhooks/{hook}/health")).expect(200).data().clone();
    assert_eq!((&health(&stage)["blockedBy"], &health(&stage)["pending"]), (&json!(head), &json!(3)));
    // Due or not: made due by hand, it waits on.
    let second = stage.delivery_of("e2");
    stage.client.post(&format!("/v1/deliveries/{second}/retry"), &json!({})).expect(202);

    // A crash changes nothing of it.
    let data = stage.server.data().to_owned();
    let key = stage.client.key().to_owned();
    let server = std::mem::replace(&mut stage.server, Server::start(tempfile::tempdir().unwrap().path()));
    server.kill();
    stage.server = Server::start(&data);
    stage.client = stage.server.client(&key);
    within(Duration::from_secs(5), "it is known who is first", || {
        (blocked(&stage, "e3") == Some(json!(head))).then_some(())
    });
    stage.publish(&email("e4"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.receiver.count(), 1, "{:?}", ids(&stage.receiver.requests()));

    is_down.store(false, Ordering::SeqCst);
    stage.client.post(&format!("/v1/deliveries/{head}/retry"), &json!({})).expect(202);
    let requests = stage.wait_for_requests(5);
    assert_eq!(ids(&requests), ["e1", "e1", "e2", "e3", "e4"]);
    assert_eq!(health(&stage).get("blockedBy"), None);
}

#[test]
fn it_passes_on_when_one_is_exhausted_or_erased_or_the_order_is_given_up() {
    let (is_down, receiver) = moody();
    let stage = Stage::with("genesy", receiver);
    let more = json!({ "ordered": true, "retryPolicy": { "delays": ["20ms"] } });
    let hook = stage.webhook(&["EMAIL_SENT"], more);
    for id in ["e1", "e2", "e3"] {
        stage.publish(&email(id));
    }
    assert_eq!(ids(&stage.wait_for_requests(6)), ["e1", "e1", "e2", "e2", "e3", "e3"]);
    let path = format!("/v1/webhooks/{hook}");
    stage.client.patch(&path, &json!({ "retryPolicy": { "delays": ["1h"] } })).expect(200);
    for id in ["e4", "e5", "e6", "e7"] {
        stage.publish(&email(id));
    }
    stage.wait_for_requests(7);
    stage.client.delete("/v1/events/e4").expect(204);
    assert_eq!(ids(&stage.wait_for_requests(8))[7], "e5");
    // What was exhausted takes its place again, before what has not been tried.
    is_down.store(false, Ordering::SeqCst);
    within(Duration::from_secs(5), "its attempt is over", || {
        (delivery(&stage, "e5")["attemptCount"] == 1).then_some(())
    });
    let first = stage.delivery_of("e1");
    stage.client.post(&format!("/v1/deliveries/{first}/retry"), &json!({})).expect(202);
    assert_eq!(ids(&stage.wait_for_requests(9))[8], "e1");
    stage.client.patch(&path, &json!({ "ordered": false })).expect(200);
    let rest = ids(&stage.wait_for_requests(11)[9..]);
    assert_eq!(rest.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), ["e6", "e7"].into());
}

#[test]
fn one_request_at_a_time_and_none_overtakes_under_load() {
    let attempts = std::sync::Mutex::new(BTreeMap::<String, u32>::new());
    // Each third event fails once.
    let stage = Stage::reacting("genesy", move |request| {
        let id = request.header("postrider-event-id").to_owned();
        let number: u32 = id[1..].parse().unwrap();
        let mut attempts = attempts.lock().unwrap();
        let made = attempts.entry(id).or_default();
        *made += 1;
        Reaction::Status(if number.is_multiple_of(3) && *made == 1 { 503 } else { 200 })
    });
    stage.webhook(&["EMAIL_SENT"], json!({ "ordered": true, "retryPolicy": { "delays": ["30ms", "30ms"] } }));
    let batch: Vec<Value> = (0..150).map(|n| email(&format!("e{n}"))).collect();
    stage.client.post("/v1/events", &Value::Array(batch)).expect(202);
    let wanted: Vec<String> = (0..150).flat_map(|n| vec![format!("e{n}"); if n % 3 == 0 { 2 } else { 1 }]).collect();
    let requests = within(Duration::from_secs(60), "all are delivered", || {
        (stage.receiver.count() >= wanted.len()).then(|| stage.receiver.requests())
    });
    assert_eq!(ids(&requests), wanted);
}
