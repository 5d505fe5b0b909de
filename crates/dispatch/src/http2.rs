//! HTTP/2 for receivers that choose it: several requests at once on one connection, each its own stream.
//!
//! Promises: one request is one stream, and is never sent again; a stream that ends badly ends that attempt alone, unless the receiver
//! breaks the connection; a connection on which an answer failed to come takes no more requests. Bounded are streams, the bytes of a
//! head, of a body, and of everything else that a receiver can send unasked.
//!
//! A connection is moved by a task of its own, since it has no one attempt to move it. The task ends, and the connection closes, when
//! neither the pool nor an attempt holds it any more: nobody waits for a receiver that does not read.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use hyper::body::Body;
use hyper::header::{self, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{Request, Response, Uri};
use parking_lot::Mutex;
use postrider_core::attempt::Failure;
use postrider_core::limits::RESPONSE_KEPT_BYTES;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::classify;
use crate::connect::{Allowance, Stream};
use crate::exchange::{Message, Unanswered};
use crate::limits::{
    BODY_BYTES_MAX, CONNECTION_AGE_MAX, GREETING_BYTES_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, HEADS_BYTES_MAX,
    IDLE_AGE_MAX, STREAMS_MAX,
};

/// What one request may bring: heads, a body, and the frames around them.
const ANSWER_BYTES_MAX: usize = HEADS_BYTES_MAX + 2 * BODY_BYTES_MAX;

/// A connection.
pub(crate) struct Channel {
    sender: SendRequest<Bytes>,
    driver: AbortHandle,
    allowance: Allowance,
    /// Requests that hold it.
    leases: AtomicUsize,
    /// No more requests are to go on it.
    retired: AtomicBool,
    /// When its last request ended.
    rested: Mutex<Instant>,
    /// Where it leads.
    pub(crate) peer: SocketAddr,
    opened: Instant,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Channel {
    /// Whether a request may be sent on it now or later.
    pub(crate) fn is_of_use(&self, now: Instant) -> bool {
        let is_overdue = now.saturating_duration_since(self.opened) >= CONNECTION_AGE_MAX
            || (self.is_idle() && now.saturating_duration_since(*self.rested.lock()) >= IDLE_AGE_MAX);
        !is_overdue && !self.retired.load(Relaxed) && !self.driver.is_finished()
    }

    /// Whether no request holds it.
    pub(crate) fn is_idle(&self) -> bool {
        self.leases.load(Relaxed) == 0
    }

    /// Whether one more request has a place, by our bound and by the receiver's.
    pub(crate) fn has_room(&self) -> bool {
        self.leases.load(Relaxed) < STREAMS_MAX.min(self.sender.current_max_send_streams())
    }
}

/// One request's place on a connection.
pub(crate) struct Lease {
    channel: Arc<Channel>,
    /// A request went out and what came of it is not known: it was given up on.
    is_waiting: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_waiting {
            self.retire();
        }
        *self.channel.rested.lock() = Instant::now();
        if self.channel.leases.fetch_sub(1, Relaxed) == 1 && self.channel.retired.load(Relaxed) {
            // Closed now, and not when the pool lets go of it.
            self.channel.driver.abort();
        }
    }
}

impl Lease {
    /// Speaks HTTP/2 on `stream`, with a place for the first request. The preface is written, nothing is waited for.
    ///
    /// # Errors
    /// `reset`.
    pub(crate) async fn open(stream: Stream) -> Result<Lease, Failure> {
        let (allowance, peer) = (stream.allowance(), stream.peer());
        allowance.set(GREETING_BYTES_MAX);
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .initial_window_size(BODY_BYTES_MAX as u32)
            .initial_connection_window_size((STREAMS_MAX * BODY_BYTES_MAX / 4) as u32)
            .handshake(stream)
            .await;
        let (sender, connection) = handshake.map_err(|error| classify::broken_stream(&error))?;
        // What it ends with each of its streams hears too.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        let now = Instant::now();
        let (leases, retired, rested) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(now));
        let channel = Channel { sender, driver, allowance, leases, retired, rested, peer, opened: now };
        Ok(Lease::of(&Arc::new(channel)))
    }

    /// A place on `channel`.
    pub(crate) fn of(channel: &Arc<Channel>) -> Lease {
        channel.leases.fetch_add(1, Relaxed);
        Lease { channel: Arc::clone(channel), is_waiting: false }
    }

    /// Whether the connection still stands, as far as the system knows. On one that nobody used meanwhile the task that moves it gets a turn
    /// first: a close or a GOAWAY that has come is seen then, before anything is sent.
    pub(crate) async fn is_open(&self) -> bool {
        if self.channel.leases.load(Relaxed) == 1 {
            tokio::task::yield_now().await;
        }
        let ready = self.channel.sender.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        self.channel.is_of_use(Instant::now()) && matches!(ready, Poll::Ready(Ok(())))
    }

    /// What it is a place on.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// No more requests on this connection; it closes with the last that is under way.
    pub(crate) fn retire(&self) {
        self.channel.retired.store(true, Relaxed);
    }

    /// Sends the request and waits for the response's head.
    ///
    /// A request that the connection does not take is `Unsent`: no frame of it was written. Once it was taken any failure is `Broken`.
    pub(crate) async fn send(&mut self, message: Message) -> Result<Response<Download>, Unanswered> {
        let Channel { sender, allowance, .. } = &*self.channel;
        let mut sender = sender.clone();
        allowance.grant(ANSWER_BYTES_MAX, STREAMS_MAX * ANSWER_BYTES_MAX);
        let body = bytes_of(message.body());
        let Some(request) = request(&message, body.len()) else {
            return Err(Unanswered::Broken(classify::no_request()));
        };
        let Ok((answer, stream)) = sender.send_request(request, body.is_empty()) else {
            self.retire();
            return Err(Unanswered::Unsent(Box::new(message)));
        };
        self.is_waiting = true;
        let mut upload = Some(Upload { stream, rest: body });
        let mut answer = answer;
        let answered = poll_fn(|cx| {
            Upload::drive(&mut upload, cx);
            Pin::new(&mut answer).poll(cx)
        });
        let answered = answered.await;
        self.is_waiting = false;
        match answered {
            Ok(response) if response.headers().len() <= HEAD_FIELDS_MAX => {
                Ok(response.map(|stream| Download { stream, upload }))
            }
            Ok(_) => {
                self.retire();
                Err(Unanswered::Broken(classify::head_too_large()))
            }
            Err(error) => {
                if !(error.is_reset() && error.is_remote()) {
                    self.retire();
                }
                let failure = match self.channel.allowance.is_used_up() {
                    true => classify::too_much(),
                    false => classify::broken_stream(&error),
                };
                Err(Unanswered::Broken(failure))
            }
        }
    }
}

/// What is still to be sent of a request.
struct Upload {
    stream: SendStream<Bytes>,
    rest: Bytes,
}

impl Upload {
    /// Sends what may be sent now. Ends it when all is, or the receiver wants no more: what that means the answer tells.
    fn drive(upload: &mut Option<Upload>, cx: &mut Context<'_>) {
        if let Some(sending) = upload
            && sending.poll(cx).is_ready()
        {
            *upload = None;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.rest.is_empty() {
            self.stream.reserve_capacity(self.rest.len());
            let mut room = self.stream.capacity();
            while room == 0 {
                room = match std::task::ready!(self.stream.poll_capacity(cx)) {
                    Some(room) => room?,
                    None => return Poll::Ready(Ok(())),
                };
            }
            let piece = self.rest.split_to(room.min(self.rest.len()));
            self.stream.send_data(piece, self.rest.is_empty())?;
        }
        Poll::Ready(Ok(()))
    }
}

/// A response's body, and what of the request is still to be sent beside it. Dropping it ends the stream.
pub(crate) struct Download {
    stream: RecvStream,
    upload: Option<Upload>,
}

impl Download {
    /// Whether there is nothing to wait for.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.upload.is_none() && self.stream.is_end_stream()
    }

    /// Reads the body into `kept`, whose first bytes stay there also when this future is dropped. True if it came to its end within
    /// `BODY_BYTES_MAX`.
    pub(crate) async fn read(mut self, kept: &mut BytesMut) -> bool {
        let mut read = 0;
        while let Some(piece) = poll_fn(|cx| {
            Upload::drive(&mut self.upload, cx);
            self.stream.poll_data(cx)
        })
        .await
        {
            let Ok(piece) = piece else { return false };
            read += piece.len();
            let room = RESPONSE_KEPT_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&piece[..piece.len().min(room)]);
            if read > BODY_BYTES_MAX || self.stream.flow_control().release_capacity(piece.len()).is_err() {
                return false;
            }
        }
        // A receiver may answer before it has read all.
        poll_fn(|cx| {
            Upload::drive(&mut self.upload, cx);
            if self.upload.is_none() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        true
    }
}

fn bytes_of(body: &http_body_util::Full<Bytes>) -> Bytes {
    let mut body = body.clone();
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

/// Fields that HTTP/2 forbids: they are about a connection of HTTP/1.
const FORBIDDEN: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The same request in HTTP/2's terms: the host is part of the URI, and no field is about the connection.
fn request(message: &Message, body_len: usize) -> Option<Request<()>> {
    let mut headers = HeaderMap::with_capacity(message.headers().len() + 1);
    let fields = message.headers().iter().filter(|(name, _)| **name != HOST && !FORBIDDEN.contains(name));
    for (name, value) in fields {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body_len));
    let path = message.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let authority = message.headers().get(HOST)?.as_bytes();
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(path).build().ok()?;
    let mut request = Request::new(());
    *request.method_mut() = message.method().clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.version_mut() = hyper::Version::HTTP_2;
    Some(request)
}
