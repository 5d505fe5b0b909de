//! `GET /v1/live`: attempts as they end.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use postrider_tests::{Client, Server};
use serde_json::{Value, json};

use crate::auth::new_key;
use crate::{Stage, email};

/// Messages of a stream, read on a thread of its own, each with its event's name. The end of the stream is the end of the channel.
struct Stream(mpsc::Receiver<(String, Value)>);

impl Stream {
    /// Returns once the stream is open.
    fn of(client: &Client) -> Stream {
        let mut lines = client.watch("/v1/live");
        assert_eq!(lines.next().as_deref(), Some(": watching"), "something comes at once");
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            let mut event = String::new();
            for line in lines {
                if let Some(name) = line.strip_prefix("event: ") {
                    event = name.to_owned();
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(data).expect("data is JSON");
                    if sender.send((std::mem::take(&mut event), data)).is_err() {
                        return;
                    }
                }
            }
        });
        Stream(messages)
    }

    fn next(&self) -> Value {
        let (event, data) = self.0.recv_timeout(Duration::from_secs(10)).expect("an attempt is told of");
        assert_eq!(event, "attempt");
        data
    }

    fn is_silent(&self) -> bool {
        self.0.recv_timeout(Duration::from_millis(300)).is_err_and(|end| end == mpsc::RecvTimeoutError::Timeout)
    }

    fn ends(&self) -> bool {
        matches!(self.0.recv_timeout(Duration::from_secs(20)), Err(mpsc::RecvTimeoutError::Disconnected))
    }
}

#[test]
fn each_attempt_of_the_workspace_is_told_as_its_log_shows_it_and_no_other() {
    let stage = Stage::new("genesy");
    let id = stage.webhook(&["EMAIL_SENT"], json!({}));
    let other = stage.server.workspace("genesy");
    let (stream, foreign) = (Stream::of(&stage.client), Stream::of(&other));
    stage.publish(&email("e1"));
    let began = Instant::now();
    let mut told = stream.next();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(told["webhookId"].take(), json!(id));
    told.as_object_mut().unwrap().remove("webhookId");
    let log = stage.client.get(&format!("/v1/webhooks/{id}/logs")).expect(200);
    assert_eq!(told, log.data()[0]);
    stage.client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).expect(200);
    assert_eq!(stream.next()["test"], true);
    assert!(stream.is_silent() && foreign.is_silent());
}

#[test]
fn watching_is_not_counted_and_ends_with_the_key_or_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(folder.path(), &["--allow", "loopback", "--rate-limit", "2"], &[]);
    let client = server.workspace("genesy");
    let streams: Vec<_> = (0..4).map(|_| Stream::of(&client)).collect();
    client.get("/v1/webhooks").expect(200);
    assert_eq!(client.get("/v1/live?page=1").status, 422, "there are no parameters");
    assert!(server.terminate().success());
    assert!(streams.iter().all(Stream::ends));
}

#[test]
fn a_key_needs_the_scope_read() {
    let stage = Stage::new("genesy");
    let key = |scope| stage.client.with_key(&new_key(&stage, &json!([scope])).1);
    let (read, publish) = (key("READ"), key("EVENTS_WRITE"));
    let open = Stream::of(&read);
    stage.publish(&email("nobody-wants-it"));
    assert!(open.is_silent());
    publish.get("/v1/live").expect(403);
    stage.server.admin().get("/v1/live").expect(403);
    stage.client.with_key("prk_unknown").get("/v1/live").expect(401);
}
