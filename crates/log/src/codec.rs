//! Facts as bytes. The only place that knows bincode.
//!
//! A fact is its variant's number and that variant's fields (bincode 2 standard: little endian, variable-length integers). Variants and
//! their fields are for ever: what needs another shape gets a new variant at the end, and the old one keeps decoding. The wire types are
//! the log's own, so that renaming a field of the domain never changes bytes. Times are written relative to the record's.

mod wire;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use postrider_core::fact::{Fact, Record};
use postrider_core::{Position, Time, limits};

/// No field of a fact can claim more memory than a whole block has.
const CONFIG: Configuration<LittleEndian, Varint, Limit<{ limits::BLOCK_BYTES_MAX }>> =
    bincode::config::standard().with_limit::<{ limits::BLOCK_BYTES_MAX }>();

/// Why bytes are not a fact.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the bytes that this version writes.
    #[error("the bytes at {position} are not a fact that this version knows: {reason}")]
    Malformed {
        /// Where they stand.
        position: Position,
        /// What bincode or the profile's parser says.
        reason: String,
    },
    /// A fact with bytes after its end.
    #[error("the fact at {position} has {extra} bytes too many")]
    Trailing {
        /// Where it stands.
        position: Position,
        /// How many.
        extra: usize,
    },
}

/// Appends the bytes of a fact to `out`; `time` is its record's.
pub fn encode(fact: &Fact, time: Time, out: &mut Vec<u8>) {
    let wire = wire::WireFact::from_domain(fact, time);
    bincode::encode_into_std_write(wire, out, CONFIG)
        .expect("a vector takes every byte, and facts are bounded below the limit");
}

/// Reads a fact; strings are borrowed until they move into the domain's types.
///
/// # Errors
/// When `bytes` is not exactly one fact.
pub fn decode(position: Position, time: Time, bytes: &[u8]) -> Result<Record, DecodeError> {
    let malformed = |reason: String| DecodeError::Malformed { position, reason };
    let (wire, read): (wire::WireFact<'_>, usize) =
        bincode::borrow_decode_from_slice(bytes, CONFIG).map_err(|e| malformed(e.to_string()))?;
    if read != bytes.len() {
        return Err(DecodeError::Trailing { position, extra: bytes.len() - read });
    }
    let fact = wire.into_domain(position, time).map_err(malformed)?;
    Ok(Record { position, time, fact })
}

#[cfg(test)]
mod tests;
