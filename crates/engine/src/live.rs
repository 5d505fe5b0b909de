//! Attempts as they end, for whoever watches: told after the views have taken them in, so that what is told can be looked up.
//!
//! Nobody waits for a watcher. One that is slower than its attempts misses some, and is told how many.

use postrider_core::fact::{Fact, Record};
use postrider_core::{Position, WebhookId, WorkspaceId};
use tokio::sync::broadcast::{self, error::RecvError};

/// Attempts that a watcher may be behind.
const BEHIND_MAX: usize = 1_024;

/// Which attempt has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Whose.
    pub workspace: WorkspaceId,
    /// In this webhook's log.
    pub webhook: WebhookId,
    /// Where it was filed.
    pub position: Position,
}

/// What a watcher is told.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// An attempt has ended.
    Ended(Ended),
    /// So many attempts, of all workspaces, ended while the watcher was too far behind.
    Missed(u64),
}

/// The sender's end.
pub struct Live(broadcast::Sender<Ended>);

/// The watcher's end.
pub struct Watch(broadcast::Receiver<Ended>);

impl Default for Live {
    fn default() -> Live {
        Live(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Live {
    /// Whether anyone watches.
    pub fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Tells what has ended.
    pub fn tell(&self, record: &Record) {
        let ended = match &record.fact {
            Fact::AttemptFinished { cell, .. } => {
                Ended { workspace: cell.workspace, webhook: cell.webhook, position: record.position }
            }
            Fact::TestFinished { workspace, webhook, .. } => {
                Ended { workspace: *workspace, webhook: *webhook, position: record.position }
            }
            _ => return,
        };
        // The last watcher may have gone just now.
        let _ = self.0.send(ended);
    }

    /// Watches from now on.
    pub fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

impl Watch {
    /// The next thing to tell; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Told> {
        match self.0.recv().await {
            Ok(ended) => Some(Told::Ended(ended)),
            Err(RecvError::Lagged(missed)) => Some(Told::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
