//! The handle that readers share, and how a store is opened.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::coding::Input;
use crate::disk::{Disk, KERNEL, ROOT, sync_names};
use crate::error::{Fault, OpenError, ReadError, Reason};
use crate::folder::{claim, remove_unknown_days, set_aside, unavailable};
use crate::identity::{At, LogIdentity};
use crate::reader::Reader;
use crate::root::{KernelRecord, Root};
use crate::state::State;
use crate::writer::Writer;

/// The pending database, relative to the store's folder.
pub(crate) const PENDING: &str = "pending";
/// What sled may cache of it. Its default is a gigabyte.
const CACHE_BYTES: u64 = 32 << 20;
/// Bytes of a piece of the kernel: sled moves pages with larger values into files that are never synced.
pub(crate) const KERNEL_PIECE_BYTES: usize = 4096;

/// A handle for readers; cheap to clone and shared between threads.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub folder: PathBuf,
    pub disk: Disk,
    pub state: RwLock<State>,
    /// Held as long as a reader or the writer lives.
    _lock: File,
}

/// The caller's snapshot of its own state, as it was given to a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Blocks below this one are in it.
    pub block: u64,
    /// Opaque here.
    pub bytes: Vec<u8>,
}

/// An opened store.
#[derive(Debug)]
pub struct Opened {
    /// For readers.
    pub store: Store,
    /// The only writer there is.
    pub writer: Writer,
    /// Up to where the log is covered; block 0 for a new one.
    pub at: At,
    /// The last kernel that was committed.
    pub kernel: Option<Kernel>,
    /// What was here could not be relied on and lies beside the folder now; this one is new. Tell people.
    pub set_aside: Option<Reason>,
}

impl Store {
    /// Opens the store in `folder`, or makes one. Root, kernel and all that is pending are verified; history is at the first read.
    ///
    /// # Errors
    /// When the folder is in use or cannot be written. A store that is damaged, of another log or of another version is no error: it is
    /// set aside.
    pub fn open(folder: &Path, identity: LogIdentity<'_>) -> Result<Opened, OpenError> {
        let lock = claim(folder)?;
        match Loaded::from(folder, identity) {
            Ok(loaded) => loaded.open(folder, lock, None),
            Err(reason) => {
                drop(lock);
                set_aside(folder)?;
                let lock = claim(folder)?;
                let again = |again: Reason| unavailable(folder, std::io::Error::other(again));
                Loaded::from(folder, identity).map_err(again)?.open(folder, lock, Some(reason))
            }
        }
    }

    /// A view of the store as it is now. A commit waits for it at its end, for the moment of the change: so hold it briefly.
    pub fn read(&self) -> Reader<'_> {
        Reader::new(&self.inner.folder, &self.inner.disk, self.inner.state.read())
    }

    /// The same for whoever may not wait; `None` while a commit changes the view.
    pub fn try_read(&self) -> Option<Reader<'_>> {
        let state = self.inner.state.try_read()?;
        Some(Reader::new(&self.inner.folder, &self.inner.disk, state))
    }
}

/// What was found in a folder, verified.
pub(crate) struct Loaded {
    disk: Disk,
    state: State,
    kernel: Option<Kernel>,
    unused: Vec<u64>,
}

impl Loaded {
    fn from(folder: &Path, identity: LogIdentity<'_>) -> Result<Loaded, Reason> {
        let loaded = Loaded::of(folder, identity.log)?;
        let Root { pending, history, .. } = loaded.state.root;
        match [pending, history].into_iter().find(|mark| !identity.has(*mark)) {
            Some(mark) => Err(Reason::OtherPast { block: mark.block }),
            None => Ok(loaded),
        }
    }

    /// Of this log. Whether also of its chain is not asked.
    pub fn of(folder: &Path, log: [u8; 16]) -> Result<Loaded, Reason> {
        let is_new = !folder.join(PENDING).exists();
        let disk = Disk::open(folder, PENDING.to_owned(), CACHE_BYTES).map_err(reason)?;
        if is_new {
            return Loaded::new(folder, disk, log);
        }
        let root = disk.get(ROOT).map_err(reason)?.ok_or(Reason::Empty)?;
        let root = Root::read(&root).map_err(|unfit| unfit.reason(PENDING))?;
        if root.log != log {
            return Err(Reason::ForeignLog);
        }
        let (state, unused) = State::load(&disk, root).map_err(reason)?;
        let kernel = root.kernel.map(|record| read_kernel(&disk, record)).transpose().map_err(reason)?;
        Ok(Loaded { disk, state, kernel, unused })
    }

    /// From here on a database without a root is a broken one.
    fn new(folder: &Path, disk: Disk, log: [u8; 16]) -> Result<Loaded, Reason> {
        let state = State::new(log);
        let mut batch = sled::Batch::default();
        batch.insert(ROOT, state.root.write());
        let written = disk.apply(batch).and_then(|()| disk.sync());
        written.map_err(|why| Reason::Sled(why.to_string()))?;
        sync_names(&folder.join(PENDING)).and_then(|()| sync_names(folder)).map_err(|e| Reason::Sled(e.to_string()))?;
        Ok(Loaded { disk, state, kernel: None, unused: Vec::new() })
    }

    pub fn open(self, folder: &Path, lock: File, set_aside: Option<Reason>) -> Result<Opened, OpenError> {
        remove_unknown_days(folder, |day| self.state.days.contains_key(&day))?;
        let Loaded { disk, state, kernel, unused } = self;
        let at = at(&state.root);
        let inner = Inner { folder: folder.to_owned(), disk, state: RwLock::new(state), _lock: lock };
        let store = Store { inner: Arc::new(inner) };
        let writer = Writer::new(Arc::clone(&store.inner), unused);
        Ok(Opened { store, writer, at, kernel, set_aside })
    }
}

/// Where a root says that its store is.
pub(crate) fn at(root: &Root) -> At {
    At { pending: root.pending, history: root.history, kernel: root.kernel.map(|kernel| kernel.block) }
}

fn read_kernel(disk: &Disk, record: KernelRecord) -> Result<Kernel, ReadError> {
    let mut bytes = Vec::new();
    disk.scan(&[KERNEL], |key, piece| {
        let number = key.get(1..).and_then(|number| Input(number).array()).map(u32::from_be_bytes);
        let expected = (bytes.len() / KERNEL_PIECE_BYTES) as u32;
        if number != Some(expected) || bytes.len() % KERNEL_PIECE_BYTES != 0 {
            return Err(disk.damage(Fault::Kernel));
        }
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    if bytes.len() as u64 != record.bytes || crc32c::crc32c(&bytes) != record.crc {
        return Err(disk.damage(Fault::Kernel));
    }
    Ok(Kernel { block: record.block, bytes })
}

fn reason(error: ReadError) -> Reason {
    match error {
        ReadError::Damaged(damage) => Reason::Damaged(damage),
        ReadError::Sled { database, why } => Reason::Sled(format!("{database}: {why}")),
        ReadError::Unavailable(why) => Reason::Sled(why.to_string()),
    }
}
