//! Deliveries: the list, one with its attempts, and retrying by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use postrider_tests::{Reaction, within};
use serde_json::{Value, json};

use crate::snaily::reply;
use crate::{Stage, email, error_shape, none_wrong, slow_policy};

/// A stage whose receiver answers with a status that can be changed.
fn changing(profile: &str, status: u16) -> (Stage, Arc<AtomicU16>) {
    let now = Arc::new(AtomicU16::new(status));
    let shared = Arc::clone(&now);
    (Stage::reacting(profile, move |_| Reaction::Status(shared.load(Ordering::SeqCst))), now)
}

fn retry(stage: &Stage, delivery: &str) -> postrider_tests::Answer {
    stage.client.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({}))
}

fn attempt_numbers(delivery: &Value) -> Vec<u64> {
    delivery["attempts"].as_array().unwrap().iter().map(|a| a["attemptNumber"].as_u64().unwrap()).collect()
}

#[test]
fn a_delivery_shows_its_attempts_with_what_was_sent_but_no_secret() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(
        &["EMAIL_SENT"],
        json!({ "secret": "not to be shown", "headers": { "X-Team": "nor this one" }, "retryPolicy": { "delays": ["20ms"] } }),
    );
    stage.publish(&email("e1"));
    let delivery = stage.wait_for_delivery("e1", "exhausted");
    assert_eq!((&delivery["webhookId"], &delivery["eventType"]), (&json!(id), &json!("EMAIL_SENT")));
    assert!(delivery["nextAttemptAt"].is_null());
    assert_eq!(attempt_numbers(&delivery), [1, 2]);
    let logs = stage.wait_for_logs(id, 2);
    for attempt in delivery["attempts"].as_array().unwrap() {
        let mut entry = attempt.clone();
        let request = entry.as_object_mut().unwrap().remove("request").unwrap();
        assert!(logs.contains(&entry), "a log entry plus the request: {entry}");
        assert_eq!(request["body"], stage.receiver.requests()[0].text());
        assert!(request["headers"].to_string().to_lowercase().contains("x-webhook-secret"), "{request}");
    }
    let text = delivery.to_string();
    assert!(!text.contains("not to be shown") && !text.contains("nor this one"), "{text}");
}

#[test]
fn the_list_is_filtered() {
    let stage = Stage::reacting("genesy", |r| Reaction::Status(if r.path == "/bad" { 500 } else { 200 }));
    let good = stage.webhook_at("/good", &["EMAIL_SENT", "POST_LIKED"], json!({}));
    let bad = stage.webhook_at("/bad", &["EMAIL_SENT"], slow_policy());
    let spent = stage.webhook_at("/bad", &["EMAIL_SENT"], json!({ "retryPolicy": { "delays": [] } }));
    stage.publish(&email("e1"));
    stage.publish(&json!({ "id": "e2", "type": "POST_LIKED", "data": {} }));
    within(Duration::from_secs(5), "all are settled", || {
        (stage.wait_for_logs(bad, 1).len() + stage.wait_for_logs(spent, 1).len() + stage.wait_for_logs(good, 2).len()
            == 4)
            .then_some(())
    });
    let mut wrong = Vec::new();
    for (query, total) in [
        (String::new(), 4),
        (format!("webhookId={good}"), 2),
        (format!("webhookId={bad}"), 1),
        ("webhookId=9007199254740991".into(), 0),
        ("eventType=POST_LIKED".into(), 1),
        ("eventType=EMAIL_SENT".into(), 3),
        ("status=pending".into(), 1),
        ("status=succeeded".into(), 2),
        ("status=exhausted".into(), 1),
        ("status=removed".into(), 0),
        ("status=cancelled".into(), 0),
        (format!("webhookId={good}&eventType=EMAIL_SENT&status=succeeded"), 1),
        (format!("webhookId={good}&status=pending"), 0),
    ] {
        let answer = stage.client.get(&format!("/v1/deliveries?{query}"));
        if answer.status != 200
            || answer.body["meta"]["total"] != total
            || answer.data().as_array().unwrap().len() != total
        {
            wrong.push(format!("{query}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn retrying_what_is_pending_takes_the_place_of_its_next_attempt() {
    let (stage, status) = changing("genesy", 500);
    stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["1h", "50ms"] } }));
    stage.publish(&email("e1"));
    stage.wait_for_requests(1);
    let pending = within(Duration::from_secs(5), "it waits", || {
        Some(stage.wait_for_delivery("e1", "pending")).filter(|d| d["attempts"] != json!([]))
    });
    let answer = retry(&stage, pending["id"].as_str().unwrap()).expect(202);
    assert_eq!(answer.data()["id"], pending["id"]);
    let done = stage.wait_for_delivery("e1", "exhausted");
    assert_eq!(attempt_numbers(&done), [1, 2, 3], "the schedule went on: no attempt more, none less");
    status.store(200, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(stage.receiver.count(), 3);
}

#[test]
fn retrying_what_is_exhausted_begins_a_new_schedule_with_numbers_going_on() {
    let (stage, status) = changing("genesy", 500);
    stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["20ms", "20ms"] } }));
    stage.publish(&email("e1"));
    let done = stage.wait_for_delivery("e1", "exhausted");
    assert_eq!(attempt_numbers(&done), [1, 2, 3]);
    let id = done["id"].as_str().unwrap();
    assert_eq!(retry(&stage, id).expect(202).data()["status"], "pending");
    let again = within(Duration::from_secs(5), "the new schedule ends", || {
        Some(stage.wait_for_delivery("e1", "exhausted")).filter(|d| d["attempts"].as_array().unwrap().len() == 6)
    });
    assert_eq!(attempt_numbers(&again), [1, 2, 3, 4, 5, 6]);
    status.store(200, Ordering::SeqCst);
    retry(&stage, id).expect(202);
    assert_eq!(attempt_numbers(&stage.wait_for_delivery("e1", "succeeded")), [1, 2, 3, 4, 5, 6, 7]);
    let numbers: Vec<_> = stage.receiver.requests().iter().map(|r| r.header("postrider-attempt").to_owned()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7"]);
    assert!(stage.receiver.requests().iter().all(|r| r.body == stage.receiver.requests()[0].body));
}

#[test]
fn what_succeeded_can_be_sent_again() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    let done = stage.wait_for_delivery("e1", "succeeded");
    let answer = stage.client.send(
        "POST",
        &format!("/v1/deliveries/{}/retry", done["id"].as_str().unwrap()),
        &[("x-api-key", stage.client.key())],
        b"",
    );
    answer.expect(202);
    stage.wait_for_requests(2);
    let again = within(Duration::from_secs(5), "it is logged", || {
        Some(stage.wait_for_delivery("e1", "succeeded")).filter(|d| d["attempts"].as_array().unwrap().len() == 2)
    });
    assert_eq!(attempt_numbers(&again), [1, 2]);
}

#[test]
fn what_snaily_removed_is_never_sent_again() {
    let stage = Stage::failing("snaily", 500);
    stage.webhook(&["contact.replied"], json!({ "retryPolicy": { "delays": ["10ms"] } }));
    stage.publish(&json!({ "id": "e1", "type": "contact.replied", "data": reply() }));
    let removed = stage.wait_for_delivery("e1", "removed");
    assert_eq!(removed["attempts"][1]["outcome"], "removed");
    error_shape(&retry(&stage, removed["id"].as_str().unwrap()), 409).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(stage.receiver.count(), 2);
}

#[test]
fn a_retry_is_refused_while_one_is_in_flight_or_the_webhook_is_off() {
    let stage = Stage::reacting("genesy", |r| {
        Reaction::Slow(500, if r.path == "/slow" { Duration::from_millis(800) } else { Duration::ZERO })
    });
    let id = stage.webhook_at("/slow", &["EMAIL_SENT"], slow_policy());
    stage.publish(&email("e1"));
    stage.wait_for_requests(1);
    let delivery = stage.delivery_of("e1");
    error_shape(&retry(&stage, &delivery), 409).unwrap();
    stage.wait_for_logs(id, 1);
    stage.client.patch(&format!("/v1/webhooks/{id}"), &json!({ "enabled": false })).expect(200);
    error_shape(&retry(&stage, &delivery), 409).unwrap();
    stage.client.patch(&format!("/v1/webhooks/{id}"), &json!({ "enabled": true })).expect(200);
    retry(&stage, &delivery).expect(202);
    stage.wait_for_requests(2);
}

#[test]
fn a_retry_takes_no_members_and_an_unknown_delivery_is_not_there() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    let done = stage.wait_for_delivery("e1", "succeeded");
    let id = done["id"].as_str().unwrap();
    let altered = format!("{}{}", &id[..id.len() - 1], if id.ends_with('0') { '1' } else { '0' });
    error_shape(&retry(&stage, &altered), 404).unwrap();
    error_shape(&stage.client.get(&format!("/v1/deliveries/{altered}")), 404).unwrap();
    error_shape(&stage.client.get(&format!("/v1/deliveries/{}", id.to_uppercase())), 404).unwrap();
}

#[test]
fn a_changed_policy_counts_at_the_next_outcome_and_moves_no_due_time() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["600ms", "1h"] } }));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    let due = stage.wait_for_delivery("e1", "pending")["nextAttemptAt"].clone();
    stage.client.patch(&format!("/v1/webhooks/{id}"), &json!({ "retryPolicy": { "delays": ["1h"] } })).expect(200);
    assert_eq!(stage.wait_for_delivery("e1", "pending")["nextAttemptAt"], due);
    let done = stage.wait_for_delivery("e1", "exhausted");
    assert_eq!(attempt_numbers(&done), [1, 2], "after two attempts the new policy has no delay left");
    assert!(done["attempts"][1]["createdAt"].as_str() >= due.as_str(), "never early");
}

#[test]
fn nothing_is_sent_after_a_deletion_or_a_switch_off_was_answered() {
    for is_deleted in [true, false] {
        let stage = Stage::reacting("genesy", |_| Reaction::Slow(200, Duration::from_millis(50)));
        let id = stage.webhook(&["EMAIL_SENT"], json!({}));
        let events: Vec<_> = (0..400).map(|n| email(&format!("e{n}"))).collect();
        stage.client.post("/v1/events", &json!(events)).expect(202);
        stage.wait_for_requests(20);
        let path = format!("/v1/webhooks/{id}");
        if is_deleted {
            stage.client.delete(&path).expect(204);
        } else {
            stage.client.patch(&path, &json!({ "enabled": false })).expect(200);
        }
        let at_answer = stage.receiver.count();
        std::thread::sleep(Duration::from_millis(300));
        let after = stage.receiver.count() - at_answer;
        // At most those that were being written, which the permits of a webhook bound; unhindered it would be some 200.
        assert!(after <= 32 && at_answer < 400, "{after} of 400 were sent after the answer (deleted: {is_deleted})");
        if is_deleted {
            let list = stage.client.get("/v1/deliveries?status=pending").expect(200);
            assert_eq!(list.body["meta"]["total"], 0, "{}", list.text);
        }
    }
}

#[test]
fn retries_that_are_asked_at_once_send_no_attempt_twice() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["1h", "1h"] } }));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 1);
    let delivery = stage.delivery_of("e1");
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| retry(&stage, &delivery).status)).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|s| [202, 409].contains(s)) && statuses.contains(&202), "{statuses:?}");
    within(Duration::from_secs(5), "all have ended", || {
        let found = stage.client.get(&format!("/v1/deliveries/{delivery}")).expect(200);
        let attempts = found.data()["attempts"].as_array().unwrap().len();
        (attempts == stage.receiver.count() && attempts >= 2).then_some(())
    });
    let numbers: std::collections::BTreeSet<_> =
        stage.receiver.requests().iter().map(postrider_tests::Request::attempt).collect();
    assert_eq!(numbers.len(), stage.receiver.count(), "no attempt is sent twice");
    // Each that was accepted makes one attempt due, of this schedule or of a new one.
    let accepted = statuses.iter().filter(|status| **status == 202).count();
    assert!(stage.receiver.count() <= 1 + accepted, "{} requests for {accepted} retries", stage.receiver.count());
}
