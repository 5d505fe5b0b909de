//! The inbox: the one way to the writer. Bounded in messages and in bytes; a full inbox refuses and never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use postrider_core::WorkspaceId;
use postrider_core::command::{Command, Rejection, Reply};
use postrider_core::event::NewEvent;
use tokio::sync::oneshot;

/// Messages that may wait.
const MESSAGES_MAX: usize = 16_384;
/// Bytes of payloads that may wait or be in the turn that is being decided.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an answer can be besides a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// The state does not allow it.
    Rejected(Rejection),
    /// The log has no space.
    Full,
}

/// The answer to one command.
pub type Answer = Result<Reply, Declined>;

/// What the writer is sent.
pub enum Message {
    /// One command.
    Command(Box<Command>, oneshot::Sender<Answer>),
    /// Events of one request, answered together.
    Publish(WorkspaceId, Vec<NewEvent>, oneshot::Sender<Vec<Answer>>),
}

/// The senders' end.
#[derive(Clone)]
pub struct Inbox {
    messages: Sender<Message>,
    bytes: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
}

/// The writer's end.
pub struct Outbox {
    /// What was sent.
    pub messages: Receiver<Message>,
    bytes: Arc<AtomicUsize>,
}

/// Why the inbox does not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Too much is waiting already.
    Overloaded,
    /// The engine is stopping.
    Closed,
}

/// An empty inbox.
pub fn inbox() -> (Inbox, Outbox) {
    let (sender, messages) = bounded(MESSAGES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox { messages: sender, bytes: Arc::clone(&bytes), is_closed: Arc::default() };
    (inbox, Outbox { messages, bytes })
}

impl Inbox {
    /// Sends a command.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn command(&self, command: Command) -> Result<oneshot::Receiver<Answer>, SendError> {
        let (sender, answer) = oneshot::channel();
        self.send(Message::Command(Box::new(command), sender))?;
        Ok(answer)
    }

    /// Sends the events of one request.
    ///
    /// # Errors
    /// When they are not taken: none of them, then.
    pub fn publish(
        &self,
        workspace: WorkspaceId,
        events: Vec<NewEvent>,
    ) -> Result<oneshot::Receiver<Vec<Answer>>, SendError> {
        let bytes: usize = events.iter().map(|event| event.data.len()).sum();
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(SendError::Overloaded);
        }
        let (sender, answers) = oneshot::channel();
        let sent = self.send(Message::Publish(workspace, events, sender));
        if sent.is_err() {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        sent.map(|()| answers)
    }

    /// Takes nothing more; what is in it is still answered.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether the engine is stopping.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn send(&self, message: Message) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        self.messages.try_send(message).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(_) => SendError::Overloaded,
            crossbeam_channel::TrySendError::Disconnected(_) => SendError::Closed,
        })
    }
}

impl Outbox {
    /// Gives back the room of payloads that were decided upon.
    pub fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}
