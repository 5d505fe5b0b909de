//! What the engine's threads share: the readers' copy of the directory, the views and how far they are, the end that is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::RwLock;
use postrider_core::directory::Directory;
use postrider_core::replay::Replays;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, Position, Time, WebhookId};
use postrider_log::{Block, ChainHash, LogReader, ReadError};
use tokio::sync::watch;

use crate::live::Live;
use crate::poison::Poison;
use crate::stored::Stored;
use crate::views::{Look, Views};

/// See the module.
pub struct Shared {
    /// Written by the writer, only by facts about it, before the replies to their commands go out: so a reader sees what was answered.
    pub directory: RwLock<Directory>,
    /// Written by the writer as the directory is.
    pub replays: RwLock<Replays>,
    /// Of ordered webhooks, the delivery that all others of theirs wait for. Written by the writer as the directory is.
    pub heads: RwLock<BTreeMap<WebhookId, DeliveryKey>>,
    /// Written by the projector alone.
    pub views: RwLock<Views>,
    /// Blocks that the projector has taken in.
    pub projected: watch::Sender<u64>,
    /// W: blocks that the store covers. What lies above is in RAM.
    pub covered: AtomicU64,
    /// Until when the keeper is to move what was due to the backlogs, as the writer says; in milliseconds.
    pub sweep_until: AtomicU64,
    /// Until when it has, in what the store covers.
    pub swept: AtomicU64,
    /// Blocks that are durable.
    pub durable: AtomicU64,
    /// The log, to read back.
    pub records: Arc<dyn Records>,
    /// What lies below W.
    pub stored: Arc<Stored>,
    /// Events that were erased a moment ago, with attempts of them perhaps about to be sent.
    pub erased: RwLock<RecentlyErased>,
    /// Attempts in flight, as the writer has told them last.
    pub in_flight: AtomicU64,
    /// Bytes of the log's files, likewise.
    pub log_bytes: AtomicU64,
    /// Attempts as they end.
    pub live: Live,
    /// Why the engine has stopped, once it has.
    pub poison: Poison,
}

/// How long a worker can hold a payload before it writes the request: a lookup and a connection, in a deadline that is shorter than this.
const ERASED_KEPT: Duration = Duration::from_secs(120);

/// The events that were erased within the last two minutes.
#[derive(Default)]
pub struct RecentlyErased(VecDeque<(Instant, Position)>);

impl RecentlyErased {
    /// Notes one, and forgets those of long ago.
    pub fn note(&mut self, event: Position) {
        let now = Instant::now();
        self.0.push_back((now, event));
        while self.0.front().is_some_and(|(at, _)| now.duration_since(*at) > ERASED_KEPT) {
            self.0.pop_front();
        }
    }

    fn has(&self, event: Position) -> bool {
        self.0.iter().any(|(_, erased)| *erased == event)
    }
}

impl Shared {
    /// Whether `version` is still what the webhook is, and the event was not erased. Asked by a worker just before it writes a request.
    pub fn is_current(&self, webhook: WebhookId, version: Position, event: Position) -> bool {
        let directory = self.directory.read();
        let is_same = directory.webhook(webhook).is_some_and(|w| w.version == version && w.may_be_attempted());
        is_same && !self.erased.read().has(event)
    }

    /// The webhook as it was at `version`, if that is still of use.
    pub fn webhook_at(&self, id: WebhookId, version: Position) -> Option<Arc<Webhook>> {
        self.directory.read().history(id)?.version(version).cloned()
    }

    /// The delivery of the same webhook that has to end before this one is attempted.
    pub fn blocks(&self, webhook: WebhookId, key: DeliveryKey) -> Option<DeliveryKey> {
        self.heads.read().get(&webhook).copied().filter(|head| *head < key)
    }

    /// A look at what there is. It is file I/O.
    pub fn look(&self) -> Look<'_> {
        Look::new(&self.views, &self.stored, &self.covered)
    }

    /// W, the first block that the store does not cover.
    pub fn covered(&self) -> u64 {
        self.covered.load(Ordering::Acquire)
    }

    /// W, and until when what was due is in the backlogs of a store that covers that.
    pub fn store_at(&self) -> (u64, Time) {
        let covered = self.covered();
        (covered, Time(self.swept.load(Ordering::Acquire)))
    }

    /// The end of what is durable now.
    pub fn durable_end(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }
}

/// The log as readers need it, whichever implementation it is.
pub trait Records: Send + Sync {
    /// What lies beside a fact.
    ///
    /// # Errors
    /// When it can't be read or is damaged.
    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError>;

    /// A block without payloads; `None` when it is not in the log.
    ///
    /// # Errors
    /// When it can't be read or is damaged.
    fn facts(&self, block: u64) -> Result<Option<Block>, ReadError>;

    /// The hash of the block before this one; `None` when the log does not know it.
    ///
    /// # Errors
    /// When the log can't be read.
    fn hash_before(&self, block: u64) -> Result<Option<ChainHash>, ReadError>;

    /// The oldest block that is still there.
    fn first(&self) -> u64;
}

impl<R: LogReader> Records for R {
    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        LogReader::payload(self, at)
    }

    fn facts(&self, block: u64) -> Result<Option<Block>, ReadError> {
        LogReader::read_facts(self, block)
    }

    fn hash_before(&self, block: u64) -> Result<Option<ChainHash>, ReadError> {
        LogReader::chain_before(self, block)
    }

    fn first(&self) -> u64 {
        LogReader::first(self)
    }
}
