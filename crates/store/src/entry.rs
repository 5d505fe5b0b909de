//! What the databases hold: one kind of entry each, and how it is coded against the entry before it in its chunk.
//!
//! The layouts are fixed: a change of one is another [`VERSION`](crate::root::VERSION), at which stores are rebuilt. All numbers are
//! varints; "±" is the difference to the same field of the entry before, zigzag; a position is (block ±, index ± within the same block).

pub(crate) mod added;
pub(crate) mod attempt;
pub(crate) mod carried;
pub(crate) mod dormant;
pub(crate) mod event;
pub(crate) mod gone;
pub(crate) mod head;
pub(crate) mod id;
pub(crate) mod tally;

use std::fmt::Debug;

use crate::coding::Input;

/// One kind of entry.
pub(crate) trait Entry: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// Names the kind on disk.
    const TAG: u8;
    /// Entries lie in this order, and one database has one live entry of a key.
    type Key: Ord + Copy + Debug;

    /// What the first entry of a chunk is coded against.
    fn zero() -> Self;

    /// Its place.
    fn key(&self) -> Self::Key;

    /// Appends it, coded against the entry before it.
    fn write(&self, previous: &Self, out: &mut Vec<u8>);

    /// Reads it back; `None` when the bytes are none.
    fn read(previous: &Self, input: &mut Input<'_>) -> Option<Self>;

    /// What two entries of one key come to; `None` when they cancel each other.
    fn join(_older: Self, newer: Self) -> Option<Self> {
        Some(newer)
    }

    /// It only says that another one is over.
    fn is_tombstone(&self) -> bool {
        false
    }
}

/// Sorts entries given in order of age and joins those of one key.
pub(crate) fn settle<E: Entry>(entries: &mut Vec<E>) {
    // Stable, so that of one key the older ones come first; and fast on runs that are in order already.
    entries.sort_by_key(Entry::key);
    let mut kept = 0;
    let mut at = 0;
    while at < entries.len() {
        let key = entries[at].key();
        let mut joined = Some(entries[at]);
        at += 1;
        while at < entries.len() && entries[at].key() == key {
            joined = match joined {
                Some(older) => E::join(older, entries[at]),
                None => Some(entries[at]),
            };
            at += 1;
        }
        if let Some(entry) = joined {
            entries[kept] = entry;
            kept += 1;
        }
    }
    entries.truncate(kept);
}

/// Bytes of entries in a row, for the golden tests.
#[cfg(test)]
pub(crate) fn golden<E: Entry>(entries: &[E], bytes: &[u8]) {
    let mut out = Vec::new();
    let mut previous = E::zero();
    for entry in entries {
        entry.write(&previous, &mut out);
        previous = *entry;
    }
    assert_eq!(out, bytes, "the layout is fixed");
    let mut input = Input(&out);
    previous = E::zero();
    for entry in entries {
        previous = E::read(&previous, &mut input).expect("reads back");
        assert_eq!(previous, *entry);
    }
    assert!(input.is_empty());
}
