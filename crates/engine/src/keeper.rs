//! The keeper: a thread that takes the log into the store, behind everyone's back, and says up to which block (W).
//!
//! It reads what is durable back from the log rather than being handed it: so the projector never waits for sled, and a store that is new,
//! old, or was set aside is built by the same few lines. It is the only one who writes to the store.
//!
//! Promises: a store that fails, be it by an error, by damage or by a panic within sled, stops nothing and nobody. Its reason is told; where
//! the store is of no use any more it is set aside and built anew from the log. Reads of what only it could find are refused meanwhile.
//!
//! Refuses to go past what the projector has taken in: above W everything is in RAM.

mod open;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use postrider_core::Time;
use postrider_log::{Kind, LogId, codec};
use postrider_store::{CommitError, Mark, OpenError, Opened, Part, Writer};

use crate::metering;
use crate::recovery::percent;
use crate::shared::Shared;
use crate::snapshot::{HealthSketch, Landmarks, Snapshot};
pub use open::open;

/// How often it looks for new blocks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Facts after which it commits, however short ago the last commit was: what they take in RAM, here and above W, has a bound.
const COMMIT_FACTS_MAX: usize = 25_000;
/// After a failure it waits so long before it opens the store again, each time twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it looks for what the log has let go of, and at a part of what is pending for what is of no use.
const LET_GO_EVERY: Duration = Duration::from_secs(10);
/// How often it puts a snapshot into the store: what has come since is read at a start after a crash.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// While it catches up it says so this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Why the store is closed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// What is in it cannot be relied on.
    #[error("{0}")]
    Broken(String),
    /// It, or the log, could not be read or written just now.
    #[error("{0}")]
    Failed(String),
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Trouble {
        Trouble::Failed(error.to_string())
    }
}

impl From<postrider_store::ReadError> for Trouble {
    fn from(error: postrider_store::ReadError) -> Trouble {
        Trouble::Broken(error.to_string())
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Trouble {
        match error {
            CommitError::Read(error) => error.into(),
            // A disk that is full or failing: what was committed before may be whole.
            error => Trouble::Failed(error.to_string()),
        }
    }
}

impl From<postrider_log::ReadError> for Trouble {
    fn from(error: postrider_log::ReadError) -> Trouble {
        Trouble::Failed(error.to_string())
    }
}

impl From<codec::DecodeError> for Trouble {
    fn from(error: codec::DecodeError) -> Trouble {
        Trouble::Failed(error.to_string())
    }
}

/// The thread, and how it is told to end.
pub struct Keeping {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeping {
    /// Has all that was projected committed, and waits for the end.
    pub fn stop(self) {
        drop(self.stop);
        // It catches its panics, and nothing depends on it.
        let _ = self.thread.join();
    }
}

/// Starts the keeper of the store in `folder`; `opened` is that store, if it could be opened already. `landmarks` are those of the log as
/// it is.
///
/// # Errors
/// When no thread can be had.
pub fn start(
    shared: &Arc<Shared>,
    folder: PathBuf,
    log: LogId,
    commit_every: Duration,
    opened: Option<Opened>,
    landmarks: Landmarks,
) -> std::io::Result<Keeping> {
    let (stop, stopped) = bounded(0);
    let shared = Arc::clone(shared);
    let mut keeper = Keeper { shared, folder, log, commit_every, stopped, landmarks };
    let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || keeper.run(opened))?;
    Ok(Keeping { stop, thread })
}

struct Keeper {
    shared: Arc<Shared>,
    folder: PathBuf,
    log: LogId,
    commit_every: Duration,
    stopped: Receiver<()>,
    landmarks: Landmarks,
}

impl Keeper {
    fn run(&mut self, mut opened: Option<Opened>) {
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            let first = opened.take();
            let kept = catch_unwind(AssertUnwindSafe(|| self.keep(first)));
            let trouble = match kept {
                Ok(Ok(())) => {
                    // Whoever still has a handle of the engine does not keep the next one from its store.
                    return self.shared.stored.close(self.shared.covered() > 0);
                }
                Ok(Err(trouble)) => trouble,
                Err(_) => Trouble::Broken("its keeper has panicked".into()),
            };
            // A log in sled can be read no longer than its writer lives: what is missing then is taken at the next start.
            if matches!(trouble, Trouble::Failed(_)) && self.is_stopped_within(Duration::ZERO) {
                return;
            }
            metering::store_failed();
            self.shared.stored.close(self.shared.covered() > 0);
            if let Err(error) = self.mend(&trouble) {
                tracing::error!(%error, "the store cannot be set aside");
            }
            if began.elapsed() > PAUSE_MAX {
                pause = PAUSE_MIN;
            }
            if self.is_stopped_within(pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn mend(&self, trouble: &Trouble) -> Result<(), OpenError> {
        match trouble {
            Trouble::Broken(reason) => {
                tracing::warn!(reason, "the store is set aside and built anew from the log");
                postrider_store::set_aside(&self.folder).map(drop)
            }
            Trouble::Failed(reason) => {
                tracing::warn!(reason, "the store is closed and opened again");
                Ok(())
            }
        }
    }

    /// Keeps the store until told to stop.
    fn keep(&mut self, opened: Option<Opened>) -> Result<(), Trouble> {
        let opened = match opened {
            Some(opened) => opened,
            None => open(&self.folder, self.log, &*self.shared.records)?,
        };
        let Opened { store, mut writer, at, .. } = opened;
        let mut progress = Progress::new(at.replay_from());
        // What was let go of in RAM is below an earlier store's W; this one may have to catch up with it first.
        let mut is_behind = at.replay_from() < self.shared.covered();
        if !is_behind {
            self.shared.stored.open(store.clone());
            self.publish(at.replay_from());
        }
        loop {
            let is_stopped = self.is_stopped_within(if progress.is_caught_up { LOOK_EVERY } else { Duration::ZERO });
            self.take(&mut writer, &mut progress)?;
            if let Some(reason) = self.shared.stored.doubt() {
                return Err(Trouble::Broken(reason));
            }
            let is_over = is_stopped && progress.is_caught_up;
            self.draw_snapshot(&mut progress, is_over);
            let is_due = progress.committed_at.elapsed() >= self.commit_every || progress.facts >= COMMIT_FACTS_MAX;
            let is_news = progress.next > progress.committed || (is_over && progress.sketch.is_some());
            if is_news && (is_due || is_over) {
                self.commit(&mut writer, &mut progress)?;
                if is_behind && progress.committed >= self.shared.covered() {
                    is_behind = false;
                    self.shared.stored.open(store.clone());
                }
                if !is_behind {
                    self.publish(progress.committed);
                }
            }
            if is_over {
                writer.close();
                return Ok(());
            }
            if progress.is_caught_up {
                writer.build_filter()?;
                self.let_go(&mut writer, &mut progress)?;
            }
        }
    }

    /// Takes the next blocks that are projected, up to a bound.
    fn take(&mut self, writer: &mut Writer, progress: &mut Progress) -> Result<(), Trouble> {
        let end = *self.shared.projected.borrow();
        let first = self.shared.records.first();
        if progress.is_empty {
            progress.next = progress.next.max(first.min(end));
        }
        while progress.next < end && progress.facts < COMMIT_FACTS_MAX {
            let Some(block) = self.shared.records.facts(progress.next)? else {
                let reason = format!("the log has let go of block {} before it was taken in", progress.next);
                return Err(Trouble::Broken(reason));
            };
            self.landmarks.has_gaps |= block.kind() == Kind::Gap;
            for (position, fact) in block.facts() {
                let record = codec::decode(position, block.time(), fact)?;
                writer.take(Part::Both, &record)?;
                self.landmarks.note(&record);
            }
            progress.facts += block.len() as usize;
            progress.next += 1;
            progress.is_empty = false;
        }
        progress.is_caught_up = progress.next >= end;
        progress.tell(end);
        metering::store_behind(end - progress.committed.min(end));
        Ok(())
    }

    /// Draws how the webhooks are doing, if it is time for a snapshot: it goes with the commit that covers all of it.
    fn draw_snapshot(&self, progress: &mut Progress, is_over: bool) {
        let is_time = is_over || progress.drawn_at.elapsed() >= SNAPSHOT_EVERY;
        if is_time && progress.is_caught_up && progress.next > progress.drawn_to {
            progress.sketch = Some(HealthSketch::draw(&self.shared.views));
            progress.drawn_at = Instant::now();
            progress.drawn_to = progress.next;
        }
    }

    fn commit(&self, writer: &mut Writer, progress: &mut Progress) -> Result<(), Trouble> {
        let chain = self.shared.records.hash_before(progress.next)?;
        let chain = chain.ok_or_else(|| Trouble::Failed(format!("the log does not know block {}", progress.next)))?;
        let began = Instant::now();
        let sweep_until = Time(self.shared.sweep_until.load(Ordering::Acquire));
        writer.sweep(sweep_until);
        let sketch = progress.sketch.take_if(|sketch| sketch.newest <= progress.next);
        let snapshot = sketch.as_ref().map(|sketch| Snapshot::write(&self.landmarks, sketch));
        writer.commit(Part::Both, Mark { block: progress.next, chain: chain.0 }, snapshot.as_deref())?;
        metering::store_committed(began.elapsed().as_secs_f64());
        progress.committed = progress.next;
        progress.committed_at = Instant::now();
        progress.facts = 0;
        Ok(())
    }

    /// Forgets what the log has let go of, once W is behind where it begins: a part at a time.
    fn let_go(&self, writer: &mut Writer, progress: &mut Progress) -> Result<(), Trouble> {
        let first = self.shared.records.first();
        if first == 0 || first > progress.committed || progress.let_go_at.elapsed() < LET_GO_EVERY {
            return Ok(());
        }
        progress.let_go_at = Instant::now();
        let days = writer.let_go(first)?;
        if days > 0 {
            tracing::info!(days, "days of history were let go of");
        }
        Ok(())
    }

    /// From now on what lies below `covered` is read through the store, and let go of in RAM.
    fn publish(&self, covered: u64) {
        if let Ok(swept) = self.shared.stored.view(|view| Ok(view.swept())) {
            self.shared.swept.store(swept.0, Ordering::Release);
        }
        self.shared.covered.store(covered, Ordering::Release);
        while self.shared.views.write().forget_covered(covered) {}
    }

    fn is_stopped_within(&self, span: Duration) -> bool {
        !matches!(self.stopped.recv_timeout(span), Err(RecvTimeoutError::Timeout))
    }
}

/// How far it is.
struct Progress {
    /// The block to take next.
    next: u64,
    /// Nothing was ever taken: it begins where the log does.
    is_empty: bool,
    /// W.
    committed: u64,
    committed_at: Instant,
    /// Taken since.
    facts: usize,
    /// Of a snapshot that is to come.
    sketch: Option<HealthSketch>,
    drawn_at: Instant,
    drawn_to: u64,
    is_caught_up: bool,
    told_at: Instant,
    let_go_at: Instant,
}

impl Progress {
    fn new(at: u64) -> Progress {
        let now = Instant::now();
        Progress {
            next: at,
            is_empty: at == 0,
            committed: at,
            committed_at: now,
            facts: 0,
            sketch: None,
            drawn_at: now,
            drawn_to: 0,
            is_caught_up: false,
            told_at: now,
            let_go_at: now,
        }
    }

    fn tell(&mut self, end: u64) {
        if !self.is_caught_up && self.told_at.elapsed() >= PROGRESS_EVERY {
            self.told_at = Instant::now();
            let percent = percent(self.next, end);
            tracing::info!(block = self.next, of = end, percent, "the store is being built from the log");
        }
    }
}
