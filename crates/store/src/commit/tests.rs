//! A crash between any two databases of a commit: the store opens at the commit before or at this one, and a replay makes it whole.

use std::io;

use postrider_core::fact::{Fact, Record};

use super::*;
use crate::day::day_of;

#[path = "../../tests/support/mod.rs"]
mod support;

use support::{DAY_MS, World, expected, given, given_pending, open};

impl Writer {
    pub(super) fn crash_point(&mut self) -> Result<(), CommitError> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or_else(|| io::Error::other("crashed"))?;
        Ok(())
    }
}

/// Some of everything over three days, the next step of it at each call.
fn go_on(world: &mut World, round: u64) {
    for n in 0..20 {
        world.publish(n % 3, &[1 + n % 6, 1 + (n + round) % 6], Some((n + round) as u8 % 40));
    }
    let pending: Vec<DeliveryKey> = world.cells.keys().copied().step_by(3).collect();
    for (n, key) in pending.into_iter().enumerate() {
        if world.cells[&key].status == postrider_core::delivery::Status::Pending {
            world.attempt(key, n % 4 == 0, 1 + n as u64 * 7919 % 40_000_000, n as u64 * 13 % 9000);
        }
    }
    world.end_block();
    world.now += DAY_MS / 2;
}

/// The attempts of each day: those in the store, and those that lie behind the block up to which the day says that it counts.
fn counted(store: &crate::Store, world: &World) -> HashMap<u32, u64> {
    let webhooks: Vec<_> = (1..=support::WEBHOOKS).map(WebhookId).collect();
    let mut days = attempted(world, |_| true);
    for (day, count) in &mut days {
        *count = 0;
        let at = Time(u64::from(*day) * DAY_MS);
        let end = store.read().hourly(&webhooks, at, |_, _, summary| *count += summary.attempts()).expect("reads");
        *count += attempted(world, |record| record.position.block() >= end).get(day).copied().unwrap_or(0);
    }
    days
}

/// Attempts by day, those of the records that are meant.
fn attempted(world: &World, is_meant: impl Fn(&Record) -> bool) -> HashMap<u32, u64> {
    let mut days = HashMap::new();
    let finished = |record: &&Record| matches!(record.fact, Fact::AttemptFinished { .. });
    for record in world.records.iter().filter(finished).filter(|record| is_meant(record)) {
        *days.entry(day_of(record.time)).or_default() += 1;
    }
    days
}

#[test]
fn a_crash_between_any_two_databases_is_mended_by_a_replay() {
    // The commit in the last round touches the pending database and the days of all events that were attempted.
    for steps in 0..6 {
        let folder = support::folder();
        let path = folder.path().join("store");
        let mut world = World::new();
        let mut opened = open(&path).expect("opens");
        let mut taken = 0;
        for round in 0..6 {
            go_on(&mut world, round);
            world.records[taken..].iter().for_each(|record| opened.writer.take(Part::Both, record).expect("taken"));
            taken = world.records.len();
            if round < 5 {
                opened.writer.commit(Part::Both, world.mark(), None).expect("committed");
            }
        }
        let before = opened.store.read().at();
        opened.writer.steps_left = steps;
        let crashed = opened.writer.commit(Part::Both, world.mark(), None);
        if crashed.is_ok() {
            assert!(steps > 2, "it touches three databases at least");
            return;
        }
        assert!(matches!(opened.writer.commit(Part::Both, world.mark(), None), Err(CommitError::Poisoned)));
        let still = given_pending(&opened.store.read(), 50).expect("reads");
        assert_eq!(
            still.asleep,
            expected(&world.records, before.pending.block, 0).asleep,
            "readers are where they were"
        );
        drop(opened);

        let mut opened = open(&path).expect("opens");
        assert_eq!(opened.set_aside, None);
        assert_eq!((opened.at.pending, opened.at.history), (world.mark(), before.history));
        let pending = given_pending(&opened.store.read(), 50).expect("reads");
        assert_eq!(pending.asleep, expected(&world.records, world.block, 0).asleep);
        assert_eq!(
            counted(&opened.store, &world),
            attempted(&world, |_| true),
            "after a crash behind {steps} databases"
        );
        go_on(&mut world, 6);
        world.records.iter().for_each(|record| opened.writer.take(Part::Both, record).expect("taken"));
        opened.writer.commit(Part::Both, world.mark(), None).expect("committed");
        let model = expected(&world.records, world.block, 0);
        let given = given(&opened.store.read(), model.heads.keys().copied(), 50).expect("reads");
        assert_eq!(given, model, "after a crash behind {steps} databases");
    }
    panic!("the commit touches six databases at the most");
}
