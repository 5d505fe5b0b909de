//! HTTP/2: what a receiver that chose it gets, from a real server. How it may misbehave is in `frames.rs`.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postrider_core::attempt::ErrorKind;
use postrider_dispatch::{Dispatched, Http2};
use support::secure::{Identity, Secure, join, localhost, secure, server_config, trusting};
use support::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const H2: &[&[u8]] = &[b"h2"];
const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

/// What a request was.
struct Seen {
    version: Version,
    head: hyper::http::request::Parts,
    body: Bytes,
}

/// A real server that speaks what is chosen, answers by `answer`, and tells what came.
async fn real<A>(identity: &Identity, protocols: &[&[u8]], answer: A) -> (Secure, UnboundedReceiver<Seen>)
where
    A: Fn(&Seen) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    let (tell, told) = unbounded_channel();
    let server = secure(server_config(identity, protocols), move |session, _| {
        let (tell, answer) = (tell.clone(), answer.clone());
        async move {
            let is_h2 = session.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (tell, answer) = (tell.clone(), answer.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let seen = Seen { version: head.version, head, body };
                    let answer = answer(&seen);
                    // Some tests do not listen.
                    let _ = tell.send(seen);
                    Ok::<_, hyper::Error>(answer)
                }
            });
            let io = TokioIo::new(session);
            // A client may close when it likes.
            let _ = if is_h2 {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
            } else {
                hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
            };
        }
    })
    .await;
    (server, told)
}

fn ok(_: &Seen) -> Response<Full<Bytes>> {
    Response::new(Full::from("ok"))
}

#[tokio::test]
async fn a_receiver_that_chooses_http2_gets_the_same_request_in_its_terms() {
    let identity = localhost();
    let (server, mut told) = real(&identity, BOTH, ok).await;
    let dispatcher = trusting(&identity, Http2::Offered);
    let target = target(&server.url);
    let mut asked = request(&target, PATIENT);
    for name in ["connection", "keep-alive", "te", "upgrade", "proxy-connection"] {
        asked.headers.push((name.parse().unwrap(), postrider_dispatch::HeaderValue::from_static("close")));
    }
    let Dispatched::Done(answer) = dispatcher.attempt(asked, || true).await else { panic!("withdrawn") };
    assert_success(&answer);
    assert_eq!(&answer.body[..], b"ok");
    let seen = told.recv().await.unwrap();
    assert_eq!((seen.version, seen.head.method.as_str(), &seen.body[..]), (Version::HTTP_2, "POST", &b"{\"a\":1}"[..]));
    let host = server.url.strip_prefix("https://").unwrap().split('/').next().unwrap();
    assert_eq!(seen.head.uri.to_string(), server.url);
    assert_eq!(seen.head.uri.authority().unwrap().as_str(), host);
    let mut names: Vec<_> = seen.head.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "content-type"]);
    assert_eq!(seen.head.headers["content-length"], "7");
}

#[tokio::test]
async fn a_receiver_that_does_not_choose_it_and_a_dispatcher_that_does_not_offer_it_speak_http1() {
    let identity = localhost();
    for (protocols, http2) in
        [(&[&b"http/1.1"[..]][..], Http2::Offered), (&[], Http2::Offered), (BOTH, Http2::Off), (&[], Http2::Off)]
    {
        let (server, mut told) = real(&identity, protocols, ok).await;
        let dispatcher = trusting(&identity, http2);
        for _ in 0..3 {
            assert_success(&send(&dispatcher, &server.url).await);
            assert_eq!(told.recv().await.unwrap().version, Version::HTTP_11, "{http2:?}");
        }
        assert_eq!((server.connections(), dispatcher.idle_connections()), (1, 1));
    }
    // Where the two have nothing in common there is no session.
    let (server, _told) = real(&identity, H2, ok).await;
    let answer = send(&trusting(&identity, Http2::Off), &server.url).await;
    let message = assert_unanswered(&answer, ErrorKind::Tls);
    assert!(message.contains("NoApplicationProtocol"), "{message}");
}

#[tokio::test]
async fn requests_share_a_connection_and_each_is_one_stream() {
    let identity = localhost();
    let (server, mut told) = real(&identity, BOTH, ok).await;
    let dispatcher = trusting(&identity, Http2::Offered);
    assert_success(&send(&dispatcher, &server.url).await);
    let many: Vec<_> = (0..20).map(|_| send(&dispatcher, &server.url)).collect();
    for answer in join(many).await {
        assert_success(&answer);
    }
    assert_eq!((server.connections(), dispatcher.idle_connections()), (1, 1));
    let mut requests = 0;
    while told.try_recv().is_ok() {
        requests += 1;
    }
    assert_eq!(requests, 21);
}

#[tokio::test]
async fn statuses_bodies_and_heads_count_as_they_do_in_http1() {
    let identity = localhost();
    let (server, _told) = real(&identity, H2, |seen: &Seen| {
        let asked: u16 = seen.head.uri.path()[1..].parse().expect("a number");
        let mut answer = Response::new(Full::from(vec![b'x'; if asked == 204 { 0 } else { 5_000 }]));
        *answer.status_mut() = hyper::StatusCode::from_u16(asked).expect("a status");
        answer.headers_mut().insert("retry-after", hyper::header::HeaderValue::from_static("7"));
        answer
    })
    .await;
    let dispatcher = trusting(&identity, Http2::Offered);
    let url = |status: u16| server.url.replace("hook", &status.to_string());
    for status in [200, 201, 204, 299] {
        let answer = send(&dispatcher, &url(status)).await;
        assert_success(&answer);
        assert_eq!(answer.body.len(), if status == 204 { 0 } else { 4096 });
    }
    for status in [300, 302, 307, 400, 404, 410, 429, 500, 503, 599] {
        let answer = send(&dispatcher, &url(status)).await;
        assert_eq!(answer.exchange.status_code, Some(status));
        assert!(assert_failure(&answer, ErrorKind::HttpStatus).starts_with(&format!("http_status: {status}")));
        assert_eq!(answer.exchange.retry_after.is_some(), status == 429 || status == 503);
    }
    assert_eq!(server.connections(), 1);
    // After what is no answer the connection is not used again.
    for status in [600, 999] {
        assert_unanswered(&send(&dispatcher, &url(status)).await, ErrorKind::ResponseInvalid);
        assert_success(&send(&dispatcher, &url(200)).await);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_head_has_the_same_bounds_as_in_http1() {
    let identity = localhost();
    let (server, _told) = real(&identity, H2, |seen: &Seen| {
        let (fields, bytes) = seen.head.uri.path()[1..].split_once('-').expect("two numbers");
        let (fields, bytes): (usize, usize) = (fields.parse().expect("a number"), bytes.parse().expect("a number"));
        let mut answer = Response::new(Full::default());
        for n in 0..fields {
            let name = hyper::header::HeaderName::from_bytes(format!("x-{n}").as_bytes()).expect("a name");
            answer.headers_mut().insert(name, "v".repeat(bytes / fields).parse().expect("a value"));
        }
        answer
    })
    .await;
    let dispatcher = trusting(&identity, Http2::Offered);
    // The server adds date and content-length.
    for (fields, bytes, fits) in
        [(90, 1_000, true), (101, 1_000, false), (10, 50_000, true), (10, 70_000, false), (60, 900_000, false)]
    {
        let answer = send(&dispatcher, &server.url.replace("hook", &format!("{fields}-{bytes}"))).await;
        if fits {
            assert_success(&answer);
        } else {
            let message = assert_unanswered(&answer, ErrorKind::ResponseInvalid);
            assert!(message.contains("64 KiB"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_large_request_arrives_whole_and_a_large_answer_is_cut_off_while_others_go_on() {
    let identity = localhost();
    let (server, mut told) = real(&identity, H2, |_| Response::new(Full::from(vec![b'y'; 10_000_000]))).await;
    let dispatcher = trusting(&identity, Http2::Offered);
    let target = target(&server.url);
    for _ in 0..3 {
        let mut asked = request(&target, PATIENT);
        asked.body = vec![b'x'; 1024 * 1024].into();
        let Dispatched::Done(answer) = dispatcher.attempt(asked, || true).await else { panic!("withdrawn") };
        assert_success(&answer);
        assert_eq!(answer.body, vec![b'y'; 4096]);
        assert_eq!(told.recv().await.unwrap().body, vec![b'x'; 1024 * 1024]);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_that_is_withdrawn_sends_nothing() {
    let identity = localhost();
    let (server, mut told) = real(&identity, H2, ok).await;
    let dispatcher = trusting(&identity, Http2::Offered);
    let target = target(&server.url);
    for _ in 0..2 {
        assert!(matches!(dispatcher.attempt(request(&target, PATIENT), || false).await, Dispatched::Withdrawn));
    }
    assert_success(&send(&dispatcher, &server.url).await);
    assert!(told.recv().await.is_some());
    assert!(told.try_recv().is_err());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_was_idle_too_long_or_is_too_old_is_not_used_again() {
    let identity = localhost();
    for (idle, times, connections) in [(54, 5, 1), (56, 1, 2), (50, 6, 2)] {
        let (server, _told) = real(&identity, H2, ok).await;
        let dispatcher = trusting(&identity, Http2::Offered);
        assert_success(&send(&dispatcher, &server.url).await);
        for _ in 0..times {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(idle)).await;
            tokio::time::resume();
            assert_success(&send(&dispatcher, &server.url).await);
        }
        assert_eq!(server.connections(), connections, "{times} times {idle} s");
    }
}

/// How many requests a second, one worker and `at_once` of them, HTTP/1.1 beside HTTP/2: the figures of ADR 13.
#[test]
#[ignore = "a measurement: cargo test --release -p postrider-dispatch --test http2 -- --ignored --nocapture"]
fn requests_a_second() {
    let identity = localhost();
    let (tell, told) = std::sync::mpsc::channel();
    let serving = signed_clone(&identity);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (server, mut seen) = real(&serving, BOTH, ok).await;
            tell.send(server.url).unwrap();
            while seen.recv().await.is_some() {}
        });
    });
    let url = told.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for at_once in [1, 8, 32, 64] {
        for http2 in [Http2::Off, Http2::Offered, Http2::Off, Http2::Offered] {
            let dispatcher = trusting(&identity, http2);
            let dispatcher = Rc::new(dispatcher);
            let done = Rc::new(Cell::new(0_u64));
            let span = Duration::from_secs(3);
            let run = async {
                assert_success(&send(&dispatcher, &url).await);
                let until = Instant::now() + span;
                let mut lanes = tokio::task::JoinSet::new();
                for _ in 0..at_once {
                    let (dispatcher, done, url) = (Rc::clone(&dispatcher), Rc::clone(&done), url.clone());
                    lanes.spawn_local(async move {
                        while Instant::now() < until {
                            assert_success(&send(&dispatcher, &url).await);
                            done.set(done.get() + 1);
                        }
                    });
                }
                while lanes.join_next().await.is_some() {}
            };
            runtime.block_on(tokio::task::LocalSet::new().run_until(run));
            println!("{at_once} at once, {http2:?}: {} requests/s", done.get() / span.as_secs());
        }
    }
}

fn signed_clone(identity: &Identity) -> Identity {
    Identity { chain: identity.chain.clone(), key: identity.key.clone_key(), pem: identity.pem.clone() }
}
