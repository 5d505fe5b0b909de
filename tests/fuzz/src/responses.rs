//! Any bytes as a receiver's answer, over a socket of loopback: an outcome that agrees with itself and with the bytes, within the bounds, in
//! time; and no byte of it answers the next request on a connection that was kept.
//!
//! The first byte says whether the receiver closes behind its answer or waits. HTTP/2 is not spoken without TLS, so not here.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use postrider_core::Time;
use postrider_core::attempt::{ErrorKind, Failure};
use postrider_dispatch::{AddressPolicy, Answer, Config, Dispatched, Dispatcher, Request, Target};
use tokio::runtime::Runtime;

use crate::choice;

/// The request's body, by whose end the receiver knows the request's.
const BODY: &[u8] = b"{}";
/// The answer to the second request: a status that inputs are not likely to have.
const NEXT: &[u8] = b"HTTP/1.1 298 Next\r\ncontent-length: 0\r\n\r\n";
const NEXT_STATUS: u16 = 298;
/// Of an attempt at a receiver that may wait for ever.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(10);

struct World {
    runtime: Runtime,
    config: Arc<Config>,
    target: Target,
    receiver: Sender<Script>,
}

/// What the receiver does with the next connection.
struct Script {
    answer: Vec<u8>,
    closes: bool,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

pub fn run(bytes: &[u8]) {
    let Some((choice, answer)) = choice(bytes) else { return };
    WORLD.with_borrow_mut(|world| world.get_or_insert_with(World::new).attempt(answer, choice & 1 == 1));
}

impl World {
    fn new() -> World {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let (receiver, scripts) = channel::<Script>();
        std::thread::spawn(move || scripts.iter().for_each(|script| receive(&listener, &script)));
        let policy = AddressPolicy::from_words(["loopback"]).expect("a word");
        let config = Arc::new(Config::new(policy, false, &[] as &[&[u8]]).expect("roots"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        World { runtime, config, target: Target::parse(&url, false).expect("a URL"), receiver }
    }

    fn attempt(&self, answer: &[u8], closes: bool) {
        // A new one each time: what is left open of one input must not answer the next.
        let dispatcher = self.runtime.block_on(async { Dispatcher::new(Arc::clone(&self.config)) });
        self.receiver.send(Script { answer: answer.to_vec(), closes }).expect("the receiver runs");
        let first = self.post(&dispatcher, if closes { LONG } else { SHORT });
        judge(&first, answer, closes);
        if !closes {
            let second = self.post(&dispatcher, LONG);
            assert_eq!(second.exchange.status_code, Some(NEXT_STATUS), "{:?} after {first:?}", second.exchange);
        }
    }

    fn post(&self, dispatcher: &Dispatcher, timeout: Duration) -> Answer {
        let request = Request {
            target: &self.target,
            headers: Vec::new(),
            body: Bytes::from_static(BODY),
            timeout,
            now: Time(1_800_000_000_000),
        };
        match self.runtime.block_on(dispatcher.attempt(request, || true)) {
            Dispatched::Done(answer) => answer,
            Dispatched::Withdrawn => panic!("nobody withdrew it"),
        }
    }
}

/// Answers the first request by the script, and a second one, on the same connection or another, with [`NEXT`].
fn receive(listener: &TcpListener, script: &Script) {
    let Ok((mut first, _)) = listener.accept() else { return };
    if !read_request(&mut first) {
        return;
    }
    // The sender may have had enough.
    let _ = first.write_all(&script.answer);
    if script.closes {
        let _ = first.shutdown(Shutdown::Write);
        return;
    }
    if read_request(&mut first) {
        let _ = first.write_all(NEXT);
        return;
    }
    let Ok((mut second, _)) = listener.accept() else { return };
    if read_request(&mut second) {
        let _ = second.write_all(NEXT);
    }
}

/// Up to the end of its body; false if it does not come.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(BODY) {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => request.extend_from_slice(&buffer[..n]),
            _ => return false,
        }
    }
    true
}

fn judge(answer: &Answer, sent: &[u8], closes: bool) {
    let Answer { exchange, response_headers, body } = answer;
    let is_success = exchange.status_code.is_some_and(|status| (200..300).contains(&status));
    assert_eq!(exchange.failure.is_none(), is_success, "{exchange:?}");
    assert!(exchange.retry_after.is_none() || matches!(exchange.status_code, Some(429 | 503)), "{exchange:?}");
    assert!(body.len() <= 4096 && response_headers.len() <= 100);
    match exchange.status_code {
        Some(status) => {
            assert!((200..600).contains(&status), "{exchange:?}");
            assert!(contains(sent, format!(" {status}").as_bytes()), "{status} was not sent");
            assert!(is_within(sent, body), "the body was not sent");
        }
        None => assert!(response_headers.is_empty() && body.is_empty()),
    }
    for value in response_headers.values() {
        assert!(contains(sent, value.as_bytes()), "{value:?} was not sent");
    }
    if let Some(failure) = &exchange.failure {
        judge_failure(failure, closes);
    }
}

fn judge_failure(Failure { kind, message }: &Failure, closes: bool) {
    assert!(message.starts_with(kind.as_str()) && message.len() < 500, "{message}");
    assert!(!closes || *kind != ErrorKind::Timeout, "the receiver had closed: {message}");
    let is_possible = matches!(
        kind,
        ErrorKind::Reset | ErrorKind::ResponseInvalid | ErrorKind::HttpStatus | ErrorKind::Timeout | ErrorKind::Tls
    );
    assert!(is_possible, "{message}");
}

fn contains(sent: &[u8], part: &[u8]) -> bool {
    part.is_empty() || sent.windows(part.len()).any(|window| window == part)
}

/// Whether all of `part` is in `sent` in this order: a body in chunks comes in pieces.
fn is_within(sent: &[u8], part: &[u8]) -> bool {
    let mut sent = sent.iter();
    part.iter().all(|byte| sent.any(|other| other == byte))
}
