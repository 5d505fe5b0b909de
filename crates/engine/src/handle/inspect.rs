//! What whoever runs the engine sees of it: its profiles, where it may send, and how log and store stand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use postrider_core::profile::Profile;

use super::Handle;

/// Where deliveries may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressRules {
    /// Ranges that are open although they are not public.
    pub allow: Vec<String>,
    /// Plain http is refused.
    pub https_only: bool,
}

/// How the engine stands, of all workspaces together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFigures {
    /// How many workspaces there are.
    pub workspaces: usize,
    /// And webhooks.
    pub webhooks: usize,
    /// Unfinished deliveries by how many attempts of their present schedule have failed.
    pub pending_by_tier: Vec<u64>,
    /// Attempts in flight, as of a fifth of a second ago at the most.
    pub in_flight: u64,
    /// The oldest block of the log.
    pub log_first: u64,
    /// The block that comes next.
    pub log_end: u64,
    /// Bytes of the log's files, as of a fifth of a second ago at the most. An engine in memory has as much in RAM.
    pub log_bytes: u64,
    /// The first block that the store does not cover.
    pub covered: u64,
    /// Unfinished deliveries in the store; `None` where there is no store that can be asked.
    pub in_store: Option<u64>,
}

impl Handle {
    /// The profiles that workspaces can have, by name.
    pub fn profiles(&self) -> Vec<Arc<Profile>> {
        let directory = self.0.shared.directory.read();
        let found = directory.profile_names().filter_map(|name| directory.profile_named(name));
        found.map(|(_, profile)| Arc::clone(profile)).collect()
    }

    /// Where deliveries may go.
    pub fn egress_rules(&self) -> EgressRules {
        let allow = self.0.dispatch.policy().allowed().map(|range| range.to_string()).collect();
        EgressRules { allow, https_only: self.0.dispatch.https_only() }
    }

    /// How the engine stands.
    pub fn figures(&self) -> EngineFigures {
        let shared = &self.0.shared;
        let (workspaces, webhooks) = {
            let directory = shared.directory.read();
            (directory.workspaces().count(), directory.workspaces().map(|w| directory.webhook_count(w.id)).sum())
        };
        EngineFigures {
            workspaces,
            webhooks,
            pending_by_tier: self.pending_by_tier(),
            in_flight: shared.in_flight.load(Ordering::Relaxed),
            log_first: shared.records.first(),
            log_end: shared.durable_end(),
            log_bytes: shared.log_bytes.load(Ordering::Relaxed),
            covered: shared.covered(),
            in_store: shared.stored.pending_len(),
        }
    }
}
