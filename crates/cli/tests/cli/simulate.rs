//! An outage is rehearsed by the real machine: what a schedule outlives is delivered, and what outlives it is given up.

use std::fs;

use serde_json::Value;

use crate::support::{run, stderr};

fn simulate(args: &[&str]) -> String {
    let output = run(&[&["simulate"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn three_days_cost_snaily_nothing_and_genesy_almost_all() {
    let of = |policy: &str| -> Value {
        let told = simulate(&["--policy", policy, "--failing", "3d", "--rate", "1000/s", "--json"]);
        serde_json::from_str(&told).unwrap()
    };
    let (snaily, genesy) = (of("snaily"), of("genesy"));
    let peak = |json: &Value, name: &str| json["peak"][name].as_u64().unwrap();
    assert_eq!(peak(&snaily, "givenUp"), 0);
    assert!(peak(&snaily, "pending").abs_diff(3 * 86_400_000) < 1_000_000, "{}", snaily["peak"]);
    assert!((6_900..=7_100).contains(&snaily["peak"]["attemptsPerSecond"].as_f64().map(|rate| rate as u64).unwrap()));
    // Nothing is left when it ends by default.
    assert_eq!(snaily["samples"].as_array().unwrap().last().unwrap()["pending"], 0);
    let lost = 1_000 * (3 * 86_400 - 3_330);
    assert!(peak(&genesy, "givenUp").abs_diff(lost) < 200_000, "{}", genesy["peak"]);
    assert!(peak(&genesy, "pending") < 4_000_000, "{}", genesy["peak"]);
}

#[test]
fn a_table_and_a_plot_are_drawn_of_ones_own_delays() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("s.svg");
    let told = simulate(&["--policy", "10s,1m", "--failing", "10m", "--rate", "5", "--svg", svg.to_str().unwrap()]);
    assert!(told.starts_with("10s,1m: 3 attempts; 5 events/s of 1024 B; down for 10m, then up"), "{told}");
    // All but what came in the last 70 s of 10 minutes.
    assert!(told.contains(" 2,650 given up"), "{told}");
    let svg = fs::read_to_string(svg).unwrap();
    assert!(svg.contains("10s,1m, 5 events/s, endpoint down for 10m") && svg.contains("given up"));
}
