//! Replays by forms: counted, then begun.

use axum::http::header;

use super::browser::Browser;
use crate::support::{World, event};

#[tokio::test]
async fn a_replay_says_how_many_before_it_begins() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    // Nobody listens to the events before there is a webhook.
    for id in ["e1", "e2", "e3"] {
        world.post(&key, "/v1/events", event(id)).await;
    }
    let hook = world.webhook(&key, "http://127.0.0.1:9/").await;
    let browser = Browser::with_key(&world, &key).await;
    let path = format!("/dashboard/webhooks/{hook}/replay");
    assert!(browser.page(&path).await.contains("Counting sends nothing"));
    let wish = [("since", "2020-01-01T00:00"), ("until", ""), ("only", "missed"), ("eventTypes", "POST_LIKED")];
    let counted = browser.submit(&path, &[&wish[..], &[("step", "count")]].concat()).await;
    assert_eq!(counted.status, 200, "{}", counted.text);
    assert!(counted.text.contains("3 events") && counted.text.contains("Start the replay"), "{}", counted.text);
    assert_eq!(world.get(&key, "/v1/deliveries").await.json()["meta"]["total"], 0, "counting sends nothing");
    let (replay, page) = browser.do_form(&path, &[&wish[..], &[("step", "start")]].concat()).await;
    assert!(page.contains("The replay has begun.") && page.contains("missed"), "{page}");
    let id = replay.rsplit('/').next().unwrap();
    for _ in 0..200 {
        if world.get(&key, &format!("/v1/replays/{id}")).await.data()["state"] == "finished" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(world.get(&key, "/v1/deliveries").await.json()["meta"]["total"], 3);
    assert!(browser.page(&replay).await.contains("finished"));
    // It is over: there is nothing to pause.
    assert_eq!(browser.submit(&replay, &[("to", "paused")]).await.status, 409);
    let none =
        browser.submit(&path, &[("since", "2020-01-01T00:00"), ("until", "2020-01-02T00:00"), ("only", "all")]).await;
    assert!(none.text.contains("0 events") && !none.text.contains("Start the replay"), "{}", none.text);
}

#[tokio::test]
async fn a_wish_that_has_to_be_mended_is_shown_again() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, "https://example.com/").await;
    let browser = Browser::with_key(&world, &key).await;
    let path = format!("/dashboard/webhooks/{hook}/replay");
    for (wish, words) in [
        (vec![("since", ""), ("only", "all")], "must be an RFC 3339 time"),
        (
            vec![("since", "2020-01-02T00:00"), ("until", "2020-01-01T00:00"), ("only", "all")],
            "must be later than since",
        ),
        (vec![("since", "2020-01-02T00:00"), ("only", "some")], "must be"),
        (vec![("since", "2020-01-02T00:00"), ("only", "all"), ("eventTypes", "<b>")], "is not an event type"),
    ] {
        for step in ["count", "start"] {
            let answer = browser.submit(&path, &[&wish[..], &[("step", step)]].concat()).await;
            assert_eq!(answer.status, 422, "{wish:?}");
            assert!(answer.text.contains(words) && !answer.text.contains("<b>"), "{}", answer.text);
            assert!(!answer.headers.contains_key(header::LOCATION));
        }
    }
}
