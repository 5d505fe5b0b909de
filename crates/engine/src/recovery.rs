//! The way back: everything derived is made again from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Display;
use std::time::{Duration, Instant};

use postrider_core::directory::Directory;
use postrider_core::fact::Fact;
use postrider_core::sealed::SealingKeyId;
use postrider_core::{Position, Time};
use postrider_log::{Block, Kind, LogReader, LogWriter, ReadError, codec};

use crate::keyring::{Keyring, KeyringError};
use crate::overlay::Overlay;
use crate::shard::{Below, Shard};
use crate::snapshot::{Landmarks, Snapshot};
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
    /// What the store has of an event can't be read.
    #[error("the store cannot be read: {0}")]
    Store(String),
}

/// What readers see, as of the log's end.
#[derive(Default)]
pub struct Replayed {
    /// Profiles, workspaces, webhooks.
    pub directory: Directory,
    /// Events, deliveries, attempts.
    pub views: Views,
    /// Payloads that the last block which made any superfluous was about, where the overlay does not know of it.
    pub last_erased: Vec<Position>,
    /// Facts that were replayed.
    pub facts: u64,
    /// Of the whole log.
    pub landmarks: Landmarks,
}

/// Feeds all records of the log to the shard and to the readers' side.
///
/// # Errors
/// When the log can't be read to its end.
pub fn replay<W: LogWriter>(reader: &impl LogReader, shard: &mut Shard<W>) -> Result<Replayed, ReplayError> {
    replay_onto(reader, shard, 0, None::<&dyn Below<Error = Infallible>>, None)
}

/// As [`replay`], for a shard that relies on a store for what lies below block `covered`: that is not held in RAM, and what a later fact is
/// about is brought from there. With a snapshot it begins where the state was last restated before that.
///
/// # Errors
/// When the log can't be read to its end, or the store can't be read.
pub fn replay_onto<W: LogWriter, B>(
    reader: &impl LogReader,
    shard: &mut Shard<W>,
    covered: u64,
    below: Option<&B>,
    snapshot: Option<Snapshot>,
) -> Result<Replayed, ReplayError>
where
    B: Below<Error: Display> + ?Sized,
{
    let mut carried = BTreeMap::new();
    let mut progress = Progress::new(reader.end());
    let (from, mut replayed) = begin(reader.first(), covered, shard, snapshot);
    for block in reader.facts(from) {
        let block = block?;
        replayed.landmarks.has_gaps |= block.kind() == Kind::Gap;
        for (position, bytes) in block.facts() {
            let record = codec::decode(position, block.time(), bytes)?;
            let is_covered = position.block() < covered;
            if let Some((below, event)) = below.filter(|_| !is_covered).zip(shard.lacks_event(&record)) {
                let found = below.whole(event).map_err(in_store)?;
                found.into_iter().for_each(|recalled| shard.admit(recalled));
            }
            match is_covered {
                true => shard.replay_covered(&record),
                false => shard.replay(&record),
            }
            if let Fact::EventCarried { event, .. } = &record.fact {
                carried.insert(event.at, position);
            }
            replayed.landmarks.note(&record);
            replayed.directory.apply(&record);
            replayed.views.apply(&record);
            replayed.facts += 1;
        }
        progress.tell(block.number());
    }
    for fact in erased_last(reader, &replayed.landmarks)? {
        let payload = match fact {
            Fact::EventCarried { was, .. } => was,
            Fact::EventErased { event, .. } if shard.overlay().recalled(event).is_none() => {
                let stored = below.map(|below| below.whole(event)).transpose().map_err(in_store)?.flatten();
                carried.get(&event).copied().or(stored.map(|recalled| recalled.payload)).unwrap_or(event)
            }
            _ => continue,
        };
        replayed.last_erased.extend(Some(payload).filter(|payload| payload.block() >= reader.first()));
    }
    // What was restated can be more than what is still of use.
    shard.forget_below(reader.first());
    replayed.directory.forget_below(reader.first());
    replayed.views.settle();
    Ok(replayed)
}

/// Says how far it is, where it takes long.
struct Progress {
    end: u64,
    told_at: Instant,
}

/// How often.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    fn new(end: u64) -> Progress {
        Progress { end, told_at: Instant::now() }
    }

    fn tell(&mut self, block: u64) {
        if self.told_at.elapsed() >= PROGRESS_EVERY {
            self.told_at = Instant::now();
            tracing::info!(block, of = self.end, percent = percent(block, self.end), "the log is being read");
        }
    }
}

/// How much of a whole is done, for people.
pub(crate) fn percent(done: u64, of: u64) -> u64 {
    (done.saturating_mul(100)).checked_div(of).unwrap_or(100)
}

/// The block to begin with, and what is known before it is read.
fn begin<W: LogWriter>(first: u64, covered: u64, shard: &mut Shard<W>, snapshot: Option<Snapshot>) -> (u64, Replayed) {
    let start = snapshot.and_then(|snapshot| Some((snapshot.replay_from(covered, first)?, snapshot)));
    let Some(((from, before), snapshot)) = start else {
        return (first, Replayed { views: Views::for_replay(first, covered), ..Replayed::default() });
    };
    shard.begins_behind(before);
    let Snapshot { landmarks, health, .. } = snapshot;
    let views = Views::for_replay_behind(first, covered, health);
    (from, Replayed { views, landmarks, ..Replayed::default() })
}

/// The facts of the last block that made any payload superfluous.
fn erased_last(reader: &impl LogReader, landmarks: &Landmarks) -> Result<Vec<Fact>, ReplayError> {
    let block = landmarks.last_erasing().map(|block| reader.read_facts(block)).transpose()?.flatten();
    let decode = |(position, bytes)| Ok(codec::decode(position, Time(0), bytes)?.fact);
    block.iter().flat_map(Block::facts).map(decode).collect()
}

fn in_store(error: impl Display) -> ReplayError {
    ReplayError::Store(error.to_string())
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
/// the last turn that erased, whose zeros a crash may have kept from being synced. Blocks before it had theirs synced before it was written.
///
/// # Errors
/// When the log can't be read.
pub fn not_surely_erased(reader: &impl LogReader, overlay: &Overlay) -> Result<Vec<Position>, ReadError> {
    let last_turn = overlay.erased().map(|(_, fact)| fact.block()).max();
    let mut left = Vec::new();
    for (payload, fact) in overlay.erased() {
        let is_zeros = match reader.payload(payload) {
            Ok(payload) => payload.is_none(),
            Err(ReadError::Erased(_)) => true,
            // A crash tore the zeros.
            Err(ReadError::Damaged(_)) => false,
            Err(error) => return Err(error),
        };
        if !is_zeros || Some(fact.block()) == last_turn {
            left.push(payload);
        }
    }
    Ok(left)
}
