//! The page of one webhook: test button, filters, deep paging; and the lists of deliveries and events.

use postrider_tests::Reaction;
use serde_json::json;

use crate::Stage;
use crate::driver::soon;

#[test]
fn a_test_shows_what_was_sent_and_what_came_back() {
    let status = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(200));
    let now = std::sync::Arc::clone(&status);
    let react = move |_: &postrider_tests::Request| Reaction::Status(now.load(std::sync::atomic::Ordering::SeqCst));
    let Some(stage) = Stage::reacting("snaily", react) else { return };
    let browser = &stage.browser;
    let page = stage.webhook("crm", json!({ "secret": "a-token" }));
    browser.go(&page);
    browser.choose("Sample of", "contact.replied");
    browser.press("Send test");
    browser.wait_for("Test of crm");
    browser.wait_for("Status 200");
    assert!(
        browser.text().contains("\"type\":\"contact.replied\"") && browser.text().contains("x-snaily-token: ***"),
        "{}",
        browser.text()
    );
    status.store(403, std::sync::atomic::Ordering::SeqCst);
    browser.follow("Back to the webhook");
    browser.press("Send test");
    browser.wait_for("Authentication Failures");
    assert_eq!(stage.receiver.count(), 2, "once each, and no retries");
}

#[test]
fn filters_and_pages_of_a_log_go_back_to_its_first_entry() {
    let react = |request: &postrider_tests::Request| {
        Reaction::Status(if request.text().contains("evt-bad") { 500 } else { 200 })
    };
    let Some(stage) = Stage::reacting("genesy", react) else { return };
    let browser = &stage.browser;
    let page = stage.webhook("crm", json!({ "retryPolicy": { "delays": [] }, "events": ["EMAIL_SENT", "POST_LIKED"] }));
    let id = |n: usize| if n % 40 == 7 { format!("evt-bad-{n}") } else { format!("evt-{n}") };
    let kind = |n: usize| if n < 20 { "POST_LIKED" } else { "EMAIL_SENT" };
    for half in [0..60, 60..130] {
        let events: Vec<_> = half.map(|n| json!({ "id": id(n), "type": kind(n), "data": {} })).collect();
        stage.client.post("/v1/events", &json!(events)).expect(202);
        let sent = if stage.receiver.count() < 60 { 60 } else { 130 };
        soon("all arrive", || (stage.receiver.count() >= sent).then_some(()));
    }
    browser.go(&page);
    browser.wait_for("130 attempts");
    let rows = || browser.count("#log tbody");
    assert_eq!(rows(), 50);
    browser.follow("Older");
    browser.follow("Older");
    browser.wait("the last page", || (rows() == 30).then_some(()));
    assert!(browser.count("a[rel=next]") == 0 && browser.text_of("#log").contains("evt-bad-7"));
    browser.follow("Newest");
    browser.wait("the first page", || (rows() == 50).then_some(()));

    let answers = |expected: &str| {
        browser.follow("Filter");
        let pager = browser.text_of("#log .pager");
        assert!(pager.lines().any(|line| line.trim() == expected), "{pager}, not {expected}");
    };
    browser.choose("Outcome", "exhausted");
    answers("4 attempts");
    browser.choose("Outcome", "");
    browser.fill("Status", "200");
    answers("126 attempts");
    browser.fill("Status", "500");
    answers("4 attempts");
    browser.choose("Type", "POST_LIKED");
    answers("1 attempts");
    browser.fill("Status", "");
    answers("20 attempts");
    browser.choose("Since", "2099-01-01T00:00:00");
    answers("0 attempts");
    browser.choose("Since", "2020-01-01T00:00:00");
    browser.choose("Until", "2099-01-01T00:00:00");
    browser.choose("Type", "");
    answers("130 attempts");
    browser.fill("Event id", "evt-bad-47");
    answers("1 attempts");
    browser.fill("Event id", "");
    browser.fill("Status", "soon");
    browser.press("Filter");
    browser.wait("the refusal", || browser.text_of("[role=alert]").contains("statusCode").then_some(()));

    browser.follow("Deliveries");
    browser.choose("Status", "exhausted");
    browser.press("Filter");
    browser.wait("what is exhausted", || (browser.count("#deliveries tbody tr") == 4).then_some(()));
    browser.follow("Events");
    browser.fill("Id", "evt-bad-7");
    browser.press("Search");
    browser.wait("the event", || (browser.count("main tbody tr") == 1).then_some(()));
    browser.press("evt-bad-7");
    browser.wait_for("Every attempt of its schedule failed; it can be retried by hand.");
}

#[test]
fn a_replay_is_paused_goes_on_and_is_cancelled() {
    let Some(stage) = Stage::answering("genesy", 200) else { return };
    let browser = &stage.browser;
    let page = stage.webhook("crm", json!({ "rateLimit": { "perSecond": 1 }, "enabled": false }));
    for n in 0..300 {
        if n % 100 == 0 {
            let events: Vec<_> =
                (n..n + 100).map(|n| json!({ "id": format!("m{n}"), "type": stage.a_type(), "data": {} })).collect();
            stage.client.post("/v1/events", &json!(events)).expect(202);
        }
    }
    browser.go(&page);
    browser.follow("Switch on");
    browser.follow("Replay");
    browser.choose("Accepted since", "2020-01-01T00:00:00");
    browser.tick("Missed: events that it would get now and never had");
    browser.press("Count");
    browser.wait_for("300 events would be sent again.");
    browser.press("Start the replay");
    browser.wait_for("The replay has begun.");
    browser.press("Pause");
    browser.wait("the pause", || browser.text_of("#replay").contains("paused").then_some(()));
    browser.press("Resume");
    browser.wait("that it goes on", || browser.text_of("#replay").contains("running").then_some(()));
    browser.press("Cancel the replay");
    browser.wait("the end", || browser.text_of("#replay").contains("cancelled").then_some(()));
}
