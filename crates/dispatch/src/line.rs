//! What a request goes out on, whichever version of HTTP it speaks.

use bytes::BytesMut;
use hyper::Response;
use hyper::body::{Body, Incoming};
use postrider_core::attempt::Failure;

use crate::connect::Stream;
use crate::exchange::{Link, Message, Unanswered};
use crate::http2::{Download, Lease};

/// A connection of one's own (HTTP/1.1), or a place on a shared one (HTTP/2).
pub(crate) enum Line {
    Own(Box<Link>),
    Shared(Lease),
}

/// A response's body.
pub(crate) enum Payload {
    Own(Incoming),
    Shared(Download),
}

impl Payload {
    /// Whether there is nothing to read.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Payload::Own(body) => body.is_end_stream(),
            Payload::Shared(body) => body.is_end_stream(),
        }
    }
}

impl Line {
    /// Speaks on `stream` what the receiver chose.
    ///
    /// # Errors
    /// `reset`, `response_invalid`.
    pub(crate) async fn open(stream: Stream) -> Result<Line, Failure> {
        if stream.is_http2() {
            return Lease::open(stream).await.map(Line::Shared);
        }
        Link::new(stream).await.map(|link| Line::Own(Box::new(link)))
    }

    /// Whether a connection from the pool still stands.
    pub(crate) async fn is_open(&self) -> bool {
        match self {
            // Looked at when it was taken.
            Line::Own(_) => true,
            Line::Shared(lease) => lease.is_open().await,
        }
    }

    /// Sends the request and waits for the response's head.
    pub(crate) async fn send(&mut self, message: Message) -> Result<Response<Payload>, Unanswered> {
        match self {
            Line::Own(link) => link.send(message).await.map(|response| response.map(Payload::Own)),
            Line::Shared(lease) => lease.send(message).await.map(|response| response.map(Payload::Shared)),
        }
    }

    /// Reads the body's beginning into `kept`. True if it came to its proper end within its bound.
    pub(crate) async fn read_body(&mut self, body: Payload, kept: &mut BytesMut) -> bool {
        match (self, body) {
            (Line::Own(link), Payload::Own(body)) => link.read_body(body, kept).await,
            (_, Payload::Shared(body)) => body.read(kept).await,
            (Line::Shared(_), Payload::Own(_)) => unreachable!("a body is read on the line that it came on"),
        }
    }

    /// After an odd answer: nothing more goes out on this connection.
    pub(crate) fn give_up(self) {
        if let Line::Shared(lease) = self {
            lease.retire();
        }
    }
}
