//! `/v1/live`: attempts as they end, as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use postrider_core::WorkspaceId;
use postrider_engine::{Ended, Handle, Told, Watch};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::auth::{Caller, Live};
use crate::error::{ApiError, Code};
use crate::openapi::Errors;
use crate::query::NoQuery;
use crate::state::Api;
use crate::wire::log::LogEntryView;

/// So often a comment is sent when nothing else is, so that whoever is between keeps the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Messages that wait for a slow client; what comes beyond is missed.
const WAITING_MAX: usize = 64;
/// A client that takes nothing for so long is given up.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// The data of an `attempt` message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveAttempt {
    /// Whose log it is an entry of.
    #[schema(example = 1)]
    webhook_id: u64,
    #[serde(flatten)]
    entry: LogEntryView,
}

/// The data of a `missed` message: the client was too slow.
#[derive(Serialize, ToSchema)]
pub struct Missed {
    /// Attempts, of all workspaces.
    count: u64,
}

/// Sends one `attempt` message for each attempt that ends in the workspace from now on, tests too, until the client goes. A client that
/// is too slow gets a `missed` message in place of what it missed.
#[utoipa::path(get, operation_id = "watchAttempts", path = "/v1/live", tag = "deliveries",
    responses((status = 200, description = "Server-sent events.", body = LiveAttempt, content_type = "text/event-stream"), Errors))]
pub async fn watch(State(api): State<Api>, caller: Caller<Live>, _: NoQuery) -> Result<Response, ApiError> {
    let (handle, workspace, key) = (api.handle().clone(), caller.workspace, caller.key);
    stream(&api, workspace, move || handle.may_act(workspace, key))
}

/// The attempts of a workspace as they end, for as long as `may_go_on` says so.
pub fn stream(
    api: &Api,
    workspace: WorkspaceId,
    may_go_on: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Response, ApiError> {
    let slot = api.watchers().try_acquire_owned().map_err(|_| {
        ApiError::new(Code::Overloaded, "Too many clients are watching already; try again later.").after(10)
    })?;
    let (messages, body) = mpsc::channel(WAITING_MAX);
    let watcher = Watcher {
        attempts: api.handle().watch(),
        handle: api.handle().clone(),
        workspace,
        may_go_on: Box::new(may_go_on),
        messages,
        _slot: slot,
    };
    tokio::spawn(watcher.run(api.closing()));
    let mut response = Response::new(Body::new(Messages(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Between the engine and one client.
struct Watcher {
    attempts: Watch,
    handle: Handle,
    workspace: WorkspaceId,
    may_go_on: Box<dyn Fn() -> bool + Send + Sync>,
    messages: mpsc::Sender<Bytes>,
    _slot: OwnedSemaphorePermit,
}

impl Watcher {
    /// Until the client goes, whoever it is may watch no more, or the server ends.
    async fn run(mut self, mut closing: watch::Receiver<bool>) {
        // Something at once, so that the client knows that it is connected.
        let mut goes_on = self.send(comment()).await && !*closing.borrow();
        while goes_on {
            let message = tokio::select! {
                told = self.attempts.next() => match told {
                    Some(Told::Ended(ended)) => self.attempt(ended).await,
                    Some(Told::Missed(count)) => Some(message("missed", None, &Missed { count })),
                    None => return,
                },
                () = tokio::time::sleep(KEEP_ALIVE) => Some(comment()),
                _ = closing.changed() => return,
            };
            if let Some(message) = message {
                goes_on = (self.may_go_on)() && self.send(message).await;
            }
        }
    }

    /// The message about an attempt of this workspace.
    async fn attempt(&self, ended: Ended) -> Option<Bytes> {
        if ended.workspace != self.workspace {
            return None;
        }
        // What is gone or can't be read now is in the log of the webhook, or is not of interest any more.
        let detail = self.handle.ended(ended).await.ok()??;
        let id = detail.entry.attempt.id.0;
        let attempt = LiveAttempt { webhook_id: ended.webhook.0, entry: LogEntryView::from(&detail) };
        Some(message("attempt", Some(id), &attempt))
    }

    /// False once the client is gone, or has taken nothing for too long.
    async fn send(&self, message: Bytes) -> bool {
        matches!(timeout(STALLED_AFTER, self.messages.send(message)).await, Ok(Ok(())))
    }
}

fn comment() -> Bytes {
    Bytes::from_static(b": watching\n\n")
}

fn message(event: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    // JSON has no line breaks of its own.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {event}\n{id}data: {data}\n\n").into()
}

/// Messages as a body that ends with their sender.
struct Messages(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().0.poll_recv(context).map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}
