//! What goes into a turn, and what comes of it.

use std::sync::Arc;

use bytes::Bytes;
use postrider_core::command::{Command, Rejection, Reply};
use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::Record;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::Webhook;
use postrider_core::{Position, Time};
use postrider_log::{AppendError, EraseError};

use super::Prefetch;

/// A command with what its answer is to be handed to.
pub struct Input<T> {
    /// The wish.
    pub command: Command,
    /// What was read for it.
    pub prefetch: Option<Prefetch>,
    /// Comes back with the answer.
    pub token: T,
}

impl<T> Input<T> {
    /// A command for which nothing was read.
    pub fn new(command: Command, token: T) -> Input<T> {
        Input { command, prefetch: None, token }
    }
}

/// What one turn came to. All of it is durable.
pub struct Turned<T> {
    /// The answers, in the order of the commands.
    pub replies: Vec<(T, Result<Reply, Rejection>)>,
    /// Commands that were not decided on, since what is to be read for them is missing or too old: to be [read](super::prefetch) and given again.
    pub again: Vec<Input<T>>,
    /// The facts, in the order of the log.
    pub records: Vec<Record>,
    /// Keys that nothing is sealed with any more.
    pub destroyed: Vec<SealingKeyId>,
    /// Accepted events with their payloads, for whoever renders them first.
    pub payloads: Vec<(Position, Bytes)>,
}

/// Why there was no turn.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The log has no space. No command was taken and nothing has changed; there may be space later.
    #[error("the log has no space left")]
    Full,
    /// The log can't be written: the engine must stop, and may not acknowledge anything more.
    #[error("the log cannot be written: {0}")]
    Poisoned(#[from] AppendError),
    /// Payloads can't be erased, and an engine that said they were may not go on.
    #[error("payloads cannot be erased: {0}")]
    Erase(#[from] EraseError),
}

/// One attempt to be made now. Its permits are taken until [`Shard::turn`] files its `Finish`, or [`Shard::withdrawn`].
///
/// [`Shard::turn`]: super::Shard::turn
/// [`Shard::withdrawn`]: super::Shard::withdrawn
#[derive(Clone, Debug)]
pub struct Job {
    /// The delivery as it stands.
    pub cell: Cell,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// When it was picked.
    pub started: Time,
    /// What to send.
    pub event: Arc<Event>,
    /// The position of the fact beside which its payload lies.
    pub payload: Position,
    /// Where to send it, and with what.
    pub webhook: Arc<Webhook>,
}
