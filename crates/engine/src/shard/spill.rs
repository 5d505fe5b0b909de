//! What finds its webhook's queue full: where it waits, and how it comes back.
//!
//! It waits in the overlay until the store has it, and then in the webhook's backlog there. When the queue has become short, what is in the
//! store comes back in order of due time, and what is still here once the store can have nothing older.

use std::collections::BTreeSet;
use std::ops::Bound;

use postrider_core::delivery::Cell;
use postrider_core::{DeliveryKey, Position, Time, WebhookId};
use postrider_log::LogWriter;
use postrider_store::{Asleep, Lane};

use super::{Shard, Wanted};

/// What one lane of a webhook's queue had no room for.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// Of this, what is in the overlay.
    pub here: BTreeSet<(Time, DeliveryKey)>,
    /// When what is in the store alone is due; `None`: nothing is.
    pub in_store: Option<Span>,
    /// The pass through that which is on, if one is.
    pass: Option<Pass>,
    /// There was nothing to read when all that was due before this was in the backlog.
    empty_at: Time,
}

/// When deliveries are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// None before this.
    earliest: Time,
    /// The latest one that is known of.
    latest: Time,
}

/// How far the backlog was read, reading by reading.
#[derive(Debug)]
struct Pass {
    /// The last one that was read.
    read_to: Asleep,
    /// There was something that was not here.
    has_found: bool,
    /// The earliest due time of what has come to be in the store alone since the last reading: that may have passed it.
    missed: Option<Time>,
}

pub(super) const LANES: [Lane; 2] = [Lane::Fresh, Lane::Retry];

pub(super) fn lane_of(cell: &Cell) -> Lane {
    if cell.is_fresh() { Lane::Fresh } else { Lane::Retry }
}

/// Before all that are due then.
fn first_at(due: Time, webhook: WebhookId, lane: Lane) -> Asleep {
    Asleep { due, key: DeliveryKey { event: Position::default(), ordinal: 0 }, webhook, lane }
}

impl Span {
    /// Whether something there is known of, and not only guessed at.
    pub fn is_certain(self) -> bool {
        self.latest > Time(0)
    }
}

impl Spill {
    /// Something that is due then is in the store alone.
    pub fn is_in_store(&mut self, due: Time) {
        self.may_be_in_store(due, due);
    }

    /// Anything that is due from then to then may be.
    fn may_be_in_store(&mut self, from: Time, to: Time) {
        let span = self.in_store.unwrap_or(Span { earliest: from, latest: to });
        self.in_store = Some(Span { earliest: span.earliest.min(from), latest: span.latest.max(to) });
        if let Some(pass) = &mut self.pass {
            pass.missed = Some(pass.missed.map_or(from, |missed| missed.min(from)));
        }
        self.empty_at = Time(0);
    }

    /// Begins a pass, or goes on with it: behind which one to read. What is due before all that may be in the store alone need not be read:
    /// while the store is behind, much of it is finished.
    fn read_on(&mut self, webhook: WebhookId, lane: Lane) -> Option<Asleep> {
        let span = self.in_store?;
        let first = first_at(span.earliest, webhook, lane);
        let pass = self.pass.get_or_insert(Pass { read_to: first, has_found: false, missed: None });
        Some(pass.read_to)
    }

    /// A reading of the backlog: the last one that was read, and whether there was something that was not here. `end`: it was read to its
    /// end, and all that was due before this was in it.
    pub fn is_read(&mut self, last: Option<Asleep>, has_found: bool, end: Option<Time>) {
        // What waits now has come to wait since it was asked for: that reading says nothing of it.
        let Some(pass) = &mut self.pass else { return };
        pass.read_to = last.unwrap_or(pass.read_to);
        pass.has_found |= has_found;
        let missed = pass.missed.take();
        if let Some(due) = missed.filter(|due| *due <= pass.read_to.due) {
            // It is next, and not behind all that is due later.
            pass.read_to = first_at(due, pass.read_to.webhook, pass.read_to.lane);
            return;
        }
        let (Some(swept), Some(pass)) = (end, self.pass.take_if(|_| end.is_some())) else { return };
        if pass.has_found || missed.is_some() {
            // The next pass begins where this one has come to.
            self.in_store.iter_mut().for_each(|span| span.earliest = pass.read_to.due);
        } else {
            // Only what waits or runs already: what comes in later lies behind `swept`.
            self.empty_at = swept;
            self.in_store = self.in_store.filter(|span| span.latest >= swept);
            self.in_store.iter_mut().for_each(|span| span.earliest = span.earliest.max(swept));
        }
    }

    /// What is next of that which is here; `None` while the store may have something older.
    pub fn next_here(&self) -> Option<(Time, DeliveryKey)> {
        let first = self.here.first().copied();
        first.filter(|(due, _)| self.in_store.is_none_or(|span| *due < span.earliest))
    }

    fn take_next_here(&mut self) -> Option<(Time, DeliveryKey)> {
        self.next_here().and_then(|_| self.here.pop_first())
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
        let asked = *lanes.find(|lane| {
            let spill = reliance.spilled.get(lane).filter(|spill| spill.in_store.is_some());
            let is_new = spill.is_some_and(|spill| spill.pass.is_some() || spill.empty_at < reliance.swept);
            is_new && self.is_short(lane.0, lane.1)
        })?;
        let max = self.refill_len();
        let reliance = self.reliance.as_mut()?;
        reliance.asked = asked;
        let after = reliance.spilled.get_mut(&asked).and_then(|spill| spill.read_on(asked.0, asked.1));
        Some(Wanted::Backlog { webhook: asked.0, lane: asked.1, after, max })
    }

    /// What has spilled and is still here joins its queue again, where that has become short and the store can have nothing older.
    pub(super) fn refill(&mut self) {
        let Some(reliance) = &self.reliance else { return };
        let (short, full): (Vec<_>, Vec<_>) =
            reliance.short.iter().partition(|(webhook, lane)| self.is_short(*webhook, *lane));
        let is_wanted = |spill: &Spill| spill.next_here().is_some();
        let short: Vec<_> =
            short.into_iter().filter(|lane| reliance.spilled.get(lane).is_some_and(is_wanted)).collect();
        if let Some(reliance) = &mut self.reliance {
            reliance.short.retain(|lane| !full.contains(lane));
        }
        for (webhook, lane) in short {
            for _ in 0..self.refill_len() {
                let Some(reliance) = &mut self.reliance else { return };
                let spill = reliance.spilled.get_mut(&(webhook, lane));
                let Some((due, key)) = spill.and_then(Spill::take_next_here) else { break };
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

    /// Something of this lane that is due then is in the store alone, though the horizon has passed it.
    pub(super) fn is_in_store(&mut self, webhook: WebhookId, lane: Lane, due: Time) {
        self.may_be_in_store(webhook, lane, due, due);
    }

    /// Anything of this lane that is due up to then may be in the store alone.
    pub(super) fn may_have_backlog(&mut self, webhook: WebhookId, lane: Lane, until: Time) {
        self.may_be_in_store(webhook, lane, Time(0), until);
    }

    fn may_be_in_store(&mut self, webhook: WebhookId, lane: Lane, from: Time, to: Time) {
        if self.lines.contains_key(&webhook) {
            return;
        }
        if let Some(reliance) = self.reliance.as_mut().filter(|_| self.overlay.base() > 0) {
            reliance.spilled.entry((webhook, lane)).or_default().may_be_in_store(from, to);
            reliance.short.insert((webhook, lane));
        }
    }

    /// Anything of this webhook that the horizon has passed may be in the store alone.
    pub(super) fn may_have_backlogs(&mut self, webhook: WebhookId) {
        let Some(horizon) = self.reliance.as_ref().map(|reliance| reliance.horizon) else { return };
        LANES.into_iter().for_each(|lane| self.may_have_backlog(webhook, lane, horizon));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(due: u64) -> Asleep {
        let key = DeliveryKey { event: Position::new(due, 0), ordinal: 0 };
        Asleep { due: Time(due), key, webhook: WebhookId(1), lane: Lane::Retry }
    }

    /// Asks for a reading.
    fn begins_at(spill: &mut Spill) -> Option<u64> {
        spill.read_on(WebhookId(1), Lane::Retry).map(|after| after.due.0)
    }

    #[test]
    fn what_comes_to_be_in_the_store_while_the_first_reading_is_under_way_is_not_passed_over() {
        let mut spill = Spill::default();
        spill.is_in_store(Time(50));
        assert_eq!(begins_at(&mut spill), Some(50));
        spill.may_be_in_store(Time(0), Time(60));
        spill.is_read(Some(at(70)), true, Some(Time(100)));
        assert_eq!(begins_at(&mut spill), Some(0));
        // One that was asked for before what waits now came to wait.
        let mut spill = Spill::default();
        spill.may_be_in_store(Time(0), Time(60));
        spill.is_read(Some(at(70)), true, Some(Time(100)));
        assert_eq!(begins_at(&mut spill), Some(0));
    }

    #[test]
    fn a_pass_begins_where_the_last_one_that_found_something_has_come_to() {
        let mut spill = Spill::default();
        assert_eq!(begins_at(&mut spill), None);
        [30, 20, 40].into_iter().for_each(|due| spill.is_in_store(Time(due)));
        assert_eq!(begins_at(&mut spill), Some(20));
        spill.is_read(Some(at(25)), true, None);
        assert_eq!(begins_at(&mut spill), Some(25));
        spill.is_read(Some(at(40)), false, Some(Time(100)));
        assert_eq!(begins_at(&mut spill), Some(40));
        // Nothing but what is here: what comes in later is due later.
        spill.is_read(Some(at(40)), false, Some(Time(100)));
        assert!(spill.is_over());
    }

    #[test]
    fn what_comes_to_be_in_the_store_behind_a_pass_is_read_next() {
        let mut spill = Spill::default();
        spill.is_in_store(Time(20));
        begins_at(&mut spill);
        spill.is_read(Some(at(50)), false, None);
        spill.is_in_store(Time(80));
        spill.is_read(Some(at(60)), false, None);
        assert_eq!(begins_at(&mut spill), Some(60), "the pass comes to what is due later by itself");
        spill.is_in_store(Time(30));
        spill.is_read(Some(at(70)), false, None);
        assert_eq!(begins_at(&mut spill), Some(30));
        spill.is_read(None, false, Some(Time(100)));
        assert!(spill.is_over());
    }

    #[test]
    fn what_is_here_waits_only_for_what_may_be_older_in_the_store() {
        let mut spill = Spill::default();
        // As far as the horizon has come, anything may be there.
        spill.may_be_in_store(Time(0), Time(10_000));
        begins_at(&mut spill);
        let here = (Time(30), at(30).key);
        spill.here.insert(here);
        assert_eq!(spill.take_next_here(), None);
        spill.is_read(None, false, Some(Time(100)));
        assert_eq!(spill.take_next_here(), Some(here));
        assert!(spill.in_store.is_some_and(Span::is_certain), "what is due from then on may be there still");
    }

    #[test]
    fn what_is_due_after_all_that_was_swept_is_read_once_that_is_swept() {
        let mut spill = Spill::default();
        spill.is_in_store(Time(20));
        spill.is_in_store(Time(120));
        begins_at(&mut spill);
        spill.is_read(Some(at(20)), false, Some(Time(100)));
        assert_eq!((begins_at(&mut spill), spill.empty_at), (Some(100), Time(100)));
    }

    #[test]
    fn where_anything_may_be_in_the_store_all_of_it_is_read() {
        let mut spill = Spill::default();
        spill.is_in_store(Time(20));
        spill.may_be_in_store(Time(0), Time(0));
        assert_eq!(begins_at(&mut spill), Some(0));
        assert!(spill.in_store.is_some_and(Span::is_certain));
    }
}
