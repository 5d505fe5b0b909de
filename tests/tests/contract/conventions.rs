//! Envelopes, lists and their pages, the shape of errors.

use postrider_tests::Client;
use serde_json::{Value, json};

use crate::{Stage, email, error_shape, is_time, keys, none_wrong, raw, slow_policy, status_of};

/// A stage on which every list has five entries.
fn five_of_each() -> (Stage, Vec<(Client, String)>) {
    let stage = Stage::new("genesy");
    let webhooks: Vec<_> = (0..4).map(|_| stage.webhook(&["POST_LIKED"], json!({}))).collect();
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    assert!(webhooks.iter().all(|w| *w < webhook));
    (0..5).for_each(|n| drop(stage.publish(&email(&format!("e{n}")))));
    stage.wait_for_logs(webhook, 5);
    let admin = stage.server.admin();
    (0..4).for_each(|_| drop(stage.server.workspace("snaily")));
    let list = admin.get("/v1/workspaces").expect(200);
    let own = list.data().as_array().unwrap().iter().find(|w| w["profile"] == "genesy").unwrap()["id"].clone();
    let keys = format!("/v1/workspaces/{}/keys", own.as_str().unwrap());
    let have = admin.get(&keys).expect(200).data().as_array().unwrap().len();
    (have..5).for_each(|_| drop(admin.post(&keys, &json!({ "name": "k", "scopes": ["READ"] })).expect(201)));
    let client = stage.client.clone();
    let lists = vec![
        (admin.clone(), "/v1/workspaces".to_owned()),
        (admin, keys),
        (client.clone(), "/v1/webhooks".to_owned()),
        (client.clone(), "/v1/events".to_owned()),
        (client.clone(), "/v1/deliveries".to_owned()),
        (client, format!("/v1/webhooks/{webhook}/logs")),
    ];
    (stage, lists)
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|entry| entry["id"].to_string()).collect()
}

#[test]
fn one_resource_has_status_message_and_data() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let event = stage.publish(&email("e1"));
    stage.wait_for_delivery("e1", "succeeded");
    let delivery = stage.delivery_of("e1");
    let mut wrong = Vec::new();
    for path in [
        format!("/v1/webhooks/{webhook}"),
        format!("/v1/webhooks/{webhook}/health"),
        format!("/v1/events/{event}"),
        format!("/v1/deliveries/{delivery}"),
        "/v1/event-types".to_owned(),
        "/v1/egress".to_owned(),
    ] {
        let answer = stage.client.get(&path).expect(200);
        let body = &answer.body;
        let is_list = path == "/v1/event-types";
        let is_shaped = if is_list { !body["data"].is_null() } else { keys(body) == ["data", "message", "status"] };
        let is_success = is_list || body["status"] == "success" && body["message"].is_string();
        if !is_shaped || !is_success || !answer.content_type.starts_with("application/json") {
            wrong.push(format!("{path}: {}", answer.text));
        }
    }
    let gone = stage.client.delete(&format!("/v1/webhooks/{webhook}")).expect(204);
    assert_eq!(gone.text, "");
    none_wrong(wrong);
}

#[test]
fn an_empty_list_is_a_list() {
    let stage = Stage::new("genesy");
    for path in ["/v1/webhooks", "/v1/events", "/v1/deliveries"] {
        let answer = stage.client.get(path).expect(200);
        assert_eq!(
            answer.body,
            json!({ "data": [], "meta": { "page": 1, "pageSize": 50, "total": 0, "nextCursor": null } }),
            "{path}"
        );
    }
}

#[test]
fn every_list_is_walked_by_page_and_by_cursor_newest_first() {
    let (_stage, lists) = five_of_each();
    let mut wrong = Vec::new();
    for (client, path) in lists {
        let whole = client.get(&path).expect(200);
        let all = ids(&whole.body);
        let meta = &whole.body["meta"];
        if all.len() != 5
            || meta["total"] != 5
            || !meta["nextCursor"].is_null()
            || keys(&whole.body) != ["data", "meta"]
        {
            wrong.push(format!("{path}: {}", whole.text));
        }
        let mut by_page = Vec::new();
        for page in 1..=4 {
            let answer = client.get(&format!("{path}?page={page}&pageSize=2")).expect(200);
            let meta = &answer.body["meta"];
            if meta["page"] != page || meta["pageSize"] != 2 || meta["total"] != 5 {
                wrong.push(format!("{path} page {page}: {meta}"));
            }
            by_page.extend(ids(&answer.body));
        }
        let mut by_cursor = Vec::new();
        let mut cursor = Value::Null;
        for _ in 0..10 {
            let part = cursor.as_str().map(|c| format!("&cursor={c}")).unwrap_or_default();
            let answer = client.get(&format!("{path}?pageSize=2{part}")).expect(200);
            by_cursor.extend(ids(&answer.body));
            cursor = answer.body["meta"]["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        if by_page != all || by_cursor != all {
            wrong.push(format!("{path}: {all:?} by page {by_page:?} by cursor {by_cursor:?}"));
        }
        // A log's entries come by their attempts' ends, which may lie otherwise than their starts.
        let by = if path.ends_with("/logs") { "id" } else { "createdAt" };
        let texts =
            whole.data().as_array().unwrap().iter().filter(|e| !e[by].is_null()).map(|e| format!("{:>30}", e[by]));
        let order: Vec<_> = texts.collect();
        if !order.iter().rev().is_sorted() {
            wrong.push(format!("{path}: not newest first: {order:?}"));
        }
    }
    none_wrong(wrong);
}

#[test]
fn webhooks_and_events_come_newest_first() {
    let (stage, _) = five_of_each();
    let events = ids(&stage.client.get("/v1/events").expect(200).body);
    assert_eq!(events, ["\"e4\"", "\"e3\"", "\"e2\"", "\"e1\"", "\"e0\""]);
    let list = stage.client.get("/v1/deliveries").expect(200);
    let events: Vec<_> = list.data().as_array().unwrap().iter().map(|d| d["eventId"].as_str().unwrap()).collect();
    assert_eq!(events, ["e4", "e3", "e2", "e1", "e0"]);
    let webhooks: Vec<u64> = stage
        .client
        .get("/v1/webhooks")
        .expect(200)
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["id"].as_u64().unwrap())
        .collect();
    assert!(webhooks.iter().rev().is_sorted(), "{webhooks:?}");
}

#[test]
fn a_bad_page_is_named_and_nothing_is_clamped() {
    let (_stage, lists) = five_of_each();
    let mut wrong = Vec::new();
    for (client, path) in lists {
        for (query, field) in [
            ("page=0", "page"),
            ("page=-1", "page"),
            ("page=x", "page"),
            ("page=", "page"),
            ("page=1.5", "page"),
            ("page=99999999999999999999", "page"),
            ("pageSize=0", "pageSize"),
            ("pageSize=201", "pageSize"),
            ("pageSize=-5", "pageSize"),
            ("pageSize=ten", "pageSize"),
            ("pageSize=4294967297", "pageSize"),
            ("page=201", "page"),
            ("page=51&pageSize=200", "page"),
            ("page=18446744073709551615&pageSize=200", "page"),
            ("cursor=x", "cursor"),
            ("cursor=", "cursor"),
            ("cursor=%00%ff", "cursor"),
            ("limit=10", "limit"),
            ("Page=1", "Page"),
            ("page_size=1", "page_size"),
        ] {
            let answer = client.get(&format!("{path}?{query}"));
            if error_shape(&answer, 422).is_err() || !answer.fields().contains(&field) {
                wrong.push(format!("{path}?{query}: {} {}", answer.status, answer.text));
            }
        }
        for query in ["page=50&pageSize=200", "page=200", "page=10000&pageSize=1", "pageSize=200"] {
            let answer = client.get(&format!("{path}?{query}"));
            if answer.status != 200 {
                wrong.push(format!("{path}?{query}: {} {}", answer.status, answer.text));
            }
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_query_parameter_that_one_resource_does_not_know_is_named() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&email("e1"));
    stage.wait_for_delivery("e1", "succeeded");
    let delivery = stage.delivery_of("e1");
    let mut wrong = Vec::new();
    for path in [
        format!("/v1/webhooks/{webhook}"),
        format!("/v1/webhooks/{webhook}/health"),
        "/v1/events/e1".to_owned(),
        format!("/v1/deliveries/{delivery}"),
        "/v1/event-types".to_owned(),
        "/v1/egress".to_owned(),
    ] {
        let answer = stage.client.get(&format!("{path}?verbose=1"));
        if error_shape(&answer, 422).is_err() || answer.fields() != ["verbose"] {
            wrong.push(format!("{path}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_bad_value_of_a_filter_is_named() {
    let stage = Stage::new("genesy");
    let webhook = stage.webhook(&["EMAIL_SENT"], json!({}));
    let logs = format!("/v1/webhooks/{webhook}/logs");
    let mut wrong = Vec::new();
    for (path, query, field) in [
        (&*logs, "outcome=lost", "outcome"),
        (&logs, "outcome=", "outcome"),
        (&logs, "statusCode=abc", "statusCode"),
        (&logs, "statusCode=-1", "statusCode"),
        (&logs, "statusCode=70000", "statusCode"),
        (&logs, "since=yesterday", "since"),
        (&logs, "since=2026-01-01", "since"),
        (&logs, "until=2026-13-01T00:00:00Z", "until"),
        (&logs, "status=pending", "status"),
        ("/v1/deliveries", "status=failed", "status"),
        ("/v1/deliveries", "status=PENDING", "status"),
        ("/v1/deliveries", "webhookId=abc", "webhookId"),
        ("/v1/deliveries", "since=2026-01-01T00:00:00Z", "since"),
        ("/v1/events", "since=1", "since"),
        ("/v1/events", "until=", "until"),
        ("/v1/events", "status=pending", "status"),
    ] {
        let answer = stage.client.get(&format!("{path}?{query}"));
        if error_shape(&answer, 422).is_err() || !answer.fields().contains(&field) {
            wrong.push(format!("{path}?{query}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_malformed_id_in_a_path_is_not_there() {
    let stage = Stage::new("genesy");
    let admin = stage.server.admin();
    let long = "9".repeat(400);
    let mut wrong = Vec::new();
    for id in [
        "abc",
        "0",
        "-1",
        "1.5",
        "1e3",
        "00",
        "+1",
        "9007199254740993",
        "18446744073709551616",
        "%00",
        "%ff",
        "%20",
        "..%2f",
        "wh_1",
        &long,
    ] {
        for path in [
            "/v1/webhooks/ID",
            "/v1/webhooks/ID/logs",
            "/v1/webhooks/ID/health",
            "/v1/events/ID",
            "/v1/deliveries/ID",
            "/v1/replays/ID",
        ] {
            let path = path.replace("ID", id);
            let answer = stage.client.get(&path);
            if let Err(e) = error_shape(&answer, 404) {
                wrong.push(format!("GET {path}: {e}"));
            }
        }
        let path = format!("/v1/webhooks/{id}");
        let posted = stage.client.post_raw(&format!("{path}/test"), "application/json", b"{}");
        let retried = stage.client.post_raw(&format!("/v1/deliveries/{id}/retry"), "application/json", b"");
        let patched = stage.client.patch(&path, &json!({}));
        let deleted = stage.client.delete(&path);
        let workspace = admin.get(&format!("/v1/workspaces/{id}"));
        let keys = admin.get(&format!("/v1/workspaces/{id}/keys"));
        let key = admin.delete(&format!("/v1/workspaces/{id}/keys/{id}"));
        for (what, answer) in [
            ("test", posted),
            ("retry", retried),
            ("PATCH", patched),
            ("DELETE", deleted),
            ("workspace", workspace),
            ("keys", keys),
            ("key", key),
        ] {
            if let Err(e) = error_shape(&answer, 404) {
                wrong.push(format!("{what} {id}: {e}"));
            }
        }
    }
    none_wrong(wrong);
}

#[test]
fn errors_of_transport_have_the_shape_too() {
    let stage = Stage::new("genesy");
    let (client, key) = (&stage.client, stage.client.key());
    let json = ("content-type", "application/json");
    let mut wrong = Vec::new();
    let mut check =
        |what: &str, status: u16, answer: postrider_tests::Answer, says: &str| match error_shape(&answer, status) {
            Ok(()) if answer.text.contains(says) => {}
            _ => wrong.push(format!("{what}: {} {}", answer.status, answer.text)),
        };
    check("unknown path", 404, client.get("/v1/nothing"), "");
    check("unknown path outside", 404, client.get("/nothing.php"), "");
    check("PUT", 405, client.send("PUT", "/v1/webhooks", &[("x-api-key", key), json], b"{}"), "");
    check("PATCH events", 405, client.send("PATCH", "/v1/events", &[("x-api-key", key), json], b"{}"), "");
    check("DELETE list", 405, client.send("DELETE", "/v1/deliveries", &[("x-api-key", key)], b""), "");
    check("POST healthz", 405, client.send("POST", "/healthz", &[json], b"{}"), "");
    check("no type", 415, client.send("POST", "/v1/webhooks", &[("x-api-key", key)], b"{}"), "application/json");
    check("text", 415, client.post_raw("/v1/webhooks", "text/plain", b"{}"), "application/json");
    check(
        "form",
        415,
        client.post_raw("/v1/events", "application/x-www-form-urlencoded", b"a=b"),
        "application/x-ndjson",
    );
    check("form", 415, client.post_raw("/v1/events", "text/json", b"{}"), "application/json");
    check("lines to webhooks", 415, client.post_raw("/v1/webhooks", "application/x-ndjson", b"{}"), "application/json");
    check("half", 400, client.post_raw("/v1/webhooks", "application/json", b"{\"name\":"), "");
    check("empty", 400, client.post_raw("/v1/webhooks", "application/json", b""), "");
    check("two", 400, client.post_raw("/v1/webhooks", "application/json", b"{}{}"), "");
    check("comma", 400, client.post_raw("/v1/events", "application/json", b"[{},]"), "");
    check("single quotes", 400, client.post_raw("/v1/events", "application/json", b"{'id':1}"), "");
    check("empty event", 400, client.post_raw("/v1/events", "application/json", b""), "");
    check("a list", 422, client.post_raw("/v1/webhooks", "application/json", b"[]"), "");
    check("a string", 422, client.post_raw("/v1/webhooks", "application/json", b"\"x\""), "");
    check("null", 422, client.post_raw("/v1/webhooks", "application/json", b"null"), "");
    check("a number", 422, client.post_raw("/v1/events", "application/json", b"1"), "");
    none_wrong(wrong);
}

#[test]
fn a_content_type_may_have_parameters_and_capitals() {
    let stage = Stage::new("genesy");
    for (n, content_type) in
        ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"].iter().enumerate()
    {
        stage.client.post_raw("/v1/events", content_type, email(&format!("e{n}")).to_string().as_bytes()).expect(202);
    }
    stage
        .client
        .post_raw("/v1/events", "application/x-ndjson; charset=utf-8", email("n").to_string().as_bytes())
        .expect(202);
}

#[test]
fn times_are_utc_with_milliseconds() {
    let stage = Stage::failing("genesy", 500);
    let webhook = stage.webhook(&["EMAIL_SENT"], slow_policy());
    stage.publish(&email("e1"));
    let entry = stage.wait_for_logs(webhook, 1)[0].clone();
    assert!(is_time(&entry["createdAt"]) && is_time(&entry["nextAttemptAt"]), "{entry}");
    let found = stage.client.get(&format!("/v1/webhooks/{webhook}")).expect(200).data().clone();
    assert!(is_time(&found["createdAt"]) && is_time(&found["updatedAt"]), "{found}");
    let event = stage.client.get("/v1/events/e1").expect(200).data().clone();
    assert!(is_time(&event["created"]), "{event}");
    let delivery = stage.wait_for_delivery("e1", "pending");
    assert!(is_time(&delivery["nextAttemptAt"]), "{delivery}");
}

#[test]
fn a_head_request_and_odd_lines_are_answered_without_html() {
    let stage = Stage::new("genesy");
    let wait = "connection: close\r\n\r\n";
    let long = "a".repeat(100_000);
    let mut wrong = Vec::new();
    for (what, bytes, wanted) in [
        ("no version", "GET /healthz\r\n\r\n".to_owned(), &[400, 0][..]),
        ("old version", format!("GET /healthz HTTP/1.0\r\n{wait}"), &[200]),
        ("no host", format!("GET /healthz HTTP/1.1\r\n{wait}"), &[200, 400]),
        ("long header", format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx-long: {long}\r\n{wait}"), &[200, 400, 431]),
        ("long path", format!("GET /{long} HTTP/1.1\r\nhost: a\r\n{wait}"), &[400, 404, 414, 431]),
        ("a null in the path", format!("GET /v1/\0 HTTP/1.1\r\nhost: a\r\n{wait}"), &[400, 404]),
    ] {
        let answer = raw(&stage.server, bytes.as_bytes());
        if !wanted.contains(&status_of(&answer)) || answer.to_lowercase().contains("<html") {
            wrong.push(format!("{what}: {}", answer.chars().take(200).collect::<String>()));
        }
    }
    none_wrong(wrong);
    // It still serves.
    stage.client.get("/healthz").expect(200);
}
