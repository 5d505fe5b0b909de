//! Certificates of a test's own making, and receivers that serve TLS with them.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postrider_dispatch::{AddressPolicy, Config, Dispatcher, Http2};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// Of the one that signed it, for those who trust that.
    pub pem: String,
}

pub fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("a name")
}

/// Signed by itself.
pub fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().expect("ring makes keys");
    let certificate = params.clone().self_signed(&key).expect("a certificate of this test");
    Identity { chain: vec![certificate.der().clone()], key: private(&key), pem: certificate.pem() }
}

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// Signed by an authority that is made for it.
pub fn signed(params: &CertificateParams) -> Identity {
    let (authority_key, key) = (KeyPair::generate().expect("ring makes keys"), KeyPair::generate().expect("as before"));
    let mut authority = CertificateParams::default();
    // Each under a name of its own.
    let number = AUTHORITIES.fetch_add(1, Ordering::SeqCst);
    authority.distinguished_name.push(rcgen::DnType::CommonName, format!("authority {number}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.clone().self_signed(&authority_key).expect("an authority of this test").pem();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = params.clone().signed_by(&key, &issuer).expect("a certificate of this test");
    Identity { chain: vec![certificate.der().clone()], key: private(&key), pem }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).expect("a key just made")
}

/// TLS as a receiver that speaks `protocols`.
pub fn server_config(identity: &Identity, protocols: &[&[u8]]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(identity.chain.clone(), identity.key.clone_key())
        })
        .expect("ring serves its own defaults");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// A listener for https that counts.
pub struct Secure {
    pub url: String,
    connections: Arc<AtomicUsize>,
}

impl Secure {
    /// TCP connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Runs `behave` for every connection whose handshake succeeded, with its number from 1.
pub async fn secure<F, R>(config: ServerConfig, behave: F) -> Secure
where
    F: Fn(TlsStream<TcpStream>, usize) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, behave) = (Arc::clone(&connections), Arc::new(behave));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a fresh socket");
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let (acceptor, behave) = (acceptor.clone(), Arc::clone(&behave));
            tokio::spawn(async move {
                if let Ok(session) = acceptor.accept(stream).await {
                    behave(session, number).await;
                }
            });
        }
    });
    Secure { url: format!("https://localhost:{port}/hook?token=hidden"), connections }
}

/// A dispatcher that trusts who signed `identity`.
pub fn trusting(identity: &Identity, http2: Http2) -> Dispatcher {
    let policy = AddressPolicy::from_words(["loopback"]).expect("a word");
    let config = Config::speaking(http2, policy, true, &[&identity.pem]).expect("a certificate just made");
    Dispatcher::new(Arc::new(config))
}

/// One for the name that all these receivers have.
pub fn localhost() -> Identity {
    signed(&params("localhost"))
}

/// All of them, at once in this task.
pub async fn join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, ended) in &mut running {
            if ended.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *ended = Some(value);
            }
        }
        if running.iter().all(|(_, ended)| ended.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    running.into_iter().map(|(_, ended)| ended.expect("all have ended")).collect()
}
