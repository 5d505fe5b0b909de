//! What the engine's threads share: the readers' copy of the directory, the views and how far they are, the end that is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use postrider_core::directory::Directory;
use postrider_core::fact::Record;
use postrider_core::webhook::Webhook;
use postrider_core::{Position, WebhookId};
use postrider_log::{LogReader, ReadError, codec};
use tokio::sync::watch;

use crate::poison::Poison;
use crate::views::Views;

/// See the module.
pub struct Shared {
    /// Written by the writer, only by facts about it, before the replies to their commands go out: so a reader sees what was answered.
    pub directory: RwLock<Directory>,
    /// Written by the projector alone.
    pub views: RwLock<Views>,
    /// Blocks that the projector has taken in.
    pub projected: watch::Sender<u64>,
    /// Blocks that are durable.
    pub durable: AtomicU64,
    /// The log, to read back.
    pub records: Box<dyn Records>,
    /// Why the engine has stopped, once it has.
    pub poison: Poison,
}

impl Shared {
    /// Whether `version` is still what the webhook is. Asked by a worker just before it writes a request.
    pub fn is_current(&self, webhook: WebhookId, version: Position) -> bool {
        let directory = self.directory.read();
        directory.webhook(webhook).is_some_and(|w| w.version == version && w.settings.enabled)
    }

    /// The webhook as it was at `version`; read back from the log when it has changed since.
    pub fn webhook_at(&self, id: WebhookId, version: Position) -> Option<Arc<Webhook>> {
        use postrider_core::fact::Fact::{WebhookChanged, WebhookCreated};
        let now = self.directory.read().webhook(id).filter(|w| w.version == version).cloned();
        now.or_else(|| match self.records.record(version) {
            Ok(Some(Record { fact: WebhookCreated(webhook) | WebhookChanged(webhook), .. })) => Some(webhook),
            _ => None,
        })
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

    /// A single record.
    ///
    /// # Errors
    /// When it can't be read or is damaged.
    fn record(&self, at: Position) -> Result<Option<Record>, ReadError>;
}

impl<R: LogReader> Records for R {
    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        LogReader::payload(self, at)
    }

    fn record(&self, at: Position) -> Result<Option<Record>, ReadError> {
        let Some(block) = self.read_facts(at.block())? else {
            return Ok(None);
        };
        Ok(block.fact(at.index()).and_then(|bytes| codec::decode(at, block.time(), bytes).ok()))
    }
}
