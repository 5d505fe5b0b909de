//! Stories of one webhook; and any run of commands, against a recount from all records.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use postrider_core::attempt::{Attempt, ErrorKind, Exchange, Failure, Outcome};
use postrider_core::command::{Command, Finish, Measured, Rejection, Reply};
use postrider_core::delivery::{Cell, Status};
use postrider_core::event::{Digest, Event, NewEvent};
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::{Entropy, Kernel, Moment, Prior, apply, decide, event_cells};
use postrider_core::policy::RetryPolicy;
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::{Change, Settings, TIMEOUT_DEFAULT};
use postrider_core::workspace::KeyHash;
use postrider_core::{DeliveryKey, Millis, Position, Time, WebhookId, WorkspaceId};
use proptest::prelude::*;

use super::{WebhookHealth, WindowFigures};
use crate::views::Views;

const MINUTE: u64 = 60_000;
const QUARTER: u64 = 15 * MINUTE;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// 2026-02-19T10:30:00Z.
const START: Time = Time(1_771_497_000_000);

struct Draws(u64);

impl Entropy for Draws {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0
    }
}

/// A shell as small as one can be, with the views beside it.
struct Story {
    kernel: Kernel,
    views: Views,
    records: Vec<Record>,
    cells: BTreeMap<DeliveryKey, Cell>,
    events: BTreeMap<Position, Arc<Event>>,
    erased: Vec<Position>,
    now: Time,
    workspace: WorkspaceId,
    draws: Draws,
}

impl Story {
    fn new() -> Story {
        let mut story = Story {
            kernel: Kernel::default(),
            views: Views::default(),
            records: Vec::new(),
            cells: BTreeMap::new(),
            events: BTreeMap::new(),
            erased: Vec::new(),
            now: START,
            workspace: WorkspaceId(Position::new(0, 0)),
            draws: Draws(7),
        };
        let genesy = Profile::built_in().into_iter().find(|p| &*p.name == "genesy").expect("built in");
        story.tell(Command::RegisterProfile(Arc::new(genesy))).expect("a profile is taken");
        story.make_workspace();
        story
    }

    fn make_workspace(&mut self) {
        let n = self.records.len() as u8;
        let (sealing_key, key_hash) = (SealingKeyId(u64::from(n)), KeyHash([n; 32]));
        let command = Command::CreateWorkspace { name: "acme".into(), profile: "genesy".into(), sealing_key, key_hash };
        match self.tell(command) {
            Ok(Reply::WorkspaceCreated(id, _)) => self.workspace = id,
            other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, command: Command) -> Result<Reply, Rejection> {
        let at = Position::new(self.records.len() as u64, 0);
        let (cell, event) = match &command {
            Command::Finish(finish) => (self.cells.get(&finish.key), None),
            Command::Retry { key, .. } => (self.cells.get(key), None),
            Command::EraseEvent { id, .. } => (None, self.events.values().find(|event| event.id == *id)),
            _ => (None, None),
        };
        let about = event.map(|event| event.at).or(cell.map(|cell| cell.key.event));
        let siblings: Vec<_> = self.cells.values().filter(|cell| Some(cell.key.event) == about).copied().collect();
        let is_erased = about.is_some_and(|at| self.erased.contains(&at));
        let event = event.map(|event| &**event);
        let prior = Prior { cell, event, siblings: &siblings, is_erased, ..Prior::default() };
        let mut moment = Moment { now: self.now, at, entropy: &mut self.draws };
        let decision = decide(&self.kernel, prior, &command, &mut moment)?;
        for (index, fact) in decision.facts.into_iter().enumerate() {
            self.take(Record { position: Position::new(at.block(), index as u32), time: self.now, fact });
        }
        Ok(decision.reply)
    }

    fn take(&mut self, record: Record) {
        match &record.fact {
            Fact::EventAccepted(event) => {
                self.cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                self.events.insert(event.at, Arc::clone(event));
            }
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } => {
                self.cells.insert(cell.key, *cell);
            }
            Fact::EventErased { event, cancelled, .. } => {
                self.cells.extend(cancelled.iter().map(|cell| (cell.key, *cell)));
                self.erased.push(*event);
            }
            _ => {}
        }
        apply(&mut self.kernel, &record, |_| ());
        self.views.apply(&record);
        self.records.push(record);
    }

    fn wait(&mut self, span: u64) {
        self.now = self.now + Millis(span);
    }

    fn webhook(&mut self, delays: &[u64]) -> WebhookId {
        let delays = delays.iter().map(|delay| Millis(*delay)).collect();
        let settings = Settings {
            name: "crm".into(),
            description: None,
            url: "https://example.com/hook".into(),
            events: vec!["EMAIL_SENT".into()],
            campaign_ids: Vec::new(),
            custom_fields: Vec::new(),
            enabled: true,
            secret: None,
            headers: Vec::new(),
            retry_policy: Some(RetryPolicy { delays, jitter_permille: 0 }),
            timeout: TIMEOUT_DEFAULT,
            rate_limit: None,
            signing: None,
            ordered: false,
        };
        match self.tell(Command::CreateWebhook { workspace: self.workspace, settings: Box::new(settings) }) {
            Ok(Reply::Webhook(webhook)) => webhook.id,
            other => panic!("{other:?}"),
        }
    }

    fn switch(&mut self, id: WebhookId, enabled: bool) {
        let change = Box::new(Change { enabled: Some(enabled), ..Change::default() });
        self.tell(Command::ChangeWebhook { workspace: self.workspace, id, change }).expect("it is there");
    }

    fn delete(&mut self, id: WebhookId) {
        self.tell(Command::DeleteWebhook { workspace: self.workspace, id }).expect("it is there");
    }

    /// Publishes; the first delivery.
    fn publish(&mut self) -> Option<DeliveryKey> {
        let event = NewEvent {
            id: None,
            event_type: "EMAIL_SENT".into(),
            created: None,
            campaign: None,
            data: Bytes::from_static(b"{}"),
            digest: Digest::of("EMAIL_SENT", None, b"{}"),
            crc32c: 0,
        };
        let at = Position::new(self.records.len() as u64, 0);
        self.tell(Command::Publish { workspace: self.workspace, event }).expect("it is new");
        Some(DeliveryKey { event: at, ordinal: 0 }).filter(|key| self.cells.contains_key(key))
    }

    /// An attempt that took so long ends now.
    fn finish(&mut self, key: DeliveryKey, took: u64, is_good: bool) {
        let measured = measured(Time(self.now.0 - took), took, is_good);
        self.tell(Command::Finish(Finish { key, measured })).expect("it is known");
    }

    fn test(&mut self, webhook: WebhookId, is_good: bool) -> Result<Reply, Rejection> {
        self.tell(Command::RecordTest {
            workspace: self.workspace,
            webhook,
            event_id: "evt-test".parse().expect("an id"),
            event_type: "EMAIL_SENT".into(),
            measured: measured(self.now, 3, is_good),
        })
    }

    fn erase(&mut self, event: Position) {
        let (workspace, id) = (self.events[&event].workspace, self.events[&event].id.clone());
        self.tell(Command::EraseEvent { workspace, id }).expect("it is known");
    }

    fn health(&self, webhook: WebhookId) -> Option<WebhookHealth> {
        self.views.health(self.workspace, webhook, self.now)
    }

    fn told(&self, webhook: WebhookId) -> WebhookHealth {
        self.health(webhook).expect("it is there")
    }

    /// Asks nothing but the records.
    fn recounted(&self, webhook: WebhookId) -> WebhookHealth {
        let mut cells = BTreeMap::new();
        let mut attempts = Vec::new();
        for record in &self.records {
            match &record.fact {
                Fact::EventAccepted(event) => cells.extend(event_cells(event).map(|cell| (cell.key, cell))),
                Fact::RetryRequested { cell, .. } => drop(cells.insert(cell.key, *cell)),
                Fact::EventErased { cancelled, .. } => cells.extend(cancelled.iter().map(|cell| (cell.key, *cell))),
                Fact::AttemptFinished { cell, attempt, .. } => {
                    cells.insert(cell.key, *cell);
                    if cell.webhook == webhook {
                        attempts.push(attempt);
                    }
                }
                _ => {}
            }
        }
        let pending = cells.values().filter(|cell| cell.webhook == webhook && cell.status == Status::Pending);
        let mut pending_by_tier = Vec::new();
        let dues: Vec<_> = pending
            .map(|cell| {
                let tier = cell.tier() as usize;
                pending_by_tier.resize(pending_by_tier.len().max(tier + 1), 0);
                pending_by_tier[tier] += 1;
                cell.due
            })
            .collect();
        let is_good = |attempt: &&&Attempt| attempt.outcome == Outcome::Succeeded;
        let window = |span, grain| figures(&attempts, (self.now.0 - span) / grain * grain);
        WebhookHealth {
            pending: dues.len() as u64,
            pending_by_tier,
            next_attempt_at: dues.iter().min().copied(),
            blocked_by: None,
            consecutive_failures: attempts.iter().rev().take_while(|attempt| !is_good(attempt)).count() as u64,
            last_success_at: attempts.iter().rfind(is_good).map(|attempt| attempt.started),
            last_failure_at: attempts.iter().rfind(|attempt| !is_good(attempt)).map(|attempt| attempt.started),
            five_minutes: window(5 * MINUTE, MINUTE),
            hour: window(HOUR, MINUTE),
            day: window(DAY, QUARTER),
        }
    }
}

fn measured(started: Time, took: u64, is_good: bool) -> Measured {
    let failure = Failure { kind: ErrorKind::HttpStatus, message: "http_status".into() };
    let exchange = Exchange {
        duration: Millis(took),
        status_code: Some(if is_good { 200 } else { 503 }),
        failure: (!is_good).then_some(failure),
        retry_after: None,
    };
    Measured { started, exchange, body: Bytes::new(), crc32c: 0, webhook_version: Position::new(0, 0) }
}

/// Of the attempts that began at `first` or later, with exact percentiles.
fn figures(attempts: &[&Attempt], first: u64) -> WindowFigures {
    let within: Vec<_> = attempts.iter().filter(|attempt| attempt.started.0 >= first).collect();
    let mut took: Vec<_> = within.iter().map(|attempt| attempt.exchange.duration).collect();
    took.sort_unstable();
    let rank = |percent: usize| took.get((took.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    WindowFigures {
        attempts: within.len() as u64,
        succeeded: within.iter().filter(|attempt| attempt.outcome == Outcome::Succeeded).count() as u64,
        p50: rank(50),
        p95: rank(95),
        p99: rank(99),
    }
}

/// Percentiles are as exact as they say; all else is the same.
fn agrees(told: &WebhookHealth, recounted: &WebhookHealth) -> bool {
    let is_near = |told: Option<Millis>, exact: Option<Millis>| match (told, exact) {
        (Some(told), Some(exact)) => told >= exact && told.0 - exact.0 <= exact.0 / 16,
        (told, exact) => told == exact,
    };
    let windows = |of: &WebhookHealth| [of.five_minutes, of.hour, of.day];
    let are_near = windows(told).into_iter().zip(windows(recounted)).all(|(told, exact)| {
        is_near(told.p50, exact.p50) && is_near(told.p95, exact.p95) && is_near(told.p99, exact.p99)
    });
    let rough = |of: &WebhookHealth| {
        let mut of = of.clone();
        for window in [&mut of.five_minutes, &mut of.hour, &mut of.day] {
            *window = WindowFigures { attempts: window.attempts, succeeded: window.succeeded, ..Default::default() };
        }
        of
    };
    are_near && rough(told) == rough(recounted)
}

#[test]
fn a_new_webhook_has_nothing_to_tell() {
    let mut story = Story::new();
    let webhook = story.webhook(&[]);
    assert_eq!(story.told(webhook), story.recounted(webhook));
    assert_eq!(story.told(webhook).day, WindowFigures::default());
    assert_eq!(story.health(WebhookId(99)), None);
    assert_eq!(story.views.health(WorkspaceId(Position::new(7, 7)), webhook, story.now), None, "it is another's");
}

#[test]
fn failures_in_a_row_are_counted_until_one_succeeds() {
    let mut story = Story::new();
    let webhook = story.webhook(&[1_000, 60_000]);
    let key = story.publish().expect("it is wanted");
    let due_at_once = story.told(webhook);
    assert_eq!((due_at_once.pending, due_at_once.next_attempt_at), (1, Some(START)), "in flight is pending");
    story.wait(20);
    story.finish(key, 20, false);
    story.wait(1_500);
    story.finish(key, 500, false);
    let failing = story.told(webhook);
    assert_eq!((failing.pending, failing.consecutive_failures), (1, 2));
    assert_eq!(failing.next_attempt_at, Some(story.now + Millis(60_000)));
    assert_eq!((failing.last_success_at, failing.last_failure_at), (None, Some(START + Millis(1_020))), "its start");
    story.wait(60_000);
    story.finish(key, 10, true);
    let well = story.told(webhook);
    assert_eq!((well.pending, well.next_attempt_at, well.consecutive_failures), (0, None, 0));
    assert_eq!(well.last_success_at, Some(Time(story.now.0 - 10)));
    assert_eq!(well.last_failure_at, failing.last_failure_at);
    assert_eq!((well.hour.attempts, well.hour.succeeded), (3, 1));
    assert_eq!((well.hour.p50, well.hour.p99), (Some(Millis(20)), Some(Millis(500))));
}

#[test]
fn a_test_counts_nowhere() {
    let mut story = Story::new();
    let webhook = story.webhook(&[]);
    let before = story.told(webhook);
    story.test(webhook, true).expect("it is there");
    story.test(webhook, false).expect("it is there");
    assert_eq!(story.told(webhook), before);
}

#[test]
fn what_is_erased_or_deleted_is_not_pending_and_an_attempt_that_ends_later_does_not_bring_it_back() {
    let mut story = Story::new();
    let webhook = story.webhook(&[1_000]);
    let first = story.publish().expect("it is wanted");
    let second = story.publish().expect("it is wanted");
    story.erase(first.event);
    assert_eq!(story.told(webhook).pending, 1);
    story.finish(first, 0, false);
    let told = story.told(webhook);
    assert_eq!((told.pending, told.consecutive_failures), (1, 1), "its attempt was one all the same");
    story.delete(webhook);
    story.finish(second, 0, false);
    assert_eq!(story.health(webhook), None);
    let next = story.webhook(&[]);
    assert_eq!(story.told(next), story.recounted(next));
}

#[test]
fn off_leaves_what_is_pending_as_it_was() {
    let mut story = Story::new();
    let webhook = story.webhook(&[60_000]);
    let key = story.publish().expect("it is wanted");
    story.finish(key, 0, false);
    let before = story.told(webhook);
    story.switch(webhook, false);
    assert_eq!(story.publish(), None);
    assert_eq!(story.told(webhook), before);
}

/// What someone does; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Act {
    Create,
    Switch(usize, bool),
    Delete(usize),
    Publish,
    Finish(usize, u64, bool),
    Retry(usize),
    Erase(usize),
    Test(usize, bool),
    Wait(u64),
    StartAnew,
}

fn act() -> impl Strategy<Value = Act> {
    let span = prop_oneof![2 => 0u64..40, 2 => 0u64..60_000];
    let pause = prop_oneof![4 => 0u64..30_000, 3 => 0..2 * QUARTER, 1 => 0..DAY];
    prop_oneof![
        2 => Just(Act::Create),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(n, on)| Act::Switch(n, on)),
        1 => any::<usize>().prop_map(Act::Delete),
        8 => Just(Act::Publish),
        14 => (any::<usize>(), span, any::<bool>()).prop_map(|(n, took, good)| Act::Finish(n, took, good)),
        3 => any::<usize>().prop_map(Act::Retry),
        1 => any::<usize>().prop_map(Act::Erase),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(n, good)| Act::Test(n, good)),
        4 => pause.prop_map(Act::Wait),
        1 => Just(Act::StartAnew),
    ]
}

fn nth<T: Copy>(of: impl Iterator<Item = T>, n: usize) -> Option<T> {
    let all: Vec<_> = of.collect();
    all.get(n.checked_rem(all.len())?).copied()
}

fn perform(story: &mut Story, act: Act) {
    let webhook = |story: &Story, n| nth(story.kernel.directory.webhooks_in(story.workspace).map(|w| w.id), n);
    match act {
        Act::Create => drop(story.webhook(&[1_000, 5_000, 3_600_000])),
        Act::Switch(n, on) => webhook(story, n).into_iter().for_each(|id| story.switch(id, on)),
        Act::Delete(n) => webhook(story, n).into_iter().for_each(|id| story.delete(id)),
        Act::Publish => drop(story.publish()),
        // Also of what was cancelled or whose webhook is gone meanwhile, as attempts in flight do.
        Act::Finish(n, took, is_good) => {
            let may_be_in_flight = |cell: &&Cell| matches!(cell.status, Status::Pending | Status::Cancelled);
            let key = nth(story.cells.values().filter(may_be_in_flight).map(|cell| cell.key), n);
            key.into_iter().for_each(|key| story.finish(key, took, is_good));
        }
        Act::Retry(n) => {
            let key = nth(story.cells.keys().copied(), n);
            let _ = key.map(|key| story.tell(Command::Retry { workspace: story.workspace, key }));
        }
        Act::Erase(n) => nth(story.events.keys().copied(), n).into_iter().for_each(|event| story.erase(event)),
        Act::Test(n, is_good) => {
            let _ = webhook(story, n).map(|id| story.test(id, is_good));
        }
        Act::Wait(span) => story.wait(span),
        Act::StartAnew => {
            story.tell(Command::DeleteWorkspace { id: story.workspace }).expect("it is there");
            story.make_workspace();
        }
    }
}

proptest! {
    #[test]
    fn health_is_what_a_recount_of_all_records_gives(acts in prop::collection::vec(act(), 1..150)) {
        let mut story = Story::new();
        story.webhook(&[2_000]);
        for act in acts {
            perform(&mut story, act);
            for webhook in (1..=20).map(WebhookId) {
                let told = story.health(webhook);
                let is_there = story.kernel.directory.webhook_in(story.workspace, webhook).is_some();
                prop_assert_eq!(told.is_some(), is_there);
                let Some(told) = told else { continue };
                prop_assert_eq!(told.pending, story.kernel.pending_of(webhook));
                let recounted = story.recounted(webhook);
                prop_assert!(agrees(&told, &recounted), "{told:#?}\n{recounted:#?}");
            }
        }
    }
}

#[test]
fn many_due_times_are_rounded_down_a_little_and_counted_exactly() {
    let mut pending = super::Pending::default();
    let due = |n: u64| Time(START.0 + n * 7_919);
    (0..100_000).for_each(|n| pending.add(due(n), 0));
    assert!(pending.by_due.len() <= super::DUES_MAX);
    let span = 100_000 * 7_919;
    for gone in [0, 1, 50_000, 99_999] {
        let mut left = super::Pending::default();
        (0..100_000).for_each(|n| left.add(due(n), 0));
        (0..gone).for_each(|n| left.remove(due(n), 0));
        let earliest = left.earliest().expect("some are left");
        assert_eq!(left.count, 100_000 - gone);
        assert!(earliest <= due(gone) && due(gone).0 - earliest.0 <= span / 2_048 * 2, "{gone}");
    }
    (0..100_000).for_each(|n| pending.remove(due(n), 0));
    assert_eq!((pending.count, pending.earliest(), pending.shift), (0, None, 0));
    pending.add(due(3), 0);
    assert_eq!(pending.earliest(), Some(due(3)), "exact again");
}
