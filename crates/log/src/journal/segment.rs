//! One segment file as RAM knows it: its name, its end, and a sparse index of its blocks.

/// A block that begins this many bytes after the last indexed one is indexed too. An entry takes 8 bytes, so the index is at most
/// 1/2048 of the log, and a look-up reads at most 32 heads.
const INDEX_EVERY: u32 = 16 * 1024;

/// Where a new segment lies until it is whole.
pub(crate) const NAME_NEW: &str = "next.tmp";
const SUFFIX: &str = ".seg";
const SUFFIX_SPARE: &str = ".spare";
/// Enough for block numbers of 44 bits.
const DIGITS: usize = 14;

/// The name of the segment that begins with block `first`.
pub(crate) fn name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX}")
}

/// The name it has once its blocks are gone and its space waits to be overwritten.
pub(crate) fn spare_name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX_SPARE}")
}

/// The first block of the segment called `name`.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

pub(crate) fn is_spare(name: &str) -> bool {
    name.ends_with(SUFFIX_SPARE)
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// The number of its first block, whether that is written or not.
    pub first: u64,
    /// Bytes of its file.
    pub size: u64,
    /// (number - first, offset) of some blocks, ascending.
    index: Vec<(u32, u32)>,
}

impl Segment {
    pub fn new(first: u64, size: u64) -> Segment {
        Segment { first, size, index: Vec::new() }
    }

    /// Notes that block `number` begins at `offset`; blocks come in order.
    pub fn note(&mut self, number: u64, offset: u32) {
        if self.index.last().is_none_or(|&(_, last)| offset - last >= INDEX_EVERY) {
            // A segment is below 4 GiB and a block has 512 bytes or more.
            self.index.push(((number - self.first) as u32, offset));
        }
    }

    /// The last indexed block up to `number`, and its offset.
    pub fn at_or_before(&self, number: u64) -> (u64, u32) {
        let after = self.index.partition_point(|&(delta, _)| self.first + u64::from(delta) <= number);
        match after.checked_sub(1) {
            Some(at) => (self.first + u64::from(self.index[at].0), self.index[at].1),
            None => (self.first, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_sparse_and_never_points_past_the_block() {
        let mut segment = Segment::new(1000, 1 << 22);
        for number in 0..1000u32 {
            segment.note(1000 + u64::from(number), number * 4096);
        }
        assert_eq!(segment.index.len(), 250);
        for number in 0..1000u64 {
            let (found, offset) = segment.at_or_before(1000 + number);
            assert!(found <= 1000 + number && 1000 + number - found < 4);
            assert_eq!(u64::from(offset), (found - 1000) * 4096);
        }
    }

    #[test]
    fn only_our_names_are_segments() {
        assert_eq!(name(42), "00000000000042.seg");
        assert_eq!(parse_name(&name((1 << 44) - 1)), Some((1 << 44) - 1));
        for other in ["42.seg", "00000000000042.spare", "0000000000004x.seg", "HEAD", ".seg", "+0000000000042.seg"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
