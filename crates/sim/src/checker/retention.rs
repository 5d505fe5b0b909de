//! A log that begins later: what goes is finished and old enough, what is unfinished is carried as it is, and the state is restated.

use postrider_core::delivery::{Cell, Status};
use postrider_core::event::Event;
use postrider_core::fact::Restated;
use postrider_core::{DeliveryKey, Position, Time};
use postrider_engine::shard::Retention;
use postrider_log::LogReader;

use super::{Checker, Verdict, law};

impl Checker {
    /// An event lies in a newer part of the log from here on.
    pub(super) fn carried(&mut self, at: Position, event: &Event, was: Position, cells: &[Cell]) -> Verdict {
        let name = (event.workspace, event.id.clone());
        let known = self.names.get(&event.at) == Some(&name);
        law!(2, known, "{} is carried, which was not accepted", event.id.as_str());
        let books: Vec<Cell> = self.siblings(event.at).map(|delivery| delivery.cell).collect();
        law!(2, books == cells, "the event at {} is carried with {cells:?}, and {books:?} is durable", event.at);
        let old = self.carried.insert(event.at, at).unwrap_or(event.at);
        law!(2, was == old, "the event at {} is carried from {was}, and its payload lies at {old}", event.at);
        self.spent.insert(old);
        Ok(())
    }

    /// A part of the state is said again: it must be as it was.
    pub(super) fn restated(&self, restated: &Restated) -> Verdict {
        match restated {
            Restated::Begin { attempts_made, .. } => {
                law!(2, *attempts_made == self.attempts_made, "{attempts_made} attempts are restated");
            }
            Restated::Replay(replay) => {
                let books = self.replays.get(&replay.id);
                law!(2, books == Some(&**replay), "{replay:?} is restated, and {books:?} is durable");
            }
            Restated::Workspace(workspace) => {
                law!(2, self.workspaces.contains_key(&workspace.id), "{} is restated and is not there", workspace.id);
            }
            Restated::Pending(webhook, count) => {
                let pending = self.hooks.get(webhook).map(|hook| hook.pending);
                law!(
                    2,
                    pending == Some(*count),
                    "{count} are restated as pending of {webhook}, by the books {pending:?}"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// The engine says that the log begins later now.
    ///
    /// # Errors
    /// When something went that was unfinished, or not old enough.
    pub fn begins(&mut self, reader: &impl LogReader, now: Time, keep: &Retention) -> Verdict {
        let first = reader.first();
        let time = reader.read_facts(first).ok().flatten().map(|block| block.time());
        law!(1, time.is_some(), "block {first}, with which the log begins, cannot be read");
        let age = time.map(|time| now.since(time));
        let is_old = age.is_some_and(|age| age >= keep.age);
        law!(1, is_old || keep.bytes < u64::MAX, "what is {age:?} old was let go, and {keep:?} is to be kept");
        self.forget_below(first)
    }

    /// What lies before block `first` is gone.
    pub(super) fn forget_below(&mut self, first: u64) -> Verdict {
        if first == self.first {
            return Ok(());
        }
        law!(1, first > self.first, "the log began with block {} and begins with {first}", self.first);
        self.first = first;
        let kept = |at: &Position| self.carried.get(at).unwrap_or(at).block() >= first;
        let gone: Vec<Position> = self.names.keys().filter(|at| !kept(at)).copied().collect();
        for at in gone {
            let pending = self.siblings(at).find(|d| d.cell.status == Status::Pending && self.is_alive(&d.cell));
            law!(1, pending.is_none(), "the event at {at} was let go, and is not finished: {pending:?}");
            let key = |ordinal| DeliveryKey { event: at, ordinal };
            let flying = self.flights.range(key(0)..=key(u32::MAX)).next();
            law!(1, flying.is_none(), "the event at {at} was let go, and is in flight: {flying:?}");
            let keys: Vec<_> = self.deliveries.range(key(0)..=key(u32::MAX)).map(|(key, _)| *key).collect();
            for key in keys {
                self.deliveries.remove(&key);
            }
            let known = self.names.remove(&at).and_then(|name| self.events.remove(&name));
            if let Some(stamp) = known.and_then(|known| known.stamp) {
                self.stamps.remove(&stamp);
            }
            self.carried.remove(&at);
            self.erased.remove(&at);
        }
        self.spent.retain(|at| at.block() >= first);
        Ok(())
    }
}
