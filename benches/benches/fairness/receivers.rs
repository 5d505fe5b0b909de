//! Receivers in a thread of their own: all addresses of 127.0.0.0/8 at one port, each webhook at an address of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a receiver does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers 200 at once.
    Healthy,
    /// Answers 200 after two seconds.
    Slow,
    /// Takes the request and never answers.
    Hangs,
    /// Answers a byte a second.
    Drips,
    /// Answers 503 until all recover.
    Down,
}

const KINDS: [Kind; 5] = [Kind::Healthy, Kind::Slow, Kind::Hangs, Kind::Drips, Kind::Down];
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const DOWN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
/// What a request's body says of when its event was published.
const MARK: &[u8] = b"\"contact\":{\"id\":";

/// See the module. They end with the process.
pub struct Receivers {
    port: u16,
    made: AtomicU64,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    latencies: Mutex<Vec<Duration>>,
    received: AtomicU64,
    has_recovered: AtomicBool,
}

/// Since the first time that anybody asked: one process reads it at both ends.
pub fn now_micros() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_micros() as u64
}

impl Receivers {
    pub fn start() -> Receivers {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be set so");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("it does not block");
                loop {
                    let (socket, _) = listener.accept().await.expect("there are descriptors left");
                    tokio::spawn(serve(socket, Arc::clone(&shared)));
                }
            });
        });
        Receivers { port, made: AtomicU64::new(0), seen }
    }

    /// Of a new one, at an address that no other has.
    pub fn url(&self, kind: Kind) -> String {
        let [_, a, b, c] = (0x0100_0001 + self.made.fetch_add(1, Ordering::Relaxed) as u32).to_be_bytes();
        let kind = KINDS.iter().position(|other| *other == kind).expect("it is one of them");
        format!("http://127.{}.{b}.{c}:{}/{kind}", a + 1, self.port)
    }

    /// Of what was answered with 200 since this was asked last: from publishing to the whole request.
    pub fn take_latencies(&self) -> Vec<Duration> {
        self.seen.received.store(0, Ordering::Relaxed);
        std::mem::take(&mut self.seen.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers of 200 since the latencies were taken.
    pub fn received(&self) -> u64 {
        self.seen.received.load(Ordering::Relaxed)
    }

    /// Those that are down answer 200 from here on.
    pub fn recover(&self) {
        self.seen.has_recovered.store(true, Ordering::Relaxed);
    }
}

async fn serve(mut socket: TcpStream, seen: Arc<Seen>) {
    let mut bytes = Vec::with_capacity(4096);
    while let Some((kind, published)) = request(&mut socket, &mut bytes).await {
        let took = Duration::from_micros(now_micros().saturating_sub(published));
        let answer = match kind {
            Kind::Hangs => return std::future::pending().await,
            Kind::Drips => {
                for byte in OK.chunks(1) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if socket.write_all(byte).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            Kind::Down if !seen.has_recovered.load(Ordering::Relaxed) => DOWN,
            Kind::Slow => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                OK
            }
            Kind::Healthy | Kind::Down => {
                seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
                seen.received.fetch_add(1, Ordering::Relaxed);
                OK
            }
        };
        if socket.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The next one on a connection: what is to become of it, and when its event was published. `None` at the end.
async fn request(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(Kind, u64)> {
    loop {
        if let Some((read, found)) = parse(bytes) {
            bytes.drain(..read);
            return Some(found);
        }
        if socket.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(usize, (Kind, u64))> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let length = number(&bytes[find(&bytes[..head], b"content-length: ")? + 16..]) as usize;
    let body = bytes.get(head..head + length)?;
    let kind = KINDS[number(&bytes[find(bytes, b" /")? + 2..]) as usize];
    let published = find(body, MARK).map_or(0, |at| number(&body[at + MARK.len()..]));
    Some((head + length, (kind, published)))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
}
