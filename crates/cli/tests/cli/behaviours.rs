//! Each behaviour as it looks on the wire.

use std::io::{ErrorKind, Read};

use crate::support::{Sink, send};

fn start(behaviour: &str) -> Sink {
    Sink::start(&["--quiet", "--behaviour", behaviour])
}

#[test]
fn the_polite_ones_are_plain_http() {
    let cases = [
        ("ok", "HTTP/1.1 200 ", ""),
        ("redirect", "HTTP/1.1 302 ", "location: /redirected\r\n"),
        ("gone", "HTTP/1.1 410 ", ""),
        ("busy", "HTTP/1.1 429 ", "retry-after: 1\r\n"),
    ];
    for (behaviour, status, header) in cases {
        let answer = start(behaviour).post("/", b"{}");
        assert!(answer.starts_with(status) && answer.contains(header), "{behaviour}: {answer}");
    }
}

#[test]
fn reset_cuts_the_connection_after_the_request() {
    let sink = start("reset");
    let mut stream = sink.connect();
    send(&mut stream, "/", b"{}");
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let stats = sink.get("/stats");
    assert_eq!((&stats["requests"], &stats["failed"]), (&1.into(), &1.into()));
    assert_eq!(sink.get("/requests")["data"][0]["body"], "{}");
}

#[test]
fn silent_never_answers() {
    let sink = start("silent");
    let mut stream = sink.connect();
    send(&mut stream, "/", b"{}");
    sink.stats_until(|stats| stats["hung"] == 1);
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn drip_head_comes_a_byte_at_a_time() {
    let sink = start("drip-head");
    let mut stream = sink.connect();
    send(&mut stream, "/", b"{}");
    let mut start = [0; 4];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP");
    assert_eq!(sink.get("/stats")["hung"], 1);
}

#[test]
fn endless_body_does_not_end() {
    let sink = start("endless-body");
    let mut stream = sink.connect();
    send(&mut stream, "/", b"{}");
    let mut much = vec![0; 4 << 20];
    stream.read_exact(&mut much).unwrap();
    assert!(much.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n0123456789abcdef"));
}

#[test]
fn garbage_is_not_http() {
    let answer = start("garbage").post("/", b"{}");
    assert!(!answer.is_empty() && !answer.starts_with("HTTP"), "{answer}");
}

#[test]
fn huge_head_is_a_mebibyte_of_valid_head() {
    let answer = start("huge-head").post("/", b"{}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.len() >= 1 << 20 && head.starts_with("HTTP/1.1 200 OK\r\n"), "{} bytes", head.len());
    assert_eq!(body, "ok");
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let output = crate::support::run(&["sink", "--behaviour", "polite"]);
    let line = crate::support::stderr(&output);
    assert_eq!(output.status.code(), Some(2));
    for known in
        ["ok", "reset", "silent", "drip-head", "endless-body", "garbage", "redirect", "huge-head", "gone", "busy"]
    {
        assert!(line.contains(known), "{line}");
    }
}
