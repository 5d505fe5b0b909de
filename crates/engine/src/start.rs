//! Starting and stopping: the ordered lists of what begins after what, and ends before what.

mod derived;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use parking_lot::RwLock;
use postrider_core::command::Command;
use postrider_core::fact::Record;
use postrider_core::machine::Entropy;
use postrider_core::profile::Profile;
use postrider_core::{Millis, Time, limits};
use postrider_dispatch::{AddressPolicy, CidrError, Config, Http2, NameServers, TlsError};
use postrider_log::journal::{self, OpenError, Report};
use postrider_log::memory::Memory;
use postrider_log::{ClaimError, Claimed, EventLog, LogId, LogKind, LogReader, LogWriter, sled_log};
use postrider_scheduler::Limits;
use tokio::sync::{Semaphore, watch};

use crate::ballast::Ballast;
use crate::clock::{self, Clock, ClockMode, EngineClock};
use crate::entropy::{self, SystemEntropy};
use crate::failing::{self, FailingRules, Watching};
use crate::handle::{Handle, Inner};
use crate::inbox::inbox;
use crate::keeper::{self, Keeping};
use crate::keyring::{Keyring, KeyringError, MasterKey};
use crate::live::Live;
use crate::loader::Loader;
use crate::payloads::Payloads;
use crate::poison::Poison;
use crate::projector;
use crate::recovery::{self, ReplayError};
use crate::shard::{Bounds, Input, Retention, Shard, TurnError};
use crate::shared::{Records, Shared};
use crate::worker::{Bench, Workers};
use crate::writer::{ACCEPTED_BYTES_MAX, RECALLED_BYTES_MAX, Writer};
use derived::Derived;

/// How an engine is to run.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where the log and the keys are; `None` keeps everything in memory, for as long as the process lives.
    pub data: Option<PathBuf>,
    /// What the folder's keys are wrapped by; `None` for the key in the folder.
    pub master_key: Option<MasterKey>,
    /// Attempts in flight at the most.
    pub permits: Limits,
    /// What engine time goes on with.
    pub clock: ClockMode,
    /// Threads that send.
    pub workers: usize,
    /// The most bytes of an event's `data`.
    pub event_bytes_max: usize,
    /// Address ranges that are opened: CIDR, `loopback` or `private`, each with a port behind it or for all.
    pub egress_allow: Vec<String>,
    /// Where this process listens: nothing is delivered there.
    pub listeners: Vec<SocketAddr>,
    /// Whether plain http is refused.
    pub https_only: bool,
    /// Whether https receivers may choose HTTP/2.
    pub http2: bool,
    /// PEM texts of certificate authorities that are trusted beside the public ones.
    pub extra_roots: Vec<String>,
    /// Who is asked for receivers' addresses.
    pub name_servers: NameServers,
    /// What a new log on disk is kept as; `None` for a journal, and for whatever is there. Another than is there is refused.
    pub log: Option<LogKind>,
    /// Bytes of one file of the log.
    pub segment_bytes: u32,
    /// How much of the log is kept.
    pub retention: Retention,
    /// What becomes of webhooks that fail for long.
    pub failing: FailingRules,
    /// How often what has happened is made part of the store. What has come since is in RAM.
    pub store_commit_every: Millis,
    /// How much of what waits is in RAM.
    pub bounds: Bounds,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            data: None,
            master_key: None,
            permits: Limits::default(),
            clock: ClockMode::default(),
            // The others are for the writer, and for whoever publishes.
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            event_bytes_max: limits::EVENT_BYTES_DEFAULT,
            egress_allow: Vec::new(),
            listeners: Vec::new(),
            https_only: false,
            http2: true,
            extra_roots: Vec::new(),
            name_servers: NameServers::System,
            log: None,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            retention: Retention { age: RETENTION_AGE_DEFAULT, bytes: u64::MAX },
            failing: FailingRules::default(),
            store_commit_every: STORE_COMMIT_EVERY_DEFAULT,
            bounds: Bounds::default(),
        }
    }
}

/// Why an engine did not start. Nothing was changed on disk but what the message says.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address range that is none.
    #[error("egress.allow: {0}")]
    Allow(#[from] CidrError),
    /// A root of trust that can't be read.
    #[error("an extra certificate authority: {0}")]
    Roots(#[from] TlsError),
    /// The log can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log can't be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// There are sealing keys, but the log that they belong to is not there.
    #[error("the folder has sealing keys but no log: put the folder log back, or take another data folder")]
    LogMissing,
    /// The log can't be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The keys can't be had.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The log can't be written.
    #[error(transparent)]
    Write(#[from] TurnError),
    /// A thread or runtime can't be had.
    #[error("no thread can be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// How an engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All that it had acknowledged is in the log, and the log is sealed.
    Clean,
    /// The log could not be written; the reason.
    Poisoned(String),
}

/// A running engine. Dropping it without [`Engine::stop`] cuts off what is in flight.
pub struct Engine {
    handle: Handle,
    stop: Sender<Instant>,
    writer: JoinHandle<()>,
    projector: JoinHandle<()>,
    /// Of an engine that keeps its log on disk.
    keeper: Option<Keeping>,
    watching: Option<Watching>,
    replayed_facts: u64,
}

const SEGMENT_BYTES_DEFAULT: u32 = 64 << 20;
const STORE_COMMIT_EVERY_DEFAULT: Millis = Millis::from_secs(1);
const RETENTION_AGE_DEFAULT: Millis = Millis::from_secs(30 * 24 * 60 * 60);

/// Tests that may run at once.
const TRIALS_MAX: usize = 64;

impl Engine {
    /// Opens the log, replays it, and begins to work on what is due.
    ///
    /// # Errors
    /// When anything that it needs is not to be had.
    pub fn start(options: EngineOptions) -> Result<Engine, StartError> {
        let node = SystemEntropy::new().next_u64();
        let policy = AddressPolicy::from_words(&options.egress_allow)?;
        options.listeners.iter().for_each(|listener| policy.listens_at(*listener));
        let http2 = if options.http2 { Http2::Offered } else { Http2::Off };
        let dispatch = Config::speaking(http2, policy, options.https_only, &options.extra_roots)?;
        let dispatch = Arc::new(dispatch.with_name_servers(options.name_servers.clone()));
        match &options.data {
            None => {
                let log = Memory::new(new_log_id()).claim(SHARD, node, clock::wall())?;
                Engine::run(log, Keyring::in_memory(), Ballast::none(), dispatch, &options)
            }
            Some(data) => {
                let new = || journal::Options {
                    segment_bytes: options.segment_bytes,
                    new_log: new_log_id(),
                    now: clock::wall(),
                };
                match LogKind::choose(data, options.log)? {
                    LogKind::Journal => {
                        let open = || journal::open(data, new()).map(|log| (log.report(), log));
                        Engine::start_on(LogKind::Journal, open, data, node, dispatch, &options)
                    }
                    LogKind::Sled => {
                        let open = || sled_log::open(data, new()).map(|log| (log.report(), log));
                        Engine::start_on(LogKind::Sled, open, data, node, dispatch, &options)
                    }
                }
            }
        }
    }

    /// Starts on the log that `open` opens in the folder `data`.
    fn start_on<L: EventLog>(
        kind: LogKind,
        open: impl Fn() -> Result<(Report, L), OpenError>,
        data: &Path,
        node: u64,
        dispatch: Arc<Config>,
        options: &EngineOptions,
    ) -> Result<Engine, StartError>
    where
        L::Writer: 'static,
        L::Reader: 'static,
    {
        let mut ballast = Ballast::of(data, kind.room_bytes(options.segment_bytes));
        let opened = match open() {
            // sled has to write before it can read.
            Err(OpenError::Unavailable(error)) if is_full(&error) && ballast.release() => open(),
            opened => opened,
        };
        let (report, log) = opened?;
        if let Some(torn) = report.torn {
            tracing::warn!(%torn, "the log's last block is not whole and is dropped: a write that a crash cut off, unless the disk harmed it since");
        }
        // Before the claim, which writes: a start that is refused for its keys leaves the log as it was.
        let keyring = Keyring::open(data, options.master_key.as_ref())?;
        let log = match log.claim(SHARD, node, clock::wall()) {
            // On a full disk what is unfinished is still worked on.
            Err(ClaimError::Full) if ballast.release() => open()?.1.claim(SHARD, node, clock::wall())?,
            claimed => claimed?,
        };
        if !ballast.take() {
            tracing::warn!("the disk has no space for a ballast: nothing new is accepted until it has");
        }
        Engine::run(log, keyring, ballast, dispatch, options)
    }

    fn run<W, R>(
        log: Claimed<W, R>,
        keyring: Keyring,
        ballast: Ballast,
        dispatch: Arc<Config>,
        options: &EngineOptions,
    ) -> Result<Engine, StartError>
    where
        W: LogWriter + 'static,
        R: LogReader + 'static,
    {
        let keyring = Arc::new(keyring);
        let records: Arc<dyn Records> = Arc::new(log.reader.clone());
        let folder = options.data.as_deref().map(|data| data.join("store"));
        let derived = Derived::gather(log.writer, &log.reader, log.log, &records, folder.as_deref(), options)?;
        let Derived { mut shard, mut replayed, store, stored, covered, swept } = derived;
        if replayed.facts == 0 && !keyring.ids().is_empty() {
            return Err(StartError::LogMissing);
        }
        if !replayed.landmarks.has_gaps {
            recovery::destroy_orphans(&keyring, &replayed.directory)?;
        }
        shard.erase_again(recovery::not_surely_erased(&log.reader, shard.overlay()).map_err(ReplayError::Read)?);
        shard.erase_again(std::mem::take(&mut replayed.last_erased));
        shard.erase().map_err(TurnError::from)?;
        let clock: Arc<dyn Clock> = Arc::new(EngineClock::start(options.clock, log.time));
        for record in register_profiles(&mut shard, clock.now())? {
            replayed.directory.apply(&record);
            replayed.views.apply(&record);
        }
        shard.probe_every(options.failing.probe_every);
        shard.resume();

        let end = log.reader.end();
        let shared = Arc::new(Shared {
            directory: RwLock::new(replayed.directory),
            replays: RwLock::new(shard.kernel().replays.clone()),
            heads: RwLock::default(),
            views: RwLock::new(replayed.views),
            projected: watch::Sender::new(end),
            durable: AtomicU64::new(end),
            covered: AtomicU64::new(covered),
            sweep_until: AtomicU64::new(0),
            swept: AtomicU64::new(swept.0),
            stored: Arc::clone(&stored),
            records,
            erased: RwLock::default(),
            in_flight: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
            live: Live::default(),
            poison: Poison::new(),
        });
        let permits = options.permits.global as usize;
        let (reports_in, reports) = bounded(permits);
        let bench = Bench {
            shared: Arc::clone(&shared),
            keyring: Arc::clone(&keyring),
            dispatch: Arc::clone(&dispatch),
            reports: reports_in,
        };
        let workers = Workers::start(options.workers.max(1), permits + TRIALS_MAX, &Arc::new(bench))?;
        let (projected, projector) = projector::start(Arc::clone(&shared))?;
        let commit_every = options.store_commit_every.into();
        let landmarks = replayed.landmarks;
        let keep = |folder| keeper::start(&shared, folder, log.log, commit_every, store, landmarks);
        let keeper = folder.clone().map(keep).transpose()?;
        let (inbox, outbox) = inbox();
        let (stop, stopped) = bounded(1);
        let handle = Handle::new(Inner {
            inbox,
            shared: Arc::clone(&shared),
            keyring: Arc::clone(&keyring),
            clock: Arc::clone(&clock),
            dispatch,
            data_bytes_max: options.event_bytes_max,
            workers: workers.lanes(),
            trials: Semaphore::new(TRIALS_MAX),
        });
        let loader = folder.is_some().then(|| Loader::start(stored, Arc::clone(&shared.records))).transpose()?;
        let writer = Writer {
            shard,
            clock,
            outbox,
            reports,
            workers,
            projector: projected,
            loader,
            shared,
            ballast,
            retention: options.retention,
            keyring,
            stop: stopped,
            stop_by: None,
            accepted: Payloads::new(ACCEPTED_BYTES_MAX),
            recalled: Payloads::new(RECALLED_BYTES_MAX),
        };
        let writer = std::thread::Builder::new().name("writer".into()).spawn(move || writer.run())?;
        let watching = failing::start(handle.clone(), options.failing)?;
        Ok(Engine { handle, stop, writer, projector, keeper, watching, replayed_facts: replayed.facts })
    }

    /// What others hold of the engine.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Facts that the start replayed.
    pub fn replayed_facts(&self) -> u64 {
        self.replayed_facts
    }

    /// [`Engine::stop`] for those who may not block.
    pub async fn shutdown(self, grace: Duration) -> Stopped {
        let stopped = tokio::task::spawn_blocking(move || self.stop(grace)).await;
        stopped.unwrap_or_else(|error| Stopped::Poisoned(error.to_string()))
    }

    /// Takes no more commands, lets attempts in flight end for at most `grace` (or the
    /// longest timeout of a webhook, if that is longer), seals the log. Blocks until all threads have ended.
    pub fn stop(self, grace: Duration) -> Stopped {
        self.handle.close();
        // The writer may have ended by itself.
        let grace = grace.max(self.handle.longest_timeout());
        let _ = self.stop.send(Instant::now() + grace);
        let writer = self.writer.join();
        let projector = self.projector.join();
        self.watching.into_iter().for_each(Watching::stop);
        // Nothing more is projected: it commits what is there.
        self.keeper.into_iter().for_each(Keeping::stop);
        match self.handle.poison() {
            Some(reason) => Stopped::Poisoned(reason),
            None if writer.is_err() || projector.is_err() => {
                Stopped::Poisoned("a thread of the engine has panicked".into())
            }
            None => Stopped::Clean,
        }
    }
}

/// The only shard there is.
const SHARD: u32 = 0;

fn is_full(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::StorageFull
}

fn new_log_id() -> LogId {
    let mut id = [0; 16];
    entropy::fill(&mut id);
    LogId(id)
}

/// Makes the built-in profiles usable; a fact for each that is new or has changed, and no turn when none has.
fn register_profiles<W: LogWriter>(shard: &mut Shard<W>, now: Time) -> Result<Vec<Record>, TurnError> {
    let directory = &shard.kernel().directory;
    let is_new =
        |profile: &Profile| directory.profile_named(&profile.name).is_none_or(|(_, kept)| kept.hash != profile.hash);
    let changed: Vec<Profile> = Profile::built_in().into_iter().filter(is_new).collect();
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let mut commands = changed.into_iter().map(|profile| Command::RegisterProfile(Arc::new(profile)));
    let next = || commands.next().map(|command| Input::new(command, ()));
    Ok(shard.turn(now, &mut SystemEntropy::new(), next)?.records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refused;
    use postrider_log::memory::Fate;

    fn on(log: &Memory) -> Engine {
        let options = EngineOptions::default();
        let dispatch = Arc::new(Config::new(AddressPolicy::default(), false, &options.extra_roots).unwrap());
        let claimed = log.clone().claim(SHARD, 1, Time(1)).unwrap();
        Engine::run(claimed, Keyring::in_memory(), Ballast::none(), dispatch, &options).unwrap()
    }

    #[tokio::test]
    async fn a_log_that_fails_stops_the_engine_and_nothing_is_acknowledged_past_it() {
        let log = Memory::new(LogId([7; 16]));
        let engine = on(&log);
        let handle = engine.handle();
        handle.create_workspace("acme", "genesy").await.unwrap();
        log.fail_next_append(Fate::Lost);
        assert_eq!(handle.create_workspace("lost", "genesy").await.err(), Some(Refused::Closed));
        assert!(handle.poisoned().await.contains("cannot be written"));
        assert!(!handle.is_ready());
        assert_eq!(handle.create_workspace("late", "genesy").await.err(), Some(Refused::Closed));
        assert!(matches!(engine.shutdown(Duration::from_secs(1)).await, Stopped::Poisoned(_)));

        let again = on(&log.crash());
        assert_eq!(again.handle().workspaces().len(), 1);
        assert_eq!(again.shutdown(Duration::from_secs(1)).await, Stopped::Clean);
    }

    #[tokio::test]
    async fn a_full_log_refuses_and_poisons_nothing() {
        let log = Memory::new(LogId([7; 16]));
        let engine = on(&log);
        let handle = engine.handle();
        log.set_capacity(0);
        assert_eq!(handle.create_workspace("acme", "genesy").await.err(), Some(Refused::Full));
        assert!(handle.is_ready());
        log.set_capacity(usize::MAX);
        assert!(handle.create_workspace("acme", "genesy").await.is_ok());
        assert_eq!(engine.shutdown(Duration::from_secs(1)).await, Stopped::Clean);
    }
}
