//! Any story, committed, forgotten and opened again at any points: every query says what the story remembers.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use postrider_log::LogReader;
use postrider_store::{LogIdentity, Mark, Opened, Part, Store, Writer};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::snapshot::{HealthSketch, Landmarks, Snapshot};
use crate::stage::{LOG, Stage, Step, TYPES, id, measured, step};
use crate::stored::{Stored, StoredError};
use postrider_core::attempt::Outcome;
use postrider_core::command::{Command, Finish};
use postrider_core::replay::{Only, Wish};

/// A story with its readers' side.
struct Scene {
    stage: Stage,
    views: RwLock<Views>,
    stored: Stored,
    covered: AtomicU64,
    folder: TempDir,
    /// `None` only while it is opened again.
    writer: Option<Writer>,
    projected: Position,
    taken: Position,
    landmarks: Landmarks,
    /// As the store has it.
    snapshot: Option<Vec<u8>>,
}

impl Scene {
    fn new() -> Scene {
        let stage = Stage::new();
        let mut scene = Scene {
            stored: Stored::new(Arc::new(stage.reader.clone()), None),
            stage,
            views: RwLock::default(),
            covered: AtomicU64::new(0),
            folder: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap(),
            writer: None,
            projected: Position::default(),
            taken: Position::default(),
            landmarks: Landmarks::default(),
            snapshot: None,
        };
        scene.open();
        scene
    }

    fn look(&self) -> Look<'_> {
        Look::new(&self.views, &self.stored, &self.covered)
    }

    fn open(&mut self) {
        self.stored.close(true);
        self.writer = None;
        let reader = &self.stage.reader;
        let chain_at = |block| LogReader::chain_before(reader, block).unwrap().map(|hash| hash.0);
        let identity = LogIdentity { log: LOG.0, chain_at: &chain_at };
        let Opened { store, writer, set_aside, at, .. } =
            Store::open(&self.folder.path().join("store"), identity).unwrap();
        assert_eq!(set_aside, None);
        self.stored.open(store);
        self.covered.store(at.replay_from(), Ordering::Release);
        self.writer = Some(writer);
        self.taken = Position::new(at.replay_from(), 0);
    }

    /// All that is durable is in the views, as the projector sees to it.
    fn project(&mut self) {
        self.stage.end_block();
        let mut views = self.views.write();
        let from = self.projected;
        self.stage.records.iter().filter(|record| record.position >= from).for_each(|record| views.apply(record));
        views.forget_below(self.stage.reader.first());
        self.projected = Position::new(self.stage.reader.end(), 0);
    }

    /// All that is projected is in the store, as the keeper sees to it.
    fn commit(&mut self) {
        self.project();
        let sketch = HealthSketch::draw(&self.views);
        let writer = self.writer.as_mut().unwrap();
        for record in self.stage.records.iter().filter(|record| record.position >= self.taken) {
            writer.take(Part::Both, record).unwrap();
            self.landmarks.note(record);
        }
        let end = self.stage.reader.end();
        self.taken = Position::new(end, 0);
        let chain = LogReader::chain_before(&self.stage.reader, end).unwrap().unwrap().0;
        // Not with each commit: what came since is to be replayed.
        let snapshot = end.is_multiple_of(3).then(|| Snapshot::write(&self.landmarks, &sketch));
        writer.commit(Part::Both, Mark { block: end, chain }, snapshot.as_deref()).unwrap();
        self.snapshot = snapshot.or(self.snapshot.take());
        self.covered.store(end, Ordering::Release);
    }

    fn forget(&self, all: bool) {
        let covered = self.covered.load(Ordering::Acquire);
        while self.views.write().forget_covered(if all { covered } else { covered / 2 }) {}
    }

    /// Another process.
    fn restart(&mut self) {
        self.project();
        let (first, covered) = (self.stage.reader.first(), self.taken.block());
        let mut views = Views::for_replay(first, covered);
        self.stage.records.iter().for_each(|record| views.apply(record));
        views.settle();
        if let Some(snapshot) = self.snapshot.as_deref().map(|bytes| Snapshot::read(bytes).unwrap())
            && let Some((from, _)) = snapshot.replay_from(covered, first)
        {
            let mut behind = Views::for_replay_behind(first, covered, snapshot.health);
            let rest = self.stage.records.iter().filter(|record| record.position.block() >= from);
            rest.for_each(|record| behind.apply(record));
            behind.settle();
            // A replay of the whole log would know nothing of attempts that the log has let go of.
            let before = self.views.read();
            assert!(behind.summaries(None).eq(before.summaries(None)), "from block {from}");
            assert_eq!(behind.directory, before.directory);
            drop(before);
            views = behind;
        }
        self.views = RwLock::new(views);
        self.open();
    }

    /// The fact of an attempt with what a log shows of it, newest first.
    fn attempts(&self, webhook: WebhookId) -> Vec<(Position, Option<DeliveryKey>, Attempt)> {
        let filed = self.stage.records.iter().rev().filter_map(|record| match &record.fact {
            Fact::AttemptFinished { cell, attempt, .. } if cell.webhook == webhook => {
                let is_kept = self.stage.events.contains_key(&cell.key.event);
                is_kept.then(|| (record.position, Some(cell.key), attempt.clone()))
            }
            Fact::TestFinished { webhook: of, attempt, .. } if *of == webhook => {
                Some((record.position, None, attempt.clone()))
            }
            _ => None,
        });
        filed.collect()
    }

    fn status_of(&self, cell: &Cell) -> Status {
        match cell.status {
            Status::Pending if self.stage.kernel.directory.webhook(cell.webhook).is_none() => Status::Cancelled,
            status => status,
        }
    }

    fn check(&self) -> Result<(), StoredError> {
        for workspace in &self.stage.workspaces {
            self.check_events(*workspace)?;
            self.check_deliveries(*workspace)?;
            self.check_one_by_one(*workspace)?;
            self.check_history(*workspace, None)?;
        }
        for (workspace, webhook) in &self.stage.webhooks {
            self.check_logs(*workspace, *webhook)?;
            self.check_history(*workspace, Some(*webhook))?;
        }
        Ok(())
    }

    fn check_events(&self, workspace: WorkspaceId) -> Result<(), StoredError> {
        let all: Vec<_> = self.stage.events.values().rev().filter(|event| event.workspace == workspace).collect();
        let middle = all.get(all.len() / 2).map(|event| event.accepted);
        let filters = [
            EventFilter::default(),
            EventFilter { event_type: Some(TYPES[1].into()), ..EventFilter::default() },
            EventFilter { campaign: Some("c1".into()), ..EventFilter::default() },
            EventFilter { id: Some("order-3".into()), ..EventFilter::default() },
            EventFilter { since: middle, ..EventFilter::default() },
            EventFilter { until: middle, ..EventFilter::default() },
        ];
        for filter in filters {
            let is_wanted = |event: &&&Arc<Event>| {
                filter.event_type.as_deref().is_none_or(|t| t == &*event.event_type)
                    && filter.campaign.as_deref().is_none_or(|c| Some(c) == event.campaign.as_deref())
                    && filter.id.as_deref().is_none_or(|id| id == event.id.as_str())
                    && filter.since.is_none_or(|since| event.accepted >= since)
                    && filter.until.is_none_or(|until| event.accepted < until)
            };
            let expected: Vec<_> = all.iter().filter(is_wanted).map(|event| (*event).clone()).collect();
            let found = paged(ListName::Events, |query| self.look().events(workspace, &filter, query))?;
            assert_eq!(found, expected, "{filter:?}");
        }
        Ok(())
    }

    fn check_deliveries(&self, workspace: WorkspaceId) -> Result<(), StoredError> {
        let all: Vec<_> = self.stage.cells.values().rev().filter(|cell| cell.workspace == workspace).collect();
        let webhook = self.stage.webhooks.iter().find(|(of, _)| *of == workspace).map(|(_, webhook)| *webhook);
        let filters = [
            DeliveryFilter::default(),
            DeliveryFilter { webhook, ..DeliveryFilter::default() },
            DeliveryFilter { event_type: Some(TYPES[0].into()), ..DeliveryFilter::default() },
            DeliveryFilter { status: Some(Status::Pending), ..DeliveryFilter::default() },
            DeliveryFilter { webhook, status: Some(Status::Succeeded), ..DeliveryFilter::default() },
        ];
        for filter in filters {
            let is_wanted = |cell: &&&Cell| {
                filter.webhook.is_none_or(|webhook| webhook == cell.webhook)
                    && filter.status.is_none_or(|status| status == self.status_of(cell))
                    && filter.event_type.as_deref().is_none_or(|t| t == &*self.stage.events[&cell.key.event].event_type)
            };
            let expected: Vec<_> = all.iter().filter(is_wanted).map(|cell| **cell).collect();
            let found = paged(ListName::Deliveries, |query| self.look().deliveries(workspace, &filter, query))?;
            let found: Vec<_> = found.into_iter().map(|row| row.cell).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
        Ok(())
    }

    fn check_logs(&self, workspace: WorkspaceId, webhook: WebhookId) -> Result<(), StoredError> {
        let all = self.attempts(webhook);
        let middle = all.get(all.len() / 2).map(|(_, _, attempt)| attempt.started);
        let filters = [
            LogFilter::default(),
            LogFilter { outcome: Some(Outcome::Succeeded), ..LogFilter::default() },
            LogFilter { event_type: Some(TYPES[0].into()), ..LogFilter::default() },
            LogFilter { status_code: Some(503), ..LogFilter::default() },
            LogFilter { event_id: Some("order-3".into()), ..LogFilter::default() },
            LogFilter { since: middle, ..LogFilter::default() },
            LogFilter { until: middle, ..LogFilter::default() },
        ];
        for filter in filters {
            let named = filter.event_id.as_deref().map(|id| id.parse().unwrap());
            let named = named.and_then(|id| self.stage.event_with_id(workspace, &id)).map(|event| event.at);
            let is_wanted = |(_, key, attempt): &&(Position, Option<DeliveryKey>, Attempt)| {
                let event_type = key.map_or(TYPES[0], |key| &*self.stage.events[&key.event].event_type);
                filter.outcome.is_none_or(|outcome| outcome == attempt.outcome)
                    && filter.event_type.as_deref().is_none_or(|t| t == event_type)
                    && filter.status_code.is_none_or(|code| Some(code) == attempt.exchange.status_code)
                    && filter.event_id.as_ref().is_none_or(|_| key.is_some_and(|key| Some(key.event) == named))
                    && filter.since.is_none_or(|since| attempt.started >= since)
                    && filter.until.is_none_or(|until| attempt.started < until)
            };
            // Of a webhook that nothing remembers there is no log.
            let is_known = self.stage.kernel.directory.history(webhook).is_some();
            let expected = all.iter().filter(is_wanted).filter(|_| is_known);
            let expected: Vec<_> = expected.map(|(position, _, attempt)| (*position, attempt.clone())).collect();
            let found = paged(ListName::Logs, |query| self.look().logs(workspace, webhook, &filter, query))?;
            let found: Vec<_> = found.into_iter().map(|entry| (entry.position, entry.attempt)).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
        Ok(())
    }

    /// Exactly what the records say, but for the hour in which the log begins: the store may remember more of that.
    fn check_history(&self, workspace: WorkspaceId, of: Option<WebhookId>) -> Result<(), StoredError> {
        let directory = &self.stage.kernel.directory;
        let is_there = |webhook: &WebhookId| directory.webhook(*webhook).is_some();
        let ended = self.stage.records.iter().filter_map(|record| match &record.fact {
            Fact::AttemptFinished { cell, attempt, .. } => Some((record.time.0, cell, attempt)),
            _ => None,
        });
        let is_of = |cell: &Cell| cell.workspace == workspace && of.is_none_or(|webhook| webhook == cell.webhook);
        let ended: Vec<_> = ended.filter(|(_, cell, _)| is_of(cell) && is_there(&cell.webhook)).collect();
        for step in HistoryStep::ALL {
            let since = Some(Time(self.stage.now.0.saturating_sub(700 * step.len_ms())));
            let span = HistoryQuery { step, since, until: None }.span(self.stage.now).unwrap();
            let Some(history) = self.look().history(workspace, of, span)? else {
                assert!(of.is_some_and(|webhook| !is_there(&webhook)));
                continue;
            };
            let begin = (self.stage.reader.first() > 0).then(|| self.stage.records[0].time);
            assert_eq!(history.kept_since, begin);
            for slot in &history.slots {
                let end = slot.start.0 + step.len_ms();
                let within: Vec<_> = ended.iter().filter(|(at, ..)| (slot.start.0..end).contains(at)).collect();
                let good = within.iter().filter(|(.., attempt)| attempt.outcome == Outcome::Succeeded).count() as u64;
                let told = (slot.figures.attempts, slot.figures.succeeded);
                match begin.filter(|begin| slot.start <= *begin) {
                    Some(_) => assert!(told.0 >= within.len() as u64 && told.1 >= good, "{told:?}"),
                    None => assert_eq!(told, (within.len() as u64, good)),
                }
                assert!(begin.is_none_or(|begin| begin.0 < end), "what is gone is left out");
            }
        }
        Ok(())
    }

    fn check_one_by_one(&self, workspace: WorkspaceId) -> Result<(), StoredError> {
        let look = self.look();
        for event in self.stage.events.values().filter(|event| event.workspace == workspace) {
            assert_eq!(look.event_with_id(workspace, &event.id)?.as_ref(), Some(event));
            assert_eq!(look.erased_at(event.at)?, self.stage.erased.get(&event.at).map(|(_, time)| *time));
            assert_eq!(look.payload_of(event.at)?, self.stage.payload_of(event.at));
            let cells: Vec<_> = self.stage.cells.values().filter(|cell| cell.key.event == event.at).copied().collect();
            let found: Vec<_> = look.deliveries_in(event)?.into_iter().map(|row| row.cell).collect();
            assert_eq!(found, cells);
            assert_eq!(look.deliveries_of(event)?, cells.len());
            let explained = look.explain(workspace, &event.id, None)?.unwrap();
            for cell in &cells {
                let row = look.delivery(workspace, cell.key)?.unwrap();
                assert_eq!(row.cell, *cell);
                let attempts: Vec<_> = look.attempts(&row)?.into_iter().map(|entry| entry.attempt).collect();
                let mut expected = self.attempts(cell.webhook);
                expected.retain(|(_, key, _)| *key == Some(cell.key));
                let expected: Vec<_> = expected.into_iter().rev().map(|(_, _, attempt)| attempt).collect();
                assert_eq!(attempts, expected);
                for explanation in explained.iter().filter(|explanation| explanation.webhook == cell.webhook) {
                    assert_eq!(explanation.verdict, Verdict::Chosen(self.status_of(cell)));
                }
            }
            let none = DeliveryKey { event: event.at, ordinal: event.chosen.len() as u32 };
            assert!(look.delivery(workspace, none)?.is_none());
        }
        for id in (0..30).map(id) {
            assert_eq!(look.event_with_id(workspace, &id)?.as_ref(), self.stage.event_with_id(workspace, &id));
        }
        for (_, webhook) in self.stage.webhooks.iter().filter(|(of, _)| *of == workspace) {
            let pending = |cell: &&Cell| cell.webhook == *webhook && cell.status == Status::Pending;
            let pending: Vec<_> = self.stage.cells.values().filter(pending).collect();
            let health = self.views.read().health(workspace, *webhook, self.stage.now);
            assert_eq!(health.is_some(), self.stage.kernel.directory.webhook(*webhook).is_some());
            if let Some(health) = health {
                assert_eq!(health.pending, pending.len() as u64);
                assert_eq!(health.next_attempt_at, pending.iter().map(|cell| cell.due).min());
                self.check_count(workspace, *webhook)?;
            }
        }
        Ok(())
    }

    fn check_count(&self, workspace: WorkspaceId, webhook: WebhookId) -> Result<(), StoredError> {
        let wish = Wish { since: Time(0), until: None, event_types: Vec::new(), only: Only::Failed };
        let (from, to) = (Position::default(), Position::from_u64(u64::MAX));
        let reach = crate::past::Reach { workspace, webhook, wish: &wish, from, to };
        let settings = &self.stage.kernel.directory.webhook(webhook).unwrap().settings;
        let count = self.look().count_replay(reach, settings)?.unwrap();
        let of_it = self.stage.cells.values().filter(|cell| cell.webhook == webhook);
        let meant = of_it.filter(|cell| cell.status != Status::Succeeded).count();
        assert_eq!((count.matched + count.skipped) as usize, meant);
        Ok(())
    }
}

/// The whole list, by cursor; and its beginning, by number.
fn paged<T>(
    list: ListName,
    page_of: impl Fn(PageQuery) -> Result<Page<T>, StoredError>,
) -> Result<Vec<T>, StoredError> {
    let mut query = PageQuery { page: 1, page_size: 7, cursor: None };
    let mut all = Vec::new();
    loop {
        let page = page_of(query)?;
        assert!(page.items.len() <= 7 && !page.total_is_capped);
        let total = page.total;
        all.extend(page.items);
        let Some(cursor) = page.next_cursor else {
            assert_eq!(total, all.len());
            break;
        };
        query.cursor = Some(read_cursor(list, &cursor).unwrap());
    }
    let second = page_of(PageQuery { page: 2, page_size: 7, cursor: None })?;
    assert_eq!(second.items.len(), all.len().saturating_sub(7).min(7));
    Ok(all)
}

#[derive(Clone, Debug)]
enum Act {
    Story(Step),
    Project,
    Commit,
    Forget { all: bool },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        40 => step().prop_map(Act::Story),
        2 => Just(Act::Project),
        3 => Just(Act::Commit),
        3 => any::<bool>().prop_map(|all| Act::Forget { all }),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn every_query_says_what_the_story_remembers(acts in prop::collection::vec(act(), 1..250)) {
        let mut scene = Scene::new();
        for (n, act) in acts.iter().enumerate() {
            match act {
                Act::Story(step) => {
                    // The log never begins past W.
                    if matches!(step, Step::Retain) {
                        scene.commit();
                    }
                    scene.stage.run(step);
                }
                Act::Project => scene.project(),
                Act::Commit => scene.commit(),
                Act::Forget { all } => scene.forget(*all),
                Act::Restart => scene.restart(),
            }
            if n % 40 == 39 {
                scene.project();
                scene.check().unwrap();
            }
        }
        scene.commit();
        scene.forget(true);
        scene.check().unwrap();
        scene.restart();
        scene.check().unwrap();
    }
}

#[test]
fn an_id_is_found_again_that_another_event_took_while_the_tail_still_knew_the_first() {
    let mut scene = Scene::new();
    scene.stage.publish(0, TYPES[1], Some(3));
    scene.project();
    let first = scene.stage.event_with_id(scene.stage.workspaces[0], &id(3)).unwrap().at;
    for key in scene.stage.cells.keys().copied().collect::<Vec<_>>() {
        scene.stage.tell(Command::Finish(Finish { key, measured: measured(scene.stage.now, 3, true) }));
    }
    for _ in 0..20 {
        scene.stage.publish(1, TYPES[1], None);
        scene.commit();
    }
    scene.stage.run(&Step::Retain);
    assert!(!scene.stage.events.contains_key(&first), "the log has let go of the first");
    scene.stage.publish(0, TYPES[1], Some(3));
    scene.project();
    scene.check().unwrap();
}
