//! The place of the projector and of the one who reads the store: both when they come to it, as threads do.

use postrider_core::Millis;
use postrider_engine::Clock;
use postrider_engine::shard::{Wanted, load, prefetch};

use super::{Outside, Process};

/// So many readings at the most follow each other in one step.
const READINGS_MAX: usize = 64;

impl Process {
    /// At the end of each round, now and then: the store takes in what is durable, what is wanted is read, and commands come back.
    pub(super) fn read_store(&mut self, outside: &mut Outside) {
        let Some(store) = &mut outside.store else { return };
        for mut input in std::mem::take(&mut self.again) {
            let Ok(read) = prefetch(store, store.position(), &input.command);
            input.prefetch = Some(read);
            self.inbox.push_back(input);
            self.turn_at = self.turn_at.or(Some(outside.clocks.now()));
        }
        let now = self.clock.now();
        if outside.chance.one_in(4) || self.shard.has_spilled() {
            store.follow(&self.reader);
            let overdue = now + Millis(1);
            store.sweep(self.shard.met_until().map_or(overdue, |met| met.min(overdue)));
            self.shard.covered(store.position(), store.swept());
        }
        for _ in 0..READINGS_MAX {
            let Some(wanted) = self.wanted.take().or_else(|| self.shard.want(self.clock.now())) else { return };
            if outside.chance.one_in(4) {
                self.wanted = Some(wanted);
                return;
            }
            let Ok(loaded) = load(store, &wanted);
            self.shard.loaded(loaded);
            if let Wanted::Whole(_) | Wanted::Replay { .. } = wanted
                && self.shard.has_chores()
            {
                self.turn_at = self.turn_at.or(Some(outside.clocks.now()));
            }
        }
    }
}
