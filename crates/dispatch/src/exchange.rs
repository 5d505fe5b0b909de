//! One request and its response on one connection, driven by whoever awaits it.
//!
//! Hyper splits a connection into a half that takes requests and a half that moves bytes, meant for a task of its own. Here both are
//! polled by the attempt itself: no task, no wake-up between two tasks, and a dropped attempt is a closed connection. While idle
//! nobody polls it; [`Link::is_idle`] looks at it when it is taken, put back or swept.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use postrider_core::attempt::Failure;
use postrider_core::limits::RESPONSE_KEPT_BYTES;
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::classify;
use crate::connect::{Allowance, Stream};
use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADS_BYTES_MAX};

/// The request as hyper takes it.
pub(crate) type Message = Request<Full<Bytes>>;

/// A connection.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<Stream>, Full<Bytes>>>>,
    ended: bool,
    allowance: Allowance,
    /// Where it leads.
    pub(crate) peer: SocketAddr,
    /// When it was made.
    pub(crate) opened: Instant,
}

/// Why no response came.
pub(crate) enum Unanswered {
    /// The connection was closed before it took the request: not a byte was written. Here it is again.
    Unsent(Box<Message>),
    /// A byte may have been written.
    Broken(Failure),
}

impl Link {
    /// Speaks HTTP/1.1 on `stream`; nothing is written yet.
    pub(crate) async fn new(stream: Stream) -> Result<Link, Failure> {
        let (allowance, peer) = (stream.allowance(), stream.peer());
        // The bound on fields is hyper's default.
        let handshake = Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(2 * HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| classify::broken_exchange(&error))?;
        Ok(Link { sender, connection: Box::pin(connection), ended: false, allowance, peer, opened: Instant::now() })
    }

    /// Whether a request can be sent: open, nothing unread, the last exchange over. Moves the connection, so a close or a stray byte
    /// that the runtime has seen ends it here.
    pub(crate) fn is_idle(&mut self) -> bool {
        if !self.ended {
            // Nobody waits for it, hence the waker; unconstrained, as a refused poll would look like an idle one.
            let mut look = pin!(unconstrained(self.connection.as_mut()));
            self.ended = look.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
        !self.ended && self.sender.is_ready()
    }

    /// Sends the request and waits for the response's head.
    ///
    /// Hyper gives the request back only if the half that writes never took it. That is the whole of the race between an idle
    /// connection's close and its next use: closed before it was taken is `Unsent`, and any later failure is `Broken`, even if in
    /// truth nothing left this machine.
    pub(crate) async fn send(&mut self, message: Message) -> Result<Response<Incoming>, Unanswered> {
        let Link { sender, connection, ended, allowance, .. } = self;
        allowance.set(HEADS_BYTES_MAX);
        // Only `connection` moves this future, in the same poll, so it needs no waker of its own and must not be held back.
        let mut answer = pin!(unconstrained(sender.try_send_request(message)));
        let answered = poll_fn(|cx| {
            if !*ended {
                *ended = connection.as_mut().poll(cx).is_ready();
            }
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        let answered = answered.await.map_err(|mut error: TrySendError<Message>| match error.take_message() {
            Some(message) => Unanswered::Unsent(Box::new(message)),
            None if allowance.is_used_up() => Unanswered::Broken(classify::too_many_heads()),
            None => Unanswered::Broken(classify::broken_exchange(error.error())),
        });
        allowance.lift();
        answered
    }

    /// Reads the body into `kept`, whose first bytes stay there also when this future is dropped. True if it came to its proper end
    /// within `BODY_BYTES_MAX`, so that the connection can be used again.
    pub(crate) async fn read_body(&mut self, mut body: Incoming, kept: &mut BytesMut) -> bool {
        let mut read = 0;
        while let Some(frame) = poll_fn(|cx| self.poll_frame(&mut body, cx)).await {
            let Ok(frame) = frame else { return false };
            let Ok(data) = frame.into_data() else { continue };
            read += data.len();
            let room = RESPONSE_KEPT_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&data[..data.len().min(room)]);
            if read > BODY_BYTES_MAX {
                return false;
            }
        }
        true
    }

    fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        // As in `send`: only `connection` brings frames, in this same poll.
        let mut unheard = Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut unheard) {
            return Poll::Ready(frame);
        }
        if !self.ended {
            self.ended = self.connection.as_mut().poll(cx).is_ready();
        }
        match Pin::new(body).poll_frame(&mut unheard) {
            Poll::Pending if self.ended => Poll::Ready(None),
            polled => Poll::Ready(ready!(polled)),
        }
    }
}
