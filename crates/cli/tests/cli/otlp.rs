//! Traces, with the feature `otlp`: what reaches a collector, and what never does. The collector is a socket, and what it gets is taken apart here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::server::read_request;
use crate::support::{PATIENCE, Sink, postrider};

/// A span's name, kind, and its attributes as text.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    name: String,
    kind: u64,
    attributes: Vec<(String, String)>,
}

impl Span {
    fn of(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// Numbers and bytes of a protobuf message, by field.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (first, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let (number, length) = match tag & 7 {
            0 => (varint(&mut bytes), 0),
            1 => (0, 8),
            2 => (0, varint(&mut bytes) as usize),
            5 => (0, 4),
            other => panic!("wire type {other}"),
        };
        let (inside, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((tag >> 3, number, inside));
    }
    found
}

fn inside(bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).into_iter().filter(move |(field, ..)| *field == wanted).map(|(.., inside)| inside)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `key = 1`, and `value = 2` with a string as 1 or a number as 3.
fn attribute(bytes: &[u8]) -> (String, String) {
    let value = inside(bytes, 2).next().unwrap();
    let (kind, number, inner) = fields(value)[0];
    (text(inside(bytes, 1).next().unwrap()), if kind == 1 { text(inner) } else { number.to_string() })
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(request: &[u8]) -> Vec<Span> {
    let scopes = inside(request, 1).flat_map(|resource| inside(resource, 2).collect::<Vec<_>>());
    let spans = scopes.flat_map(|scope| inside(scope, 2).collect::<Vec<_>>());
    let span = |bytes: &[u8]| Span {
        name: text(inside(bytes, 5).next().unwrap()),
        kind: fields(bytes).into_iter().find(|(field, ..)| *field == 6).unwrap().1,
        attributes: inside(bytes, 9).map(attribute).collect(),
    };
    spans.map(span).collect()
}

/// Takes whatever comes by POST, and keeps it.
struct Collector {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || take(&stream, &kept));
            }
        });
        Collector { address, bodies }
    }

    fn spans(&self) -> Vec<Span> {
        self.bodies.lock().unwrap().iter().flat_map(|body| spans(body)).collect()
    }
}

fn take(stream: &TcpStream, kept: &Mutex<Vec<Vec<u8>>>) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some((head, body)) = read_request(&mut reader) {
        assert!(head.starts_with("post /v1/traces http/1.1") && head.contains("application/x-protobuf"), "{head}");
        kept.lock().unwrap().push(body);
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// A server that sends its traces there.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(data: &std::path::Path, collector: &str) -> (Server, String) {
        let data = data.to_str().unwrap();
        let args = ["serve", "--listen", "0", "--data", data, "--allow", "loopback", "--init", "genesy"];
        let mut command = postrider(&args);
        command.args(["--segment", "4MiB", "--otlp", collector]).env("OTEL_BSP_SCHEDULE_DELAY", "100");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let key = lines.find_map(|line| Some(line.split_once(", key ")?.1.to_owned())).unwrap();
        let ready = lines.next().unwrap();
        let address = ready.split("http://").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        (Server { child, address }, key)
    }

    /// What it has said in its log, once it has ended well.
    fn end(mut self) -> String {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    #[allow(clippy::disallowed_methods, reason = "to the server under test")]
    fn post(&self, key: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nx-api-key: {key}\r\nx-request-id: asked-{}\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len(),
            body.len(),
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|_| panic!("{answer}"))
    }
}

#[test]
fn a_collector_gets_requests_and_attempts_and_nothing_of_what_is_sent() {
    let (collector, folder, sink) = (Collector::start(), tempfile::tempdir().unwrap(), Sink::start(&["--quiet"]));
    let (server, key) = Server::start(folder.path(), &format!("http://{}", collector.address));
    let url = format!("http://{}/hidden-path?token=hidden-token", sink.addr);
    let webhook = json!({ "name": "crm", "url": url, "events": ["EMAIL_SENT"], "secret": "hidden-secret",
        "headers": { "X-Team": "hidden-header" } });
    let made = server.post(&key, "/v1/webhooks", &webhook);
    let event =
        json!({ "id": "traced-1", "type": "EMAIL_SENT", "data": { "contact": { "firstName": "hidden-name" } } });
    assert_eq!(server.post(&key, "/v1/events", &event)["data"]["deliveries"], 1);

    let began = Instant::now();
    let attempt = loop {
        if let Some(span) = collector.spans().into_iter().find(|span| span.name == "attempt") {
            break span;
        }
        assert!(began.elapsed() < PATIENCE, "{:?}", collector.spans());
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!((attempt.of("event_id"), attempt.of("outcome")), (Some("traced-1"), Some("succeeded")));
    assert_eq!((attempt.of("status_code"), attempt.of("attempt")), (Some("200"), Some("1")));
    assert_eq!(attempt.of("webhook_id"), Some(&*made["data"]["id"].to_string()));
    assert!(attempt.of("delivery_id").is_some_and(|id| id.starts_with("dlv_")), "{attempt:?}");
    assert_eq!(attempt.kind, 3, "a client's");

    let said = server.end();
    let all = collector.spans();
    let asked = all.iter().find(|span| span.of("path") == Some("/v1/events")).unwrap_or_else(|| panic!("{all:?}"));
    assert_eq!((&*asked.name, asked.of("method"), asked.of("status")), ("request", Some("POST"), Some("202")));
    assert!(asked.of("id").is_some_and(|id| id.starts_with("asked-")) && asked.kind == 2, "{asked:?}");
    // What is left when it ends is sent as well.
    assert_eq!(all.iter().filter(|span| span.name == "request").count(), 2);
    let everything = collector.bodies.lock().unwrap().concat();
    let everything = String::from_utf8_lossy(&everything);
    assert!(everything.contains("service.name") && everything.contains("postrider"), "{everything}");
    for part in ["hidden", &key, &sink.addr.to_string()] {
        assert!(!everything.contains(part), "{part} in {everything}");
    }
    assert!(!said.contains("otel") && !said.contains("WARN"), "{said}");
}

#[test]
fn a_failed_attempt_says_why_and_a_collector_that_is_not_there_holds_up_nothing() {
    let (collector, folder) = (Collector::start(), tempfile::tempdir().unwrap());
    let sink = Sink::start(&["--quiet", "--status", "500"]);
    let (server, key) = Server::start(folder.path(), &format!("http://{}/", collector.address));
    let url = format!("http://{}/", sink.addr);
    server.post(&key, "/v1/webhooks", &json!({ "name": "crm", "url": url, "events": ["EMAIL_SENT"] }));
    server.post(&key, "/v1/events", &json!({ "type": "EMAIL_SENT", "data": {} }));
    sink.stats_until(|stats| stats["requests"] == 1);
    server.end();
    let all = collector.spans();
    let attempt = all.iter().find(|span| span.name == "attempt").unwrap_or_else(|| panic!("{all:?}"));
    let said = [attempt.of("outcome"), attempt.of("error_kind"), attempt.of("status_code")];
    assert_eq!(said, [Some("failed"), Some("http_status"), Some("500")]);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (server, key) = Server::start(folder.path(), &format!("http://{nobody}"));
    for number in 0..3 {
        server.post(&key, "/v1/events", &json!({ "type": "EMAIL_SENT", "data": { "number": number } }));
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    let said = server.end();
    assert_eq!(said.matches("traces are lost").count(), 1, "once, and not with every batch: {said}");
}
