//! HTTP/2 on a connection whose TLS has agreed on it: the same router, within the bounds that HTTP/1.1 has because it carries one request
//! at a time.
//!
//! Promises: over all HTTP/2 connections there are no more requests at once, to the last byte of their answers, than connections are taken;
//! a connection with no request on it ends when one of HTTP/1.1 would, also while a head has come in part only; and one whose requests are
//! given up again and again ends. What a client has not read yet of an answer is in memory once, as the answer's own bytes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{ApiError, Code};
use crate::limits::{
    GIVEN_UP_MAX, HEAD_TIMEOUT, HEADER_LIST_BYTES_MAX, PIECE_BYTES_MAX, SEND_BYTES_MAX, SHUTDOWN_GRACE, STREAMS_MAX,
    WINDOW_BYTES,
};

/// Serves a connection to its end. `requests` has a permit for each request that there may be on all of them.
pub async fn connection<S>(stream: S, router: Router, requests: Arc<Semaphore>, mut stopping: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let counts = watch::Sender::new(Counts::default());
    let (idle, abuse) = (is_idle(counts.subscribe()), gives_up(counts.subscribe(), GIVEN_UP_MAX));
    let too_much = gives_up(counts.subscribe(), 2 * GIVEN_UP_MAX);
    let desk = Arc::new(Desk { router, requests, counts });
    let service = service_fn(move |request| Arc::clone(&desk).answer(request));
    let serving = http2::Builder::new(Streams::default())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        // What is reset before it was taken, or has to be reset by this side: both count against floods of either.
        .max_pending_accept_reset_streams(STREAMS_MAX as usize)
        .max_local_error_reset_streams(STREAMS_MAX as usize)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return super::note(ended),
        // Ready when the sender is dropped.
        _ = stopping.changed() => {}
        () = idle => {}
        () = abuse => tracing::debug!("a client gives up its requests again and again"),
    }
    // It is told to go; what is under way may end.
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        ended = timeout(SHUTDOWN_GRACE, serving) => super::note(ended.unwrap_or(Ok(()))),
        () = too_much => {}
    }
}

/// What goes on on a connection.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Requests whose answers have not been sent.
    open: usize,
    /// Those that the client did not wait for.
    given_up: usize,
}

/// Ready when there has been no request for as long as a head may take.
async fn is_idle(mut counts: watch::Receiver<Counts>) {
    loop {
        let is_open = counts.borrow_and_update().open > 0;
        let patience = if is_open { std::time::Duration::MAX } else { HEAD_TIMEOUT };
        match timeout(patience, counts.changed()).await {
            Ok(Ok(())) => {}
            // The connection ends of itself.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// Ready when so many requests were given up.
async fn gives_up(mut counts: watch::Receiver<Counts>, max: usize) {
    if counts.wait_for(|counts| counts.given_up >= max).await.is_err() {
        std::future::pending().await
    }
}

/// Where the requests of a connection are answered.
struct Desk {
    router: Router,
    requests: Arc<Semaphore>,
    counts: watch::Sender<Counts>,
}

impl Desk {
    async fn answer(self: Arc<Desk>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let mut open = Open::new(&self);
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            let error = ApiError::new(Code::Overloaded, "Too many requests are under way; try again in a moment.");
            return Ok(error.after(1).into_response().map(|body| Answer::new(body, open)));
        };
        open.permit = Some(permit);
        let request = with_host(request.map(Body::new));
        let response = TowerToHyperService::new(self.router.clone()).call(request).await;
        response.map(|response| response.map(|body| Answer::new(body, open)))
    }
}

/// The header that HTTP/1.1 names the host in; HTTP/2 does so in the address.
fn with_host(mut request: Request) -> Request {
    let host = request.uri().authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    request
}

/// A request that is under way.
struct Open {
    desk: Arc<Desk>,
    permit: Option<OwnedSemaphorePermit>,
    is_answered: bool,
}

impl Open {
    fn new(desk: &Arc<Desk>) -> Open {
        desk.counts.send_modify(|counts| counts.open += 1);
        Open { desk: Arc::clone(desk), permit: None, is_answered: false }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.permit = None;
        self.desk.counts.send_modify(|counts| {
            counts.open -= 1;
            counts.given_up += usize::from(!self.is_answered);
        });
    }
}

/// An answer's body in pieces, each taken only when the client has room for some of it; so what holds the request's place lives as long as
/// there is anything to send.
struct Answer {
    inner: Body,
    rest: Bytes,
    open: Open,
}

impl Answer {
    fn new(inner: Body, open: Open) -> Answer {
        let mut answer = Answer { inner, rest: Bytes::new(), open };
        answer.open.is_answered = answer.is_end_stream();
        answer
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => {
                    self.open.is_answered = end.is_none();
                    return Poll::Ready(end);
                }
            }
        }
        let piece = self.rest.len().min(PIECE_BYTES_MAX);
        let piece = self.rest.split_to(piece);
        self.open.is_answered = self.is_end_stream();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        inner.upper().into_iter().for_each(|upper| hint.set_upper(upper + rest));
        hint
    }
}

/// The tasks of a connection's requests. They end with it.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let mut all = self.0.lock();
        while all.try_join_next().is_some() {}
        all.spawn(async move {
            stream.await;
        });
    }
}

#[cfg(test)]
mod tests;
