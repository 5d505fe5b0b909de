//! A secret as facts hold it: encrypted before any decision sees it, opened only where a request is written.

/// A secret or a header value under its workspace's key (XChaCha20-Poly1305).
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
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
