//! Those who send: a publisher's connection or its place in the library, and the bare poster that the ceiling is measured with.

use std::ops::Range;
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, StatusCode, Uri};
use postrider::{EventDraft, Handle, Refused, WorkspaceId};
use serde::Deserialize;

use super::Format;
use super::events::{EVENT_TYPE, Events};
use crate::client::{Address, Connection};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_WAIT_MAX};

/// Where events are published, and how.
#[derive(Clone)]
pub enum Publisher {
    Http { address: Address, key: HeaderValue, format: Format },
    Embedded { handle: Handle, workspace: WorkspaceId },
}

/// One of those who publish at the same time.
pub enum Lane {
    Http { connection: Connection, key: HeaderValue, format: Format },
    Embedded { handle: Handle, workspace: WorkspaceId },
}

/// What became of a batch.
pub enum Published {
    /// All of it is durable, with so many deliveries.
    Accepted { deliveries: u64 },
    /// None of it was taken: again after so long.
    Later(Duration),
}

/// Events that go out together.
pub struct Batch<'a> {
    pub events: &'a Events,
    pub numbers: Range<u64>,
    pub ids: &'a [String],
}

impl Publisher {
    /// Of its own connection.
    pub fn lane(&self) -> Lane {
        match self.clone() {
            Publisher::Http { address, key, format } => {
                Lane::Http { connection: Connection::new(address), key, format }
            }
            Publisher::Embedded { handle, workspace } => Lane::Embedded { handle, workspace },
        }
    }

    /// The same with single events.
    pub fn single(mut self) -> Publisher {
        if let Publisher::Http { format, .. } = &mut self {
            *format = Format::Single;
        }
        self
    }
}

impl Lane {
    /// # Errors
    /// An event was refused, or there was no answer.
    pub async fn publish(&mut self, batch: &Batch<'_>) -> anyhow::Result<Published> {
        match self {
            Lane::Http { connection, key, format } => post(connection, key, *format, batch).await,
            Lane::Embedded { handle, workspace } => hand_over(handle, *workspace, batch).await,
        }
    }
}

impl Batch<'_> {
    fn each(&self) -> impl Iterator<Item = (u64, &String)> {
        self.numbers.clone().zip(self.ids)
    }

    fn body(&self, format: Format) -> String {
        let mut body = String::new();
        let between = match format {
            Format::Single | Format::Array => ',',
            Format::Ndjson => '\n',
        };
        for (number, id) in self.each() {
            body.push(if body.is_empty() && format == Format::Array { '[' } else { between });
            self.events.write(id, number, &mut body);
        }
        if format == Format::Array {
            body.push(']');
            return body;
        }
        // What stands before the first event.
        body.remove(0);
        body
    }
}

async fn post(
    connection: &mut Connection,
    key: &HeaderValue,
    format: Format,
    batch: &Batch<'_>,
) -> anyhow::Result<Published> {
    let mut request = Request::new(Full::from(batch.body(format)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/v1/events");
    let kind = if format == Format::Ndjson { "application/x-ndjson" } else { "application/json" };
    request.headers_mut().insert("x-api-key", key.clone());
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let (head, body) = connection.exchange(request, ANSWER_BYTES_MAX, ANSWER_WAIT_MAX).await?;
    match head.status {
        StatusCode::ACCEPTED => Ok(Published::Accepted { deliveries: deliveries(&body)? }),
        StatusCode::SERVICE_UNAVAILABLE => {
            let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Ok(Published::Later(Duration::from_secs(seconds.unwrap_or(1))))
        }
        status => bail!("the server answered {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])),
    }
}

/// The sum over an answer to one event or many.
fn deliveries(body: &[u8]) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct Entry {
        /// Not there where the event was refused.
        deliveries: Option<u64>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Data {
        Many(Vec<Entry>),
        One(Entry),
    }
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    let answer: Answer = serde_json::from_slice(body)?;
    let entries = match answer.data {
        Data::Many(entries) => entries,
        Data::One(entry) => vec![entry],
    };
    let sum = entries.iter().map(|entry| entry.deliveries).sum::<Option<u64>>();
    sum.ok_or_else(|| anyhow!("an event was refused: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))
}

async fn hand_over(handle: &Handle, workspace: WorkspaceId, batch: &Batch<'_>) -> anyhow::Result<Published> {
    let check = |(number, id): (u64, &String)| {
        let mut data = String::new();
        batch.events.write_data(number, &mut data);
        let id = Some(id.clone());
        handle.check_event(
            workspace,
            EventDraft { id, event_type: EVENT_TYPE.into(), data: data.into(), ..EventDraft::default() },
        )
    };
    let events = batch.each().map(check).collect::<Result<Vec<_>, Refused>>()?;
    let answers = match handle.publish_all(workspace, events).await {
        Err(Refused::Overloaded) => return Ok(Published::Later(Duration::from_millis(10))),
        answers => answers?,
    };
    let deliveries = answers.into_iter().map(|answer| answer.map(|accepted| u64::from(accepted.deliveries)));
    Ok(Published::Accepted { deliveries: deliveries.sum::<Result<u64, Refused>>()? })
}

/// A request as the server has sent it, to be sent again by a client alone.
#[derive(Clone)]
pub struct Bare {
    pub path: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Bare {
    /// Posts it once; with an id, that instead of the one it has.
    ///
    /// # Errors
    /// There is no answer, or another one than 200.
    pub async fn post(&self, connection: &mut Connection, id: Option<&str>) -> anyhow::Result<()> {
        let mut request = Request::new(Full::new(self.body.clone()));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, self.path.clone());
        *request.headers_mut() = self.headers.clone();
        if let Some(id) = id {
            let id = HeaderValue::from_str(id)?;
            request.headers_mut().insert(HeaderName::from_static("postrider-event-id"), id);
        }
        let (head, _) = connection.exchange(request, ANSWER_BYTES_MAX, ANSWER_WAIT_MAX).await?;
        ensure!(head.status == StatusCode::OK, "the sink answered {}", head.status);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_written_as_its_format_wants() {
        let events = Events::new(256, 1, 1);
        let ids = [Events::id('a', 0, 1), Events::id('a', 1, 1)];
        let batch = Batch { events: &events, numbers: 0..2, ids: &ids };
        let array: Vec<serde_json::Value> = serde_json::from_str(&batch.body(Format::Array)).unwrap();
        assert_eq!((array.len(), &array[1]["id"]), (2, &"t1-a1".into()));
        let lines = batch.body(Format::Ndjson);
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, array);
        let one = Batch { events: &events, numbers: 0..1, ids: &ids[..1] };
        assert_eq!(serde_json::from_str::<serde_json::Value>(&one.body(Format::Single)).unwrap(), array[0]);
    }

    #[test]
    fn an_answer_with_a_refused_event_is_an_error() {
        assert_eq!(deliveries(br#"{"data":{"id":"a","duplicate":false,"deliveries":3}}"#).unwrap(), 3);
        assert_eq!(deliveries(br#"{"data":[{"id":"a","deliveries":3},{"id":"b","deliveries":4}]}"#).unwrap(), 7);
        let refused = deliveries(br#"{"data":[{"id":"a","deliveries":3},{"id":"b","error":{"code":"x"}}]}"#);
        assert!(refused.unwrap_err().to_string().contains("an event was refused"));
    }
}
