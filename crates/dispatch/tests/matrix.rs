//! The whole matrix of what a receiver can be: every status, every redirect, every way in which TLS and a connection can fail. For each:
//! what it counts as, that the deadline held, that one request was sent, and that the message tells a person what to do.

mod support;

use std::time::{Duration, Instant};

use postrider_core::attempt::ErrorKind;
use postrider_dispatch::{Answer, Http2, limits};
use rcgen::date_time_ymd;
use support::secure::{Identity, params, secure, self_signed, server_config, signed, trusting};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const SHORT: Duration = Duration::from_millis(300);

/// Answers each request with the status that its path names.
async fn named_status() -> Server {
    serve(|mut peer| async move {
        while let Some(request) = peer.request().await {
            let status = request.strip_prefix("POST /").and_then(|rest| rest.split(' ').next()).expect("a path");
            let head = format!("HTTP/1.1 {status} Words\r\n");
            // Where a body is forbidden, a length is too.
            let length =
                if matches!(status, "204" | "304") || status.starts_with('1') { "" } else { "content-length: 0\r\n" };
            peer.say(format!("{head}{length}\r\n").as_bytes()).await;
        }
    })
    .await
}

fn at(server: &Server, path: impl std::fmt::Display) -> String {
    server.url.replace("hook?token=hidden", &path.to_string())
}

#[tokio::test]
async fn every_status_from_200_to_599_has_its_outcome_and_leaves_the_connection_open() {
    let (server, dispatcher) = (named_status().await, dispatcher(&["loopback"]));
    for status in 200..=599_u16 {
        let answer = send(&dispatcher, &at(&server, status)).await;
        assert_eq!(answer.exchange.status_code, Some(status));
        if status < 300 {
            assert_success(&answer);
        } else {
            let message = assert_failure(&answer, ErrorKind::HttpStatus);
            assert!(message.starts_with(&format!("http_status: {status}")), "{message}");
        }
        assert_eq!(dispatcher.idle_connections(), 1, "{status}");
    }
    assert_eq!((server.connections(), server.requests()), (1, 400));
}

#[tokio::test]
async fn every_status_from_100_to_199_is_waited_out_and_101_is_refused() {
    for status in 100..=199_u16 {
        // Alone, it is no answer: here the receiver closes after it.
        let alone = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(format!("HTTP/1.1 {status} Words\r\n\r\n").as_bytes()).await;
        })
        .await;
        let followed = answering([format!("HTTP/1.1 {status} Words\r\n\r\n").as_bytes(), OK].concat()).await;
        let dispatcher = dispatcher(&["loopback"]);
        let (alone, followed) = (send(&dispatcher, &alone.url).await, send(&dispatcher, &followed.url).await);
        if status == 101 {
            assert_unanswered(&alone, ErrorKind::ResponseInvalid);
            assert_unanswered(&followed, ErrorKind::ResponseInvalid);
            assert_eq!(dispatcher.idle_connections(), 0);
        } else {
            assert_unanswered(&alone, ErrorKind::Reset);
            assert_success(&followed);
            assert_eq!((followed.exchange.status_code, dispatcher.idle_connections()), (Some(200), 1), "{status}");
        }
    }
}

#[tokio::test]
async fn no_kind_of_redirect_is_followed() {
    let (elsewhere, dispatcher) = (answering(OK).await, dispatcher(&["loopback"]));
    let places = [
        elsewhere.url.clone(),
        elsewhere.url.replace("http:", ""),
        "/other".to_owned(),
        "?other".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "javascript:alert(1)".to_owned(),
        "http://[".to_owned(),
        String::new(),
    ];
    for status in 300..=308_u16 {
        for field in ["location", "refresh", "content-location"] {
            for place in &places {
                let place = if field == "refresh" { format!("0; url={place}") } else { place.clone() };
                let server =
                    answering(format!("HTTP/1.1 {status} X\r\n{field}: {place}\r\ncontent-length: 0\r\n\r\n")).await;
                let answer = send(&dispatcher, &server.url).await;
                assert_eq!((answer.exchange.status_code, server.requests()), (Some(status), 1));
                let message = assert_failure(&answer, ErrorKind::HttpStatus);
                assert!(message.contains("redirects are not followed, set the webhook's url"), "{message}");
            }
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// What comes of a receiver with this certificate, for those who trust who signed it.
async fn presented(identity: &Identity) -> String {
    let server = secure(server_config(identity, &[]), |mut session, _| async move {
        // What is read at all is told by an answer.
        if session.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
            session.write_all(OK).await.expect("somebody listens");
            session.flush().await.expect("as before");
        }
    })
    .await;
    let began = Instant::now();
    let answer = send(&trusting(identity, Http2::Offered), &server.url).await;
    assert!(began.elapsed() < limits::CONNECT_MAX, "{:?}", began.elapsed());
    assert_eq!(server.connections(), 1);
    match answer.exchange.failure {
        None => "ok".to_owned(),
        Some(_) => assert_unanswered(&answer, ErrorKind::Tls).to_owned(),
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_a_tls_failure_that_says_what_to_do() {
    let dated = |from: i32, to: i32| {
        let mut params = params("localhost");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params
    };
    assert_eq!(presented(&signed(&params("localhost"))).await, "ok");
    for (identity, words) in [
        (signed(&dated(2001, 2002)), "has expired; renew it"),
        (signed(&dated(2998, 2999)), "is not valid yet; serve one that is"),
        (signed(&params("other.example")), "is for another name; use the name that it was issued for"),
        (signed(&params("*.localhost")), "is for another name; use the name that it was issued for"),
        // Signed by someone else than the authority that is trusted, or by itself.
        (
            Identity { pem: signed(&params("x")).pem, ..signed(&params("localhost")) },
            "not signed by a known authority; serve",
        ),
        (
            Identity { pem: signed(&params("x")).pem, ..self_signed(&params("localhost")) },
            "not signed by a known authority; serve",
        ),
    ] {
        let message = presented(&identity).await;
        assert!(message.contains(words), "{message}");
    }
}

/// A record of TLS.
fn record(kind: u8, version: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &version, &(payload.len() as u16).to_be_bytes(), payload].concat()
}

/// What a server of an old version says first: a hello of that version, with a cipher of its time.
fn server_hello(version: [u8; 2]) -> Vec<u8> {
    let body = [&version[..], &[7; 32], &[0, 0x00, 0x2f, 0]].concat();
    record(22, version, &[&[2, 0, 0, body.len() as u8][..], &body].concat())
}

fn alert(description: u8) -> Vec<u8> {
    record(21, [3, 1], &[2, description])
}

#[tokio::test]
async fn a_port_that_does_not_speak_a_tls_that_is_safe_is_a_tls_failure_that_says_what_to_do() {
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("TLS 1.0", server_hello([3, 1]), "offers no version of TLS that is safe; let it serve TLS 1.2 or 1.3"),
        ("TLS 1.1", server_hello([3, 2]), "offers no version of TLS that is safe; let it serve TLS 1.2 or 1.3"),
        ("SSL 3.0", server_hello([3, 0]), "; "),
        ("protocol_version", alert(70), "offers no version of TLS that is safe; let it serve TLS 1.2 or 1.3"),
        ("handshake_failure", alert(40), "refused the session (HandshakeFailure); check its TLS settings"),
        ("unrecognized_name", alert(112), "does not serve this name, check the webhook's url"),
        ("internal_error", alert(80), "refused the session (InternalError); check its TLS settings"),
        (
            "http",
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".to_vec(),
            "did not speak TLS; check that the port",
        ),
        ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "did not speak TLS; check that the port"),
        ("smtp", b"220 mail.example.com ESMTP\r\n".to_vec(), "did not speak TLS; check that the port"),
        ("nothing, and a close", Vec::new(), "broke off the handshake"),
    ];
    for (name, bytes, words) in cases {
        let server = serve(move |mut peer| {
            let bytes = bytes.clone();
            async move {
                let _ = peer.stream.read(&mut [0; 4096]).await;
                peer.say(&bytes).await;
                if !bytes.is_empty() {
                    peer.until_closed().await;
                }
            }
        })
        .await;
        let began = Instant::now();
        let answer = send(&dispatcher(&["loopback"]), &server.url.replace("http:", "https:")).await;
        let message = assert_unanswered(&answer, ErrorKind::Tls);
        assert!(message.contains(words), "{name}: {message}");
        assert!(began.elapsed() < limits::CONNECT_MAX, "{name}: {:?}", began.elapsed());
        assert_eq!(server.connections(), 1, "{name}: one attempt is one connection");
    }
}

#[tokio::test]
async fn a_handshake_that_drips_ends_at_the_deadline() {
    let dripping = serve(|mut peer| async move {
        let _ = peer.stream.read(&mut [0; 4096]).await;
        for byte in server_hello([3, 3]).iter().cycle() {
            if !peer.say(&[*byte]).await {
                return;
            }
            // Its end would come after both deadlines.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    // That of the attempt, or that of a connection.
    for (timeout, least, words) in [
        (SHORT, SHORT, "no TLS session came of it within 0.3 s; check that the port is an https one"),
        (PATIENT, limits::CONNECT_MAX, "no TLS session came of it within 5 s; check that the port is an https one"),
    ] {
        let began = Instant::now();
        let url = dripping.url.replace("http:", "https:");
        let answer = send_within(&dispatcher(&["loopback"]), &url, timeout).await;
        let message = assert_unanswered(&answer, ErrorKind::Timeout);
        assert!(message.contains(words), "{message}");
        assert!((least..least + SHORT * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_receiver_that_wants_a_clients_certificate_says_so() {
    let identity = signed(&params("localhost"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(self_signed(&params("clients")).chain[0].clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .unwrap();
    let server = secure(config, |_, _| async { panic!("there is no session") }).await;
    for http2 in [Http2::Offered, Http2::Off] {
        let message =
            assert_unanswered(&send(&trusting(&identity, http2), &server.url).await, ErrorKind::Tls).to_owned();
        assert!(message.contains("wants a client's certificate"), "{message}");
    }
}

/// A listener whose queue is full: what comes is neither taken nor refused.
#[allow(clippy::disallowed_methods, reason = "fills a queue of this very test")]
async fn dropped() -> (tokio::net::TcpListener, String, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has a free port");
    let listener = socket.listen(1).expect("it is bound");
    let address = listener.local_addr().expect("it is bound");
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queued.push(stream);
    }
    (listener, format!("http://{address}/"), queued)
}

#[tokio::test]
async fn a_receiver_that_cannot_be_connected_to_ends_within_the_deadline_with_its_own_advice() {
    let (_listener, silent, _queued) = dropped().await;
    let refusing = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let dispatcher = dispatcher(&["loopback"]);
    let cases: [(String, Duration, ErrorKind, &str); 5] = [
        (refusing.clone(), PATIENT, ErrorKind::Connect, "check that the receiver is up and listens there"),
        (
            refusing.replace("http:", "https:"),
            PATIENT,
            ErrorKind::Connect,
            "check that the receiver is up and listens there",
        ),
        (
            silent.clone(),
            SHORT,
            ErrorKind::Timeout,
            "within 0.3 s; check that the receiver is up and its firewall lets this in",
        ),
        (silent.replace("http:", "https:"), SHORT, ErrorKind::Timeout, "no connection to https://127.0.0.1"),
        (
            silent,
            PATIENT,
            ErrorKind::Timeout,
            "within 5 s; check that the receiver is up and its firewall lets this in",
        ),
    ];
    for (url, timeout, kind, words) in cases {
        let began = Instant::now();
        let answer: Answer = send_within(&dispatcher, &url, timeout).await;
        let message = assert_unanswered(&answer, kind);
        assert!(message.contains(words), "{url}: {message}");
        let most = timeout.min(limits::CONNECT_MAX) + Duration::from_secs(2);
        assert!(began.elapsed() < most, "{url}: {:?}", began.elapsed());
    }
    assert_eq!(dispatcher.idle_connections(), 0);
}
