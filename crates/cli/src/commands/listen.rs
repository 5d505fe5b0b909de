//! `postrider listen`: a line for each attempt of a workspace, as it ends.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{print, signals};
use crate::columns::cell;
use crate::limits::{LIVE_MESSAGE_MAX, LIVE_PAUSE, LIVE_PAUSE_MAX, LIVE_SILENCE_MAX};
use crate::remote::{self, Ask, Options, Remote, Unwatched};

/// Print a workspace's attempts as they end, a line each, until ^C.
///
/// With --json a line is the API's message. Attempts that this program was too slow for are counted on stderr. When the stream breaks it is
/// opened again after a pause, which stderr says too; attempts of the meantime are not printed, `webhook logs` has them.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Options,
    /// Only of this webhook
    #[arg(long, value_name = "WEBHOOK")]
    webhook: Option<u64>,
}

/// # Errors
/// [`Usage`](super::Usage) for what cannot be meant; the server is not there at first; or it refuses, at first or later.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut remote = args.server.remote()?;
    remote::run(async {
        let interrupted = signals()?;
        tokio::select! {
            ended = listen(&mut remote, args.webhook) => ended,
            () = interrupted => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn listen(remote: &mut Remote, webhook: Option<u64>) -> anyhow::Result<ExitCode> {
    let (mut pause, mut has_listened) = (LIVE_PAUSE, false);
    loop {
        let broken = match remote.watch(Ask::of("/v1/live")).await {
            Ok(body) => match follow(Stream { body, unread: Vec::new() }, webhook, remote.json).await? {
                Followed { heard: true, broken } => {
                    (pause, has_listened) = (LIVE_PAUSE, true);
                    broken
                }
                Followed { broken, .. } => broken,
            },
            Err(Unwatched::ForNow(error)) if has_listened => error,
            Err(Unwatched::ForNow(error) | Unwatched::Refused(error)) => return Err(error),
        };
        eprintln!("not listening: {broken:#}; trying again in {} s", pause.as_secs());
        sleep(pause).await;
        pause = (pause * 2).min(LIVE_PAUSE_MAX);
    }
}

/// What became of a stream.
struct Followed {
    /// Whether anything came.
    heard: bool,
    broken: anyhow::Error,
}

/// Prints what a stream has, until it breaks.
///
/// # Errors
/// What no other stream would mend: a message is not as documented, or stdout cannot be written.
async fn follow(mut stream: Stream, webhook: Option<u64>, json: bool) -> anyhow::Result<Followed> {
    let mut heard = false;
    loop {
        let message = match timeout(LIVE_SILENCE_MAX, stream.next()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return Ok(Followed { heard, broken: anyhow!("the server ended the stream") }),
            Ok(Err(broken)) => return Ok(Followed { heard, broken }),
            Err(_) => {
                let silence = LIVE_SILENCE_MAX.as_secs();
                return Ok(Followed { heard, broken: anyhow!("nothing came for {silence} s") });
            }
        };
        if !std::mem::replace(&mut heard, true) {
            // Whoever waits for it knows that nothing is missed from here on.
            eprintln!("listening");
        }
        let Some(message) = read(&message)? else { continue };
        if message.event == "missed" {
            eprintln!("missed {} attempts of all workspaces", cell(&message.data["count"]));
        } else if webhook.is_none_or(|id| message.data["webhookId"] == id) {
            let line = if json { message.text } else { line(&message.data) };
            print(format!("{line}\n").as_bytes())?;
        }
    }
}

/// `2026-02-19T10:30:00.000Z webhook 1 EMAIL_SENT e1 attempt 1 200 succeeded 12 ms`, and why where it failed.
fn line(attempt: &Value) -> String {
    let of = |name: &str| cell(&attempt[name]);
    let status = if attempt["statusCode"].is_null() { of("errorKind") } else { of("statusCode") };
    let test = if attempt["test"] == true { " (test)" } else { "" };
    let mut line = format!(
        "{} webhook {} {} {} attempt {} {status} {}{test} {} ms",
        of("createdAt"),
        of("webhookId"),
        of("eventType"),
        of("eventId"),
        of("attemptNumber"),
        of("outcome"),
        of("durationMs"),
    );
    if !attempt["nextAttemptAt"].is_null() {
        line.push_str(&format!(", next {}", of("nextAttemptAt")));
    }
    if !attempt["errorMessage"].is_null() {
        line.push_str(&format!(": {}", of("errorMessage")));
    }
    line
}

/// A stream of server-sent events, a message at a time.
struct Stream {
    body: Incoming,
    unread: Vec<u8>,
}

/// A message that says something.
#[derive(Debug)]
struct Message {
    event: String,
    data: Value,
    text: String,
}

impl Stream {
    /// The bytes of the next message, without the blank line after it; none at the stream's end.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let rest = self.unread.split_off(end + 2);
                let mut message = std::mem::replace(&mut self.unread, rest);
                message.truncate(end);
                return Ok(Some(message));
            }
            if self.unread.len() > LIVE_MESSAGE_MAX {
                bail!("the server sends a message of more than {LIVE_MESSAGE_MAX} bytes");
            }
            match self.body.frame().await {
                Some(frame) => {
                    let data: Bytes =
                        frame.map_err(|_| anyhow!("the connection broke"))?.into_data().unwrap_or_default();
                    self.unread.extend_from_slice(&data);
                }
                None => return Ok(None),
            }
        }
    }
}

/// What a message says; none where it is a comment.
fn read(message: &[u8]) -> anyhow::Result<Option<Message>> {
    let text = std::str::from_utf8(message).context("the stream is not text")?;
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (Some(event), Some(data)) = (of("event"), of("data")) else {
        return Ok(None);
    };
    let value = serde_json::from_str(data).context("a message of the stream is not as documented")?;
    Ok(Some(Message { event: event.to_owned(), data: value, text: data.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_nothing_and_an_attempt_is_a_line() {
        assert!(read(b": watching").unwrap().is_none());
        let data =
            r#"{"webhookId":1,"createdAt":"T","eventType":"E","eventId":"e1","attemptNumber":2,"statusCode":null,
            "errorKind":"timeout","errorMessage":"timeout: no answer","outcome":"retrying","durationMs":7,
            "nextAttemptAt":"N","test":false}"#
                .replace('\n', "");
        let message = read(format!("event: attempt\nid: 4\ndata: {data}").as_bytes()).unwrap().unwrap();
        assert_eq!(message.event, "attempt");
        let told = "T webhook 1 E e1 attempt 2 timeout retrying 7 ms, next N: timeout: no answer";
        assert_eq!(line(&message.data), told);
    }
}
