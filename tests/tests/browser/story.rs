//! What a person does who has never seen it: from the admin key to a failure that is understood, mended and made good.

use postrider_tests::{Reaction, Receiver, Server};
use serde_json::json;

use crate::driver::{Browser, soon, tools};

const RIGHT: &str = "the-right-secret";

#[test]
fn somebody_new_sees_a_delivery_fail_finds_out_why_mends_it_and_replays_what_was_missed() {
    if tools().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let receiver = Receiver::reacting(|request| {
        Reaction::Status(if request.header("x-webhook-secret") == RIGHT { 200 } else { 401 })
    });
    let browser = Browser::open(&server).unwrap();

    // A workspace and its key.
    browser.sign_in(server.admin().key());
    browser.fill("Name", "Acme sales");
    browser.choose("Profile", "genesy");
    browser.press("Create workspace");
    browser.wait_for("it is not shown again");
    let key = browser.text_of(".secret");
    assert!(key.starts_with("prk_"), "{key}");
    browser.reload();
    assert!(!browser.text().contains(&key), "it is shown once");
    browser.press("Sign out");
    browser.wait_for("Sign in");

    // A webhook, with a secret that the receiver does not know.
    browser.sign_in(&key);
    browser.wait_for("There is no webhook yet");
    browser.press("Add webhook");
    browser.fill("Name", "CRM");
    browser.fill("URL", &receiver.url("/crm"));
    browser.fill("Secret", "a-wrong-secret");
    browser.tick("MESSAGE_REPLIED");
    browser.press("More settings");
    browser.tick("Own retry delays");
    browser.fill("Delays", "2s, 1s");
    browser.press("Add webhook");
    browser.wait_for("Webhook created.");
    let page = browser.path();

    // A delivery fails and is retried while they look on: the page is not loaded again.
    browser.run("window.stillHere = true", &[]);
    let client = server.client(&key);
    for id in ["reply-1", "reply-2", "reply-3"] {
        let data =
            json!({ "contact": { "id": 7, "firstName": "Ada" }, "message": { "channel": "EMAIL", "text": "Yes!" } });
        client.post("/v1/events", &json!({ "id": id, "type": "MESSAGE_REPLIED", "data": data })).expect(202);
    }
    browser.wait("the first attempts", || browser.text_of("#log").contains("retrying").then_some(()));
    browser.wait("the last attempts", || (browser.count("#log .state.bad") == 3).then_some(()));
    assert_eq!(browser.run("return window.stillHere", &[]), true, "the log filled by itself");
    assert!(browser.text_of("#health").contains("Failed in a row"));

    // Why, and what to check, in the product's words.
    browser.run("document.querySelector('#log details summary').click()", &[]);
    browser.wait_for("http_status");
    browser.wait_for("Verify X-Webhook-Secret header matches your secret");
    let delivery = browser
        .run("return document.querySelector('#log a[href^=\"/dashboard/deliveries/\"]').getAttribute('href')", &[]);
    browser.go(delivery.as_str().unwrap());
    browser.wait_for("Attempt 3");
    browser.press("Request");
    browser.wait_for("x-webhook-secret: ***");
    browser.wait_for("\"firstName\":\"Ada\"");
    assert!(!browser.text().contains("a-wrong-secret"));

    // Mended: the secret is replaced.
    browser.go(&page);
    browser.press("Edit");
    browser.fill("Secret", RIGHT);
    browser.press("Save");
    browser.wait_for("Webhook changed.");

    // One is retried by hand.
    browser.go(delivery.as_str().unwrap());
    browser.press("Retry now");
    browser.wait_for("The delivery is due now.");
    browser.wait_for("succeeded");
    browser.wait_for("Attempt 4");

    // The rest is replayed: counted first, nothing sent by that.
    let before = receiver.count();
    browser.go(&page);
    browser.press("Replay");
    let day = "new Date(Date.now() - 3600000).toISOString().slice(0, 19)";
    let since = browser.run(&format!("return {day}"), &[]);
    browser.choose("Accepted since", since.as_str().unwrap());
    browser.press("Count");
    browser.wait_for("2 events would be sent again.");
    assert_eq!(receiver.count(), before, "counting sends nothing");
    browser.press("Start the replay");
    browser.wait_for("finished");
    soon("both arrive", || (receiver.count() == before + 2).then_some(()));
    browser.press("Deliveries");
    browser.wait("all has succeeded", || (browser.count("#deliveries .state.good") == 3).then_some(()));
    let ids: Vec<_> =
        receiver.requests()[before..].iter().map(|request| request.header("postrider-event-id").to_owned()).collect();
    assert_eq!(ids.iter().filter(|id| id.starts_with("reply-")).count(), 2, "{ids:?}");
}
