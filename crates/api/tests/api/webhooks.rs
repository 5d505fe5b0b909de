//! Webhooks: what is taken, what is shown, what `null` means.

use serde_json::{Value, json};

use crate::support::World;

fn settings(more: Value) -> Value {
    let mut settings = json!({"name": "CRM", "url": "https://example.com/hook", "events": ["MESSAGE_REPLIED"]});
    for (name, value) in more.as_object().expect("an object") {
        settings[name] = value.clone();
    }
    settings
}

#[tokio::test]
async fn a_new_webhook_has_the_defaults_of_its_profile() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let made = world.post(&key, "/v1/webhooks", settings(json!({}))).await;
    assert_eq!(made.json()["status"], "success");
    let mut data = made.data();
    for name in ["createdAt", "updatedAt"] {
        let time = data[name].take();
        assert!(time.as_str().is_some_and(|t| t.len() == 24 && t.ends_with('Z')), "{time}");
    }
    let expected = json!({
        "id": 1, "name": "CRM", "description": null, "url": "https://example.com/hook", "events": ["MESSAGE_REPLIED"],
        "campaignIds": [], "customFields": [], "enabled": true, "failingSince": null, "hasSecret": false, "headers": [],
        "retryPolicy": {"delays": ["30s", "5m", "50m"], "jitter": 0.0}, "timeoutMs": 15000, "rateLimit": null, "ordered": false,
        "signing": null, "signingPublicKey": null,
        "createdAt": null, "updatedAt": null,
    });
    assert_eq!(data, expected);
}

#[tokio::test]
async fn null_sets_the_default_and_what_is_absent_stays() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let full = settings(json!({
        "description": "d", "campaignIds": [7, "7b", 1.5], "customFields": ["industry"], "enabled": false,
        "secret": "correct horse", "headers": {"X-B": "2", "X-A": ""}, "timeoutMs": 1000,
        "retryPolicy": {"delays": ["1500ms", "24h"], "jitter": 0.25}, "rateLimit": {"perSecond": 9},
    }));
    let made = world.post(&key, "/v1/webhooks", full).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for hidden in ["correct horse", "\"2\""] {
        assert!(!made.text.contains(hidden), "{}", made.text);
    }
    let data = made.data();
    assert_eq!(data["campaignIds"], json!([7, "7b", 1.5]));
    assert_eq!(data["headers"], json!(["X-A", "X-B"]));
    assert_eq!(data["retryPolicy"], json!({"delays": ["1500ms", "24h"], "jitter": 0.25}));
    assert_eq!((&data["hasSecret"], &data["rateLimit"]), (&json!(true), &json!({"perSecond": 9})));

    let path = format!("/v1/webhooks/{}", data["id"]);
    let same = world.patch(&key, &path, "{}").await.data();
    let unchanged = |mut value: Value| {
        value["updatedAt"].take();
        value
    };
    assert_eq!(unchanged(same), unchanged(data));
    let nulls = json!({"description": null, "campaignIds": null, "customFields": null, "enabled": null, "secret": null,
        "headers": null, "retryPolicy": null, "timeoutMs": null, "rateLimit": null});
    let reset = world.patch(&key, &path, nulls).await.data();
    assert_eq!(reset["retryPolicy"], json!({"delays": ["30s", "5m", "50m"], "jitter": 0.0}));
    for (name, value) in [
        ("description", json!(null)),
        ("campaignIds", json!([])),
        ("customFields", json!([])),
        ("enabled", json!(true)),
        ("hasSecret", json!(false)),
        ("headers", json!([])),
        ("timeoutMs", json!(15000)),
        ("rateLimit", json!(null)),
        ("name", json!("CRM")),
    ] {
        assert_eq!(reset[name], value, "{name}");
    }
    for name in ["name", "url", "events"] {
        let answer = world.patch(&key, &path, json!({name: null})).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![name.to_owned()]));
    }
    assert_eq!(world.delete(&key, &path).await.status, 204);
    for answer in [world.get(&key, &path).await, world.delete(&key, &path).await, world.patch(&key, &path, "{}").await]
    {
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn a_campaigns_number_is_shown_as_it_was_given() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let body = r#"{"name":"h","url":"https://example.com","events":["POST_LIKED"],"campaignIds":[1.50,12345678901234567890,"\u00e9"]}"#;
    let made = world.post(&key, "/v1/webhooks", body).await;
    assert!(made.text.contains(r#""campaignIds":[1.50,12345678901234567890,"é"]"#), "{}", made.text);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_by_name_and_not_repeated() {
    let world = World::new();
    let (_, genesy) = world.workspace("genesy").await;
    let (_, snaily) = world.workspace("snaily").await;
    for (more, field) in [
        (json!({"secret": "short"}), "secret"),
        (json!({"secret": "line\r\nbreak"}), "secret"),
        (json!({"secret": " leading space"}), "secret"),
        (json!({"secret": "x".repeat(257)}), "secret"),
        (json!({"secret": "schlüssel-x"}), "secret"),
        (json!({"headers": {"X-A": "a\r\nX-B: b"}}), "headers.X-A"),
        (json!({"headers": {"X A": "v"}}), "headers"),
        (json!({"headers": {"Host": "v"}}), "headers.Host"),
        (json!({"headers": {"content-length": "1"}}), "headers.content-length"),
        (json!({"headers": {"Postrider-Attempt": "1"}}), "headers.Postrider-Attempt"),
        (json!({"headers": {"x-webhook-secret": "v"}}), "headers.x-webhook-secret"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(256)}), "name"),
        (json!({"events": []}), "events"),
        (json!({"events": ["MESSAGE_REPLIED", "contact.replied"]}), "events[1]"),
    ] {
        let answer = world.post(&genesy, "/v1/webhooks", settings(more.clone())).await;
        assert_eq!(answer.status, 422, "{more}");
        assert_eq!(answer.fields(), [field], "{more}");
        assert!(!answer.text.contains("X-B: b") && !answer.text.contains("line"), "{}", answer.text);
    }
    let nameless = json!({"url": "https://crm.example.com/x", "events": ["contact.replied"], "secret": "s"});
    assert_eq!(world.post(&snaily, "/v1/webhooks", nameless).await.data()["name"], "crm.example.com");
    let foreign = json!({"url": "https://crm.example.com/x", "events": ["contact.replied"], "customFields": ["a"]});
    assert_eq!(world.post(&snaily, "/v1/webhooks", foreign).await.fields(), ["customFields"]);
}

#[tokio::test]
async fn no_spelling_of_a_private_address_gets_in() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let kept = world.webhook(&key, "https://example.com/").await;
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://１２７.0.0.1/",
        "http://127.0.0.1./",
        "http://%31%32%37.0.0.1/",
        "ftp://example.com/",
        "/relative",
        "example.com",
        "http://user@example.com/",
        "http://:pw@example.com/",
        "http:///",
        "",
    ] {
        let answer = world.post(&key, "/v1/webhooks", settings(json!({"url": url}))).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["url".to_owned()]), "{url}");
        let answer = world.patch(&key, &format!("/v1/webhooks/{kept}"), json!({"url": url})).await;
        assert_eq!(answer.status, 422, "{url}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_refused_address_is_warned_of() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let made = world.post(&key, "/v1/webhooks", settings(json!({"url": "http://localhost:9/"}))).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.data()["warnings"][0].is_string(), "{}", made.text);
}
