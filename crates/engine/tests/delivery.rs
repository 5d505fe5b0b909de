//! An event's whole way through a running engine, to a receiver on a real socket and into the log that a customer reads.

mod support;

use std::time::Duration;

use postrider_core::attempt::Outcome;
use postrider_core::delivery::Status;
use postrider_engine::{Engine, EngineOptions, LogFilter, Stopped};
use support::{FIRST_PAGE, event, receiver, subscribe, within};

fn engine() -> Engine {
    let options = EngineOptions { egress_allow: vec!["loopback".into()], ..EngineOptions::default() };
    Engine::start(options).expect("memory is always there")
}

#[tokio::test]
async fn an_event_is_delivered_and_logged() {
    let (url, mut requests) = receiver(&[200]).await;
    let engine = engine();
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &[]).await;

    let accepted = handle.publish(workspace, event("e1")).await.unwrap();
    assert_eq!((accepted.id.as_str(), accepted.duplicate, accepted.deliveries), ("e1", false, 1));

    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    for line in [
        "content-type: application/json",
        "x-webhook-secret: correct horse",
        "postrider-event-id: e1",
        "postrider-attempt: 1",
    ] {
        assert!(request.contains(line), "{line} is missing in {request}");
    }
    let body = r#"{"eventId":"e1","eventType":"EMAIL_SENT","timestamp":"2026-02-19T10:30:00.000Z","contact":{"id":7,"firstName":"Ada"},"customFields":{}}"#;
    assert_eq!(request.split_once("\r\n\r\n").unwrap().1, body);

    let entry = within(Duration::from_secs(5), async || {
        let page = handle.logs(workspace, webhook, LogFilter::default(), FIRST_PAGE).await.unwrap();
        page.items.into_iter().next()
    })
    .await;
    assert_eq!((entry.entry.attempt.outcome, entry.entry.attempt.number), (Outcome::Succeeded, 1));
    assert_eq!(entry.response_body, "hello");

    let again = handle.publish(workspace, event("e1")).await.unwrap();
    assert!(again.duplicate);
    let handle_kept = handle.clone();
    assert_eq!(tokio::task::spawn_blocking(move || engine.stop(Duration::from_secs(5))).await.unwrap(), Stopped::Clean);
    assert!(handle_kept.publish(workspace, event("e2")).await.is_err());
}

#[tokio::test]
async fn a_failing_receiver_gets_one_attempt_and_its_retries_with_the_same_body_and_then_silence() {
    let (url, mut requests) = receiver(&[500]).await;
    let engine = engine();
    let handle = engine.handle();
    let (workspace, _) = subscribe(&handle, &url, &["10ms", "20ms", "30ms"]).await;
    handle.publish(workspace, event("e1")).await.unwrap();

    let mut bodies = Vec::new();
    for number in 1..=4 {
        let request = requests.recv().await.unwrap();
        assert!(request.contains(&format!("postrider-attempt: {number}\r\n")), "{request}");
        bodies.push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));

    let delivery = within(Duration::from_secs(5), async || {
        let page = handle.deliveries(workspace, Default::default(), FIRST_PAGE).await.unwrap();
        page.items.into_iter().find(|delivery| delivery.status == Status::Exhausted)
    })
    .await;
    let detail = handle.delivery(workspace, delivery.row.cell.key).await.unwrap().unwrap();
    assert_eq!(detail.attempts.len(), 4);
    let sent = detail.attempts[3].request.clone().unwrap();
    assert_eq!(sent.body.unwrap(), bodies[0]);
    assert!(sent.headers.contains(&("x-webhook-secret".into(), "***".into())));
    assert!(tokio::time::timeout(Duration::from_millis(300), requests.recv()).await.is_err(), "the schedule is over");
}
