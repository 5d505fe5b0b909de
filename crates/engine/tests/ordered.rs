//! Ordered webhooks through the handle, with so little room in RAM that most of what waits is in the store alone.

mod support;

use std::path::Path;
use std::time::Duration;

use postrider_core::draft::{Field, PolicyDraft, WebhookDraft};
use postrider_core::{Millis, Time, WebhookId, WorkspaceId};
use postrider_engine::shard::Bounds;
use postrider_engine::{Engine, EngineOptions, Handle};
use support::{event, receiver, subscribe, within};
use tokio::sync::mpsc::UnboundedReceiver;

const LIMIT: Duration = Duration::from_secs(30);

fn start(folder: &Path) -> Engine {
    let options = EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        store_commit_every: Millis(20),
        // Two are known of each line.
        bounds: Bounds { lane: 8, batch: 8, ..Bounds::default() },
        ..Default::default()
    };
    Engine::start(options).expect("the folder is free")
}

async fn set(handle: &Handle, (workspace, webhook): (WorkspaceId, WebhookId), draft: WebhookDraft) {
    handle.change_webhook(workspace, webhook, draft).await.expect("a draft without faults");
}

fn ordered(ordered: bool) -> WebhookDraft {
    WebhookDraft { ordered: Field::Set(ordered), ..WebhookDraft::default() }
}

fn on(enabled: bool) -> WebhookDraft {
    WebhookDraft { enabled: Field::Set(enabled), ..WebhookDraft::default() }
}

fn delays(delays: &[&str]) -> WebhookDraft {
    let delays = delays.iter().map(|delay| delay.to_string()).collect();
    WebhookDraft { retry_policy: Field::Set(PolicyDraft { delays, jitter: 0.0 }), ..WebhookDraft::default() }
}

async fn publish(handle: &Handle, workspace: WorkspaceId, ids: std::ops::Range<usize>) {
    for n in ids {
        handle.publish(workspace, event(&format!("order-{n}"))).await.expect("it is new");
    }
}

/// The numbers of the events that arrive, `n` of them.
async fn arrive(requests: &mut UnboundedReceiver<String>, n: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < n {
        let request = tokio::time::timeout(LIMIT, requests.recv()).await.expect("it is sent").expect("it receives");
        let head = request.lines().find_map(|line| line.strip_prefix("postrider-event-id: order-"));
        numbers.push(head.expect("each request names its event").trim().parse().expect("a number"));
    }
    numbers
}

/// All that is unfinished waits in the store, but for what the line knows.
async fn let_go(handle: &Handle, (workspace, webhook): (WorkspaceId, WebhookId), pending: u64) {
    within(LIMIT, async || {
        let health = handle.health(workspace, webhook).await.expect("it can be read").expect("it is there");
        (health.pending == pending).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_holds_behind_a_failing_event_over_restarts_and_off_and_on() {
    let folder = tempfile::tempdir().expect("a folder");
    // The first event fails three times, everything else succeeds.
    let (url, mut requests) = receiver(&[500, 500, 500, 200]).await;
    let engine = start(folder.path());
    let (workspace, webhook) = subscribe(&engine.handle(), &url, &["1h", "1h", "1h"]).await;
    let both = (workspace, webhook);
    set(&engine.handle(), both, ordered(true)).await;
    publish(&engine.handle(), workspace, 0..40).await;
    assert_eq!(arrive(&mut requests, 1).await, [0]);
    let_go(&engine.handle(), both, 40).await;
    let health = engine.handle().health(workspace, webhook).await.expect("read").expect("there");
    let head = health.blocked_by.expect("it is known what blocks");
    engine.shutdown(Duration::from_secs(1)).await;

    let engine = start(folder.path());
    set(&engine.handle(), both, on(false)).await;
    publish(&engine.handle(), workspace, 40..42).await;
    set(&engine.handle(), both, on(true)).await;
    publish(&engine.handle(), workspace, 42..60).await;
    for _ in 0..2 {
        engine.handle().retry(workspace, head).await.expect("it is pending");
        assert_eq!(arrive(&mut requests, 1).await, [0]);
        let_go(&engine.handle(), both, 58).await;
    }
    assert!(requests.try_recv().is_err(), "nothing overtakes");
    engine.shutdown(Duration::from_secs(1)).await;

    let engine = start(folder.path());
    set(&engine.handle(), both, delays(&["10ms"])).await;
    engine.handle().retry(workspace, head).await.expect("it is pending");
    // While it was off none came.
    assert_eq!(arrive(&mut requests, 58).await, (0..40).chain(42..60).collect::<Vec<_>>());
    let_go(&engine.handle(), both, 0).await;
    assert_eq!(engine.handle().health(workspace, webhook).await.expect("read").expect("there").blocked_by, None);
    engine.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_it_holds_for_a_backlog_that_is_in_the_store_and_switched_off_all_goes_out() {
    let folder = tempfile::tempdir().expect("a folder");
    // Thirty fail once each; then everything succeeds.
    let (url, mut requests) = receiver(&[[500; 30].as_slice(), &[200]].concat().leak()[..]).await;
    let engine = start(folder.path());
    let (workspace, webhook) = subscribe(&engine.handle(), &url, &["1h"]).await;
    let both = (workspace, webhook);
    publish(&engine.handle(), workspace, 0..30).await;
    let mut first = arrive(&mut requests, 30).await;
    first.sort_unstable();
    assert_eq!(first, (0..30).collect::<Vec<_>>());
    let_go(&engine.handle(), both, 30).await;

    set(&engine.handle(), both, ordered(true)).await;
    publish(&engine.handle(), workspace, 30..35).await;
    let head = within(LIMIT, async || {
        engine.handle().health(workspace, webhook).await.expect("read").expect("there").blocked_by
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(requests.try_recv().is_err(), "all sleep, and what has come waits behind them");
    engine.handle().retry(workspace, head).await.expect("it is pending");
    assert_eq!(arrive(&mut requests, 1).await, [0], "the oldest one blocks");

    // The next one sleeps; the order given up, what is due goes out, and what sleeps sleeps on.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(requests.try_recv().is_err());
    set(&engine.handle(), both, ordered(false)).await;
    let mut rest = arrive(&mut requests, 5).await;
    rest.sort_unstable();
    assert_eq!(rest, (30..35).collect::<Vec<_>>());
    let_go(&engine.handle(), both, 29).await;
    assert!(
        engine.handle().health(workspace, webhook).await.expect("read").expect("there").next_attempt_at > Some(Time(0))
    );
    engine.shutdown(Duration::from_secs(1)).await;
}
