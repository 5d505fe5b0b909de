//! Ordered webhooks: who is next.
//!
//! Of an ordered webhook the schedule has one delivery, the *head*: of those that have not ended, the one of the oldest event, be it due,
//! asleep between two attempts or in flight. The next one takes its place when it has ended. So that the head is known, the shard keeps the
//! first unfinished deliveries of each ordered webhook in a *line*, by event, without a gap: whatever is unfinished and not behind the last
//! of them is among them. What lies behind is counted on nobody: it is read when the line is empty, from the overlay and from the store, which
//! together have all that is unfinished. What is made due again by hand or by a replay takes the place that its event has.
//!
//! The lines are derived: no fact is about them, and a start forms them anew.

use std::collections::BTreeSet;

use postrider_core::delivery::Cell;
use postrider_core::{DeliveryKey, WebhookId};
use postrider_log::LogWriter;

use super::{Shard, Wanted};
use crate::overlay::Recalled;

/// The first unfinished deliveries of an ordered webhook.
#[derive(Debug, Default)]
pub(super) struct Line {
    known: BTreeSet<DeliveryKey>,
    /// Nothing unfinished is missing up to here; `None`: nothing was looked at yet.
    up_to: Option<DeliveryKey>,
    /// Nothing unfinished is missing at all.
    is_whole: bool,
    /// The one that was put into the schedule.
    placed: Option<DeliveryKey>,
}

impl Line {
    fn covers(&self, key: DeliveryKey) -> bool {
        self.is_whole || self.up_to.is_some_and(|last| key <= last)
    }

    /// Whether it is one of the first.
    pub fn has(&self, key: DeliveryKey) -> bool {
        self.known.contains(&key)
    }

    fn lacks(&self) -> bool {
        self.known.is_empty() && !self.is_whole
    }

    /// Lets go of the last one if there are more than `max`.
    fn shorten(&mut self, max: usize) -> Option<DeliveryKey> {
        let last = if self.known.len() > max { self.known.pop_last() } else { None }?;
        (self.up_to, self.is_whole) = (self.known.last().copied(), false);
        Some(last)
    }
}

impl<W: LogWriter> Shard<W> {
    /// The heads that are others since this was asked last: what blocks the other deliveries of these webhooks.
    pub fn take_moved(&mut self) -> Vec<(WebhookId, Option<DeliveryKey>)> {
        std::mem::take(&mut self.moved)
    }

    /// Whether an unfinished delivery waits behind others of its webhook, and will be found when it is its turn.
    pub(super) fn waits_in_line(&self, cell: &Cell) -> bool {
        let is_found = |line: &Line| line.known.contains(&cell.key) || !line.covers(cell.key);
        self.lines.get(&cell.webhook).is_some_and(is_found)
    }

    /// After the replay.
    pub(super) fn form_lines(&mut self) {
        let ordered = self.kernel.directory.webhooks().filter(|webhook| webhook.settings.ordered);
        let ordered: Vec<_> = ordered.map(|webhook| webhook.id).collect();
        ordered.into_iter().for_each(|webhook| self.keep_order(webhook, true));
    }

    /// From here on the webhook keeps the order, or does not.
    pub(super) fn keep_order(&mut self, webhook: WebhookId, is_ordered: bool) {
        match (is_ordered, self.lines.contains_key(&webhook)) {
            (true, false) => {
                self.scheduler.set_serial(webhook, true);
                let (queued, has_spilled) = (self.scheduler.clear(webhook), self.drop_spill(webhook));
                if queued > 0 || has_spilled {
                    self.overlay.all_may_be_idle();
                }
                let is_whole = self.kernel.pending_of(webhook) == 0;
                self.lines.insert(webhook, Line { is_whole, ..Line::default() });
                self.look_along(webhook);
            }
            (false, true) => {
                self.scheduler.set_serial(webhook, false);
                self.forget_line(webhook);
                self.to_scatter.push(webhook);
            }
            _ => {}
        }
    }

    pub(super) fn forget_line(&mut self, webhook: WebhookId) {
        if self.lines.remove(&webhook).is_some() {
            self.moved.push((webhook, None));
        }
    }

    /// It is unfinished; if it is the oldest, it goes into the schedule.
    pub(super) fn stand_in_line(&mut self, cell: &Cell) {
        let max = self.line_max();
        let Some(line) = self.lines.get_mut(&cell.webhook) else { return };
        if line.covers(cell.key) && line.known.insert(cell.key) {
            let gone = line.shorten(max);
            self.overlay_may_let_go(gone);
        }
        self.place_head(cell.webhook);
    }

    /// A delivery has left the schedule, and may have ended.
    pub(super) fn has_moved_on(&mut self, key: DeliveryKey) {
        let Some(cell) = self.overlay.cell(key).copied() else { return };
        let is_pending = self.kernel.is_pending(&cell);
        let Some(line) = self.lines.get_mut(&cell.webhook) else { return };
        if line.placed == Some(key) {
            line.placed = None;
        }
        // One that goes on is filed next.
        if !is_pending {
            line.known.remove(&key);
            self.look_along(cell.webhook);
        }
    }

    /// The line that is to be read from the store next.
    pub(super) fn line_wanted(&self) -> Option<Wanted> {
        let (webhook, line) = self.lines.iter().find(|(_, line)| line.lacks())?;
        Some(Wanted::Line { webhook: *webhook, after: line.up_to, max: self.line_max() })
    }

    /// The next ones of a webhook in the store, behind `after`, were read.
    pub(super) fn line_found(
        &mut self,
        webhook: WebhookId,
        after: Option<DeliveryKey>,
        found: Vec<(DeliveryKey, Option<Recalled>)>,
        is_all: bool,
    ) {
        // It may have been formed anew meanwhile, or need no more.
        if self.lines.get(&webhook).is_none_or(|line| !line.lacks() || line.up_to != after) {
            return;
        }
        let last = found.last().map(|(key, _)| *key);
        let mut keys = Vec::new();
        for (key, recalled) in found {
            if let Some(recalled) = recalled {
                self.overlay.admit(recalled);
                self.overlay.may_be_idle(key.event);
            }
            keys.push(key);
        }
        self.extend_line(webhook, if is_all { None } else { last }, keys);
    }

    /// Looks for the next ones where all that is unfinished is in RAM; else they will be read.
    fn look_along(&mut self, webhook: WebhookId) {
        if self.lines.get(&webhook).is_some_and(Line::lacks) && self.overlay.base() == 0 {
            self.extend_line(webhook, None, Vec::new());
        } else {
            self.place_head(webhook);
        }
    }

    /// Takes in `read`, and what the overlay has up to `last`, or all.
    fn extend_line(&mut self, webhook: WebhookId, last: Option<DeliveryKey>, read: Vec<DeliveryKey>) {
        let (overlay, kernel, max) = (&self.overlay, &self.kernel, self.line_max());
        let Some(line) = self.lines.get_mut(&webhook) else { return };
        let is_of_line = |cell: &&Cell| {
            let is_between =
                line.up_to.is_none_or(|first| cell.key > first) && last.is_none_or(|last| cell.key <= last);
            cell.webhook == webhook && is_between && kernel.is_pending(cell)
        };
        let mut keys: BTreeSet<DeliveryKey> = overlay.cells().filter(is_of_line).map(|cell| cell.key).collect();
        // What is in the overlay is newer than what was read.
        keys.extend(read.into_iter().filter(|key| overlay.cell(*key).is_some_and(|cell| kernel.is_pending(cell))));
        line.known.append(&mut keys);
        (line.is_whole, line.up_to) = (last.is_none(), last);
        let mut gone = Vec::new();
        while let Some(last) = line.shorten(max) {
            gone.push(last);
        }
        gone.into_iter().for_each(|key| self.overlay_may_let_go(Some(key)));
        self.place_head(webhook);
    }

    fn overlay_may_let_go(&mut self, key: Option<DeliveryKey>) {
        if let Some(key) = key {
            self.overlay.may_be_idle(key.event);
        }
    }

    /// Puts the oldest one into the schedule, in the place of another that was the oldest before.
    fn place_head(&mut self, webhook: WebhookId) {
        let Some(line) = self.lines.get_mut(&webhook) else { return };
        let head = line.known.first().copied();
        let before = std::mem::replace(&mut line.placed, head);
        if before != head || head.is_none() {
            self.moved.push((webhook, head));
        }
        if let Some(before) = before.filter(|before| Some(*before) != head) {
            // Unless it is in flight: then it ends first.
            self.scheduler.forget(before);
        }
        if let Some(key) = head
            && self.scheduler.residency(key).is_none()
            && let Some(cell) = self.overlay.cell(key).copied()
        {
            self.place(&cell);
        }
    }

    /// Files what waits of webhooks that keep the order no more. Once all else that the turn led to is done: what came in it is in the
    /// overlay already, and is filed by its own effect.
    pub(super) fn scatter_all(&mut self) {
        while let Some(webhook) = self.to_scatter.pop() {
            if self.scheduler.knows(webhook) && !self.lines.contains_key(&webhook) {
                self.scatter(webhook);
            }
        }
    }

    /// What is here is filed as that of any webhook, and what is in the store comes back as its backlog.
    fn scatter(&mut self, webhook: WebhookId) {
        let is_waiting = |cell: &&Cell| {
            cell.webhook == webhook && self.kernel.is_pending(cell) && self.scheduler.residency(cell.key).is_none()
        };
        let waiting: Vec<Cell> = self.overlay.cells().filter(is_waiting).copied().collect();
        waiting.iter().for_each(|cell| self.file(cell));
        self.may_have_backlogs(webhook);
    }

    /// So many are known of one line at the most. Without a store everything is in RAM anyhow.
    fn line_max(&self) -> usize {
        self.reliance.as_ref().map_or(usize::MAX, |reliance| (reliance.bounds.lane as usize / 4).max(1))
    }
}
