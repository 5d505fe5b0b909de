//! A stand-in for the API: records what `publish` sends and answers from a script.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::PATIENCE;

#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: String,
    /// From 0.
    pub connection: usize,
}

/// Status line and headers after `HTTP/1.1 `, and body; none closes the connection without an answer.
pub type Script = fn(number: usize, body: &str) -> Option<(&'static str, String)>;

pub struct Server {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, stopped) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                if stopped.load(SeqCst) {
                    return;
                }
                serve(&stream.unwrap(), connection, &all, script);
            }
        });
        Self { addr, seen, stop, thread: Some(thread) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    #[allow(clippy::disallowed_methods, reason = "to the listener of this value")]
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let _ = TcpStream::connect(self.addr);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What a server that takes every event answers.
pub fn accepted(body: &str) -> Option<(&'static str, String)> {
    let entries: Vec<&str> = body.lines().map(|_| r#"{"id":"x","duplicate":false,"deliveries":1}"#).collect();
    Some(("202 Accepted", format!(r#"{{"status":"success","message":"","data":[{}]}}"#, entries.join(","))))
}

/// The next request's head, in small letters, and its body; `None` at the end.
pub fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    head.make_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some((head, body))
}

fn serve(stream: &TcpStream, connection: usize, seen: &Mutex<Vec<Seen>>, script: Script) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some((head, body)) = read_request(&mut reader) {
        let body = String::from_utf8(body).unwrap();
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(Seen { head, body: body.clone(), connection });
            seen.len() - 1
        };
        let Some((status, answer)) = script(number, &body) else {
            return;
        };
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    }
}
