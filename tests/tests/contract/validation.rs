//! What a webhook may not be: each rule by itself, with the field that its error names.

use serde_json::{Value, json};

use crate::{Stage, error_shape, none_wrong};

/// A good webhook of the profile with one member changed or added.
fn webhook(profile: &str, name: &str, value: Value) -> Value {
    let events = if profile == "snaily" { json!(["contact.replied"]) } else { json!(["EMAIL_SENT"]) };
    let mut webhook = json!({ "name": "crm", "url": "https://example.com/in", "events": events });
    webhook[name] = value;
    webhook
}

/// Every case, posted and patched: a 422 that names the field.
fn refused(profile: &str, cases: &[(&str, Value, &str)]) {
    let stage = Stage::new(profile);
    let events = if profile == "snaily" { ["contact.replied"] } else { ["EMAIL_SENT"] };
    let path = format!("/v1/webhooks/{}", stage.webhook(&events, json!({})));
    let mut wrong = Vec::new();
    for (name, value, field) in cases {
        let posted = stage.client.post("/v1/webhooks", &webhook(profile, name, value.clone()));
        let mut answers = vec![("POST", posted)];
        if !value.is_null() {
            answers.push(("PATCH", stage.client.patch(&path, &json!({ *name: value }))));
        }
        for (method, answer) in answers {
            let names_it = answer
                .fields()
                .iter()
                .any(|f| f == field || f.starts_with(&format!("{field}[")) || f.starts_with(&format!("{field}.")));
            if error_shape(&answer, 422).is_err() || !names_it {
                wrong.push(format!("{method} {name}: {value}: {} {}", answer.status, answer.text));
            }
        }
    }
    none_wrong(wrong);
}

fn accepted(profile: &str, cases: &[(&str, Value)]) {
    let stage = Stage::new(profile);
    let mut wrong = Vec::new();
    for (name, value) in cases {
        let answer = stage.client.post("/v1/webhooks", &webhook(profile, name, value.clone()));
        if answer.status != 201 {
            wrong.push(format!("{name}: {value}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn names_urls_and_events_have_rules() {
    refused(
        "genesy",
        &[
            ("name", json!(null), "name"),
            ("name", json!(""), "name"),
            ("name", json!("a".repeat(256)), "name"),
            ("name", json!(7), "name"),
            ("name", json!(["a"]), "name"),
            ("url", json!(null), "url"),
            ("url", json!(""), "url"),
            ("url", json!("example.com/in"), "url"),
            ("url", json!("/in"), "url"),
            ("url", json!("//example.com/in"), "url"),
            ("url", json!("ftp://example.com/"), "url"),
            ("url", json!("file:///etc/passwd"), "url"),
            ("url", json!("javascript:alert(1)"), "url"),
            ("url", json!("https://"), "url"),
            ("url", json!("http://:80/"), "url"),
            ("url", json!("https://user@example.com/"), "url"),
            ("url", json!("https://user:pass@example.com/"), "url"),
            ("url", json!("https://:pass@example.com/"), "url"),
            ("url", json!("https://example.com:99999/"), "url"),
            ("url", json!("https://exa mple.com/"), "url"),
            ("url", json!(5), "url"),
            ("url", json!(format!("https://example.com/{}", "a".repeat(100_000))), "url"),
            ("events", json!(null), "events"),
            ("events", json!([]), "events"),
            ("events", json!("EMAIL_SENT"), "events"),
            ("events", json!({}), "events"),
            ("events", json!([null]), "events"),
            ("events", json!([1]), "events"),
            ("events", json!(["email_sent"]), "events"),
            ("events", json!(["EMAIL_SENT", "contact.replied"]), "events"),
            ("events", json!(["*"]), "events"),
            ("events", json!([""]), "events"),
            ("enabled", json!("true"), "enabled"),
            ("enabled", json!(1), "enabled"),
            ("description", json!(1), "description"),
            ("id", json!(1), "id"),
            ("hasSecret", json!(true), "hasSecret"),
            ("createdAt", json!("2026-01-01T00:00:00.000Z"), "createdAt"),
            ("webhookUrl", json!("x"), "webhookUrl"),
        ],
    );
}

#[test]
fn a_missing_member_is_named() {
    let stage = Stage::new("genesy");
    let answer = stage.client.post("/v1/webhooks", &json!({})).expect(422);
    let mut fields = answer.fields();
    fields.sort_unstable();
    assert!(!fields.is_empty() && fields.iter().all(|f| ["events", "name", "url"].contains(f)), "{}", answer.text);
    for missing in ["name", "url", "events"] {
        let mut body = webhook("genesy", "enabled", json!(true));
        body.as_object_mut().unwrap().remove(missing);
        assert_eq!(stage.client.post("/v1/webhooks", &body).expect(422).fields(), [missing]);
    }
}

#[test]
fn a_bad_event_type_is_named_by_its_place() {
    let stage = Stage::new("genesy");
    let answer = stage
        .client
        .post("/v1/webhooks", &webhook("genesy", "events", json!(["NOPE", "EMAIL_SENT", "NADA"])))
        .expect(422);
    assert!(answer.fields().contains(&"events[0]"), "{}", answer.text);
}

#[test]
fn names_urls_and_events_have_room() {
    accepted(
        "genesy",
        &[
            ("name", json!("a")),
            ("name", json!("é".repeat(255))),
            ("url", json!("http://example.com")),
            ("url", json!("HTTPS://EXAMPLE.COM:1/a?b=c#d")),
            ("url", json!("https://bücher.example/")),
            ("url", json!("https://8.8.8.8/")),
            ("url", json!("https://[2606:4700::1111]:444/")),
            ("url", json!("https://example.com./x")),
            ("url", json!("https://this-does-not-resolve.invalid/")),
            ("description", json!("")),
            ("description", json!(null)),
            ("secret", json!(null)),
            ("campaignIds", json!(null)),
            ("customFields", json!(null)),
            ("retryPolicy", json!(null)),
            ("timeoutMs", json!(null)),
            ("headers", json!(null)),
            ("rateLimit", json!(null)),
            ("enabled", json!(null)),
        ],
    );
}

#[test]
fn a_secret_is_visible_ascii_of_eight_to_256_in_genesy() {
    let bad = [
        "1234567",
        " 12345678",
        "12345678 ",
        "1234\t5678",
        "1234\r\n5678",
        "1234\u{0}5678",
        "1234ü5678",
        "1234\u{7f}5678",
        "        ",
        "",
    ];
    let mut cases: Vec<_> = bad.iter().map(|s| ("secret", json!(s), "secret")).collect();
    cases.push(("secret", json!("a".repeat(257)), "secret"));
    cases.push(("secret", json!(12_345_678), "secret"));
    cases.push(("secret", json!(["12345678"]), "secret"));
    refused("genesy", &cases);
    accepted(
        "genesy",
        &[("secret", json!("12345678")), ("secret", json!("a b c d e!~")), ("secret", json!("a".repeat(256)))],
    );
}

#[test]
fn a_secret_has_one_to_256_characters_in_snaily() {
    let bad = ["", " ", " a", "a ", "a\nb", "ä", "a\u{1b}b"];
    let mut cases: Vec<_> = bad.iter().map(|s| ("secret", json!(s), "secret")).collect();
    cases.push(("secret", json!("a".repeat(257)), "secret"));
    refused("snaily", &cases);
    accepted("snaily", &[("secret", json!("a")), ("secret", json!("a b")), ("secret", json!("~".repeat(256)))]);
}

#[test]
fn what_a_profile_lacks_is_refused_unless_empty() {
    refused(
        "snaily",
        &[
            ("customFields", json!(["a"]), "customFields"),
            ("events", json!(["EMAIL_SENT"]), "events"),
            ("name", json!(""), "name"),
            ("campaignIds", json!([true]), "campaignIds"),
        ],
    );
    accepted("snaily", &[("customFields", json!([])), ("customFields", json!(null)), ("campaignIds", json!(["a", 1]))]);
}

#[test]
fn campaigns_and_custom_fields_have_types() {
    refused(
        "genesy",
        &[
            ("campaignIds", json!("7"), "campaignIds"),
            ("campaignIds", json!(7), "campaignIds"),
            ("campaignIds", json!([null]), "campaignIds"),
            ("campaignIds", json!([true]), "campaignIds"),
            ("campaignIds", json!([[7]]), "campaignIds"),
            ("campaignIds", json!([{ "id": 7 }]), "campaignIds"),
            ("customFields", json!("a"), "customFields"),
            ("customFields", json!([1]), "customFields"),
            ("customFields", json!([null]), "customFields"),
            ("customFields", json!({ "a": 1 }), "customFields"),
        ],
    );
}

#[test]
fn a_retry_policy_has_limits() {
    let delays = |d: Value| json!({ "delays": d });
    refused(
        "genesy",
        &[
            ("retryPolicy", json!("30s"), "retryPolicy"),
            ("retryPolicy", json!([]), "retryPolicy"),
            ("retryPolicy", json!({}), "retryPolicy.delays"),
            ("retryPolicy", delays(json!(null)), "retryPolicy.delays"),
            ("retryPolicy", delays(json!("30s")), "retryPolicy.delays"),
            ("retryPolicy", delays(json!(vec!["1s"; 65])), "retryPolicy.delays"),
            ("retryPolicy", delays(json!([30])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["1s", "30"])), "retryPolicy.delays[1]"),
            ("retryPolicy", delays(json!(["s"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!([""])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["0s"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["-1s"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["0.5ms"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["31d"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["721h"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["2592000001ms"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["1w"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["1e3s"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["99999999999999999999d"])), "retryPolicy.delays[0]"),
            ("retryPolicy", delays(json!(["5µs"])), "retryPolicy.delays[0]"),
            ("retryPolicy", json!({ "delays": [], "jitter": -0.1 }), "retryPolicy.jitter"),
            ("retryPolicy", json!({ "delays": [], "jitter": 1.1 }), "retryPolicy.jitter"),
            ("retryPolicy", json!({ "delays": [], "jitter": "0" }), "retryPolicy.jitter"),
            ("retryPolicy", json!({ "delays": ["1s"], "max": 5 }), "retryPolicy.max"),
        ],
    );
    accepted(
        "genesy",
        &[
            ("retryPolicy", delays(json!([]))),
            ("retryPolicy", delays(json!(vec!["30d"; 64]))),
            ("retryPolicy", delays(json!(["1ms", "1s", "1m", "1h", "1d", "2592000000ms", "720h"]))),
            ("retryPolicy", json!({ "delays": ["1s"], "jitter": 0 })),
            ("retryPolicy", json!({ "delays": ["1s"], "jitter": 1 })),
            ("retryPolicy", json!({ "delays": ["1s"], "jitter": 0.333 })),
        ],
    );
}

#[test]
fn timeouts_and_rates_have_limits() {
    refused(
        "genesy",
        &[
            ("timeoutMs", json!(999), "timeoutMs"),
            ("timeoutMs", json!(60_001), "timeoutMs"),
            ("timeoutMs", json!(-1), "timeoutMs"),
            ("timeoutMs", json!(1500.5), "timeoutMs"),
            ("timeoutMs", json!("15s"), "timeoutMs"),
            ("timeoutMs", json!(u64::MAX), "timeoutMs"),
            ("timeoutMs", json!(1e300), "timeoutMs"),
            ("rateLimit", json!(5), "rateLimit"),
            ("rateLimit", json!({}), "rateLimit.perSecond"),
            ("rateLimit", json!({ "perSecond": 0 }), "rateLimit.perSecond"),
            ("rateLimit", json!({ "perSecond": -1 }), "rateLimit.perSecond"),
            ("rateLimit", json!({ "perSecond": "5" }), "rateLimit.perSecond"),
            ("rateLimit", json!({ "perSecond": 5, "burst": 1 }), "rateLimit.burst"),
        ],
    );
    accepted(
        "genesy",
        &[("timeoutMs", json!(1000)), ("timeoutMs", json!(60_000)), ("rateLimit", json!({ "perSecond": 1 }))],
    );
}

#[test]
fn headers_that_are_ours_or_could_smuggle_are_refused() {
    let mut cases = Vec::new();
    for name in [
        "Host",
        "hOsT",
        "Content-Type",
        "content-length",
        "CONTENT-ENCODING",
        "Content-Anything",
        "Connection",
        "connection",
        "Transfer-Encoding",
        "transfer-encoding",
        "Postrider-Attempt",
        "postrider-anything",
        "webhook-id",
        "Webhook-Signature",
        "X-Webhook-Secret",
        "x-webhook-secret",
        "",
        "with space",
        "with:colon",
        "with\r\nline",
        "ümlaut",
        "with\u{0}null",
        "tab\t",
        "(paren)",
    ] {
        cases.push(("headers", json!({ name: "value" }), "headers"));
    }
    for value in ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\u{0}b", "a\u{7f}", "ü", "\u{1b}[0m"] {
        cases.push(("headers", json!({ "X-Good": value }), "headers"));
    }
    cases.push(("headers", json!({ "X-Number": 5 }), "headers"));
    cases.push(("headers", json!({ "X-Null": null }), "headers"));
    cases.push(("headers", json!(["X-A"]), "headers"));
    cases.push(("headers", json!("X-A: b"), "headers"));
    cases.push(("headers", json!({ "X-Twice": "1", "x-twice": "2" }), "headers"));
    let many: serde_json::Map<_, _> = (0..21).map(|n| (format!("X-{n}"), json!("v"))).collect();
    cases.push(("headers", json!(many), "headers"));
    refused("genesy", &cases);
    let twenty: serde_json::Map<_, _> = (0..20).map(|n| (format!("X-{n}"), json!("v"))).collect();
    accepted(
        "genesy",
        &[
            ("headers", json!({})),
            ("headers", json!(twenty)),
            ("headers", json!({ "Authorization": "Bearer x", "X-Snaily-Token": "other profile's" })),
            ("headers", json!({ "X-Empty": "" })),
        ],
    );
    refused(
        "snaily",
        &[("headers", json!({ "x-snaily-token": "v" }), "headers"), ("headers", json!({ "HOST": "v" }), "headers")],
    );
}

#[test]
fn a_message_never_repeats_a_secret_or_a_header() {
    let stage = Stage::new("genesy");
    let path = format!("/v1/webhooks/{}", stage.webhook(&["EMAIL_SENT"], json!({})));
    let bodies = [
        json!({ "secret": "hush\nhush-hush" }),
        json!({ "secret": ["hush-hush"] }),
        json!({ "secret": { "hush-hush": "hush-hush" } }),
        json!({ "headers": { "X-A": "hush-hush\r\n" } }),
        json!({ "headers": { "Host": "hush-hush" } }),
        json!({ "headers": ["hush-hush"] }),
        json!({ "headers": "hush-hush" }),
        json!({ "headers": { "X-A": ["hush-hush"] } }),
        json!({ "secret": "hush-hush is fine", "timeoutMs": 5 }),
        json!({ "url": "https://user:hush-hush@example.com/" }),
    ];
    for body in bodies {
        let answer = stage.client.patch(&path, &body).expect(422);
        assert!(!answer.text.contains("hush-hush"), "{body}: {}", answer.text);
    }
    let mut half =
        stage.client.post_raw("/v1/webhooks", "application/json", br#"{"secret":"hush-hush","name":hush-hush"#);
    assert!(half.status == 400 && !half.text.contains("hush-hush"), "{}", half.text);
    half = stage.client.post_raw(
        "/v1/webhooks",
        "application/json",
        br#"{"name":"a","secret":"hush-hush","secret":"hush-hush"}"#,
    );
    assert!(matches!(half.status, 400 | 422) && !half.text.contains("hush-hush"), "{}", half.text);
}
