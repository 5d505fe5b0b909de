//! One description of the API: what a server answers with, what the binary prints, and what is checked in.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::process::Command;

use postrider_tests::{Server, binary};
use serde_json::Value;

fn printed() -> String {
    let output = Command::new(binary()).arg("openapi").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_binary_prints_what_a_server_answers_with() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let answered = server.admin().get("/openapi.json").expect(200);
    assert_eq!(answered.body, serde_json::from_str::<Value>(&printed()).unwrap());
    assert!(printed().starts_with("{\n  \"openapi\": \"3.") && printed().ends_with("\n}\n"));
}

#[test]
fn the_document_that_is_checked_in_is_this_one() {
    let checked_in = include_str!("../../docs/openapi.json");
    let is_same = checked_in == printed();
    assert!(
        is_same,
        "the API has changed: refresh the document with `cargo run -- openapi > docs/openapi.json`, then docs/api.md with `make api-reference`"
    );
}
