//! A webhook in the books: what it is, what waits for it, and what limits it.

use std::collections::BTreeSet;
use std::sync::Arc;

use postrider_core::delivery::Cell;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, Millis, Time};

/// How often a webhook that is off since it fails is tried.
const TRIED_EVERY: Millis = Millis::from_secs(3600);

#[derive(Clone, Debug)]
pub(super) struct Hook {
    /// As it is, or was when it was deleted.
    pub(super) webhook: Arc<Webhook>,
    /// The host that it shares permits with.
    pub(super) host: Box<str>,
    pub(super) alive: bool,
    /// Deliveries that have not ended.
    pub(super) pending: u64,
    /// Due times of those whose event has just come, and of those that wait for another attempt or were added.
    pub(super) fresh: BTreeSet<(Time, DeliveryKey)>,
    pub(super) retry: BTreeSet<(Time, DeliveryKey)>,
    pub(super) in_flight: u32,
    /// An attempt has ended since the process began.
    pub(super) answered: bool,
    /// An attempt took over a second since the process began.
    pub(super) may_be_slow: bool,
    pub(super) last_start: Option<Time>,
    /// Off since it fails: so often it was tried, and from when on it may be, once in a while.
    pub(super) tried: u64,
    pub(super) tried_from: Time,
    /// When a delivery of it last came, moved on or ended: of an ordered one, another may be first since.
    pub(super) moved_at: Time,
}

impl Hook {
    pub(super) fn new(webhook: Arc<Webhook>) -> Hook {
        Hook {
            host: host_of(&webhook.settings.url),
            webhook,
            alive: true,
            pending: 0,
            fresh: BTreeSet::new(),
            retry: BTreeSet::new(),
            in_flight: 0,
            answered: false,
            may_be_slow: false,
            last_start: None,
            tried: 0,
            tried_from: Time(0),
            moved_at: Time(0),
        }
    }

    /// Of an ordered webhook, what waits and comes first: by event, whenever it is due.
    pub(super) fn first(&self) -> Option<(Time, DeliveryKey)> {
        self.fresh.iter().chain(&self.retry).min_by_key(|(_, key)| *key).copied()
    }

    pub(super) fn lane(&mut self, cell: &Cell) -> &mut BTreeSet<(Time, DeliveryKey)> {
        if is_first(cell) { &mut self.fresh } else { &mut self.retry }
    }

    /// It has other settings.
    pub(super) fn change(&mut self, webhook: &Arc<Webhook>) {
        let was_failing = self.webhook.failing_since.is_some();
        self.host = host_of(&webhook.settings.url);
        self.webhook = Arc::clone(webhook);
        self.tries_begin(if was_failing { Millis(0) } else { TRIED_EVERY });
    }

    /// From a while after the last change on.
    pub(super) fn tries_begin(&mut self, wait: Millis) {
        (self.tried, self.tried_from) = (0, self.webhook.updated_at + wait);
    }

    /// Whether it may be tried though it is off, once more than it was.
    pub(super) fn may_be_tried(&self, now: Time) -> bool {
        let since = now.0.checked_sub(self.tried_from.0);
        self.webhook.failing_since.is_some() && since.is_some_and(|since| self.tried <= since / TRIED_EVERY.0)
    }

    /// The delivery waits for an attempt.
    pub(super) fn wait(&mut self, cell: &Cell) {
        if self.alive {
            self.lane(cell).insert((cell.due, cell.key));
        }
    }

    /// It waits no more.
    pub(super) fn unwait(&mut self, cell: &Cell) {
        self.lane(cell).remove(&(cell.due, cell.key));
    }

    pub(super) fn waiting(&self) -> usize {
        self.fresh.len() + self.retry.len()
    }

    /// Deleted: what waited is cancelled.
    pub(super) fn die(&mut self) {
        self.alive = false;
        self.pending = 0;
        self.fresh.clear();
        self.retry.clear();
    }

    /// A process begins that knows nothing of how this webhook answers.
    pub(super) fn forget_process(&mut self) {
        self.in_flight = 0;
        self.answered = false;
        self.may_be_slow = false;
        self.last_start = None;
        // It knows when the webhook was changed, and not when it was tried.
        self.tries_begin(TRIED_EVERY);
    }
}

/// Its event has just come; one that a replay has added waits with the retries.
pub(super) fn is_first(cell: &Cell) -> bool {
    cell.attempts == 0 && cell.key.ordinal < super::replays::FIRST_ADDED
}

/// What lies between `//` and the next `/`.
fn host_of(url: &str) -> Box<str> {
    url.split('/').nth(2).unwrap_or_default().into()
}
