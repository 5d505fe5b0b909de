//! A secret as facts hold it: encrypted before any decision sees it, opened only where a request is written.

/// The name of a workspace's sealing key, drawn at random when the key is made. The key itself is in no fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingKeyId(pub u64);

impl std::fmt::Display for SealingKeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A secret or a header value under its workspace's key (XChaCha20-Poly1305).
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key opens it.
    pub key: SealingKeyId,
    /// Chosen at random for this sealing.
    pub nonce: [u8; 24],
    /// Cipher text and tag.
    pub bytes: Box<[u8]>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}
