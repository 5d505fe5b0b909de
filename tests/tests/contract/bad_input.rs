//! Input that is wrong on purpose: never a 500, never a hang, never a secret in the answer.

use serde_json::json;

use crate::{Stage, email, error_shape, none_wrong, raw, status_of};

/// An event whose data nests so deep.
fn nested(depth: usize) -> String {
    format!(
        r#"{{"id":"d{depth}","type":"EMAIL_SENT","data":{{"a":{}{}}}}}"#,
        "[".repeat(depth - 1),
        "]".repeat(depth - 1)
    )
}

#[test]
fn sixty_four_levels_are_accepted_and_65_are_not() {
    let stage = Stage::new("genesy");
    let post = |body: String| stage.client.post_raw("/v1/events", "application/json", body.as_bytes());
    post(nested(64)).expect(202);
    for depth in [65, 66, 1_000, 100_000] {
        let answer = post(nested(depth));
        assert!(matches!(answer.status, 400 | 422), "{depth}: {} {}", answer.status, &answer.text);
        error_shape(&answer, answer.status).unwrap();
    }
    let answer = post("[".repeat(1_000_000));
    assert!(matches!(answer.status, 400 | 422), "{}", answer.status);
    let answer = stage.client.post_raw(
        "/v1/webhooks",
        "application/json",
        format!("{{\"name\":{}", "[".repeat(100_000)).as_bytes(),
    );
    assert!(matches!(answer.status, 400 | 422), "{}", answer.status);
}

#[test]
fn bytes_that_are_not_json_are_a_400() {
    let stage = Stage::new("genesy");
    let mut wrong = Vec::new();
    let cases: [&[u8]; 16] = [
        b"\xef\xbb\xbf{\"type\":\"EMAIL_SENT\",\"data\":{}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":\"\xff\"}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":\"\xc3\"}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":\"\xed\xa0\x80\"}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":NaN}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":Infinity}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":01}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":1.}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":\"\n\"}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":\"\\x\"}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":\"\\u12\"}}",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{}} x",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{}}\0",
        b"{\"type\":\"EMAIL_SENT\",\"data\":{\"a\":1,}}",
        b"\0",
        b"// comment\n{}",
    ];
    for case in cases {
        let answer = stage.client.post_raw("/v1/events", "application/json", case);
        if let Err(e) = error_shape(&answer, 400) {
            wrong.push(format!("{}: {e}", String::from_utf8_lossy(case)));
        }
    }
    none_wrong(wrong);
}

#[test]
fn odd_but_valid_json_is_never_a_500() {
    let stage = Stage::new("genesy");
    stage.webhook(&["EMAIL_SENT"], json!({ "customFields": ["a", "b"], "campaignIds": [] }));
    let mut accepted = 0;
    let mut wrong = Vec::new();
    for data in [
        r#"{"a":1e999}"#,
        r#"{"a":-1e999}"#,
        r#"{"contact":{"id":1e999}}"#,
        r#"{"campaign":{"id":1e999}}"#,
        r#"{"campaign":{"id":1e400,"name":5}}"#,
        r#"{"campaign":{"id":-0}}"#,
        r#"{"contact":5}"#,
        r#"{"contact":[],"company":"x","campaign":null,"message":1,"post":true}"#,
        r#"{"contact":{"a":"\ud800"}}"#,
        r#"{"contact":{"a":"\u0000"}}"#,
        r#"{"contact":{"a":1,"a":2}}"#,
        r#"{"contact":{"id":1},"contact":{"id":2}}"#,
        r#"{"contact":{"\u0061":"escaped name"}}"#,
        r#"{"contact":{"customFields":5},"company":{"customFields":null}}"#,
        r#"{"campaign":{"id":{"a":1}}}"#,
        r#"{"":{"":""}}"#,
        "{\"contact\":{\"a\":\"\u{2028}\u{feff}\"}}",
    ] {
        let event = format!(r#"{{"type":"EMAIL_SENT","data":{data}}}"#);
        let answer = stage.client.post_raw("/v1/events", "application/json", event.as_bytes());
        match answer.status {
            202 => accepted += 1,
            400 | 422 if error_shape(&answer, answer.status).is_ok() => {}
            _ => wrong.push(format!("{data}: {} {}", answer.status, answer.text)),
        }
    }
    none_wrong(wrong);
    for request in stage.wait_for_requests(accepted) {
        assert!(
            request.text().starts_with(r#"{"eventId":"evt_"#) && request.text().ends_with("}}"),
            "{}",
            request.text()
        );
    }
}

#[test]
fn a_member_given_twice_is_refused_outside_of_data() {
    let stage = Stage::new("genesy");
    let mut wrong = Vec::new();
    for (path, body) in [
        ("/v1/events", r#"{"type":"EMAIL_SENT","type":"POST_LIKED","data":{}}"#),
        ("/v1/events", r#"{"type":"EMAIL_SENT","data":{},"data":{"a":1}}"#),
        ("/v1/events", r#"{"id":"a","id":"b","type":"EMAIL_SENT","data":{}}"#),
        ("/v1/webhooks", r#"{"name":"a","name":"b","url":"http://example.com/","events":["EMAIL_SENT"]}"#),
    ] {
        let answer = stage.client.post_raw(path, "application/json", body.as_bytes());
        if !matches!(answer.status, 400 | 422) || error_shape(&answer, answer.status).is_err() {
            wrong.push(format!("{body}: {} {}", answer.status, answer.text));
        }
    }
    none_wrong(wrong);
}

#[test]
fn a_chunked_body_is_read_and_bounded() {
    let stage = Stage::new("genesy");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        stage.client.key()
    );
    let event = email("chunked").to_string();
    let (a, b) = event.split_at(10);
    let whole = format!("{head}{:x}\r\n{a}\r\n{:x};ext=1\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
    assert_eq!(status_of(&raw(&stage.server, whole.as_bytes())), 202);
    stage.client.get("/v1/events/chunked").expect(200);
    let part = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    let endless = raw(&stage.server, format!("{head}{}0\r\n\r\n", part.repeat(17)).as_bytes());
    assert!(matches!(status_of(&endless), 413 | 0), "{endless}");
    let broken = raw(&stage.server, format!("{head}zz\r\n").as_bytes());
    assert!(matches!(status_of(&broken), 400 | 0), "{broken}");
    let both = head.replace("transfer-encoding", "content-length: 5\r\ntransfer-encoding");
    let both = raw(&stage.server, format!("{both}{:x}\r\n{event}\r\n0\r\n\r\n", event.len()).as_bytes());
    assert!(matches!(status_of(&both), 400 | 202 | 0), "{both}");
    stage.client.get("/healthz").expect(200);
}

#[test]
fn a_length_that_promises_too_much_is_refused_before_it_comes() {
    let stage = Stage::new("genesy");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n",
        stage.client.key()
    );
    assert_eq!(status_of(&raw(&stage.server, head.as_bytes())), 413);
}

#[test]
fn what_a_client_expects_is_answered() {
    let stage = Stage::new("genesy");
    let event = email("expected").to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n{event}",
        stage.client.key(),
        event.len()
    );
    let answer = raw(&stage.server, request.as_bytes());
    assert!(answer.contains(" 202 "), "{answer}");
}

#[test]
fn errors_name_no_path_of_the_machine() {
    let stage = Stage::new("genesy");
    let folder = stage.server.data().to_str().unwrap().to_owned();
    for answer in [
        stage.client.get("/v1/../../etc/passwd"),
        stage.client.get("/v1/webhooks/1"),
        stage.client.post("/v1/webhooks", &json!({ "name": folder })),
        stage.client.post_raw("/v1/events", "application/json", b"{"),
    ] {
        assert!(answer.status >= 400 && answer.status < 500, "{}", answer.text);
        assert!(!answer.text.contains(".rs") && !answer.text.contains("crates/"), "{}", answer.text);
    }
}
