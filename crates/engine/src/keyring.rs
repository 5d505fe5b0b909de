//! The keys that secrets are sealed with: one a workspace, each in a file of its own, wrapped by a master key.
//!
//! A key is synced before the fact that names it, and unlinked after the fact that its workspace is gone, so that what was sealed with it
//! can never be opened again, wherever copies of the log went. Secrets in the clear exist only in requests and in the workers.

mod files;
mod master;
mod rotate;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use parking_lot::RwLock;
use postrider_core::sealed::{Sealed, SealingKeyId};
use secrecy::SecretString;

use crate::entropy;
use files::{file_error, remove_synced, write_synced};
pub use master::{MasterKey, ParseMasterKeyError};
pub use rotate::{NewMaster, rotate_master};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const KEYS_FOLDER: &str = "keys";

/// All sealing keys of one engine.
pub struct Keyring {
    home: Home,
    ciphers: RwLock<HashMap<SealingKeyId, XChaCha20Poly1305>>,
}

enum Home {
    /// Keys live as long as the process: for tests and the simulator.
    Memory,
    /// `keys/<id>` under the data folder.
    Folder { folder: PathBuf, master: MasterKey },
}

/// Why keys can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A file could not be read or written.
    #[error("the key file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not a key wrapped by this master key.
    #[error("the key file {path} was not wrapped by this master key, or is damaged")]
    Unwrap {
        /// Which.
        path: PathBuf,
    },
    /// The folder's master key is in no file, and none is given.
    #[error("the master key of {path} is given from outside: name it in POSTRIDER_MASTER_KEY")]
    NotGiven {
        /// The data folder.
        path: PathBuf,
    },
    /// The master key is gone.
    #[error("the key file {path} is missing, and without it no key in keys/ can be opened: put it back")]
    NoMaster {
        /// Where it should be.
        path: PathBuf,
    },
    /// One is given though the folder has its own.
    #[error(
        "a master key is given, but the folder has its own, {path}: `postrider keys rotate-master` takes it out of the folder"
    )]
    TwoMasters {
        /// The folder's own.
        path: PathBuf,
    },
    /// The new master key is the old one.
    #[error("the new master key is the present one: nothing was changed")]
    SameMaster,
}

/// A secret that can't be opened: its key is gone, or it was sealed with another.
#[derive(Debug, thiserror::Error)]
#[error("the sealing key {0} is gone or does not fit")]
pub struct OpenError(pub SealingKeyId);

impl Keyring {
    /// A keyring without files.
    pub fn in_memory() -> Keyring {
        Keyring { home: Home::Memory, ciphers: RwLock::default() }
    }

    /// The keyring of a data folder, made when it is missing: `keys/`, and the master key, which is in `master.key` unless it is `given`.
    ///
    /// # Errors
    /// When a file can't be read or written, or is not what it should be, or the master key is not the one.
    pub fn open(data: &Path, given: Option<&MasterKey>) -> Result<Keyring, KeyringError> {
        let folder = data.join(KEYS_FOLDER);
        fs::create_dir_all(&folder).map_err(|e| file_error(&folder, e))?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|e| file_error(&folder, e))? {
            let path = entry.map_err(|e| file_error(&folder, e))?.path();
            files.extend(is_key_name(&path).map(|id| (id, path)));
        }
        let master = master::open(data, given, files.is_empty())?;
        let mut ciphers = HashMap::new();
        for (id, path) in files {
            let wrapped = fs::read(&path).map_err(|e| file_error(&path, e))?;
            let key = master.unwrap(&wrapped).ok_or(KeyringError::Unwrap { path })?;
            ciphers.insert(id, cipher(&key));
        }
        Ok(Keyring { home: Home::Folder { folder, master }, ciphers: RwLock::new(ciphers) })
    }

    /// Makes a key; it is on disk when this returns.
    ///
    /// # Errors
    /// When its file can't be written and synced.
    pub fn create(&self) -> Result<SealingKeyId, KeyringError> {
        let mut bytes = [0; KEY_BYTES + 8];
        entropy::fill(&mut bytes);
        let (key, id) = bytes.split_at(KEY_BYTES);
        let id = SealingKeyId(id.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        if let Home::Folder { folder, master } = &self.home {
            write_synced(&folder.join(id.to_string()), &master.wrap(key))?;
        }
        self.ciphers.write().insert(id, cipher(key));
        Ok(id)
    }

    /// Destroys a key.
    ///
    /// # Errors
    /// When its file can't be unlinked.
    pub fn destroy(&self, id: SealingKeyId) -> Result<(), KeyringError> {
        self.ciphers.write().remove(&id);
        let Home::Folder { folder, .. } = &self.home else {
            return Ok(());
        };
        remove_synced(&folder.join(id.to_string()))
    }

    /// The keys there are.
    pub fn ids(&self) -> Vec<SealingKeyId> {
        self.ciphers.read().keys().copied().collect()
    }

    /// Seals a secret; `None` when the key is gone.
    pub fn seal(&self, key: SealingKeyId, secret: &str) -> Option<Sealed> {
        let sealed = seal_bytes(self.ciphers.read().get(&key)?, secret.as_bytes());
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&sealed[..NONCE_BYTES]);
        Some(Sealed { key, nonce, bytes: sealed[NONCE_BYTES..].into() })
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// When its key is gone or does not fit.
    pub fn open_sealed(&self, sealed: &Sealed) -> Result<SecretString, OpenError> {
        let ciphers = self.ciphers.read();
        let cipher = ciphers.get(&sealed.key).ok_or(OpenError(sealed.key))?;
        let opened = cipher.decrypt(XNonce::from_slice(&sealed.nonce), &*sealed.bytes).ok();
        let text = opened.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(SecretString::from).ok_or(OpenError(sealed.key))
    }
}

fn cipher(key: &[u8]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key))
}

/// A nonce, then cipher text and tag.
fn seal_bytes(cipher: &XChaCha20Poly1305, clear: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    entropy::fill(&mut nonce);
    let sealed =
        cipher.encrypt(XNonce::from_slice(&nonce), clear).expect("the cipher takes every length that fits into memory");
    [&nonce[..], &sealed].concat()
}

/// Whose file in `keys/` this is. What a crash left of a key that was being written has another name.
fn is_key_name(path: &Path) -> Option<SealingKeyId> {
    let name = path.file_name()?.to_str().filter(|name| name.len() == 16)?;
    u64::from_str_radix(name, 16).ok().map(SealingKeyId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_not_after_its_key_is_destroyed() {
        let data = tempfile::tempdir().unwrap();
        let ring = Keyring::open(data.path(), None).unwrap();
        let key = ring.create().unwrap();
        let sealed = ring.seal(key, "hunter2hunter2").unwrap();
        assert!(!sealed.bytes.windows(7).any(|w| w == b"hunter2"));

        let again = Keyring::open(data.path(), None).unwrap();
        assert_eq!(again.open_sealed(&sealed).unwrap().expose_secret(), "hunter2hunter2");
        again.destroy(key).unwrap();
        assert!(again.open_sealed(&sealed).is_err());
        assert!(Keyring::open(data.path(), None).unwrap().open_sealed(&sealed).is_err());
    }

    #[test]
    fn key_files_are_for_their_owner_only_and_of_no_use_without_the_master_key() {
        let data = tempfile::tempdir().unwrap();
        let ring = Keyring::open(data.path(), None).unwrap();
        let path = data.path().join("keys").join(ring.create().unwrap().to_string());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(data.path().join("master.key"), [7; KEY_BYTES]).unwrap();
        assert!(matches!(Keyring::open(data.path(), None), Err(KeyringError::Unwrap { .. })));
    }
    #[test]
    fn a_given_master_key_is_in_no_file_and_nothing_opens_without_it() {
        let data = tempfile::tempdir().unwrap();
        let (key, other) = ("5a".repeat(32), "5b".repeat(32));
        let (key, other) = (MasterKey::parse(&key).unwrap(), MasterKey::parse(&other).unwrap());
        let ring = Keyring::open(data.path(), Some(&key)).unwrap();
        let id = ring.create().unwrap();
        let sealed = ring.seal(id, "hunter2hunter2").unwrap();
        assert!(!data.path().join("master.key").exists());
        let opened = Keyring::open(data.path(), Some(&key)).unwrap().open_sealed(&sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2hunter2");

        assert!(matches!(Keyring::open(data.path(), None), Err(KeyringError::NotGiven { .. })));
        assert!(matches!(Keyring::open(data.path(), Some(&other)), Err(KeyringError::Unwrap { .. })));
        // Without the word that it is given, it is missing; no new one is made in its place.
        fs::remove_file(data.path().join("master.given")).unwrap();
        assert!(matches!(Keyring::open(data.path(), None), Err(KeyringError::NoMaster { .. })));
        assert!(!data.path().join("master.key").exists());
        fs::write(data.path().join("master.key"), [0x5a; KEY_BYTES]).unwrap();
        assert!(Keyring::open(data.path(), None).is_ok());
        assert!(matches!(Keyring::open(data.path(), Some(&key)), Err(KeyringError::TwoMasters { .. })));
    }
}
