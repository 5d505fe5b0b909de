//! A receiver: a small HTTP/1.1 server of its own, so that what it counts depends on no code of ours.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its last byte was read.
    pub at: Instant,
    /// The request's path.
    pub path: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// A header, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Delivery and attempt: what may be seen twice only after a crash.
    pub fn attempt(&self) -> (String, u32) {
        (self.header("postrider-delivery-id").to_owned(), self.header("postrider-attempt").parse().unwrap_or(0))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What to do with a request.
#[derive(Clone, Copy, Debug)]
pub enum Reaction {
    /// Answer with this status at once.
    Status(u16),
    /// Answer with this status after a while.
    Slow(u16, Duration),
    /// Answer with these bytes and close the connection.
    Raw(&'static str),
    /// Close the connection without an answer.
    Drop,
}

type React = dyn Fn(&Request) -> Reaction + Send + Sync;

/// A running receiver. It stops listening when it is dropped.
pub struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

impl Receiver {
    /// A receiver that always answers with this status.
    pub fn answering(status: u16) -> Receiver {
        Receiver::reacting(move |_| Reaction::Status(status))
    }

    /// A receiver that decides at each request.
    pub fn reacting(react: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let receiver = Receiver { address, requests: Arc::default(), is_over: Arc::default() };
        let (requests, is_over) = (Arc::clone(&receiver.requests), Arc::clone(&receiver.is_over));
        let react: Arc<React> = Arc::new(react);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                let (requests, react) = (Arc::clone(&requests), Arc::clone(&react));
                // A broken connection is the sender's business.
                std::thread::spawn(move || drop(serve(&stream, &requests, &*react)));
            }
        });
        receiver
    }

    /// Where it receives.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().expect("no thread panics while it holds this")
    }
}

impl Drop for Receiver {
    #[allow(clippy::disallowed_methods, reason = "to the listener of this value")]
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the listener, so that it sees it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, requests: &Mutex<Vec<Request>>, react: &React) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let reaction = react(&request);
        requests.lock().expect("no thread panics while it holds this").push(request);
        let status = match reaction {
            Reaction::Drop => return Ok(()),
            Reaction::Raw(answer) => {
                let mut writer = stream;
                return writer.write_all(answer.as_bytes());
            }
            Reaction::Status(status) => status,
            Reaction::Slow(status, pause) => {
                std::thread::sleep(pause);
                status
            }
        };
        let mut writer = stream;
        writer.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok").as_bytes())?;
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let values: &mut String = headers.entry(name.to_ascii_lowercase()).or_default();
        // A header that comes twice shows both values.
        *values = if values.is_empty() { value.trim().to_owned() } else { format!("{values}, {}", value.trim()) };
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { at: Instant::now(), path, headers, body }))
}
