//! The benchmark measures what really came, says so in a table, in JSON and in a plot, and leaves nothing behind.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::support::{PATIENCE, postrider, stderr};

/// A small run with a temporary folder of its own to put its own in.
fn bench(args: &[&str], folder: &Path) -> Command {
    let tiny = ["bench", "--ceiling", "100ms", "--for", "100ms"];
    let mut command = postrider(&[&tiny, args].concat());
    command.env("POSTRIDER_BENCH_RATE", "100/s").env("TMPDIR", folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn every_delivery_is_counted_and_the_figures_are_told_three_ways() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (json, svg) = (out.path().join("b.json"), out.path().join("b.svg"));
    let files = ["--json", json.to_str().unwrap(), "--svg", svg.to_str().unwrap()];
    let args = ["--events", "300", "--webhooks", "6", "--fan-out", "3", "--payload", "512", "--batch", "70"];
    let output = bench(&[&args[..], &files, &["--", "--workers", "1"]].concat(), folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", stderr(&output));
    assert!(told.starts_with("300 events of 512 B, arrays of 70; webhooks 6, fan-out 3; "), "{told}");
    for row in ["accepted ", "delivered ", "ceiling ", "ratio ", "  at 100/s ", "CPU a delivery ", "disk a delivery "] {
        assert!(told.lines().any(|line| line.starts_with(row)), "{row} in\n{told}");
    }
    let json: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let run = &json["runs"][0];
    assert_eq!((&run["load"]["deliveries"], &run["paced"]["events"]), (&900.into(), &10.into()));
    for figure in [
        &run["ratio"],
        &run["load"]["acceptedPerSecond"],
        &run["load"]["sentToReceived"]["p99Us"],
        &run["load"]["used"]["diskBytes"],
        &run["ceiling"]["perSecond"],
        &run["paced"]["bareWrite"]["p50Us"],
        &run["rssMaxBytes"],
    ] {
        assert!(figure.as_f64().unwrap() > 0.0, "{json:#}");
    }
    assert!(fs::read_to_string(svg).unwrap().contains("deliveries received"));
    assert!(is_empty(folder.path()));
}

#[test]
fn other_formats_and_the_library_deliver_as_well() {
    let (embedded, single, ndjson) = (["--mode", "embedded"], ["--format", "single"], ["--format", "ndjson"]);
    let (https, no_rate) = (["--tls"], ["--rate", "0"]);
    let all: [&[&[&str]]; 5] =
        [&[&embedded], &[&single], &[&ndjson, &no_rate], &[&https], &[&embedded, &https, &no_rate]];
    for args in all.map(|parts| parts.concat()) {
        let folder = tempfile::tempdir().unwrap();
        let output = bench(&[&["--events", "60"], &args[..]].concat(), folder.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {told}{}", stderr(&output));
        assert_eq!(told.contains("a bare post"), !args.contains(&"--rate"), "{told}");
        assert_eq!(told.contains("by https"), args.contains(&"--tls"), "{told}");
        assert!(is_empty(folder.path()), "{args:?}");
    }
}

#[test]
fn stopped_it_ends_its_children_and_removes_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = bench(&["--events", "1000000", "--latency", "50ms"], folder.path()).spawn().unwrap();
    let pid = child.id().to_string();
    // Server and sink, by their parent.
    let children = || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let of = |task: String| fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
        let listed = tasks.map(|task| of(task.unwrap().file_name().into_string().unwrap())).collect::<Vec<_>>();
        listed.join(" ").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let began = Instant::now();
    while children().len() < 2 {
        assert!(began.elapsed() < PATIENCE, "they never start");
    }
    let started = children();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "postrider: interrupted\n");
    for process in started {
        assert!(!Path::new(&format!("/proc/{process}/exe")).exists(), "{process} goes on");
    }
    assert!(is_empty(folder.path()));
}
