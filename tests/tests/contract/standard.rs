//! The profile `standard` and signatures on any webhook: Standard Webhooks 1.0, checked with code that is not ours.

mod official;

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use postrider_tests::{Request, millis, within};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, is_time, keys, none_wrong, slow_policy};

/// The secret of the specification's published vector.
const OWN_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn invoice(id: &str) -> Value {
    json!({ "id": id, "type": "invoice.paid", "data": { "amount": 12.50, "name": "Zoë" } })
}

/// Makes a webhook; the whole answer.
fn made(stage: &Stage, more: &Value) -> Value {
    let mut webhook = json!({ "name": "crm", "url": stage.receiver.url("/"), "events": ["invoice.paid"] });
    webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.client.post("/v1/webhooks", &webhook).expect(201).data().clone()
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}"))
}

/// One delivered request, signed with what the webhook signs with now.
fn delivered(stage: &Stage, id: &str) -> Request {
    let before = stage.receiver.count();
    stage.publish(&invoice(id));
    stage.wait_for_requests(before + 1).pop().unwrap()
}

fn signatures(request: &Request) -> Vec<&str> {
    request.header("webhook-signature").split(' ').collect()
}

/// Whether the official library for Rust takes the request.
fn verifies(request: &Request, secret: &str) -> bool {
    let headers = request.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    standardwebhooks::Webhook::new(secret).unwrap().verify(&request.body, &headers).is_ok()
}

/// Whether one of the request's signatures is by the key of this `whpk_…`, as an independent library has it.
fn verifies_publicly(request: &Request, public_key: &str) -> bool {
    let key = BASE64.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap();
    let head = format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp"));
    let message = [head.as_bytes(), &request.body].concat();
    let of_scheme = signatures(request).into_iter().filter_map(|signature| signature.strip_prefix("v1a,"));
    of_scheme
        .map(|signature| BASE64.decode(signature).unwrap())
        .any(|signature| UnparsedPublicKey::new(&ED25519, &key).verify(&message, &signature).is_ok())
}

#[expect(clippy::disallowed_methods, reason = "a receiver compares timestamps with a clock of its own")]
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_webhook_signs_with_a_secret_that_is_told_once() {
    let stage = Stage::new("standard");
    let webhook = made(&stage, &json!({}));
    let secret = text(&webhook["signingSecret"]).to_owned();
    let bytes = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    assert!((24..=64).contains(&bytes.len()));
    assert_eq!(webhook["signing"], json!({ "scheme": "v1" }));
    assert_eq!((&webhook["hasSecret"], &webhook["signingPublicKey"]), (&json!(true), &Value::Null));
    assert_eq!(webhook["retryPolicy"]["jitter"], 0.1);
    let delays = json!(["5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"]);
    assert_eq!(webhook["retryPolicy"]["delays"], delays);

    let request = delivered(&stage, "order_1:a-B");
    assert_eq!(request.header("webhook-id"), "order_1:a-B");
    assert!(seconds_now().abs_diff(request.header("webhook-timestamp").parse().unwrap()) < 30);
    assert!(verifies(&request, &secret));
    assert!(!verifies(&request, OWN_SECRET));
    let other_body = Request { body: b"{}".into(), ..request.clone() };
    assert!(!verifies(&other_body, &secret));
    assert_eq!(request.header("postrider-event-id"), "order_1:a-B");

    for answer in [stage.client.get(&path_of(&webhook)), stage.client.get("/v1/webhooks")] {
        assert!(!answer.expect(200).text.contains("whsec_"), "never again");
    }
    let patched = stage.client.patch(&path_of(&webhook), &json!({ "name": "new" })).expect(200);
    assert!(patched.data().get("signingSecret").is_none(), "it was not made now");
}

#[test]
fn the_body_is_type_timestamp_and_data_byte_for_byte() {
    let stage = Stage::new("standard");
    made(&stage, &json!({ "events": ["user.Created_v2-x"] }));
    let event =
        br#"{"type":"user.Created_v2-x","created":"2026-02-19T11:30:00+01:00","data":{ "b" : 1.50, "a":"\u00eb" }}"#;
    let answer = stage.client.post_raw("/v1/events", "application/json", event).expect(202);
    assert_eq!(answer.data()["deliveries"], 1);
    let request = stage.wait_for_requests(1).pop().unwrap();
    let body =
        r#"{"type":"user.Created_v2-x","timestamp":"2026-02-19T10:30:00.000Z","data":{ "b" : 1.50, "a":"\u00eb" }}"#;
    assert_eq!(request.text(), body);
}

#[test]
fn any_type_can_be_published_and_subscribed_to_whose_name_fits() {
    let stage = Stage::new("standard");
    let mut wrong = Vec::new();
    let longest = "x".repeat(128);
    for name in ["a", "A.b_c-9", &longest] {
        made(&stage, &json!({ "events": [name] }));
        let answer = stage.client.post("/v1/events", &json!({ "type": name, "data": {} }));
        if answer.status != 202 || answer.data()["deliveries"] != 1 {
            wrong.push(format!("{name}: {}", answer.text));
        }
    }
    for name in ["", "a b", "a/b", "a:b", "ü", &"x".repeat(129)] {
        let webhook = json!({ "name": "crm", "url": stage.receiver.url("/"), "events": [name] });
        let answers = [
            (stage.client.post("/v1/events", &json!({ "type": name, "data": {} })), "type"),
            (stage.client.post("/v1/webhooks", &webhook), "events[0]"),
        ];
        for (answer, field) in answers {
            let shape = error_shape(&answer, 422);
            if shape.is_err() || answer.fields() != [field] {
                wrong.push(format!("{name:?}: {}", answer.text));
            }
        }
    }
    none_wrong(wrong);
    let types = stage.client.get("/v1/event-types").expect(200);
    assert!(types.text.contains("[A-Za-z0-9._-]{1,128}"), "{}", types.text);
}

#[test]
fn each_attempt_has_the_id_of_the_event_and_a_timestamp_and_signature_of_its_own() {
    let stage = Stage::failing("standard", 500);
    let webhook = made(&stage, &json!({ "retryPolicy": { "delays": ["1200ms"] } }));
    stage.publish(&invoice("order-1"));
    let requests = stage.wait_for_requests(2);
    let [first, second] = &*requests else { panic!("two attempts") };
    let stamp = |request: &Request| request.header("webhook-timestamp").parse::<u64>().unwrap();
    assert!(stamp(second) > stamp(first));
    assert_ne!(first.header("webhook-signature"), second.header("webhook-signature"));
    for request in &requests {
        assert_eq!((request.header("webhook-id"), &request.body), ("order-1", &first.body));
        assert!(verifies(request, text(&webhook["signingSecret"])));
    }
}

#[test]
fn a_publisher_can_bring_a_secret_of_its_own() {
    let stage = Stage::new("standard");
    let webhook = made(&stage, &json!({ "secret": OWN_SECRET }));
    assert!(webhook.get("signingSecret").is_none(), "whoever gave it has it: {webhook}");
    assert!(verifies(&delivered(&stage, "order-1"), OWN_SECRET));

    // RFC 8032, test 1.
    let seed = "nWGxnf/VumCEr0r0kuwsxESUnFaXsyaRlwO6wDHK5/YA";
    let seed = format!("whsk_{}", BASE64.encode(&BASE64.decode(seed).unwrap()[..32]));
    let changed = stage.client.patch(&path_of(&webhook), &json!({ "secret": seed })).expect(200);
    assert_eq!(changed.data()["signing"], json!({ "scheme": "v1a" }));
    assert!(changed.data().get("signingSecret").is_none());
    let public = text(&changed.data()["signingPublicKey"]).to_owned();
    let request = delivered(&stage, "order-2");
    assert!(verifies_publicly(&request, &public) && signatures(&request).len() == 1);
    assert!(!changed.text.contains("whsk_"));

    let reset = stage.client.patch(&path_of(&webhook), &json!({ "secret": null })).expect(200);
    assert_ne!(reset.data()["signingPublicKey"], public, "the default is a secret that is made");
    assert!(text(&reset.data()["signingSecret"]).starts_with("whsk_"));
}

#[test]
fn a_secret_or_a_scheme_that_cannot_be_used_is_named() {
    let stage = Stage::new("standard");
    let mut wrong = Vec::new();
    for (more, field) in [
        (json!({ "secret": "correct horse battery" }), "secret"),
        (json!({ "secret": "whsec_" }), "secret"),
        (json!({ "secret": "whsec_c2hvcnQ=" }), "secret"),
        (json!({ "secret": "whsec_not base64" }), "secret"),
        (json!({ "secret": "whsk_c2hvcnQ=" }), "secret"),
        (json!({ "secret": "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }), "secret"),
        (json!({ "secret": OWN_SECRET, "signing": { "scheme": "v1a" } }), "signing.scheme"),
        (json!({ "signing": { "scheme": "v2" } }), "signing.scheme"),
        (json!({ "signing": {} }), "signing.scheme"),
        (json!({ "signing": "v1" }), "signing"),
        (json!({ "signing": { "scheme": "v1", "secret": "x" } }), "signing.secret"),
        (json!({ "signingSecret": OWN_SECRET }), "signingSecret"),
        (json!({ "headers": { "Webhook-Signature": "x" } }), "headers.Webhook-Signature"),
        (json!({ "customFields": ["a"] }), "customFields"),
        (json!({ "campaignIds": [1] }), "campaignIds"),
    ] {
        let mut webhook = json!({ "name": "crm", "url": stage.receiver.url("/"), "events": ["a"] });
        webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = stage.client.post("/v1/webhooks", &webhook);
        let is_told = answer.text.contains("correct horse") || answer.text.contains("c2hvcnQ");
        if error_shape(&answer, 422).is_err() || answer.fields() != [field] || is_told {
            wrong.push(format!("{more}: {}", answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_rotated_secret_signs_along_until_its_grace_is_over() {
    let stage = Stage::new("standard");
    let webhook = made(&stage, &json!({}));
    let rotate = format!("{}/rotate-secret", path_of(&webhook));
    let old = text(&webhook["signingSecret"]).to_owned();
    let rotated = stage.client.post(&rotate, &json!({ "gracePeriod": "3s" })).expect(200);
    let at = std::time::Instant::now();
    let new = text(&rotated.data()["signingSecret"]).to_owned();
    assert_ne!(old, new);
    assert_eq!(rotated.data()["signing"], json!({ "scheme": "v1" }));
    let both = delivered(&stage, "order-1");
    if at.elapsed() < Duration::from_secs(2) {
        assert_eq!(signatures(&both).len(), 2, "{}", both.header("webhook-signature"));
        assert!(verifies(&both, &old));
    }
    assert!(verifies(&both, &new));
    std::thread::sleep(Duration::from_millis(3_100).saturating_sub(at.elapsed()));
    let one = delivered(&stage, "order-2");
    assert_eq!(signatures(&one).len(), 1);
    assert!(verifies(&one, &new) && !verifies(&one, &old));

    // Without a body: a day. And `0s`, when a secret was stolen: that one and those before it are told apart.
    let third = stage.client.post(&rotate, &json!({})).expect(200);
    let request = delivered(&stage, "order-3");
    assert!(verifies(&request, &new) && verifies(&request, text(&third.data()["signingSecret"])));
    let fourth = stage.client.post(&rotate, &json!({ "gracePeriod": "0s" })).expect(200);
    let request = delivered(&stage, "order-4");
    assert!(verifies(&request, text(&fourth.data()["signingSecret"])));
    assert!(!verifies(&request, text(&third.data()["signingSecret"])) && verifies(&request, &new));
}

#[test]
fn a_rotation_outlives_a_crash() {
    let stage = Stage::new("standard");
    let webhook = made(&stage, &json!({}));
    let rotated = stage.client.post(&format!("{}/rotate-secret", path_of(&webhook)), &json!({})).expect(200);
    let (key, data) = (stage.client.key().to_owned(), stage.server.data().to_owned());
    stage.server.kill();
    let server = postrider_tests::Server::start(&data);
    server.client(&key).post("/v1/events", &invoice("order-1")).expect(202);
    within(Duration::from_secs(10), "the request", || (stage.receiver.count() >= 1).then_some(()));
    let request = &stage.receiver.requests()[0];
    assert!(verifies(request, text(&webhook["signingSecret"])));
    assert!(verifies(request, text(&rotated.data()["signingSecret"])));
}

#[test]
fn what_cannot_be_rotated_is_refused() {
    let stage = Stage::new("standard");
    let rotate = format!("{}/rotate-secret", path_of(&made(&stage, &json!({}))));
    let mut wrong = Vec::new();
    for body in [
        json!({ "gracePeriod": "1 day" }),
        json!({ "gracePeriod": "31d" }),
        json!({ "gracePeriod": 5 }),
        json!({ "gracePeriod": "" }),
        json!({ "grace": "1h" }),
    ] {
        let answer = stage.client.post(&rotate, &body);
        let field = body.as_object().unwrap().keys().next().unwrap().clone();
        if error_shape(&answer, 422).is_err() || answer.fields() != [field] {
            wrong.push(format!("{body}: {}", answer.text));
        }
    }
    for (path, status) in [("/v1/webhooks/999/rotate-secret", 404), ("/v1/webhooks/x/rotate-secret", 404)] {
        wrong.extend(error_shape(&stage.client.post(path, &json!({})), status).err());
    }
    // One more than the old ones that may sign along.
    for _ in 0..4 {
        stage.client.post(&rotate, &json!({})).expect(200);
    }
    wrong.extend(error_shape(&stage.client.post(&rotate, &json!({})), 409).err());
    let genesy = stage.server.workspace("genesy");
    let webhook = json!({ "name": "crm", "url": stage.receiver.url("/"), "events": ["EMAIL_SENT"] });
    let webhook = genesy.post("/v1/webhooks", &webhook).expect(201).data().clone();
    wrong.extend(error_shape(&genesy.post(&format!("{}/rotate-secret", path_of(&webhook)), &json!({})), 409).err());
    wrong.extend(error_shape(&genesy.post(&rotate, &json!({})), 404).err());
    none_wrong(wrong);
}

#[test]
fn ed25519_signs_with_a_key_whose_public_half_is_always_shown() {
    let stage = Stage::new("standard");
    let webhook = made(&stage, &json!({ "signing": { "scheme": "v1a" } }));
    assert!(text(&webhook["signingSecret"]).starts_with("whsk_"));
    let shown = stage.client.get(&path_of(&webhook)).expect(200);
    assert_eq!(shown.data()["signingPublicKey"], webhook["signingPublicKey"]);
    assert!(!shown.text.contains("whsk_"));
    let public = text(&webhook["signingPublicKey"]).to_owned();
    assert!(verifies_publicly(&delivered(&stage, "order-1"), &public));

    let rotated = stage.client.post(&format!("{}/rotate-secret", path_of(&webhook)), &json!({})).expect(200);
    let fresh = text(&rotated.data()["signingPublicKey"]).to_owned();
    assert_ne!(fresh, public);
    let request = delivered(&stage, "order-2");
    assert!(verifies_publicly(&request, &public) && verifies_publicly(&request, &fresh));

    let back = stage.client.patch(&path_of(&webhook), &json!({ "signing": null })).expect(200);
    assert_eq!((&back.data()["signing"]["scheme"], &back.data()["signingPublicKey"]), (&json!("v1"), &Value::Null));
    let request = delivered(&stage, "order-3");
    assert!(verifies(&request, text(&back.data()["signingSecret"])) && signatures(&request).len() == 1);
}

#[test]
fn webhooks_of_the_other_profiles_sign_beside_their_own_header() {
    for (profile, header, event_type) in
        [("genesy", "x-webhook-secret", "EMAIL_SENT"), ("snaily", "x-snaily-token", "contact.replied")]
    {
        let stage = Stage::new(profile);
        let publish = |id: &str| {
            let data = if profile == "genesy" { email(id)["data"].clone() } else { crate::snaily::reply() };
            let before = stage.receiver.count();
            stage.publish(&json!({ "id": id, "type": event_type, "data": data }));
            stage.wait_for_requests(before + 1).pop().unwrap()
        };
        let plain = made(&stage, &json!({ "events": [event_type], "secret": "correct horse" }));
        assert_eq!((&plain["signing"], plain.get("signingSecret")), (&Value::Null, None));
        let request = publish("one");
        assert!(!request.headers.keys().any(|name| name.starts_with("webhook-")), "{:?}", request.headers);

        let signed = stage.client.patch(&path_of(&plain), &json!({ "signing": { "scheme": "v1" } })).expect(200);
        let request = publish("two");
        assert!(verifies(&request, text(&signed.data()["signingSecret"])));
        assert_eq!((request.header(header), request.header("webhook-id")), ("correct horse", "two"));

        let removed = stage.client.patch(&path_of(&plain), &json!({ "signing": null })).expect(200);
        assert_eq!((&removed.data()["signing"], &removed.data()["hasSecret"]), (&Value::Null, &json!(true)));
        assert_eq!(publish("three").header("webhook-signature"), "");

        let both = made(&stage, &json!({ "events": [event_type], "signing": { "scheme": "v1a" } }));
        assert_eq!(both["hasSecret"], false, "a secret for the header there is none");
        assert!(text(&both["signingPublicKey"]).starts_with("whpk_"));
    }
}

#[test]
fn a_410_switches_the_webhook_off_and_says_so() {
    let stage = Stage::failing("standard", 410);
    let webhook = made(&stage, &slow_policy());
    let id = webhook["id"].as_u64().unwrap();
    stage.publish(&invoice("order-1"));
    let entry = &stage.wait_for_logs(id, 1)[0];
    assert_eq!((&entry["statusCode"], &entry["outcome"]), (&json!(410), &json!("retrying")));
    let message = text(&entry["errorMessage"]);
    assert!(message.starts_with("http_status") && message.contains("switched off"), "{message}");
    assert_eq!(entry["responseBody"], "ok");
    let shown = stage.client.get(&path_of(&webhook)).expect(200);
    assert_eq!(shown.data()["enabled"], false);
    assert!(millis(&shown.data()["updatedAt"]) > millis(&shown.data()["createdAt"]));

    let answer = stage.client.post("/v1/events", &invoice("order-2")).expect(202);
    assert_eq!(answer.data()["deliveries"], 0);
    assert_eq!(stage.wait_for_delivery("order-1", "pending")["attempts"].as_array().unwrap().len(), 1);
    // Off outlives a crash.
    let (key, data) = (stage.client.key().to_owned(), stage.server.data().to_owned());
    stage.server.kill();
    let server = postrider_tests::Server::start(&data);
    assert_eq!(server.client(&key).get(&path_of(&webhook)).expect(200).data()["enabled"], false);
}

#[test]
fn a_test_is_signed_and_its_410_switches_nothing_off() {
    let stage = Stage::failing("standard", 410);
    let webhook = made(&stage, &json!({}));
    let report = stage.client.post(&format!("{}/test", path_of(&webhook)), &json!({})).expect(200);
    assert_eq!(report.data()["statusCode"], 410);
    let request = stage.wait_for_requests(1).pop().unwrap();
    assert!(verifies(&request, text(&webhook["signingSecret"])));
    let shown = &report.data()["request"]["headers"].to_string();
    assert!(shown.contains("webhook-timestamp") && !shown.contains("v1,"), "{shown}");
    assert_eq!(stage.client.get(&path_of(&webhook)).expect(200).data()["enabled"], true);
}

#[test]
fn a_used_up_schedule_ends_exhausted_and_requests_are_shown_without_signatures() {
    let stage = Stage::failing("standard", 500);
    made(&stage, &json!({ "retryPolicy": { "delays": [] } }));
    stage.publish(&invoice("order-1"));
    let delivery = stage.wait_for_delivery("order-1", "exhausted");
    let headers = &delivery["attempts"][0]["request"]["headers"];
    assert_eq!(headers["webhook-id"], "order-1", "{headers}");
    assert_eq!(headers["webhook-signature"], "***");
    assert_eq!(text(&headers["webhook-timestamp"]).len(), 10);
    assert!(is_time(&delivery["attempts"][0]["createdAt"]));
}

#[test]
fn no_secret_is_in_any_file_or_answer() {
    let stage = Stage::new("standard");
    let mut secrets = vec![OWN_SECRET.to_owned()];
    let own = made(&stage, &json!({ "secret": OWN_SECRET }));
    for more in [json!({}), json!({ "signing": { "scheme": "v1a" } })] {
        let webhook = made(&stage, &more);
        let rotated = stage.client.post(&format!("{}/rotate-secret", path_of(&webhook)), &json!({})).expect(200);
        secrets.extend([&webhook, rotated.data()].map(|answer| text(&answer["signingSecret"]).to_owned()));
    }
    stage.publish(&invoice("order-1"));
    stage.wait_for_requests(3);
    let mut answers = Vec::new();
    for path in ["/v1/webhooks", "/v1/deliveries", "/v1/events/order-1", &format!("{}/logs", path_of(&own)), "/metrics"]
    {
        answers.push(stage.client.get(path).expect(200).text);
    }
    let data = stage.server.data().to_owned();
    assert!(stage.server.terminate().success());
    let files = files(&data);
    assert!(files.len() > 2);
    for secret in secrets {
        let bare = secret.split_once('_').unwrap().1;
        let raw = BASE64.decode(bare).unwrap();
        assert!(!answers.iter().any(|answer| answer.contains(bare)));
        for (name, bytes) in &files {
            let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!has(bare.as_bytes()) && !has(&raw) && !has(&raw[..24]), "{name}");
        }
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
            }
        }
    }
    found
}

#[test]
fn a_server_begins_with_a_workspace_of_this_profile() {
    let folder = tempfile::tempdir().unwrap();
    let server = postrider_tests::Server::start_with(folder.path(), &["--init", "standard"], &[]);
    let workspaces = server.admin().get("/v1/workspaces").expect(200);
    assert_eq!(workspaces.data()[0]["profile"], "standard", "{}", workspaces.text);
    assert!(keys(&workspaces.data()[0]).contains(&"name"));
}
