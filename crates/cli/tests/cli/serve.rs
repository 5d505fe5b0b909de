//! `serve` as it starts: what it says, and about what it warns.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use crate::support::postrider;

/// What it writes to stderr until it is ready.
fn told(data: &Path, admin_key: &str) -> String {
    let data = data.to_str().unwrap();
    let args = ["serve", "--listen", "0", "--data", data, "--segment", "4MiB", "--admin-key", admin_key];
    let mut child = postrider(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(ready.starts_with("postrider is ready at http://127.0.0.1:"), "{ready}{told}");
    told
}

#[test]
fn a_short_admin_key_is_taken_with_a_warning_that_does_not_tell_it() {
    let data = tempfile::tempdir().unwrap();
    let warned = told(data.path(), "fifteen-letters");
    assert!(warned.contains("WARN") && warned.contains("fewer than 16 characters"), "{warned}");
    assert!(!warned.contains("fifteen-letters"), "{warned}");
    assert!(!warned.contains('\u{1b}'), "no terminal, no escape sequences: {warned}");
    let silent = told(data.path(), "sixteen--letters");
    assert!(!silent.contains("WARN"), "{silent}");
}
