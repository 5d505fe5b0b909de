//! A round as it has to be is let pass; each thing that can go wrong is named.

use std::collections::BTreeMap;

use super::*;
use crate::client::wire::LogEntry;
use crate::commands::demo::scenario::SCENES;

const TYPES: [&[&str]; 2] =
    [&["EMAIL_SENT", "MESSAGE_REPLIED", "POST_LIKED"], &["contact.connected", "contact.replied"]];

/// A round in which all went well.
fn round() -> Evidence {
    let (mut customers, mut requests) = (Vec::new(), Vec::new());
    for (scene, types) in SCENES.iter().zip(TYPES) {
        let hooks: Vec<_> = (1..).zip(scene.hooks).collect();
        let published = types.iter().map(|event_type| publish(scene, event_type)).collect::<Vec<_>>();
        let mut deliveries = Vec::new();
        for (id, hook) in &hooks {
            for event in published.iter().filter(|event| hook.wants(&event.event_type)) {
                deliveries.push(deliver(scene, *id, hook, event, &mut requests));
            }
        }
        let removed = deliveries.iter().filter(|delivery| delivery.status == "removed").count();
        customers.push(Testimony {
            scene,
            hooks,
            published,
            deliveries,
            again: Some(true),
            retries_of_removed: vec![StatusCode::CONFLICT; removed],
        });
    }
    Evidence { customers, requests }
}

fn publish(scene: &Scene, event_type: &str) -> Published {
    let wants = |hook: &&Hook| hook.wants(event_type);
    Published {
        id: format!("id-{event_type}"),
        event_type: event_type.to_owned(),
        data: format!("{{ \"of\": \"{event_type}\" }}"),
        deliveries: scene.hooks.iter().filter(wants).count() as u64,
    }
}

fn deliver(scene: &Scene, webhook_id: u64, hook: &Hook, event: &Published, requests: &mut Vec<Received>) -> Delivery {
    let (attempts, status) = hook.expected(scene);
    let mut delivery = Delivery {
        id: format!("{}-{}", hook.path, event.id),
        event_id: event.id.clone(),
        webhook_id,
        status: status.to_owned(),
        next_attempt_at: None,
        attempts: Vec::new(),
    };
    for number in 1..=attempts {
        let code = match hook.manners {
            Manners::Recovers { status, times } if number <= times => status.as_u16(),
            Manners::Fails(status) => status.as_u16(),
            _ => 200,
        };
        delivery.attempts.push(LogEntry {
            id: u64::from(number),
            event_type: event.event_type.clone(),
            status_code: Some(code),
            error_message: None,
            attempt_number: number,
            duration_ms: 2_000,
            created_at: String::new(),
            outcome: if number == attempts { status } else { "retrying" }.to_owned(),
        });
        let mut headers = BTreeMap::from([
            ("postrider-event-id".to_owned(), event.id.clone()),
            ("postrider-attempt".to_owned(), number.to_string()),
        ]);
        headers.extend(hook.secret.map(|secret| (scene.secret_header.to_owned(), secret.to_owned())));
        requests.push(Received {
            number: requests.len() as u64 + 1,
            received_ms: i64::from(number) * 900,
            method: "POST".to_owned(),
            path: hook.path.to_owned(),
            headers,
            body: format!("[\"{}\",\"{}\",{}]", event.id, event.event_type, event.data).into_bytes(),
            body_bytes: 0,
            status: Some(code),
        });
    }
    delivery
}

/// The failures of a round that was spoilt.
fn failures(spoil: impl FnOnce(&mut Evidence)) -> String {
    let mut evidence = round();
    spoil(&mut evidence);
    judge(&evidence).failures.join("\n")
}

/// The n-th request, from 0, on a path.
fn at<'a>(evidence: &'a mut Evidence, path: &str, nth: usize) -> &'a mut Received {
    evidence.requests.iter_mut().filter(|request| request.path == path).nth(nth).unwrap()
}

#[test]
fn a_good_round_passes_and_says_what_was_looked_at() {
    let verdict = judge(&round());
    assert_eq!(verdict.failures, [] as [&str; 0]);
    let told = verdict.checked.join("\n");
    assert!(verdict.lines().iter().all(|line| line.chars().count() <= 80), "{told}");
    for line in [
        "5 events published over HTTP, one of every type: 3 genesy, 2 snaily",
        "10 deliveries made of them: 6 genesy, 4 snaily",
        "   6 succeeded after 1 attempt\n",
        "   2 succeeded after 3 attempts\n",
        "   1 exhausted after 4 attempts\n",
        "   1 removed after 15 attempts\n",
        "31 requests at the receiver",
        "retry of 1 removed delivery: refused with 409",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
}

#[test]
fn a_retry_that_never_came_is_named_from_both_sides() {
    let told = failures(|evidence| {
        let last = evidence.requests.iter().rposition(|request| request.path == "/closed").unwrap();
        evidence.requests.remove(last);
        evidence.customers[1].deliveries.last_mut().unwrap().attempts.pop();
    });
    for part in [
        "Closed shop, contact.replied: attempts at the receiver: 14 instead of 15",
        "Closed shop, contact.replied: attempts in the API: 14 instead of 15",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_differs_on_the_wire_is_named() {
    let body = failures(|evidence| at(evidence, "/sales", 1).body.push(b' '));
    assert_eq!(body, "Sales alerts, MESSAGE_REPLIED: the body is not the same at every attempt");
    let secret = failures(|evidence| {
        at(evidence, "/crm", 0).headers.remove("x-webhook-secret");
    });
    assert_eq!(secret, "CRM, EMAIL_SENT: x-webhook-secret is not the secret that was set");
    let stray = failures(|evidence| {
        at(evidence, "/archive", 0).headers.insert("x-webhook-secret".to_owned(), "?".to_owned());
    });
    assert!(stray.starts_with("Archive, POST_LIKED: x-webhook-secret"), "{stray}");
    let early = failures(|evidence| at(evidence, "/old", 1).received_ms = 900 + 294);
    assert_eq!(early, "Old intranet, EMAIL_SENT: a retry came after 294 ms, before its 300 ms");
    let data = failures(|evidence| {
        let request = at(evidence, "/leads", 0);
        request.body = String::from_utf8_lossy(&request.body).replace("{ ", "{").into_bytes();
    });
    assert_eq!(data, "Lead board, contact.connected: the body does not carry the event");
}

#[test]
fn what_the_api_says_wrong_is_named() {
    let status = failures(|evidence| evidence.customers[0].deliveries[0].status = "pending".to_owned());
    assert!(status.contains("CRM, EMAIL_SENT: it is pending instead of succeeded"), "{status}");
    let lost = failures(|evidence| drop(evidence.customers[0].deliveries.remove(0)));
    assert!(lost.contains("CRM, EMAIL_SENT: there is no delivery"), "{lost}");
    let again = failures(|evidence| evidence.customers[1].again = Some(false));
    assert_eq!(again, "snaily: an event published again was not seen to be a duplicate");
    let retried = failures(|evidence| evidence.customers[1].retries_of_removed = vec![StatusCode::ACCEPTED]);
    assert_eq!(retried, "snaily: the retry of a removed delivery was answered 202 Accepted");
    let stray = failures(|evidence| {
        let mut more = at(evidence, "/crm", 0).clone();
        more.path = "/nowhere".to_owned();
        evidence.requests.push(more);
    });
    assert_eq!(stray, "1 request at the receiver belongs to no delivery");
}

#[test]
fn the_failures_stand_below_the_headline() {
    let mut verdict = judge(&round());
    assert!(verdict.lines().len() >= 10);
    verdict.failures.push("this".to_owned());
    assert_eq!(verdict.lines(), ["1 expectation failed, in 0.0 s.", "  this"]);
}
