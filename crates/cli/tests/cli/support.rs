//! A running sink, and HTTP over plain sockets: tests of bytes on the wire want no client that hides them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long for a machine, short for a person.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The binary with no environment but what the test gives.
pub fn postrider(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.env_clear().args(args).stdin(Stdio::null());
    command
}

/// Runs to its end; only for what ends by itself.
pub fn run(args: &[&str]) -> Output {
    postrider(args).output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub struct Sink {
    pub child: Child,
    pub addr: SocketAddr,
    pub stdout: BufReader<ChildStdout>,
}

impl Sink {
    pub fn start(args: &[&str]) -> Self {
        let mut child =
            postrider(&["sink", "--listen", "127.0.0.1:0"]).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let (_, addr) = line.trim().strip_prefix("listening on ").unwrap().split_once("://").unwrap();
        let addr = addr.parse().unwrap();
        Self { child, addr, stdout }
    }

    #[allow(clippy::disallowed_methods, reason = "to the sink under test")]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One POST on a connection of its own, and all that comes back.
    pub fn post(&self, path: &str, body: &[u8]) -> String {
        let mut stream = self.connect();
        send(&mut stream, path, body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn get(&self, path: &str) -> Value {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: sink\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(body).unwrap()
    }

    /// Asks for the stats until they are as wanted.
    pub fn stats_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let stats = self.get("/stats");
            if wanted(&stats) {
                return stats;
            }
            assert!(start.elapsed() < PATIENCE, "never as wanted: {stats}");
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn send(stream: &mut TcpStream, path: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: sink\r\nPostrider-Event-Id: evt_1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
}
