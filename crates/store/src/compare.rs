//! Holds a store at rest against the log: builds a second one from the log's facts and goes through both, list by list.
//!
//! Promises: the store that is looked at is not changed, it is copied first, since sled writes to what it opens; and what is compared is what
//! lies below that store's own W. Whatever readers could ask for is compared: what is pending with its counts, webhooks that are gone, where
//! events were carried to; of each day events, ids, heads with erasures, attempts, tallies, what replays have added.
//!
//! Not compared, since the log no longer says it: what is older than the log's first block and was not carried behind it. A store lets go of
//! that in its own time.
//!
//! A store that was cut off in the middle of a commit has days that are ahead of its history: each is compared as of its own block.

mod list;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

use postrider_core::fact::{Fact, Record};
use postrider_core::{Position, Time, WebhookId};

use crate::day::{OpenDay, name_of};
use crate::disk::Disk;
use crate::entry::dormant::Asleep;
use crate::entry::head::Head;
use crate::entry::tally::{Tally, hour_of};
use crate::error::{CommitError, OpenError, ReadError, Reason};
use crate::folder::{claim, unavailable};
use crate::identity::{At, Mark, Part};
use crate::state::State;
use crate::store::{Loaded, Opened, PENDING};
use list::Lists;

/// Facts after which what was taken is committed.
const COMMIT_FACTS_MAX: usize = 200_000;

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// There is no store. It is built from the log at the next start.
    Missing,
    /// A process has it open.
    InUse,
    /// There is one that a start sets aside and builds anew, for this reason.
    OfNoUse(Reason),
    /// The store says what the log says.
    Agrees(At),
    /// The store says something else.
    Differs(At, Difference),
}

/// The first place at which a store says something else than the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The database, relative to the store's folder.
    pub database: String,
    /// The list in it.
    pub list: &'static str,
    /// The entry as the log says; `None`: the log says nothing of it.
    pub log: Option<String>,
    /// The entry as the store has it; `None`: it has none.
    pub store: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: ", self.database, self.list)?;
        match (&self.log, &self.store) {
            (Some(log), Some(store)) => write!(f, "the store has {store}, and by the log it is {log}"),
            (Some(log), None) => write!(f, "the store lacks {log}"),
            (None, store) => {
                write!(f, "the store has {}, of which the log says nothing", store.as_deref().unwrap_or("nothing"))
            }
        }
    }
}

/// Why two stores could not be compared. It says nothing of the one that was looked at.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A folder.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The store that was built to compare with.
    #[error("beside the store to compare with: {0}")]
    Built(#[from] CommitError),
    /// The disk refused to read the copy.
    #[error("the copy of the store cannot be read: {0}")]
    Copy(io::Error),
}

/// What went wrong, and in which of the two.
enum Trouble {
    Kept(ReadError),
    Built(CommitError),
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Trouble {
        Trouble::Built(error)
    }
}

/// A comparison that has begun.
pub struct Comparison {
    kept: Opened,
    built: Opened,
    /// The log's first block and its time, once they are known.
    first: Option<(u64, Time)>,
    /// Blocks at which there is something to compare, those that are not reached yet.
    stages: BTreeSet<u64>,
    /// The marks of the kept store that the log's chain has to have.
    marks: Vec<Mark>,
    taken: usize,
    /// Events from before the log that a fact behind W names: what the store has of them the log may say there.
    named_later: BTreeSet<Position>,
    found: Option<Compared>,
}

/// How a comparison begins.
pub enum Begun {
    /// It is over already.
    Over(Compared),
    /// The blocks of the log are to be told.
    Comparing(Box<Comparison>),
}

impl Comparison {
    /// Begins with the store in `folder`, which is to be of this log. `scratch` is an empty folder with space for two such stores.
    ///
    /// # Errors
    /// When the store can't be copied, or `scratch` can't be used.
    pub fn begin(folder: &Path, scratch: &Path, log: [u8; 16]) -> Result<Begun, CompareError> {
        if !folder.join(PENDING).try_exists().map_err(|why| unavailable(folder, why))? {
            return Ok(Begun::Over(Compared::Missing));
        }
        let (kept, built) = (scratch.join("kept"), scratch.join("built"));
        match lock(folder).map_err(|why| unavailable(folder, why))? {
            None => return Ok(Begun::Over(Compared::InUse)),
            Some(_lock) => copy(folder, &kept).map_err(|why| unavailable(folder, why))?,
        }
        let lock = claim(&kept)?;
        let kept = match Loaded::of(&kept, log) {
            Ok(loaded) => loaded.open(&kept, lock, None)?,
            Err(reason) => return Ok(Begun::Over(Compared::OfNoUse(reason))),
        };
        let lock = claim(&built)?;
        let fail = |reason: Reason| unavailable(&built, io::Error::other(reason));
        let mut built = Loaded::of(&built, log).map_err(fail)?.open(&built, lock, None)?;
        built.writer.sweep(kept.store.read().swept());
        let At { pending, history, .. } = kept.at;
        let stages = BTreeSet::from([pending.block, history.block]);
        let marks = [pending, history].into_iter().filter(|mark| mark.block > 0).collect();
        let mut comparison =
            Comparison { kept, built, first: None, stages, marks, taken: 0, named_later: BTreeSet::new(), found: None };
        comparison.look(Comparison::add_stages)?;
        Ok(Begun::Comparing(Box::new(comparison)))
    }

    /// Up to where the store that is looked at covers the log.
    pub fn at(&self) -> At {
        self.kept.at
    }

    /// Block `number` comes next, behind one with the hash `before`. Blocks come in order, from the log's first one on.
    ///
    /// # Errors
    /// When the second store can't be written or read.
    pub fn block(&mut self, number: u64, time: Time, before: [u8; 16]) -> Result<(), CompareError> {
        self.first.get_or_insert((number, time));
        self.passed(number, before)?;
        if self.taken >= COMMIT_FACTS_MAX && number <= self.kept.at.pending.block {
            self.look(|this| this.commit(number))?;
        }
        Ok(())
    }

    /// Takes in a record of the block that came last.
    ///
    /// # Errors
    /// When the second store can't be written or read.
    pub fn take(&mut self, record: &Record) -> Result<(), CompareError> {
        let first = self.first.unwrap_or_default().0;
        if record.position.block() < self.kept.at.pending.block {
            self.taken += 1;
            return self.look(|this| Ok(this.built.writer.take(Part::Both, record).map_err(CommitError::from)?));
        }
        self.named_later.extend(event_of(&record.fact).filter(|event| event.block() < first));
        Ok(())
    }

    /// The log ends before block `end`, behind one with the hash `before`.
    ///
    /// # Errors
    /// When the second store can't be read.
    pub fn finish(mut self, end: u64, before: [u8; 16]) -> Result<Compared, CompareError> {
        self.first.get_or_insert((end, Time(0)));
        self.passed(end, before)?;
        if let Some(mark) = self.marks.first() {
            let block = mark.block;
            self.found.get_or_insert(Compared::OfNoUse(Reason::OtherPast { block }));
        }
        self.look(Comparison::compare_pending)?;
        let at = self.kept.at;
        Ok(self.found.unwrap_or(Compared::Agrees(at)))
    }

    /// Everything below block `number` was told, the last of it with this hash.
    fn passed(&mut self, number: u64, hash: [u8; 16]) -> Result<(), CompareError> {
        if let Some(mark) =
            self.marks.iter().find(|mark| mark.block < number || mark.block == number && mark.chain != hash)
        {
            let block = mark.block;
            self.found.get_or_insert(Compared::OfNoUse(Reason::OtherPast { block }));
        }
        self.marks.retain(|mark| mark.block > number);
        while let Some(stage) = self.stages.first().copied().filter(|stage| *stage <= number) {
            self.stages.remove(&stage);
            self.look(|this| {
                this.commit(stage)?;
                this.compare_days(stage)
            })?;
        }
        Ok(())
    }

    /// Looks on, unless it is known already what came of it.
    fn look(&mut self, look: impl FnOnce(&mut Comparison) -> Result<(), Trouble>) -> Result<(), CompareError> {
        if self.found.is_some() {
            return Ok(());
        }
        match look(self) {
            Ok(()) => Ok(()),
            Err(Trouble::Built(error)) => Err(error.into()),
            Err(Trouble::Kept(ReadError::Unavailable(why))) => Err(CompareError::Copy(why)),
            Err(Trouble::Kept(ReadError::Damaged(damage))) => {
                self.found = Some(Compared::OfNoUse(Reason::Damaged(damage)));
                Ok(())
            }
            Err(Trouble::Kept(ReadError::Sled { database, why })) => {
                self.found = Some(Compared::OfNoUse(Reason::Sled(format!("{database}: {why}"))));
                Ok(())
            }
        }
    }

    fn differs(&mut self, difference: Difference) {
        let at = self.kept.at;
        self.found.get_or_insert(Compared::Differs(at, difference));
    }

    /// Days that a commit has reached which was cut off then.
    fn add_stages(&mut self) -> Result<(), Trouble> {
        let history = self.kept.at.history.block;
        for day in self.kept_days() {
            let block = self.kept_day(day)?.map_or(0, |open| open.root.block);
            self.stages.extend(Some(block).filter(|block| *block > history));
        }
        Ok(())
    }

    fn commit(&mut self, block: u64) -> Result<(), Trouble> {
        self.taken = 0;
        // Nobody opens it again: it needs no chain.
        Ok(self.built.writer.commit(Part::Both, Mark { block, chain: [0; 16] }, None)?)
    }

    fn kept_days(&self) -> Vec<u32> {
        self.kept.store.inner.state.read().days.keys().copied().collect()
    }

    /// A day of the kept store, which is closed again when it is dropped: there may be many.
    fn kept_day(&self, day: u32) -> Result<Option<Arc<OpenDay>>, Trouble> {
        let inner = &self.kept.store.inner;
        let state = inner.state.read();
        let open = state.day(&inner.folder, day).map_err(Trouble::Kept)?;
        state.days.get(&day).into_iter().for_each(|day| drop(day.open.lock().take()));
        Ok(open)
    }

    fn built_day(&self, day: u32) -> Result<Option<Arc<OpenDay>>, Trouble> {
        let inner = &self.built.store.inner;
        Ok(inner.state.read().day(&inner.folder, day).map_err(CommitError::from)?)
    }

    /// Compares the days that are as of `stage`.
    fn compare_days(&mut self, stage: u64) -> Result<(), Trouble> {
        let history = self.kept.at.history.block;
        let built: Vec<u32> = self.built.store.inner.state.read().days.keys().copied().collect();
        let days: BTreeSet<u32> = self.kept_days().into_iter().chain(built).collect();
        for day in days {
            let kept = self.kept_day(day)?;
            let as_of = kept.as_ref().map_or(history, |open| open.root.block.max(history));
            if as_of == stage
                && let Some(difference) = self.compare_day(day, kept.as_deref())?
            {
                self.differs(difference);
                return Ok(());
            }
        }
        Ok(())
    }

    fn compare_day(&self, day: u32, kept: Option<&OpenDay>) -> Result<Option<Difference>, Trouble> {
        let built = self.built_day(day)?;
        let (first, begins) = self.first.unwrap_or_default();
        let is_known = |event: Position| self.is_known(event);
        // Of the hour in which it begins the log may say only a part.
        let is_whole = |tally: &Tally| first == 0 || tally.hour > hour_of(begins);
        let mut lists = Lists::new(name_of(day), kept, built.as_deref());
        lists.compare(|day| (&day.disk, &day.events), |event| is_known(event.place.position))?;
        lists.compare(|day| (&day.disk, &day.ids), |id| is_known(id.at))?;
        let is_here = |head: &Head| head.newest.block() >= first;
        lists.compare(|day| (&day.disk, &day.heads), |head| Ok(is_here(head) && is_known(head.key.event)?))?;
        lists.compare(|day| (&day.disk, &day.added), |added| is_known(added.event))?;
        lists.compare(|day| (&day.disk, &day.attempts), |attempt| Ok(attempt.place.position.block() >= first))?;
        lists.compare(|day| (&day.disk, &day.tallies), |tally| Ok(is_whole(tally)))?;
        Ok(lists.found)
    }

    /// Whether the log says of an event, below what was committed last, that it was accepted.
    fn is_known(&self, event: Position) -> Result<bool, Trouble> {
        let inner = &self.built.store.inner;
        let is_in = event.block() >= self.first.unwrap_or_default().0;
        Ok(is_in || inner.state.read().carried.get(&inner.disk, event).map_err(CommitError::from)?.is_some())
    }

    /// Compares what is pending: at the end, since of an event that is being carried from before the log only a fact behind W speaks.
    fn compare_pending(&mut self) -> Result<(), Trouble> {
        let (kept, built) = (Arc::clone(&self.kept.store.inner), Arc::clone(&self.built.store.inner));
        let (kept_state, built_state) = (kept.state.read(), built.state.read());
        let kept = Half { disk: &kept.disk, state: &kept_state };
        let built = Half { disk: &built.disk, state: &built_state };
        let first = self.first.unwrap_or_default().0;
        let mut unsaid = HashMap::<WebhookId, u64>::new();
        let is_gone = |webhook: &WebhookId| [kept, built].iter().any(|half| half.state.is_gone.contains(webhook));
        let mut is_compared = |asleep: &Asleep| -> Result<bool, Trouble> {
            if is_gone(&asleep.webhook) {
                return Ok(false);
            }
            let is_unsaid = self.named_later.contains(&asleep.key.event) && !self.is_known(asleep.key.event)?;
            *unsaid.entry(asleep.webhook).or_default() += u64::from(is_unsaid);
            Ok(!is_unsaid)
        };
        let mut lists = Lists::new(PENDING.to_owned(), Some(kept), Some(built));
        lists.compare(|half| (half.disk, &half.state.gone), |gone| Ok(gone.block >= first))?;
        lists.compare(|half| (half.disk, &half.state.carried), |carried| Ok(carried.to.block() >= first))?;
        lists.compare(|half| (half.disk, &half.state.sleep), |entry| is_compared(&entry.0.asleep))?;
        lists.compare(|half| (half.disk, &half.state.backlog), |entry| is_compared(&entry.0.asleep))?;
        let webhooks: BTreeSet<_> = kept.state.counts.keys().chain(built.state.counts.keys()).copied().collect();
        for webhook in webhooks.into_iter().filter(|webhook| !is_gone(webhook)) {
            let (store, log) = (kept.count(webhook), built.count(webhook) + unsaid.get(&webhook).copied().unwrap_or(0));
            if store != log {
                let [log, store] = [log, store].map(|n| Some(format!("{n} deliveries that wait for {webhook}")));
                lists.found.get_or_insert(Difference { database: PENDING.to_owned(), list: "counts", log, store });
            }
        }
        let found = lists.found;
        found.into_iter().for_each(|difference| self.differs(difference));
        Ok(())
    }
}

/// The pending database of one of the two.
#[derive(Clone, Copy)]
struct Half<'a> {
    disk: &'a Disk,
    state: &'a State,
}

impl Half<'_> {
    fn count(&self, webhook: WebhookId) -> u64 {
        self.state.counts.get(&webhook).copied().unwrap_or(0)
    }
}

/// The event that a fact is about.
fn event_of(fact: &Fact) -> Option<Position> {
    match fact {
        Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
            Some(cell.key.event)
        }
        Fact::EventErased { event, .. } => Some(*event),
        Fact::EventCarried { event, .. } => Some(event.at),
        _ => None,
    }
}

/// Takes the lock of a store that rests, without changing anything; `None` when a process has it. A store without a lock is a copy.
fn lock(folder: &Path) -> io::Result<Option<Option<File>>> {
    let file = match File::open(folder.join("lock")) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Some(None)),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(Some(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(why)) => Err(why),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            // As deep as a day's database, in which sled keeps an empty folder.
            true => copy(&entry.path(), &to)?,
            false => fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}
