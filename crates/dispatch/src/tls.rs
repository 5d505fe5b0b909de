//! TLS as a client: always verified, sessions resumed, no switch to skip either.

use std::error::Error;
use std::io;
use std::sync::Arc;

use postrider_core::attempt::{ErrorKind, Failure};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore};

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

/// Names of protocols, as ALPN has them.
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The public roots and `extra_roots`, each one PEM text of one or more certificates. Sessions are shared by all that share the value.
/// With `http2` the receiver chooses between that and HTTP/1.1.
///
/// # Errors
/// An extra root that cannot be read.
pub(crate) fn client_config<P: AsRef<[u8]>>(extra_roots: &[P], http2: bool) -> Result<Arc<ClientConfig>, TlsError> {
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
    let offered = if http2 { &[HTTP2, HTTP1][..] } else { &[HTTP1] };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
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
        Some(
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            )
            | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
        ) => failure(
            ErrorKind::Tls,
            format_args!("{host} offers no version of TLS that is safe; let it serve TLS 1.2 or 1.3"),
        ),
        Some(rustls::Error::AlertReceived(alert)) => failure(ErrorKind::Tls, refused_by_peer(host, *alert)),
        Some(other) => {
            failure(ErrorKind::Tls, format_args!("no session with {host} ({other}); check its TLS settings"))
        }
        None => failure(
            ErrorKind::Tls,
            format_args!("{host} broke off the handshake ({}); check that it serves this name over TLS", plain(error)),
        ),
    }
}

/// Of a broken exchange, whether the receiver wanted a client's certificate: in TLS 1.3 it says so when for us the session stands already.
pub(crate) fn unwanted_client(error: &(dyn Error + 'static)) -> Option<Failure> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        let alert = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::AlertReceived(alert @ AlertDescription::CertificateRequired)) = alert {
            return Some(failure(ErrorKind::Tls, refused_by_peer("the receiver", *alert)));
        }
        cause = error.source();
    }
    None
}

/// The receiver ended the session with an alert, in the handshake or right after its end as it saw it.
fn refused_by_peer(host: &str, alert: AlertDescription) -> String {
    let advice = match alert {
        AlertDescription::UnrecognisedName => "it does not serve this name, check the webhook's url",
        AlertDescription::NoApplicationProtocol => "let it serve HTTP/1.1 there",
        AlertDescription::CertificateRequired => {
            "it wants a client's certificate, and none is sent; let it take requests without"
        }
        _ => "check its TLS settings",
    };
    format!("{host} refused the session ({alert:?}); {advice}")
}

fn certificate_advice(host: &str, why: &CertificateError) -> String {
    let advice = match why {
        CertificateError::UnknownIssuer => {
            "is not signed by a known authority; serve the whole chain, or trust a private CA by egress.ca_files or --ca-file"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired; renew it",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; serve one that is, and check the clock of this machine"
        }
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
