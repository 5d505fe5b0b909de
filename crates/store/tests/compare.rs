//! A store held against the log: one that was made of it agrees, wherever its W is and wherever the log begins; one in which a single
//! thing is not what the log says is found, with its place.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postrider_core::delivery::Status;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::{DeliveryKey, Position, Time};
use postrider_store::{Begun, Compared, Comparison, Difference, Mark, Part, Reason, Writer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::{DAY_MS, LOG, Step, World, chain, open, step};

/// Holds the store in `folder` against the blocks of `records` from `first` on and before `end`.
fn compare(folder: &Path, records: &[Record], first: u64, end: u64) -> Compared {
    let scratch = support::folder();
    let mut comparison = match Comparison::begin(folder, scratch.path(), LOG).unwrap() {
        Begun::Over(compared) => return compared,
        Begun::Comparing(comparison) => comparison,
    };
    let mut blocks: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    records.iter().for_each(|record| blocks.entry(record.position.block()).or_default().push(record));
    for (number, records) in blocks.range(first..end) {
        comparison.block(*number, records[0].time, chain(*number)).unwrap();
        records.iter().for_each(|record| comparison.take(record).unwrap());
    }
    comparison.finish(end, chain(end)).unwrap()
}

/// Takes the records before block `end` into the store, in commits of so many blocks.
fn feed(writer: &mut Writer, records: &[Record], end: u64, every: u64) {
    let mut committed = records.first().map_or(0, |record| record.position.block());
    for record in records.iter().filter(|record| record.position.block() < end) {
        let block = record.position.block();
        if block >= committed + every {
            writer.commit(Part::Both, Mark { block, chain: chain(block) }, None).unwrap();
            committed = block;
        }
        writer.take(Part::Both, record).unwrap();
    }
    writer.commit(Part::Both, Mark { block: end, chain: chain(end) }, None).unwrap();
}

/// Every file, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut all: BTreeMap<_, _> = files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    folders.iter().for_each(|folder| all.extend(self::files(folder)));
    all
}

/// Three days with some of everything.
fn world() -> World {
    let mut world = World::new();
    for round in 0..12u64 {
        for n in 0..20 {
            world.publish(n % 3, &[1 + n % 6, 1 + (n + round) % 6], (n % 3 == 0).then_some((n + round) as u8));
        }
        world.end_block();
        let pending: Vec<DeliveryKey> = world.cells.keys().copied().step_by(3).collect();
        for (n, key) in pending.into_iter().enumerate() {
            if world.cells[&key].status == Status::Pending {
                world.attempt(key, n % 4 == 0, 1 + n as u64 * 7_919 % 40_000_000, n as u64 * 13 % 9000);
            }
        }
        world.end_block();
        if round == 5 {
            let pick = any_index(3);
            world.run(&Step::Erase { pick });
            world.run(&Step::Add { pick: any_index(40), webhook: 2 });
            world.run(&Step::Test { webhook: 3 });
            world.run(&Step::Delete { webhook: 6 });
        }
        world.end_block();
        world.now += DAY_MS / 5;
    }
    world
}

/// The `n`th that a fixed row of them has.
fn any_index(n: usize) -> prop::sample::Index {
    let mut runner = TestRunner::deterministic();
    let mut row = std::iter::repeat_with(|| any::<prop::sample::Index>().new_tree(&mut runner).unwrap().current());
    row.nth(n).unwrap()
}

/// What is found when the store was told `told` instead of the `nth` of the records that `is_it`.
fn doctored(is_it: impl Fn(&Record) -> bool, nth: usize, told: impl Fn(&mut Record)) -> Difference {
    let World { records, block, .. } = world();
    let folder = support::folder();
    let path = folder.path().join("store");
    let mut doctored = records.clone();
    told(doctored.iter_mut().filter(|record| is_it(record)).nth(nth).unwrap());
    let mut opened = open(&path).unwrap();
    feed(&mut opened.writer, &doctored, block, 3);
    opened.writer.close();
    drop(opened.store);
    match compare(&path, &records, 0, block) {
        Compared::Differs(at, difference) if at.replay_from() == block => difference,
        other => panic!("{other:?}"),
    }
}

fn attempt_finished(record: &Record) -> bool {
    matches!(&record.fact, Fact::AttemptFinished { cell, .. } if cell.status == Status::Pending)
}

fn accepted(record: &Record) -> bool {
    matches!(record.fact, Fact::EventAccepted(_))
}

fn change_event(record: &mut Record, change: impl Fn(&mut Event)) {
    let Fact::EventAccepted(event) = &record.fact else { panic!("{record:?}") };
    let mut event = Event::clone(event);
    change(&mut event);
    record.fact = Fact::EventAccepted(Arc::new(event));
}

#[test]
fn a_good_store_agrees_and_stays_as_it_is() {
    let World { records, block, .. } = world();
    let folder = support::folder();
    let path = folder.path().join("store");
    assert_eq!(compare(&path, &records, 0, block), Compared::Missing);
    let mut opened = open(&path).unwrap();
    opened.writer.sweep(Time(support::START + DAY_MS));
    feed(&mut opened.writer, &records, block, 3);
    assert_eq!(compare(&path, &records, 0, block), Compared::InUse);
    opened.writer.close();
    let at = opened.at;
    drop(opened.store);
    let before = files(&path);
    match compare(&path, &records, 0, block) {
        Compared::Agrees(found) => assert!(found.replay_from() == block && found != at),
        other => panic!("{other:?}"),
    }
    assert!(files(&path) == before, "nothing was changed");
}

#[test]
fn what_a_start_would_set_aside_is_said_and_is_no_difference() {
    let World { records, block, .. } = world();
    let folder = support::folder();
    let path = folder.path().join("store");
    let mut opened = open(&path).unwrap();
    feed(&mut opened.writer, &records, block, 3);
    opened.writer.close();
    drop(opened.store);
    // The log has lost its end, or goes on in another way; it begins behind W.
    assert_eq!(compare(&path, &records, 0, block - 1), Compared::OfNoUse(Reason::OtherPast { block }));
    let scratch = support::folder();
    let Begun::Comparing(mut comparison) = Comparison::begin(&path, scratch.path(), LOG).unwrap() else { panic!() };
    comparison.block(block + 1, Time(1), chain(3)).unwrap();
    assert_eq!(comparison.finish(block + 2, chain(4)).unwrap(), Compared::OfNoUse(Reason::OtherPast { block }));
    let scratch = support::folder();
    match Comparison::begin(&path, scratch.path(), [9; 16]).unwrap() {
        Begun::Over(compared) => assert_eq!(compared, Compared::OfNoUse(Reason::ForeignLog)),
        Begun::Comparing(_) => panic!("it is of another log"),
    }
    // A day that was harmed: the store notices by itself, later.
    let day = fs::read_dir(path.join("days")).unwrap().map(|day| day.unwrap().path()).min().unwrap();
    fs::remove_dir_all(day).unwrap();
    match compare(&path, &records, 0, block) {
        Compared::OfNoUse(Reason::Damaged(damage)) => assert!(damage.database.starts_with("days/"), "{damage}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_thing_that_the_log_does_not_say_is_found_with_its_place() {
    let due = |record: &mut Record| {
        if let Fact::AttemptFinished { cell, .. } = &mut record.fact {
            cell.due = Time(cell.due.0 + 60_000_000_000);
        }
    };
    let found = doctored(attempt_finished, 70, due);
    assert_eq!((&*found.database, found.list), ("pending", "sleep"));
    assert!(found.log.is_some() || found.store.is_some(), "{found}");

    let outcome = |record: &mut Record| {
        if let Fact::AttemptFinished { attempt, .. } = &mut record.fact {
            attempt.started = Time(attempt.started.0 - 1);
        }
    };
    let found = doctored(attempt_finished, 5, outcome);
    assert_eq!(found.list, "attempts");
    let (log, store) = (found.log.as_ref().unwrap(), found.store.as_ref().unwrap());
    assert!(log.starts_with("attempt ") && store.starts_with("attempt ") && log != store, "{found}");
    assert!(found.to_string().starts_with("days/20499, attempts: the store has attempt "), "{found}");

    let found = doctored(accepted, 30, |record| change_event(record, |event| event.id = "order-999".parse().unwrap()));
    assert_eq!(found.list, "ids");
    let fewer = |event: &mut Event| event.chosen = event.chosen.iter().take(1).copied().collect();
    let found = doctored(accepted, 31, |record| change_event(record, fewer));
    assert_eq!(found.list, "events");

    let erased = |record: &Record| matches!(record.fact, Fact::EventErased { .. });
    let nothing = |record: &mut Record| record.fact = Fact::WorkspaceDeleted { id: support::workspace(7) };
    let found = doctored(erased, 0, nothing);
    assert_eq!(found.list, "heads");
    assert!(found.store.is_none() || found.log.is_some(), "{found}");
    let found = doctored(|record| matches!(record.fact, Fact::DeliveryAdded { .. }), 0, nothing);
    assert_eq!(found.list, "heads");
    let found = doctored(|record| matches!(record.fact, Fact::TestFinished { .. }), 0, nothing);
    assert_eq!((found.list, found.store), ("attempts", None));
    let found = doctored(|record| matches!(record.fact, Fact::WebhookDeleted { .. }), 0, nothing);
    assert_eq!((&*found.database, found.list, found.store), ("pending", "gone", None));
    let other = |record: &mut Record| {
        if let Fact::AttemptFinished { attempt, .. } = &mut record.fact {
            attempt.exchange.duration.0 += 60_000;
        }
    };
    assert_eq!(doctored(attempt_finished, 9, other).list, "attempts");
    // What moved on as something that it was not: a tombstone without its entry.
    let was = |record: &mut Record| {
        if let Fact::AttemptFinished { was, .. } = &mut record.fact {
            was.due = Time(was.due.0 + 1);
        }
    };
    assert!(["sleep", "counts"].contains(&doctored(attempt_finished, 60, was).list));
}

/// What is unfinished is carried to the end, so that the log can begin with the block that is returned.
fn carried(world: &mut World) -> u64 {
    world.end_block();
    let first = world.block;
    let pending = |cell: &&postrider_core::delivery::Cell| cell.status == Status::Pending;
    let open: std::collections::BTreeSet<Position> = {
        let there = world.cells.values().filter(pending).filter(|cell| !world.gone.contains(&cell.webhook));
        there.map(|cell| cell.key.event).collect()
    };
    world.cells.retain(|key, _| open.contains(&key.event));
    world.restate_gone();
    for event in open {
        world.carry(event);
        world.end_block();
    }
    first
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_store_agrees_with_the_log_that_it_was_made_of(
        before in prop::collection::vec(step(), 1..150),
        after in prop::collection::vec(step(), 1..60),
        every in 1u64..20,
        behind in 0u64..6,
        sweep in prop_oneof![Just(None), (0u64..DAY_MS).prop_map(Some)],
        let_go in 0usize..3,
    ) {
        let mut world = World::new();
        before.iter().for_each(|step| world.run(step));
        let first = carried(&mut world);
        let carried_to = world.block;
        after.iter().for_each(|step| world.run(step));
        world.end_block();
        let folder = support::folder();
        let path = folder.path().join("store");
        let mut opened = open(&path).unwrap();
        if let Some(ago) = sweep {
            opened.writer.sweep(Time(world.now.saturating_sub(ago)));
        }
        let end = world.block.saturating_sub(behind).max(first);
        feed(&mut opened.writer, &world.records, end, every);
        // A store lets go of what was carried once it has taken in where to.
        if end >= carried_to {
            (0..let_go).for_each(|_| assert!(opened.writer.let_go(first).is_ok()));
        }
        opened.writer.close();
        drop(opened.store);
        for first in [0, first] {
            let compared = compare(&path, &world.records, first, world.block);
            let agrees = matches!(&compared, Compared::Agrees(at) if at.replay_from() == end);
            // One that let go of a day does not have what the log still says.
            prop_assert!(agrees || first == 0 && let_go > 0, "from {}: {:?}", first, compared);
        }
    }

    /// Facts whose trace no later one covers.
    #[test]
    fn a_fact_that_was_left_out_is_found(steps in prop::collection::vec(step(), 20..120), pick: prop::sample::Index) {
        let mut world = World::new();
        world.publish(0, &[1, 2], None);
        steps.iter().for_each(|step| world.run(step));
        world.end_block();
        let is_filed = |fact: &Fact| {
            matches!(fact, Fact::EventAccepted(_) | Fact::AttemptFinished { .. } | Fact::TestFinished { .. })
        };
        let filed: Vec<&Record> = world.records.iter().filter(|record| is_filed(&record.fact)).collect();
        let left_out = pick.get(&filed).position;
        let rest: Vec<Record> = world.records.iter().filter(|record| record.position != left_out).cloned().collect();
        let folder = support::folder();
        let path = folder.path().join("store");
        let mut opened = open(&path).unwrap();
        feed(&mut opened.writer, &rest, world.block, 5);
        opened.writer.close();
        drop(opened.store);
        let compared = compare(&path, &world.records, 0, world.block);
        prop_assert!(matches!(compared, Compared::Differs(..)), "without {}: {:?}", left_out, compared);
    }
}
