//! The writer: the one thread that decides and appends.
//!
//! It drains outcomes first, then the inbox, runs one turn over what has come while the last one was being synced, and only then releases
//! replies, publishes what readers share, and hands jobs to the workers. It never waits for anything but input, its clock and its disk.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};
use postrider_core::command::Command;
use postrider_core::event::NewEvent;
use postrider_core::fact::{Fact, Record};
use postrider_core::{Time, WorkspaceId};
use postrider_log::{EraseError, LogWriter};
use tokio::sync::oneshot;

use crate::ballast::Ballast;
use crate::clock::Clock;
use crate::entropy::SystemEntropy;
use crate::inbox::{Answer, Declined, Message, Outbox};
use crate::keyring::Keyring;
use crate::loader::{Loader, Read};
use crate::metering::{self, Levels};
use crate::payloads::Payloads;
use crate::poison::PoisonOnPanic;
use crate::projector::Projected;
use crate::shard::{Input, Prefetch, Retained, Retention, Shard, TurnError, Turned};
use crate::shared::Shared;
use crate::stored::Stored;
use crate::worker::{Report, Workers};

/// The clock is looked at no less often than this, so that a hurried or stepped clock is noticed.
const LOOK_MAX: Duration = Duration::from_millis(100);
/// What waits for a permit is not asked about more often than this.
const LOOK_MIN: Duration = Duration::from_millis(1);
/// The log is sealed when nothing was appended for this long.
const DRY_BEFORE_SEAL: Duration = Duration::from_millis(100);
/// While the log is full, it is asked again after this long.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// Inputs taken from the channels before a turn: more than a turn holds.
const COLLECT_MAX: usize = 32_768;
/// How often it is asked whether the log has become too old or too large.
const RETAIN_EVERY: Duration = Duration::from_secs(1);
/// How often the levels are told.
const LEVELS_EVERY: Duration = Duration::from_millis(200);
/// Payloads at hand of what was accepted lately.
pub const ACCEPTED_BYTES_MAX: usize = 32 << 20;
/// And of what the loader has read back.
pub const RECALLED_BYTES_MAX: usize = 16 << 20;

/// Everything that the writer's thread owns.
pub struct Writer<W> {
    /// State, schedule, log.
    pub shard: Shard<W>,
    /// Engine time.
    pub clock: Arc<dyn Clock>,
    /// What has been asked for.
    pub outbox: Outbox,
    /// What the workers report.
    pub reports: Receiver<Vec<Report>>,
    /// Where jobs go.
    pub workers: Workers,
    /// Where durable records go.
    pub projector: Sender<Projected>,
    /// What reads below W; `None` without a store.
    pub loader: Option<Loader>,
    /// What readers see.
    pub shared: Arc<Shared>,
    /// Space for outcomes when there is no other.
    pub ballast: Ballast,
    /// How much of the log is kept.
    pub retention: Retention,
    /// Keys to destroy with their workspaces.
    pub keyring: Arc<Keyring>,
    /// Says when to stop, and until when attempts may end.
    pub stop: Receiver<Instant>,
    /// Set once it was told to stop.
    pub stop_by: Option<Instant>,
    /// Of what was accepted lately.
    pub accepted: Payloads,
    /// Of what came back from the store.
    pub recalled: Payloads,
}

/// Who waits for an answer.
enum Token {
    /// A command's sender.
    One(oneshot::Sender<Answer>),
    /// A place among the answers of one request.
    OneOf(Rc<RefCell<Group>>, usize),
    /// Nobody: an outcome.
    Nobody,
}

/// The answers of one request, sent when all are there.
struct Group {
    answers: Vec<Answer>,
    missing: usize,
    bytes: usize,
    sender: Option<oneshot::Sender<Vec<Answer>>>,
}

/// Commands on their way into a turn.
#[derive(Default)]
struct Waiting {
    outcomes: VecDeque<Input<Token>>,
    inputs: VecDeque<Input<Token>>,
    /// Of commands for which something is being read, by turn.
    parked: VecDeque<Vec<Token>>,
    parked_len: usize,
}

impl<W: LogWriter> Writer<W> {
    /// Runs until told to stop, or until the log fails, which poisons the engine.
    pub fn run(mut self) {
        let _poisons = PoisonOnPanic(Arc::clone(&self.shared));
        if let Err(error) = self.serve() {
            tracing::error!(%error, "the engine stops");
            self.shared.poison.set(error.to_string());
        }
        self.workers.cut_off();
        self.workers.join();
        if let Some(loader) = self.loader.take() {
            loader.join();
        }
    }

    fn serve(&mut self) -> Result<(), TurnError> {
        let mut entropy = SystemEntropy::new();
        let mut waiting = Waiting::default();
        let mut last_append = Instant::now();
        let (mut levels_told, mut retained) = (None, Instant::now());
        loop {
            let is_behind = self.shard.advance(self.clock.now());
            self.collect(&mut waiting, !is_behind && !self.shard.has_chores());
            let is_full = !self.ballast.restore();
            if is_full {
                self.refuse(&mut waiting);
            }
            self.shard.spare_space(is_full);
            let now = self.clock.now();
            if !waiting.is_empty() || self.shard.has_chores() {
                let began = Instant::now();
                match self.shard.turn(now, &mut entropy, || waiting.next()) {
                    Ok(mut turned) => {
                        self.read_for(std::mem::take(&mut turned.again), &mut waiting);
                        metering::count(&turned.records, began.elapsed().as_secs_f64());
                        self.release(turned);
                    }
                    Err(TurnError::Full) => self.make_room(&mut waiting),
                    Err(error) => return Err(error),
                }
                last_append = Instant::now();
            } else if last_append.elapsed() >= DRY_BEFORE_SEAL {
                self.shard.seal()?;
            }
            self.follow_store(now);
            self.erase()?;
            if retained.elapsed() >= RETAIN_EVERY && !self.retain(now)? {
                retained = Instant::now();
            }
            self.erase()?;
            match self.stop_by {
                None => self.start_attempts(now),
                Some(deadline) => {
                    let is_idle =
                        self.shard.scheduler().in_flight() == 0 && waiting.is_empty() && waiting.parked_len == 0;
                    if is_idle || Instant::now() >= deadline {
                        return Ok(self.shard.seal()?);
                    }
                }
            }
            self.tell_levels(&mut levels_told);
        }
    }

    /// Takes what has come. When there is nothing, sleeps until there is, or until something may be due.
    fn collect(&mut self, waiting: &mut Waiting, may_sleep: bool) {
        if let Ok(deadline) = self.stop.try_recv() {
            self.stop_by = Some(deadline);
        }
        if may_sleep && waiting.is_empty() && self.outbox.messages.is_empty() && self.reports.is_empty() {
            self.sleep(waiting);
        }
        for reports in self.reports.try_iter() {
            take_reports(&mut self.shard, waiting, reports);
        }
        let read: Vec<Read> = self.loader.iter().flat_map(|loader| loader.answers.try_iter()).collect();
        read.into_iter().for_each(|read| self.take_read(waiting, read));
        while waiting.inputs.len() + waiting.parked_len < COLLECT_MAX {
            let Ok(message) = self.outbox.messages.try_recv() else {
                break;
            };
            waiting.take_message(&self.shared.stored, message);
        }
    }

    fn sleep(&mut self, waiting: &mut Waiting) {
        let until_due = self.shard.next_due().map_or(LOOK_MAX, |due| due.since(self.clock.now()).into());
        let (reports, messages, stop) = (&self.reports, &self.outbox.messages, &self.stop);
        let read = self.loader.as_ref().map_or_else(crossbeam_channel::never, |loader| loader.answers.clone());
        select! {
            recv(read) -> read => {
                if let Ok(read) = read {
                    self.take_read(waiting, read);
                }
            }
            recv(reports) -> reports => {
                if let Ok(reports) = reports {
                    take_reports(&mut self.shard, waiting, reports);
                }
            }
            recv(messages) -> message => {
                if let Ok(message) = message {
                    waiting.take_message(&self.shared.stored, message);
                }
            }
            recv(stop) -> deadline => {
                // An engine that was dropped without being stopped is not waited for.
                self.stop_by = Some(deadline.unwrap_or_else(|_| Instant::now()));
                self.stop = crossbeam_channel::never();
            }
            default(until_due.clamp(LOOK_MIN, LOOK_MAX)) => {}
        }
    }

    /// What commands of a turn need is read first; they come back.
    fn read_for(&self, again: Vec<Input<Token>>, waiting: &mut Waiting) {
        let Some(loader) = self.loader.as_ref().filter(|_| !again.is_empty()) else { return };
        let (commands, tokens): (Vec<_>, Vec<_>) = again.into_iter().map(|input| (input.command, input.token)).unzip();
        waiting.parked_len += tokens.len();
        waiting.parked.push_back(tokens);
        loader.prefetch(commands);
    }

    fn take_read(&mut self, waiting: &mut Waiting, read: Read) {
        match read {
            Read::Loaded(Some((loaded, payloads))) => {
                self.shard.loaded(loaded);
                let now = self.shard.now();
                for (at, payload) in payloads.into_iter().filter(|(at, _)| !self.accepted.has(*at)) {
                    self.recalled.put(at, payload, 1, now);
                }
            }
            Read::Loaded(None) => self.shard.not_loaded(),
            Read::Commands(commands) => {
                let tokens = waiting.parked.pop_front().unwrap_or_default();
                waiting.parked_len -= tokens.len();
                for ((command, prefetch), token) in commands.into_iter().zip(tokens) {
                    match prefetch {
                        Some(_) => waiting.inputs.push_back(Input { command, prefetch, token }),
                        None => self.answer(token, Err(Declined::Unread)),
                    }
                }
            }
        }
    }

    /// What the store has now needs not be in RAM, and what is due soon is asked for.
    fn follow_store(&mut self, now: Time) {
        if self.loader.is_none() {
            return self.tell_heads();
        }
        let (covered, swept) = self.shared.store_at();
        if covered > self.shard.overlay().base() {
            self.shard.covered(covered, swept);
        }
        if let (Some(loader), Some(wanted)) = (&self.loader, self.shard.want(now)) {
            loader.want(wanted);
        }
        self.tell_heads();
        if let Some(met_until) = self.shard.met_until() {
            self.shared.sweep_until.store(met_until.0.min(now.0 + 1), Ordering::Release);
        }
    }

    /// Readers see what blocks the deliveries of ordered webhooks.
    fn tell_heads(&mut self) {
        let moved = self.shard.take_moved();
        if moved.is_empty() {
            return;
        }
        let mut heads = self.shared.heads.write();
        for (webhook, head) in moved {
            match head {
                Some(head) => heads.insert(webhook, head),
                None => heads.remove(&webhook),
            };
        }
    }

    /// The turn is durable: publishes it, then answers.
    fn release(&mut self, turned: Turned<Token>) {
        self.tell_heads();
        if let Some(last) = turned.records.last() {
            let end = last.position.block() + 1;
            if turned.records.iter().any(|record| record.fact.concerns_directory()) {
                let mut directory = self.shared.directory.write();
                turned.records.iter().for_each(|record| directory.apply(record));
            }
            if turned.records.iter().any(|record| record.fact.concerns_replays()) {
                let mut replays = self.shared.replays.write();
                turned.records.iter().for_each(|record| replays.apply(&record.fact));
            }
            let cancelling = turned.records.iter().filter_map(|record| match &record.fact {
                Fact::EventErased { event, cancelled, .. } if !cancelled.is_empty() => Some(*event),
                _ => None,
            });
            cancelling.for_each(|event| self.shared.erased.write().note(event));
            self.shared.durable.store(end, Ordering::Release);
            for (event, payload) in turned.payloads {
                self.accepted.put(event, payload, self.shard.deliveries_of(event), self.shard.now());
            }
            for key in turned.destroyed {
                if let Err(error) = self.keyring.destroy(key) {
                    tracing::error!(%error, "a deleted workspace's key is destroyed at the next start");
                }
            }
            self.project(turned.records, end, None);
        }
        for (token, answer) in turned.replies {
            self.answer(token, answer.map_err(Declined::Rejected));
        }
    }

    /// Before each block that may make payloads superfluous: after a crash, only those of the last one are made zeros once more.
    fn erase(&mut self) -> Result<(), EraseError> {
        for erased in self.shard.erase()? {
            self.accepted.forget(erased);
            self.recalled.forget(erased);
        }
        Ok(())
    }

    /// One step of retention; true: there is more to do at once.
    fn retain(&mut self, now: Time) -> Result<bool, TurnError> {
        let shared = Arc::clone(&self.shared);
        let Retained { records, begins } =
            match self.shard.retain(now, &self.retention, |at| shared.records.payload(at)) {
                Err(TurnError::Full) => return Ok(false),
                retained => retained?,
            };
        if let Some(first) = begins {
            tracing::info!(first, "the log begins later now");
            self.shared.directory.write().forget_below(first);
        }
        let has_more = !records.is_empty() || begins.is_some();
        if has_more {
            let end = records.last().map_or(self.shared.durable_end(), |last| last.position.block() + 1);
            self.shared.durable.store(end, Ordering::Release);
            self.project(records, end, begins);
        }
        Ok(has_more)
    }

    fn project(&self, records: Vec<Record>, end: u64, begins: Option<u64>) {
        // The projector ends only after its sender, so this can wait but not fail.
        let _ = self.projector.send(Projected { records, end, begins });
    }

    /// The log has no space: whoever asks for something is told so, and the ballast is given up for the outcomes. When it is gone, too,
    /// outcomes wait, as their attempts are made.
    fn make_room(&mut self, waiting: &mut Waiting) {
        self.refuse(waiting);
        if self.ballast.release() {
            tracing::warn!(
                "the disk is full: the ballast is given up, nothing new is accepted until there is space again"
            );
        } else {
            std::thread::sleep(FULL_PAUSE);
        }
    }

    fn refuse(&mut self, waiting: &mut Waiting) {
        for input in waiting.inputs.drain(..) {
            self.answer(input.token, Err(Declined::Full));
        }
    }

    fn answer(&self, token: Token, answer: Answer) {
        // Whoever has gone meanwhile does not need an answer.
        match token {
            Token::Nobody => {}
            Token::One(sender) => {
                let _ = sender.send(answer);
            }
            Token::OneOf(group, place) => {
                let mut group = group.borrow_mut();
                group.answers[place] = answer;
                group.missing -= 1;
                if group.missing == 0 {
                    self.outbox.release(group.bytes);
                    let answers = std::mem::take(&mut group.answers);
                    let _ = group.sender.take().map(|sender| sender.send(answers));
                }
            }
        }
    }

    fn start_attempts(&mut self, now: Time) {
        while let Some(job) = self.shard.pick(now) {
            let payload = self.accepted.take(job.payload).or_else(|| self.recalled.take(job.payload));
            self.workers.send(job, payload);
        }
    }

    /// Now and then; counting what is pending costs a step a webhook.
    fn tell_levels(&self, told: &mut Option<Instant>) {
        if told.is_some_and(|told| told.elapsed() < LEVELS_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        let (scheduler, pending) = (self.shard.scheduler(), self.shard.kernel().pending());
        let (in_flight, ready) = (scheduler.in_flight(), scheduler.ready_len());
        // Those that only the store knows of, too.
        let asleep = (pending as usize).saturating_sub(ready + in_flight as usize);
        self.shared.in_flight.store(u64::from(in_flight), Ordering::Relaxed);
        let (events, log_bytes) = (self.shard.overlay().len(), self.shard.log_bytes());
        self.shared.log_bytes.store(log_bytes, Ordering::Relaxed);
        metering::level(&Levels { pending, in_flight, ready, asleep, events, log_bytes });
    }
}

/// What is known of each event, if it is known of all of them that nothing below W has its id: nearly all ids are new, and the store's filters
/// know it, so that no loader needs to be asked. All of a request go one way, since they stay in their order.
fn foresee(stored: &Stored, workspace: WorkspaceId, events: &[NewEvent]) -> Vec<Option<Prefetch>> {
    let foresee = |event: &NewEvent| match &event.id {
        Some(id) => stored.lacks_id(workspace, id).map(|covered| Some(Prefetch { covered, found: None })),
        None => Some(None),
    };
    let foreseen: Option<Vec<_>> = events.iter().map(foresee).collect();
    foreseen.unwrap_or_else(|| vec![None; events.len()])
}

fn take_reports<W: LogWriter>(shard: &mut Shard<W>, waiting: &mut Waiting, reports: Vec<Report>) {
    for report in reports {
        match report {
            Report::Finished(finish) => {
                waiting.outcomes.push_back(Input::new(Command::Finish(finish), Token::Nobody));
            }
            Report::Withdrawn(key) => shard.withdrawn(key),
        }
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.inputs.is_empty()
    }

    /// Outcomes before wishes: they free slots.
    fn next(&mut self) -> Option<Input<Token>> {
        self.outcomes.pop_front().or_else(|| self.inputs.pop_front())
    }

    fn take_message(&mut self, stored: &Stored, message: Message) {
        match message {
            Message::Command(command, sender) => {
                self.inputs.push_back(Input::new(*command, Token::One(sender)));
            }
            Message::Publish(workspace, events, sender) => {
                let foreseen = foresee(stored, workspace, &events);
                self.take_events(workspace, events, foreseen, sender);
            }
        }
    }

    fn take_events(
        &mut self,
        workspace: WorkspaceId,
        events: Vec<NewEvent>,
        foreseen: Vec<Option<Prefetch>>,
        sender: oneshot::Sender<Vec<Answer>>,
    ) {
        let group = Rc::new(RefCell::new(Group {
            answers: vec![Err(Declined::Full); events.len()],
            missing: events.len(),
            bytes: events.iter().map(|event| event.data.len()).sum(),
            sender: Some(sender),
        }));
        for (place, (event, prefetch)) in events.into_iter().zip(foreseen).enumerate() {
            let token = Token::OneOf(Rc::clone(&group), place);
            self.inputs.push_back(Input { command: Command::Publish { workspace, event }, prefetch, token });
        }
    }
}
