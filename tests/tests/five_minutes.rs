//! The first five minutes, as README.md and docs/start.md have them: every command is taken from the page and run as it stands there, but for
//! the ports, which may be taken, and the ids and keys that the page can't know. What is shown of an answer has the members that it really has.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use postrider_tests::{binary, within};
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)).unwrap()
}

/// What stands below a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let below = page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    below.split("\n## ").next().unwrap()
}

/// Blocks of code in a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    text.split(&format!("```{language}\n")).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// A folder in which the program stands where the page has it, and what the page's words mean there.
struct Desk {
    folder: tempfile::TempDir,
    /// What stands on the page, and what it is here.
    means: Vec<(String, String)>,
}

/// A command that goes on. Ends with its handle.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let release: PathBuf = folder.path().join("target/release");
        std::fs::create_dir_all(&release).unwrap();
        std::os::unix::fs::symlink(binary(), release.join("postrider")).unwrap();
        Desk { folder, means: Vec::new() }
    }

    fn shell(&self, script: &str, environment: &[(&str, &str)]) -> Command {
        let script = self.means.iter().fold(script.to_owned(), |script, (page, here)| script.replace(page, here));
        let mut command = Command::new("sh");
        command.args(["-ec", &script]).current_dir(&self.folder).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("POSTRIDER_")) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command
    }

    /// A command that goes on; `exec`, so that it is the command that ends with the handle.
    fn start(&self, script: &str, environment: &[(&str, &str)]) -> Running {
        let mut command = self.shell(&format!("exec {}", script.trim()), environment);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running { child, out }
    }

    #[track_caller]
    fn run(&self, script: &str) -> String {
        let Output { status, stdout, stderr } = self.shell(script, &[]).output().unwrap();
        assert!(status.success(), "{script}\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }
}

/// The members of a value, with those of its members; values aside.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(list) => list.iter().take(1).map(shape).collect(),
        _ => Value::Null,
    }
}

#[track_caller]
fn is_as_shown(answer: &str, shown: &str) -> Value {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (answer, shown) = (parse(answer), parse(shown));
    assert_eq!(shape(&answer), shape(&shown), "the page shows what is answered");
    answer
}

#[test]
fn the_readme_and_the_first_page_do_what_they_say() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: there is no curl");
        return;
    }
    let readme = read("README.md");
    let five = section(&readme, "Five minutes");
    let (commands, shown) = (blocks(five, "sh"), blocks(five, "json"));
    let [build, sink, webhook, event, logs] = commands[..] else { panic!("five commands: {commands:?}") };
    let (build, serve) = build.trim().split_once('\n').unwrap();
    assert_eq!(build, "cargo build --release");

    let mut desk = Desk::new();
    let mut server = desk.start(serve, &[("POSTRIDER_LISTEN", "127.0.0.1:0")]);
    let (admin, made, ready) = (server.line(), server.line(), server.line());
    assert_eq!(admin, "made an admin key: it is in postrider-data/admin.key");
    let (made, key) = made.rsplit_once(' ').unwrap();
    assert!(made.starts_with("workspace default (ws_") && made.ends_with(", profile genesy), key"), "{made}");
    let base = ready.strip_prefix("postrider is ready at ").unwrap().split(',').next().unwrap().to_owned();
    assert_eq!(ready, format!("postrider is ready at {base}, dashboard {base}/, data in postrider-data"));
    let mut receiver = desk.start(sink, &[("POSTRIDER_SINK_LISTEN", "127.0.0.1:0")]);
    let listening = receiver.line();
    let sink_address = listening.strip_prefix("listening on http://").unwrap().to_owned();
    desk.means = vec![
        ("http://127.0.0.1:8080".into(), base),
        ("127.0.0.1:9000".into(), sink_address.clone()),
        ("prk_…".into(), key.to_owned()),
    ];

    let answer = desk.run(webhook);
    assert_eq!(is_as_shown(&answer, shown[0])["data"]["id"], 1);
    let key_line = webhook.lines().next().unwrap();
    let with_key = |command: &str| format!("{key_line}\n{command}");
    let answer = desk.run(&with_key(event));
    assert_eq!(is_as_shown(&answer, shown[1])["data"]["deliveries"], 1);
    let line = receiver.line();
    assert!(line.ends_with(" POST /hook 200 MESSAGE_REPLIED reply-1 attempt 1"), "{line}");
    let answer = within(Duration::from_secs(5), "the attempt is in the log", || {
        Some(desk.run(&with_key(logs))).filter(|answer| answer.contains("reply-1"))
    });
    assert_eq!(is_as_shown(&answer, shown[2])["data"][0]["outcome"], "succeeded");
    goes_on(&mut desk, receiver, &sink_address);
}

/// `docs/start.md`: it fails, is explained, and is sent again.
fn goes_on(desk: &mut Desk, receiver: Running, sink_address: &str) {
    let start = read("docs/start.md");
    let commands = blocks(section(&start, "See it fail, find out why, send it again"), "sh");
    let [failing_sink, publish, retry] = commands[..] else { panic!("three commands: {commands:?}") };
    let same_place = [("POSTRIDER_SINK_LISTEN", sink_address)];
    drop(receiver);
    let mut failing = desk.start(failing_sink, &same_place);
    failing.line();
    let (export, publish) = publish.split_once('\n').unwrap();
    let (publish, logs) = publish.split_once('\n').unwrap();
    let exported = |command: &str| format!("{export}\n{command}");
    assert!(desk.run(&exported(publish)).contains("deliveries  1"));
    let logs = within(Duration::from_secs(5), "it has failed", || {
        Some(desk.run(&exported(logs))).filter(|logs| logs.contains("reply-2"))
    });
    assert!(logs.contains("500") && logs.contains("retrying") && logs.contains("http_status"), "{logs}");
    drop(failing);
    let mut mended = desk.start(failing_sink.trim().trim_end_matches(" --status 500"), &same_place);
    mended.line();
    let (list, retry) = retry.trim().split_once('\n').unwrap();
    let pending = desk.run(&exported(list));
    let delivery = pending.split_whitespace().find(|word| word.starts_with("dlv_")).unwrap();
    desk.means.push(("dlv_…".into(), delivery.to_owned()));
    desk.run(&exported(retry));
    let line = mended.line();
    assert!(line.ends_with(" POST /hook 200 MESSAGE_REPLIED reply-2 attempt 2"), "{line}");
}
