//! A payload that is erased is in no file any more; what it led to stays visible.

mod support;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use postrider_core::delivery::Status;
use postrider_core::draft::{Field, PolicyDraft, WebhookDraft};
use postrider_engine::{Engine, EngineOptions, EventDraft, Handle};
use support::{FIRST_PAGE, receiver, within};

const NEEDLE: &str = "a-word-that-stands-nowhere-else";

fn start(folder: &Path) -> Engine {
    let options = EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        ..Default::default()
    };
    Engine::start(options).expect("the folder is free")
}

/// Whether any file below the folder holds the needle.
fn is_on_disk(folder: &Path) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).expect("it is ours").windows(NEEDLE.len()).any(|w| w == NEEDLE.as_bytes()) {
                return true;
            }
        }
    }
    false
}

fn snaily_event(id: &str) -> EventDraft {
    let data = format!(
        r#"{{"created_at":"2026-02-19T10:30:00Z","contact":{{"snaily_id":"c1","note":"{NEEDLE}"}},"campaign":{{"id":"k","name":"Q1"}},"user_context":{{}}}}"#
    );
    EventDraft { id: Some(id.into()), event_type: "contact.connected".into(), created: None, data: Bytes::from(data) }
}

async fn subscribe(handle: &Handle, url: &str) -> postrider_core::WorkspaceId {
    let (workspace, _) = handle.create_workspace("acme", "snaily").await.expect("a name and a profile");
    let webhook = WebhookDraft {
        url: Field::Set(url.into()),
        events: Field::Set(vec!["contact.connected".into()]),
        retry_policy: Field::Set(PolicyDraft { delays: vec!["10ms".into(); 2], jitter: 0.0 }),
        ..WebhookDraft::default()
    };
    handle.create_webhook(workspace.id, webhook).await.expect("a draft without faults");
    workspace.id
}

async fn wait_until_erased(handle: &Handle, workspace: postrider_core::WorkspaceId, id: &str) {
    within(Duration::from_secs(5), async || {
        let event = handle.event(workspace, id.parse().expect("an id")).await.expect("it can be read");
        event.and_then(|event| event.erased_at)
    })
    .await;
}

#[tokio::test]
async fn a_removed_event_is_gone_from_every_file_and_its_attempts_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, _requests) = receiver(&[500]).await;
    let engine = start(folder.path());
    let handle = engine.handle();
    let workspace = subscribe(&handle, &url).await;
    handle.publish(workspace, snaily_event("e1")).await.expect("it is valid");
    assert!(is_on_disk(folder.path()));
    wait_until_erased(&handle, workspace, "e1").await;
    within(Duration::from_secs(5), async || (!is_on_disk(folder.path())).then_some(())).await;

    let page = handle.deliveries(workspace, Default::default(), FIRST_PAGE).await.expect("it can be read");
    let delivery =
        handle.delivery(workspace, page.items[0].row.cell.key).await.expect("it can be read").expect("it is there");
    assert_eq!((delivery.status, delivery.attempts.len()), (Status::Removed, 3));
    assert!(delivery.attempts.iter().all(|attempt| attempt.request.as_ref().is_some_and(|sent| sent.body.is_none())));
    engine.shutdown(Duration::from_secs(5)).await;

    // A start on a log with an erased payload is a start like any other.
    let engine = start(folder.path());
    wait_until_erased(&engine.handle(), workspace, "e1").await;
    assert!(
        engine
            .handle()
            .publish(workspace, snaily_event("e1"))
            .await
            .expect("the digest outlives the payload")
            .duplicate
    );
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_event_that_a_publisher_erases_is_gone_and_its_retries_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, mut requests) = receiver(&[500]).await;
    let engine = start(folder.path());
    let handle = engine.handle();
    let workspace = subscribe(&handle, &url).await;
    let slow = WebhookDraft {
        retry_policy: Field::Set(PolicyDraft { delays: vec!["1s".into(); 2], jitter: 0.0 }),
        ..WebhookDraft::default()
    };
    let webhook = handle.webhooks(workspace)[0].id;
    handle.change_webhook(workspace, webhook, slow).await.expect("a draft without faults");
    handle.publish(workspace, snaily_event("e1")).await.expect("it is valid");
    requests.recv().await.expect("the first attempt");
    handle.erase_event(workspace, "e1".parse().expect("an id")).await.expect("it is there");
    within(Duration::from_secs(5), async || (!is_on_disk(folder.path())).then_some(())).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(1500), requests.recv()).await.is_err(),
        "nothing is sent of it again"
    );
    let page = handle.deliveries(workspace, Default::default(), FIRST_PAGE).await.expect("it can be read");
    assert_eq!(page.items[0].status, Status::Cancelled);
    engine.shutdown(Duration::from_secs(5)).await;
}
