//! With room for almost nothing in RAM, and a store that follows at every step: all that sleeps, waits or is over comes back from there.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use postrider_core::Millis;
use postrider_core::delivery::Status;
use postrider_engine::shard::Bounds;
use postrider_engine::{DeliveryFilter, Engine, EngineOptions, Refused, Stopped};
use support::{FIRST_PAGE, event, receiver, subscribe, within};

const EVENTS: usize = 400;

fn start(folder: &std::path::Path) -> Engine {
    let options = EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        store_commit_every: Millis(5),
        bounds: Bounds { ahead: Millis(20), lane: 4, asleep: 8, batch: 5, ..Bounds::default() },
        ..EngineOptions::default()
    };
    Engine::start(options).expect("the folder is free")
}

/// What was requested: event and number of each attempt.
fn attempt_of(request: &str) -> (String, u32) {
    let header = |name: &str| {
        let line = request.lines().find_map(|line| line.strip_prefix(name)).expect("a request of ours");
        line.trim_start_matches(": ").to_owned()
    };
    (header("postrider-event-id"), header("postrider-attempt").parse().expect("a number"))
}

#[tokio::test]
async fn every_attempt_is_made_once_though_nothing_stays_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = receiver(&[500]).await;
    let engine = start(folder.path());
    let (workspace, webhook) = subscribe(&engine.handle(), &url, &["400ms", "700ms"]).await;
    for n in 0..EVENTS {
        engine.handle().publish(workspace, event(&format!("e{n}"))).await.unwrap();
    }
    let mut seen: BTreeMap<(String, u32), usize> = BTreeMap::new();
    let mut count = async |until: usize| {
        while seen.values().sum::<usize>() < until {
            let request = tokio::time::timeout(Duration::from_secs(20), requests.recv()).await;
            *seen.entry(attempt_of(&request.expect("the next one comes").unwrap())).or_default() += 1;
        }
        seen.clone()
    };
    count(EVENTS + EVENTS / 2).await;
    assert_eq!(engine.shutdown(Duration::from_secs(5)).await, Stopped::Clean);

    let engine = start(folder.path());
    let handle = engine.handle();
    let seen = count(3 * EVENTS).await;
    assert!(seen.len() == 3 * EVENTS && seen.values().all(|times| *times == 1), "each attempt once: {}", seen.len());
    let exhausted = DeliveryFilter { status: Some(Status::Exhausted), ..DeliveryFilter::default() };
    within(Duration::from_secs(5), async || {
        let page = handle.deliveries(workspace, exhausted.clone(), FIRST_PAGE).await.unwrap();
        (page.total == EVENTS).then_some(())
    })
    .await;

    // What is over is not in RAM, and is known all the same.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(handle.publish(workspace, event("e7")).await.unwrap().duplicate);
    let page = handle.deliveries(workspace, exhausted.clone(), FIRST_PAGE).await.unwrap();
    let key = page.items[0].row.cell.key;
    handle.retry(workspace, key).await.unwrap();
    let again = count(3 * EVENTS + 1).await;
    assert!(again.keys().any(|(_, number)| *number == 4), "numbers go on");
    handle.erase_event(workspace, "e7".parse().unwrap()).await.unwrap();
    let event = handle.event(workspace, "e7".parse().unwrap()).await.unwrap().unwrap();
    assert!(event.data.is_none() && event.erased_at.is_some());
    assert!(matches!(handle.erase_event(workspace, "never".parse().unwrap()).await, Err(Refused::Rejected(_))));
    let health = handle.health(workspace, webhook).await.unwrap().unwrap();
    assert_eq!(health.pending, 1, "the one that was retried");
    engine.shutdown(Duration::from_secs(5)).await;
}
