//! Publishing: one, an array, lines; and what was published, read back.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{Answer, World, event};

async fn send(
    world: &World,
    key: &str,
    content_type: &str,
    idempotency_key: Option<&str>,
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::post("/v1/events").header("x-api-key", key).header("content-type", content_type);
    if let Some(value) = idempotency_key {
        request = request.header("Idempotency-Key", value);
    }
    world.send(request.body(body.into()).expect("a valid request")).await
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson; charset=utf-8";

#[tokio::test]
async fn an_event_is_accepted_once_and_kept_byte_for_byte() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    world.webhook(&key, "https://example.com/").await;
    let data = r#"{"z" : 1.0,  "a":"\u00e9", "post":{"id":12345678901234567890}, "z":2}"#;
    let body = format!(r#" {{"type":"POST_LIKED","id":"e:1","data":{data} }} "#);
    let first = send(&world, &key, JSON, None, body.clone()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.data(), json!({"id": "e:1", "duplicate": false, "deliveries": 1}));
    let again = send(&world, &key, JSON, None, body).await;
    assert_eq!(again.data(), json!({"id": "e:1", "duplicate": true, "deliveries": 1}));
    let other = send(&world, &key, JSON, None, r#"{"type":"POST_LIKED","id":"e:1","data":{}}"#).await;
    assert_eq!((other.status.as_u16(), &*other.code()), (409, "conflict"));

    let shown = world.get(&key, "/v1/events/e:1").await;
    assert!(shown.text.contains(&format!(r#""data":{data}"#)), "{}", shown.text);
    let shown = shown.data();
    assert_eq!((&shown["id"], &shown["type"], &shown["erasedAt"]), (&json!("e:1"), &json!("POST_LIKED"), &json!(null)));
    assert_eq!(shown["deliveries"][0]["webhookId"], 1);
    assert_eq!(shown["deliveries"][0]["eventId"], "e:1");
}

#[tokio::test]
async fn the_header_names_a_single_event_and_agrees_with_its_id() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let nameless = r#"{"type":"POST_LIKED","data":{}}"#;
    let named = r#"{"id":"k1","type":"POST_LIKED","data":{}}"#;
    assert_eq!(send(&world, &key, JSON, Some("k1"), nameless).await.data()["id"], "k1");
    assert_eq!(send(&world, &key, JSON, Some("k1"), named).await.data()["duplicate"], true);
    let generated = send(&world, &key, JSON, None, nameless).await.data();
    assert!(generated["id"].as_str().is_some_and(|id| id.starts_with("evt_")));
    for (content_type, header, body, field) in [
        (JSON, "k2", named, "id"),
        (JSON, "not an id", nameless, "Idempotency-Key"),
        (JSON, "k1", "[{}]", "Idempotency-Key"),
        (LINES, "k1", named, "Idempotency-Key"),
    ] {
        let answer = send(&world, &key, content_type, Some(header), body).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{header} {body}");
    }
}

#[tokio::test]
async fn a_single_event_that_cannot_be_taken_says_why() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    for (body, status, field) in [
        ("", 400, None),
        ("{", 400, None),
        ("[{},", 400, None),
        ("nonsense", 400, None),
        (r#"{"type":"POST_LIKED","data":{"a":}}"#, 400, None),
        ("5", 422, Some("body")),
        ("[]", 422, Some("body")),
        ("{}", 422, Some("type")),
        (r#"{"type":"POST_LIKED"}"#, 422, Some("data")),
        (r#"{"type":"NOPE","data":{}}"#, 422, Some("type")),
        (r#"{"type":5,"data":{}}"#, 422, Some("type")),
        (r#"{"type":"POST_LIKED","data":[]}"#, 422, Some("data")),
        (r#"{"type":"POST_LIKED","data":null}"#, 422, Some("data")),
        (r#"{"type":"POST_LIKED","data":{},"extra":1}"#, 422, Some("extra")),
        (r#"{"type":"POST_LIKED","data":{},"data":{}}"#, 422, Some("data")),
        (r#"{"type":"POST_LIKED","data":{},"id":"a b"}"#, 422, Some("id")),
        (r#"{"type":"POST_LIKED","data":{},"id":7}"#, 422, Some("id")),
        (r#"{"type":"POST_LIKED","data":{},"created":"now"}"#, 422, Some("created")),
        (r#"{"type":"POST_LIKED","data":{"contact":5}}"#, 422, Some("data.contact")),
    ] {
        let answer = send(&world, &key, JSON, None, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert_eq!(answer.fields().first().map(String::as_str), field, "{body}: {}", answer.text);
    }
    let not_utf8 = b"{\"type\":\"POST_LIKED\",\"data\":{\"a\":\"\xff\"}}".to_vec();
    assert_eq!(send(&world, &key, JSON, None, not_utf8).await.status, 400);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let answer = send(&world, &key, content_type, None, "{}").await;
        assert_eq!(answer.status, 415);
        assert!(answer.text.contains("Content-Type: application/json"));
    }
}

#[tokio::test]
async fn a_batch_answers_each_event_in_its_place() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let large = "x".repeat(256 * 1024);
    let entries = [
        event("a").to_string(),
        r#"{"id":"b","type":"NOPE","data":{}}"#.to_owned(),
        event("a").to_string(),
        r#"{"id":"a","type":"POST_LIKED","data":{"other":1}}"#.to_owned(),
        "5".to_owned(),
        r#"["id","POST_LIKED",null,{}]"#.to_owned(),
        format!(r#"{{"id":"c","type":"POST_LIKED","data":{{"x":"{large}"}}}}"#),
        r#"{"id":"d","type":"POST_LIKED","data":{},"extra":1}"#.to_owned(),
        format!(r#"{{"id":"e","type":"POST_LIKED","data":{{"x":{}{}}}}}"#, "[".repeat(70), "]".repeat(70)),
        event("z").to_string(),
    ];
    let array = send(&world, &key, JSON, None, format!("[{}]", entries.join(","))).await;
    let (_, other) = world.workspace("genesy").await;
    let lines = send(&world, &other, LINES, None, entries.join("\r\n\n  \n")).await;
    for answer in [array, lines] {
        assert_eq!(answer.status, 202, "{}", answer.text);
        let data = answer.data();
        assert_eq!(data[0], json!({"id": "a", "duplicate": false, "deliveries": 0}));
        assert_eq!(data[2], json!({"id": "a", "duplicate": true, "deliveries": 0}));
        assert_eq!(data[9]["id"], "z");
        for (place, id, code) in [
            (1, json!("b"), "validation_failed"),
            (3, json!("a"), "conflict"),
            (4, json!(null), "validation_failed"),
            (5, json!(null), "validation_failed"),
            (6, json!("c"), "payload_too_large"),
            (7, json!("d"), "validation_failed"),
            (8, json!("e"), "validation_failed"),
        ] {
            let entry = &data[place];
            assert_eq!((&entry["id"], &entry["error"]["code"]), (&id, &json!(code)), "{entry}");
            assert!(entry["error"]["message"].is_string() && entry["error"]["errors"].is_array());
        }
        assert_eq!(data[1]["error"]["errors"][0]["field"], "type");
        assert_eq!(data[7]["error"]["errors"][0]["field"], "extra");
        assert_eq!(data.as_array().map(Vec::len), Some(10));
    }
}

#[tokio::test]
async fn a_bad_line_is_an_entry_and_a_bad_array_is_a_400() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let good = event("g").to_string();
    let lines = send(&world, &key, LINES, None, format!("{{\n{good}\n")).await;
    assert_eq!(lines.status, 202);
    assert_eq!(lines.data()[0], json!({"id": null, "error": lines.data()[0]["error"]}));
    assert_eq!(lines.data()[0]["error"]["code"], "malformed_json");
    assert_eq!(send(&world, &key, JSON, None, format!("[{good},{{]")).await.status, 400);

    let none = send(&world, &key, JSON, None, "[{},5]").await;
    assert_eq!((none.status.as_u16(), &*none.json()["status"].to_string()), (422, "\"error\""));
    assert_eq!(none.data().as_array().map(Vec::len), Some(2));
    assert_eq!(send(&world, &key, LINES, None, "\n\n").await.status, 422);
    assert_eq!(send(&world, &key, LINES, None, "nonsense").await.status, 422);
}

#[tokio::test]
async fn a_batch_has_its_bounds() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let one = r#"{"type":"POST_LIKED","data":{}}"#;
    let most = vec![one; 10_000];
    let all = send(&world, &key, JSON, None, format!("[{}]", most.join(","))).await;
    assert_eq!(all.status, 202);
    assert_eq!(all.data().as_array().map(Vec::len), Some(10_000));
    let mut more = most;
    more.push(one);
    for (content_type, body) in
        [(JSON, format!("[{}]", more.join(","))), (LINES, more.join("\n")), (JSON, " ".repeat(17 << 20))]
    {
        let answer = send(&world, &key, content_type, None, body).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (413, "payload_too_large"));
    }
    let large = format!(r#"{{"type":"POST_LIKED","data":{{"x":"{}"}}}}"#, "x".repeat(256 * 1024));
    assert_eq!(send(&world, &key, JSON, None, large).await.status, 413);
}

#[tokio::test]
async fn events_are_found_by_what_they_are() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let spring = r#"{"id":"s","type":"EMAIL_SENT","data":{"campaign":{"id":7,"name":"Spring"}}}"#;
    send(&world, &key, JSON, None, spring).await;
    world.post(&key, "/v1/events", event("p")).await;
    for (query, ids) in [
        ("", vec!["p", "s"]),
        ("id=s", vec!["s"]),
        ("eventType=POST_LIKED", vec!["p"]),
        ("campaignId=7", vec!["s"]),
        ("campaignId=8", vec![]),
        ("since=2020-01-01T00:00:00Z", vec!["p", "s"]),
        ("until=2020-01-01T01:00:00%2B02:00", vec![]),
    ] {
        let list = world.get(&key, &format!("/v1/events?{query}")).await.json();
        let found: Vec<_> = list["data"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{query}");
        assert_eq!(list["meta"]["total"], ids.len(), "{query}");
    }
}
