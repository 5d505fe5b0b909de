//! What the program says about itself: a name for each request, and lines that hold no payload and no secret.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postrider_tests::{Client, Receiver, binary, within};
use serde_json::{Value, json};

use crate::{Stage, email};

/// A server whose stderr is kept.
struct Talking {
    child: std::process::Child,
    client: Client,
    said: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
}

impl Talking {
    fn start(format: &str, level: &str) -> Talking {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--allow", "loopback", "--init", "genesy"]);
        command.args(["--log-format", format, "--log-level", level, "--admin-key", "admin-key-not-to-be-told"]);
        command.arg("--data").arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, said) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let out = within(Duration::from_secs(20), "it is ready", || {
            let out = out.lock().unwrap().clone();
            out.contains("is ready at ").then_some(out)
        });
        let after = |part: &str| out.split(part).nth(1).unwrap().split([',', '\n']).next().unwrap().to_owned();
        let client = Client::new(&after("is ready at "), &after(", key "));
        Talking { child, client, said, _folder: folder }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes, as far as it has come.
fn lines(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut bytes) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    });
    text
}

const SECRETS: [&str; 5] = [
    "admin-key-not-to-be-told",
    "secret-not-to-be-told",
    "header-not-to-be-told",
    "payload-not-to-be-told",
    "answer-not-to-be-told",
];

/// A webhook with a secret that fails, an event, a test, a refused request: everything that touches what must not be told.
fn do_all(talking: &Talking) {
    let client = &talking.client;
    let answer = "HTTP/1.1 500 X\r\ncontent-length: 21\r\n\r\nanswer-not-to-be-told";
    let receiver = Receiver::reacting(move |_| postrider_tests::Reaction::Raw(answer));
    let webhook = json!({ "name": "crm", "url": receiver.url("/hook?token=secret-not-to-be-told"), "events": ["EMAIL_SENT"],
        "secret": "secret-not-to-be-told", "headers": { "X-Own": "header-not-to-be-told" } });
    client.post("/v1/webhooks", &webhook).expect(201);
    let event = json!({ "id": "e1", "type": "EMAIL_SENT", "data": { "contact": { "id": "payload-not-to-be-told" } } });
    client.post("/v1/events", &event).expect(202);
    within(Duration::from_secs(10), "it is delivered", || (receiver.count() == 1).then_some(()));
    client.post("/v1/webhooks/1/test", &json!({})).expect(200);
    client.with_key("prk_not-to-be-told").get("/v1/events?id=payload-not-to-be-told").expect(401);
    client.post("/v1/events", &json!({ "type": "payload-not-to-be-told", "data": {} })).expect(422);
}

#[test]
fn json_lines_name_their_request_and_tell_no_secret() {
    let talking = Talking::start("json", "debug");
    let key = talking.client.key().to_owned();
    let headers = [("x-api-key", &*key), ("x-request-id", "trace-42")];
    let answer = talking.client.send("GET", "/v1/webhooks/77", &headers, b"").expect(404);
    assert_eq!(answer.header("x-request-id"), Some("trace-42"));
    do_all(&talking);
    let said = within(Duration::from_secs(5), "the last request is told of", || {
        Some(talking.said()).filter(|said| said.contains("\"status\":422") && said.ends_with('\n'))
    });
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let told = lines.iter().find(|line| line["span"]["id"] == "trace-42").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&told["message"], &told["level"], &told["status"]), (&json!("answered"), &json!("DEBUG"), &json!(404)));
    assert_eq!((&told["span"]["method"], &told["span"]["path"]), (&json!("GET"), &json!("/v1/webhooks/77")));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()), "{said}");
    for secret in SECRETS.iter().chain(&["prk_"]) {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[test]
fn text_is_for_people_and_tells_no_secret_either() {
    let talking = Talking::start("text", "debug");
    do_all(&talking);
    let said = within(Duration::from_secs(5), "the last request is told of", || {
        Some(talking.said()).filter(|said| said.contains("status=422"))
    });
    let line = said.lines().find(|line| line.contains("status=422")).unwrap();
    assert!(line.contains("DEBUG request{id=\"req_") && line.contains("method=POST path=\"/v1/events\"}"), "{line}");
    assert!(!said.contains('\u{1b}'), "no colours where there is no terminal");
    for secret in SECRETS.iter().chain(&["prk_"]) {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[test]
fn every_answer_has_a_request_id_and_only_a_sane_one_is_taken() {
    let stage = Stage::new("genesy");
    let key = stage.client.key();
    let id = |method: &str, path: &str, given: Option<&str>| {
        let mut headers = vec![("x-api-key", key)];
        headers.extend(given.map(|given| ("x-request-id", given)));
        let answer = stage.client.send(method, path, &headers, b"");
        answer.header("x-request-id").unwrap_or_else(|| panic!("{method} {path}: {}", answer.text)).to_owned()
    };
    let mut made = Vec::new();
    for (method, path) in [
        ("GET", "/v1/webhooks"),
        ("GET", "/v1/webhooks/1"),
        ("POST", "/v1/events"),
        ("PUT", "/v1/events"),
        ("GET", "/none"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/"),
    ] {
        let name = id(method, path, None);
        assert!(name.starts_with("req_") && name.len() > 12, "{name}");
        made.push(name);
        assert_eq!(id(method, path, Some("6f1c1c9e-2a43")), "6f1c1c9e-2a43");
    }
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 8, "each has its own");
    for odd in ["two words", "{\"a\":1}", &"x".repeat(129)] {
        assert!(id("GET", "/v1/webhooks", Some(odd)).starts_with("req_"), "{odd}");
    }
    stage.client.post("/v1/events", &email("e1")).expect(202);
}
