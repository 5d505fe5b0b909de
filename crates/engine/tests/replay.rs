//! Replays through the handle: failed ones again, missed ones for the first time, over restarts, and nothing twice.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use postrider_core::command::Rejection;
use postrider_core::delivery::Status;
use postrider_core::draft::{Field, WebhookDraft};
use postrider_core::replay::{Only, ReplayState, Wish};
use postrider_core::{DeliveryKey, EventId, ReplayId, Time, WebhookId, WorkspaceId};
use postrider_engine::{DeliveryFilter, Engine, EngineOptions, Handle, PageQuery, Refused, ReplayProgress};
use support::{event, receiver, subscribe, within};

const LIMIT: Duration = Duration::from_secs(10);
const MANY: PageQuery = PageQuery { page: 1, page_size: 200, cursor: None };

fn start(folder: &Path) -> Engine {
    let options = EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        ..Default::default()
    };
    Engine::start(options).expect("the folder is free")
}

fn all(only: Only) -> Wish {
    Wish { since: Time(0), until: None, event_types: vec![], only }
}

async fn finished(handle: &Handle, workspace: WorkspaceId, id: ReplayId) -> ReplayProgress {
    within(LIMIT, async || {
        let progress = handle.replay(workspace, id).await.expect("it can be read").expect("it was started");
        (progress.replay.state == ReplayState::Finished).then_some(progress)
    })
    .await
}

/// The keys of a webhook's deliveries that stand so, once there are `n`.
async fn standing(
    handle: &Handle,
    (workspace, webhook): (WorkspaceId, WebhookId),
    status: Status,
    n: usize,
) -> BTreeSet<DeliveryKey> {
    within(LIMIT, async || {
        let filter = DeliveryFilter { webhook: Some(webhook), status: Some(status), ..Default::default() };
        let page = handle.deliveries(workspace, filter, MANY).await.expect("it can be read");
        (page.total == n).then(|| page.items.iter().map(|delivery| delivery.row.cell.key).collect())
    })
    .await
}

async fn publish(handle: &Handle, workspace: WorkspaceId, ids: std::ops::Range<usize>) {
    for n in ids {
        handle.publish(workspace, event(&format!("order-{n}"))).await.expect("it is new");
    }
}

async fn another_webhook(handle: &Handle, workspace: WorkspaceId, url: &str) -> WebhookId {
    let draft = WebhookDraft {
        name: Field::Set("late".into()),
        url: Field::Set(url.into()),
        events: Field::Set(vec!["EMAIL_SENT".into()]),
        ..WebhookDraft::default()
    };
    handle.create_webhook(workspace, draft).await.expect("a draft without faults").webhook.id
}

#[tokio::test]
async fn what_failed_is_sent_again_and_only_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, mut requests) = receiver(&[500, 500, 500, 200]).await;
    let engine = start(folder.path());
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &[]).await;
    publish(&handle, workspace, 0..3).await;
    let failed = standing(&handle, (workspace, webhook), Status::Exhausted, 3).await;
    publish(&handle, workspace, 3..5).await;
    standing(&handle, (workspace, webhook), Status::Succeeded, 2).await;

    let count = handle.count_replay(workspace, webhook, &all(Only::Failed)).await.expect("a wish without faults");
    assert_eq!(count.map(|count| (count.matched, count.skipped)), Some((3, 0)));
    let replay = handle.start_replay(workspace, webhook, all(Only::Failed)).await.expect("it is on");
    let progress = finished(&handle, workspace, replay.id).await;
    assert_eq!((progress.replay.created, progress.remaining), (3, Some(0)));
    let sent = standing(&handle, (workspace, webhook), Status::Succeeded, 5).await;
    assert!(sent.is_superset(&failed));
    engine.shutdown(LIMIT).await;
    let mut numbers = Vec::new();
    while let Ok(request) = requests.try_recv() {
        let number = request.lines().find_map(|line| line.strip_prefix("postrider-attempt: ").map(str::to_owned));
        numbers.extend(number);
    }
    numbers.sort();
    assert_eq!(numbers, ["1", "1", "1", "1", "1", "2", "2", "2"], "attempt numbers go on");
}

#[tokio::test]
async fn what_was_missed_gets_deliveries_that_everything_knows_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, mut requests) = receiver(&[200]).await;
    let engine = start(folder.path());
    let handle = engine.handle();
    let (workspace, first) = subscribe(&handle, &url, &[]).await;
    publish(&handle, workspace, 0..2).await;
    standing(&handle, (workspace, first), Status::Succeeded, 2).await;
    let late = another_webhook(&handle, workspace, &url).await;
    let replay = handle.start_replay(workspace, late, all(Only::Missed)).await.expect("it is on");
    finished(&handle, workspace, replay.id).await;
    let keys = standing(&handle, (workspace, late), Status::Succeeded, 2).await;
    assert!(keys.iter().all(|key| key.is_added()));
    let again = handle.count_replay(workspace, late, &all(Only::Missed)).await.expect("a wish without faults");
    assert_eq!(again.map(|count| count.matched), Some(0));

    let id: EventId = "order-0".parse().expect("an id");
    let seen = async |handle: &Handle| {
        let detail = handle.event(workspace, id.clone()).await.expect("it can be read").expect("it is there");
        let explained = handle.explain(workspace, id.clone(), Some(late)).await.expect("it can be read");
        let listed = handle.events(workspace, Default::default(), MANY).await.expect("it can be read");
        let health = handle.health(workspace, late).await.expect("it can be read").expect("it is there");
        let key = detail.deliveries[1].row.cell.key;
        let delivery = handle.delivery(workspace, key).await.expect("it can be read").expect("it is there");
        let request = delivery.attempts[0].request.clone().expect("what was sent");
        let counts: Vec<_> = listed.items.iter().map(|summary| summary.deliveries).collect();
        assert_eq!((detail.deliveries.len(), counts, health.pending), (2, vec![2, 2], 0));
        format!("{:?} {explained:?} {request:?}", delivery.row)
    };
    let before = seen(&handle).await;
    assert!(before.contains("Chosen(Succeeded)") && before.contains("firstName"), "{before}");
    engine.shutdown(LIMIT).await;
    let engine = start(folder.path());
    assert_eq!(seen(&engine.handle()).await, before);
    let progress = finished(&engine.handle(), workspace, replay.id).await;
    assert_eq!(progress.replay.created, 2);
    // Known to what comes after as well.
    let key = *keys.first().expect("two");
    engine.handle().retry(workspace, key).await.expect("it succeeded and can be sent again");
    within(LIMIT, async || {
        let found = engine.handle().delivery(workspace, key).await.expect("it can be read")?;
        (found.status == Status::Succeeded && found.attempts.len() == 2).then_some(())
    })
    .await;
    engine.shutdown(LIMIT).await;
    let mut count = 0;
    while requests.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 5);
}

#[tokio::test]
async fn a_paused_replay_stays_paused_over_a_restart_and_then_sends_the_rest_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, mut requests) = receiver(&[200]).await;
    let engine = start(folder.path());
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &[]).await;
    publish(&handle, workspace, 0..150).await;
    standing(&handle, (workspace, webhook), Status::Succeeded, 150).await;
    let replay = handle.start_replay(workspace, webhook, all(Only::All)).await.expect("it is on");
    let paused = handle.change_replay(workspace, replay.id, ReplayState::Paused).await.expect("it runs");
    let created = paused.replay.created;
    assert!(created < 150, "one step makes due no more than the queue holds");
    assert_eq!(paused.remaining, Some(150 - created));
    engine.shutdown(LIMIT).await;

    let engine = start(folder.path());
    let handle = engine.handle();
    standing(&handle, (workspace, webhook), Status::Succeeded, 150).await;
    let still = handle.replay(workspace, replay.id).await.expect("it can be read").expect("it is there");
    assert_eq!((still.replay.state, still.replay.created), (ReplayState::Paused, created));
    handle.change_replay(workspace, replay.id, ReplayState::Running).await.expect("it is paused");
    assert_eq!(finished(&handle, workspace, replay.id).await.replay.created, 150);
    standing(&handle, (workspace, webhook), Status::Succeeded, 150).await;
    let over = handle.change_replay(workspace, replay.id, ReplayState::Paused).await;
    assert_eq!(over.err(), Some(Refused::Rejected(Rejection::ReplayEnded(ReplayState::Finished))));
    engine.shutdown(LIMIT).await;
    let mut count = 0;
    while requests.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 300, "each event once, and once more");
}

#[tokio::test]
async fn wishes_with_faults_are_refused_and_a_webhook_that_is_off_counts_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = start(folder.path());
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, "http://127.0.0.1:9/", &[]).await;
    let off = WebhookDraft { enabled: Field::Set(false), ..WebhookDraft::default() };
    handle.change_webhook(workspace, webhook, off).await.expect("it is there");
    publish(&handle, workspace, 0..2).await;
    let count = handle.count_replay(workspace, webhook, &all(Only::Missed)).await.expect("a wish without faults");
    assert_eq!(count.map(|count| count.matched), Some(2));
    let refused = handle.start_replay(workspace, webhook, all(Only::Missed)).await;
    assert_eq!(refused.err(), Some(Refused::Rejected(Rejection::WebhookOff)));
    let wish = Wish { until: Some(Time(0)), event_types: vec!["NO_SUCH".into()], ..all(Only::All) };
    let Err(Refused::Invalid(faults)) = handle.start_replay(workspace, webhook, wish).await else {
        panic!("it has faults")
    };
    assert_eq!(faults.iter().map(|fault| &*fault.field).collect::<Vec<_>>(), ["eventTypes[0]", "until"]);
    engine.shutdown(LIMIT).await;
}
