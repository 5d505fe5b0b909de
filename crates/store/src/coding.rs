//! Numbers in few bytes: varints (LEB128, seven bits a byte, lowest first), zigzag for signed differences, positions against the one
//! before.

use postrider_core::Position;

/// Appends `value`: one byte below 128, ten at the most.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `to - from`, short for small differences in either direction; it wraps, so any two numbers have one.
pub(crate) fn put_difference(out: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from) as i64;
    put(out, (difference << 1 ^ difference >> 63) as u64);
}

/// Appends a position: its block against `previous`, then its index, against `previous` too when the block is the same.
pub(crate) fn put_position(out: &mut Vec<u8>, previous: Position, at: Position) {
    put_difference(out, previous.block(), at.block());
    let base = if at.block() == previous.block() { previous.index() } else { 0 };
    put_difference(out, u64::from(base), u64::from(at.index()));
}

/// Bytes yet to be read. Every method gives `None` when they are not what was written.
pub(crate) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn number(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub fn difference(&mut self, from: u64) -> Option<u64> {
        let zigzag = self.number()?;
        Some(from.wrapping_add(zigzag >> 1 ^ (zigzag & 1).wrapping_neg()))
    }

    pub fn position(&mut self, previous: Position) -> Option<Position> {
        let block = self.difference(previous.block())?;
        let base = if block == previous.block() { previous.index() } else { 0 };
        let index = u32::try_from(self.difference(u64::from(base))?).ok()?;
        (block <= Position::BLOCK_MAX && index <= Position::INDEX_MAX).then(|| Position::new(block, index))
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// `bytes` with their crc32c behind them.
pub(crate) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// What was sealed, and its crc; `None` when it is something else.
pub(crate) fn unseal(sealed: &[u8]) -> Option<(&[u8], u32)> {
    let (bytes, crc) = sealed.split_last_chunk()?;
    let crc = u32::from_le_bytes(*crc);
    (crc32c::crc32c(bytes) == crc).then_some((bytes, crc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_is_read(value: u64, from: u64, blocks in (0u64..1 << 44, 0u64..1 << 44), indexes in (0u32..1 << 20, 0u32..1 << 20)) {
            let (a, b) = (Position::new(blocks.0, indexes.0), Position::new(blocks.1, indexes.1));
            let near = Position::new(blocks.0, indexes.1);
            let mut out = Vec::new();
            put(&mut out, value);
            put_difference(&mut out, from, value);
            put_position(&mut out, a, b);
            put_position(&mut out, a, near);
            let mut input = Input(&out);
            prop_assert_eq!(input.number(), Some(value));
            prop_assert_eq!(input.difference(from), Some(value));
            prop_assert_eq!(input.position(a), Some(b));
            prop_assert_eq!(input.position(a), Some(near));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut input = Input(&bytes);
            while input.position(Position::default()).is_some() {}
            let _ = unseal(&bytes);
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_no_number() {
        assert_eq!(Input(&[]).number(), None);
        assert_eq!(Input(&[0x80]).number(), None);
        assert_eq!(Input(&[0xff; 11]).number(), None);
        assert_eq!(Input(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(), None);
    }
}
