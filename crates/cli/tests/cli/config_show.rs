//! `config show`: every choice, its value and its source; and that the documentation says the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{postrider, stderr};

/// One row of the documentation's tables: key, option, environment and default.
struct Documented {
    key: String,
    option: String,
    variable: String,
    default: String,
}

fn documented() -> Vec<Documented> {
    let text = include_str!("../../../../docs/configuration.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('|')).filter_map(|(key, rest)| {
        let cells: Vec<&str> = rest.split(" | ").map(str::trim).collect();
        let [option, variable, default, _meaning] = cells[..] else { return None };
        let first =
            |cell: &str| cell.trim_start_matches('`').split(['`', ' ', ',']).next().unwrap_or_default().to_owned();
        Some(Documented {
            key: first(key),
            option: first(option),
            variable: first(variable),
            default: default.trim_matches('`').to_owned(),
        })
    });
    rows.filter(|row| row.variable.starts_with("POSTRIDER_") && row.option.starts_with("--")).collect()
}

/// A value other than the default, that can be meant.
fn sample(key: &str, folder: &Path) -> (String, Value) {
    let list = |text: &str| (text.to_owned(), json!([text]));
    let text = |text: &str| (text.to_owned(), json!(text));
    let number = |n: u32| (n.to_string(), json!(n));
    match key {
        "listen" => text("127.0.0.1:9999"),
        "data" => text("/var/lib/postrider"),
        "admin_key" => ("a-key-that-is-not-shown".into(), json!("***")),
        "master_key" => ("5a".repeat(32), json!("***")),
        "init" => text("snaily"),
        "event_max" | "retention_bytes" => text("17KiB"),
        "segment" => text("8MiB"),
        "grace" | "retention" | "failing.warn_after" | "failing.off_after" | "failing.probe_every" => text("90s"),
        "clock" => text("wall"),
        "log_level" => text("debug"),
        "log_format" => text("json"),
        "otlp" => text("http://127.0.0.1:4318"),
        "log" => text("sled"),
        "tls.certificate" => text("/etc/postrider/fullchain.pem"),
        "tls.key" => text("/etc/postrider/privkey.pem"),
        "egress.allow" => list("10.0.0.0/8"),
        "egress.https_only" => ("true".into(), json!(true)),
        "egress.http2" => ("false".into(), json!(false)),
        "egress.addresses" => list("198.51.100.7"),
        "egress.ca_files" => {
            let path = folder.join("ca.pem");
            std::fs::write(&path, "").unwrap();
            list(path.to_str().unwrap())
        }
        _ => number(7),
    }
}

/// What a choice is of no use without: a variable and its value.
fn companion(key: &str) -> Option<(&'static str, &'static str)> {
    match key {
        "tls.certificate" => Some(("POSTRIDER_TLS_KEY", "privkey.pem")),
        "tls.key" => Some(("POSTRIDER_TLS_CERTIFICATE", "fullchain.pem")),
        _ => None,
    }
}

/// What it says in an empty folder, with these options and environment.
fn shown(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = postrider(&["config", "show"]);
    let output = command.args(args).envs(environment.iter().copied()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn settings(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let text = shown(folder, &[args, &["--json"]].concat(), environment);
    serde_json::from_value(serde_json::from_str::<Value>(&text).unwrap()["settings"].take()).unwrap()
}

#[test]
fn every_documented_choice_is_shown_with_its_documented_default() {
    let folder = tempfile::tempdir().unwrap();
    let text = shown(folder.path(), &[], &[]);
    let documented = documented();
    assert_eq!(documented.len(), 30);
    let lines: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(lines.len(), documented.len(), "{text}");
    for (line, Documented { key, default, .. }) in lines.iter().zip(documented) {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, [&key, &default, "default"]);
    }
    // Columns are aligned.
    let column = |line: &&str, word: &str| line[..line.rfind(word).unwrap()].chars().count();
    assert!(lines.iter().all(|line| column(line, "default") == column(&lines[0], "default")), "{text}");
}

#[test]
fn every_documented_option_variable_and_key_is_the_source_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let of = |key: &str, source: &str, name: &str| json!({ "value": sample(key, folder.path()).1, "source": source, "name": name });
    for Documented { key, option, variable, .. } in documented() {
        let (text, value) = sample(&key, folder.path());
        let alone: Vec<_> = companion(&key).into_iter().collect();
        let settings = |args: &[&str], more: &[(&str, &str)]| settings(folder.path(), args, &[&alone, more].concat());
        let by_variable = settings(&[], &[(&variable, &text)]);
        assert_eq!(by_variable[&key], of(&key, "environment", &variable));
        let named: Vec<_> = by_variable.iter().filter(|(_, setting)| setting["source"] != "default").collect();
        assert_eq!(named.len(), 1 + alone.len(), "{named:?}");
        let given = format!("{option}={text}");
        assert_eq!(settings(&[&given], &[])[&key], of(&key, "option", &option));
        assert_eq!(settings(&[&given], &[(&variable, &text)])[&key], of(&key, "option", &option));

        let written = if ["admin_key", "master_key"].contains(&&*key) { json!(text) } else { value };
        let file = folder.path().join("its.toml");
        std::fs::write(&file, format!("{key} = {written}\n")).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(settings(&["--config", file], &[])[&key], of(&key, "file", file));
        assert_eq!(settings(&["--config", file], &[(&variable, &text)])[&key]["source"], "environment");
    }
}

#[test]
fn the_table_names_the_file_and_never_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let none = shown(folder.path(), &[], &[]);
    assert!(
        none.contains("\n(file)               none ") && none.contains("postrider.toml is not in the working"),
        "{none}"
    );
    std::fs::write(folder.path().join("postrider.toml"), "admin_key = 'hidden-in-the-file'\ngrace = '5s'\n").unwrap();
    let text = shown(folder.path(), &["--allow", "loopback", "--allow", "10.0.0.0/8"], &[("POSTRIDER_LISTEN", "9999")]);
    assert!(!text.contains("hidden"), "{text}");
    for line in [
        "key                  value                 from",
        "(file)               postrider.toml        in the working directory",
        "listen               127.0.0.1:9999        environment POSTRIDER_LISTEN",
        "admin_key            ***                   file postrider.toml",
        "grace                5s                    file postrider.toml",
        "egress.allow         loopback, 10.0.0.0/8  option --allow",
        "permits.per_host     64                    default",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
    }
}
