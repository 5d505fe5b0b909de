//! HTTP/2 where the client chooses it: the same API and the same dashboard, many requests at once, and clients that abuse it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{Method, Request, Response};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Stage;

/// A client of HTTP/2 on a connection of its own.
async fn connect(stage: &Stage) -> SendRequest<Bytes> {
    #[allow(clippy::disallowed_methods, reason = "to the server under test")]
    let stream = TcpStream::connect(("127.0.0.1", stage.port())).await.unwrap();
    let config = stage.authority.trusting(&[b"h2"]);
    let session =
        TlsConnector::from(Arc::clone(&config)).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(session.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, connection) = h2::client::handshake(session).await.unwrap();
    tokio::spawn(connection);
    send
}

/// One request and its answer.
async fn ask(
    send: &SendRequest<Bytes>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let answer = begin(send, method, path, headers, body).await.await.unwrap();
    let status = answer.status().as_u16();
    (status, text(answer).await)
}

async fn begin(
    send: &SendRequest<Bytes>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> h2::client::ResponseFuture {
    let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut send = send.clone().ready().await.unwrap();
    let (answer, mut stream) = send.send_request(request.body(()).unwrap(), body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }
    answer
}

async fn text(answer: Response<RecvStream>) -> String {
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        bytes.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

/// The key of a new workspace.
async fn workspace(stage: &Stage, send: &SendRequest<Bytes>) -> String {
    let admin = stage.server.admin().key().to_owned();
    let headers = [("x-api-key", &*admin), ("content-type", "application/json")];
    let body = json!({ "name": "w", "profile": "genesy" }).to_string();
    let (status, text) = ask(send, Method::POST, "/v1/workspaces", &headers, &body).await;
    assert_eq!(status, 201, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["data"]["apiKey"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_api_and_the_dashboard_are_the_same_on_many_streams_at_once() {
    let stage = Stage::new();
    let send = connect(&stage).await;
    let key = workspace(&stage, &send).await;
    let headers = [("x-api-key", &*key), ("content-type", "application/json")];
    // More than the server takes at once: those beyond wait for their turn.
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (send, key) = (send.clone(), key.clone());
            tokio::spawn(async move {
                let headers = [("x-api-key", &*key), ("content-type", "application/json")];
                let body = json!({ "id": format!("e{n}"), "type": "EMAIL_SENT", "data": { "n": "x".repeat(n * 100) } });
                ask(&send, Method::POST, "/v1/events", &headers, &body.to_string()).await
            })
        })
        .collect();
    for task in tasks {
        let (status, text) = task.await.unwrap();
        assert_eq!(status, 202, "{text}");
    }
    let (status, list) = ask(&send, Method::GET, "/v1/events?pageSize=200", &headers[..1], "").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((status, &list["meta"]["total"]), (200, &json!(200)));
    let (status, refused) = ask(&send, Method::POST, "/v1/events", &headers, "{").await;
    assert_eq!(status, 400, "{refused}");
    let large = format!("{{\"type\":\"EMAIL_SENT\",\"data\":{{\"x\":\"{}\"}}}}", "x".repeat(300 * 1024));
    assert_eq!(ask(&send, Method::POST, "/v1/events", &headers, &large).await.0, 413);

    // What HTTP/1.1 says in `Host` is taken from the address: a form of this site is taken, another one is not.
    let form = format!("key={key}");
    let kind = ("content-type", "application/x-www-form-urlencoded");
    for (origin, expected) in [("https://localhost", 303), ("https://elsewhere.example", 403)] {
        let headers = [kind, ("origin", origin)];
        assert_eq!(ask(&send, Method::POST, "/dashboard/sign-in", &headers, &form).await.0, expected, "{origin}");
    }
    assert_eq!(ask(&send, Method::GET, "/healthz", &[], "").await.0, 200);
}

#[tokio::test]
async fn a_body_that_stops_is_refused_in_time_and_holds_up_no_other_stream() {
    let stage = Stage::new();
    let send = connect(&stage).await;
    let key = workspace(&stage, &send).await;
    let request = Request::post("https://localhost/v1/events").header("x-api-key", &key);
    let request = request.header("content-type", "application/json").body(()).unwrap();
    let began = Instant::now();
    let (answer, mut body) = send.clone().ready().await.unwrap().send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"{\"type\":"), false).unwrap();
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(ask(&send, Method::GET, "/healthz", &[], "").await.0, 200);
    }
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 408);
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(ask(&send, Method::GET, "/healthz", &[], "").await.0, 200);
}

#[tokio::test]
async fn whoever_resets_stream_after_stream_loses_the_connection_and_nobody_else_notices() {
    let stage = Stage::new();
    let (rapid, calm) = (connect(&stage).await, connect(&stage).await);
    let mut reset = 0;
    for _ in 0..20_000 {
        let Ok(mut send) = rapid.clone().ready().await else { break };
        let request = Request::get("https://localhost/healthz").body(()).unwrap();
        let Ok((answer, mut stream)) = send.send_request(request, true) else { break };
        stream.send_reset(Reason::CANCEL);
        drop(answer);
        reset += 1;
        if reset % 64 == 0 {
            assert_eq!(ask(&calm, Method::GET, "/readyz", &[], "").await.0, 200);
        }
    }
    assert!(reset < 20_000, "it was never told to stop");
    assert_eq!(ask(&connect(&stage).await, Method::GET, "/readyz", &[], "").await.0, 200);
}

#[tokio::test]
async fn the_servers_end_is_told_and_waits_for_no_silent_client() {
    let stage = Stage::new();
    let send = connect(&stage).await;
    let key = workspace(&stage, &send).await;
    let live = begin(&send, Method::GET, "/v1/live", &[("x-api-key", &key)], "").await.await.unwrap();
    assert_eq!(live.status(), 200);
    let began = Instant::now();
    let ended = tokio::task::spawn_blocking(move || stage.server.terminate());
    // The stream has an end, and the connection too.
    assert!(text(live).await.starts_with(": watching"));
    assert!(ended.await.unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(send.ready().await.is_err());
}
