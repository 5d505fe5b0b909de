//! Publishing: ids, duplicates, batches, limits, Genesy's timestamps, reading back.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{Stage, email, error_shape, is_time, keys, none_wrong};

fn lines(events: &[&str]) -> Vec<u8> {
    events.join("\n").into_bytes()
}

fn timestamps(stage: &Stage, n: usize) -> Vec<String> {
    let requests = stage.wait_for_requests(n);
    let body = |r: &postrider_tests::Request| serde_json::from_slice::<Value>(&r.body).unwrap();
    requests.iter().map(|r| body(r)["timestamp"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_event_is_answered_with_its_id_and_how_many_it_goes_to() {
    let stage = Stage::new("genesy");
    stage.webhook_at("/a", &["EMAIL_SENT"], json!({}));
    stage.webhook_at("/b", &["EMAIL_SENT", "POST_LIKED"], json!({}));
    stage.webhook_at("/c", &["POST_LIKED"], json!({}));
    let answer = stage.client.post("/v1/events", &email("own:id_1-x")).expect(202);
    assert_eq!(keys(&answer.body), ["data", "message", "status"]);
    assert_eq!(answer.data(), &json!({ "id": "own:id_1-x", "duplicate": false, "deliveries": 2 }));
    let generated = stage.client.post("/v1/events", &json!({ "type": "PROFILE_VISITED", "data": {} })).expect(202);
    assert!(generated.data()["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(generated.data()["deliveries"], 0);
    let paths: BTreeSet<_> = stage.wait_for_requests(2).iter().map(|r| r.path.clone()).collect();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/a", "/b"]);
}

#[test]
fn an_event_has_rules_and_each_names_its_member() {
    let stage = Stage::new("genesy");
    let mut wrong = Vec::new();
    for (event, field) in [
        (json!({ "data": {} }), "type"),
        (json!({ "type": null, "data": {} }), "type"),
        (json!({ "type": "", "data": {} }), "type"),
        (json!({ "type": "email_sent", "data": {} }), "type"),
        (json!({ "type": "contact.replied", "data": {} }), "type"),
        (json!({ "type": 1, "data": {} }), "type"),
        (json!({ "type": "EMAIL_SENT" }), "data"),
        (json!({ "type": "EMAIL_SENT", "data": null }), "data"),
        (json!({ "type": "EMAIL_SENT", "data": [] }), "data"),
        (json!({ "type": "EMAIL_SENT", "data": "{}" }), "data"),
        (json!({ "type": "EMAIL_SENT", "data": 1 }), "data"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "" }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": 7 }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "a b" }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "a/b" }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "a.b" }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "é" }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "a\n" }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "id": "a".repeat(129) }), "id"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": "yesterday" }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": "" }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": 1_700_000_000 }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": "2026-02-19" }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": "2026-02-19T10:30:00" }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": "2026-02-30T10:30:00Z" }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "created": "2026-02-19T25:30:00Z" }), "created"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "extra": 1 }), "extra"),
        (json!({ "type": "EMAIL_SENT", "data": {}, "eventType": "EMAIL_SENT" }), "eventType"),
    ] {
        let answer = stage.client.post("/v1/events", &event);
        if error_shape(&answer, 422).is_err() || !answer.fields().contains(&field) {
            wrong.push(format!("{event}: {} {}", answer.status, answer.text));
        }
    }
    for event in [
        json!({ "id": "a".repeat(128), "type": "EMAIL_SENT", "data": {} }),
        json!({ "id": "AZaz09_:-", "type": "EMAIL_SENT", "created": "2026-02-19t10:30:00.123456789-11:30", "data": {} }),
    ] {
        let answer = stage.client.post("/v1/events", &event);
        if answer.status != 202 {
            wrong.push(format!("{event}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn the_same_id_is_a_duplicate_when_all_is_the_same_and_a_conflict_when_not() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT", "POST_LIKED"], json!({}));
    let post = |body: &str| stage.client.post_raw("/v1/events", "application/json", body.as_bytes());
    let first = r#"{"id":"e1","type":"EMAIL_SENT","data":{"a":1,"b":[1, 2]}}"#;
    assert_eq!(post(first).expect(202).data(), &json!({ "id": "e1", "duplicate": false, "deliveries": 1 }));
    let mut wrong = Vec::new();
    for same in [first, r#" { "data" : {"a":1,"b":[1, 2]} , "type" : "EMAIL_SENT", "id":"e1" } "#] {
        let answer = post(same);
        if answer.status != 202 || answer.data()["duplicate"] != true || answer.data()["id"] != "e1" {
            wrong.push(format!("{same}: {} {}", answer.status, answer.text));
        }
    }
    for other in [
        r#"{"id":"e1","type":"POST_LIKED","data":{"a":1,"b":[1, 2]}}"#,
        r#"{"id":"e1","type":"EMAIL_SENT","data":{"a":2,"b":[1, 2]}}"#,
        r#"{"id":"e1","type":"EMAIL_SENT","data":{"a":1,"b":[1,2]}}"#,
        r#"{"id":"e1","type":"EMAIL_SENT","data":{"b":[1, 2],"a":1}}"#,
        r#"{"id":"e1","type":"EMAIL_SENT","created":"2026-02-19T10:30:00Z","data":{"a":1,"b":[1, 2]}}"#,
    ] {
        let answer = post(other);
        if let Err(e) = error_shape(&answer, 409) {
            wrong.push(format!("{other}: {e}"));
        }
    }
    let timed = r#"{"id":"e2","type":"EMAIL_SENT","created":"2026-02-19T10:30:00Z","data":{}}"#;
    post(timed).expect(202);
    assert_eq!(post(timed).expect(202).data()["duplicate"], true);
    post(r#"{"id":"e2","type":"EMAIL_SENT","created":"2026-02-19T10:30:01Z","data":{}}"#).expect(409);
    post(r#"{"id":"e2","type":"EMAIL_SENT","data":{}}"#).expect(409);
    none_wrong(wrong);
    stage.wait_for_requests(2);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(stage.receiver.count(), 2, "a duplicate creates nothing");
    assert_eq!(stage.client.get("/v1/events").expect(200).body["meta"]["total"], 2);
}

#[test]
fn an_idempotency_key_is_the_id_of_a_single_event() {
    let stage = Stage::new("genesy");
    let send = |key: &str, body: &str| {
        let headers =
            [("x-api-key", stage.client.key()), ("content-type", "application/json"), ("idempotency-key", key)];
        stage.client.send("POST", "/v1/events", &headers, body.as_bytes())
    };
    let bare = r#"{"type":"EMAIL_SENT","data":{}}"#;
    assert_eq!(send("k1", bare).expect(202).data(), &json!({ "id": "k1", "duplicate": false, "deliveries": 0 }));
    assert_eq!(send("k1", bare).expect(202).data()["duplicate"], true);
    assert_eq!(send("k1", r#"{"id":"k1","type":"EMAIL_SENT","data":{}}"#).expect(202).data()["duplicate"], true);
    send("k1", r#"{"type":"EMAIL_SENT","data":{"a":1}}"#).expect(409);
    let disagreeing = send("k2", r#"{"id":"k3","type":"EMAIL_SENT","data":{}}"#);
    error_shape(&disagreeing, 422).unwrap();
    error_shape(&send("not an id", bare), 422).unwrap();
    stage.client.get("/v1/events/k3").expect(404);
}

#[test]
fn a_batch_answers_each_event_in_order() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&json!({ "id": "taken", "type": "EMAIL_SENT", "data": { "other": 1 } }));
    let big = "x".repeat(300 * 1024);
    let batch = json!([
        { "id": "a", "type": "EMAIL_SENT", "data": {} },
        { "id": "b", "type": "NOPE", "data": {} },
        { "id": "taken", "type": "EMAIL_SENT", "data": {} },
        { "id": "big", "type": "EMAIL_SENT", "data": { "x": big } },
        { "id": "a", "type": "EMAIL_SENT", "data": {} },
        { "type": "POST_LIKED", "data": {} },
        7,
        { "id": "no data", "type": "EMAIL_SENT" },
    ]);
    let answer = stage.client.post("/v1/events", &batch).expect(202);
    let entries = answer.data().as_array().unwrap();
    assert_eq!(entries.len(), 8, "{}", answer.text);
    assert_eq!(entries[0], json!({ "id": "a", "duplicate": false, "deliveries": 1 }));
    assert_eq!(entries[4]["duplicate"], true, "{}", entries[4]);
    assert_eq!(entries[5]["deliveries"], 0);
    assert!(entries[5]["id"].as_str().unwrap().starts_with("evt_"));
    for n in [1, 2, 3, 6, 7] {
        assert_eq!(keys(&entries[n]), ["error", "id"], "{n}: {}", entries[n]);
        assert_eq!(keys(&entries[n]["error"]), ["code", "errors", "message"], "{n}: {}", entries[n]);
    }
    assert_eq!(
        (&entries[1]["id"], &entries[2]["id"], &entries[3]["id"]),
        (&json!("b"), &json!("taken"), &json!("big"))
    );
    let field = entries[1]["error"]["errors"][0]["field"].as_str().unwrap();
    assert!(field.ends_with("type"), "{field}");
    stage.wait_for_requests(2);
}

#[test]
fn a_batch_of_which_nothing_is_accepted_is_a_422_with_the_same_data() {
    let stage = Stage::new("genesy");
    let answer =
        stage.client.post("/v1/events", &json!([{ "id": "a", "type": "X", "data": {} }, { "id": "b" }])).expect(422);
    let entries = answer.data().as_array().unwrap_or_else(|| panic!("{}", answer.text));
    assert_eq!((entries.len(), &entries[0]["id"], &entries[1]["id"]), (2, &json!("a"), &json!("b")));
    assert!(entries.iter().all(|e| e["error"]["code"].is_string()));
    let all_bad = stage.client.post_raw("/v1/events", "application/x-ndjson", b"nonsense\n{}").expect(422);
    assert_eq!(all_bad.data().as_array().unwrap().len(), 2, "{}", all_bad.text);
    let conflict = email("a");
    stage.publish(&conflict);
    let answer = stage.client.post("/v1/events", &json!([{ "id": "a", "type": "POST_LIKED", "data": {} }])).expect(422);
    assert_eq!(answer.data()[0]["id"], "a");
}

#[test]
fn lines_are_a_batch_and_a_bad_line_is_an_entry() {
    let stage = Stage::new("genesy");
    let body = lines(&[
        r#"{"id":"a","type":"EMAIL_SENT","data":{}}"#,
        "",
        "   \r",
        r#"{"id":"b","type":"EMAIL_SENT","data":{}}"#.to_owned().as_str(),
        r#"{"id":"c","type":"EMAIL_SENT","da"#,
        r#"{"id":"d","type":"EMAIL_SENT","data":{}}"#,
        "",
    ]);
    let answer = stage.client.post_raw("/v1/events", "application/x-ndjson", &body).expect(202);
    let entries = answer.data().as_array().unwrap();
    let accepted: Vec<_> = entries.iter().map(|e| e["error"].is_null()).collect();
    assert_eq!(accepted, [true, true, false, true], "{}", answer.text);
    assert_eq!((&entries[0]["id"], &entries[1]["id"], &entries[3]["id"]), (&json!("a"), &json!("b"), &json!("d")));
    let windows = "{\"id\":\"w1\",\"type\":\"EMAIL_SENT\",\"data\":{}}\r\n{\"id\":\"w2\",\"type\":\"EMAIL_SENT\",\"data\":{}}\r\n";
    let answer = stage.client.post_raw("/v1/events", "application/x-ndjson", windows.as_bytes()).expect(202);
    assert_eq!(answer.data().as_array().unwrap().len(), 2);
    let one =
        stage.client.post_raw("/v1/events", "application/x-ndjson", email("one").to_string().as_bytes()).expect(202);
    assert_eq!(one.data(), &json!([{ "id": "one", "duplicate": false, "deliveries": 0 }]));
}

#[test]
fn an_array_that_does_not_parse_is_a_400_and_nothing_of_it_is_taken() {
    let stage = Stage::new("genesy");
    let body = format!("[{},{{\"id\":]", email("a"));
    let answer = stage.client.post_raw("/v1/events", "application/json", body.as_bytes());
    error_shape(&answer, 400).unwrap();
    stage.client.get("/v1/events/a").expect(404);
}

#[test]
fn too_many_or_too_much_is_a_413() {
    let stage = Stage::new("genesy");
    let event = r#"{"type":"EMAIL_SENT","data":{}}"#;
    let array = |n: usize| format!("[{}]", vec![event; n].join(","));
    let most = stage.client.post_raw("/v1/events", "application/json", array(10_000).as_bytes()).expect(202);
    assert_eq!(most.data().as_array().unwrap().len(), 10_000);
    let mut wrong = Vec::new();
    let lines = vec![event; 10_001].join("\n");
    let one = format!(r#"{{"type":"EMAIL_SENT","data":{{"x":"{}"}}}}"#, "x".repeat(300 * 1024));
    let much = format!(
        "[{}]",
        vec![format!(r#"{{"type":"EMAIL_SENT","data":{{"x":"{}"}}}}"#, "x".repeat(200_000)); 90].join(",")
    );
    let spaces = " ".repeat((16 << 20) + 1);
    for (what, content_type, body) in [
        ("10,001 events", "application/json", array(10_001)),
        ("10,001 lines", "application/x-ndjson", lines),
        ("an event of 300 KiB", "application/json", one),
        ("18 MB", "application/json", much),
        ("16 MiB of nothing", "application/json", spaces.clone()),
        ("16 MiB of empty lines", "application/x-ndjson", spaces),
    ] {
        let answer = stage.client.post_raw("/v1/events", content_type, body.as_bytes());
        if let Err(e) = error_shape(&answer, 413) {
            wrong.push(format!("{what}: {}", e.chars().take(300).collect::<String>()));
        }
    }
    let fits = format!(r#"{{"type":"EMAIL_SENT","data":{{"x":"{}"}}}}"#, "x".repeat(256 * 1024 - 200));
    stage.client.post_raw("/v1/events", "application/json", fits.as_bytes()).expect(202);
    assert_eq!(
        stage.client.get("/v1/events?pageSize=1").expect(200).body["meta"],
        json!({
            "page": 1, "pageSize": 1, "total": 10_000, "totalIsCapped": true,
            "nextCursor": stage.client.get("/v1/events?pageSize=1").expect(200).body["meta"]["nextCursor"],
        })
    );
    none_wrong(wrong);
}

#[test]
fn a_given_time_is_normalised_and_never_repeats_within_a_type() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT", "POST_LIKED"], json!({}));
    let publish =
        |event_type: &str, created: &str| stage.publish(&json!({ "type": event_type, "created": created, "data": {} }));
    for created in [
        "2026-02-19T10:30:00Z",
        "2026-02-19T11:30:00.0004+01:00",
        "2026-02-19T10:30:00.000Z",
        "2026-02-19T05:00:00-05:30",
    ] {
        publish("EMAIL_SENT", created);
    }
    let id = publish("POST_LIKED", "2026-02-19T10:30:00Z");
    let mut seen = timestamps(&stage, 5);
    seen.sort();
    let expected = ["00.000Z", "00.000Z", "00.001Z", "00.002Z", "00.003Z"].map(|end| format!("2026-02-19T10:30:{end}"));
    assert_eq!(seen, expected);
    assert_eq!(stage.client.get(&format!("/v1/events/{id}")).expect(200).data()["created"], "2026-02-19T10:30:00.000Z");
}

#[test]
fn past_a_thousand_in_one_second_times_go_on_in_microseconds() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    let event = json!({ "type": "EMAIL_SENT", "created": "2026-02-19T10:30:00Z", "data": {} });
    stage.client.post("/v1/events", &json!(vec![event; 1_050])).expect(202);
    let mut seen = timestamps(&stage, 1_050);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_050, "no time comes twice");
    assert!(seen.iter().all(|t| t.starts_with("2026-02-19T10:30:0")), "{:?}", seen.last());
    assert!(seen.iter().any(|t| t.len() == "2026-02-19T10:30:00.000000Z".len()), "{:?}", seen.last());
}

#[test]
fn a_burst_late_in_a_second_goes_on_in_milliseconds_of_the_next() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    let event = json!({ "type": "EMAIL_SENT", "created": "2026-02-19T10:30:00.950Z", "data": {} });
    stage.client.post("/v1/events", &json!(vec![event; 1_001])).expect(202);
    let seen: BTreeSet<_> = timestamps(&stage, 1_001).into_iter().collect();
    let millis = (950..1_950).map(|ms| format!("2026-02-19T10:30:{:02}.{:03}Z", ms / 1_000, ms % 1_000));
    let expected: BTreeSet<_> = millis.chain(["2026-02-19T10:30:00.950001Z".to_owned()]).collect();
    assert_eq!(seen, expected);
}

#[test]
fn times_of_acceptance_never_repeat_either() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.client.post("/v1/events", &json!(vec![json!({ "type": "EMAIL_SENT", "data": {} }); 300])).expect(202);
    let mut seen = timestamps(&stage, 300);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 300);
    assert!(seen.iter().all(|t| is_time(&json!(t))));
}

#[test]
fn events_are_read_back_and_filtered() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({}));
    stage.publish(&json!({ "id": "a", "type": "EMAIL_SENT", "created": "2026-02-19T10:30:00+01:00", "data": { "campaign": { "id": 7 }, "n": 1e2 } }));
    stage.publish(&json!({ "id": "b", "type": "POST_LIKED", "data": { "campaign": { "id": "c" } } }));
    let delivered = stage.wait_for_delivery("a", "succeeded");
    let event = stage.client.get("/v1/events/a").expect(200);
    let data = event.data();
    assert_eq!(
        (&data["id"], &data["type"], &data["created"]),
        (&json!("a"), &json!("EMAIL_SENT"), &json!("2026-02-19T09:30:00.000Z"))
    );
    assert_eq!(data["data"]["campaign"]["id"], 7);
    assert_eq!(data["deliveries"][0]["id"], delivered["id"], "{}", event.text);
    let mut wrong = Vec::new();
    for (query, found) in [
        ("id=a", &["a"][..]),
        ("id=zzz", &[]),
        ("eventType=POST_LIKED", &["b"]),
        ("campaignId=7", &["a"]),
        ("campaignId=c", &["b"]),
        ("campaignId=8", &[]),
        ("since=2099-01-01T00:00:00Z", &[]),
        ("until=2001-01-01T00:00:00Z", &[]),
        ("since=2001-01-01T00:00:00Z&until=2099-01-01T00:00:00Z", &["b", "a"]),
        ("eventType=POST_LIKED&campaignId=7", &[]),
    ] {
        let answer = stage.client.get(&format!("/v1/events?{query}"));
        let ids: Vec<_> = answer.data().as_array().into_iter().flatten().map(|e| e["id"].as_str().unwrap()).collect();
        if answer.status != 200 || ids != found {
            wrong.push(format!("{query}: {ids:?} {}", answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn what_was_answered_is_read_at_once() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], crate::slow_policy());
    for n in 0..50 {
        let id = stage.publish(&email(&format!("e{n}")));
        stage.client.get(&format!("/v1/events/{id}")).expect(200);
        let list = stage.client.get("/v1/deliveries?pageSize=1").expect(200);
        assert_eq!((&list.data()[0]["eventId"], &list.body["meta"]["total"]), (&json!(id), &json!(n + 1)));
    }
}

#[test]
fn the_catalogue_is_the_profiles() {
    let mut wrong = Vec::new();
    for (profile, types) in [("genesy", &crate::GENESY_TYPES[..]), ("snaily", &crate::SNAILY_TYPES)] {
        let stage = Stage::new(profile);
        let answer = stage.client.get("/v1/event-types").expect(200);
        let entries = answer.data().as_array().unwrap();
        let names: Vec<_> = entries.iter().map(|e| e["name"].as_str().unwrap()).collect();
        assert_eq!(names, types);
        for entry in entries {
            if !entry["displayName"].is_string()
                || !entry["description"].is_string()
                || !entry["sample"].is_object()
                || entry.as_object().unwrap().len() != 5
            {
                wrong.push(entry.to_string());
            }
            stage.client.post("/v1/events", &json!({ "type": entry["name"], "data": entry["sample"] })).expect(202);
        }
    }
    none_wrong(wrong);
}
