//! Looks at a data folder without an engine: offline, read-only, without its lock.

mod store;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use postrider_core::Position;
use postrider_core::fact::{Fact, Record};
pub use postrider_log::journal::Stats;
use postrider_log::journal::{self, Folder, OpenError, Stored, VerifyError};
use postrider_log::{Kind, LogId, LogKind, ReadError, codec, sled_log};
pub use store::{At, CompareError, Compared, Difference, StoreError};
use tempfile::TempDir;

/// A log at rest.
pub struct LogFolder(Look);

/// One of the kinds there are.
enum Look {
    Journal(journal::Inspect<Folder>),
    /// Of a copy, which goes with it.
    Sled(sled_log::Inspect, #[expect(dead_code, reason = "held until the copy is no longer needed")] TempDir),
}

impl Look {
    fn log(&self) -> LogId {
        match self {
            Look::Journal(log) => log.log(),
            Look::Sled(log, _) => log.log(),
        }
    }

    fn blocks(&self) -> Box<dyn Iterator<Item = Result<Stored, ReadError>> + '_> {
        match self {
            Look::Journal(log) => Box::new(log.blocks()),
            Look::Sled(log, _) => Box::new(log.blocks()),
        }
    }

    fn verify_erased(&self, is_erased: impl Fn(Position) -> bool) -> Result<Stats, VerifyError> {
        match self {
            Look::Journal(log) => log.verify_erased(is_erased),
            Look::Sled(log, _) => log.verify_erased(is_erased),
        }
    }
}

/// How far a look is that reads everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is done to the blocks, in a word or two.
    pub doing: &'static str,
    /// The block that is looked at.
    pub block: u64,
    /// Where the log begins, and the last block, once that is known.
    pub blocks: Option<(u64, u64)>,
}

/// One fact, and where its block lies.
pub struct StoredRecord {
    /// Relative to the data folder.
    pub file: String,
    /// Of the block, in bytes.
    pub offset: u64,
    /// The fact with its position and time.
    pub record: Record,
    /// Bytes of its payload, if it has one.
    pub payload_bytes: Option<usize>,
}

/// Why a log can't be shown.
#[derive(Debug)]
pub enum InspectError {
    /// It can't be read, or is damaged.
    Read(ReadError),
    /// A fact that this version does not know.
    Decode(codec::DecodeError),
}

impl std::fmt::Display for InspectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            InspectError::Read(error) => error.fmt(f),
            InspectError::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InspectError {}

impl From<VerifyError> for InspectError {
    fn from(error: VerifyError) -> InspectError {
        InspectError::Read(match error {
            VerifyError::Damaged(damage) => damage.into(),
            VerifyError::Unavailable(error) => error.into(),
        })
    }
}

impl LogFolder {
    /// Opens the log in a data folder. A sled log is copied to the folder for temporary files first, for its owner only and for as long as
    /// this lives, since sled writes to what it opens.
    ///
    /// # Errors
    /// When there is none that this version can read.
    pub fn open(data: &Path) -> Result<LogFolder, OpenError> {
        if LogKind::of(data)? != Some(LogKind::Sled) {
            return journal::open_read_only(data).map(|log| LogFolder(Look::Journal(log)));
        }
        let scratch = tempfile::tempdir()?;
        let log = sled_log::open_copy(data, scratch.path())?;
        Ok(LogFolder(Look::Sled(log, scratch)))
    }

    /// All facts in order, up to the end or the first error.
    pub fn records(&self) -> impl Iterator<Item = Result<StoredRecord, InspectError>> {
        self.0.blocks().flat_map(|stored| match stored {
            Ok(stored) => records_of(stored),
            Err(error) => vec![Err(InspectError::Read(error))],
        })
    }

    /// Reads everything twice: first every fact, which has to be one that this version knows, and with them what was erased; then all
    /// checksums, the chain and the payloads. Zeros in a payload's place are damage unless a fact says that it was erased. A payload that
    /// should be zeros and is not is no damage: the next start of an engine erases it. Of a log that is being written, the answer may
    /// be wrong.
    ///
    /// # Errors
    /// The first fault, with file and offset.
    pub fn verify(&self, progress: impl Fn(Progress)) -> Result<Stats, InspectError> {
        let blocks = Cell::new(None::<(u64, u64)>);
        let mut erased = self.erased_telling(|block| {
            blocks.set(Some((blocks.get().map_or(block, |(first, _)| first), block)));
            progress(Progress { doing: "reading the facts", block, blocks: None });
        })?;
        // It is asked of each payload, in order.
        let tell = |block| progress(Progress { doing: "checking all bytes", block, blocks: blocks.get() });
        let is_erased = |erased: &BTreeMap<Position, Position>, at: Position| {
            tell(at.block());
            erased.contains_key(&at)
        };
        let stats = self.0.verify_erased(|at| is_erased(&erased, at))?;
        let Some(torn) = &stats.torn else { return Ok(stats) };
        // What a block says that was never acknowledged never happened; nothing was erased at its word.
        erased.retain(|_, fact| fact.block() != torn.block);
        Ok(self.0.verify_erased(|at| is_erased(&erased, at))?)
    }

    /// The payloads that a fact made superfluous, each with that fact, which comes after it: those of events that were erased, and the
    /// old ones of events that were carried.
    pub(crate) fn erased(&self) -> Result<BTreeMap<Position, Position>, InspectError> {
        self.erased_telling(|_| ())
    }

    /// As [`erased`](Self::erased); tells `at_block` of each block with facts.
    fn erased_telling(&self, at_block: impl Fn(u64)) -> Result<BTreeMap<Position, Position>, InspectError> {
        let mut erasures = Erasures::default();
        for stored in self.records() {
            let record = stored?.record;
            if record.position.index() == 0 {
                at_block(record.position.block());
            }
            erasures.take(&record);
        }
        Ok(erasures.erased)
    }
}

/// The payloads that the facts read so far made superfluous.
#[derive(Default)]
pub(crate) struct Erasures {
    /// Event → its newest payload, where that is not the first.
    carried: BTreeMap<Position, Position>,
    /// Payload → the fact.
    pub(crate) erased: BTreeMap<Position, Position>,
}

impl Erasures {
    /// Records come in order.
    pub(crate) fn take(&mut self, record: &Record) {
        match &record.fact {
            Fact::EventErased { event, .. } => {
                self.erased.insert(self.carried.get(event).copied().unwrap_or(*event), record.position);
            }
            Fact::EventCarried { event, .. } => {
                let old = self.carried.insert(event.at, record.position).unwrap_or(event.at);
                self.erased.insert(old, record.position);
            }
            _ => {}
        }
    }
}

fn records_of(stored: Stored) -> Vec<Result<StoredRecord, InspectError>> {
    let Stored { file, offset, block } = stored;
    if block.kind() != Kind::Facts {
        return Vec::new();
    }
    let record = |(index, (position, bytes)): (usize, _)| {
        let record = codec::decode(position, block.time(), bytes).map_err(InspectError::Decode)?;
        Ok(StoredRecord { file: file.clone(), offset, record, payload_bytes: block.payload_len(index as u32) })
    };
    block.facts().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_core::{Time, WorkspaceId};
    use postrider_log::{Batch, EventLog, LogId, LogWriter, Payload};

    /// A log whose last block says that the payload of the one before it, now zeros, was erased; and has a payload that is `whole` or not.
    fn log(whole: bool) -> (tempfile::TempDir, LogFolder) {
        let data = tempfile::tempdir().unwrap();
        let journal = journal::open(data.path(), journal::Options::new(LogId([7; 16]), Time(1))).unwrap();
        let mut writer = journal.claim(0, 1, Time(1)).unwrap().writer;
        let workspace = WorkspaceId(Position::new(0, 0));
        let renamed = Fact::WorkspaceRenamed { id: workspace, name: "acme".into() };
        let erased = Fact::EventErased { workspace, event: Position::new(1, 0), cancelled: Box::default() };
        for (number, facts, payload) in [(1, vec![&renamed], "payload 1"), (2, vec![&erased, &renamed], "payload 2")] {
            let mut batch = Batch::new(Time(2));
            for fact in facts {
                let payload = (*fact == renamed).then(|| Payload::new(payload.as_bytes()));
                batch.push_with(payload, |out| codec::encode(fact, Time(2), out));
            }
            writer.append(number, &batch).unwrap();
        }
        let segment = data.path().join("log/00000000000000.seg");
        let mut bytes = std::fs::read(&segment).unwrap();
        let harmed: &[&str] = if whole { &["payload 1"] } else { &["payload 1", "payload 2"] };
        for payload in harmed {
            let at = bytes.windows(9).position(|w| w == payload.as_bytes()).unwrap();
            bytes[at..at + 9].fill(0);
        }
        std::fs::write(segment, bytes).unwrap();
        let log = LogFolder::open(data.path()).unwrap();
        (data, log)
    }

    #[test]
    fn a_fact_of_a_later_block_makes_zeros_an_erased_payload() {
        let (_data, log) = log(true);
        let stats = log.verify(|_| ()).unwrap();
        assert_eq!((stats.erased, stats.to_erase, stats.facts, stats.torn), (1, vec![], 3, None));
    }

    #[test]
    fn a_block_that_was_never_acknowledged_erases_nothing() {
        let (_data, log) = log(false);
        let error = log.verify(|_| ()).unwrap_err().to_string();
        assert!(
            error.starts_with("log/00000000000000.seg at byte 512: block 1: ") && error.contains("zeros"),
            "{error}"
        );
    }
}
