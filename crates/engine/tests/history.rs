//! What attempts came to by the hour and the day, while the store takes them out of RAM, and after a restart: each is counted once.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use postrider_core::{Millis, Time, WebhookId, WorkspaceId};
use postrider_engine::{Engine, EngineOptions, Handle, HistoryQuery, HistoryStep, Refused, Stopped};
use support::{event, receiver, subscribe, within};

fn start(folder: Option<&Path>) -> Engine {
    let options = EngineOptions {
        data: folder.map(Path::to_owned),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        store_commit_every: Millis(20),
        ..Default::default()
    };
    Engine::start(options).expect("the folder is free")
}

/// Attempts and successes of all slots.
async fn told(handle: &Handle, of: (WorkspaceId, Option<WebhookId>), step: HistoryStep) -> (u64, u64) {
    let history = handle.history(of.0, of.1, HistoryQuery::by(step)).await.unwrap().unwrap();
    assert_eq!(history.kept_since, None);
    let figures = history.slots.iter().map(|slot| slot.figures);
    figures.fold((0, 0), |sum, figures| (sum.0 + figures.attempts, sum.1 + figures.succeeded))
}

#[tokio::test]
async fn each_attempt_is_counted_once_while_the_store_takes_them_and_after_a_restart() {
    const EVENTS: u64 = 400;
    let folder = tempfile::tempdir().unwrap();
    // The very first attempt fails, so there is one more than events.
    let (url, mut requests) = receiver(&[500, 200]).await;
    let engine = start(Some(folder.path()));
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &["10ms"]).await;
    let (mut last, mut looks) = ((0, 0), 0);
    for n in 0..EVENTS {
        handle.publish(workspace, event(&format!("e{n}"))).await.unwrap();
        // It never falls, which it would if an attempt were missing between tail and store, and never has one twice.
        let now = told(&handle, (workspace, Some(webhook)), HistoryStep::Hour).await;
        assert!(now.0 >= last.0 && now.1 >= last.1 && now.0 <= n + 2, "{now:?} after {last:?}, {n} published");
        (last, looks) = (now, looks + 1);
    }
    let all = (EVENTS + 1, EVENTS);
    within(Duration::from_secs(20), async || {
        (told(&handle, (workspace, None), HistoryStep::Day).await == all).then_some(())
    })
    .await;
    assert_eq!(told(&handle, (workspace, Some(webhook)), HistoryStep::Hour).await, all, "after {looks} looks");
    let mut sent = 0;
    while requests.try_recv().is_ok() {
        sent += 1;
    }
    assert_eq!(sent, EVENTS + 1);
    assert_eq!(engine.shutdown(Duration::from_secs(5)).await, Stopped::Clean);

    let engine = start(Some(folder.path()));
    let handle = engine.handle();
    for of in [None, Some(webhook)] {
        for step in HistoryStep::ALL {
            assert_eq!(told(&handle, (workspace, of), step).await, all);
        }
    }
    handle.test_webhook(workspace, webhook, None).await.unwrap();
    assert_eq!(told(&handle, (workspace, None), HistoryStep::Hour).await, all, "a test is not counted");
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn without_a_store_all_is_counted_in_ram_and_what_cannot_be_meant_is_refused() {
    let (url, _requests) = receiver(&[200]).await;
    let engine = start(None);
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &["10ms"]).await;
    for n in 0..5 {
        handle.publish(workspace, event(&format!("e{n}"))).await.unwrap();
    }
    within(Duration::from_secs(20), async || {
        (told(&handle, (workspace, Some(webhook)), HistoryStep::Hour).await == (5, 5)).then_some(())
    })
    .await;
    let history = handle.history(workspace, None, HistoryQuery::by(HistoryStep::Hour)).await.unwrap().unwrap();
    let slot = history.slots.iter().rfind(|slot| slot.figures.attempts > 0).expect("there are attempts");
    assert!(slot.start <= history.now && history.slots.len() == 169);
    assert!(slot.figures.p50.is_some() && slot.figures.p50 <= slot.figures.p99);
    let (other, _) = subscribe(&handle, &url, &["10ms"]).await;
    let query = HistoryQuery::by(HistoryStep::Day);
    assert!(handle.history(other, Some(webhook), query).await.unwrap().is_none(), "another workspace's");
    handle.delete_webhook(workspace, webhook).await.unwrap();
    assert_eq!(told(&handle, (workspace, None), HistoryStep::Day).await, (0, 0), "deleted webhooks are not counted");
    assert!(handle.history(workspace, Some(webhook), query).await.unwrap().is_none());
    for since in [Time(0), Time(history.now.0 + 3_600_000)] {
        let refused = handle.history(workspace, None, HistoryQuery { since: Some(since), ..query }).await;
        assert!(matches!(refused, Err(Refused::Invalid(faults)) if faults[0].field == "since"));
    }
    engine.shutdown(Duration::from_secs(5)).await;
}
