//! Any story, committed now and then and opened again: below W, the store and the log say what the story remembers.

use postrider_store::{LogIdentity, Mark, Opened, Part};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::stage::{LOG, Stage, Step, id, step};
use postrider_log::LogReader;

/// A story with a store beside it.
struct Scene {
    stage: Stage,
    folder: TempDir,
    stored: Stored,
    /// `None` only while it is opened again.
    writer: Option<postrider_store::Writer>,
    taken: Position,
}

impl Scene {
    fn new() -> Scene {
        let stage = Stage::new();
        let stored = Stored::new(Arc::new(stage.reader.clone()), None);
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut scene = Scene { stage, folder, stored, writer: None, taken: Position::default() };
        scene.open();
        scene
    }

    fn open(&mut self) {
        self.stored.close(true);
        self.writer = None;
        let reader = &self.stage.reader;
        let chain_at = |block| reader.chain_before(block).unwrap().map(|hash| hash.0);
        let Opened { store, writer, set_aside, .. } =
            Store::open(&self.folder.path().join("store"), LogIdentity { log: LOG.0, chain_at: &chain_at }).unwrap();
        assert_eq!(set_aside, None);
        self.stored.open(store);
        self.writer = Some(writer);
        self.taken = Position::default();
    }

    /// Ends the block, and takes all that is durable into the store.
    fn commit(&mut self) {
        self.stage.end_block();
        let writer = self.writer.as_mut().unwrap();
        for record in self.stage.records.iter().filter(|record| record.position >= self.taken) {
            writer.take(Part::Both, record).unwrap();
        }
        let end = self.stage.reader.end();
        self.taken = Position::new(end, 0);
        let chain = self.stage.reader.chain_before(end).unwrap().unwrap().0;
        writer.commit(Part::Both, Mark { block: end, chain }, None).unwrap();
    }

    fn check(&self) {
        let Scene { stage, stored, .. } = self;
        let covered = stored.view(|view| Ok(view.covered())).unwrap();
        assert_eq!(covered, stage.reader.end());
        let look = |look: &mut dyn FnMut(&View<'_>) -> Result<(), StoredError>| stored.view(look).unwrap();
        for event in stage.events.values() {
            look(&mut |view| {
                assert_eq!(view.event(event.at)?.as_ref(), Some(event));
                assert_eq!(view.payload_of(event.at)?, stage.payload_of(event.at));
                assert_eq!(view.erased(event.at)?, stage.erased.get(&event.at).copied());
                let cells = stage.cells.values().filter(|cell| cell.key.event == event.at);
                let cells: Vec<_> = cells.copied().collect();
                assert_eq!(view.cells_of(event)?, cells);
                assert_eq!(view.cell(DeliveryKey { event: event.at, ordinal: cells.len() as u32 })?, None);
                cells.iter().try_for_each(|cell| self.check_attempts(cell))
            });
        }
        for record in &stage.records {
            let at = record.position;
            let key = DeliveryKey { event: at, ordinal: 0 };
            let (event, cell) = stored.view(|view| Ok((view.event(at)?, view.cell(key)?))).unwrap();
            assert!(event.is_none() && cell.is_none() || stage.events.contains_key(&at));
        }
        for workspace in &stage.workspaces {
            for id in (0..30).map(id) {
                let expected = stage.event_with_id(*workspace, &id).cloned();
                assert_eq!(stored.view(|view| view.event_with_id(*workspace, &id)).unwrap(), expected);
            }
        }
    }

    fn check_attempts(&self, cell: &Cell) -> Result<(), StoredError> {
        let of_it = self.stage.records.iter().rev().filter_map(|record| match &record.fact {
            Fact::AttemptFinished { cell: of, attempt, .. } if of.key == cell.key => {
                Some((record.position, attempt.clone()))
            }
            _ => None,
        });
        let found = self.stored.attempts_back(cell.last_attempt, 1_000)?;
        let found: Vec<_> = found.into_iter().map(|attempt| (attempt.position, attempt.attempt)).collect();
        assert_eq!(found, of_it.collect::<Vec<_>>());
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Act {
    Story(Step),
    Commit,
    Reopen,
    BuildFilter,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![30 => step().prop_map(Act::Story), 4 => Just(Act::Commit), 1 => Just(Act::Reopen), 1 => Just(Act::BuildFilter)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn what_is_stored_is_what_the_story_remembers(acts in prop::collection::vec(act(), 1..250)) {
        let mut scene = Scene::new();
        for act in &acts {
            match act {
                Act::Story(step) => {
                    // The log never begins past W.
                    if matches!(step, Step::Retain) {
                        scene.commit();
                    }
                    scene.stage.run(step);
                }
                Act::Commit => {
                    scene.commit();
                    scene.check();
                }
                Act::Reopen => {
                    scene.commit();
                    scene.open();
                }
                Act::BuildFilter => drop(scene.writer.as_mut().unwrap().build_filter().unwrap()),
            }
        }
        scene.commit();
        scene.check();
        scene.open();
        scene.check();
    }
}

#[test]
fn without_a_store_nothing_lies_below_w_and_a_failed_one_is_down() {
    let mut stage = Stage::new();
    stage.publish(0, "EMAIL_SENT", None);
    stage.end_block();
    let stored = Stored::new(Arc::new(stage.reader.clone()), None);
    let event = stage.events.values().next().unwrap();
    let found = stored.view(|view| Ok((view.covered(), view.event(event.at)?, view.events(event.workspace, None, 9)?)));
    assert_eq!(found.unwrap(), (0, None, Vec::new()));
    stored.close(true);
    assert!(matches!(stored.view(|_| Ok(())), Err(StoredError::Down)));
}
