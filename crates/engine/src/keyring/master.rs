//! The key that the other keys are wrapped by: a file in the data folder, or given from outside and then in no file at all.
//!
//! Which of the two it is stands in the folder: `master.key` is the key, `master.given` says that there is none on purpose. Where both are,
//! a rotation was cut off, and the file counts.

use std::path::Path;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretBox};

use super::files::{self, write_synced};
use super::{KEY_BYTES, KeyringError, NONCE_BYTES, seal_bytes};
use crate::entropy;

pub const MASTER_FILE: &str = "master.key";
pub const GIVEN_FILE: &str = "master.given";
/// For whoever looks into the folder.
pub const GIVEN_NOTE: &str = "The master key of this folder is given from outside: POSTRIDER_MASTER_KEY.\n";

/// A key wrapped once: nonce, cipher text, tag.
const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + 16;

/// A master key.
#[derive(Clone)]
pub struct MasterKey(Arc<SecretBox<[u8; KEY_BYTES]>>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// A text that is no master key. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 hexadecimal digits, such as `openssl rand -hex 32` makes")]
pub struct ParseMasterKeyError;

impl MasterKey {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<MasterKey, ParseMasterKeyError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(ParseMasterKeyError);
        }
        let mut key = [0; KEY_BYTES];
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Ok(MasterKey::new(key))
    }

    fn new(key: [u8; KEY_BYTES]) -> MasterKey {
        MasterKey(Arc::new(SecretBox::new(Box::new(key))))
    }

    /// One that nobody else has.
    pub(super) fn random() -> MasterKey {
        let mut key = [0; KEY_BYTES];
        entropy::fill(&mut key);
        MasterKey::new(key)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.expose_secret()
    }

    pub(super) fn is(&self, other: &MasterKey) -> bool {
        self.bytes() == other.bytes()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(self.bytes()))
    }

    pub(super) fn wrap(&self, key: &[u8]) -> Vec<u8> {
        seal_bytes(&self.cipher(), key)
    }

    /// The key in a file of `keys/`. In the middle of a rotation it is in there twice, wrapped by either master key.
    pub(super) fn unwrap(&self, wrapped: &[u8]) -> Option<Vec<u8>> {
        let cipher = self.cipher();
        let is_whole = wrapped.len().is_multiple_of(WRAPPED_BYTES);
        wrapped.chunks_exact(WRAPPED_BYTES).filter(|_| is_whole).find_map(|wrapped| {
            let (nonce, sealed) = wrapped.split_at_checked(NONCE_BYTES)?;
            cipher.decrypt(XNonce::from_slice(nonce), sealed).ok().filter(|key| key.len() == KEY_BYTES)
        })
    }
}

/// The key in `master.key`, if there is such a file.
pub(super) fn of_file(data: &Path) -> Result<Option<MasterKey>, KeyringError> {
    let path = data.join(MASTER_FILE);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    let key = bytes.try_into().map_err(|_| KeyringError::Unwrap { path })?;
    Ok(Some(MasterKey::new(key)))
}

/// The master key that a folder is to be opened with; made when the folder is new and none is given.
pub(super) fn open(data: &Path, given: Option<&MasterKey>, is_new: bool) -> Result<MasterKey, KeyringError> {
    let is_given = files::read(&data.join(GIVEN_FILE))?.is_some();
    match (of_file(data)?, given) {
        (Some(_), Some(_)) => Err(KeyringError::TwoMasters { path: data.join(MASTER_FILE) }),
        (Some(key), None) => Ok(key),
        (None, Some(key)) => {
            if !is_given {
                write_synced(&data.join(GIVEN_FILE), GIVEN_NOTE.as_bytes())?;
            }
            Ok(key.clone())
        }
        (None, None) if is_given => Err(KeyringError::NotGiven { path: data.into() }),
        (None, None) if !is_new => Err(KeyringError::NoMaster { path: data.join(MASTER_FILE) }),
        (None, None) => {
            let key = MasterKey::random();
            write_synced(&data.join(MASTER_FILE), key.bytes())?;
            Ok(key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_sixty_four_hexadecimal_digits_and_is_never_shown() {
        let text = "0123456789abcdefABCDEF00112233445566778899aabbccddeeff0011223344";
        let key = MasterKey::parse(text).unwrap();
        assert_eq!((key.bytes()[..4].to_vec(), key.bytes()[31]), (vec![0x01, 0x23, 0x45, 0x67], 0x44));
        assert_eq!(format!("{key:?}"), "MasterKey(***)");
        for bad in ["", "00", &text[1..], &format!("{text}0"), &text.replace('f', "g"), &text.replace("ff", "é")] {
            let error = MasterKey::parse(bad).unwrap_err();
            assert!(!error.to_string().contains(&text[1..9]), "{bad}");
        }
    }
}
