//! Receivers on loopback that behave as a test says, and the few words to send them something.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use postrider_core::attempt::ErrorKind;
use postrider_core::time::Time;
use postrider_dispatch::{AddressPolicy, Answer, Config, Dispatched, Dispatcher, HeaderValue, Request, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub mod frames;
pub mod secure;

pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// Long enough for loopback on a busy machine.
pub const PATIENT: Duration = Duration::from_secs(10);
/// 2026-02-19T10:30:00Z
pub const NOW: Time = Time(1_771_497_000_000);

/// A listener that counts.
pub struct Server {
    pub url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Server {
    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Whole requests so far.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

/// One connection, seen from the receiver.
pub struct Peer {
    pub stream: TcpStream,
    /// From 1.
    pub number: usize,
    seen: Arc<Seen>,
}

impl Peer {
    /// The next whole request, head and body; `None` when the sender closed.
    pub async fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut whole = usize::MAX;
        while bytes.len() < whole {
            if self.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
            if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n").filter(|_| whole == usize::MAX) {
                let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                whole = head + 4 + length.unwrap_or(0);
            }
        }
        self.seen.requests.fetch_add(1, Ordering::SeqCst);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes, and does not mind if nobody listens any more.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Waits until the sender has closed.
    pub async fn until_closed(&mut self) {
        while !matches!(self.stream.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {}
    }
}

/// Runs `behave` for every connection.
pub async fn serve<F, R>(behave: F) -> Server
where
    F: Fn(Peer) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    serve_at((Ipv4Addr::LOCALHOST, 0), behave).await
}

/// The same at an address of loopback.
pub async fn serve_at<F, R>(address: (Ipv4Addr, u16), behave: F) -> Server
where
    F: Fn(Peer) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.expect("loopback has a free port");
    let url = format!("http://{}/hook?token=hidden", listener.local_addr().expect("it is bound"));
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::spawn(behave(Peer { stream, number, seen: Arc::clone(&shared) }));
        }
    });
    Server { url, seen }
}

/// Answers every request with the same bytes.
pub async fn answering(bytes: impl Into<Vec<u8>>) -> Server {
    answering_at((Ipv4Addr::LOCALHOST, 0), bytes).await
}

/// The same at an address of loopback.
pub async fn answering_at(address: (Ipv4Addr, u16), bytes: impl Into<Vec<u8>>) -> Server {
    let bytes: Arc<[u8]> = bytes.into().into();
    serve_at(address, move |mut peer| {
        let bytes = Arc::clone(&bytes);
        async move { while peer.request().await.is_some() && peer.say(&bytes).await {} }
    })
    .await
}

/// A dispatcher that may go where `allow` says.
pub fn dispatcher(allow: &[&str]) -> Dispatcher {
    let policy = AddressPolicy::from_words(allow).expect("the words are ranges");
    Dispatcher::new(Arc::new(Config::new::<&[u8]>(policy, false, &[]).expect("no extra roots to misread")))
}

pub fn target(url: &str) -> Target {
    Target::parse(url, false).expect("a URL of this test")
}

pub fn request(target: &Target, timeout: Duration) -> Request<'_> {
    let headers = vec![
        (hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (hyper::header::AUTHORIZATION, HeaderValue::from_static("hidden")),
    ];
    Request { target, headers, body: Bytes::from_static(b"{\"a\":1}"), timeout, now: NOW }
}

/// One attempt that nobody withdraws.
pub async fn send_within(dispatcher: &Dispatcher, url: &str, timeout: Duration) -> Answer {
    let target = target(url);
    match dispatcher.attempt(request(&target, timeout), || true).await {
        Dispatched::Done(answer) => answer,
        Dispatched::Withdrawn => panic!("withdrawn, though wanted"),
    }
}

pub async fn send(dispatcher: &Dispatcher, url: &str) -> Answer {
    send_within(dispatcher, url, PATIENT).await
}

pub fn assert_success(answer: &Answer) {
    assert_eq!(answer.exchange.failure, None);
    assert!(matches!(answer.exchange.status_code, Some(200..=299)), "{answer:?}");
}

/// The kind, a message that begins with it and tells no secret, and no status.
pub fn assert_unanswered(answer: &Answer, kind: ErrorKind) -> &str {
    let message = assert_failure(answer, kind);
    assert_eq!(answer.exchange.status_code, None, "{message}");
    message
}

pub fn assert_failure(answer: &Answer, kind: ErrorKind) -> &str {
    let failure = answer.exchange.failure.as_ref().expect("it failed");
    assert_eq!(failure.kind, kind, "{}", failure.message);
    assert!(failure.message.starts_with(&format!("{}: ", kind.as_str())), "{}", failure.message);
    assert!(!failure.message.contains("hidden"), "{}", failure.message);
    assert!(failure.message.contains("; "), "it tells a person what to do: {}", failure.message);
    &failure.message
}
