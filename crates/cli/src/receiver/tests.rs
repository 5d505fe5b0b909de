//! A receiver in this process, spoken to over plain sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use hyper::StatusCode;

use super::*;

fn start(change: impl FnOnce(&mut Config)) -> Receiver {
    let mut config = Config::new(([127, 0, 0, 1], 0).into());
    change(&mut config);
    Receiver::start(config).unwrap()
}

/// The status line of one exchange on a connection of its own.
#[allow(clippy::disallowed_methods, reason = "to a receiver of this test")]
fn post(receiver: &Receiver, body: &str) -> String {
    let mut stream = TcpStream::connect(receiver.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        stream,
        "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_status_can_be_changed_while_it_runs() {
    let receiver = start(|_| {});
    assert_eq!(post(&receiver, "{}"), "HTTP/1.1 200 OK");
    receiver.shared.plan.set_status(503);
    assert_eq!(post(&receiver, "{}"), "HTTP/1.1 503 Service Unavailable");
    receiver.shared.plan.set_fail_share(1.0);
    receiver.shared.plan.set_latency(Duration::from_millis(1));
    assert_eq!(post(&receiver, "{}"), "HTTP/1.1 500 Internal Server Error");
    let stats = receiver.stats();
    assert_eq!((stats.requests, stats.succeeded, stats.failed, stats.connections), (3, 1, 2, 3));
    assert_eq!(
        receiver.requests().iter().map(|kept| kept.status).collect::<Vec<_>>(),
        [Some(500), Some(503), Some(200)]
    );
}

#[test]
fn a_responder_goes_before_the_plan_and_an_observer_sees_all() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observed = seen.clone();
    let receiver = start(|config| {
        config.responder = Some(Arc::new(|request| (request.number == 1).then(|| Answer::status(410))));
        config.observer = Some(Arc::new(move |request, status| observed.lock().push((request.number, status))));
    });
    assert_eq!(post(&receiver, "{}"), "HTTP/1.1 410 Gone");
    assert_eq!(post(&receiver, "{}"), "HTTP/1.1 200 OK");
    assert_eq!(*seen.lock(), [(1, Some(410)), (2, Some(200))]);
}

#[test]
fn requests_of_all_workers_are_read_newest_first() {
    let receiver = start(|config| config.threads = 3);
    (1..=7).for_each(|number| drop(post(&receiver, &number.to_string())));
    let bodies: Vec<_> = receiver.requests().into_iter().map(|kept| String::from_utf8(kept.body).unwrap()).collect();
    assert_eq!(bodies, ["7", "6", "5", "4", "3", "2", "1"]);
}

#[allow(clippy::disallowed_methods, reason = "to a receiver of this test")]
#[test]
fn dropping_it_closes_every_connection() {
    let receiver = start(|_| {});
    receiver.shared.plan.set_hang_share(1.0);
    let mut stream = TcpStream::connect(receiver.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let start = std::time::Instant::now();
    while receiver.stats().hung == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "the request never came");
        std::thread::yield_now();
    }
    drop(receiver);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
}

#[tokio::test]
async fn it_can_be_started_and_dropped_within_a_runtime() {
    let receiver = start(|_| {});
    let taken = Receiver::start(Config::new(receiver.addr()));
    assert_eq!(taken.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
}

#[test]
fn a_late_answer_comes_after_its_wait() {
    let wait = Duration::from_millis(80);
    let receiver = start(|config| config.responder = Some(Arc::new(move |_| Some(Answer::Late(wait, StatusCode::OK)))));
    let began = Instant::now();
    assert_eq!(post(&receiver, "{}"), "HTTP/1.1 200 OK");
    assert!(began.elapsed() >= wait);
    assert_eq!(receiver.stats().succeeded, 1);
}
