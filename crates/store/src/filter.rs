//! Which ids a day may have: a blocked Bloom filter in RAM, so that an id that is new, as nearly all are, costs no read.
//!
//! One cache line of 512 bits an id, six bits in it. At ten bits an id about one stranger in a hundred passes. A day that begins has one
//! from the start; that of a day that was there at opening is built from its ids in the background, and until then every id passes. Ids
//! that come later are added, and when there are more than it is made for it is built anew.

/// Words of a block.
const BLOCK_WORDS: usize = 8;
const PROBES: u32 = 6;
const BITS_PER_ID: u64 = 10;
/// A day's filter takes no more than 4 MiB: enough for 3.3 million ids. A day with more lets more strangers pass, which costs reads.
const WORDS_MAX: usize = 4 << 20 >> 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Box<[u64]>,
    /// The number of ids that it is made for.
    ids_max: u64,
    ids: u64,
}

impl Filter {
    /// Room for `ids` and half as many more.
    pub fn new(ids: u64) -> Filter {
        let ids_max = (ids + ids / 2).max(1000);
        let blocks = (ids_max * BITS_PER_ID).div_ceil(64 * BLOCK_WORDS as u64) as usize;
        let words = (blocks * BLOCK_WORDS).min(WORDS_MAX);
        // One that is as large as it may get is never built anew.
        let ids_max = if words == WORDS_MAX { u64::MAX } else { ids_max };
        Filter { words: vec![0; words].into(), ids_max, ids: 0 }
    }

    /// Adds an id.
    pub fn add(&mut self, fingerprint: u64) {
        for (word, bit) in places(self.words.len(), fingerprint) {
            self.words[word] |= bit;
        }
        self.ids += 1;
    }

    /// False says that the day does not have the id.
    pub fn may_have(&self, fingerprint: u64) -> bool {
        places(self.words.len(), fingerprint).all(|(word, bit)| self.words[word] & bit != 0)
    }

    /// It has more than it is made for.
    pub fn is_full(&self) -> bool {
        self.ids > self.ids_max
    }
}

/// The word and the bit in it of each probe.
fn places(words: usize, fingerprint: u64) -> impl Iterator<Item = (usize, u64)> {
    // A fingerprint has 48 bits; these are 64 from it.
    let hash = fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ fingerprint >> 21;
    let blocks = (words / BLOCK_WORDS) as u64;
    let block = (((hash >> 32) * blocks) >> 32) as usize * BLOCK_WORDS;
    let bits = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 8;
    (0..PROBES).map(move |probe| {
        let at = bits >> (9 * probe) & 511;
        (block + (at >> 6) as usize, 1 << (at & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(n: u64) -> u64 {
        n.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }

    #[test]
    fn none_is_lost_and_few_strangers_pass() {
        for ids in [0, 1, 10_000, 400_000] {
            let mut filter = Filter::new(ids);
            (0..ids).for_each(|n| filter.add(fingerprint(n)));
            assert!((0..ids).all(|n| filter.may_have(fingerprint(n))));
            assert!(!filter.is_full());
            let passed = (0..20_000).filter(|n| filter.may_have(fingerprint(ids + n))).count();
            assert!(passed < 400, "{passed} of 20,000 strangers passed at {ids}");
        }
    }

    #[test]
    fn it_says_when_it_is_full() {
        let mut filter = Filter::new(0);
        (0..=1000).for_each(|n| filter.add(fingerprint(n)));
        assert!(filter.is_full());
    }
}
