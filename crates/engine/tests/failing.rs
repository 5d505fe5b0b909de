//! Webhooks that fail for long: told, switched off, tried now and then, and switched on again; over restarts, and with the owner between.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postrider_core::draft::{Field, WebhookDraft};
use postrider_core::webhook::Webhook;
use postrider_core::{Millis, WebhookId, WorkspaceId};
use postrider_engine::{Engine, EngineOptions, FailingRules, Handle};
use support::{event, receiver, subscribe, within, workspace_of};
use tokio::sync::mpsc::UnboundedReceiver;

const LIMIT: Duration = Duration::from_secs(30);
const RETRIES: &[&str] = &["50ms"; 64];

fn start(folder: &Path, off_after: u64, probe_every: u64) -> Engine {
    let options = EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        failing: FailingRules {
            warn_after: Some(Millis(off_after / 2)),
            off_after: Some(Millis(off_after)),
            probe_every: Millis(probe_every),
        },
        ..Default::default()
    };
    Engine::start(options).expect("the folder is free")
}

fn webhook(handle: &Handle, (workspace, webhook): (WorkspaceId, WebhookId)) -> Arc<Webhook> {
    handle.webhook(workspace, webhook).expect("it is there")
}

async fn is_off(handle: &Handle, both: (WorkspaceId, WebhookId)) {
    within(LIMIT, async || webhook(handle, both).failing_since).await;
}

async fn is_on(handle: &Handle, both: (WorkspaceId, WebhookId)) {
    within(LIMIT, async || webhook(handle, both).settings.enabled.then_some(())).await;
}

/// The types of what the operator is told, in their order.
async fn told(notices: &mut UnboundedReceiver<String>, n: usize) -> Vec<String> {
    let mut types = Vec::new();
    while types.len() < n {
        let request = tokio::time::timeout(LIMIT, notices.recv()).await.expect("it is told").expect("it receives");
        let body = request.split("\r\n\r\n").nth(1).expect("a body");
        let (_, rest) = body.split_once("\"type\": \"").or(body.split_once("\"type\":\"")).expect("a type");
        types.push(rest.split('"').next().expect("its end").to_owned());
    }
    types
}

async fn operator(engine: &Engine) -> UnboundedReceiver<String> {
    let (url, notices) = receiver(&[200]).await;
    let workspace = workspace_of(&engine.handle(), "operator").await;
    let events = ["webhook.failing", "webhook.switched_off", "webhook.switched_on"].map(str::to_owned).into();
    let draft = WebhookDraft {
        name: Field::Set("pager".into()),
        url: Field::Set(url),
        events: Field::Set(events),
        ..WebhookDraft::default()
    };
    engine.handle().create_webhook(workspace, draft).await.expect("a draft without faults");
    notices
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_for_long_is_told_of_switched_off_tried_and_switched_on_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = start(folder.path(), 600, 300);
    let mut notices = operator(&engine).await;
    let (url, mut requests) = receiver(&[[500; 30].as_slice(), &[200]].concat().leak()[..]).await;
    let both = subscribe(&engine.handle(), &url, RETRIES).await;
    engine.handle().publish(both.0, event("order-1")).await.expect("it is new");
    is_off(&engine.handle(), both).await;
    assert_eq!(told(&mut notices, 2).await, ["webhook.failing", "webhook.switched_off"]);
    assert!(!webhook(&engine.handle(), both).settings.enabled);
    assert_eq!(engine.handle().publish(both.0, event("order-2")).await.expect("it is new").deliveries, 0);

    // What was being sent has ended; from here on one is let through every 300 ms.
    while requests.try_recv().is_ok() {}
    let began = std::time::Instant::now();
    for _ in 0..3 {
        tokio::time::timeout(LIMIT, requests.recv()).await.expect("it is tried").expect("it receives");
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "three tries in {:?}", began.elapsed());
    is_on(&engine.handle(), both).await;
    assert_eq!(told(&mut notices, 1).await, ["webhook.switched_on"]);
    assert_eq!(engine.handle().publish(both.0, event("order-3")).await.expect("it is new").deliveries, 1);
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stays_off_over_a_restart_and_is_told_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = start(folder.path(), 400, 3_600_000);
    let mut notices = operator(&engine).await;
    let (url, mut requests) = receiver(&[500]).await;
    let both = subscribe(&engine.handle(), &url, RETRIES).await;
    engine.handle().publish(both.0, event("order-1")).await.expect("it is new");
    is_off(&engine.handle(), both).await;
    let off = webhook(&engine.handle(), both);
    assert_eq!(told(&mut notices, 2).await, ["webhook.failing", "webhook.switched_off"]);
    engine.shutdown(Duration::from_secs(1)).await;

    let engine = start(folder.path(), 400, 3_600_000);
    assert_eq!(webhook(&engine.handle(), both), off);
    while requests.try_recv().is_ok() {}
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(requests.try_recv().is_err(), "its hour is not over");
    assert!(notices.try_recv().is_err(), "it was told of");

    // Its owner switches it on: it has as long again.
    let on = WebhookDraft { enabled: Field::Set(true), ..WebhookDraft::default() };
    engine.handle().change_webhook(both.0, both.1, on).await.expect("a draft without faults");
    let on_at = std::time::Instant::now();
    is_off(&engine.handle(), both).await;
    assert!(on_at.elapsed() >= Duration::from_millis(400), "off again after {:?}", on_at.elapsed());
    let mut again = told(&mut notices, 3).await;
    again.sort();
    assert_eq!(again, ["webhook.failing", "webhook.switched_off", "webhook.switched_on"]);
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_succeeds_now_and_then_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = start(folder.path(), 300, 300);
    let (url, _requests) = receiver(&[[[500, 500, 200]; 10].as_flattened(), &[200]].concat().leak()[..]).await;
    let both = subscribe(&engine.handle(), &url, RETRIES).await;
    for n in 0..10 {
        engine.handle().publish(both.0, event(&format!("order-{n}"))).await.expect("it is new");
        tokio::time::sleep(Duration::from_millis(110)).await;
        assert!(webhook(&engine.handle(), both).settings.enabled);
    }
    engine.shutdown(Duration::from_secs(1)).await;
}
