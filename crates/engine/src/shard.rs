//! One shard of the engine, synchronous and whole: state, schedule and log behind one `&mut self`.
//!
//! A shard promises that no reply, effect or job leaves it before the facts behind it are durable. Time, entropy, log and dispatch are
//! passed in, so the simulator drives exactly what the server runs. It has no thread, no channel and no clock.

mod order;
mod probes;
mod recall;
mod replay;
mod retention;
mod schedule;
mod spill;
mod turn;
mod wanted;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use postrider_core::command::{Command, Rejection, Reply};
use postrider_core::delivery::{Cell, Status};
use postrider_core::effect::Effect;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::{self, Entropy, Kernel, Moment, Prior};
use postrider_core::profile::Terminal;
use postrider_core::{DeliveryKey, Millis, Position, ReplayId, Time, WebhookId, WorkspaceId, limits};
use postrider_log::{AppendError, Batch, EraseError, LogWriter, Payload, ReserveError, codec};
use postrider_scheduler::{Limits, Residency, Scheduler};

use crate::overlay::{Overlay, Recalled};
use crate::restatements::Restatements;
use order::Line;
pub use probes::PROBE_EVERY_DEFAULT;
use probes::Probes;
pub use recall::Bounds;
use recall::Reliance;
use replay::ReadForReplay;
use retention::Beginnings;
pub use retention::{Retained, Retention};
use schedule::make_known;
use spill::LANES;
pub use turn::{Input, Job, TurnError, Turned};
pub use wanted::{Below, Found, Loaded, Prefetch, Wanted, load, prefetch};

/// The state, the schedule and the log of one shard.
pub struct Shard<W> {
    kernel: Kernel,
    overlay: Overlay,
    scheduler: Scheduler,
    log: W,
    batch: Batch,
    effects: Vec<Effect>,
    /// Payloads whose erasure is durable as a fact and not yet done.
    to_erase: Vec<Position>,
    /// Events that owe an erasure, to be looked at again: what they waited for may have been deleted.
    to_check: VecDeque<Position>,
    beginnings: Beginnings,
    /// Of each ordered webhook, who is next.
    lines: BTreeMap<WebhookId, Line>,
    /// Webhooks that keep the order no more, and whose deliveries are still to be filed.
    to_scatter: Vec<WebhookId>,
    /// Ordered webhooks with another head than they were told of.
    moved: Vec<(WebhookId, Option<DeliveryKey>)>,
    /// Webhooks that are off since they fail, and tried now and then.
    probes: Probes,
    /// The replay that made the last step: the next one is another's, if there is another.
    replayed: Option<(WorkspaceId, ReplayId)>,
    read_for_replay: Option<ReadForReplay>,
    /// Replays make no steps, since there is little space.
    spares_space: bool,
    /// `None`: there is no store, and all is in RAM.
    reliance: Option<Reliance>,
    now: Time,
}

impl<W: LogWriter> Shard<W> {
    /// A shard without a past.
    pub fn new(log: W, limits: Limits) -> Shard<W> {
        Shard {
            kernel: Kernel::default(),
            overlay: Overlay::default(),
            scheduler: Scheduler::new(limits),
            log,
            batch: Batch::new(Time(0)),
            effects: Vec::new(),
            to_erase: Vec::new(),
            to_check: VecDeque::new(),
            beginnings: Beginnings::default(),
            lines: BTreeMap::new(),
            to_scatter: Vec::new(),
            moved: Vec::new(),
            probes: Probes::default(),
            replayed: None,
            read_for_replay: None,
            spares_space: false,
            reliance: None,
            now: Time(0),
        }
    }

    /// How often a webhook that is off since it fails is tried with one delivery.
    pub fn probe_every(&mut self, every: Millis) {
        self.probes.every = every;
    }

    /// Ends it: the log remains.
    pub fn into_log(self) -> W {
        self.log
    }

    /// Before a replay that does not begin where the log does: what lies before it.
    pub fn begins_behind(&mut self, restatements: Restatements) {
        self.beginnings.known = restatements;
    }

    /// Takes in a record of the log at start. What it made the process before this one do is not done again; see [`Shard::resume`].
    pub fn replay(&mut self, record: &Record) {
        self.take_in(record);
        self.beginnings.known.note(record);
        self.effects.clear();
        self.now = self.now.max(record.time);
    }

    /// Takes in a record of which the store has what concerns events: the rest of the state follows it.
    pub fn replay_covered(&mut self, record: &Record) {
        machine::apply(&mut self.kernel, record, |_| ());
        self.beginnings.known.note(record);
        self.now = self.now.max(record.time);
    }

    /// The event that a record is about and that is not in RAM, if there is such a one.
    pub fn lacks_event(&self, record: &Record) -> Option<Position> {
        let event = match &record.fact {
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                cell.key.event
            }
            Fact::EventErased { event, .. } => *event,
            Fact::EventCarried { event, .. } => event.at,
            _ => return None,
        };
        self.overlay.recalled(event).is_none().then_some(event)
    }

    /// Takes in what the store has of an event.
    pub fn admit(&mut self, recalled: Recalled) {
        self.overlay.admit(recalled);
    }

    /// After the replay: fills the schedule with what is unfinished, oldest first.
    pub fn resume(&mut self) {
        for webhook in self.kernel.directory.webhooks() {
            make_known(&mut self.scheduler, webhook);
            self.probes.follow(webhook);
        }
        self.form_lines();
        let cells: Vec<Cell> = self.overlay.cells().filter(|cell| self.kernel.is_pending(cell)).copied().collect();
        match self.reliance {
            Some(_) => self.doze(&cells),
            None => cells.iter().for_each(|cell| self.file(cell)),
        }
        let webhooks: Vec<_> = self.kernel.directory.webhooks().map(|webhook| webhook.id).collect();
        for webhook in webhooks {
            LANES.into_iter().for_each(|lane| self.may_have_backlog(webhook, lane, Time(0)));
        }
        self.check_removed();
    }

    /// Runs one turn: decides on commands until `next` has none or the turn is full, appends their facts in one block, and carries out what
    /// follows from them. `next` is asked only for what this turn can hold, so nothing is ever taken and put back.
    ///
    /// # Errors
    /// When the log is full or fails.
    pub fn turn<T>(
        &mut self,
        now: Time,
        entropy: &mut dyn Entropy,
        mut next: impl FnMut() -> Option<Input<T>>,
    ) -> Result<Turned<T>, TurnError> {
        assert!(now >= self.now, "engine time never goes back");
        self.now = now;
        self.batch.reset(now);
        let mut turned = Turned {
            replies: Vec::new(),
            again: Vec::new(),
            records: Vec::new(),
            destroyed: Vec::new(),
            payloads: Vec::new(),
        };
        self.reserve()?;
        self.restate(&mut turned.records)?;
        let mut deliveries = 0;
        while deliveries < limits::TURN_DELIVERIES_MAX && self.batch.bytes() < limits::TURN_BYTES_TARGET {
            let Some(mut input) = next() else { break };
            if self.lacks(&input.command) && !self.take_prefetch(input.prefetch.take()) {
                turned.again.push(input);
                continue;
            }
            let Input { command, token, .. } = input;
            let answer = self.run(command, entropy, &mut turned, &mut deliveries);
            turned.replies.push((token, answer));
        }
        while deliveries < limits::TURN_DELIVERIES_MAX && self.batch.bytes() < limits::TURN_BYTES_TARGET {
            let Some(event) = self.to_check.front().copied().filter(|event| self.is_whole(*event)) else { break };
            self.to_check.pop_front();
            deliveries += 1;
            self.overlay.may_be_idle(event);
            // Asked by nobody, answered to nobody; a check that finds nothing to do leaves no fact.
            let _ = self.run(Command::EraseRemoved { event }, entropy, &mut turned, &mut deliveries);
        }
        self.advance_replays(entropy, &mut turned, &mut deliveries);
        if !self.batch.is_empty() {
            self.log.append(self.log.tail(), &self.batch)?;
        }
        self.carry_out(&mut turned.destroyed);
        Ok(turned)
    }

    fn reserve(&mut self) -> Result<(), TurnError> {
        self.log.reserve(limits::BLOCK_BYTES_MAX).map_err(|error| match error {
            ReserveError::Full => TurnError::Full,
            error => TurnError::Poisoned(error.into()),
        })
    }

    fn run<T>(
        &mut self,
        command: Command,
        entropy: &mut dyn Entropy,
        turned: &mut Turned<T>,
        deliveries: &mut usize,
    ) -> Result<Reply, Rejection> {
        let at = Position::new(self.log.tail(), self.batch.len());
        let mut moment = Moment { now: self.now, at, entropy };
        let ahead = match &command {
            Command::AdvanceReplay { workspace, id, .. } => self.read_ahead(*workspace, *id),
            _ => None,
        };
        let mut siblings = Vec::new();
        let prior = Prior { ahead: ahead.as_ref(), ..self.prior(&command, &mut siblings) };
        let decision = machine::decide(&self.kernel, prior, &command, &mut moment)?;
        let (payload, crc32c) = payload_of(command);
        let mut follow_ups = Vec::new();
        for fact in decision.facts {
            let position = Position::new(self.log.tail(), self.batch.len());
            let beside = Payload { bytes: &payload, crc32c };
            let now = self.now;
            let has_payload = !payload.is_empty() && owns_payload(&fact);
            self.batch.push_with(has_payload.then_some(beside), |out| codec::encode(&fact, now, out));
            if let Fact::EventAccepted(event) = &fact {
                // One more than its deliveries, so that events without any end a turn, too.
                *deliveries += event.chosen.len() + 1;
                if !event.chosen.is_empty() {
                    turned.payloads.push((position, payload.clone()));
                }
            }
            if matches!(fact, Fact::DeliveryAdded { .. } | Fact::RetryRequested { .. }) {
                *deliveries += 1;
            }
            let record = Record { position, time: self.now, fact };
            self.take_in(&record);
            follow_ups.extend(self.follow_up(&record));
            if matches!(record.fact, Fact::WebhookDeleted { .. } | Fact::WorkspaceDeleted { .. }) {
                self.check_removed();
            }
            turned.records.push(record);
        }
        // After the whole decision: its facts know their places beforehand.
        for command in follow_ups {
            self.run(command, entropy, turned, deliveries)?;
        }
        Ok(decision.reply)
    }

    /// Whether a command is about something that the overlay does not have and the store may have.
    fn lacks(&self, command: &Command) -> bool {
        if self.overlay.base() == 0 {
            return false;
        }
        match command {
            Command::Retry { key, .. } => self.overlay.cell(*key).is_none(),
            Command::Publish { workspace, event } => {
                event.id.as_ref().is_some_and(|id| self.overlay.event_with_id(*workspace, id).is_none())
            }
            Command::EraseEvent { workspace, id } => {
                !self.overlay.event_with_id(*workspace, id).is_some_and(Recalled::is_whole)
            }
            _ => false,
        }
    }

    /// Takes in what was read for a command, unless the overlay has let go of something since.
    fn take_prefetch(&mut self, prefetch: Option<Prefetch>) -> bool {
        let Some(prefetch) = prefetch.filter(|prefetch| prefetch.covered >= self.overlay.base()) else { return false };
        if let Some(recalled) = prefetch.found {
            self.overlay.may_be_idle(recalled.event.at);
            self.overlay.admit(recalled);
        }
        true
    }

    fn prior<'a>(&'a self, command: &Command, siblings: &'a mut Vec<Cell>) -> Prior<'a> {
        match command {
            Command::Finish(finish) => self.prior_of_delivery(finish.key),
            Command::Retry { key, .. } => self.prior_of_delivery(*key),
            Command::Publish { workspace, event } => {
                let earlier = event.id.as_ref().and_then(|id| self.overlay.event_with_id(*workspace, id));
                Prior { event: earlier.map(|recalled| &*recalled.event), ..Prior::default() }
            }
            Command::EraseEvent { workspace, id } => {
                self.prior_of_event(self.overlay.event_with_id(*workspace, id), siblings)
            }
            Command::EraseRemoved { event } => self.prior_of_event(self.overlay.recalled(*event), siblings),
            _ => Prior::default(),
        }
    }

    fn prior_of_delivery(&self, key: DeliveryKey) -> Prior<'_> {
        Prior {
            cell: self.overlay.cell(key),
            in_flight: matches!(self.scheduler.residency(key), Some(Residency::InFlight)),
            is_erased: self.overlay.recalled(key.event).is_some_and(|recalled| recalled.erased.is_some()),
            ..Prior::default()
        }
    }

    fn prior_of_event<'a>(&self, recalled: Option<&'a Recalled>, siblings: &'a mut Vec<Cell>) -> Prior<'a> {
        let Some(recalled) = recalled else { return Prior::default() };
        siblings.extend(&recalled.cells);
        Prior { event: Some(&recalled.event), siblings, is_erased: recalled.erased.is_some(), ..Prior::default() }
    }

    /// What a terminal rule asks for after a delivery has ended: an event that was removed is erased once nothing of it is pending.
    fn follow_up(&mut self, record: &Record) -> Option<Command> {
        let Fact::AttemptFinished { cell, .. } = &record.fact else {
            return None;
        };
        let event = self.overlay.event(cell.key.event)?;
        let removes = self.kernel.directory.profile(event.profile)?.terminal == Terminal::Removed;
        let event = (removes && !self.kernel.is_pending(cell)).then_some(event.at)?;
        if !self.is_whole(event) {
            self.to_check.push_back(event);
            return None;
        }
        Some(Command::EraseRemoved { event })
    }

    fn check_removed(&mut self) {
        self.to_check.clear();
        self.to_check.extend(self.kernel.owed_erasures());
    }

    /// Whether a turn is wanted though there may be no command for it.
    pub fn has_chores(&self) -> bool {
        self.to_check.front().is_some_and(|event| self.is_whole(*event)) || self.has_replay_steps()
    }

    /// Whether events wait to be looked at for their erasure.
    pub fn is_checking(&self) -> bool {
        !self.to_check.is_empty()
    }

    fn take_in(&mut self, record: &Record) {
        let is_revived = match &record.fact {
            Fact::RetryRequested { was, .. } => was.status != Status::Pending,
            Fact::DeliveryAdded { .. } => true,
            _ => false,
        };
        if is_revived {
            self.beginnings.is_revived();
        }
        self.overlay.apply(record);
        let effects = &mut self.effects;
        machine::apply(&mut self.kernel, record, |effect| effects.push(effect));
    }

    /// Makes zeros of the payloads that durable facts have made superfluous; says which. To be called before the next block that may make
    /// any superfluous: after a crash, only those of the last such block are made zeros once more.
    ///
    /// # Errors
    /// When the log fails.
    pub fn erase(&mut self) -> Result<Vec<Position>, EraseError> {
        if !self.to_erase.is_empty() {
            self.log.erase(&self.to_erase)?;
        }
        Ok(std::mem::take(&mut self.to_erase))
    }

    /// After the replay: a crash may have come between the fact and the zeros.
    pub fn erase_again(&mut self, payloads: Vec<Position>) {
        self.to_erase.extend(payloads);
    }

    /// An empty block after the last one, so that a later look can tell damage from a torn end.
    ///
    /// # Errors
    /// When the log fails.
    pub fn seal(&mut self) -> Result<(), AppendError> {
        self.log.seal()
    }

    /// The state.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The schedule.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Bytes of the log's files.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes_from(0)
    }

    /// Cells and events.
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// Engine time of the last turn or record.
    pub fn now(&self) -> Time {
        self.now
    }
}

/// Of a decision's facts, the one that its command's payload lies beside.
fn owns_payload(fact: &Fact) -> bool {
    matches!(fact, Fact::EventAccepted(_) | Fact::AttemptFinished { .. } | Fact::TestFinished { .. })
}

/// What lies beside the command's fact in the log, with its checksum.
fn payload_of(command: Command) -> (Bytes, u32) {
    match command {
        Command::Publish { event, .. } => (event.data, event.crc32c),
        Command::Finish(finish) => (finish.measured.body, finish.measured.crc32c),
        Command::RecordTest { measured, .. } => (measured.body, measured.crc32c),
        _ => (Bytes::new(), 0),
    }
}
