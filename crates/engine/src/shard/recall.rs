//! What the shard leaves to the store, and how it comes back.
//!
//! The store has every unfinished delivery as of its position. The shard has in RAM what is in flight, what is ready, and what is due
//! within a few seconds; of the rest it knows only where the store has it:
//!
//! - **Behind the horizon.** All that is due before the horizon was filed here or spilled. What is due later lies in the store, or *dozes*
//!   in the overlay until the store has it. The horizon moves on by reading what is due next.
//! - **Spilled.** A webhook's queue has a bound. What is due and finds it full waits in the overlay until the store has it, and then in the
//!   webhook's backlog there. It comes back when the queue has become short, what is in the store first.
//!
//! There is one reading at a time, done by somebody else: the shard says what it wants, goes on, and is told. The store's position does not
//! move on here meanwhile, so what was read is never older than what the overlay has let go.

use std::collections::{BTreeMap, BTreeSet};

use postrider_core::delivery::Cell;
use postrider_core::{DeliveryKey, Millis, Position, Time, WebhookId};
use postrider_log::LogWriter;
use postrider_store::{Asleep, Lane};

use super::replay::ReadForReplay;
use super::spill::{Span, Spill, lane_of};
use super::{Found, Loaded, Shard, Wanted};
use crate::overlay::Recalled;

/// How much is held in RAM.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What is due within this time is in RAM.
    pub ahead: Millis,
    /// Deliveries in one lane of a webhook's queue.
    pub lane: u32,
    /// Sleepers of all webhooks together; above it no more are read.
    pub asleep: usize,
    /// Deliveries of one reading.
    pub batch: usize,
    /// Bytes of log that a start may take into RAM where the store does not reach. Of more, what lies there waits until the store does.
    pub behind: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { ahead: Millis::from_secs(10), lane: 1024, asleep: 65_536, batch: 1024, behind: 256 << 20 }
    }
}

/// How far the shard relies on the store.
pub(super) struct Reliance {
    pub bounds: Bounds,
    is_reading: bool,
    /// All that is due before this was filed or spilled.
    pub horizon: Time,
    /// The last delivery that was read on the way there.
    read_to: Option<Asleep>,
    /// Nothing behind it in the store is due before this; `None`: there is nothing.
    next: Option<Time>,
    /// Deliveries in the overlay that are due behind the horizon; some have moved on since.
    dozing: BTreeSet<(Time, DeliveryKey)>,
    /// Lanes that had no room, or of which something that is due may be in the store alone.
    pub spilled: BTreeMap<(WebhookId, Lane), Spill>,
    /// Of these, the ones that may have become short. Looked through often, where `spilled` is as long as the list of dead receivers.
    pub short: BTreeSet<(WebhookId, Lane)>,
    /// The one that was asked about last.
    pub asked: (WebhookId, Lane),
    pub swept: Time,
}

impl Reliance {
    fn new(bounds: Bounds, covered: u64, swept: Time) -> Reliance {
        Reliance {
            bounds,
            is_reading: false,
            horizon: Time(0),
            read_to: None,
            // What the store does not have yet is all here.
            next: (covered > 0).then_some(Time(0)),
            dozing: BTreeSet::new(),
            spilled: BTreeMap::new(),
            short: BTreeSet::new(),
            asked: (WebhookId(0), Lane::Fresh),
            swept,
        }
    }
}

impl<W: LogWriter> Shard<W> {
    /// From here on the shard relies on a store, which has everything below block `covered`, and what was due before `swept` in the backlogs;
    /// it holds no more than `bounds` says. To be called before [`Shard::resume`].
    pub fn rely(&mut self, bounds: Bounds, covered: u64, swept: Time) {
        self.reliance = Some(Reliance::new(bounds, covered, swept));
        self.overlay.let_go(covered, |_| true, |_| ());
    }

    /// The store has everything below block `covered` now, and what was due before `swept` in the backlogs: what nothing needs is let go.
    pub fn covered(&mut self, covered: u64, swept: Time) {
        let (Some(reliance), kernel, scheduler) = (&mut self.reliance, &self.kernel, &self.scheduler) else { return };
        if reliance.is_reading {
            return;
        }
        reliance.swept = swept;
        let (checked, beginnings, lines) = (self.to_check.front(), &self.beginnings, &self.lines);
        let is_needed = |cell: &Cell| {
            let event = cell.key.event;
            let is_in_line = lines.get(&cell.webhook).is_some_and(|line| line.has(cell.key));
            is_in_line
                || scheduler.residency(cell.key).is_some()
                || checked == Some(&event)
                || beginnings.is_to_carry(event)
        };
        let gone = |cell: &Cell| {
            reliance.dozing.remove(&(cell.due, cell.key));
            if !kernel.is_pending(cell) {
                return;
            }
            let lane = (cell.webhook, lane_of(cell));
            let has_spilled =
                reliance.spilled.get_mut(&lane).is_some_and(|spill| spill.here.remove(&(cell.due, cell.key)));
            // What is due before it was swept at once: engine time may begin a little earlier again after a crash.
            // What waits in line is looked for there.
            let is_ordered = lines.contains_key(&cell.webhook);
            if (has_spilled || cell.due < swept) && !is_ordered {
                reliance.spilled.entry(lane).or_default().is_in_store(cell.due);
                reliance.short.insert(lane);
            } else if cell.due >= reliance.horizon {
                reliance.next = Some(reliance.next.map_or(cell.due, |next| next.min(cell.due)));
            }
        };
        self.overlay.let_go(covered, is_needed, gone);
    }

    /// All that sleeps in the store and is due before this has been met: the store may move it to the backlogs. `None` without a store.
    pub fn met_until(&self) -> Option<Time> {
        let met_until = |reliance: &Reliance| reliance.next.map_or(reliance.horizon, |next| next.min(reliance.horizon));
        self.reliance.as_ref().map(met_until)
    }

    /// What is to be read from the store next, if anything; then [`Shard::loaded`] is to be called, or [`Shard::not_loaded`].
    pub fn want(&mut self, now: Time) -> Option<Wanted> {
        let wanted = self.next_wanted(now)?;
        self.reliance.as_mut()?.is_reading = true;
        Some(wanted)
    }

    fn next_wanted(&mut self, now: Time) -> Option<Wanted> {
        self.refill();
        let reliance = self.reliance.as_ref().filter(|reliance| !reliance.is_reading)?;
        let to_check = self.to_check.front().copied().filter(|event| !self.is_whole(*event));
        let is_partly_here = |event: &Position| self.overlay.recalled(*event).is_some_and(|here| !here.is_whole());
        if let Some(event) = to_check.or_else(|| self.beginnings.to_carry().find(is_partly_here)) {
            return Some(Wanted::Whole(event));
        }
        // What is due already takes no sleeper's place.
        let bounds = reliance.bounds;
        let has_room = self.scheduler.asleep_len() < bounds.asleep;
        let until = if has_room { now + bounds.ahead } else { now + Millis(1) };
        if reliance.next.is_some_and(|next| next < until) {
            let full = self.full_webhooks();
            return Some(Wanted::Due { after: reliance.read_to, until, max: bounds.batch, full });
        }
        self.move_horizon(until);
        if let Some(line) = self.line_wanted() {
            return Some(line);
        }
        let scan = self.beginnings.wanted();
        let scan = scan.map(|(from, below)| Wanted::Unfinished { from, below, max: bounds.batch });
        scan.or_else(|| self.next_backlog()).or_else(|| self.replay_wanted())
    }

    /// When something is to be read at the latest, or comes back by itself; beside that, whenever the store has moved on.
    pub(super) fn wants_at(&self) -> Option<Time> {
        let reliance = self.reliance.as_ref()?;
        let has_room = self.scheduler.asleep_len() < reliance.bounds.asleep;
        let ahead = if has_room { reliance.bounds.ahead.0 } else { 0 };
        let dozing = reliance.dozing.first().map(|(due, _)| *due);
        let next = reliance.next.into_iter().chain(dozing).min().filter(|_| !reliance.is_reading);
        // In time to read it before it is due.
        let read_at = next.map(|next| Time(next.0.saturating_sub(ahead / 2)));
        let here = |lane| reliance.spilled.get(lane).and_then(Spill::next_here);
        let short = reliance.short.iter().filter(|(webhook, lane)| self.is_short(*webhook, *lane));
        let first = short.filter_map(here).map(|(due, _)| due);
        read_at.into_iter().chain(first).min()
    }

    /// What was wanted could not be read; it is wanted still.
    pub fn not_loaded(&mut self) {
        if let Some(reliance) = &mut self.reliance {
            reliance.is_reading = false;
        }
    }

    /// Takes in what was wanted.
    pub fn loaded(&mut self, loaded: Loaded) {
        self.not_loaded();
        if loaded.covered < self.overlay.base() {
            return;
        }
        match loaded.found {
            Found::Due { until, deliveries, all } => {
                let Some(reliance) = &mut self.reliance else { return };
                let last = deliveries.last().map(|(asleep, _)| *asleep);
                reliance.read_to = last.or(reliance.read_to);
                reliance.next = match all {
                    Some(next) => next,
                    None => last.map(|last| last.due),
                };
                // What falls asleep before the last one from here on is not met any more.
                let horizon = if all.is_some() { until } else { last.map_or(Time(0), |last| Time(last.due.0 + 1)) };
                let behind = reliance.horizon;
                reliance.horizon = behind.max(horizon);
                deliveries.into_iter().for_each(|(asleep, recalled)| self.meet(&asleep, recalled));
                self.wake_dozing();
            }
            Found::Backlog { webhook, lane, mut deliveries, mut is_all, swept } => {
                let fitting = self.fitting(webhook, lane, &deliveries);
                // What has no room now is read again: behind the pass it would wait for all that is due after it.
                is_all &= fitting == deliveries.len();
                deliveries.truncate(fitting);
                let Some(spill) = self.reliance.as_mut().and_then(|r| r.spilled.get_mut(&(webhook, lane))) else {
                    return;
                };
                let is_here = |(asleep, _): &(Asleep, _)| self.scheduler.residency(asleep.key).is_some();
                let last = deliveries.last().map(|(asleep, _)| *asleep);
                spill.is_read(last, !deliveries.iter().all(is_here), is_all.then_some(swept));
                deliveries.into_iter().for_each(|(asleep, recalled)| self.bring(&asleep, recalled));
                self.end_spill(webhook, lane);
            }
            Found::Line { webhook, after, deliveries, is_all } => self.line_found(webhook, after, deliveries, is_all),
            Found::Whole(event, found) => match found {
                Some(recalled) => self.overlay.admit(recalled),
                None => {
                    self.to_check.retain(|waiting| *waiting != event);
                    self.beginnings.is_missing(event);
                }
            },
            Found::Replay { replay, from, events, read_to } => {
                let covered = loaded.covered;
                self.read_for_replay = Some(ReadForReplay { replay, covered, from, read_to, events });
            }
            Found::Unfinished { events, next } => {
                for recalled in events {
                    self.beginnings.is_found(recalled.event.at);
                    self.overlay.admit(recalled);
                }
                self.beginnings.looked_to(next);
            }
        }
    }

    /// How many of these the queue has room for, if they are not in it already.
    fn fitting(&self, webhook: WebhookId, lane: Lane, deliveries: &[(Asleep, Option<Recalled>)]) -> usize {
        let mut room = self.room(webhook, lane);
        if room as usize >= deliveries.len() {
            return deliveries.len();
        }
        let fits = |(asleep, _): &(Asleep, _)| {
            let is_here = self.scheduler.residency(asleep.key).is_some();
            let has_room = is_here || room > 0;
            room = room.saturating_sub(u32::from(!is_here));
            has_room
        };
        deliveries.iter().map(fits).take_while(|fits| *fits).count()
    }

    /// The horizon has come to a delivery: it comes back, unless others of its lane wait already.
    fn meet(&mut self, asleep: &Asleep, recalled: Option<Recalled>) {
        let spill = self.reliance.as_ref().and_then(|r| r.spilled.get(&(asleep.webhook, asleep.lane)));
        let has_others = |spill: &Spill| !spill.here.is_empty() || spill.in_store.is_some_and(Span::is_certain);
        let stays = asleep.due <= self.now && spill.is_some_and(has_others) && self.overlay.cell(asleep.key).is_none();
        self.bring(asleep, recalled.filter(|_| !stays));
    }

    /// A delivery comes back from the store if there is room, unless it was here all the time, or has moved on since.
    fn bring(&mut self, asleep: &Asleep, recalled: Option<Recalled>) {
        let key = asleep.key;
        if self.lines.contains_key(&asleep.webhook) {
            return;
        }
        let has_room = asleep.due > self.now || self.room(asleep.webhook, asleep.lane) > 0;
        match recalled.filter(|_| has_room) {
            Some(recalled) => self.overlay.admit(recalled),
            None if self.overlay.cell(key).is_none() => {
                return self.is_in_store(asleep.webhook, asleep.lane, asleep.due);
            }
            None => {}
        }
        self.overlay.may_be_idle(key.event);
        if let Some(cell) = self.waiting_cell(key, asleep.due) {
            match has_room {
                true => self.place(&cell),
                false => self.spill(&cell),
            }
        }
    }

    /// A delivery that was due at `due`, unless it has moved on or is in the schedule.
    pub(super) fn waiting_cell(&self, key: DeliveryKey, due: Time) -> Option<Cell> {
        let cell = self.overlay.cell(key).copied().filter(|cell| cell.due == due && self.kernel.is_pending(cell))?;
        let is_free = self.scheduler.knows(cell.webhook) && !self.lines.contains_key(&cell.webhook);
        (is_free && self.scheduler.residency(key).is_none()).then_some(cell)
    }

    /// All that is due before `until` is in the overlay, if anywhere.
    fn move_horizon(&mut self, until: Time) {
        if let Some(reliance) = &mut self.reliance {
            reliance.horizon = reliance.horizon.max(until);
            self.wake_dozing();
        }
    }

    /// Files what dozes before the horizon.
    fn wake_dozing(&mut self) {
        while let Some(reliance) = &mut self.reliance
            && let Some((due, key)) = reliance.dozing.first().copied()
            && due < reliance.horizon
        {
            reliance.dozing.pop_first();
            if let Some(cell) = self.waiting_cell(key, due)
                && self.may_stay(&cell)
            {
                self.place(&cell);
            }
        }
    }

    /// At the start, before the horizon has come to anything: what is here waits for what is older and in the store.
    pub(super) fn doze(&mut self, cells: &[Cell]) {
        if let Some(reliance) = &mut self.reliance {
            reliance.dozing.extend(cells.iter().map(|cell| (cell.due, cell.key)));
        }
    }

    /// Whether a delivery that has just become pending may be in the schedule now. If not, it dozes, or has spilled.
    pub(super) fn may_stay(&mut self, cell: &Cell) -> bool {
        let (is_now, lane) = (cell.due <= self.now, lane_of(cell));
        let room = self.room(cell.webhook, lane);
        let Some(reliance) = &mut self.reliance else { return true };
        if cell.due >= reliance.horizon && !cell.is_fresh() {
            reliance.dozing.insert((cell.due, cell.key));
            return false;
        }
        // Behind those that wait for room.
        let is_first = || reliance.spilled.get(&(cell.webhook, lane)).is_none_or(|spill| spill.here.is_empty());
        let has_room = match is_now {
            true => room > 0 && is_first(),
            false => self.scheduler.asleep_len() < reliance.bounds.asleep * 2,
        };
        if !has_room {
            self.spill(cell);
        }
        has_room
    }

    /// Whether an event is here with all of its deliveries.
    pub(super) fn is_whole(&self, event: Position) -> bool {
        self.reliance.is_none() || self.overlay.recalled(event).is_some_and(Recalled::is_whole)
    }

    /// Whether a delivery that is not in RAM will come back from the store by itself: for those who watch.
    pub fn will_recall(&self, cell: &Cell) -> bool {
        if self.lines.contains_key(&cell.webhook) {
            return self.waits_in_line(cell);
        }
        let is_ahead = |reliance: &Reliance| {
            cell.due >= reliance.horizon
                || reliance.spilled.contains_key(&(cell.webhook, lane_of(cell)))
                || reliance.next.is_some_and(|next| next <= cell.due)
        };
        self.reliance.as_ref().is_some_and(is_ahead)
    }
}
