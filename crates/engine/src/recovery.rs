//! The way back: everything derived is made again from the log.

use std::collections::BTreeSet;

use postrider_core::Position;
use postrider_core::directory::Directory;
use postrider_core::sealed::SealingKeyId;
use postrider_log::{Kind, LogReader, LogWriter, ReadError, codec};

use crate::keyring::{Keyring, KeyringError};
use crate::overlay::Overlay;
use crate::shard::Shard;
use crate::views::Views;

/// Why the log could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A block can't be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A fact that this version does not know.
    #[error(transparent)]
    Decode(#[from] codec::DecodeError),
}

/// What readers see, as of the log's end.
#[derive(Default)]
pub struct Replayed {
    /// Profiles, workspaces, webhooks.
    pub directory: Directory,
    /// Events, deliveries, attempts.
    pub views: Views,
    /// Facts that were replayed.
    pub facts: u64,
    /// Blocks were lost, and what they said is not known: the log was salvaged.
    pub has_gaps: bool,
}

/// Feeds all records of the log to the shard and to the readers' side.
///
/// # Errors
/// When the log can't be read to its end.
pub fn replay<W: LogWriter>(reader: &impl LogReader, shard: &mut Shard<W>) -> Result<Replayed, ReplayError> {
    let mut replayed = Replayed { views: Views::for_replay(), ..Replayed::default() };
    for block in reader.facts(reader.first()) {
        let block = block?;
        replayed.has_gaps |= block.kind() == Kind::Gap;
        for (position, bytes) in block.facts() {
            let record = codec::decode(position, block.time(), bytes)?;
            shard.replay(&record);
            replayed.directory.apply(&record);
            replayed.views.apply(&record);
            replayed.facts += 1;
        }
    }
    // What was restated can be more than what is still of use.
    shard.forget_below(reader.first());
    replayed.directory.forget_below(reader.first());
    replayed.views.settle(reader.first());
    Ok(replayed)
}

/// Destroys the keys that no workspace has: made for one whose creation a crash cut short, or left by a deletion that it did.
///
/// # Errors
/// When a key's file can't be unlinked.
pub fn destroy_orphans(keyring: &Keyring, directory: &Directory) -> Result<(), KeyringError> {
    let used: BTreeSet<SealingKeyId> = directory.workspaces().map(|workspace| workspace.sealing_key).collect();
    keyring.ids().into_iter().filter(|id| !used.contains(id)).try_for_each(|id| keyring.destroy(id))
}

/// The payloads that may not be zeros on the disk, though a fact says that they were erased: those that are not read as zeros, and those of
/// the last turn that erased, whose zeros a crash may have kept from being synced. Turns before it had theirs synced before it began.
///
/// # Errors
/// When the log can't be read.
pub fn not_surely_erased(reader: &impl LogReader, overlay: &Overlay) -> Result<Vec<Position>, ReadError> {
    let last_turn = overlay.erased().map(|(_, fact)| fact.block()).max();
    let mut left = Vec::new();
    for (event, fact) in overlay.erased() {
        let is_zeros = match reader.payload(overlay.payload_of(event)) {
            Ok(payload) => payload.is_none(),
            Err(ReadError::Erased(_)) => true,
            // A crash tore the zeros.
            Err(ReadError::Damaged(_)) => false,
            Err(error) => return Err(error),
        };
        if !is_zeros || Some(fact.block()) == last_turn {
            left.push(overlay.payload_of(event));
        }
    }
    Ok(left)
}
