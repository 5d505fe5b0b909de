//! TLS as a client: always verified, sessions resumed, no switch to skip either.

use std::error::Error;
use std::io;
use std::sync::Arc;

use postrider_core::attempt::{ErrorKind, Failure};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::classify::failure;
use crate::limits::TLS_SESSIONS_MAX;

/// Why the roots of trust were not read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM.
    #[error("an extra root is not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// PEM without a certificate in it.
    #[error("an extra root has no certificate in it")]
    Empty,
    /// Not a certificate that can be a root.
    #[error("an extra root is not a valid certificate, or the TLS library refused its own defaults: {0}")]
    Certificate(#[from] rustls::Error),
}

/// The public roots and `extra_roots`, each one PEM text of one or more certificates. Sessions are shared by all that share the value.
///
/// # Errors
/// An extra root that cannot be read.
pub(crate) fn client_config<P: AsRef<[u8]>>(extra_roots: &[P]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for pem in extra_roots {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_ref()) {
            roots.add(certificate?)?;
        }
        if roots.len() == before {
            return Err(TlsError::Empty);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(TLS_SESSIONS_MAX)));
    Ok(Arc::new(config))
}

/// No session was made.
pub(crate) fn handshake_failure(host: &str, error: &io::Error) -> Failure {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(why)) => failure(ErrorKind::Tls, certificate_advice(host, why)),
        Some(rustls::Error::InvalidMessage(_)) => {
            failure(ErrorKind::Tls, format_args!("{host} did not speak TLS; check that the port is an https one"))
        }
        Some(other) => {
            failure(ErrorKind::Tls, format_args!("no session with {host} ({other}); check its TLS settings"))
        }
        None => failure(
            ErrorKind::Tls,
            format_args!("{host} broke off the handshake ({}); check that it serves this name over TLS", plain(error)),
        ),
    }
}

fn certificate_advice(host: &str, why: &CertificateError) -> String {
    let advice = match why {
        CertificateError::UnknownIssuer => {
            "is not signed by a known authority; serve the whole chain, or add a private CA to the extra roots"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired; renew it",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name; use the name that it was issued for"
        }
        CertificateError::Revoked => "was revoked; replace it",
        _ => return format!("the certificate of {host} is not valid ({why}); replace it"),
    };
    format!("the certificate of {host} {advice}")
}

/// The innermost cause, without the library's layers around it.
fn plain(error: &io::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
