//! A delivered request, verified by the official libraries for Python and JavaScript, installed from their registries. Where a registry
//! or an interpreter is not to be had, the test says so and is skipped. The one for Rust is used by all stories of this file's parent.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use postrider_tests::Request;
use serde_json::json;

use super::{delivered, made, text};
use crate::Stage;

/// Reads `{secret, headers, body}`; succeeds when the request verifies and the same request with another body does not.
const PYTHON: &str = r#"
import json, sys
from standardwebhooks import Webhook
given = json.load(sys.stdin)
webhook = Webhook(given["secret"])
webhook.verify(given["body"], given["headers"])
try:
    webhook.verify(given["body"] + " ", given["headers"])
except Exception:
    sys.exit(0)
sys.exit("another body was taken, too")
"#;

const JAVASCRIPT: &str = r#"
const { Webhook } = require("standardwebhooks");
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const webhook = new Webhook(given.secret);
webhook.verify(given.body, given.headers);
try {
  webhook.verify(given.body + " ", given.headers);
} catch {
  process.exit(0);
}
console.error("another body was taken, too");
process.exit(1);
"#;

/// Whether it could be installed; the reason is printed where not.
fn installs(command: &mut Command) -> bool {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!("skipped, it cannot be installed: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            println!("skipped, there is no installer: {error}");
            false
        }
    }
}

fn run(command: &mut Command, request: &Request, secret: &str) {
    let given = json!({ "secret": secret, "headers": request.headers, "body": request.text() });
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("its installer is there, so is it");
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Requests signed with one secret, and with two during a rotation, whichever of them is asked for.
fn cases(verify: impl Fn(&Request, &str)) {
    let stage = Stage::new("standard");
    let webhook = made(&stage, &json!({}));
    let old = text(&webhook["signingSecret"]).to_owned();
    verify(&delivered(&stage, "order-1"), &old);
    let rotate = format!("/v1/webhooks/{}/rotate-secret", webhook["id"]);
    let rotated = stage.client.post(&rotate, &json!({})).expect(200);
    let request = delivered(&stage, "order-2");
    verify(&request, &old);
    verify(&request, text(&rotated.data()["signingSecret"]));
}

#[test]
fn the_official_library_for_python_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--target"]);
    if installs(pip.arg(folder.path()).arg("standardwebhooks==1.1.0")) {
        let python = |path: &Path| {
            let mut command = Command::new("python3");
            command.args(["-c", PYTHON]).env("PYTHONPATH", path);
            command
        };
        cases(|request, secret| run(&mut python(folder.path()), request, secret));
    }
}

#[test]
fn the_official_library_for_javascript_takes_it() {
    let folder = tempfile::tempdir().unwrap();
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
    if installs(npm.arg(folder.path()).arg("standardwebhooks@1.1.1")) {
        let node = |path: &Path| {
            let mut command = Command::new("node");
            command.args(["-e", JAVASCRIPT]).env("NODE_PATH", path.join("node_modules"));
            command
        };
        cases(|request, secret| run(&mut node(folder.path()), request, secret));
    }
}
