//! The kept seeds through what the fuzz targets do with them, and each once more cut off, turned and doubled: in seconds, without a fuzzer.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use postrider_fuzz::{TARGETS, Target};

/// Places at which a seed is cut off and turned.
const PLACES_MAX: usize = 16;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn run(target: &Target) {
    let folder = root().join("seeds").join(target.name);
    let names = names_in(&folder);
    assert!(names.len() >= 4, "{} has few seeds", target.name);
    for name in names {
        println!("{} {name}", target.name);
        let seed = fs::read(folder.join(&name)).unwrap();
        target.run(&seed);
        target.run(&[&seed[..], &seed].concat());
        for at in (0..seed.len()).step_by(seed.len() / PLACES_MAX + 1) {
            target.run(&seed[..at]);
            let mut turned = seed.clone();
            turned[at] ^= 1 << (at % 8);
            target.run(&turned);
        }
    }
}

/// One after the other: side by side they would count each other's heap.
#[test]
fn no_seed_breaks_what_its_target_asserts() {
    TARGETS.iter().for_each(run);
}

#[test]
fn each_target_is_built_and_run_by_make_fuzz_and_has_seeds() {
    let names = || TARGETS.iter().map(|target| target.name);
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let built: Vec<_> = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    assert_eq!(built, names().collect::<Vec<_>>());
    let makefile = fs::read_to_string(root().join("../../Makefile")).unwrap();
    let list = makefile.lines().find_map(|line| line.strip_prefix("FUZZ_TARGETS ?= ")).unwrap();
    assert_eq!(list.split(' ').collect::<Vec<_>>(), built);
    assert_eq!(names_in(&root().join("seeds")), names().map(str::to_owned).collect());
}
