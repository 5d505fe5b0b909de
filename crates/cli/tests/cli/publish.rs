//! `publish` sends every line once, in batches, and says what became of them.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::server::{Script, Server, accepted};
use crate::support::{postrider, stderr};

fn publish(server: &Server, more: &[&str], input: &str) -> Output {
    let url = format!("http://{}", server.addr);
    let mut command = postrider(&["publish", "--url", &url, "--key", "prk_test"]);
    command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may stop before it has read all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn events(count: usize) -> String {
    (1..=count).map(|n| format!("{{\"id\":\"e{n}\",\"type\":\"t\",\"data\":{{}}}}\n")).collect()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap().trim_end()
}

#[test]
fn a_file_goes_out_whole_and_in_order_on_one_connection() {
    let server = Server::start(|_, body| accepted(body));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(events(1_201).as_bytes()).unwrap();
    let output = publish(&server, &[file.path().to_str().unwrap()], "");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "accepted 1201, duplicates 0, refused 0"));
    let seen = server.seen();
    assert_eq!(seen.iter().map(|request| request.body.lines().count()).collect::<Vec<_>>(), [500, 500, 201]);
    assert_eq!(seen.iter().map(|request| request.body.as_str()).collect::<String>(), events(1_201));
    assert!(seen.iter().all(|request| request.connection == 0));
    let head = &seen[0].head;
    assert!(head.starts_with("post /v1/events http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-ndjson\r\n"), "{head}");
    assert!(head.contains("authorization: bearer prk_test\r\n"), "{head}");
}

#[test]
fn stdin_is_read_to_its_end() {
    let server = Server::start(|_, body| accepted(body));
    let output = publish(&server, &["--batch", "10", "-"], &events(95));
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "accepted 95, duplicates 0, refused 0"));
    assert_eq!(server.seen().iter().map(|request| request.body.as_str()).collect::<String>(), events(95));
}

#[test]
fn refused_lines_are_named_and_exit_1() {
    let script: Script = |_, _| {
        let data = r#"{"id":"a","duplicate":true,"deliveries":0},{"id":null,"error":{"code":"validation_failed",
            "message":"the type is unknown","errors":[{"field":"type","message":"not in the catalogue"}]}}"#;
        Some(("202 Accepted", format!(r#"{{"status":"success","message":"","data":[{data}]}}"#)))
    };
    let server = Server::start(script);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{\"id\":\"a\"}\n\n{\"type\":\"x\"}\n").unwrap();
    let output = publish(&server, &[file.path().to_str().unwrap()], "");
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), "accepted 0, duplicates 1, refused 1"));
    assert_eq!(stderr(&output), "postrider: line 3 refused: the type is unknown [type: not in the catalogue]\n");
}

#[test]
fn a_batch_refused_as_a_whole_is_counted_and_the_list_of_lines_is_bounded() {
    let script: Script = |_, body| {
        let entries: Vec<_> =
            body.lines().map(|_| r#"{"id":"x","error":{"code":"conflict","message":"no"}}"#).collect();
        Some(("422 Unprocessable Content", format!(r#"{{"data":[{}]}}"#, entries.join(","))))
    };
    let server = Server::start(script);
    let output = publish(&server, &[], &events(100));
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), "accepted 0, duplicates 0, refused 100"));
    let told = stderr(&output);
    assert_eq!(told.lines().count(), 21, "{told}");
    assert!(told.ends_with("80 more lines refused\n"), "{told}");
}

#[test]
fn busy_answers_are_tried_again() {
    let script: Script = |number, body| match number {
        0 => Some(("503 Service Unavailable\r\nRetry-After: 0", r#"{"message":"busy"}"#.to_owned())),
        1 => Some(("429 Too Many Requests\r\nRetry-After: 0", String::new())),
        _ => accepted(body),
    };
    let server = Server::start(script);
    let output = publish(&server, &[], "{\"type\":\"no id\"}\n");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "accepted 1, duplicates 0, refused 0"));
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn it_gives_up_on_a_server_that_stays_busy_or_asks_for_too_long() {
    let server = Server::start(|_, _| Some(("503 Service Unavailable\r\nRetry-After: 0", String::new())));
    let output = publish(&server, &[], &events(1));
    assert!(
        output.status.code() == Some(1) && stderr(&output).contains("gave up after 8 tries"),
        "{}",
        stderr(&output)
    );
    let server = Server::start(|_, _| Some(("429 Too Many Requests\r\nRetry-After: 3600", String::new())));
    let output = publish(&server, &[], &events(1));
    assert!(output.status.code() == Some(1) && stderr(&output).contains("3600 s"), "{}", stderr(&output));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn after_a_lost_answer_only_lines_with_ids_are_sent_again() {
    let script: Script = |number, body| if number == 0 { None } else { accepted(body) };
    let server = Server::start(script);
    let output = publish(&server, &[], &events(3));
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "accepted 3, duplicates 0, refused 0"));
    let server = Server::start(script);
    let output = publish(&server, &[], "{\"type\":\"no id\"}\n");
    let told = stderr(&output);
    assert!(output.status.code() == Some(1) && told.contains("line 1: ") && told.contains("`id`"), "{told}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_wrong_key_or_no_server_ends_it_at_once() {
    let script: Script =
        |_, _| Some(("401 Unauthorized", r#"{"status":"error","code":"x","message":"unknown key"}"#.to_owned()));
    let server = Server::start(script);
    let output = publish(&server, &[], &events(3));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the server answered 401 unknown key"), "{}", stderr(&output));
    let args = ["publish", "--url", "http://127.0.0.1:1", "--key", "k", "Cargo.toml"];
    let output = postrider(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot connect to 127.0.0.1:1"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("prk_test"));
}

#[test]
fn url_and_key_may_come_from_the_environment() {
    let server = Server::start(|_, body| accepted(body));
    let mut command = postrider(&["publish", "Cargo.toml"]);
    command.env("POSTRIDER_URL", format!("http://{}", server.addr)).env("POSTRIDER_KEY", "prk_env");
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    assert!(server.seen()[0].head.contains("bearer prk_env"));
}
