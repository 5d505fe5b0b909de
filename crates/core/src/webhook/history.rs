//! What a webhook was at each moment: bodies are rendered, requests shown and decisions explained as of then.

use std::sync::Arc;

use super::Webhook;
use crate::ids::Position;

/// All versions of a webhook, oldest first, and its end.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    versions: Vec<Arc<Webhook>>,
    deleted: Option<Position>,
}

impl History {
    /// Begins with the first version that is known.
    pub fn new(webhook: Arc<Webhook>) -> History {
        History { versions: vec![webhook], deleted: None }
    }

    /// Takes in a newer version.
    pub fn note(&mut self, webhook: Arc<Webhook>) {
        self.versions.push(webhook);
    }

    /// It was deleted at this position.
    pub fn end(&mut self, at: Position) {
        self.deleted = Some(at);
    }

    /// Where it was deleted.
    pub fn deleted(&self) -> Option<Position> {
        self.deleted
    }

    /// Oldest first.
    pub fn versions(&self) -> &[Arc<Webhook>] {
        &self.versions
    }

    /// The version that the fact at this position made.
    pub fn version(&self, at: Position) -> Option<&Arc<Webhook>> {
        let found = self.versions.binary_search_by_key(&at, |webhook| webhook.version).ok()?;
        Some(&self.versions[found])
    }

    /// What it was just before this position; `None` if it was not there yet.
    pub fn before(&self, at: Position) -> Option<&Arc<Webhook>> {
        let known = self.versions.partition_point(|webhook| webhook.version < at);
        self.versions.get(known.checked_sub(1)?)
    }

    /// Forgets versions that were no longer in force at block `first`. One that set the custom fields stays: what is unfinished is
    /// rendered from it, however old it is.
    pub fn forget_below(&mut self, first: u64) {
        let then = self.before(Position::new(first, 0)).map(|webhook| webhook.version);
        self.versions
            .retain(|webhook| webhook.revision == webhook.version || then.is_none_or(|v| webhook.version >= v));
    }
}
