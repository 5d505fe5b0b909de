//! The store against a model in RAM: any run of facts, commits, kills, reopenings, sweeps and expiries gives the model's answers.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use postrider_core::Time;
use postrider_core::fact::{Fact, Record};
use postrider_store::{Opened, Part};
use proptest::prelude::*;
use support::{DAY_MS, Step, World, expected, given, open, step};

/// What is done with the store in between.
#[derive(Clone, Debug)]
enum Act {
    World(Step),
    /// Ends the block and commits it.
    Commit {
        part: Part,
        kernel: Option<usize>,
    },
    /// Drops everything that was not committed and opens the store again.
    Kill,
    /// Moves what was due so long ago to the backlog.
    Sweep {
        ago_ms: u64,
    },
    /// Forgets days before so many days ago.
    Expire {
        days: u64,
    },
    /// The log begins so many blocks ago.
    LetGo {
        blocks: u64,
    },
    /// Builds a filter that is missing or full.
    BuildFilter,
}

fn act() -> impl Strategy<Value = Act> {
    let part = prop_oneof![5 => Just(Part::Both), 1 => Just(Part::Pending), 1 => Just(Part::History)];
    let kernel = prop_oneof![3 => Just(None), 1 => (0usize..10_000).prop_map(Some)];
    prop_oneof![
        30 => step().prop_map(Act::World),
        4 => (part, kernel).prop_map(|(part, kernel)| Act::Commit { part, kernel }),
        1 => Just(Act::Kill),
        1 => prop_oneof![Just(0u64), 0u64..10_000_000].prop_map(|ago_ms| Act::Sweep { ago_ms }),
        1 => (0u64..3).prop_map(|days| Act::Expire { days }),
        1 => (0u64..30).prop_map(|blocks| Act::LetGo { blocks }),
        1 => Just(Act::BuildFilter),
    ]
}

/// A store, the world that it is of, and what it must be at.
struct Bench<'a> {
    folder: &'a Path,
    world: World,
    /// `None` only while it is opened again.
    opened: Option<Opened>,
    /// Of the world's records, how many each part has taken.
    taken: [usize; 2],
    committed: [u64; 2],
    kernel: Option<(u64, Vec<u8>)>,
    first_day: u64,
}

const PARTS: [Part; 2] = [Part::Pending, Part::History];

impl Bench<'_> {
    fn new(folder: &Path) -> Bench<'_> {
        let opened = Some(open(folder).unwrap());
        Bench { folder, world: World::new(), opened, taken: [0; 2], committed: [0; 2], kernel: None, first_day: 0 }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::World(step) => self.world.run(step),
            Act::Commit { part, kernel } => self.commit(*part, *kernel),
            Act::Kill => self.kill(),
            Act::Sweep { ago_ms } => {
                self.opened.as_mut().unwrap().writer.sweep(Time(self.world.now.saturating_sub(*ago_ms)))
            }
            Act::LetGo { blocks } => {
                self.commit(Part::Both, None);
                self.let_go(self.world.block.saturating_sub(*blocks));
            }
            Act::BuildFilter => drop(self.opened.as_mut().unwrap().writer.build_filter().unwrap()),
            Act::Expire { days } => {
                // What was not committed is taken later, of whichever day it is.
                self.commit(Part::Both, None);
                let before = self.world.now - days * DAY_MS;
                self.opened.as_mut().unwrap().writer.expire(Time(before)).unwrap();
                self.first_day = self.first_day.max(before / DAY_MS);
            }
        }
    }

    /// A webhook that went is not forgotten here: worlds have attempts that outlive it for ever.
    fn let_go(&mut self, first: u64) {
        let deleted = |record: &&Record| matches!(record.fact, Fact::WebhookDeleted { .. });
        let first = self.world.records.iter().find(deleted).map_or(first, |record| first.min(record.position.block()));
        self.opened.as_mut().unwrap().writer.let_go(first).unwrap();
        let files = |fact: &Fact| {
            matches!(fact, Fact::EventAccepted(_) | Fact::AttemptFinished { .. } | Fact::TestFinished { .. })
        };
        let filed = self.world.records.iter().filter(|record| files(&record.fact));
        let mut begins = BTreeMap::new();
        for (day, block) in filed.map(|record| (record.time.0 / DAY_MS, record.position.block())) {
            begins.entry(day).or_insert(block);
        }
        let newest_over = begins.iter().rev().find(|(_, block)| **block <= first).map(|(day, _)| *day);
        self.first_day = self.first_day.max(newest_over.unwrap_or(0));
        self.check();
    }

    fn feed(&mut self, which: usize) {
        let records = &self.world.records;
        for record in &records[self.taken[which]..] {
            self.opened.as_mut().unwrap().writer.take(PARTS[which], record).unwrap();
        }
        self.taken[which] = records.len();
    }

    fn commit(&mut self, part: Part, kernel: Option<usize>) {
        self.world.end_block();
        let part = if part == Part::History { Part::Both } else { part };
        self.feed(0);
        if part == Part::Both {
            self.feed(1);
        }
        let mark = self.world.mark();
        let kernel = kernel.map(|len| vec![mark.block as u8; len]);
        self.opened.as_mut().unwrap().writer.commit(part, mark, kernel.as_deref()).unwrap();
        self.committed[0] = mark.block;
        if part == Part::Both {
            self.committed[1] = mark.block;
        }
        if let Some(kernel) = kernel {
            self.kernel = Some((mark.block, kernel));
        }
        self.check();
    }

    fn kill(&mut self) {
        // The old handles go first: a folder has one owner.
        self.opened = None;
        let opened = open(self.folder).unwrap();
        assert_eq!(opened.set_aside, None);
        assert_eq!([opened.at.pending.block, opened.at.history.block], self.committed);
        assert_eq!(opened.at.kernel, self.kernel.as_ref().map(|kernel| kernel.0));
        let kernel = opened.kernel.as_ref().map(|kernel| (kernel.block, kernel.bytes.clone()));
        assert_eq!(kernel, self.kernel);
        self.opened = Some(opened);
        // A replay may begin earlier than it must.
        self.taken = [0; 2];
        self.check();
    }

    fn check(&self) {
        let reader = self.opened.as_ref().unwrap().store.read();
        let [pending, history] = self.committed;
        let now = expected(&self.world.records, pending, self.first_day);
        let then = expected(&self.world.records, history, self.first_day);
        let given = given(&reader, then.heads.keys().copied(), 7).unwrap();
        assert_eq!((&given.asleep, &given.counts), (&now.asleep, &now.counts));
        assert_eq!((&given.heads, &given.erased, &given.ids), (&then.heads, &then.erased, &then.ids));
        assert_eq!(given.added, then.added);
        assert_eq!((&given.attempts, &given.events, &given.hours), (&then.attempts, &then.events, &then.hours));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn any_run_gives_the_models_answers(acts in prop::collection::vec(act(), 1..300)) {
        let folder = support::folder();
        let path = folder.path().join("store");
        let mut bench = Bench::new(&path);
        acts.iter().for_each(|act| bench.act(act));
        bench.commit(Part::Both, None);
        bench.kill();
    }
}
