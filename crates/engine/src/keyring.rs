//! The keys that secrets are sealed with: one a workspace, each in a file of its own, wrapped by a master key.
//!
//! A key is synced before the fact that names it, and unlinked after the fact that its workspace is gone, so that what was sealed with it
//! can never be opened again, wherever copies of the log went. Secrets in the clear exist only in requests and in the workers.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use parking_lot::RwLock;
use postrider_core::sealed::{Sealed, SealingKeyId};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::entropy;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// All sealing keys of one engine.
pub struct Keyring {
    home: Home,
    ciphers: RwLock<HashMap<SealingKeyId, XChaCha20Poly1305>>,
}

enum Home {
    /// Keys live as long as the process: for tests and the simulator.
    Memory,
    /// `keys/<id>` under the data folder.
    Folder { folder: PathBuf, master: Box<XChaCha20Poly1305> },
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

    /// The keyring of a data folder: `master.key` and `keys/`, made when they are missing.
    ///
    /// # Errors
    /// When a file can't be read or written, or is not what it should be.
    pub fn open(data: &Path) -> Result<Keyring, KeyringError> {
        let folder = data.join("keys");
        fs::create_dir_all(&folder).map_err(|e| file_error(&folder, e))?;
        let master = Box::new(cipher(master_key(&data.join("master.key"))?.expose_secret()));
        let mut ciphers = HashMap::new();
        for entry in fs::read_dir(&folder).map_err(|e| file_error(&folder, e))? {
            let path = entry.map_err(|e| file_error(&folder, e))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            // What a crash left of a key that was being written has another name.
            let Some(id) = u64::from_str_radix(name, 16).ok().filter(|_| name.len() == 16) else {
                continue;
            };
            let wrapped = fs::read(&path).map_err(|e| file_error(&path, e))?;
            let key = unwrap(&master, &wrapped).ok_or_else(|| KeyringError::Unwrap { path: path.clone() })?;
            ciphers.insert(SealingKeyId(id), cipher(&key));
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
            write_synced(&folder.join(id.to_string()), &seal_bytes(master, key))?;
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
        let path = folder.join(id.to_string());
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => sync_folder(folder),
        }
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

fn unwrap(master: &XChaCha20Poly1305, wrapped: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = wrapped.split_at_checked(NONCE_BYTES)?;
    master.decrypt(XNonce::from_slice(nonce), sealed).ok().filter(|key| key.len() == KEY_BYTES)
}

fn master_key(path: &Path) -> Result<SecretBox<[u8]>, KeyringError> {
    match fs::read(path) {
        Ok(key) if key.len() == KEY_BYTES => Ok(SecretBox::new(key.into_boxed_slice())),
        Ok(_) => Err(KeyringError::Unwrap { path: path.into() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut key = vec![0; KEY_BYTES];
            entropy::fill(&mut key);
            write_synced(path, &key)?;
            Ok(SecretBox::new(key.into_boxed_slice()))
        }
        Err(e) => Err(file_error(path, e)),
    }
}

/// Whole or not at all: written beside, synced, renamed, folder synced. Readable by its owner only.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|e| file_error(path, e))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> Result<(), KeyringError> {
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| file_error(folder, e))
}

fn file_error(path: &Path, source: io::Error) -> KeyringError {
    KeyringError::File { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_not_after_its_key_is_destroyed() {
        let data = tempfile::tempdir().unwrap();
        let ring = Keyring::open(data.path()).unwrap();
        let key = ring.create().unwrap();
        let sealed = ring.seal(key, "hunter2hunter2").unwrap();
        assert!(!sealed.bytes.windows(7).any(|w| w == b"hunter2"));

        let again = Keyring::open(data.path()).unwrap();
        assert_eq!(again.open_sealed(&sealed).unwrap().expose_secret(), "hunter2hunter2");
        again.destroy(key).unwrap();
        assert!(again.open_sealed(&sealed).is_err());
        assert!(Keyring::open(data.path()).unwrap().open_sealed(&sealed).is_err());
    }

    #[test]
    fn key_files_are_for_their_owner_only_and_of_no_use_without_the_master_key() {
        let data = tempfile::tempdir().unwrap();
        let ring = Keyring::open(data.path()).unwrap();
        let path = data.path().join("keys").join(ring.create().unwrap().to_string());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(data.path().join("master.key"), [7; KEY_BYTES]).unwrap();
        assert!(matches!(Keyring::open(data.path()), Err(KeyringError::Unwrap { .. })));
    }
}
