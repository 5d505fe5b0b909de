//! Copies a data folder, whether or not a server runs on it: the log up to a point, and the keys that belong to it at that point. A copy
//! is a data folder: an engine that opens it goes on from there.
//!
//! Nothing is asked of the server, and its lock is not taken. The log goes as [`journal::Backup`] says. **Keys** are read once the end of
//! the log is found, because the engine makes a key before the fact that names it, and destroys it after the fact that its workspace is gone:
//!
//! - a key that a fact of the copy names was there before that fact was written, so it is found; read before the log, it could be missed;
//! - unless its workspace is gone meanwhile: then the fact that says so is in the log already, and the copying goes on until the copy has it;
//! - a key whose workspace is gone in the copy, or was never made there, is left out: what was sealed with it has to stay sealed.
//!
//! They are written before the log's `HEAD`, so that there is never a log without its keys. Where nothing came of it, all that was written
//! is removed; where it was cut off, what is there has no `HEAD`, and an engine refuses it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use postrider_core::Time;
use postrider_core::directory::Directory;
pub use postrider_log::Damage;
use postrider_log::journal::{self, Folder, OpenError, Step};
use postrider_log::{Block, Kind, LogId, LogKind, codec};

use crate::inspect::{Erasures, LogFolder};
use crate::new_folder::{self, FolderError, Keys, MASTER_KEY};

/// How often the end of the log is looked for while a key is missing. The fact that explains it was written before the key was destroyed,
/// so the second time suffices; another key may be gone by then.
const ENDS_MAX: u32 = 8;

/// How far a backup is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes of blocks that were copied. Falls back to 0 when the copying has to begin again.
    pub bytes: u64,
    /// Bytes of the log's files, which are more than its blocks have.
    pub size: u64,
}

/// What a backup has brought.
#[derive(Debug)]
pub struct Backup {
    /// Which log it is.
    pub log: LogId,
    /// The first block.
    pub first: u64,
    /// Blocks, from the first one on.
    pub blocks: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// The last block's time.
    pub time_last: Option<Time>,
    /// Payloads that were erased in the copy, because a fact in it says so; the original was copied before it had them erased.
    pub erased: u64,
    /// Payloads that are damaged, in the original and in the copy.
    pub payloads: Vec<Damage>,
    /// Files with keys that were copied, relative to the data folder.
    pub keys: Vec<String>,
    /// Files with keys that a workspace needs, and that the original has not.
    pub keys_missing: Vec<String>,
}

impl Backup {
    /// Whether the copy, and with it the original, has everything.
    pub fn is_whole(&self) -> bool {
        self.payloads.is_empty() && self.keys_missing.is_empty()
    }
}

/// Why there is no backup.
#[derive(Debug)]
pub enum BackupError {
    /// The folder for the copy holds something already. Nothing was changed.
    NotEmpty(PathBuf),
    /// The folder for the copy is, or would be, in the data folder. Nothing was changed.
    Inside(PathBuf),
    /// The log is not a journal. Nothing was changed.
    NotAJournal(LogKind),
    /// The log could not be copied.
    Log(journal::BackupError),
    /// A fact in the log is not one that this version knows.
    Facts(codec::DecodeError),
    /// A folder or a key could not be read or written.
    File(PathBuf, io::Error),
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BackupError::NotEmpty(folder) => write!(f, "{} is not an empty folder", folder.display()),
            BackupError::Inside(folder) => write!(f, "{} is in the data folder itself", folder.display()),
            BackupError::NotAJournal(kind) => {
                write!(
                    f,
                    "the log is kept as `{kind}`, which cannot be copied while it is written: stop the server and copy the folder"
                )
            }
            BackupError::Log(error) => error.fmt(f),
            BackupError::Facts(error) => error.fmt(f),
            BackupError::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<journal::BackupError> for BackupError {
    fn from(error: journal::BackupError) -> BackupError {
        BackupError::Log(error)
    }
}

impl From<FolderError> for BackupError {
    fn from(error: FolderError) -> BackupError {
        match error {
            FolderError::NotEmpty(folder) => BackupError::NotEmpty(folder),
            FolderError::File(path, error) => BackupError::File(path, error),
        }
    }
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> BackupError {
        BackupError::Log(error.into())
    }
}

/// Copies the data folder `from` to the folder `to`, which is empty or not there; tells `progress` after each block, and whenever it has come to the
/// log's end.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(from: &Path, to: &Path, progress: impl FnMut(Progress)) -> Result<Backup, BackupError> {
    // Whether there is anything to copy, before anything is made.
    match LogKind::of(from).map_err(OpenError::Unavailable)? {
        Some(kind @ LogKind::Sled) => return Err(BackupError::NotAJournal(kind)),
        Some(LogKind::Journal) | None => drop(LogFolder::open(from)?),
    }
    if is_inside(to, from).map_err(|error| BackupError::File(from.into(), error))? {
        return Err(BackupError::Inside(to.into()));
    }
    let is_made = new_folder::make_empty(to)?;
    copy(from, to, progress).inspect_err(|_| new_folder::clear(to, is_made))
}

fn copy(from: &Path, to: &Path, mut progress: impl FnMut(Progress)) -> Result<Backup, BackupError> {
    let (original, copy) = (Folder::new(from), Folder::new(to));
    let mut log = journal::Backup::begin(&original, &copy)?;
    let mut told = Told::default();
    let mut ends = 0;
    let (mut keys, keys_missing) = loop {
        let step = log.step()?;
        progress(Progress { bytes: log.bytes(), size: log.size() });
        match step {
            Step::Copied(block) => told.take(&block).map_err(BackupError::Facts)?,
            Step::Again => told = Told::default(),
            Step::End => {
                let keys = Keys::read(from)?;
                let missing = told.keys_missing(&keys);
                ends += 1;
                if missing.is_empty() || ends == ENDS_MAX {
                    break (keys, missing);
                }
            }
        }
    };
    let wanted: BTreeSet<String> = told.keys().collect();
    keys.retain(|name| told.has_gaps || wanted.contains(name));
    let keys = keys.write(to)?;
    let copied = log.finish(told.erasures.erased.keys().copied())?;
    Ok(Backup {
        log: copied.log,
        first: copied.first,
        blocks: copied.end - copied.first,
        bytes: copied.bytes,
        time_last: copied.time_last,
        erased: copied.erased,
        payloads: copied.payloads,
        keys,
        keys_missing,
    })
}

/// What the facts in the copy say that matters here.
#[derive(Default)]
struct Told {
    directory: Directory,
    erasures: Erasures,
    /// Blocks were lost, and workspaces may be among what they said: the log was salvaged.
    has_gaps: bool,
}

impl Told {
    fn take(&mut self, block: &Block) -> Result<(), codec::DecodeError> {
        self.has_gaps |= block.kind() == Kind::Gap;
        for (position, bytes) in block.facts() {
            let record = codec::decode(position, block.time(), bytes)?;
            self.directory.apply(&record);
            self.erasures.take(&record);
        }
        Ok(())
    }

    /// The sealing keys of the workspaces there are, as paths.
    fn keys(&self) -> impl Iterator<Item = String> {
        self.directory.workspaces().map(|workspace| new_folder::sealing_key(workspace.sealing_key))
    }

    fn keys_missing(&self, keys: &Keys) -> Vec<String> {
        let master = self.keys().next().filter(|_| !keys.has_master()).map(|_| MASTER_KEY.to_owned());
        master.into_iter().chain(self.keys()).filter(|name| !keys.has(name)).collect()
    }
}

/// Whether `folder`, which need not be there, is `data` or in it.
fn is_inside(folder: &Path, data: &Path) -> io::Result<bool> {
    let data = data.canonicalize()?;
    let folder = std::path::absolute(folder)?;
    let there = folder.ancestors().find_map(|above| above.canonicalize().ok());
    Ok(there.is_some_and(|above| above.starts_with(data)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_core::fact::Fact;
    use postrider_core::sealed::SealingKeyId;
    use postrider_core::{Position, WorkspaceId};
    use postrider_log::journal::{Options, Writer};
    use postrider_log::{Batch, EventLog, LogWriter};
    use std::fs;

    /// A data folder with a log that is written.
    struct Engine {
        data: tempfile::TempDir,
        writer: Writer<Folder>,
    }

    impl Engine {
        fn new() -> Engine {
            let data = tempfile::tempdir().unwrap();
            let options = Options { segment_bytes: 1 << 20, ..Options::new(LogId([7; 16]), Time(1)) };
            let writer = journal::open(data.path(), options).unwrap().claim(0, 1, Time(1)).unwrap().writer;
            fs::create_dir(data.path().join("keys")).unwrap();
            fs::write(data.path().join("master.key"), "master").unwrap();
            Engine { data, writer }
        }

        fn append(&mut self, fact: &Fact) -> Position {
            let mut batch = Batch::new(Time(2));
            batch.push_with(None, |out| codec::encode(fact, Time(2), out));
            Position::new(self.writer.append(self.writer.tail(), &batch).unwrap(), 0)
        }

        fn key(&self, key: u64) -> PathBuf {
            self.data.path().join(new_folder::sealing_key(SealingKeyId(key)))
        }

        fn create(&mut self, key: u64) -> WorkspaceId {
            fs::write(self.key(key), "sealing").unwrap();
            let id = WorkspaceId(Position::new(self.writer.tail(), 0));
            let (name, profile) = ("acme".into(), "genesy".into());
            self.append(&Fact::WorkspaceCreated { id, name, profile, sealing_key: SealingKeyId(key) });
            id
        }

        fn delete(&mut self, id: WorkspaceId, key: u64) {
            self.append(&Fact::WorkspaceDeleted { id });
            fs::remove_file(self.key(key)).unwrap();
        }

        /// Does the next of `acts` whenever the copying comes to the log's end.
        fn back_up(&mut self, acts: &mut [&mut dyn FnMut(&mut Engine)]) -> Backup {
            let (from, to) = (self.data.path().to_owned(), tempfile::tempdir().unwrap());
            let (mut before, mut acts) = (u64::MAX, acts.iter_mut());
            let copied = backup(&from, to.path(), |progress| {
                if progress.bytes == before
                    && let Some(act) = acts.next()
                {
                    act(self);
                }
                before = progress.bytes;
            });
            assert!(to.path().join("log/HEAD").is_file());
            copied.unwrap()
        }
    }

    #[test]
    fn the_keys_are_those_of_the_workspaces_at_the_end_of_the_copy() {
        let mut engine = Engine::new();
        engine.create(0xa);
        let gone = engine.create(0xb);
        engine.delete(gone, 0xb);
        fs::write(engine.key(0xc), "for one that was never made").unwrap();
        let copied = engine.back_up(&mut []);
        assert_eq!(copied.keys, ["keys/000000000000000a", "master.key"]);
        assert!(copied.is_whole() && copied.blocks == 4);
    }

    #[test]
    fn a_workspace_that_goes_before_its_key_is_read_is_gone_in_the_copy() {
        let mut engine = Engine::new();
        let [first, second] = [engine.create(0xa), engine.create(0xb)];
        let copied = engine.back_up(&mut [&mut |e| e.delete(first, 0xa), &mut |e| e.delete(second, 0xb)]);
        assert_eq!((copied.blocks, &copied.keys_missing, &copied.keys), (5, &vec![], &vec!["master.key".to_owned()]));
    }

    #[test]
    fn what_is_made_after_the_end_is_not_in_the_copy_and_neither_is_its_key() {
        let mut engine = Engine::new();
        engine.create(0xa);
        let copied = engine.back_up(&mut [&mut |e| _ = e.create(0xb)]);
        assert_eq!((copied.blocks, &*copied.keys.join(" ")), (2, "keys/000000000000000a master.key"));
    }

    #[test]
    fn a_key_that_no_fact_explains_is_missing_in_the_original_too() {
        let mut engine = Engine::new();
        engine.create(0xa);
        fs::remove_file(engine.key(0xa)).unwrap();
        fs::remove_file(engine.data.path().join("master.key")).unwrap();
        let copied = engine.back_up(&mut []);
        assert_eq!(copied.keys_missing, ["master.key", "keys/000000000000000a"]);
        assert!(!copied.is_whole());
    }

    #[test]
    fn a_failure_leaves_the_folder_as_it_was() {
        let mut engine = Engine::new();
        engine.create(0xa);
        drop(engine.writer);
        let segment = engine.data.path().join("log/00000000000000.seg");
        let mut bytes = fs::read(&segment).unwrap();
        bytes[40] ^= 1;
        fs::write(segment, bytes).unwrap();
        let to = tempfile::tempdir().unwrap();
        assert!(matches!(backup(engine.data.path(), to.path(), |_| ()), Err(BackupError::Log(_))));
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
        let made = to.path().join("made");
        assert!(backup(engine.data.path(), &made, |_| ()).is_err());
        assert!(!made.exists());
    }
}
