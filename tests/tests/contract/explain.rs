//! Why a webhook got an event, or did not.

use postrider_tests::Reaction;
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, keys, slow_policy};

/// The answer for each webhook, with a delivery or without.
fn codes(stage: &Stage, event: &str) -> Vec<(u64, String, bool)> {
    let list = stage.client.get(&format!("/v1/events/{event}/explain")).expect(200);
    let entries = list.data().as_array().unwrap().clone();
    assert!(entries.iter().all(|entry| keys(entry) == ["code", "deliveryId", "webhookId"]), "{}", list.text);
    assert!(entries.is_sorted_by_key(|entry| std::cmp::Reverse(entry["webhookId"].as_u64())), "{}", list.text);
    let read = |e: &Value| (e["webhookId"].as_u64().unwrap(), e["code"].as_str().unwrap().to_owned());
    let mut codes: Vec<_> = entries.iter().map(|e| (read(e).0, read(e).1, e["deliveryId"].is_string())).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn each_webhook_there_is_or_was_has_its_code() {
    let stage = Stage::reacting("genesy", |request| match request.path.as_str() {
        "/ok" => Reaction::Status(200),
        _ => Reaction::Status(500),
    });
    let email_sent = ["EMAIL_SENT"];
    let deleted = stage.webhook(&email_sent, json!({}));
    stage.client.delete(&format!("/v1/webhooks/{deleted}")).expect(204);
    let succeeded = stage.webhook_at("/ok", &email_sent, json!({}));
    let pending = stage.webhook(&email_sent, slow_policy());
    let exhausted = stage.webhook(&email_sent, json!({ "retryPolicy": { "delays": [] } }));
    let cancelled = stage.webhook(&email_sent, slow_policy());
    let off = stage.webhook(&email_sent, json!({ "enabled": false }));
    let other_type = stage.webhook(&["POST_LIKED"], json!({}));
    let other_campaign = stage.webhook(&email_sent, json!({ "campaignIds": [7] }));
    stage.publish(&email("e"));
    for webhook in [succeeded, pending, exhausted, cancelled] {
        stage.wait_for_logs(webhook, 1);
    }
    stage.client.delete(&format!("/v1/webhooks/{cancelled}")).expect(204);
    let later = stage.webhook(&email_sent, json!({}));
    // What a webhook is now changes nothing about what it was.
    stage.client.patch(&format!("/v1/webhooks/{off}"), &json!({ "enabled": true })).expect(200);
    stage.client.patch(&format!("/v1/webhooks/{other_type}"), &json!({ "events": email_sent })).expect(200);
    stage.client.patch(&format!("/v1/webhooks/{other_campaign}"), &json!({ "campaignIds": null })).expect(200);

    let wanted = [
        (deleted, "deleted", false),
        (succeeded, "succeeded", true),
        (pending, "pending", true),
        (exhausted, "exhausted", true),
        (cancelled, "cancelled", true),
        (off, "webhook_off", false),
        (other_type, "type_not_subscribed", false),
        (other_campaign, "campaign_not_listed", false),
        (later, "created_later", false),
    ];
    assert_eq!(codes(&stage, "e"), wanted.map(|(webhook, code, has)| (webhook, code.to_owned(), has)));
    for (webhook, code, _) in wanted {
        let one = stage.client.get(&format!("/v1/events/e/explain?webhookId={webhook}")).expect(200);
        assert_eq!(one.data().as_array().unwrap().len(), 1, "{}", one.text);
        assert_eq!(one.data()[0]["code"], code, "{}", one.text);
    }
    for (path, status) in [("e/explain?webhookId=999", 404), ("e/explain?webhookId=x", 422), ("none/explain", 404)] {
        error_shape(&stage.client.get(&format!("/v1/events/{path}")), status).unwrap();
    }
}

#[test]
fn a_removed_delivery_is_said_to_be_removed() {
    let stage = Stage::failing("snaily", 500);
    let webhook = stage.webhook(&["invitation.sent"], json!({ "retryPolicy": { "delays": [] } }));
    let data = json!({ "sent_at": "2026-02-19T09:00:00Z", "contact": { "snaily_id": "c" },
        "campaign": { "id": "k", "name": "n" }, "user_context": {} });
    stage.publish(&json!({ "id": "e", "type": "invitation.sent", "data": data }));
    stage.wait_for_delivery("e", "removed");
    assert_eq!(codes(&stage, "e"), [(webhook, "removed".to_owned(), true)]);
}
