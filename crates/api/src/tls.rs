//! TLS on the server's own port: a certificate with its key, and another pair in its place while the server runs.
//!
//! It reads no files; whoever has the pair says when there is a new one. It knows until when the certificate is good, and says so in time. By ALPN the
//! client chooses what is spoken inside: HTTP/2, or HTTP/1.1, which is also for those who do not say.

mod expiry;
mod validity;

use std::sync::Arc;

use parking_lot::RwLock;
use postrider_core::Time;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{InconsistentKeys, ServerConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits::TLS_HANDSHAKE_TIMEOUT;
pub(crate) use expiry::tell as tell_expiry;

/// How ALPN calls HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";

/// Why a certificate and its key cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM.
    #[error("the certificate is not PEM: {0}")]
    CertificatePem(pem::Error),
    /// PEM without a certificate in it.
    #[error("there is no certificate in the certificate's PEM")]
    NoCertificate,
    /// Not PEM, or PEM without a private key in it. What it is instead is not said.
    #[error("there is no private key in the key's PEM: it has to be PKCS #8, PKCS #1 or SEC1, and not encrypted")]
    NoKey,
    /// Each may be good, but not together.
    #[error("the key belongs to another certificate")]
    Mismatch,
    /// Not a certificate, or a key of a kind that is not served with.
    #[error("certificate and key cannot be served with: {0}")]
    Pair(#[from] rustls::Error),
}

/// What is begun TLS with. Cheap to clone; all clones have the same pair.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Served>>);

/// A pair as it is served with.
struct Served {
    config: Arc<ServerConfig>,
    /// When the first certificate of the chain ends.
    expires: Option<Time>,
}

/// What a client has begun with.
pub(crate) enum Greeted {
    /// A session.
    Tls(Box<TlsStream<TcpStream>>),
    /// No TLS at all: it takes this for a port of plain http.
    Plain(TcpStream),
    /// Nothing in time, or what is no TLS that is spoken here.
    Nothing,
}

impl Tls {
    /// Serves with a certificate, the whole chain beginning with the server's own, and its private key, both as PEM.
    ///
    /// # Errors
    /// What is wrong with the pair.
    pub fn new(certificate: &str, key: &SecretString) -> Result<Tls, TlsError> {
        Ok(Tls(Arc::new(RwLock::new(served(certificate, key)?))))
    }

    /// Serves with another pair from now on, in each handshake that begins later; open connections stay, and no session of before is
    /// resumed.
    ///
    /// # Errors
    /// What is wrong with the pair. The one of before stays then.
    pub fn replace(&self, certificate: &str, key: &SecretString) -> Result<(), TlsError> {
        let served = served(certificate, key)?;
        *self.0.write() = served;
        Ok(())
    }

    /// When the first certificate of the chain expires; `None` where that cannot be read.
    pub fn expires_at(&self) -> Option<Time> {
        self.0.read().expires
    }

    /// Waits for a client's first byte and, where that begins a handshake, for its end: both together within the time that they may take.
    pub(crate) async fn greet(&self, stream: TcpStream) -> Greeted {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0.read().config));
        let greeted = timeout(TLS_HANDSHAKE_TIMEOUT, async {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first[0].is_ascii_uppercase() => return Greeted::Plain(stream),
                Ok(1) => {}
                _ => return Greeted::Nothing,
            }
            match acceptor.accept(stream).await {
                Ok(session) => Greeted::Tls(Box::new(session)),
                Err(error) => {
                    tracing::debug!(%error, "a handshake failed");
                    Greeted::Nothing
                }
            }
        });
        greeted.await.unwrap_or_else(|_| {
            tracing::debug!("a handshake took too long");
            Greeted::Nothing
        })
    }
}

/// What the other side is shown has no part of this.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

fn served(certificate: &str, key: &SecretString) -> Result<Served, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(TlsError::CertificatePem)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let expires = chain.iter().filter_map(|certificate| validity::not_after(certificate)).min();
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| TlsError::NoKey)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
            error => TlsError::Pair(error),
        })?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(Served { config: Arc::new(config), expires })
}
