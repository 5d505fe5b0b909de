//! Retention: the log is made to begin later, a whole segment at a time.
//!
//! It can begin only where the state is restated: at the beginning of a segment, before the turn that goes there. What is unfinished
//! below a new beginning is carried to the tail first, so it pins nothing but itself; then the log lets go of all below, and the state
//! forgets the rest. A replay from the new beginning gives the same state.

use std::collections::BTreeSet;

use bytes::Bytes;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::{Millis, Position, Time, limits};
use postrider_log::{AppendError, LogWriter, Payload, ReadError, TruncateError, codec};
use postrider_scheduler::Residency;

use super::{Shard, TurnError};
use crate::overlay::Recalled;
use crate::restatements::{Beginning, Restatements};

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What is finished goes once everything in its segment is older than this.
    pub age: Millis,
    /// What is finished goes, oldest first, while the log has more bytes than this.
    pub bytes: u64,
}

/// What one step of retention came to. All of it is durable.
#[derive(Debug, Default)]
pub struct Retained {
    /// Facts that were appended: ask again soon.
    pub records: Vec<Record>,
    /// The log begins with this block now.
    pub begins: Option<u64>,
}

/// The log is at least this many times as large as what is restated in it.
const RESTATED_SHARE: u64 = 16;
/// Under a bound in bytes, the log may be this many times as large as what the last pass carried: else it would carry without end.
const CARRIED_SHARE: u64 = 2;
/// Events looked at for one block.
const CARRY_STEP: usize = 4_096;

/// Where the log can begin, and how far the present pass is.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    /// All of them above the log's first block.
    pub(super) known: Restatements,
    /// Of the last restatement.
    restated_bytes: u64,
    /// Nothing before this is left to carry, or was when it was looked at.
    carried_to: Option<Position>,
    carried_bytes: u64,
    carried_before: u64,
    /// The pass over what only the store knows of.
    scan: Option<Scan>,
    /// A payload can't be read: what can't be carried is not let go either.
    is_stuck: bool,
}

/// A delivery in a carried event, with all numbers as long as they can become in the log's lifetime: its choice and its cell.
const CARRIED_CELL_BYTES: usize = 64;
/// A carried event without deliveries and payload, and the block around it.
const CARRIED_EVENT_BYTES: usize = 4_096;

fn bytes_at_most(event: &Event, deliveries: usize) -> usize {
    event.payload_len as usize + deliveries * CARRIED_CELL_BYTES + CARRIED_EVENT_BYTES
}

/// A look for unfinished events below a new beginning, through the store.
#[derive(Debug)]
struct Scan {
    below: u64,
    /// Where to look next; `None`: all was looked at.
    next: Option<Position>,
    found: BTreeSet<Position>,
    /// Something has been made pending since, that may have been passed.
    is_outdated: bool,
}

impl Scan {
    fn new(below: u64, found: BTreeSet<Position>) -> Scan {
        Scan { below, next: Some(Position::new(0, 0)), found, is_outdated: false }
    }

    fn is_over(&self) -> bool {
        self.found.is_empty() && self.next.is_none()
    }
}

impl Beginnings {
    /// What to look through for unfinished events: from a position on, and below a block.
    pub(super) fn wanted(&self) -> Option<(Position, u64)> {
        let scan = self.scan.as_ref().filter(|scan| scan.found.is_empty())?;
        Some((scan.next?, scan.below))
    }

    /// The events that are found and not carried yet.
    pub(super) fn to_carry(&self) -> impl Iterator<Item = Position> {
        self.scan.iter().flat_map(|scan| scan.found.iter().copied())
    }

    /// The store does not have an event that is to be carried: it cannot be, and nothing is let go any more.
    pub(super) fn is_missing(&mut self, event: Position) {
        if self.is_to_carry(event) {
            tracing::error!(%event, "the store does not have an unfinished event: nothing is let go any more");
            self.is_stuck = true;
        }
    }

    pub(super) fn is_to_carry(&self, event: Position) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.found.contains(&event))
    }

    pub(super) fn is_found(&mut self, event: Position) {
        if let Some(scan) = &mut self.scan {
            scan.found.insert(event);
        }
    }

    pub(super) fn looked_to(&mut self, next: Option<Position>) {
        self.scan.iter_mut().for_each(|scan| scan.next = next);
    }

    /// A delivery that had ended is pending again.
    pub(super) fn is_revived(&mut self) {
        self.scan.iter_mut().for_each(|scan| scan.is_outdated = true);
    }
}

impl<W: LogWriter> Shard<W> {
    /// Restates the state if the next block is one that the log may be made to begin with.
    pub(super) fn restate(&mut self, records: &mut Vec<Record>) -> Result<(), TurnError> {
        let last = self.beginnings.known.last().map(|beginning| beginning.block);
        let is_worth_it =
            |last| self.log.bytes_from(last) >= self.beginnings.restated_bytes.saturating_mul(RESTATED_SHARE);
        if !self.log.begins_segment() || !last.is_none_or(is_worth_it) {
            return Ok(());
        }
        let (block, mut bytes) = (self.log.tail(), 0);
        for fact in self.kernel.restate() {
            self.push(fact, None, records);
            if self.batch.bytes() >= limits::TURN_BYTES_TARGET {
                bytes += self.append()?;
                self.reserve()?;
            }
        }
        if !self.batch.is_empty() {
            bytes += self.append()?;
            self.reserve()?;
        }
        if bytes > 0 {
            self.beginnings.restated_bytes = bytes;
            self.beginnings.known.add(Beginning { block, time: self.now });
        }
        Ok(())
    }

    /// One step towards a log of no more than is to be kept: carries a block of what is unfinished below the new beginning, or, when
    /// nothing is left to carry, lets go of what is below. `payload` reads the log.
    ///
    /// # Errors
    /// When the log is full, which changes nothing, or fails.
    pub fn retain(
        &mut self,
        now: Time,
        keep: &Retention,
        payload: impl Fn(Position) -> Result<Option<Bytes>, ReadError>,
    ) -> Result<Retained, TurnError> {
        assert!(now >= self.now, "engine time never goes back");
        self.now = now;
        let mut retained = Retained::default();
        let Some(below) = self.next_beginning(keep).filter(|_| !self.beginnings.is_stuck) else {
            return Ok(retained);
        };
        self.batch.reset(now);
        let is_all_carried = match self.reliance {
            None => self.carry_resident(below, &payload, &mut retained.records)?,
            Some(_) => self.carry_found(below, &payload, &mut retained.records)?,
        };
        if !is_all_carried {
            return Ok(retained);
        }
        // What is looked at for its erasure must be there.
        if !self.to_check.is_empty() || self.is_in_flight_below(below) {
            // Cancelled, and its attempt still runs: that is over soon.
            return Ok(retained);
        }
        let first = self.log.truncate(below).map_err(|error| match error {
            TruncateError::Full => TurnError::Full,
            TruncateError::Unavailable(why) => TurnError::Poisoned(AppendError::Unavailable(why)),
        })?;
        self.forget_below(first);
        self.beginnings.scan = None;
        self.beginnings.carried_before = std::mem::take(&mut self.beginnings.carried_bytes);
        retained.begins = Some(first);
        Ok(retained)
    }

    /// Forgets what is kept in blocks below `first`, with which the log begins.
    pub fn forget_below(&mut self, first: u64) {
        self.overlay.forget_below(first);
        self.kernel.directory.forget_below(first);
        self.beginnings.known.forget_to(first);
        self.beginnings.carried_to = None;
    }

    /// The block that the log is to begin with now.
    fn next_beginning(&self, keep: &Retention) -> Option<u64> {
        let known = &self.beginnings.known;
        let is_old = |beginning: &&Beginning| self.now.since(beginning.time) >= keep.age;
        let by_age = known.iter().rev().find(is_old);
        let bytes = keep.bytes.max(self.beginnings.carried_before.saturating_mul(CARRIED_SHARE));
        let by_bytes = (self.log.bytes_from(0) > bytes)
            .then(|| known.iter().find(|b| self.log.bytes_from(b.block) <= bytes).or(known.last()))
            .flatten();
        let wanted = by_age.into_iter().chain(by_bytes).map(|beginning| beginning.block).max()?;
        // What the store does not have yet, it is to read.
        let is_readable = |below: &u64| self.reliance.is_none() || *below <= self.overlay.base();
        self.beginnings.scan.as_ref().map(|scan| scan.below).or(Some(wanted).filter(is_readable))
    }

    /// A step of carrying when all is in RAM. True: nothing is left.
    fn carry_resident(
        &mut self,
        below: u64,
        payload: &impl Fn(Position) -> Result<Option<Bytes>, ReadError>,
        records: &mut Vec<Record>,
    ) -> Result<bool, TurnError> {
        // Once more from the start at the end: what was finished when it was passed can have been made pending since.
        for from in [self.beginnings.carried_to, None] {
            let events = self.overlay.events_below(from.unwrap_or(Position::new(0, 0)), below);
            let unfinished = events.filter(|recalled| recalled.cells.iter().any(|cell| self.kernel.is_pending(cell)));
            let events = unfinished.take(CARRY_STEP).map(|recalled| recalled.event.at).collect();
            self.carry(events, payload, records)?;
            if !self.batch.is_empty() {
                self.beginnings.carried_bytes += self.append()?;
                return Ok(false);
            }
            if self.beginnings.is_stuck {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A step of carrying what was found through the store. True: nothing is left.
    fn carry_found(
        &mut self,
        below: u64,
        payload: &impl Fn(Position) -> Result<Option<Bytes>, ReadError>,
        records: &mut Vec<Record>,
    ) -> Result<bool, TurnError> {
        // What a process before this one has carried is beyond already: carried twice, the first copy would not go with the rest.
        let is_unfinished = |recalled: &Recalled| {
            recalled.payload.block() < below && recalled.cells.iter().any(|cell| self.kernel.is_pending(cell))
        };
        let scan = match &mut self.beginnings.scan {
            Some(scan) if !scan.is_over() => scan,
            Some(scan) if !scan.is_outdated => return Ok(true),
            scan => {
                // What the store will not tell, since facts that it does not have yet have made it pending, is here.
                let here = self.overlay.events_below(Position::new(0, 0), below);
                let found = here.filter(|recalled| is_unfinished(recalled)).map(|recalled| recalled.event.at);
                scan.insert(Scan::new(below, found.collect()))
            }
        };
        scan.found.retain(|at| self.overlay.recalled(*at).is_some_and(is_unfinished));
        // What is not whole is being read.
        let is_whole = |at: &&Position| self.overlay.recalled(**at).is_some_and(Recalled::is_whole);
        let events = scan.found.iter().filter(is_whole).copied().collect();
        self.carry(events, payload, records)?;
        if !self.batch.is_empty() {
            self.beginnings.carried_bytes += self.append()?;
            let carried = records.iter().filter_map(|record| match &record.fact {
                Fact::EventCarried { event, .. } => Some(event.at),
                _ => None,
            });
            if let Some(scan) = &mut self.beginnings.scan {
                carried.for_each(|at| {
                    scan.found.remove(&at);
                });
            }
        }
        Ok(false)
    }

    /// Takes unfinished events into the batch until it is large enough. Space is asked for only where there is something to carry: letting
    /// go of the rest gives some back.
    fn carry(
        &mut self,
        events: Vec<Position>,
        payload: &impl Fn(Position) -> Result<Option<Bytes>, ReadError>,
        records: &mut Vec<Record>,
    ) -> Result<(), TurnError> {
        if !events.is_empty() {
            self.reserve()?;
        }
        for at in events {
            let Some(recalled) = self.overlay.recalled(at).cloned() else { continue };
            let Recalled { event, payload: old, cells, .. } = recalled;
            let deliveries = cells.len();
            let bytes = self.batch.bytes() + bytes_at_most(&event, deliveries);
            if !self.batch.is_empty() && bytes > limits::TURN_BYTES_TARGET {
                break;
            }
            let read = payload(old).map_err(|error| error.to_string());
            let read = read.and_then(|data| match bytes <= limits::BLOCK_BYTES_MAX {
                true => Ok(data),
                false => Err(format!("with its {deliveries} deliveries it may be larger than a block")),
            });
            let data = match read {
                Ok(data) => data,
                Err(reason) => {
                    tracing::error!(event = %event.at, reason, "an unfinished event cannot be carried: nothing is let go any more");
                    self.beginnings.is_stuck = true;
                    break;
                }
            };
            self.beginnings.carried_to = Some(event.at);
            self.push(Fact::EventCarried { event, was: old, cells: cells.into() }, data, records);
            // The one beside the new fact counts from here on; an erasure must leave no other.
            self.to_erase.push(old);
        }
        Ok(())
    }

    fn is_in_flight_below(&self, below: u64) -> bool {
        let in_flight = |cell: &postrider_core::delivery::Cell| {
            matches!(self.scheduler.residency(cell.key), Some(Residency::InFlight))
        };
        let mut events = self.overlay.events_below(Position::new(0, 0), below);
        self.scheduler.in_flight() > 0 && events.any(|recalled| recalled.cells.iter().any(in_flight))
    }

    /// Into the batch and into the state: facts that nobody decided on.
    fn push(&mut self, fact: Fact, payload: Option<Bytes>, records: &mut Vec<Record>) {
        let position = Position::new(self.log.tail(), self.batch.len());
        let now = self.now;
        self.batch.push_with(payload.as_deref().map(Payload::new), |out| codec::encode(&fact, now, out));
        let record = Record { position, time: now, fact };
        self.take_in(&record);
        records.push(record);
    }

    /// Makes the batch durable; says how many bytes it had.
    fn append(&mut self) -> Result<u64, TurnError> {
        let bytes = self.batch.bytes() as u64;
        self.log.append(self.log.tail(), &self.batch)?;
        self.batch.reset(self.now);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
