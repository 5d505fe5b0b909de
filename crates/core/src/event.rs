//! An event: what the publisher reports, as it is accepted and as it is kept.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::ids::{EventId, Position, WebhookId, WorkspaceId};
use crate::time::Time;

/// Tells whether a repeated id carries the same event: a digest of type, `created` as given or absent, and the bytes of `data`.
/// It is kept in the fact, so that it outlives the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The first half of a SHA-256 over the three parts, each preceded by its length.
    pub fn of(event_type: &str, created: Option<&str>, data: &[u8]) -> Digest {
        let mut hash = Sha256::new();
        for part in [Some(event_type.as_bytes()), created.map(str::as_bytes), Some(data)] {
            hash.update(part.map_or(u64::MAX, |p| p.len() as u64).to_le_bytes());
            hash.update(part.unwrap_or_default());
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Digest(half)
    }
}

/// An event that passed its profile's checks and may be published. Everything that takes a pass over the payload is done here, outside of
/// the writer's thread.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The publisher's idempotency key.
    pub id: Option<EventId>,
    /// In the profile's catalogue.
    pub event_type: Box<str>,
    /// When it happened, as the receiver will read it if the profile keeps it as given; else normalised. `None`: the time of acceptance.
    pub created: Option<Box<str>>,
    /// The campaign it belongs to, as text.
    pub campaign: Option<Box<str>>,
    /// The raw JSON object, byte for byte as published.
    pub data: Bytes,
    /// Over what was given.
    pub digest: Digest,
    /// crc32c of `data`.
    pub crc32c: u32,
}

/// A webhook that was chosen for an event, and the revision of its projection that the body is rendered from for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The webhook.
    pub webhook: WebhookId,
    /// The position of the fact that last set its `customFields`.
    pub revision: Position,
}

/// An accepted event. Its payload lies beside the fact in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it was accepted.
    pub at: Position,
    /// When it was accepted, in engine time.
    pub accepted: Time,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The publisher's id, or a generated one.
    pub id: EventId,
    /// In the profile's catalogue.
    pub event_type: Box<str>,
    /// As delivered.
    pub created: Box<str>,
    /// The campaign it belongs to, as text.
    pub campaign: Option<Box<str>>,
    /// To recognise the same event under the same id.
    pub digest: Digest,
    /// Bytes of its payload.
    pub payload_len: u32,
    /// The profile it was accepted under: the position of its `ProfileRegistered`.
    pub profile: Position,
    /// One delivery each, in this order.
    pub chosen: Arc<[Chosen]>,
}
