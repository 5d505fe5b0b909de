//! Schemathesis, from its registry, reads the server's own description and sends what it allows and what it does not: it has to find no
//! answer of 500 and more, none that the description does not have, none of another shape, nothing taken that the description refuses, and
//! nothing refused that it allows. What of the last no schema can say stands in `support/schemathesis.toml` and `schemathesis_hooks.py`, with the
//! reasons. Where it cannot be installed, the test says so and is skipped. `make schemathesis` runs the same with more examples.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postrider_tests::{Server, binary};

const VERSION: &str = "schemathesis>=4,<5";

/// The program, in a folder of its own below `target`, where it stays for the next time.
fn schemathesis() -> Option<PathBuf> {
    let folder = binary().parent().and_then(Path::parent).unwrap().join("schemathesis");
    let program = folder.join("bin/schemathesis");
    if works(Command::new(&program).arg("--version")) {
        return Some(program);
    }
    let made = works(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", VERSION]);
    if made && works(&mut pip) {
        return Some(program);
    }
    println!("skipped: {VERSION} cannot be installed");
    None
}

fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// Over the operations whose path fits; what it has found.
fn run(program: &Path, server: &Server, profile: &str, key: &str, which: &[&str]) -> Result<(), String> {
    let examples = std::env::var("POSTRIDER_SCHEMATHESIS").unwrap_or("10".into());
    let mut command = Command::new(program);
    let support = Path::new(env!("CARGO_MANIFEST_DIR")).join("support");
    command.arg("--config-file").arg(support.join("schemathesis.toml"));
    command.env("SCHEMATHESIS_HOOKS", support.join("schemathesis_hooks.py"));
    if profile == "standard" {
        command.env("ANY_EVENT_TYPE", "yes");
    }
    command.args(["run", &format!("{}/openapi.json", server.base()), "--header", &format!("x-api-key: {key}")]);
    command.args(["--mode", "all", "--max-examples", &examples, "--seed", "1", "--workers", "1"]);
    command.args(["--generation-database", "none", "--no-color", "--suppress-health-check", "all"]).args(which);
    let output = command.current_dir(server.data()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn it_finds_nothing() {
    let Some(program) = schemathesis() else { return };
    for profile in ["genesy", "snaily", "standard"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let client = server.workspace(profile);
        // A stream of events does not end; pages and figures are no JSON of the API.
        let ours = ["--exclude-path-regex", "^/v1/(workspaces|live)|^/$|^/metrics$"];
        run(&program, &server, profile, client.key(), &ours).unwrap_or_else(|said| panic!("{profile}: {said}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let admins = ["--include-path-regex", "^/v1/workspaces"];
    run(&program, &server, "none", server.admin().key(), &admins).unwrap_or_else(|said| panic!("workspaces: {said}"));
}
