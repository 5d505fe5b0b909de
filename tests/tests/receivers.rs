//! The receivers that `docs/receivers.md` shows, taken from the page and run: a real server delivers to them, with the right secret and with a
//! wrong one. Where an interpreter or a registry is not to be had, the test says so and is skipped.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use postrider_tests::{Client, Server, cargo, within};
use serde_json::{Value, json};

const SECRET: &str = "correct horse";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The page's blocks of code in a language: the one that checks a header, the one that checks signatures.
fn examples(language: &str) -> [String; 2] {
    let page = std::fs::read_to_string(root().join("docs/receivers.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1).map(|rest| rest.split("```\n").next().unwrap().to_owned());
    blocks.collect::<Vec<_>>().try_into().unwrap_or_else(|blocks| panic!("two examples in {language}: {blocks:?}"))
}

/// A running example.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    url: String,
}

impl Running {
    fn start(command: &mut Command, header: &str, secret: &str) -> Running {
        command.env("HEADER", header).env("SECRET", secret).env("PORT", "0").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Running { child, lines, url }
    }

    /// The next line that it prints of an event; the rest of a value over several lines is passed over.
    fn got(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it has ended");
            if line.starts_with("got ") {
                return line;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A workspace of a server, to deliver from.
struct Sender {
    client: Client,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Sender {
    fn new(profile: &str) -> Sender {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        Sender { client: server.workspace(profile), _server: server, _folder: folder }
    }

    /// Makes a webhook to the receiver, and has one delivery taken, once more the same, and one with another secret refused.
    fn try_out(&self, mut receiver: Running, event_type: &str, secret: &str, forged: &str) {
        let webhook = json!({ "name": "try", "url": receiver.url, "events": [event_type], "secret": secret, "retryPolicy": { "delays": [] } });
        let id = self.client.post("/v1/webhooks", &webhook).expect(201).data()["id"].to_string();
        let samples = self.client.get("/v1/event-types").expect(200);
        let types = samples.data().as_array().unwrap();
        let sample = types.iter().find(|one| one["name"] == event_type).unwrap_or(&types[0])["sample"].clone();
        let publish = |name: &str| {
            let event = json!({ "id": name, "type": event_type, "data": sample });
            self.client.post("/v1/events", &event).expect(202);
        };
        publish("good");
        assert!(receiver.got().starts_with("got good "));
        let delivery = self.ended(&id, 204);
        self.client.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).expect(202);
        within(Duration::from_secs(10), "it is delivered again", || {
            (self.client.get(&format!("/v1/webhooks/{id}/logs")).expect(200).body["meta"]["total"] == 2).then_some(())
        });
        self.client.patch(&format!("/v1/webhooks/{id}"), &json!({ "secret": forged })).expect(200);
        publish("forged");
        self.ended(&id, 401);
        self.client.patch(&format!("/v1/webhooks/{id}"), &json!({ "secret": secret })).expect(200);
        publish("last");
        assert!(receiver.got().starts_with("got last "), "neither the repeat nor the forged one was worked on");
        self.client.delete(&format!("/v1/webhooks/{id}")).expect(204);
    }

    /// Once the newest attempt was answered so; its delivery.
    fn ended(&self, webhook: &str, status: u16) -> String {
        within(Duration::from_secs(10), &format!("an attempt that was answered {status}"), || {
            let logs = self.client.get(&format!("/v1/webhooks/{webhook}/logs")).expect(200);
            let newest: &Value = &logs.data()[0];
            (newest["statusCode"] == status).then(|| newest["deliveryId"].as_str().unwrap().to_owned())
        })
    }
}

/// Both providers, with the header of each.
fn header_cases(command: impl Fn() -> Command) {
    for (profile, header, event_type) in
        [("genesy", "x-webhook-secret", "MESSAGE_REPLIED"), ("snaily", "x-snaily-token", "contact.replied")]
    {
        let receiver = Running::start(&mut command(), header, SECRET);
        Sender::new(profile).try_out(receiver, event_type, SECRET, "another one");
    }
}

fn signature_case(mut command: Command) {
    let receiver = Running::start(&mut command, "", SIGNING);
    let forged = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAA";
    Sender::new("standard").try_out(receiver, "order.paid", SIGNING, forged);
}

/// Whether it succeeds; the reason is printed where not.
fn works(command: &mut Command) -> bool {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

#[test]
fn in_python() {
    let folder = tempfile::tempdir().unwrap();
    let [secret, signed] = examples("python");
    std::fs::write(folder.path().join("secret.py"), secret).unwrap();
    std::fs::write(folder.path().join("signed.py"), signed).unwrap();
    let python = |name: &str| {
        let mut command = Command::new("python3");
        command.arg(folder.path().join(name)).env("PYTHONPATH", folder.path().join("packages"));
        command
    };
    if works(Command::new("python3").arg("--version")) {
        header_cases(|| python("secret.py"));
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--target"]);
    if works(pip.arg(folder.path().join("packages")).arg("standardwebhooks==1.1.0")) {
        signature_case(python("signed.py"));
    }
}

#[test]
fn in_javascript() {
    let folder = tempfile::tempdir().unwrap();
    let [secret, signed] = examples("javascript");
    std::fs::write(folder.path().join("secret.mjs"), secret).unwrap();
    std::fs::write(folder.path().join("signed.cjs"), signed).unwrap();
    let node = |name: &str| {
        let mut command = Command::new("node");
        command.arg(folder.path().join(name));
        command
    };
    if works(Command::new("node").arg("--version")) {
        header_cases(|| node("secret.mjs"));
    }
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--fetch-retries",
        "1",
        "--prefix",
    ]);
    if works(npm.arg(folder.path()).arg("standardwebhooks@1.1.1")) {
        signature_case(node("signed.cjs"));
    }
}

#[test]
fn in_rust() {
    let names = ["receiver_secret", "receiver_signed"];
    for (shown, name) in examples("rust").iter().zip(names) {
        let text = std::fs::read_to_string(root().join(format!("tests/examples/{name}.rs"))).unwrap();
        assert!(text.ends_with(&format!("\n\n{shown}")), "docs/receivers.md shows tests/examples/{name}.rs as it is");
    }
    // Asked for this test alone, cargo builds no examples.
    let profile = if cfg!(debug_assertions) { "test" } else { "release" };
    let mut build = cargo();
    build.args(["build", "--quiet", "-p", "postrider-tests", "--examples", "--profile", profile]);
    assert!(build.status().unwrap().success(), "they can be built");
    let test = std::env::current_exe().unwrap();
    let examples = test.parent().unwrap().parent().unwrap().join("examples");
    header_cases(|| Command::new(examples.join(names[0])));
    signature_case(Command::new(examples.join(names[1])));
}
