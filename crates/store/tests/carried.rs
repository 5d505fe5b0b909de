//! A log that begins later: a store that is built from it knows what is unfinished as the one does that ran all along.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use postrider_core::Position;
use postrider_core::delivery::Status;
use postrider_core::fact::Fact;
use postrider_store::{Opened, Part, Writer};
use proptest::prelude::*;
use support::{Answers, Step, World, expected, given, given_pending, open, step};

fn unfinished(world: &World) -> BTreeSet<Position> {
    let pending =
        world.cells.values().filter(|cell| cell.status == Status::Pending && !world.gone.contains(&cell.webhook));
    pending.map(|cell| cell.key.event).collect()
}

/// Commits every so often, in order that some of it is met in the store and some in what was taken since.
fn feed(writer: &mut Writer, world: &World, from: u64, every: usize) {
    let records = world.records.iter().filter(|record| record.position.block() >= from);
    for (n, record) in records.enumerate() {
        if n > 0 && n % every == 0 && record.position.index() == 0 {
            let block = record.position.block();
            let mark = postrider_store::Mark { block, chain: support::chain(block) };
            writer.commit(Part::Both, mark, None).unwrap();
        }
        writer.take(Part::Both, record).unwrap();
    }
    writer.commit(Part::Both, world.mark(), None).unwrap();
}

/// Lets a world run, and carries what is unfinished, while it goes on, so that the log can begin at the block that is returned. Twice
/// for what is unfinished still.
fn run(before: &[Step], between: &[Step], after: &[Step]) -> (World, u64, BTreeMap<Position, Position>) {
    let mut world = World::new();
    before.iter().for_each(|step| world.run(step));
    world.end_block();
    let first = world.block;
    // What has ended is let go.
    let open = unfinished(&world);
    world.cells.retain(|key, _| open.contains(&key.event));
    world.restate_gone();
    let mut steps = between.iter();
    for _ in 0..2 {
        for event in open.clone() {
            match unfinished(&world).contains(&event) {
                true => world.carry(event),
                false => world.cells.retain(|key, _| key.event != event),
            }
            steps.by_ref().take(3).for_each(|step| world.run(step));
        }
    }
    after.iter().for_each(|step| world.run(step));
    world.end_block();
    let carried = world.records.iter().filter_map(|record| match &record.fact {
        Fact::EventCarried { event, .. } => Some((event.at, record.position)),
        _ => None,
    });
    let carried = carried.collect();
    (world, first, carried)
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_store_from_a_log_that_begins_later_knows_what_is_unfinished(
        before in steps(150), between in steps(60), after in steps(60), every in 1usize..40,
    ) {
        let (world, first, carried) = run(&before, &between, &after);
        let model = expected(&world.records, world.block, 0);
        let folder = support::folder();

        let Opened { store, mut writer, .. } = open(&folder.path().join("ran")).unwrap();
        feed(&mut writer, &world, 0, every);
        prop_assert_eq!(&given(&store.read(), model.heads.keys().copied(), 50).unwrap(), &model);

        let Opened { store: late, writer: mut late_writer, .. } = open(&folder.path().join("late")).unwrap();
        feed(&mut late_writer, &world, first, every);
        let Answers { asleep, counts, .. } = given_pending(&late.read(), 50).unwrap();
        prop_assert_eq!((&asleep, &counts), (&model.asleep, &model.counts));
        for key in world.cells.keys() {
            prop_assert_eq!(late.read().head(*key).unwrap(), model.heads[key]);
        }
        for (event, to) in &carried {
            prop_assert_eq!(late.read().record_of(*event).unwrap(), *to);
            prop_assert_eq!(store.read().record_of(*event).unwrap(), *to);
        }
        // Each carried event is in its workspace's list once, and found by its id.
        for record in &world.records {
            let Fact::EventAccepted(event) = &record.fact else { continue };
            let listed = late.read().events(event.workspace, None, 10_000).unwrap();
            let times = listed.iter().filter(|place| place.position == event.at).count();
            let is_kept = event.at.block() >= first || carried.contains_key(&event.at);
            prop_assert_eq!(times, usize::from(is_kept));
            prop_assert_eq!(late.read().events_len(event.workspace).unwrap(), listed.len() as u64);
            if event.id.position().is_none() {
                prop_assert_eq!(late.read().candidates(event.workspace, &event.id).unwrap().contains(&event.at), is_kept);
            }
        }

        // The one that ran all along lets go of what the log has let go of: what is kept is found as in the one that began later.
        for _ in 0..40 {
            writer.let_go(first).unwrap();
        }
        let Answers { asleep, counts, .. } = given_pending(&store.read(), 50).unwrap();
        prop_assert_eq!((&asleep, &counts), (&model.asleep, &model.counts));
        for key in world.cells.keys() {
            prop_assert_eq!(store.read().head(*key).unwrap(), model.heads[key]);
        }
        for (event, to) in &carried {
            prop_assert_eq!(store.read().record_of(*event).unwrap(), *to);
        }
        // Once all of it is gone nothing of it is left; what sleeps still does, and what webhooks that are gone had pending does not come back.
        for _ in 0..40 {
            late_writer.let_go(world.block).unwrap();
        }
        let Answers { asleep, counts, .. } = given_pending(&late.read(), 50).unwrap();
        prop_assert_eq!((&asleep, &counts), (&model.asleep, &model.counts));
        for event in carried.keys() {
            prop_assert_eq!(late.read().record_of(*event).unwrap(), *event);
        }
        drop((late, late_writer));
        let reopened = open(&folder.path().join("late")).unwrap();
        prop_assert_eq!(reopened.set_aside, None);
        let Answers { asleep, counts, .. } = given_pending(&reopened.store.read(), 50).unwrap();
        prop_assert_eq!((&asleep, &counts), (&model.asleep, &model.counts));
    }
}
