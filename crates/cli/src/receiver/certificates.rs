//! TLS as a receiver: an authority that is made at the start, and what it signs, or does not sign.
//!
//! Promises: each start has an authority and keys of its own, and no private key leaves the process, so that nobody can use an authority
//! that a server was told to trust once the receiver has ended.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing.
    Good,
    /// It was valid once.
    Expired,
    /// It is for a name that nobody asks for.
    OfAnotherName,
    /// Nobody else has signed it.
    SelfSigned,
    /// It comes from an authority that nobody knows.
    OfAnotherAuthority,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made.
    #[error("no certificate can be made: {0}")]
    Making(#[from] rcgen::Error),
    /// It cannot be served with.
    #[error("TLS cannot be served: {0}")]
    Serving(#[from] rustls::Error),
}

/// What a receiver begins TLS with.
pub struct Identity {
    /// The authority's certificate, as PEM: whoever trusts it trusts a good certificate.
    pub authority: String,
    /// Shows the certificate.
    pub acceptor: TlsAcceptor,
}

/// Of a receiver whose `names` are host names and addresses, and which speaks this protocol, as ALPN has it, alone.
///
/// # Errors
/// None can be made: there is no randomness, or a name that is none.
pub fn identity(certificate: Certificate, names: Vec<String>, protocol: &[u8]) -> Result<Identity, CertificateError> {
    let (authority, issuer) = authority()?;
    let names = if certificate == Certificate::OfAnotherName { vec!["other.example".to_owned()] } else { names };
    let mut params = CertificateParams::new(names)?;
    if certificate == Certificate::Expired {
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    }
    let key = KeyPair::generate()?;
    params.distinguished_name = named("sink", &key);
    let made = match certificate {
        Certificate::SelfSigned => params.self_signed(&key)?,
        Certificate::OfAnotherAuthority => params.signed_by(&key, &self::authority()?.1)?,
        Certificate::Good | Certificate::Expired | Certificate::OfAnotherName => params.signed_by(&key, &issuer)?,
    };
    let acceptor = TlsAcceptor::from(Arc::new(config(made.der().clone(), &key, protocol)?));
    Ok(Identity { authority, acceptor })
}

/// The names that a receiver on this address has.
pub fn names(listen: IpAddr) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !listen.is_unspecified() && !names.contains(&listen.to_string()) {
        names.push(listen.to_string());
    }
    names
}

/// Its certificate as PEM, and what signs.
fn authority() -> Result<(String, Issuer<'static, KeyPair>), CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named("authority of a sink", &key);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let made = params.self_signed(&key)?;
    Ok((pem(made.der()), Issuer::new(params, key)))
}

/// No two have the same name: one that is not trusted would else pass for one that is and has signed badly.
fn named(what: &str, key: &KeyPair) -> DistinguishedName {
    let number: String = key.der_bytes().iter().rev().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("postrider {what} {number}"));
    name
}

fn config(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    protocol: &[u8],
) -> Result<ServerConfig, CertificateError> {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: String = lines.map(|line| line.into_owned() + "\n").collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn an_authority_is_read_from_its_text_and_has_a_name_of_its_own() {
        let mut roots = rustls::RootCertStore::empty();
        for _ in 0..2 {
            let (text, _) = authority().unwrap();
            assert!(text.lines().all(|line| line.len() <= 64));
            roots.add(CertificateDer::from_pem_slice(text.as_bytes()).unwrap()).unwrap();
        }
        assert_ne!(roots.roots[0].subject, roots.roots[1].subject);
    }

    #[test]
    fn a_receiver_is_named_by_loopback_and_by_where_it_listens() {
        let loopback = ["localhost", "127.0.0.1", "::1"];
        assert_eq!(names("0.0.0.0".parse().unwrap()), loopback);
        assert_eq!(names("127.0.0.1".parse().unwrap()), loopback);
        assert_eq!(names("192.0.2.7".parse().unwrap())[3], "192.0.2.7");
        assert!(identity(Certificate::Good, names("::".parse().unwrap()), b"h2").is_ok());
    }
}
