//! Webhooks that were switched off since they failed: now and then one delivery of theirs is let through. If it arrives, the machine
//! switches its webhook on again.
//!
//! When the next one is due is derived from when the webhook was switched off, and kept in RAM from there: after a start one may come sooner.

use std::collections::{BTreeMap, BTreeSet};

use postrider_core::webhook::Webhook;
use postrider_core::{Millis, Time, WebhookId};

/// How often, unless the configuration says otherwise.
pub const PROBE_EVERY_DEFAULT: Millis = Millis::from_secs(3600);

/// When each of them is tried next.
#[derive(Debug)]
pub(super) struct Probes {
    pub every: Millis,
    next: BTreeMap<WebhookId, Time>,
    in_order: BTreeSet<(Time, WebhookId)>,
}

impl Default for Probes {
    fn default() -> Probes {
        Probes { every: PROBE_EVERY_DEFAULT, next: BTreeMap::new(), in_order: BTreeSet::new() }
    }
}

impl Probes {
    /// A webhook is as it is now.
    pub fn follow(&mut self, webhook: &Webhook) {
        let was_known = self.next.contains_key(&webhook.id);
        self.forget(webhook.id);
        if webhook.failing_since.is_some() {
            // Its owner has changed it, and perhaps mended it.
            let wait = if was_known { Millis(0) } else { self.every };
            self.set(webhook.id, webhook.updated_at + wait);
        }
    }

    pub fn forget(&mut self, webhook: WebhookId) {
        if let Some(next) = self.next.remove(&webhook) {
            self.in_order.remove(&(next, webhook));
        }
    }

    /// One that is to be tried now.
    pub fn take_due(&mut self, now: Time) -> Option<WebhookId> {
        let (next, webhook) = self.in_order.first().copied().filter(|(next, _)| *next <= now)?;
        self.in_order.remove(&(next, webhook));
        self.set(webhook, now + self.every);
        Some(webhook)
    }

    pub fn next(&self) -> Option<Time> {
        self.in_order.first().map(|(next, _)| *next)
    }

    fn set(&mut self, webhook: WebhookId, next: Time) {
        self.next.insert(webhook, next);
        self.in_order.insert((next, webhook));
    }
}
