//! The walls of the house: which crate may depend on which, and what it must never touch. Read from the manifests, so that a new edge has
//! to be allowed here first.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate may depend only on crates of lower floors, and never on the packages named.
struct Room {
    folder: &'static str,
    floor: u8,
    never: &'static [&'static str],
}

const ROOMS: [Room; 10] = [
    Room { folder: "core", floor: 0, never: &["tokio", "hyper", "sled", "getrandom", "rand", "rustix"] },
    Room { folder: "scheduler", floor: 1, never: &["tokio", "sled", "hyper", "getrandom", "rustix"] },
    Room { folder: "log", floor: 1, never: &["tokio", "hyper"] },
    // Derived from the log, and yet no friend of it: whoever opens a store hands it the log's records.
    Room { folder: "store", floor: 1, never: &["tokio", "hyper", "postrider-log", "getrandom"] },
    Room { folder: "dispatch", floor: 1, never: &["sled"] },
    Room { folder: "engine", floor: 2, never: &["axum", "clap", "utoipa", "tracing-subscriber"] },
    Room {
        folder: "api",
        floor: 3,
        never: &["sled", "postrider-log", "postrider-store", "postrider-scheduler", "postrider-dispatch", "clap"],
    },
    Room { folder: "postrider", floor: 4, never: &["clap", "tracing-subscriber", "env_logger"] },
    Room {
        folder: "cli",
        floor: 5,
        never: &[
            "postrider-core",
            "postrider-scheduler",
            "postrider-log",
            "postrider-dispatch",
            "postrider-engine",
            "postrider-api",
        ],
    },
    // Only for development: nothing depends on it.
    Room { folder: "sim", floor: 6, never: &["tokio", "hyper"] },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dependencies(folder: &str) -> BTreeSet<String> {
    let path = root().join("crates").join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let manifest: toml::Table = text.parse().unwrap();
    let tables = ["dependencies", "build-dependencies"].into_iter().filter_map(|name| manifest.get(name)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn package(folder: &str) -> String {
    if folder == "postrider" { folder.to_owned() } else { format!("postrider-{folder}") }
}

#[test]
fn a_crate_depends_only_on_floors_below() {
    let floors: BTreeMap<_, _> = ROOMS.iter().map(|room| (package(room.folder), room.floor)).collect();
    for room in &ROOMS {
        for dependency in dependencies(room.folder) {
            if let Some(below) = floors.get(&dependency) {
                assert!(
                    *below < room.floor,
                    "{} (floor {}) depends on {dependency} (floor {below})",
                    room.folder,
                    room.floor
                );
            }
            assert!(!room.never.contains(&&*dependency), "{} must never depend on {dependency}", room.folder);
        }
    }
}

#[test]
fn every_crate_has_its_floor() {
    let listed: BTreeSet<_> = ROOMS.iter().map(|room| room.folder.to_owned()).collect();
    let there = fs::read_dir(root().join("crates")).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, listed);
}

#[test]
fn every_source_file_opens_with_what_it_owns() {
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
            }
        }
    }
}
