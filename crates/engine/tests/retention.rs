//! A log that is made to begin later: what is finished goes, what is unfinished stays whole, and a restart sees what was seen before it.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use postrider_core::delivery::Status;
use postrider_core::draft::{Field, WebhookDraft};
use postrider_core::{Millis, WebhookId, WorkspaceId};
use postrider_engine::{
    DeliveryFilter, Engine, EngineOptions, EventDraft, Handle, LogFilter, PageQuery, Retention, Stopped,
};
use support::{event, receiver, subscribe, within};

const PAGE: PageQuery = PageQuery { page: 1, page_size: 200, cursor: None };
const LOG_BYTES: u64 = 24 << 20;

fn start(folder: &Path) -> Engine {
    let options = EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        retention: Retention { age: Millis::from_secs(3600), bytes: LOG_BYTES },
        ..Default::default()
    };
    Engine::start(options).expect("the folder is free")
}

/// About 100 KiB of payload.
fn large(id: &str) -> EventDraft {
    let data = format!(r#"{{"contact":{{"id":7,"firstName":"{}"}}}}"#, "x".repeat(100_000));
    EventDraft { data: data.into(), ..event(id) }
}

fn segment_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder.join("log")).unwrap().map(|file| file.unwrap());
    let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".seg"));
    segments.map(|file| file.metadata().unwrap().len()).sum()
}

async fn switch(handle: &Handle, workspace: WorkspaceId, webhook: WebhookId, on: bool) {
    let draft = WebhookDraft { enabled: Field::Set(on), ..WebhookDraft::default() };
    handle.change_webhook(workspace, webhook, draft).await.unwrap();
}

/// All that a reader can see of a workspace.
async fn seen(handle: &Handle, workspace: WorkspaceId, webhook: WebhookId) -> Vec<String> {
    let deliveries = handle.deliveries(workspace, DeliveryFilter::default(), PAGE).await.unwrap();
    let events = handle.events(workspace, Default::default(), PAGE).await.unwrap();
    let logs = handle.logs(workspace, webhook, LogFilter::default(), PAGE).await.unwrap();
    let mut seen = vec![format!("{} {} {}", deliveries.total, events.total, logs.total)];
    seen.extend(deliveries.items.iter().map(|d| format!("{:?} {:?} {:?}", d.row.cell, d.status, d.row.cell.attempts)));
    seen.extend(events.items.iter().map(|event| format!("{event:?}")));
    seen.extend(
        logs.items.iter().map(|a| format!("{:?} {:?} {:?}", a.entry.position, a.entry.attempt, a.response_body)),
    );
    let health = handle.health(workspace, webhook).await.unwrap().unwrap();
    // When it last succeeded is remembered until a restart only, once that attempt is let go.
    seen.push(format!("{} {:?}", health.pending, health.next_attempt_at));
    for delivery in &deliveries.items {
        let whole = handle.delivery(workspace, delivery.row.cell.key).await.unwrap().unwrap();
        seen.push(format!("{:?}", whole.attempts.iter().map(|a| &a.request).collect::<Vec<_>>()));
    }
    seen
}

#[tokio::test]
async fn what_is_finished_goes_what_waits_stays_and_a_restart_sees_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = receiver(&[500, 200]).await;
    let engine = start(folder.path());
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &["10ms", "20ms"]).await;
    handle.publish(workspace, event("fails-once")).await.unwrap();
    for _ in 0..2 {
        requests.recv().await.unwrap();
    }

    // One waits, since its webhook is off, while many others come and go.
    let (other_url, mut other_requests) = receiver(&[200]).await;
    let (other, waiting) = subscribe(&handle, &other_url, &["1h"]).await;
    handle.publish(other, event("went")).await.unwrap();
    other_requests.recv().await.unwrap();
    handle.publish(other, large("waits")).await.unwrap();
    other_requests.recv().await.unwrap();
    let (third_url, mut third_requests) = receiver(&[500, 200]).await;
    let (third, sleeping) = subscribe(&handle, &third_url, &["1h"]).await;
    handle.publish(third, event("sleeps")).await.unwrap();
    third_requests.recv().await.unwrap();
    switch(&handle, third, sleeping, false).await;
    switch(&handle, other, waiting, false).await;

    for n in 0..600 {
        handle.publish(workspace, large(&format!("event-{n}"))).await.unwrap();
        requests.recv().await.unwrap();
        if n % 100 == 99 {
            within(Duration::from_secs(10), async || {
                (segment_bytes(folder.path()) <= LOG_BYTES + (8 << 20)).then_some(())
            })
            .await;
        }
    }
    let gone = handle.event(workspace, "fails-once".parse().unwrap()).await.unwrap();
    assert!(gone.is_none(), "what was finished long ago is no longer kept");
    assert!(handle.event(workspace, "event-599".parse().unwrap()).await.unwrap().is_some());
    assert!(!handle.publish(workspace, event("fails-once")).await.unwrap().duplicate, "nor is its id");
    requests.recv().await.unwrap();
    let slept = handle.event(third, "sleeps".parse().unwrap()).await.unwrap().expect("it is unfinished");
    assert_eq!((slept.deliveries[0].status, slept.deliveries[0].row.cell.attempts), (Status::Pending, 1));
    assert!(slept.data.is_some_and(|data| data.starts_with(b"{\"contact\"")));
    within(Duration::from_secs(5), async || {
        let page =
            handle.deliveries(workspace, DeliveryFilter { status: Some(Status::Pending), ..Default::default() }, PAGE);
        (page.await.unwrap().total == 0).then_some(())
    })
    .await;

    let places = [(workspace, webhook), (other, waiting), (third, sleeping)];
    let mut before = Vec::new();
    for (workspace, webhook) in places {
        before.push(seen(&handle, workspace, webhook).await);
    }
    assert_eq!(engine.shutdown(Duration::from_secs(5)).await, Stopped::Clean);
    let engine = start(folder.path());
    let handle = engine.handle();
    for ((workspace, webhook), before) in places.into_iter().zip(before) {
        assert_eq!(seen(&handle, workspace, webhook).await, before);
    }

    // What slept is sent with its body, under its number, from where it was carried to.
    switch(&handle, third, sleeping, true).await;
    let key = slept.deliveries[0].row.cell.key;
    handle.retry(third, key).await.unwrap();
    let request = third_requests.recv().await.unwrap();
    assert!(request.contains("postrider-attempt: 2\r\n") && request.contains("\"eventId\":\"sleeps\""), "{request}");
    assert_eq!(engine.shutdown(Duration::from_secs(5)).await, Stopped::Clean);
}
