//! What the receiver sees: headers, bodies byte for byte, what counts as success, what changes between attempts.

use std::time::Duration;

use postrider_tests::{Reaction, Request, millis};
use serde_json::{Value, json};

use crate::snaily::reply;
use crate::{GENESY_TYPES, SNAILY_TYPES, Stage, email, in_order, none_wrong};

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn a_request_has_the_documented_headers() {
    for (profile, event, header) in [
        ("genesy", json!({ "id": "e1", "type": "EMAIL_SENT", "data": {} }), "x-webhook-secret"),
        ("snaily", json!({ "id": "e1", "type": "contact.replied", "data": reply() }), "x-snaily-token"),
    ] {
        let stage = Stage::new(profile);
        let types = [event["type"].as_str().unwrap()];
        stage.webhook_at(
            "/with?a=b&c=%20",
            &types,
            json!({ "secret": "correct horse", "headers": { "X-Team": "sales", "Authorization": "Bearer t" } }),
        );
        stage.publish(&event);
        let request = &stage.wait_for_requests(1)[0];
        assert_eq!(request.path, "/with?a=b&c=%20");
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-team", "sales"),
            ("authorization", "Bearer t"),
            (header, "correct horse"),
            ("postrider-event-id", "e1"),
            ("postrider-attempt", "1"),
        ] {
            assert_eq!(request.header(name), value, "{profile} {name}");
        }
        assert_eq!(request.header("postrider-delivery-id"), stage.delivery_of("e1"));
        assert!(request.header("user-agent").starts_with("Postrider/"), "{}", request.header("user-agent"));
        assert_eq!(request.header("content-length"), request.body.len().to_string());
        assert!(request.header("host").starts_with("127.0.0.1:"));
        assert!(!request.headers.contains_key("transfer-encoding"));

        let bare = Stage::new(profile);
        bare.webhook(&types, json!({}));
        bare.publish(&event);
        let request = &bare.wait_for_requests(1)[0];
        assert!(
            !request.headers.contains_key("x-webhook-secret") && !request.headers.contains_key("x-snaily-token"),
            "no secret, no header"
        );
    }
}

#[test]
fn a_header_comes_once_even_if_the_webhook_names_one_of_ours() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({ "headers": { "user-agent": "acme/1", "Accept": "text/plain" } }));
    stage.publish(&email("e1"));
    let request = &stage.wait_for_requests(1)[0];
    assert_eq!((request.header("user-agent"), request.header("accept")), ("acme/1", "text/plain"));
    assert_eq!(request.header("content-type"), "application/json");
}

#[test]
fn a_type_that_is_named_twice_is_sent_once() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT", "EMAIL_SENT"], json!({ "campaignIds": [7, 7, "7"] }));
    let event = json!({ "id": "e1", "type": "EMAIL_SENT", "data": { "campaign": { "id": 7 } } });
    assert_eq!(stage.client.post("/v1/events", &event).expect(202).data()["deliveries"], 1);
}

#[test]
fn genesys_body_is_the_documented_one_byte_for_byte() {
    let stage = Stage::new("genesy");
    stage.webhook(&GENESY_TYPES, json!({}));
    let whole = concat!(
        r#"{"post":{"url":"https://x/p","id":"p1","likes":5},"extra":{"a":1},"#,
        r#""message":{"text":"Hi \u00fc\n\"you\"","subject":"S","channel":"EMAIL","id":3},"#,
        r#""company":{"linkedinUrl":"https://l/c","domain":"acme.com","name":"Acme","id":"c9","size":10},"#,
        r#""contact":{"jobTitle":"CEO","linkedinUrl":"https://l/j","email":"j@a.com","fullName":"Jane Smith","lastName":"Smith","#,
        r#""firstName":"Jane","id":12345678901234567890,"industry":"IT","customFields":{"tier":"gold"}},"#,
        r#""campaign":{"name":"Q1","id":1.50,"budget":3}}"#
    );
    for event_type in GENESY_TYPES {
        let event =
            format!(r#"{{"id":"{event_type}","type":"{event_type}","created":"2026-02-19T10:30:00Z","data":{whole}}}"#);
        stage.client.post_raw("/v1/events", "application/json", event.as_bytes()).expect(202);
    }
    let mut wrong = Vec::new();
    for request in stage.wait_for_requests(8) {
        let event_type = request.header("postrider-event-id");
        let expected = format!(
            concat!(
                r#"{{"eventId":"{0}","eventType":"{0}","timestamp":"2026-02-19T10:30:00.000Z","campaign":{{"id":1.50,"name":"Q1"}},"#,
                r#""contact":{{"id":12345678901234567890,"firstName":"Jane","lastName":"Smith","fullName":"Jane Smith","email":"j@a.com","#,
                r#""linkedinUrl":"https://l/j","jobTitle":"CEO"}},"#,
                r#""company":{{"id":"c9","name":"Acme","domain":"acme.com","linkedinUrl":"https://l/c"}},"#,
                r#""message":{{"channel":"EMAIL","subject":"S","text":"Hi \u00fc\n\"you\""}},"post":{{"id":"p1","url":"https://x/p"}},"customFields":{{}}}}"#
            ),
            event_type
        );
        if request.text() != expected {
            wrong.push(format!("{}\nexpected {expected}", request.text()));
        }
    }
    none_wrong(wrong);
}

#[test]
fn what_genesys_event_lacks_is_left_out() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    for (n, (data, rest)) in [
        ("{}", ""),
        (r#"{"contact":{"id":1}}"#, r#""contact":{"id":1},"#),
        (r#"{"contact":{}}"#, r#""contact":{},"#),
        (r#"{"company":{"name":"A"},"contact":{"email":null}}"#, r#""contact":{"email":null},"company":{"name":"A"},"#),
        (r#"{"campaign":{"id":"c"}}"#, r#""campaign":{"id":"c"},"#),
        (r#"{"post":{"id":1},"other":1}"#, r#""post":{"id":1},"#),
        (r#"{"message":{"text":"t"}}"#, r#""message":{"text":"t"},"#),
    ]
    .into_iter()
    .enumerate()
    {
        let event = format!(r#"{{"id":"e{n}","type":"EMAIL_SENT","created":"2026-02-19T10:30:0{n}Z","data":{data}}}"#);
        stage.client.post_raw("/v1/events", "application/json", event.as_bytes()).expect(202);
        let requests = stage.wait_for_requests(n + 1);
        let expected = format!(
            r#"{{"eventId":"e{n}","eventType":"EMAIL_SENT","timestamp":"2026-02-19T10:30:0{n}.000Z",{rest}"customFields":{{}}}}"#
        );
        assert_eq!(requests[n].text(), expected);
    }
}

#[test]
fn custom_fields_are_looked_up_in_order_and_absent_ones_are_null() {
    let stage = Stage::new("genesy");
    let named = json!(["all", "three", "two", "one", "none", "email", "nulled", "deep", "customFields"]);
    stage.webhook(&["EMAIL_SENT"], json!({ "customFields": named }));
    let data = concat!(
        r#"{"company":{"all":"company","three":"company","customFields":{"all":"cc","three":"cc","two":"cc","one":"cc"}},"#,
        r#""contact":{"customFields":{"all":"ct","three":"ct","two":"ct","nulled":"ct"},"all":"contact","email":"j@a.com","nulled":null,"#,
        r#""deep":{"z":[1, 2.50],"a":null}},"none_here":1}"#
    );
    let event = format!(r#"{{"id":"e1","type":"EMAIL_SENT","data":{data}}}"#);
    stage.client.post_raw("/v1/events", "application/json", event.as_bytes()).expect(202);
    let text = stage.wait_for_requests(1)[0].text();
    let fields = text.split(r#""customFields":"#).last().unwrap_or_default();
    let (_, fields_at) = text.split_once(r#"},"customFields":{"all""#).map_or(("", ""), |parts| parts);
    assert!(!fields.is_empty() && !fields_at.is_empty(), "{text}");
    let fields = &body(&stage.receiver.requests()[0])["customFields"];
    assert_eq!(
        (&fields["all"], &fields["three"], &fields["two"], &fields["one"]),
        (&json!("contact"), &json!("company"), &json!("ct"), &json!("cc"))
    );
    assert_eq!((&fields["none"], &fields["email"]), (&Value::Null, &json!("j@a.com")));
    assert!(text.contains(r#""deep":{"z":[1, 2.50],"a":null}"#), "a value goes as it came: {text}");
    assert!(
        in_order(&format!("{{\"all\"{fields_at}"), &["all", "three", "two", "one", "none", "email"]),
        "in the webhook's order: {text}"
    );
}

#[test]
fn snailys_body_wraps_the_data_byte_for_byte() {
    let stage = Stage::new("snaily");
    stage.webhook(&SNAILY_TYPES, json!({}));
    let data = |time: &str| {
        format!(
            concat!(
                "{{ \"{0}\" :\"2026-02-19T11:45:00Z\",\t\"reply_text\":\"a\\u00e9\\/\\ud83d\\ude00 \u{e9}\",\"contact\":{{\"snaily_id\":\"c\",\"distance\":2}},\r\n",
                "\"campaign\":{{\"name\":\"N\",\"id\":\"7\"}},\"user_context\":{{}},\"big\":1e999,\"exact\":1.000,\"n\":12345678901234567890123,\"dup\":1,\"dup\":2,\"\":null }}"
            ),
            time
        )
    };
    let mut wrong = Vec::new();
    for (n, (event_type, time)) in
        [("contact.replied", "created_at"), ("contact.connected", "created_at"), ("invitation.sent", "sent_at")]
            .into_iter()
            .enumerate()
    {
        let data = data(time);
        let event = format!(r#"{{"data": {data} ,"id":"e{n}","type":"{event_type}"}}"#);
        let answer = stage.client.post_raw("/v1/events", "application/json", event.as_bytes());
        if answer.status != 202 {
            wrong.push(answer.text);
            continue;
        }
        let text = stage.wait_for_requests(n + 1)[n].text();
        let expected = format!(
            r#"{{"events":[{{"id":"e{n}","type":"{event_type}","created":"2026-02-19T11:45:00Z","processed":false,"data":{data}}}]}}"#
        );
        if text != expected {
            wrong.push(format!("{text}\nexpected {expected}"));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_changed_secret_counts_at_the_next_retry_and_the_body_does_not_change() {
    let stage = Stage::failing("genesy", 500);
    let id = stage.webhook_at(
        "/old",
        &["EMAIL_SENT"],
        json!({ "secret": "first secret", "retryPolicy": { "delays": ["400ms", "400ms"] } }),
    );
    let path = format!("/v1/webhooks/{id}");
    stage.publish(&json!({ "id": "e1", "type": "EMAIL_SENT", "data": { "contact": { "industry": "IT" } } }));
    stage.wait_for_requests(1);
    let change = json!({
        "secret": "second secret", "url": stage.receiver.url("/new"), "headers": { "X-New": "1" },
        "customFields": ["industry"], "events": ["POST_LIKED"], "campaignIds": [5],
    });
    stage.client.patch(&path, &change).expect(200);
    stage.wait_for_requests(2);
    stage.client.patch(&path, &json!({ "secret": null })).expect(200);
    let requests = stage.wait_for_requests(3);
    let secrets: Vec<_> = requests.iter().map(|r| r.headers.get("x-webhook-secret").map(String::as_str)).collect();
    assert_eq!(secrets, [Some("first secret"), Some("second secret"), None]);
    assert_eq!(requests.iter().map(|r| &*r.path).collect::<Vec<_>>(), ["/old", "/new", "/new"]);
    assert_eq!(requests[1].header("x-new"), "1");
    assert!(requests.iter().all(|r| r.body == requests[0].body), "the body is that of the event's time");
    stage.publish(&json!({ "id": "e2", "type": "POST_LIKED", "data": { "campaign": { "id": 5 }, "contact": { "industry": "IT" } } }));
    let later = stage.wait_for_requests(4);
    assert_eq!(body(&later[3])["customFields"]["industry"], "IT");
}

#[test]
fn every_2xx_is_success_and_nothing_else_is() {
    let mut wrong = Vec::new();
    for (answer, outcome) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "succeeded"),
        ("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n", "succeeded"),
        ("HTTP/1.1 202\r\n\r\n", "succeeded"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "succeeded"),
        ("HTTP/1.1 299 Odd\r\ncontent-length: 0\r\n\r\n", "succeeded"),
        ("HTTP/1.0 200 OK\r\n\r\nold", "succeeded"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut off", "succeeded"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nnot a chunk", "succeeded"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "succeeded"),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", "succeeded"),
        ("HTTP/1.1 300 Multiple\r\ncontent-length: 0\r\n\r\n", "exhausted"),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "exhausted"),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "exhausted"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "exhausted"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "exhausted"),
        ("", "exhausted"),
    ] {
        let stage = Stage::reacting("genesy", move |_| Reaction::Raw(answer));
        stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": [] } }));
        stage.publish(&email("e1"));
        let found = postrider_tests::within(Duration::from_secs(5), "it ends", || {
            let list = stage.client.get("/v1/deliveries").expect(200);
            list.data().get(0).filter(|d| d["status"] != "pending").cloned()
        });
        if found["status"] != outcome {
            wrong.push(format!("{answer:?}: {found}"));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_redirect_is_not_followed() {
    let stage = Stage::reacting("genesy", |r| match &*r.path {
        "/elsewhere" => Reaction::Status(200),
        _ => Reaction::Raw("HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"),
    });
    stage.webhook_at("/here", &["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["10ms"] } }));
    stage.publish(&email("e1"));
    let done = stage.wait_for_delivery("e1", "exhausted");
    assert_eq!(done["attempts"][0]["statusCode"], 307);
    assert!(stage.receiver.requests().iter().all(|r| r.path == "/here"));
}

#[test]
fn retry_after_lengthens_a_delay_to_twice_its_length_at_most() {
    let mut wrong = Vec::new();
    for (answer, delay) in [
        ("HTTP/1.1 503 X\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n", 20_000),
        ("HTTP/1.1 429 X\r\nretry-after: 15\r\ncontent-length: 0\r\n\r\n", 15_000),
        ("HTTP/1.1 429 X\r\nRetry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\ncontent-length: 0\r\n\r\n", 20_000),
        ("HTTP/1.1 429 X\r\nretry-after: Thu, 01 Jan 2015 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n", 10_000),
        ("HTTP/1.1 503 X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", 10_000),
        ("HTTP/1.1 503 X\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n", 10_000),
        ("HTTP/1.1 503 X\r\nretry-after: -5\r\ncontent-length: 0\r\n\r\n", 10_000),
        ("HTTP/1.1 503 X\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", 10_000),
        ("HTTP/1.1 503 X\r\nretry-after: 99999999999999999999\r\ncontent-length: 0\r\n\r\n", 20_000),
        ("HTTP/1.1 500 X\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n", 10_000),
        ("HTTP/1.1 301 X\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n", 10_000),
    ] {
        let stage = Stage::reacting("genesy", move |_| Reaction::Raw(answer));
        let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["10s"] } }));
        stage.publish(&email("e1"));
        let entry = &stage.wait_for_logs(id, 1)[0];
        let end = millis(&entry["createdAt"]) + entry["durationMs"].as_i64().unwrap();
        let waits = millis(&entry["nextAttemptAt"]) - end;
        // The outcome is recorded a little after the attempt's end.
        if !(delay - 5..delay + 500).contains(&waits) {
            wrong.push(format!("{answer:?}: {waits} ms and not {delay}"));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_delay_counts_from_the_end_of_the_failed_attempt() {
    let stage = Stage::reacting("genesy", |_| Reaction::Slow(500, Duration::from_millis(300)));
    let id = stage.webhook(&["EMAIL_SENT"], json!({ "retryPolicy": { "delays": ["300ms"] } }));
    stage.publish(&email("e1"));
    stage.wait_for_logs(id, 2);
    let requests = stage.receiver.requests();
    let gap = requests[1].at.duration_since(requests[0].at).as_millis();
    assert!((595..3_000).contains(&gap), "{gap} ms");
}

#[test]
fn a_rate_limit_spaces_the_requests() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({ "rateLimit": { "perSecond": 10 } }));
    stage.client.post("/v1/events", &json!((0..25).map(|n| email(&format!("e{n}"))).collect::<Vec<_>>())).expect(202);
    let requests = stage.wait_for_requests(25);
    let took = requests[24].at.duration_since(requests[0].at);
    // Ten may go at once; the other fifteen take a tenth of a second each.
    assert!(took >= Duration::from_millis(1_300), "{took:?}");
}
