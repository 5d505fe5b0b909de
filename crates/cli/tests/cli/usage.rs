//! Bad usage: exit 2 and one clear line.

use crate::support::{run, stderr};

#[test]
fn bad_usage_exits_2_with_one_line() {
    let publish = ["publish", "--url", "http://127.0.0.1:1", "--key", "k"];
    let with = |more: &[&'static str]| [&publish[..], more].concat();
    let cases = [
        (vec![], "a command is missing; `postrider --help`"),
        (vec!["frobnicate"], "frobnicate"),
        (vec!["sink", "--listen", "nowhere"], "not an address to listen on"),
        (vec!["sink", "--latency", "50"], "is not a duration"),
        (vec!["sink", "--fail-rate", "2"], "from 0 to 1"),
        (vec!["sink", "--fail-rate", "0.6", "--hang", "0.6"], "more than 1"),
        (vec!["sink", "--status", "99"], "99"),
        (vec!["sink", "--behaviour", "gone", "--status", "500"], "--behaviour"),
        (vec!["publish", "--key", "k"], "--url"),
        (vec!["publish", "--url", "https://h", "--key", "k", "--ca-file", "/no/such/file"], "--ca-file /no/such/file"),
        (vec!["publish", "--url", "h:1", "--key", "k"], "not a server's address"),
        (vec!["publish", "--url", "http://h", "--key", "a\nb"], "--key"),
        (vec!["serve", "--config", "/no/such/file"], "/no/such/file"),
        (vec!["serve", "--data", "/proc/no", "--init", "genesis"], "one of genesy, snaily"),
        (vec!["serve", "--data", "/proc/no", "--log-level", "trace"], "one of error, warn, info, debug"),
        #[cfg(not(feature = "otlp"))]
        (vec!["serve", "--data", "/proc/no", "--otlp", "http://h:4318"], "built without traces"),
        #[cfg(feature = "otlp")]
        (vec!["serve", "--data", "/proc/no", "--otlp", "h:4318"], "not a collector's address"),
        (vec!["serve", "--data", "/proc/no", "--allow", "10.0.0.0/99"], "egress.allow"),
        (vec!["serve", "--data", "/proc/no", "--allow", "10.0.0.0/8:99999"], "a port from 1 to 65535"),
        (vec!["serve", "--data", "/proc/no", "--allow", "fd00::/8:443"], "put the range in brackets"),
        (vec!["bench", "--webhooks", "5", "--fan-out", "2"], "--fan-out must divide --webhooks"),
        (vec!["bench", "--payload", "10"], "--payload is 256 bytes"),
        (vec!["bench", "--format", "single", "--batch", "2"], "leave out --batch"),
        (vec!["bench", "--mode", "embedded", "--", "--workers", "1"], "has no server"),
        (vec!["bench", "--rate", "5/m"], "is not a rate"),
        (vec!["emulate", "genesis", "--to", "http://h"], "genesis"),
        (vec!["emulate", "genesy"], "--to"),
        (vec!["emulate", "genesy", "--to", "localhost:3000"], "not a receiver's URL"),
        (
            vec!["emulate", "snaily", "--to", "http://h", "--types", "EMAIL_SENT"],
            "Snaily has no EMAIL_SENT, but contact.connected",
        ),
        (vec!["simulate", "--policy", "snail", "--failing", "1d"], "neither snaily, genesy or standard nor a list"),
        (vec!["simulate", "--policy", "snaily", "--failing", "1d", "--rate", "0"], "--rate is 0"),
        (vec!["simulate", "--policy", "snaily", "--failing", "300d", "--rate", "9000000000"], "more events than"),
        (vec!["webhook"], "a command is missing; `postrider webhook --help`"),
        (vec!["webhook", "list"], "--url is missing"),
        (vec!["replay", "start", "1", "--since", "1h", "--only", "some"], "some"),
        (vec!["log"], "a command is missing; `postrider log --help`"),
        (vec!["log", "salvage", "/proc"], "--to"),
        (vec!["log", "salvage", "/proc", "--data", "/proc", "--to", "x"], "--data"),
        (vec!["backup"], "--to"),
        (vec!["config"], "a command is missing; `postrider config --help`"),
        (vec!["config", "show", "--grace", "5"], "is not a duration"),
        (vec!["config", "show", "--init", "genesis"], "one of genesy, snaily"),
        (vec!["config", "show", "--config", "/no/such/file"], "/no/such/file"),
        (vec!["completions", "tcsh"], "tcsh"),
        (with(&["/no/such/file"]), "cannot read /no/such/file"),
        (with(&["/"]), "is a folder"),
        (with(&["--batch", "10001"]), "10001"),
        (with(&["--batch-size", "17MiB"]), "--batch-size"),
    ];
    for (args, part) in cases {
        let output = run(&args);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {line}");
        assert!(line.starts_with("postrider: ") && line.contains(part), "{args:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{args:?}: {line}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_and_version_are_no_errors_and_never_show_the_key() {
    assert_eq!(run(&["--version"]).status.code(), Some(0));
    let output = crate::support::postrider(&["publish", "--help"]).env("POSTRIDER_KEY", "prk_hidden").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && help.contains("POSTRIDER_KEY") && !help.contains("prk_hidden"), "{help}");
}

#[test]
fn every_help_says_what_it_is_for() {
    let help = |args: &[&str]| String::from_utf8(run(args).stdout).unwrap();
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let about = help(&["--help"]);
    assert!(first(&about).starts_with("Deliver webhooks: take events over HTTP"), "{about}");
    assert!(about.contains("postrider demo") && about.contains("serve --init"), "{about}");
    for command in [
        "serve",
        "demo",
        "sink",
        "publish",
        "workspace",
        "workspace create",
        "key",
        "key create",
        "webhook",
        "webhook update",
        "event",
        "event publish",
        "delivery",
        "delivery retry-failed",
        "replay",
        "replay start",
        "listen",
        "emulate",
        "simulate",
        "bench",
        "log",
        "log cat",
        "log verify",
        "log stats",
        "log salvage",
        "backup",
        "config",
        "config show",
        "openapi",
        "completions",
    ] {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let text = help(&args);
        let usage = format!("Usage: postrider {command}");
        let is_usage = |line: &str| line == usage || line.starts_with(&format!("{usage} "));
        assert!(text.lines().any(is_usage), "{text}");
        assert!(first(&text).split(' ').count() > 2, "{command}: {}", first(&text));
        // In the list of commands as in its own help.
        if !command.contains(' ') {
            assert!(about.contains(first(&text).trim_end_matches('.')), "{command} in {about}");
        }
    }
    let serve = help(&["serve", "--help"]);
    for part in
        ["genesy, snaily or standard", "\nWhere deliveries may go:\n", "\nAttempts in flight:\n", "POSTRIDER_PERMITS"]
    {
        assert!(serve.contains(part), "{part} in {serve}");
    }
}

#[test]
fn an_address_in_use_is_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(&["sink", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot listen on 127.0.0.1:"), "{}", stderr(&output));
}
