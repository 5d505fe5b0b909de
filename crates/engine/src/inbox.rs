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
    /// What it is about can't be read now.
    Unread,
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
    gate: Arc<Gate>,
}

/// The writer's end. Dropping it drops what is in it, so that everyone who waits for an answer learns that there is none.
pub struct Outbox {
    /// What was sent.
    pub messages: Receiver<Message>,
    gate: Arc<Gate>,
}

/// What both ends see.
#[derive(Default)]
struct Gate {
    /// Bytes of payloads that wait or are being decided upon.
    bytes: AtomicUsize,
    is_closed: AtomicBool,
    /// Senders between the look at `is_closed` and the end of their sending.
    passing: AtomicUsize,
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
    let gate = Arc::new(Gate::default());
    (Inbox { messages: sender, gate: Arc::clone(&gate) }, Outbox { messages, gate })
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
        if self.gate.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > BYTES_MAX {
            self.gate.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(SendError::Overloaded);
        }
        let (sender, answers) = oneshot::channel();
        let sent = self.send(Message::Publish(workspace, events, sender));
        if sent.is_err() {
            self.gate.bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        sent.map(|()| answers)
    }

    /// Takes nothing more; what is in it is still answered.
    pub fn close(&self) {
        self.gate.is_closed.store(true, Ordering::SeqCst);
    }

    /// Whether the engine is stopping.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed.load(Ordering::SeqCst)
    }

    fn send(&self, message: Message) -> Result<(), SendError> {
        // Told before the look at `is_closed`, and the other end looks in the other order: one of the two sees the other.
        self.gate.passing.fetch_add(1, Ordering::SeqCst);
        let sent = if self.is_closed() { Err(SendError::Closed) } else { self.pass(message) };
        self.gate.passing.fetch_sub(1, Ordering::SeqCst);
        sent
    }

    fn pass(&self, message: Message) -> Result<(), SendError> {
        self.messages.try_send(message).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(_) => SendError::Overloaded,
            crossbeam_channel::TrySendError::Disconnected(_) => SendError::Closed,
        })
    }
}

impl Outbox {
    /// Gives back the room of payloads that were decided upon.
    pub fn release(&self, bytes: usize) {
        self.gate.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.gate.is_closed.store(true, Ordering::SeqCst);
        // The channel alone would keep what is queued for as long as a sender lives. Sending never waits, so this is soon over.
        while self.gate.passing.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        self.messages.try_iter().for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_core::Position;
    use postrider_core::event::Digest;

    #[tokio::test]
    async fn who_waits_when_the_writer_ends_learns_that_there_is_no_answer() {
        let (inbox, outbox) = inbox();
        let waits = inbox.publish(WorkspaceId(Position::from_u64(1)), Vec::new()).unwrap();
        drop(outbox);
        assert!(waits.await.is_err());
        assert_eq!(inbox.publish(WorkspaceId(Position::from_u64(1)), Vec::new()).err(), Some(SendError::Closed));
    }

    #[test]
    fn payloads_beyond_the_limit_are_refused_until_room_is_given_back() {
        let (inbox, outbox) = inbox();
        inbox.gate.bytes.store(BYTES_MAX, Ordering::SeqCst);
        let event = || {
            vec![NewEvent {
                id: None,
                event_type: "t".into(),
                created: None,
                campaign: None,
                data: bytes::Bytes::from_static(b"{}"),
                digest: Digest([0; 16]),
                crc32c: 0,
            }]
        };
        assert_eq!(inbox.publish(WorkspaceId(Position::from_u64(1)), event()).err(), Some(SendError::Overloaded));
        outbox.release(2);
        assert!(inbox.publish(WorkspaceId(Position::from_u64(1)), event()).is_ok());
    }
}
