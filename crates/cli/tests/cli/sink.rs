//! The sink answers as told, counts, and keeps the last requests in bounded memory.

use std::io::{BufRead, Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Sink, postrider, send};

#[test]
fn it_answers_the_status_it_was_told_and_counts() {
    let sink = Sink::start(&["--quiet"]);
    assert!(sink.post("/a", b"12345").starts_with("HTTP/1.1 200 OK\r\n"));
    let told = Sink::start(&["--status", "418", "--quiet"]);
    assert!(told.post("/a", b"{}").starts_with("HTTP/1.1 418 "));
    let stats = sink.get("/stats");
    for (field, count) in
        [("requests", 1), ("succeeded", 1), ("failed", 0), ("hung", 0), ("bytes", 5), ("connections", 1)]
    {
        assert_eq!(stats[field], count, "{field}");
    }
    assert!(stats["firstAt"].as_str().unwrap().ends_with('Z') && stats["lastAt"].is_string());
    assert_eq!(told.get("/stats")["failed"], 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "events are stamped with the wall clock of who sends them")]
fn stamped_events_are_timed_and_counts_begin_anew() {
    let sink = Sink::start(&["--quiet", "--measure"]);
    let mut stream = sink.connect();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    let head = "Host: sink\r\nContent-Length: 0\r\n";
    write!(stream, "POST /a HTTP/1.1\r\n{head}Postrider-Event-Id: t{now}-1\r\n\r\n").unwrap();
    write!(stream, "POST /a HTTP/1.1\r\n{head}Postrider-Event-Id: evt_1\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let stats = sink.get("/stats");
    let measured = &stats["measured"];
    assert_eq!((&stats["requests"], &measured["count"]), (&2.into(), &1.into()));
    assert!((1..20_000_000).contains(&measured["p50Us"].as_u64().unwrap()), "{stats}");
    let mut stream = sink.connect();
    write!(stream, "DELETE /stats HTTP/1.1\r\n{head}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let stats = sink.get("/stats");
    assert_eq!((&stats["requests"], &stats["measured"]["count"]), (&0.into(), &0.into()));
    assert!(Sink::start(&["--quiet"]).get("/stats").get("measured").is_none());
}

#[test]
fn requests_show_what_came_newest_first() {
    let sink = Sink::start(&["--quiet"]);
    sink.post("/first?x=1", "{\"eventType\":\"É\"}".as_bytes());
    sink.post("/second", &[0xff, 0xfe]);
    let page = sink.get("/requests");
    let (second, first) = (&page["data"][0], &page["data"][1]);
    assert_eq!(
        (&first["method"], &first["path"], &first["status"]),
        (&"POST".into(), &"/first?x=1".into(), &200.into())
    );
    assert_eq!((&first["body"], &first["bodyEncoding"]), (&"{\"eventType\":\"É\"}".into(), &"text".into()));
    assert_eq!(first["headers"]["postrider-event-id"], "evt_1");
    assert_eq!((&second["body"], &second["bodyEncoding"]), (&"//4=".into(), &"base64".into()));
}

#[test]
fn only_the_last_thousand_requests_and_the_start_of_a_body_are_kept() {
    let sink = Sink::start(&["--quiet", "--threads", "2"]);
    let mut stream = sink.connect();
    let requests: String =
        (1..=1_050).map(|n| format!("POST /{n} HTTP/1.1\r\nHost: sink\r\nContent-Length: 0\r\n\r\n")).collect();
    stream.write_all(requests.as_bytes()).unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    sink.stats_until(|stats| stats["requests"] == 1_050);
    sink.post("/big", &vec![b'x'; 1 << 20]);
    let page = sink.get("/requests");
    let data = page["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[1]["path"], &data[999]["path"]), (1_000, &"/1050".into(), &"/52".into()));
    assert_eq!((&data[0]["bodyBytes"], &data[0]["bodyTruncated"]), (&(1 << 20).into(), &true.into()));
    assert_eq!(data[0]["body"].as_str().unwrap().len(), 64 * 1024);
    drop(sink);
    let _ = reader.join();
}

#[test]
fn shares_fail_and_hang_evenly() {
    let sink = Sink::start(&["--quiet", "--fail-rate", "0.5"]);
    let failed = (0..20).filter(|_| sink.post("/", b"").starts_with("HTTP/1.1 500 ")).count();
    assert!((9..=11).contains(&failed), "{failed} of 20");
    let hung = Sink::start(&["--quiet", "--hang", "1"]);
    let mut stream = hung.connect();
    send(&mut stream, "/", b"{}");
    hung.stats_until(|stats| stats["hung"] == 1);
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(hung.get("/requests")["data"][0]["status"], serde_json::Value::Null);
}

#[test]
fn latency_is_waited_before_the_answer() {
    let sink = Sink::start(&["--quiet", "--latency", "120ms"]);
    let start = Instant::now();
    sink.post("/", b"{}");
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[test]
fn each_request_is_a_line_unless_quiet() {
    let mut sink = Sink::start(&[]);
    sink.post("/hook", br#"{"events":[{"type":"contact.replied"}]}"#);
    let mut line = String::new();
    sink.stdout.read_line(&mut line).unwrap();
    assert!(line.trim_end().ends_with("Z POST /hook 200 contact.replied evt_1"), "{line}");
}

/// What is said within https, `tests/tests/wild/` has.
#[test]
fn https_writes_its_authority_and_tells_its_counts_in_plain_http() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let mut sink = Sink::start(&["--quiet", "--tls", "--tls-ca", file.to_str().unwrap()]);
    let mut line = String::new();
    sink.stdout.read_line(&mut line).unwrap();
    assert!(line.contains(&format!("serve --ca-file {}\n", file.display())), "{line}");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    let answer = sink.post("/hook", b"{}");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let stats = sink.get("/stats");
    assert_eq!((&stats["requests"], &stats["failed"]), (&1.into(), &1.into()));
    // Another start has another authority.
    let before = std::fs::read(&file).unwrap();
    drop(sink);
    let _again = Sink::start(&["--quiet", "--behaviour", "h2-reset", "--tls-ca", file.to_str().unwrap()]);
    assert_ne!(std::fs::read(&file).unwrap(), before);
    let output =
        postrider(&["sink", "--listen", "127.0.0.1:0", "--tls", "--tls-ca", "/nowhere/ca.pem"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write /nowhere/ca.pem"));
}

#[test]
fn options_may_come_from_the_environment() {
    let output = postrider(&["sink", "--listen", "127.0.0.1:0"]).env("POSTRIDER_SINK_STATUS", "42").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = postrider(&["sink", "--help"]).env("POSTRIDER_SINK_QUIET", "1").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("POSTRIDER_SINK_QUIET=1"));
}

#[test]
fn a_signal_ends_it_with_exit_0() {
    for signal in ["-TERM", "-INT"] {
        let mut sink = Sink::start(&["--quiet", "--hang", "1"]);
        let mut waiting = sink.connect();
        send(&mut waiting, "/", b"{}");
        sink.stats_until(|stats| stats["hung"] == 1);
        assert!(Command::new("kill").args([signal, &sink.child.id().to_string()]).status().unwrap().success());
        assert_eq!(sink.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}
