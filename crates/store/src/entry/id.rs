//! *ids*: where an event of this id may lie. Only a fingerprint of the id is kept; the record has the last word.

use postrider_core::{EventId, Position, WorkspaceId};
use sha2::{Digest as _, Sha256};

use super::Entry;
use crate::coding::{Input, put_difference, put_position};

/// Fingerprint ±, position. Two events of one fingerprint are two entries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Id {
    pub fingerprint: u64,
    pub at: Position,
}

/// Bits of a fingerprint. Every bit costs space in each id; with 48, one look-up in a million among 300 million ids meets a stranger.
const BITS: u32 = 48;

/// The fingerprint of a workspace's id, keyed with the log's id so that nobody can make ids that collide.
pub(crate) fn fingerprint(log: [u8; 16], workspace: WorkspaceId, id: &EventId) -> u64 {
    let mut hash = Sha256::new_with_prefix(log);
    hash.update(workspace.0.to_u64().to_le_bytes());
    hash.update(id.as_str());
    let digest = hash.finalize();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) >> (64 - BITS)
}

impl Entry for Id {
    const TAG: u8 = b'i';
    type Key = (u64, Position);

    fn zero() -> Id {
        Id { fingerprint: 0, at: Position::default() }
    }

    fn key(&self) -> (u64, Position) {
        (self.fingerprint, self.at)
    }

    fn write(&self, previous: &Id, out: &mut Vec<u8>) {
        put_difference(out, previous.fingerprint, self.fingerprint);
        put_position(out, previous.at, self.at);
    }

    fn read(previous: &Id, input: &mut Input<'_>) -> Option<Id> {
        Some(Id { fingerprint: input.difference(previous.fingerprint)?, at: input.position(previous.at)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::golden;

    #[test]
    fn the_layout_is_this() {
        let id = |fingerprint, block, index| Id { fingerprint, at: Position::new(block, index) };
        golden(&[id(300, 5, 2), id(300, 6, 0), id(310, 4, 1)], &[0xd8, 4, 10, 4, 0, 2, 0, 20, 3, 2]);
    }

    #[test]
    fn a_fingerprint_depends_on_log_workspace_and_id() {
        let id: EventId = "order-1".parse().expect("an id");
        let other: EventId = "order-2".parse().expect("an id");
        let workspace = WorkspaceId(Position::new(1, 0));
        let first = fingerprint([7; 16], workspace, &id);
        assert_eq!(first, 0xdbda_4de6_4037, "fixed for ever");
        assert_ne!(first, fingerprint([8; 16], workspace, &id));
        assert_ne!(first, fingerprint([7; 16], WorkspaceId(Position::new(2, 0)), &id));
        assert_ne!(first, fingerprint([7; 16], workspace, &other));
        assert!(first < 1 << BITS);
    }
}
