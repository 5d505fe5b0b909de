//! Webhooks by forms: added, edited, switched, tested, deleted.

use axum::http::header;
use serde_json::json;

use super::browser::Browser;
use crate::support::{World, text};

const HOSTILE: &str = r#"<script>alert(1)</script><img src=x onerror=alert(2)>"'&"#;

#[tokio::test]
async fn a_genesy_webhook_is_added_with_all_its_fields_and_edited() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let browser = Browser::with_key(&world, &key).await;
    let form = browser.page("/dashboard/webhooks/new").await;
    for words in [
        "Identifier for your webhook subscription",
        "X-Webhook-Secret",
        "Campaign ids",
        "Custom fields",
        "MESSAGE_REPLIED",
    ] {
        assert!(form.contains(words), "{words}");
    }
    let fields = [
        ("name", "CRM"),
        ("url", "https://crm.example.com/hooks"),
        ("events", "MESSAGE_REPLIED"),
        ("events", "EMAIL_SENT"),
        ("secret", "correct horse"),
        ("campaignIds", "7\r\nspring\r\n\r\n"),
        ("customFields", "leadScore\nindustry"),
        ("enabled", "on"),
        ("ownPolicy", "on"),
        ("delays", "1s, 2m"),
        ("jitter", "0.5"),
        ("timeoutMs", "5000"),
        ("rateLimit", "10"),
        ("headers", "X-Team: sales\nX-Two: a: b"),
        ("description", "Replies"),
    ];
    let (path, page) = browser.do_form("/dashboard/webhooks/new", &fields).await;
    assert!(page.contains("Webhook created.") && !page.contains("correct horse"), "{page}");
    assert!(!browser.page(&path).await.contains("Webhook created."), "it is said once");
    let id: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
    let api = format!("/v1/webhooks/{id}");
    let made = world.get(&key, &api).await.data();
    let expected = json!({
        "name": "CRM", "description": "Replies", "url": "https://crm.example.com/hooks", "events": ["MESSAGE_REPLIED", "EMAIL_SENT"],
        "campaignIds": ["7", "spring"], "customFields": ["leadScore", "industry"], "enabled": true, "hasSecret": true,
        "headers": ["X-Team", "X-Two"], "retryPolicy": {"delays": ["1s", "2m"], "jitter": 0.5}, "timeoutMs": 5000,
        "rateLimit": {"perSecond": 10},
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    // A number stays a number when the list is left as it is.
    world.patch(&key, &api, json!({"campaignIds": [7]})).await;
    let edit = browser.page(&format!("/dashboard/webhooks/{id}/edit")).await;
    assert!(edit.contains(r#"value="1s, 2m""#) && edit.contains("X-Team") && !edit.contains("correct horse"), "{edit}");
    let fields = [
        ("name", "CRM 2"),
        ("url", "https://crm.example.com/hooks"),
        ("events", "EMAIL_SENT"),
        ("campaignIds", "7"),
        ("timeoutMs", ""),
    ];
    browser.do_form(&format!("/dashboard/webhooks/{id}/edit"), &fields).await;
    let changed = world.get(&key, &api).await.data();
    let expected = json!({
        "name": "CRM 2", "description": null, "events": ["EMAIL_SENT"], "campaignIds": [7], "customFields": [], "enabled": false,
        "hasSecret": true, "headers": ["X-Team", "X-Two"], "retryPolicy": {"delays": ["30s", "5m", "50m"], "jitter": 0.0},
        "timeoutMs": 15000, "rateLimit": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    let fields = [
        ("name", "CRM 2"),
        ("url", "https://crm.example.com/hooks"),
        ("events", "EMAIL_SENT"),
        ("noSecret", "on"),
        ("noHeaders", "on"),
    ];
    browser.do_form(&format!("/dashboard/webhooks/{id}/edit"), &fields).await;
    let changed = world.get(&key, &api).await.data();
    assert_eq!((&changed["hasSecret"], &changed["headers"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn snailys_form_has_snailys_fields_and_standard_shows_its_secret_once() {
    let world = World::new();
    let (_, key) = world.workspace("snaily").await;
    let browser = Browser::with_key(&world, &key).await;
    let form = browser.page("/dashboard/webhooks/new").await;
    for words in ["Endpoint URL", "Secret verification token", "X-Snaily-Token", "contact.replied"] {
        assert!(form.contains(words), "{words}");
    }
    assert!(!form.contains("Custom fields") && !form.contains("MESSAGE_REPLIED"));
    let fields = [("url", "https://in.example.com/x"), ("events", "contact.replied"), ("enabled", "on")];
    let (_, page) = browser.do_form("/dashboard/webhooks/new", &fields).await;
    assert!(page.contains("in.example.com"), "the host stands in for the name");

    let (_, key) = world.workspace("standard").await;
    let browser = Browser::with_key(&world, &key).await;
    let fields = [
        ("name", "s"),
        ("url", "https://in.example.com/x"),
        ("events", "invoice.paid\ninvoice.sent"),
        ("enabled", "on"),
    ];
    let (path, page) = browser.do_form("/dashboard/webhooks/new", &fields).await;
    assert!(page.contains("whsec_"), "{page}");
    assert!(!browser.page(&path).await.contains("whsec_"));
    let (_, page) = browser.do_form(&format!("{path}/rotate"), &[]).await;
    assert!(page.contains("whsec_") && page.contains("Secret rotated"), "{page}");
    assert!(!browser.page(&path).await.contains("whsec_"));
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_words_of_the_api_and_what_was_written_stays() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let browser = Browser::with_key(&world, &key).await;
    let fields = [("name", "Mine"), ("url", "http://127.0.0.1/x"), ("secret", "short"), ("timeoutMs", "soon")];
    let answer = browser.submit("/dashboard/webhooks/new", &fields).await;
    assert_eq!(answer.status, 422);
    let wrong =
        json!({"name": "Mine", "url": "http://127.0.0.1/x", "secret": "short", "timeoutMs": "soon", "events": []});
    let said = world.post(&key, "/v1/webhooks", &wrong).await;
    for fault in said.json()["errors"].as_array().unwrap() {
        assert!(answer.text.contains(&text(&fault["message"])), "{fault}: {}", answer.text);
    }
    assert!(answer.text.contains(r#"value="Mine""#) && !answer.text.contains(r#"value="short""#));
    // Past the types, the rest is wrong too.
    let fields = [("name", "Mine"), ("url", "http://127.0.0.1/x"), ("secret", "short"), ("headers", "Host: x")];
    let answer = browser.submit("/dashboard/webhooks/new", &fields).await;
    for words in ["must name at least one event type", "must have 8 to 256 characters", "is set by Postrider"] {
        assert!(answer.text.contains(words), "{words}: {}", answer.text);
    }
    assert_eq!(world.get(&key, "/v1/webhooks").await.json()["meta"]["total"], 0);
}

#[tokio::test]
async fn a_webhook_is_switched_off_and_on_and_deleted_after_a_question() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, "https://example.com/hook").await;
    let browser = Browser::with_key(&world, &key).await;
    let list = browser.page("/").await;
    assert!(
        list.contains("https://example.com/hook") && list.contains(&format!("/dashboard/webhooks/{hook}")),
        "{list}"
    );
    let path = format!("/dashboard/webhooks/{hook}");
    for (to, enabled) in [("off", false), ("on", true)] {
        browser.do_form(&format!("{path}/switch"), &[("to", to)]).await;
        assert_eq!(world.get(&key, &format!("/v1/webhooks/{hook}")).await.data()["enabled"], enabled);
    }
    assert!(browser.page(&format!("{path}/delete")).await.contains("Delete h?"));
    assert_eq!(world.get(&key, &format!("/v1/webhooks/{hook}")).await.status, 200, "a question deletes nothing");
    let (to, page) = browser.do_form(&format!("{path}/delete"), &[]).await;
    assert_eq!(to, "/");
    assert!(page.contains("Webhook deleted."));
    assert_eq!(world.get(&key, &format!("/v1/webhooks/{hook}")).await.status, 404);
    assert_eq!(browser.open(&path).await.status, 404);
}

#[tokio::test]
async fn a_test_shows_what_was_sent_and_what_to_check() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    // Nobody listens there.
    let hook = world.webhook(&key, "http://127.0.0.1:9/").await;
    world.patch(&key, &format!("/v1/webhooks/{hook}"), json!({"secret": "correct horse"})).await;
    let browser = Browser::with_key(&world, &key).await;
    let answer = browser.submit(&format!("/dashboard/webhooks/{hook}/test"), &[("eventType", "MESSAGE_REPLIED")]).await;
    assert_eq!(answer.status, 200);
    for words in
        ["connect", "verify your URL is publicly accessible", "MESSAGE_REPLIED", "x-webhook-secret: ***", "None came."]
    {
        assert!(answer.text.contains(words), "{words}: {}", answer.text);
    }
    assert!(!answer.text.contains("correct horse"));
    let log = browser.page(&format!("/dashboard/webhooks/{hook}")).await;
    assert!(log.contains("failed") && log.contains("MESSAGE_REPLIED"), "{log}");
    let answer = browser.submit(&format!("/dashboard/webhooks/{hook}/test"), &[("eventType", HOSTILE)]).await;
    assert_eq!(answer.status, 422);
    assert!(!answer.text.contains("<script>alert"));
}

#[tokio::test]
async fn a_key_that_only_reads_sees_no_buttons_and_may_press_none() {
    let world = World::new();
    let (id, all) = world.workspace("genesy").await;
    let hook = world.webhook(&all, "https://example.com/").await;
    let reader = world.key(&id, &["READ"]).await;
    let browser = Browser::with_key(&world, &reader).await;
    let page = browser.page(&format!("/dashboard/webhooks/{hook}")).await;
    for action in ["/switch", "/delete", "/test", "/replay", "/edit"] {
        assert!(!page.contains(action), "{action}");
    }
    for action in ["switch", "delete", "test", "replay", "edit", "rotate"] {
        let answer = browser.submit(&format!("/dashboard/webhooks/{hook}/{action}"), &[]).await;
        assert_eq!(answer.status, 403, "{action}");
    }
    assert_eq!(browser.submit("/dashboard/webhooks/new", &[]).await.status, 403);
}

#[tokio::test]
async fn what_belongs_to_another_workspace_is_not_there() {
    let world = World::new();
    let (_, mine) = world.workspace("genesy").await;
    let (_, theirs) = world.workspace("genesy").await;
    let hook = world.webhook(&mine, "https://example.com/").await;
    let browser = Browser::with_key(&world, &theirs).await;
    for page in ["", "/edit", "/delete", "/replay"] {
        assert_eq!(browser.open(&format!("/dashboard/webhooks/{hook}{page}")).await.status, 404, "{page}");
    }
    for action in ["switch", "delete", "test", "edit", "rotate", "replay"] {
        let answer = browser.submit(&format!("/dashboard/webhooks/{hook}/{action}"), &[("to", "off")]).await;
        assert_eq!(answer.status, 404, "{action}");
    }
    assert_eq!(world.get(&mine, &format!("/v1/webhooks/{hook}")).await.data()["enabled"], true);
    assert_eq!(browser.open("/dashboard/webhooks/%3Cb%3E").await.status, 404);
}

#[tokio::test]
async fn names_urls_and_descriptions_are_text() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let hostile = json!({"name": HOSTILE, "url": "https://example.com/?q=<script>\"'", "events": ["POST_LIKED"], "description": HOSTILE,
        "campaignIds": [HOSTILE], "customFields": [HOSTILE]});
    let made = world.post(&key, "/v1/webhooks", &hostile).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let hook = &made.data()["id"];
    let browser = Browser::with_key(&world, &key).await;
    for path in [
        "/".to_owned(),
        format!("/dashboard/webhooks/{hook}"),
        format!("/dashboard/webhooks/{hook}/edit"),
        format!("/dashboard/webhooks/{hook}/delete"),
    ] {
        let page = browser.page(&path).await;
        assert!(page.contains("&lt;script&gt;alert(1)"), "{path}");
        assert!(!page.contains("<script>") && !page.contains("<img"), "{path}");
    }
    let answer = browser
        .submit(
            "/dashboard/webhooks/new",
            &[("name", HOSTILE), ("url", HOSTILE), ("events", HOSTILE), ("delays", HOSTILE)],
        )
        .await;
    assert_eq!(answer.status, 422);
    assert!(!answer.text.contains("<script>") && !answer.text.contains("<img"));
    let uri = "/dashboard/events?id=%3Cscript%3Ealert(1)%3C/script%3E&%3Cscript%3E=1";
    let answer = browser.open(uri).await;
    assert_eq!(answer.status, 422);
    assert!(!answer.text.contains("<script>"));
    assert!(!answer.headers.contains_key(header::LOCATION));
}
