//! Adding, editing, switching and deleting, with the fields and words of each product.

use postrider_tests::Reaction;
use serde_json::json;

use crate::Stage;
use crate::driver::soon;

#[test]
fn genesys_form_has_genesys_fields_and_says_what_is_wrong_beside_them() {
    let Some(stage) = Stage::answering("genesy", 200) else { return };
    let browser = &stage.browser;
    browser.press("Add webhook");
    for words in [
        "Identifier for your webhook subscription.",
        "Your endpoint URL where webhooks will be sent.",
        "A secret key that will be sent in the X-Webhook-Secret header for authentication.",
        "Only receive events from specific campaigns. If empty, you’ll receive events from all campaigns.",
        "Additional contact/company fields to include in the webhook payload.",
        "CONNECTION_REQUEST_ACCEPTED",
        "PROFILE_VISITED",
    ] {
        assert!(browser.text().contains(words), "{words}");
    }
    browser.fill("Name", "CRM & <b>friends</b>");
    browser.fill("URL", "http://10.0.0.1/hook");
    browser.fill("Secret", "short");
    browser.tick("EMAIL_SENT");
    browser.fill("Campaign ids", "12\n13");
    browser.fill("Custom fields", "industry");
    browser.press("Add webhook");
    browser.wait("what is wrong", || (browser.count("[aria-invalid=true]") >= 1).then_some(()));
    assert_eq!(
        browser.run("return arguments[0].value", &[browser.field("Name").into()]),
        "CRM & <b>friends</b>",
        "kept"
    );
    browser.fill("URL", &stage.receiver.url("/a"));
    browser.fill("Secret", "short");
    browser.press("Add webhook");
    browser.wait("what is wrong", || browser.text_of(".wrong").contains("secret").then_some(()));
    browser.fill("Secret", "long-enough");
    browser.press("Add webhook");
    browser.wait_for("Webhook created.");
    let list = stage.client.get("/v1/webhooks").expect(200);
    let made = &list.data()[0];
    assert_eq!(
        (&made["campaignIds"], &made["customFields"], &made["hasSecret"]),
        (&json!(["12", "13"]), &json!(["industry"]), &json!(true))
    );

    browser.press("Edit");
    assert!(
        !browser.run("return document.body.innerHTML", &[]).as_str().unwrap().contains("long-enough"),
        "shown to nobody"
    );
    browser.tick("Remove the secret");
    browser.fill("Campaign ids", "");
    browser.press("Save");
    browser.wait_for("Webhook changed.");
    let list = stage.client.get("/v1/webhooks").expect(200);
    assert_eq!((&list.data()[0]["campaignIds"], &list.data()[0]["hasSecret"]), (&json!([]), &json!(false)));
}

#[test]
fn snailys_form_has_snailys_fields() {
    let Some(stage) = Stage::answering("snaily", 200) else { return };
    let browser = &stage.browser;
    browser.press("Add webhook");
    for words in [
        "Endpoint URL",
        "Choose the events you want to receive.",
        "Secret verification token",
        "X-Snaily-Token",
        "invitation.sent",
    ] {
        assert!(browser.text().contains(words), "{words}");
    }
    assert!(!browser.text().contains("Custom fields"));
    browser.fill("Endpoint URL", &stage.receiver.url("/hook"));
    browser.fill("Secret verification token", "t");
    browser.tick("contact.replied");
    browser.press("Add webhook");
    browser.wait_for("Webhook created.");
    let host = stage.receiver.url("").trim_start_matches("http://").to_owned();
    let host = host.split(':').next().unwrap();
    assert!(
        browser.text_of("h1").starts_with(host),
        "the URL's host where no name was given: {}",
        browser.text_of("h1")
    );
}

#[test]
fn a_standard_webhooks_secret_is_shown_once_and_rotated() {
    let Some(stage) = Stage::answering("standard", 200) else { return };
    let browser = &stage.browser;
    browser.press("Add webhook");
    browser.fill("Name", "orders");
    browser.fill("URL", &stage.receiver.url("/hook"));
    browser.run("document.querySelector('textarea[name=events]').value = 'order.paid\\norder.refunded'", &[]);
    browser.press("Add webhook");
    browser.wait_for("it is not shown again");
    let first = browser.text_of(".secret");
    browser.reload();
    assert!(first.starts_with("whsec_") && !browser.text().contains(&first));
    browser.press("Rotate secret");
    browser.wait_for("Secret rotated. The old one signs along for 24 hours.");
    let second = browser.text_of(".secret");
    assert!(second.starts_with("whsec_") && second != first);
    stage.client.post("/v1/events", &json!({ "id": "o1", "type": "order.paid", "data": {} })).expect(202);
    let request = soon("the delivery", || stage.receiver.requests().first().cloned());
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2, "old and new sign");
}

#[test]
fn off_holds_back_on_lets_go_and_deleting_asks_first() {
    let Some(stage) = Stage::reacting("genesy", |_| Reaction::Status(503)) else { return };
    let browser = &stage.browser;
    let page = stage.webhook("crm", json!({ "retryPolicy": { "delays": ["1h"] } }));
    stage.publish("e1");
    soon("the first attempt", || (stage.receiver.count() == 1).then_some(()));
    browser.go(&page);
    browser.press("Switch off");
    browser.wait_for("Webhook switched off; pending deliveries wait.");
    assert_eq!(browser.text_of("h1 .state"), "off");
    stage.publish("e2");
    browser.go("/dashboard/events/e2");
    browser.wait_for("The webhook was off when the event came.");
    browser.go(&page);
    browser.press("Switch on");
    browser.wait_for("what was waiting goes out");

    browser.press("Delete");
    browser.wait_for("Its 1 pending deliver");
    browser.press("Keep it");
    browser.wait_for("Delivery log");
    browser.press("Delete");
    browser.press("Delete webhook");
    browser.wait_for("Webhook deleted.");
    assert_eq!(stage.client.get("/v1/webhooks").expect(200).body["meta"]["total"], 0);
    browser.go(&page);
    browser.wait_for("That did not work");
    assert!(stage.receiver.count() <= 2, "e2 was never sent");
}
