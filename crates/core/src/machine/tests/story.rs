//! A shell for stories, as small as one can be: it keeps cells and events, hands them to `decide`, and applies what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::attempt::{ErrorKind, Exchange, Failure};
use crate::command::{Accepted, Command, Finish, Measured, Rejection, Reply};
use crate::delivery::{Cell, Status};
use crate::effect::Effect;
use crate::event::{Digest, Event, NewEvent};
use crate::fact::{Fact, Record};
use crate::ids::{DeliveryKey, EventId, Position, ReplayId, WebhookId, WorkspaceId};
use crate::machine::{Entropy, Kernel, Moment, Prior, apply, decide, event_cells};
use crate::policy::RetryPolicy;
use crate::profile::Profile;
use crate::replay::{Ahead, Candidate, Only, Replay, ReplayState, Wish};
use crate::sealed::SealingKeyId;
use crate::time::{Millis, Time};
use crate::webhook::{Change, Settings, TIMEOUT_DEFAULT, Webhook};
use crate::workspace::KeyHash;

/// When stories begin: 2026-02-19T10:30:00Z.
pub const START: Time = Time(1_771_497_000_000);

/// Numbers that are as different as they need to be, the same in each run.
#[derive(Clone)]
pub struct Draws(pub u64);

impl Entropy for Draws {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }
}

/// State, and what a shell keeps beside it.
pub struct Story {
    pub kernel: Kernel,
    pub cells: BTreeMap<DeliveryKey, Cell>,
    pub events: BTreeMap<(WorkspaceId, EventId), Arc<Event>>,
    pub in_flight: BTreeSet<DeliveryKey>,
    pub erased: BTreeSet<Position>,
    pub records: Vec<Record>,
    /// Of the last command.
    pub facts: Vec<Fact>,
    /// Of the last command.
    pub effects: Vec<Effect>,
    pub now: Time,
    /// How far events are read for a replay.
    pub reads_to: Position,
    pub workspace: WorkspaceId,
    draws: Draws,
}

pub fn profile(name: &str) -> Arc<Profile> {
    Arc::new(Profile::built_in().into_iter().find(|p| &*p.name == name).expect("built in"))
}

/// Settings of a webhook that wants `events`.
pub fn settings(events: &[&str]) -> Settings {
    Settings {
        name: "Orders".into(),
        description: None,
        url: "https://example.com/hook".into(),
        events: events.iter().map(|&e| e.into()).collect(),
        campaign_ids: Vec::new(),
        custom_fields: Vec::new(),
        enabled: true,
        secret: None,
        headers: Vec::new(),
        retry_policy: None,
        timeout: TIMEOUT_DEFAULT,
        rate_limit: None,
        signing: None,
        ordered: false,
    }
}

/// An event of `event_type` with the default time.
pub fn event(id: Option<&str>, event_type: &str, data: &str) -> NewEvent {
    NewEvent {
        id: id.map(|id| id.parse().expect("an id")),
        event_type: event_type.into(),
        created: None,
        campaign: None,
        data: Bytes::copy_from_slice(data.as_bytes()),
        digest: Digest::of(event_type, None, data.as_bytes()),
        crc32c: 0,
    }
}

impl Story {
    /// One workspace of a built-in profile.
    pub fn of(profile_name: &str) -> Story {
        let mut story = Story {
            kernel: Kernel::default(),
            cells: BTreeMap::new(),
            events: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            erased: BTreeSet::new(),
            records: Vec::new(),
            facts: Vec::new(),
            effects: Vec::new(),
            now: START,
            reads_to: Position::from_u64(u64::MAX),
            workspace: WorkspaceId(Position::new(0, 0)),
            draws: Draws(7),
        };
        story.tell(Command::RegisterProfile(profile(profile_name))).expect("a profile is taken");
        story.workspace = story.another_workspace(profile_name);
        story
    }

    pub fn another_workspace(&mut self, profile: &str) -> WorkspaceId {
        let n = self.records.len() as u8;
        let command = Command::CreateWorkspace {
            name: "Tech Corp".into(),
            profile: profile.into(),
            sealing_key: SealingKeyId(u64::from(n)),
            key_hash: KeyHash([n; 32]),
        };
        match self.tell(command).expect("there is room") {
            Reply::WorkspaceCreated(id, _) => id,
            other => panic!("{other:?}"),
        }
    }

    /// One command, one turn: decides, then applies.
    pub fn tell(&mut self, command: Command) -> Result<Reply, Rejection> {
        let at = Position::new(self.records.len() as u64, 0);
        let named = |key: &DeliveryKey| (self.cells.get(key), self.in_flight.contains(key));
        let ((cell, in_flight), event) = match &command {
            Command::Finish(finish) => (named(&finish.key), None),
            Command::Retry { key, .. } => (named(key), None),
            Command::Publish { workspace, event } => {
                let earlier = event.id.clone().and_then(|id| self.events.get(&(*workspace, id)));
                ((None, false), earlier.map(|event| &**event))
            }
            Command::EraseEvent { workspace, id } => {
                ((None, false), self.events.get(&(*workspace, id.clone())).map(|event| &**event))
            }
            Command::EraseRemoved { event } => {
                ((None, false), self.events.values().find(|e| e.at == *event).map(|event| &**event))
            }
            _ => ((None, false), None),
        };
        let about = event.map(|e| e.at).or(cell.map(|cell| cell.key.event));
        let siblings: Vec<Cell> = self.cells.values().filter(|cell| Some(cell.key.event) == about).copied().collect();
        let is_erased = about.is_some_and(|at| self.erased.contains(&at));
        let read = match &command {
            Command::AdvanceReplay { id, .. } => self.read_ahead(*id),
            _ => Ahead::default(),
        };
        let (now, entropy) = (self.now, &mut self.draws);
        let decision = decide(
            &self.kernel,
            Prior { cell, in_flight, event, siblings: &siblings, is_erased, ahead: Some(&read) },
            &command,
            &mut Moment { now, at, entropy },
        )?;
        self.facts = decision.facts.clone();
        self.effects.clear();
        for (index, fact) in decision.facts.into_iter().enumerate() {
            let position = Position::new(at.block(), index as u32);
            self.take_in(Record { position, time: self.now, fact });
        }
        Ok(decision.reply)
    }

    fn take_in(&mut self, record: Record) {
        match &record.fact {
            Fact::EventAccepted(event) => {
                self.cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                self.events.insert((event.workspace, event.id.clone()), Arc::clone(event));
            }
            Fact::AttemptFinished { cell, was, .. } | Fact::RetryRequested { cell, was } => {
                let old = self.cells.insert(cell.key, *cell).expect("a cell comes from an event");
                assert_eq!((was.status, was.due), (old.status, old.due), "a fact names the place that it leaves");
            }
            Fact::DeliveryAdded { cell } => {
                assert!(self.cells.insert(cell.key, *cell).is_none(), "{} is there already", cell.key);
            }
            Fact::EventErased { event, cancelled, .. } => {
                self.cells.extend(cancelled.iter().map(|cell| (cell.key, *cell)));
                self.erased.insert(*event);
            }
            _ => {}
        }
        apply(&mut self.kernel, &record, |effect| self.effects.push(effect));
        self.records.push(record);
    }

    pub fn wait(&mut self, span: u64) {
        self.now = self.now + Millis(span);
    }

    pub fn webhook(&mut self, settings: Settings) -> WebhookId {
        match self.tell(Command::CreateWebhook { workspace: self.workspace, settings: settings.into() }) {
            Ok(Reply::Webhook(webhook)) => webhook.id,
            other => panic!("{other:?}"),
        }
    }

    pub fn change(&mut self, id: WebhookId, change: Change) -> Arc<Webhook> {
        match self.tell(Command::ChangeWebhook { workspace: self.workspace, id, change: change.into() }) {
            Ok(Reply::Webhook(webhook)) => webhook,
            other => panic!("{other:?}"),
        }
    }

    pub fn switch(&mut self, id: WebhookId, enabled: bool) {
        self.change(id, Change { enabled: Some(enabled), ..Change::default() });
    }

    pub fn delete(&mut self, id: WebhookId) {
        self.tell(Command::DeleteWebhook { workspace: self.workspace, id }).expect("it is there");
    }

    pub fn accept(&mut self, event: NewEvent) -> Result<Accepted, Rejection> {
        match self.tell(Command::Publish { workspace: self.workspace, event })? {
            Reply::Accepted(accepted) => Ok(accepted),
            other => panic!("{other:?}"),
        }
    }

    /// Publishes an event of its own and names its deliveries.
    pub fn publish(&mut self, event_type: &str) -> Vec<DeliveryKey> {
        self.accept(event(None, event_type, "{}")).expect("it is new");
        self.newest()
            .chosen
            .iter()
            .enumerate()
            .map(|(n, _)| DeliveryKey { event: self.newest().at, ordinal: n as u32 })
            .collect()
    }

    /// The event of the last command.
    pub fn newest(&self) -> &Event {
        match self.facts.first() {
            Some(Fact::EventAccepted(event)) => event,
            other => panic!("no event was accepted but {other:?}"),
        }
    }

    fn finish(&mut self, key: DeliveryKey, failure: Option<ErrorKind>, retry_after: Option<Millis>) -> Cell {
        let exchange = Exchange {
            duration: Millis(20),
            status_code: Some(if failure.is_some() { 503 } else { 200 }),
            failure: failure.map(|kind| Failure { kind, message: kind.as_str().into() }),
            retry_after,
        };
        let started = self.now;
        self.wait(20);
        let measured =
            Measured { started, exchange, body: Bytes::new(), crc32c: 0, webhook_version: Position::new(0, 0) };
        self.tell(Command::Finish(Finish { key, measured })).expect("a delivery that was attempted is known");
        self.in_flight.remove(&key);
        self.cells[&key]
    }

    /// Ends with this status, sent with the webhook's version `version`.
    pub fn answer(&mut self, key: DeliveryKey, status: u16, version: Position) -> Cell {
        let kind = ErrorKind::HttpStatus;
        let exchange = Exchange {
            duration: Millis(20),
            status_code: Some(status),
            failure: (status >= 300).then(|| Failure { kind, message: kind.as_str().into() }),
            retry_after: None,
        };
        let measured =
            Measured { started: self.now, exchange, body: Bytes::new(), crc32c: 0, webhook_version: version };
        self.tell(Command::Finish(Finish { key, measured })).expect("a delivery that was attempted is known");
        self.cells[&key]
    }

    pub fn succeed(&mut self, key: DeliveryKey) -> Cell {
        self.finish(key, None, None)
    }

    pub fn succeed_all(&mut self, keys: &[DeliveryKey]) {
        for key in keys {
            self.succeed(*key);
        }
    }

    pub fn fail(&mut self, key: DeliveryKey) -> Cell {
        self.finish(key, Some(ErrorKind::HttpStatus), None)
    }

    /// Fails with a `Retry-After`.
    pub fn fail_asking(&mut self, key: DeliveryKey, span: u64) -> Cell {
        self.finish(key, Some(ErrorKind::HttpStatus), Some(Millis(span)))
    }

    /// Fails it at each due time until it ends; when each attempt began, after the event.
    pub fn fail_to_the_end(&mut self, key: DeliveryKey) -> Vec<u64> {
        let accepted = self.now;
        let mut began = Vec::new();
        while self.cells[&key].status == Status::Pending {
            self.now = self.now.max(self.cells[&key].due);
            began.push(self.now.since(accepted).0);
            self.fail(key);
        }
        began
    }

    pub fn retry(&mut self, key: DeliveryKey) -> Result<Reply, Rejection> {
        self.tell(Command::Retry { workspace: self.workspace, key })
    }

    /// What a shell reads for a step of a replay, the slow way.
    fn read_ahead(&self, id: ReplayId) -> Ahead {
        let Some(replay) = self.kernel.replays.get(self.workspace, id) else { return Ahead::default() };
        let mut events: Vec<_> = self.events.values().filter(|event| event.workspace == self.workspace).collect();
        events.sort_by_key(|event| event.at);
        let ahead = events.into_iter().filter(|event| (replay.next..self.reads_to).contains(&event.at));
        let candidates = ahead
            .map(|event| {
                let of_event = || self.cells.values().filter(|cell| cell.key.event == event.at);
                Candidate {
                    event: Arc::clone(event),
                    delivery: of_event().find(|cell| cell.webhook == replay.webhook).copied(),
                    added: of_event().filter(|cell| cell.key.is_added()).count() as u32,
                    is_erased: self.erased.contains(&event.at),
                }
            })
            .collect();
        Ahead { candidates, read_to: self.reads_to }
    }

    /// Has all of a webhook's events replayed that `only` means.
    pub fn start_replay(&mut self, webhook: WebhookId, only: Only) -> Result<ReplayId, Rejection> {
        let wish = Wish { since: Time(0), until: None, event_types: Vec::new(), only };
        self.start_replay_of(webhook, wish)
    }

    pub fn start_replay_of(&mut self, webhook: WebhookId, wish: Wish) -> Result<ReplayId, Rejection> {
        let command = Command::StartReplay { workspace: self.workspace, webhook, wish: wish.into() };
        self.tell(command).map(|reply| replayed(reply).id)
    }

    pub fn change_replay(&mut self, id: ReplayId, state: ReplayState) -> Result<Replay, Rejection> {
        self.tell(Command::ChangeReplay { workspace: self.workspace, id, state }).map(replayed)
    }

    /// One step over what is read ahead, making due at most `room` deliveries; which.
    pub fn advance(&mut self, id: ReplayId, room: usize) -> Result<Vec<DeliveryKey>, Rejection> {
        self.tell(Command::AdvanceReplay { workspace: self.workspace, id, room })?;
        let due = self.facts.iter().filter_map(|fact| match fact {
            Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => Some(cell.key),
            _ => None,
        });
        Ok(due.collect())
    }

    pub fn replay(&self, id: ReplayId) -> &Replay {
        self.kernel.replays.get(self.workspace, id).expect("it was started")
    }

    /// A webhook that wants `EMAIL_SENT` by this policy, and one delivery for it.
    pub fn delivery_by(policy: Option<RetryPolicy>) -> (Story, WebhookId, DeliveryKey) {
        let mut story = Story::of("genesy");
        let webhook = story.webhook(Settings { retry_policy: policy, ..settings(&["EMAIL_SENT"]) });
        let key = story.publish("EMAIL_SENT")[0];
        (story, webhook, key)
    }
}

fn replayed(reply: Reply) -> Replay {
    match reply {
        Reply::Replay(replay) => *replay,
        other => panic!("{other:?}"),
    }
}

pub fn policy(delays: &[u64], jitter_permille: u16) -> RetryPolicy {
    RetryPolicy { delays: delays.iter().map(|&d| Millis(d)).collect(), jitter_permille }
}
