//! What lies below W: the store says where, the log says what.
//!
//! Owns the handle of the store and the one reader of single facts. Promises: a view is of one W, and shows nothing that the log no longer
//! has. Nothing here is taken on trust: where the store leads, the fact that is read there has the last word.
//!
//! Refuses to be asked on an async runtime: everything here is file I/O.

mod facts;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use postrider_core::attempt::Attempt;
use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_log::codec;
use postrider_store::{Asleep, AttemptPlace, EventPlace, Lane, Reader, Store, Summary};

use crate::shared::Records;
use facts::Facts;

/// Why what lies below W could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// There is no store that could be asked: it is being built anew.
    #[error("what happened earlier cannot be read yet: it is being gathered from the log")]
    Down,
    /// The store.
    #[error(transparent)]
    Store(#[from] postrider_store::ReadError),
    /// The store leads to a fact that it cannot mean.
    #[error("the store leads to {0}, where there is another fact or none")]
    Strange(Position),
    /// The log.
    #[error(transparent)]
    Log(#[from] postrider_log::ReadError),
    /// A fact that this version does not know.
    #[error(transparent)]
    Decode(#[from] codec::DecodeError),
}

impl StoredError {
    /// Whether it says that the store cannot be relied on.
    fn is_the_stores(&self) -> bool {
        match self {
            StoredError::Strange(_) => true,
            // What the system refuses now it may give later.
            StoredError::Store(error) => !matches!(error, postrider_store::ReadError::Unavailable(_)),
            StoredError::Down | StoredError::Log(_) | StoredError::Decode(_) => false,
        }
    }
}

/// See the module.
pub struct Stored {
    state: RwLock<State>,
    facts: Facts,
    /// What a reader found wrong with the store.
    doubt: Mutex<Option<String>>,
}

/// Whether there is a store.
enum State {
    /// None, ever: nothing lies below W.
    Nothing,
    /// A store that can be asked.
    Open(Store),
    /// It failed, and another one is not there yet.
    Down,
}

/// An attempt of a delivery, as its fact says.
#[derive(Clone, Debug)]
pub struct FiledAttempt {
    /// Of its record.
    pub position: Position,
    /// The delivery after it.
    pub cell: Cell,
    /// What happened.
    pub attempt: Attempt,
}

impl Stored {
    /// Of this log and, if anything was derived from it, this store.
    pub fn new(records: Arc<dyn Records>, store: Option<Store>) -> Stored {
        let state = RwLock::new(store.map_or(State::Nothing, State::Open));
        Stored { state, facts: Facts::new(records), doubt: Mutex::default() }
    }

    /// From now on what lies below the store's W is read through it.
    pub fn open(&self, store: Store) {
        *self.state.write() = State::Open(store);
    }

    /// From now on nothing below W can be read, if anything `is_below` it.
    pub fn close(&self, is_below: bool) {
        *self.state.write() = if is_below { State::Down } else { State::Nothing };
    }

    /// Unfinished deliveries that the store has; `None` where there is no store that could be asked.
    pub fn pending_len(&self) -> Option<u64> {
        match &*self.state.read() {
            State::Open(store) => Some(store.read().asleep_len()),
            State::Nothing | State::Down => None,
        }
    }

    /// Why the store is to be set aside, if a reader has found that it is.
    pub fn doubt(&self) -> Option<String> {
        self.doubt.lock().take()
    }

    /// Looks at what lies below W. The store's next commit waits for the look at its end: so look in steps.
    ///
    /// # Errors
    /// When there is no store now; and what `look` says.
    pub fn view<T>(&self, look: impl FnOnce(&View<'_>) -> Result<T, StoredError>) -> Result<T, StoredError> {
        let store = match &*self.state.read() {
            State::Nothing => None,
            State::Open(store) => Some(store.clone()),
            State::Down => return Err(StoredError::Down),
        };
        let first = self.facts.first();
        let looked = look(&View { reader: store.as_ref().map(Store::read), facts: &self.facts, first });
        if let Err(error) = &looked
            && error.is_the_stores()
        {
            self.doubt.lock().get_or_insert_with(|| error.to_string());
        }
        looked
    }

    /// W, if nothing below it has this id: as filters in RAM say, without a read and without waiting for anybody. `None`: that is not known.
    pub fn lacks_id(&self, workspace: WorkspaceId, id: &EventId) -> Option<u64> {
        let state = self.state.try_read()?;
        let State::Open(store) = &*state else { return None };
        let reader = store.try_read()?;
        // A generated id says itself where its event lies.
        let is_stranger = id.position().is_none() && !reader.may_have_id(workspace, id);
        is_stranger.then(|| reader.at().replay_from())
    }

    /// A fact, be it below W or above; `None` when the log no longer has it, or has nothing there.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn record(&self, at: Position) -> Result<Option<Record>, StoredError> {
        self.facts.record(at)
    }

    /// The facts of a block, be it below W or above; none when the log does not have it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn records(&self, block: u64) -> Result<Vec<Record>, StoredError> {
        self.facts.records(block)
    }

    /// The log's first block.
    pub fn first(&self) -> u64 {
        self.facts.first()
    }

    /// When the log's first block was written; `None` where that is the first there ever was.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn begin(&self) -> Result<Option<Time>, StoredError> {
        self.facts.begin()
    }

    /// The event that was accepted at `at`, as the fact at `record` has it; `None` when it has not.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn event_at(&self, record: Position, at: Position) -> Result<Option<Arc<Event>>, StoredError> {
        self.facts.event_at(record, at)
    }

    /// A delivery as its newest fact says, which lies at `newest`.
    ///
    /// # Errors
    /// When the log cannot be read, or says nothing of that delivery there.
    pub fn cell_at(&self, key: DeliveryKey, newest: Position) -> Result<Option<Cell>, StoredError> {
        self.facts.cell_at(key, newest)
    }

    /// The attempts of a delivery from its last one back, newest first, as far as the log has them; at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read, or its facts do not lead from one to the other.
    pub fn attempts_back(&self, last: Option<Position>, max: usize) -> Result<Vec<FiledAttempt>, StoredError> {
        let mut attempts: Vec<FiledAttempt> = Vec::new();
        let mut next = last;
        while let Some(position) = next.filter(|_| attempts.len() < max) {
            let Some(record) = self.record(position)? else { break };
            let Fact::AttemptFinished { cell, attempt, .. } = record.fact else {
                return Err(StoredError::Strange(position));
            };
            next = attempt.previous.filter(|previous| *previous < position);
            attempts.push(FiledAttempt { position, cell, attempt });
        }
        Ok(attempts)
    }
}

/// One view of what lies below W.
pub struct View<'a> {
    /// None where nothing does.
    reader: Option<Reader<'a>>,
    facts: &'a Facts,
    /// The log's first block when the view began.
    first: u64,
}

impl View<'_> {
    /// W: the first block that is not covered.
    pub fn covered(&self) -> u64 {
        self.reader.as_ref().map_or(0, |reader| reader.at().replay_from())
    }

    /// The event that was accepted at a position; `None` when there is none, or the log no longer has it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn event(&self, at: Position) -> Result<Option<Arc<Event>>, StoredError> {
        if at.block() >= self.covered() {
            return Ok(None);
        }
        self.facts.event_at(self.payload_of(at)?, at)
    }

    /// The event that has this id in this workspace.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn event_with_id(&self, workspace: WorkspaceId, id: &EventId) -> Result<Option<Arc<Event>>, StoredError> {
        let Some(reader) = &self.reader else { return Ok(None) };
        // A generated id says itself where its event lies.
        for at in reader.candidates(workspace, id)?.into_iter().chain(id.position()) {
            let event = self.event(at)?.filter(|event| event.workspace == workspace && event.id == *id);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The fact beside which an event's payload lies: where it was accepted, or where it was carried to since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn payload_of(&self, event: Position) -> Result<Position, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(event), |reader| reader.record_of(event))?)
    }

    /// Whether the log still has an event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_kept(&self, event: Position) -> Result<bool, StoredError> {
        Ok(event.block() >= self.first || self.payload_of(event)?.block() >= self.first)
    }

    /// The next `max` places of a workspace's events from a position on, oldest first; also of events that the log no longer has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events_up(
        &self,
        workspace: WorkspaceId,
        from: Position,
        max: usize,
    ) -> Result<Vec<EventPlace>, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(Vec::new()), |reader| reader.events_up(workspace, from, max))?)
    }

    /// No record of the day that `time` lies in, or of a later one, lies before this position: see [`Reader::day_begin`].
    pub fn day_begin(&self, time: Time) -> Option<Position> {
        self.reader.as_ref()?.day_begin(time)
    }

    /// The fact that erased an event's payload, and when it did.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn erased(&self, event: Position) -> Result<Option<(Position, Time)>, StoredError> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let Some(at) = reader.erased(event)?.filter(|at| at.block() >= self.first) else { return Ok(None) };
        match self.facts.record(at)? {
            Some(Record { fact: Fact::EventErased { event: of, .. }, time, .. }) if of == event => Ok(Some((at, time))),
            Some(_) => Err(StoredError::Strange(at)),
            None => self.facts.gone(at),
        }
    }

    /// A delivery as it stood at W; `None` when there is none, or the log no longer has its event.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn cell(&self, key: DeliveryKey) -> Result<Option<Cell>, StoredError> {
        let Some(reader) = &self.reader else { return Ok(None) };
        if key.event.block() >= self.covered() || !self.is_kept(key.event)? {
            return Ok(None);
        }
        match reader.head(key)? {
            None => Ok(None),
            Some(newest) if newest == key.event => {
                let event = self.event(key.event)?;
                Ok(event.and_then(|event| event_cells(&event).nth(key.ordinal as usize)))
            }
            Some(newest) => self.facts.cell_at(key, newest),
        }
    }

    /// The deliveries of an event as they stood at W, in order, those that replays have added last.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn cells_of(&self, event: &Event) -> Result<Vec<Cell>, StoredError> {
        let (at, added) = (event.at, self.added(event.at, event.at)?.first().map_or(0, |(_, count)| *count));
        let chosen = (0..event.chosen.len() as u32).map(|ordinal| DeliveryKey { event: at, ordinal });
        let keys = chosen.chain((0..added).map(|nth| DeliveryKey::added(at, nth)));
        keys.filter_map(|key| self.cell(key).transpose()).collect()
    }

    /// The events from `from` to `to`, both included, to which replays have added deliveries, and how many; in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn added(&self, from: Position, to: Position) -> Result<Vec<(Position, u32)>, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(Vec::new()), |reader| reader.added(from, to))?)
    }

    /// The next `max` unfinished deliveries that are due before `until`: see [`Reader::due`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due(&self, after: Option<Asleep>, until: Time, max: usize) -> Result<Vec<Asleep>, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(Vec::new()), |reader| reader.due(after, until, max))?)
    }

    /// The next `max` deliveries in a lane of a webhook's backlog: see [`Reader::backlog`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn backlog(
        &self,
        webhook: WebhookId,
        lane: Lane,
        after: Option<Asleep>,
        max: usize,
    ) -> Result<Vec<Asleep>, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(Vec::new()), |reader| reader.backlog(webhook, lane, after, max))?)
    }

    /// All that was due before this is in the backlogs.
    pub fn swept(&self) -> Time {
        self.reader.as_ref().map_or(Time(0), Reader::swept)
    }

    /// Unfinished deliveries of a webhook at W, exactly.
    pub fn pending(&self, webhook: WebhookId) -> u64 {
        self.reader.as_ref().map_or(0, |reader| reader.pending(webhook))
    }

    /// The next `max` places of attempts of a webhook before a position, newest first; also of events that the log no longer has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn attempts(
        &self,
        webhook: WebhookId,
        before: Option<Position>,
        max: usize,
    ) -> Result<Vec<AttemptPlace>, StoredError> {
        let Some(reader) = &self.reader else { return Ok(Vec::new()) };
        let mut places = reader.attempts(webhook, before, max)?;
        places.retain(|place| place.position.block() >= self.first);
        Ok(places)
    }

    /// What webhooks' attempts of a day came to by the hour, and the first block of which nothing is counted: see [`Reader::hourly`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn hourly(
        &self,
        webhooks: &[WebhookId],
        day: Time,
        take: impl FnMut(WebhookId, Time, &Summary),
    ) -> Result<u64, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(0), |reader| reader.hourly(webhooks, day, take))?)
    }

    /// The next `max` places of a workspace's events before a position, newest first; also of events that the log no longer has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(
        &self,
        workspace: WorkspaceId,
        before: Option<Position>,
        max: usize,
    ) -> Result<Vec<EventPlace>, StoredError> {
        Ok(self.reader.as_ref().map_or(Ok(Vec::new()), |reader| reader.events(workspace, before, max))?)
    }
}

#[cfg(test)]
mod tests;
