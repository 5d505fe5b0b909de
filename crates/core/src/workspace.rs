//! A workspace and its keys.

use std::collections::BTreeMap;

use crate::ids::{KeyId, WorkspaceId};
use crate::sealed::SealingKeyId;
use crate::time::Time;

/// One customer's room: profile, keys, webhooks, events. Nothing in it is visible from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Named by the position of its creation.
    pub id: WorkspaceId,
    /// For people.
    pub name: Box<str>,
    /// The profile's name; never changes.
    pub profile: Box<str>,
    /// The key that its secrets are sealed with.
    pub sealing_key: SealingKeyId,
    /// When it was made.
    pub created_at: Time,
    /// Its keys that were not revoked.
    pub keys: BTreeMap<KeyId, Key>,
}

/// A key's SHA-256: all that is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A workspace's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Named by the position of its creation.
    pub id: KeyId,
    /// Where it acts.
    pub workspace: WorkspaceId,
    /// For people.
    pub name: Box<str>,
    /// What it may do.
    pub scopes: Scopes,
    /// What a presented key is compared with.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Time,
}

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every GET.
    Read,
    /// Publishing, and the catalogue.
    EventsWrite,
    /// Everything in the workspace.
    All,
}

impl Scope {
    /// Each with its name in the API.
    pub const NAMES: [(Scope, &'static str); 3] =
        [(Scope::Read, "READ"), (Scope::EventsWrite, "EVENTS_WRITE"), (Scope::All, "ALL")];
}

/// The permissions of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Everything.
    pub const ALL: Scopes = Scopes(1 << Scope::All as u8);

    /// With `scope` added.
    #[must_use]
    pub fn with(self, scope: Scope) -> Scopes {
        Scopes(self.0 | 1 << scope as u8)
    }

    /// Whether `scope` itself was given.
    pub fn names(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    /// Whether a key with these may do what needs `scope`.
    pub fn allow(self, scope: Scope) -> bool {
        self.names(scope) || self.names(Scope::All)
    }

    /// As one byte, for the log.
    pub fn to_bits(self) -> u8 {
        self.0
    }

    /// From [`Scopes::to_bits`]; unknown bits are dropped.
    pub fn from_bits(bits: u8) -> Scopes {
        Scopes(bits & 0b111)
    }
}
