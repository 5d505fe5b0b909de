//! The demo does the whole job: it ends well, says what it has checked, and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{PATIENCE, postrider, stderr};

/// The demo with a temporary folder of its own to put its own in.
fn demo(args: &[&str], tmp: &Path) -> Command {
    let mut command = postrider(&[&["demo"], args].concat());
    command.env("TMPDIR", tmp).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn once_ends_well_and_says_what_was_checked() {
    let tmp = tempfile::tempdir().unwrap();
    let output = demo(&["--once"], tmp.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", stderr(&output));
    let (attempts, summary) = told.split_once("Every delivery ended as it has to, in ").unwrap();
    for line in [
        "11 events published over HTTP, one of every type: 8 genesy, 3 snaily",
        "21 deliveries made of them: 15 genesy, 6 snaily",
        "14 succeeded after 1 attempt\n",
        "4 succeeded after 3 attempts\n",
        "2 exhausted after 4 attempts\n",
        "1 removed after 15 attempts\n",
        "49 requests at the receiver: just the attempts in the API's logs",
        "the same body bytes at all 28 retries",
        "right on 40 requests, absent on 9",
        "2 events published again: known as duplicates",
        "retry of 1 removed delivery: refused with 409",
    ] {
        assert!(summary.contains(line), "{line} in\n{summary}");
    }
    let is_attempt = |line: &&str| line.as_bytes()[0].is_ascii_digit();
    assert_eq!(attempts.lines().filter(is_attempt).count(), 49, "{attempts}");
    assert!(attempts.contains("Delays cut: Genesy 30s 5m 50m to 0.3s 0.6s 0.9s"), "{attempts}");
    assert!(!told.contains('\u{1b}'), "no terminal, no escape sequences");
    assert!(is_empty(tmp.path()));
}

#[test]
fn without_once_it_goes_on_until_it_is_stopped() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = Killed(demo(&[], tmp.path()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut told = Vec::new();
    while !told.last().is_some_and(|line: &String| line.starts_with("^C ends it.")) {
        told.push(lines.next().expect("the hints come before the end"));
    }
    let value = |name: &str| {
        let line = told.iter().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert!(!is_empty(tmp.path()));
    let removed = get(&value("URL=http://"), "/v1/deliveries?status=removed", &value("SNAILY="));
    assert!(removed.starts_with("HTTP/1.1 200 ") && removed.contains("\"total\":1"), "{removed}");
    assert!(lines.any(|line| line.contains("CONNECTION_REQUEST_SENT")), "one more event");

    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(
        lines.last().as_deref(),
        Some("Stopped: server and receiver have ended, the temporary folder is removed.")
    );
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    assert!(is_empty(tmp.path()));
}

#[test]
fn stopped_before_its_end_once_has_shown_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = Killed(demo(&["--once"], tmp.path()).spawn().unwrap());
    let mut first = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(1));
    let mut told = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "postrider: interrupted before the round was over\n");
    assert!(is_empty(tmp.path()));
}

#[allow(clippy::disallowed_methods, reason = "a client of the server under test")]
fn get(server: &str, path: &str, key: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: demo\r\nx-api-key: {key}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
