//! A fast hash for ids that the engine numbers itself.
//!
//! Nobody outside chooses these numbers, so it needs to spread them, not to withstand an attacker. The maps that use it are never
//! iterated: their order decides nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map that is looked into and never iterated.
pub(crate) type IdMap<K> = HashMap<K, u32, BuildHasherDefault<IdHasher>>;

/// Multiplies and rotates, as the compiler's own tables do.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, and a product has its good bits on top.
        self.0.rotate_left(26)
    }
}
