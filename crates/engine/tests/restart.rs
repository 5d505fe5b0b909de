//! What an engine owes after a restart on its folder: everything it acknowledged, once.

mod support;

use std::time::Duration;

use bytes::Bytes;
use postrider_core::delivery::Status;
use postrider_engine::shard::Bounds;
use postrider_engine::{Engine, EngineOptions, EventDraft, Refused, StartError, Stopped};
use support::{FIRST_PAGE, event, receiver, subscribe, within};

fn options(folder: &std::path::Path) -> EngineOptions {
    EngineOptions {
        data: Some(folder.to_owned()),
        egress_allow: vec!["loopback".into()],
        segment_bytes: 4 << 20,
        ..Default::default()
    }
}

async fn start(folder: &std::path::Path) -> Engine {
    Engine::start(options(folder)).expect("the folder is free")
}

#[tokio::test]
async fn retries_go_on_after_a_restart_with_their_numbers_and_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = receiver(&[500]).await;
    let engine = start(folder.path()).await;
    let (workspace, webhook) = subscribe(&engine.handle(), &url, &["1500ms", "10ms"]).await;
    engine.handle().publish(workspace, event("e1")).await.unwrap();
    assert!(requests.recv().await.unwrap().contains("postrider-attempt: 1\r\n"));
    assert_eq!(engine.shutdown(Duration::from_secs(5)).await, Stopped::Clean);

    let engine = start(folder.path()).await;
    assert!(engine.replayed_facts() > 4);
    for number in 2..=3 {
        let request = requests.recv().await.unwrap();
        assert!(request.contains(&format!("postrider-attempt: {number}\r\n")), "{request}");
        assert!(request.contains("x-webhook-secret: correct horse\r\n"), "{request}");
    }
    let handle = engine.handle();
    within(Duration::from_secs(5), async || {
        let page = handle.deliveries(workspace, Default::default(), FIRST_PAGE).await.unwrap();
        page.items.into_iter().find(|delivery| delivery.status == Status::Exhausted)
    })
    .await;
    let page = handle.logs(workspace, webhook, Default::default(), FIRST_PAGE).await.unwrap();
    assert_eq!(page.items.iter().map(|a| a.entry.attempt.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(handle.publish(workspace, event("e1")).await.unwrap().duplicate);
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_webhook_that_is_off_keeps_its_deliveries_over_a_restart_and_sends_them_when_it_is_on_again() {
    use postrider_core::draft::{Field, WebhookDraft};
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = receiver(&[500, 200]).await;
    let engine = start(folder.path()).await;
    let (workspace, webhook) = subscribe(&engine.handle(), &url, &["50ms"]).await;
    let switch = |on| WebhookDraft { enabled: Field::Set(on), ..WebhookDraft::default() };
    engine.handle().publish(workspace, event("e1")).await.unwrap();
    requests.recv().await.unwrap();
    engine.handle().change_webhook(workspace, webhook, switch(false)).await.unwrap();
    engine.shutdown(Duration::from_secs(5)).await;

    let engine = start(folder.path()).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), requests.recv()).await.is_err(), "off is off");
    engine.handle().change_webhook(workspace, webhook, switch(true)).await.unwrap();
    assert!(requests.recv().await.unwrap().contains("postrider-attempt: 2\r\n"));
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_second_engine_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(folder.path()).await;
    assert!(matches!(Engine::start(options(folder.path())), Err(StartError::Open(_))));
    assert!(engine.handle().create_workspace("acme", "snaily").await.is_ok());
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn deleting_a_workspace_destroys_the_key_of_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(folder.path()).await;
    let handle = engine.handle();
    let keys = || std::fs::read_dir(folder.path().join("keys")).unwrap().count();
    let (workspace, webhook) = subscribe(&handle, "http://127.0.0.1:9/", &[]).await;
    assert_eq!(keys(), 1);
    handle.delete_workspace(workspace).await.unwrap();
    assert_eq!(keys(), 0);
    assert!(handle.webhook(workspace, webhook).is_none());
    assert!(matches!(handle.publish(workspace, event("e1")).await, Err(Refused::Rejected(_))));
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_start_reads_what_came_since_the_state_was_last_restated_and_knows_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = receiver(&[500, 200]).await;
    let engine = start(folder.path()).await;
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &["1h"]).await;
    let data = Bytes::from(format!(r#"{{"contact":{{"id":"{}"}}}}"#, "x".repeat(100_000)));
    for n in 0..120 {
        let draft = EventDraft { data: data.clone(), ..event(&format!("e{n}")) };
        handle.publish(workspace, draft).await.unwrap();
        requests.recv().await.unwrap();
    }
    let done = async || {
        let health = handle.health(workspace, webhook).await.unwrap().unwrap();
        (health.day.attempts == 120).then_some(health)
    };
    let before = within(Duration::from_secs(10), done).await;
    assert_eq!((before.pending, before.consecutive_failures), (1, 0));
    engine.shutdown(Duration::from_secs(5)).await;

    let engine = start(folder.path()).await;
    // Some 240 facts, in three segments.
    assert!((1..160).contains(&engine.replayed_facts()), "{}", engine.replayed_facts());
    let handle = engine.handle();
    assert_eq!(handle.health(workspace, webhook).await.unwrap().unwrap(), before);
    assert_eq!(handle.logs(workspace, webhook, Default::default(), FIRST_PAGE).await.unwrap().total, 120);
    assert!(handle.publish(workspace, event("e1")).await.is_err(), "the id is known, with other data");
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_store_that_is_gone_is_built_behind_a_server_that_takes_what_is_fresh_and_then_goes_on_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = receiver(&[500, 500, 500, 200]).await;
    let engine = start(folder.path()).await;
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &["2s"]).await;
    for n in 0..3 {
        handle.publish(workspace, event(&format!("e{n}"))).await.unwrap();
        requests.recv().await.unwrap();
    }
    engine.shutdown(Duration::from_secs(5)).await;
    std::fs::remove_dir_all(folder.path().join("store")).unwrap();

    let bounds = Bounds { behind: 0, ..Bounds::default() };
    let engine = Engine::start(EngineOptions { bounds, ..options(folder.path()) }).unwrap();
    let handle = engine.handle();
    let health = handle.health(workspace, webhook).await.unwrap().unwrap();
    assert_eq!((health.pending, health.consecutive_failures), (3, 3), "what is counted is known at once");
    let fresh = EventDraft { id: None, ..event("") };
    handle.publish(workspace, fresh).await.unwrap();
    // Three retries and the fresh one, each once.
    let mut numbers = Vec::new();
    for _ in 0..4 {
        let request = tokio::time::timeout(Duration::from_secs(20), requests.recv()).await.expect("it comes").unwrap();
        let number = request.lines().find_map(|line| line.strip_prefix("postrider-attempt: ")).unwrap();
        numbers.push(number.to_owned());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, ["1", "2", "2", "2"]);
    let all = within(Duration::from_secs(5), async || {
        let page = handle.logs(workspace, webhook, Default::default(), FIRST_PAGE).await.ok()?;
        (page.total == 7).then_some(page)
    });
    assert_eq!(all.await.items.len(), 7);
    assert!(handle.publish(workspace, event("e1")).await.unwrap().duplicate);
    assert!(tokio::time::timeout(Duration::from_millis(200), requests.recv()).await.is_err(), "none twice");
    engine.shutdown(Duration::from_secs(5)).await;
}
