//! What finds its webhook's queue full: where it waits, and how it comes back.
//!
//! It waits in the overlay until the store has it, and then in the webhook's backlog there. When the queue has become short, what is in the
//! store comes first, in order of due time, and then what is still here.

use std::collections::BTreeSet;
use std::ops::Bound;

use postrider_core::delivery::Cell;
use postrider_core::{DeliveryKey, Time, WebhookId};
use postrider_log::LogWriter;
use postrider_store::{Asleep, Lane};

use super::{Shard, Wanted};

/// What one lane of a webhook's queue had no room for.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// Of this, what is in the overlay.
    pub here: BTreeSet<(Time, DeliveryKey)>,
    /// The latest due time of what is in the store alone; `None`: nothing is.
    pub in_store: Option<Time>,
    /// Of that, the last one that was read in the pass that is on.
    pub read_to: Option<Asleep>,
    /// The pass has found something that was not here.
    pub has_found: bool,
    /// There was nothing to read when all that was due before this was in the backlog.
    empty_at: Time,
}

pub(super) const LANES: [Lane; 2] = [Lane::Fresh, Lane::Retry];

pub(super) fn lane_of(cell: &Cell) -> Lane {
    if cell.is_fresh() { Lane::Fresh } else { Lane::Retry }
}

impl Spill {
    pub fn is_in_store(&mut self, due: Time) {
        self.in_store = self.in_store.max(Some(due));
        self.empty_at = Time(0);
    }

    /// The backlog was read to its end, and all that was due before `swept` was in it.
    pub fn is_read(&mut self, swept: Time) {
        self.empty_at = swept;
        self.in_store = self.in_store.filter(|latest| *latest >= swept);
    }

    fn is_over(&self) -> bool {
        self.here.is_empty() && self.in_store.is_none()
    }
}

impl<W: LogWriter> Shard<W> {
    /// Whether something that is due, and for which there is room, may be in the store alone: it waits for the store to move on.
    pub fn has_spilled(&self) -> bool {
        let Some(reliance) = &self.reliance else { return false };
        let in_store = |lane| reliance.spilled.get(lane).is_some_and(|spill| spill.in_store.is_some());
        reliance.short.iter().any(|lane| in_store(lane) && self.is_short(lane.0, lane.1))
    }

    pub(super) fn full_webhooks(&self) -> Vec<WebhookId> {
        let Some(reliance) = &self.reliance else { return Vec::new() };
        let is_full = |webhook: &WebhookId| LANES.iter().all(|lane| self.room(*webhook, *lane) == 0);
        let mut webhooks: Vec<_> = reliance.spilled.keys().map(|(webhook, _)| *webhook).filter(is_full).collect();
        webhooks.dedup();
        webhooks
    }

    /// A backlog of a lane that has become short; each in its turn.
    pub(super) fn next_backlog(&mut self) -> Option<Wanted> {
        let reliance = self.reliance.as_ref()?;
        let behind = reliance.short.range((Bound::Excluded(reliance.asked), Bound::Unbounded));
        let mut lanes = behind.chain(reliance.short.range(..=reliance.asked));
        let (asked, after) = lanes.find_map(|lane| {
            let spill = reliance.spilled.get(lane).filter(|spill| spill.in_store.is_some())?;
            let is_new = spill.read_to.is_some() || spill.empty_at < reliance.swept;
            (is_new && self.is_short(lane.0, lane.1)).then_some((*lane, spill.read_to))
        })?;
        let max = self.refill_len();
        self.reliance.as_mut()?.asked = asked;
        Some(Wanted::Backlog { webhook: asked.0, lane: asked.1, after, max })
    }

    /// What has spilled and is still here joins its queue again, where that has become short and the store has nothing older.
    pub(super) fn refill(&mut self) {
        let Some(reliance) = &self.reliance else { return };
        let (short, full): (Vec<_>, Vec<_>) =
            reliance.short.iter().partition(|(webhook, lane)| self.is_short(*webhook, *lane));
        let is_wanted = |spill: &Spill| !spill.here.is_empty() && spill.in_store.is_none();
        let short: Vec<_> =
            short.into_iter().filter(|lane| reliance.spilled.get(lane).is_some_and(is_wanted)).collect();
        if let Some(reliance) = &mut self.reliance {
            reliance.short.retain(|lane| !full.contains(lane));
        }
        for (webhook, lane) in short {
            for _ in 0..self.refill_len() {
                let Some(reliance) = &mut self.reliance else { return };
                let spill = reliance.spilled.get_mut(&(webhook, lane));
                let Some((due, key)) = spill.and_then(|spill| spill.here.pop_first()) else { break };
                if let Some(cell) = self.waiting_cell(key, due) {
                    self.place(&cell);
                }
            }
            self.end_spill(webhook, lane);
        }
    }

    fn refill_len(&self) -> usize {
        self.reliance.as_ref().map_or(1, |reliance| (reliance.bounds.lane as usize / 2).max(1))
    }

    pub(super) fn end_spill(&mut self, webhook: WebhookId, lane: Lane) {
        if let Some(reliance) = &mut self.reliance
            && reliance.spilled.get(&(webhook, lane)).is_some_and(Spill::is_over)
        {
            reliance.spilled.remove(&(webhook, lane));
            reliance.short.remove(&(webhook, lane));
        }
    }

    /// How many more a webhook's queue may have.
    pub(super) fn room(&self, webhook: WebhookId, lane: Lane) -> u32 {
        let (Some(reliance), Some(counts)) = (&self.reliance, self.scheduler.counts(webhook)) else { return 0 };
        let queued = if lane == Lane::Fresh { counts.fresh } else { counts.retry };
        reliance.bounds.lane.saturating_sub(queued)
    }

    pub(super) fn is_short(&self, webhook: WebhookId, lane: Lane) -> bool {
        let most = self.reliance.as_ref().map_or(0, |reliance| reliance.bounds.lane);
        self.scheduler.knows(webhook) && self.room(webhook, lane) >= most.div_ceil(2)
    }

    pub(super) fn spill(&mut self, cell: &Cell) {
        if let Some(reliance) = &mut self.reliance {
            let spill = reliance.spilled.entry((cell.webhook, lane_of(cell))).or_default();
            spill.here.insert((cell.due, cell.key));
            reliance.short.insert((cell.webhook, lane_of(cell)));
        }
    }

    /// Something of this lane may be in the store alone, though the horizon has passed it.
    pub(super) fn is_in_store(&mut self, webhook: WebhookId, lane: Lane, due: Time) {
        if self.lines.contains_key(&webhook) {
            return;
        }
        if let Some(reliance) = self.reliance.as_mut().filter(|_| self.overlay.base() > 0) {
            reliance.spilled.entry((webhook, lane)).or_default().is_in_store(due);
            reliance.short.insert((webhook, lane));
        }
    }

    /// Anything of this webhook that the horizon has passed may be in the store alone.
    pub(super) fn may_have_backlog(&mut self, webhook: WebhookId) {
        let Some(horizon) = self.reliance.as_ref().map(|reliance| reliance.horizon) else { return };
        LANES.into_iter().for_each(|lane| self.is_in_store(webhook, lane, horizon));
    }

    /// A webhook's queue has become shorter.
    pub(super) fn has_shortened(&mut self, webhook: WebhookId) {
        let Some(reliance) = self.reliance.as_ref().filter(|reliance| !reliance.spilled.is_empty()) else { return };
        let has_spilled = |lane: &Lane| reliance.spilled.contains_key(&(webhook, *lane));
        let short = LANES.into_iter().filter(|lane| has_spilled(lane) && self.is_short(webhook, *lane));
        let short: Vec<_> = short.map(|lane| (webhook, lane)).collect();
        self.reliance.iter_mut().for_each(|reliance| reliance.short.extend(short.iter().copied()));
    }

    /// A webhook's deliveries are gone.
    pub(super) fn forget_spill(&mut self, webhook: WebhookId) {
        self.drop_spill(webhook);
        if self.reliance.is_some() {
            self.overlay.all_may_be_idle();
        }
    }

    /// What has spilled waits in another way from here on. Whether anything had.
    pub(super) fn drop_spill(&mut self, webhook: WebhookId) -> bool {
        let Some(reliance) = &mut self.reliance else { return false };
        let drop = |lane| {
            reliance.short.remove(&(webhook, lane));
            reliance.spilled.remove(&(webhook, lane)).is_some()
        };
        LANES.map(drop).contains(&true)
    }
}
