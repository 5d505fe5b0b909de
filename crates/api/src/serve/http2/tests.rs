//! One connection in memory, with a clock that is moved: what a client may do, and what ends it.

use std::time::Duration;

use axum::routing::{get, post};
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;

/// A server's side of a connection, and the client's.
struct Stage {
    stop: watch::Sender<()>,
    requests: Arc<Semaphore>,
    server: JoinHandle<()>,
    client: Option<DuplexStream>,
    began: Instant,
}

const LARGE: usize = 300_000;

fn routes() -> Router {
    let large = || async { vec![b'x'; LARGE] };
    let never = || async { std::future::pending::<()>().await };
    let host = |request: Request| async move { format!("{:?}", request.headers().get(header::HOST)) };
    let echo = |body: Bytes| async move { body };
    Router::new()
        .route("/large", get(large))
        .route("/never", get(never))
        .route("/host", get(host))
        .route("/echo", post(echo))
}

impl Stage {
    fn new(requests: usize) -> Stage {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (stop, stopping) = watch::channel(());
        let requests = Arc::new(Semaphore::new(requests));
        let server = tokio::spawn(connection(server, routes(), Arc::clone(&requests), stopping));
        Stage { stop, requests, server, client: Some(client), began: Instant::now() }
    }

    /// A client that reads no more of an answer than `window` ahead.
    async fn client(&mut self, window: u32) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let stream = self.client.take().expect("the only client");
        let builder = h2::client::Builder::new().initial_window_size(window).handshake(stream).await;
        let (send, connection) = builder.expect("a handshake");
        let driver = tokio::spawn(connection);
        // Until the server's settings are there.
        let send = send.ready().await.expect("ready");
        sleep(Duration::from_millis(10)).await;
        (send, driver)
    }

    /// How long the server kept the connection.
    async fn ended(self) -> Duration {
        self.server.await.expect("no panic");
        self.began.elapsed()
    }
}

fn ask(path: &str) -> axum::http::Request<()> {
    axum::http::Request::get(format!("https://here.example:8443{path}")).body(()).expect("a request")
}

fn header_of(answer: &axum::http::Response<RecvStream>, name: &str) -> String {
    String::from_utf8(answer.headers()[name].as_bytes().to_vec()).expect("text")
}

async fn whole(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        bytes.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(bytes)
}

/// Asks, and goes away before there is an answer.
async fn give_up(send: &mut SendRequest<Bytes>) -> Result<(), h2::Error> {
    std::future::poll_fn(|cx| send.poll_ready(cx)).await?;
    let (answer, mut stream): (_, SendStream<Bytes>) = send.send_request(ask("/never"), true)?;
    tokio::task::yield_now().await;
    sleep(Duration::from_millis(1)).await;
    stream.send_reset(Reason::CANCEL);
    drop(answer);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn many_are_answered_at_once_each_whole_and_each_place_is_given_back() {
    let mut stage = Stage::new(40);
    let (mut send, _driver) = stage.client(1_000).await;
    let mut answers = Vec::new();
    for _ in 0..STREAMS_MAX {
        answers.push(send.send_request(ask("/large"), true).expect("there is room").0);
    }
    let bodies: Vec<_> = answers
        .into_iter()
        .map(|answer| {
            tokio::spawn(async move {
                let answer = answer.await?;
                assert_eq!((answer.status().as_u16(), &*header_of(&answer, "content-length")), (200, "300000"));
                whole(answer.into_body()).await
            })
        })
        .collect();
    for body in bodies {
        assert_eq!(body.await.expect("no panic").expect("a body"), vec![b'x'; LARGE]);
    }
    assert_eq!(stage.requests.available_permits(), 40);
    assert_eq!(send.send_request(ask("/host"), true).expect("room").0.await.expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_as_many_requests_at_once_as_it_may_and_the_host_is_named() {
    let mut stage = Stage::new(100);
    let (mut send, _driver) = stage.client(65_535).await;
    let host = send.send_request(ask("/host"), true).expect("room").0.await.expect("an answer");
    assert_eq!(whole(host.into_body()).await.expect("a body"), b"Some(\"here.example:8443\")");
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        std::future::poll_fn(|cx| send.poll_ready(cx)).await.expect("room");
        open.push(send.send_request(ask("/never"), true).expect("room"));
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.requests.available_permits(), 100 - STREAMS_MAX as usize);
    let more = tokio::time::timeout(Duration::from_secs(1), std::future::poll_fn(|cx| send.poll_ready(cx))).await;
    let waits = match more {
        Err(_) => true,
        Ok(ready) => {
            ready.expect("ready");
            let (answer, _) = send.send_request(ask("/host"), true).expect("taken");
            tokio::time::timeout(Duration::from_secs(1), answer).await.is_err()
        }
    };
    assert!(waits, "it waits until another one has ended");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_keeps_its_place_and_beyond_all_places_there_is_a_refusal() {
    let mut stage = Stage::new(2);
    let (mut send, _driver) = stage.client(1_000).await;
    let unread: Vec<_> = (0..2).map(|_| send.send_request(ask("/large"), true).expect("room").0).collect();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.requests.available_permits(), 0, "neither has been sent");
    let refused = send.send_request(ask("/host"), true).expect("room").0.await.expect("an answer");
    assert_eq!((refused.status().as_u16(), &*header_of(&refused, "retry-after")), (503, "1"));
    for answer in unread {
        let body = answer.await.expect("an answer").into_body();
        assert_eq!(whole(body).await.expect("a body").len(), LARGE);
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.requests.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends_when_a_head_would_have_had_to_be_there() {
    // Nothing at all; the preface and no request; the beginning of a head.
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" as &[u8], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let head = [&preface[..], &[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82]].concat();
    for bytes in [&[][..], &preface, &head] {
        let mut stage = Stage::new(1);
        let mut client = stage.client.take().expect("the only client");
        client.write_all(bytes).await.expect("there is room");
        let reading = tokio::spawn(async move { client.read_to_end(&mut Vec::new()).await });
        let ended = stage.ended().await;
        assert!((HEAD_TIMEOUT..=HEAD_TIMEOUT + SHUTDOWN_GRACE + Duration::from_secs(1)).contains(&ended), "{ended:?}");
        let _ = reading.await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_under_way_keeps_a_connection_and_its_end_begins_the_wait() {
    let mut stage = Stage::new(1);
    let (mut send, driver) = stage.client(65_535).await;
    let post = axum::http::Request::post("https://here.example/echo").body(()).expect("a request");
    let (answer, mut body) = send.send_request(post, false).expect("room");
    sleep(2 * HEAD_TIMEOUT).await;
    body.send_data(Bytes::from_static(b"late"), true).expect("the connection is there");
    assert_eq!(whole(answer.await.expect("an answer").into_body()).await.expect("a body"), b"late");
    let ended = stage.ended().await;
    assert!((3 * HEAD_TIMEOUT..4 * HEAD_TIMEOUT).contains(&ended), "{ended:?}");
    drop(send);
    assert!(driver.await.expect("no panic").is_ok(), "it was told to go");
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_request_after_request_has_to_open_another_connection() {
    let mut stage = Stage::new(100);
    let (mut send, _driver) = stage.client(65_535).await;
    let mut asked = 0;
    while give_up(&mut send).await.is_ok() {
        asked += 1;
        assert!(asked < 3 * GIVEN_UP_MAX, "it goes on and on");
    }
    assert!(asked >= GIVEN_UP_MAX / 2, "{asked}");
    let requests = Arc::clone(&stage.requests);
    assert!(stage.ended().await < HEAD_TIMEOUT);
    assert_eq!(requests.available_permits(), 100);
}

#[tokio::test(start_paused = true)]
async fn at_the_servers_end_what_is_under_way_is_answered_and_what_never_ends_is_cut_off() {
    let mut stage = Stage::new(4);
    let (mut send, _driver) = stage.client(65_535).await;
    let post = axum::http::Request::post("https://here.example/echo").body(()).expect("a request");
    let (answer, mut body) = send.send_request(post, false).expect("room");
    let (never, _) = send.send_request(ask("/never"), true).expect("room");
    sleep(Duration::from_secs(1)).await;
    let Stage { stop, server, requests, .. } = stage;
    drop(stop);
    sleep(Duration::from_secs(1)).await;
    body.send_data(Bytes::from_static(b"last"), true).expect("the connection is there");
    assert_eq!(whole(answer.await.expect("an answer").into_body()).await.expect("a body"), b"last");
    let began = Instant::now();
    server.await.expect("no panic");
    assert!(began.elapsed() <= SHUTDOWN_GRACE && never.await.is_err());
    assert_eq!(requests.available_permits(), 4, "the task of the request has ended with it");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_is_refused_and_the_next_one_is_not() {
    let mut stage = Stage::new(4);
    let (mut send, _driver) = stage.client(65_535).await;
    let mut long = ask("/host");
    long.headers_mut().insert("x-long", "x".repeat(HEADER_LIST_BYTES_MAX as usize).parse().expect("a header"));
    let refused = send.send_request(long, true).expect("room").0.await;
    let is_refused = match &refused {
        Ok(answer) => answer.status() == 431,
        Err(error) => error.is_reset(),
    };
    assert!(is_refused, "{refused:?}");
    std::future::poll_fn(|cx| send.poll_ready(cx)).await.expect("the connection is there");
    assert_eq!(send.send_request(ask("/host"), true).expect("room").0.await.expect("an answer").status(), 200);
}
