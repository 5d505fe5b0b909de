//! TLS: verified, named, resumed.

mod support;

use std::sync::Arc;

use postrider_core::attempt::ErrorKind;
use postrider_dispatch::{AddressPolicy, Config, Dispatcher, TlsError};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;

/// A receiver with a certificate of its own making, which tells the kind of every handshake.
struct Secure {
    url: String,
    pem: String,
    handshakes: UnboundedReceiver<rustls::HandshakeKind>,
}

async fn secure(answer: &'static [u8]) -> Secure {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate for a name");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key just made");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate], key))
        .expect("ring serves its own defaults");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (tell, handshakes) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, tell) = (acceptor.clone(), tell.clone());
            tokio::spawn(async move {
                let Ok(mut session) = acceptor.accept(stream).await else {
                    return;
                };
                let kind = session.get_ref().1.handshake_kind().expect("the handshake is over");
                tell.send(kind).expect("the test listens");
                let mut buffer = [0; 4096];
                while session.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if session.write_all(answer).await.is_err() || session.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Secure { url: format!("https://localhost:{port}/hook?token=hidden"), pem: made.cert.pem(), handshakes }
}

fn trusting(pem: &str) -> Dispatcher {
    let policy = AddressPolicy::from_words(["loopback"]).expect("a word");
    Dispatcher::new(Arc::new(Config::new(policy, true, &[pem]).expect("a certificate just made")))
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_and_a_known_one_is_not() {
    let server = secure(OK).await;
    let message = assert_unanswered(&send(&dispatcher(&["loopback"]), &server.url).await, ErrorKind::Tls).to_owned();
    assert!(message.contains("not signed by a known authority"), "{message}");
    let dispatcher = trusting(&server.pem);
    for _ in 0..5 {
        assert_success(&send(&dispatcher, &server.url).await);
    }
    assert_eq!(dispatcher.idle_connections(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let server = secure(OK).await;
    let url = server.url.replace("localhost", "127.0.0.1");
    let answer = send(&trusting(&server.pem), &url).await;
    assert!(assert_unanswered(&answer, ErrorKind::Tls).contains("another name"));
}

#[tokio::test]
async fn a_second_connection_resumes_the_session() {
    let mut server = secure(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let dispatcher = trusting(&server.pem);
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        assert_success(&send(&dispatcher, &server.url).await);
        assert_eq!(server.handshakes.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_is_a_tls_failure() {
    let dispatcher = dispatcher(&["loopback"]);
    let talking = serve(|mut peer| async move {
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let closing = serve(|peer| async move { drop(peer) }).await;
    for url in [&talking.url, &closing.url] {
        assert_unanswered(&send(&dispatcher, &url.replace("http:", "https:")).await, ErrorKind::Tls);
    }
}

#[tokio::test]
async fn plain_http_is_refused_where_only_https_is_allowed() {
    let server = answering(OK).await;
    let answer = send(&trusting(&secure(OK).await.pem), &server.url).await;
    assert!(assert_unanswered(&answer, ErrorKind::BlockedAddress).contains("egress.https_only"));
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_is_no_certificate_is_no_root() {
    let config = |pem: &str| Config::new(AddressPolicy::default(), false, &[pem]).map(drop);
    assert!(matches!(config(""), Err(TlsError::Empty)));
    assert!(matches!(config("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"), Err(TlsError::Pem(_))));
    assert!(matches!(
        config("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        Err(TlsError::Certificate(_))
    ));
}
