//! A delivery: one event for one webhook, the unit of the state machine.

use crate::ids::{DeliveryKey, Position, WebhookId, WorkspaceId};
use crate::time::Time;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// An attempt is due, asleep or in flight.
    Pending,
    /// An attempt was answered 2xx.
    Succeeded,
    /// The schedule ended without success; can be retried by hand.
    Exhausted,
    /// The schedule ended without success; nothing sends it again.
    Removed,
    /// Its webhook was deleted, or its event erased, before it ended.
    Cancelled,
}

impl Status {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Succeeded => "succeeded",
            Status::Exhausted => "exhausted",
            Status::Removed => "removed",
            Status::Cancelled => "cancelled",
        }
    }
}

/// All that deciding about a delivery needs to know of it: a value handed to `decide`, never looked up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// Where it stands. A pending delivery whose webhook is gone counts as cancelled without a fact of its own.
    pub status: Status,
    /// Attempts that have finished.
    pub attempts: u32,
    /// Of these, the ones before the present schedule began.
    pub attempts_before: u32,
    /// When the next attempt is due, while pending.
    pub due: Time,
    /// The projection revision that the body is rendered from.
    pub revision: Position,
    /// Where its last attempt was filed.
    pub last_attempt: Option<Position>,
}

impl Cell {
    /// The cell of a delivery that was just chosen.
    pub fn fresh(key: DeliveryKey, workspace: WorkspaceId, webhook: WebhookId, revision: Position, due: Time) -> Cell {
        let status = Status::Pending;
        Cell { key, workspace, webhook, status, attempts: 0, attempts_before: 0, due, revision, last_attempt: None }
    }

    /// Attempts of the present schedule that have finished: which delay it waits for, if it is pending.
    pub fn tier(&self) -> u32 {
        self.attempts.saturating_sub(self.attempts_before)
    }

    /// Its event has just come: its next attempt is the first one, and no replay has added it, which waits behind what is fresh.
    pub fn is_fresh(&self) -> bool {
        self.attempts == 0 && !self.key.is_added()
    }
}

/// What a cell was before a fact changed it, so that whoever files it by due time finds the old place without reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Was {
    /// Its status then.
    pub status: Status,
    /// Its due time then.
    pub due: Time,
}

impl From<&Cell> for Was {
    fn from(cell: &Cell) -> Was {
        Was { status: cell.status, due: cell.due }
    }
}
