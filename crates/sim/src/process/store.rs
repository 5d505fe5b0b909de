//! The place of the projector and of the one who reads the store: both when they come to it, as threads do.

use postrider_core::Millis;
use postrider_engine::Clock;
use postrider_engine::shard::{Found, Loaded, Wanted, load, prefetch};
use postrider_log::LogReader;

use super::{Outside, Process};
use crate::chance::Chance;
use crate::fault::Fault;

/// So many readings at the most follow each other in one step.
const READINGS_MAX: usize = 64;
/// How far ahead of what the horizon has met a bug sweeps.
const SWEPT_TOO_FAR: Millis = Millis(60 * 60 * 1000);

impl Process {
    /// At the end of each round, now and then: the store takes in what is durable, what is wanted is read, and commands come back.
    pub(super) fn read_store(&mut self, outside: &mut Outside) {
        self.read_for_commands(outside);
        if outside.chance.one_in(4) || self.shard.has_spilled() {
            self.follow_with_store(outside);
        }
        for _ in 0..READINGS_MAX {
            let (Some(store), chance) = (&outside.store, &mut outside.chance) else { return };
            let Some(wanted) = self.wanted.take().or_else(|| self.shard.want(self.clock.now())) else { return };
            if chance.one_in(4) {
                self.wanted = Some(wanted);
                return;
            }
            let Ok(mut loaded) = load(store, &wanted);
            match outside.fault {
                Some(Fault::RecallLosesOne) if chance.one_in(8) => lose_one(&mut loaded, chance),
                Some(Fault::LineLosesFirst) => lose_first(&mut loaded),
                Some(Fault::LetsGoAboveW) => loaded.covered = loaded.covered.max(self.shard.overlay().base()),
                _ => {}
            }
            self.shard.loaded(loaded);
            if let Wanted::Whole(_) | Wanted::Replay { .. } = wanted
                && self.shard.has_chores()
            {
                self.turn_at = self.turn_at.or(Some(outside.clocks.now()));
            }
        }
    }

    fn read_for_commands(&mut self, outside: &mut Outside) {
        let Some(store) = &outside.store else { return };
        for mut input in std::mem::take(&mut self.again) {
            if outside.fault != Some(Fault::StalePrefetch) || input.prefetch.is_none() {
                let Ok(read) = prefetch(store, store.position(), &input.command);
                input.prefetch = Some(read);
            }
            if outside.fault == Some(Fault::StalePrefetch) && !outside.chance.one_in(16) {
                self.again.push(input);
                continue;
            }
            if let (Some(Fault::StalePrefetch), Some(read)) = (outside.fault, &mut input.prefetch) {
                read.covered = store.position();
            }
            self.inbox.push_back(input);
            self.turn_at = self.turn_at.or(Some(outside.clocks.now()));
        }
    }

    fn follow_with_store(&mut self, outside: &mut Outside) {
        let Some(store) = &mut outside.store else { return };
        let mut position = None;
        match outside.fault {
            Some(Fault::CoversTooMuch) if outside.chance.one_in(16) => store.claim(self.reader.end()),
            Some(Fault::LetsGoAboveW) if outside.chance.one_in(16) => position = Some(self.reader.end()),
            _ => store.follow(&self.reader),
        }
        if outside.fault == Some(Fault::ForgetsTooEarly) && outside.chance.one_in(64) {
            let (first, end) = (self.reader.first(), self.reader.end());
            store.forget_below(first + (end - first) / 2);
        }
        let overdue = self.clock.now() + Millis(1);
        let until = self.shard.met_until().map_or(overdue, |met| met.min(overdue));
        store.sweep(if outside.fault == Some(Fault::SweepsTooFar) { until + SWEPT_TOO_FAR } else { until });
        self.shard.covered(position.unwrap_or(store.position()), store.swept());
    }
}

/// The bug of losing the delivery that all others wait for.
fn lose_first(loaded: &mut Loaded) {
    if let Found::Line { deliveries, .. } = &mut loaded.found
        && deliveries.len() > 1
    {
        deliveries.remove(0);
    }
}

/// The bug of losing one of the deliveries that were read.
fn lose_one(loaded: &mut Loaded, chance: &mut Chance) {
    if let Found::Due { deliveries, .. } | Found::Backlog { deliveries, .. } = &mut loaded.found
        && !deliveries.is_empty()
    {
        deliveries.remove(chance.below(deliveries.len() as u64) as usize);
    }
}
