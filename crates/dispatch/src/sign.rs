//! Signatures as Standard Webhooks 1.0 has them: the secrets that make them, and how they are written.
//!
//! What is signed is `id.timestamp.body`. An event's id has no dot in it, so no two messages read the same. Neither clock nor chance is
//! here: the time of an attempt and the bytes of a new secret are arguments.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use hmac::{Hmac, Mac};
use postrider_core::signing::Scheme;
use secrecy::SecretString;
use sha2::Sha256;

/// A secret, ready to sign with.
pub struct SigningSecret(Kind);

enum Kind {
    /// Keyed once; each signature begins with a copy.
    V1(Hmac<Sha256>),
    V1a(Box<ed25519_dalek::SigningKey>),
}

/// Why a text is not a secret to sign with. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No known beginning.
    #[error("must begin with whsec_ (HMAC-SHA256) or whsk_ (Ed25519)")]
    Prefix,
    /// Not base64, or of another length.
    #[error("must be whsec_ and 24 to 64 bytes in base64 with padding")]
    Hmac,
    /// Not base64, of another length, or two halves that do not belong together.
    #[error(
        "must be whsk_ and an Ed25519 key in base64 with padding: its seed of 32 bytes, or seed and public key, 64 bytes"
    )]
    Ed25519,
}

const HMAC_PREFIX: &str = "whsec_";
const ED25519_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

impl SigningSecret {
    /// Reads `whsec_…` or `whsk_…`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<SigningSecret, SecretError> {
        if let Some(rest) = text.strip_prefix(HMAC_PREFIX) {
            let key = STANDARD.decode(rest).ok().filter(|key| (24..=64).contains(&key.len()));
            let mac = Hmac::new_from_slice(&key.ok_or(SecretError::Hmac)?).expect("HMAC takes keys of every length");
            return Ok(SigningSecret(Kind::V1(mac)));
        }
        let rest = text.strip_prefix(ED25519_PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = STANDARD.decode(rest).map_err(|_| SecretError::Ed25519)?;
        let key = match (<[u8; 32]>::try_from(&*bytes), <[u8; 64]>::try_from(&*bytes)) {
            (Ok(seed), _) => Some(ed25519_dalek::SigningKey::from_bytes(&seed)),
            (_, Ok(pair)) => ed25519_dalek::SigningKey::from_keypair_bytes(&pair).ok(),
            _ => None,
        };
        key.map(|key| SigningSecret(Kind::V1a(Box::new(key)))).ok_or(SecretError::Ed25519)
    }

    /// The text of a new secret made of `chance`: for HMAC its 32 bytes, for Ed25519 the seed and its public key.
    pub fn text_of(scheme: Scheme, chance: &[u8; 32]) -> SecretString {
        let text = match scheme {
            Scheme::V1 => format!("{HMAC_PREFIX}{}", STANDARD.encode(chance)),
            Scheme::V1a => {
                let pair = ed25519_dalek::SigningKey::from_bytes(chance).to_keypair_bytes();
                format!("{ED25519_PREFIX}{}", STANDARD.encode(pair))
            }
        };
        text.into()
    }

    /// What it signs by.
    pub fn scheme(&self) -> Scheme {
        match self.0 {
            Kind::V1(_) => Scheme::V1,
            Kind::V1a(_) => Scheme::V1a,
        }
    }

    /// What its signatures are checked with, if that can be told to everyone.
    pub fn public_key(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Kind::V1(_) => None,
            Kind::V1a(key) => Some(key.verifying_key().to_bytes()),
        }
    }

    /// The signature of one attempt: `v1,` or `v1a,` and base64. `timestamp` is in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        let signature = match &self.0 {
            Kind::V1(mac) => {
                STANDARD.encode(mac.clone().chain_update(head.as_bytes()).chain_update(body).finalize().into_bytes())
            }
            Kind::V1a(key) => STANDARD.encode(key.sign(&[head.as_bytes(), body].concat()).to_bytes()),
        };
        format!("{},{signature}", self.scheme().as_str())
    }
}

/// `whpk_…`, as receivers are given a public key.
pub fn public_key_text(key: &[u8; 32]) -> String {
    format!("{PUBLIC_PREFIX}{}", STANDARD.encode(key))
}

#[cfg(test)]
mod tests;
