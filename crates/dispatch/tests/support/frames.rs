//! A receiver that writes HTTP/2 by hand, frame by frame, for what no server library does.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postrider_dispatch::{Answer, Dispatcher, Http2};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::secure::{Secure, localhost, secure, server_config, trusting};
use super::send_within;

pub const SHORT: Duration = Duration::from_millis(500);
pub const H2: &[&[u8]] = &[b"h2"];

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// `:status: 200`, from HPACK's table.
pub const STATUS_200: &[u8] = &[0x88];
/// `:status: 100`, in words.
pub const STATUS_100: &[u8] = &[0x08, 3, b'1', b'0', b'0'];

/// What is done to one connection.
pub type Behaviour = fn(Frames) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection after its handshake.
pub struct Frames {
    pub session: TlsStream<TcpStream>,
    pub requests: Arc<AtomicUsize>,
}

pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frames {
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.session.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.session.read_exact(&mut payload).await.ok()?;
        if head[3] == HEADERS {
            self.requests.fetch_add(1, Ordering::SeqCst);
        }
        Some(Frame { kind: head[3], flags: head[4], stream })
    }

    /// Reads on to the next frame of a kind.
    pub async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads a whole request; its stream.
    pub async fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next().await?;
            if (frame.kind == HEADERS || frame.kind == DATA) && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    pub async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        self.session.write_all(&bytes).await.is_ok() && self.session.flush().await.is_ok()
    }

    pub async fn answer(&mut self, stream: u32) -> bool {
        self.say(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200).await
    }

    pub async fn go_away(&mut self, last: u32, reason: u32) -> bool {
        let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
        self.say(GOAWAY, 0, 0, &payload).await
    }

    pub async fn until_closed(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// A receiver of frames, whose requests are counted.
pub struct Raw {
    pub server: Secure,
    pub requests: Arc<AtomicUsize>,
    pub dispatcher: Dispatcher,
}

impl Raw {
    /// `behave` begins when the client's preface was read; the first frame is the client's settings.
    pub async fn new<F, R>(behave: F) -> Raw
    where
        F: Fn(Frames, usize) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let identity = localhost();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let behave = Arc::new(behave);
        let server = secure(server_config(&identity, H2), move |mut session, number| {
            let (requests, behave) = (Arc::clone(&count), Arc::clone(&behave));
            async move {
                let mut preface = [0; 24];
                if session.read_exact(&mut preface).await.is_ok() {
                    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
                    behave(Frames { session, requests }, number).await;
                }
            }
        })
        .await;
        Raw { server, requests, dispatcher: trusting(&identity, Http2::Offered) }
    }

    pub async fn send(&self) -> Answer {
        send_within(&self.dispatcher, &self.server.url, SHORT).await
    }

    /// Connections and requests so far.
    pub fn seen(&self) -> (usize, usize) {
        (self.server.connections(), self.requests.load(Ordering::SeqCst))
    }
}
