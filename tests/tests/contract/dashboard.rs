//! The dashboard at `/`, on the real binary and over a real connection: signing in, and what a person does to a failed delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use form_urlencoded::Serializer;
use postrider_tests::{Reaction, Server};
use serde_json::json;

use crate::{Stage, email, raw, status_of};

/// What a browser sends, and what came back: head and body.
fn ask(server: &Server, method: &str, path: &str, cookie: &str, fields: &[(&str, &str)]) -> String {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let host = server.base().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncookie: {cookie}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(server, request.as_bytes())
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split(after).next().unwrap()
}

#[test]
fn a_person_signs_in_finds_out_why_a_delivery_failed_and_retries_it() {
    let now = Arc::new(AtomicU16::new(500));
    let status = Arc::clone(&now);
    let stage = Stage::reacting("genesy", move |_| Reaction::Status(status.load(Ordering::SeqCst)));
    let server = &stage.server;
    let front = ask(server, "GET", "/", "", &[]);
    assert_eq!(status_of(&front), 200);
    assert!(front.contains("text/html") && front.contains("Sign in"), "{front}");
    assert!(front.to_lowercase().contains("content-security-policy: default-src 'none'"), "{front}");
    assert_eq!(status_of(&ask(server, "POST", "/dashboard/sign-in", "", &[("key", "prk_wrong")])), 401);

    let signed_in = ask(server, "POST", "/dashboard/sign-in", "", &[("key", stage.client.key())]);
    assert_eq!(status_of(&signed_in), 303);
    assert!(signed_in.contains("; HttpOnly; SameSite=Strict"), "{signed_in}");
    let cookie = between(&signed_in, "set-cookie: ", ";").to_owned();
    let page = |path: &str| {
        let answer = ask(server, "GET", path, &cookie, &[]);
        assert_eq!(status_of(&answer), 200, "{path}: {answer}");
        answer
    };
    let token = between(&page("/"), "name=\"token\" value=\"", "\"").to_owned();

    let url = stage.receiver.url("/hook");
    let fields = [("token", &*token), ("name", "crm"), ("url", &url), ("events", "EMAIL_SENT"), ("enabled", "on")];
    let refused = ask(server, "POST", "/dashboard/webhooks/new", &cookie, &fields[1..]);
    assert_eq!(status_of(&refused), 403, "without the token");
    let made = ask(server, "POST", "/dashboard/webhooks/new", &cookie, &fields);
    assert_eq!(status_of(&made), 303, "{made}");
    let hook = between(&made, "location: ", "\r").to_owned();

    stage.publish(&json!({ "id": "e1", "type": "EMAIL_SENT", "data": { "contact": { "id": "<script>x</script>" } } }));
    stage.wait_for_logs(hook.rsplit('/').next().unwrap().parse().unwrap(), 1);
    let log = page(&format!("{hook}?outcome=retrying"));
    assert!(log.contains("http_status") && log.contains("verify your URL is publicly accessible"), "{log}");
    let delivery = format!("/dashboard/deliveries/{}", stage.delivery_of("e1"));
    let shown = page(&delivery);
    assert!(shown.contains("&lt;script&gt;x") && !shown.contains("<script>x"), "{shown}");

    now.store(200, Ordering::SeqCst);
    let retried = ask(server, "POST", &format!("{delivery}/retry"), &cookie, &[("token", &token)]);
    assert_eq!(status_of(&retried), 303, "{retried}");
    stage.wait_for_delivery("e1", "succeeded");
    assert!(page(&delivery).contains("Attempt 2"));
}

#[test]
fn a_session_is_no_key_and_a_restart_ends_it() {
    let stage = Stage::new("genesy");
    stage.publish(&email("e1"));
    let signed_in = ask(&stage.server, "POST", "/dashboard/sign-in", "", &[("key", stage.client.key())]);
    let cookie = between(&signed_in, "set-cookie: ", ";").to_owned();
    assert_eq!(status_of(&ask(&stage.server, "GET", "/v1/events", &cookie, &[])), 401);
    assert_eq!(status_of(&ask(&stage.server, "GET", "/dashboard/events", &cookie, &[])), 200);
    let Stage { server, _folder: folder, .. } = stage;
    server.terminate();
    let server = Server::start(folder.path());
    assert_eq!(status_of(&ask(&server, "GET", "/dashboard/events", &cookie, &[])), 303);
}
