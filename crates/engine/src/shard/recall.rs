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
use std::ops::Bound;

use postrider_core::command::Command;
use postrider_core::delivery::Cell;
use postrider_core::replay::Wish;
use postrider_core::{DeliveryKey, EventId, Millis, Position, ReplayId, Time, WebhookId, WorkspaceId};
use postrider_log::LogWriter;
use postrider_store::{Asleep, Lane};

use super::Shard;
use super::replay::ReadForReplay;
use crate::overlay::Recalled;
use crate::past::Reach;

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
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { ahead: Millis::from_secs(10), lane: 1024, asleep: 65_536, batch: 1024 }
    }
}

/// What is to be read from the store.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// What is due next.
    Due {
        /// Behind this one.
        after: Option<Asleep>,
        /// And due before this time.
        until: Time,
        /// So many at the most.
        max: usize,
        /// Webhooks with full queues: of theirs only the places are wanted.
        full: Vec<WebhookId>,
    },
    /// One lane of a webhook's backlog.
    Backlog {
        /// Whose.
        webhook: WebhookId,
        /// Which of its lanes.
        lane: Lane,
        /// Behind this one.
        after: Option<Asleep>,
        /// So many at the most.
        max: usize,
    },
    /// An event with all of its deliveries.
    Whole(Position),
    /// Events for the next step of a replay.
    Replay {
        /// Which.
        replay: (WorkspaceId, ReplayId),
        /// With their deliveries to this webhook.
        webhook: WebhookId,
        /// What lies outside of its times need not be read.
        wish: Wish,
        /// From this position on.
        from: Position,
        /// And before this one.
        to: Position,
        /// So many at the most.
        max: usize,
    },
    /// Unfinished events, with all of their deliveries, that are kept in some part of the log.
    Unfinished {
        /// From here on.
        from: Position,
        /// In blocks below this one.
        below: u64,
        /// So many at the most.
        max: usize,
    },
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The store's position when the reading began.
    pub covered: u64,
    /// By what was wanted.
    pub found: Found,
}

/// See [`Wanted`].
#[derive(Clone, Debug)]
pub enum Found {
    /// What is due next, in order.
    Due {
        /// As it was wanted.
        until: Time,
        /// With what is needed to send them, but for those of full webhooks.
        deliveries: Vec<(Asleep, Option<Recalled>)>,
        /// There was no more of it, and the next one after it is due then.
        all: Option<Option<Time>>,
    },
    /// In order.
    Backlog {
        /// As it was wanted.
        webhook: WebhookId,
        /// As it was wanted.
        lane: Lane,
        /// With what is needed to send them.
        deliveries: Vec<(Asleep, Option<Recalled>)>,
        /// There was no more of it.
        is_all: bool,
        /// All that was due before this was in the backlog.
        swept: Time,
    },
    /// The event, if there is such a one.
    Whole(Position, Option<Recalled>),
    /// For the next step of a replay.
    Replay {
        /// As it was wanted.
        replay: (WorkspaceId, ReplayId),
        /// As it was wanted.
        from: Position,
        /// In the order of the log.
        events: Vec<Recalled>,
        /// How far it was read.
        read_to: Position,
    },
    /// In the order of the log.
    Unfinished {
        /// With all of their deliveries.
        events: Vec<Recalled>,
        /// Where to go on; `None` at the end.
        next: Option<Position>,
    },
}

/// What was read for a command.
#[derive(Clone, Debug)]
pub struct Prefetch {
    /// The store's position when the reading began.
    pub covered: u64,
    /// The event that the command is about, with the deliveries that it is about, if there is such a one.
    pub found: Option<Recalled>,
}

/// What can be read below the store's position. Each answer is as of the position that [`Below::covered`] gave before, or of a later one.
pub trait Below {
    /// Why it can't be read.
    type Error;

    /// The first block that is not covered.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn covered(&self) -> Result<u64, Self::Error>;

    /// As [`postrider_store::Reader::due`].
    ///
    /// # Errors
    /// When it can't be read; so for all of these.
    fn due(&self, after: Option<Asleep>, until: Time, max: usize) -> Result<Vec<Asleep>, Self::Error>;

    /// As [`postrider_store::Reader::backlog`], and with up to when everything due is in it.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn backlog(
        &self,
        webhook: WebhookId,
        lane: Lane,
        after: Option<Asleep>,
        max: usize,
    ) -> Result<(Vec<Asleep>, Time), Self::Error>;

    /// An event with one of its deliveries.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn delivery(&self, key: DeliveryKey) -> Result<Option<Recalled>, Self::Error>;

    /// An event with all of its deliveries.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn whole(&self, event: Position) -> Result<Option<Recalled>, Self::Error>;

    /// The event of this id, with all of its deliveries.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn named(&self, workspace: WorkspaceId, id: &EventId) -> Result<Option<Recalled>, Self::Error>;

    /// Events of a workspace from a position on and before another, in the order of the log, each with its delivery to a webhook if it has one;
    /// no more than `max` are looked at. And how far that went. What was accepted outside of these times may be left out.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn events(&self, reach: Reach<'_>, max: usize) -> Result<(Vec<Recalled>, Position), Self::Error>;

    /// Events, of which a delivery is pending, that are kept in blocks below `below`, from `from` on; and where to go on if there may be more.
    ///
    /// # Errors
    /// See [`Below::due`].
    fn unfinished(
        &self,
        from: Position,
        below: u64,
        max: usize,
    ) -> Result<(Vec<Recalled>, Option<Position>), Self::Error>;
}

/// Reads what is wanted.
///
/// # Errors
/// When it can't be read.
pub fn load<B: Below + ?Sized>(below: &B, wanted: &Wanted) -> Result<Loaded, B::Error> {
    let covered = below.covered()?;
    let with_event = |asleep: Asleep| Ok((asleep, below.delivery(asleep.key)?));
    let found = match wanted {
        Wanted::Due { after, until, max, full } => {
            let due = below.due(*after, *until, *max)?;
            let last = due.last().copied().or(*after);
            let all = match due.len() < *max {
                true => Some(below.due(last, Time(u64::MAX), 1)?.first().map(|asleep| asleep.due)),
                false => None,
            };
            let of_full = |asleep: &Asleep| full.binary_search(&asleep.webhook).is_ok();
            let deliveries = due.into_iter();
            let deliveries =
                deliveries.map(|asleep| if of_full(&asleep) { Ok((asleep, None)) } else { with_event(asleep) });
            Found::Due { until: *until, deliveries: deliveries.collect::<Result<_, _>>()?, all }
        }
        Wanted::Backlog { webhook, lane, after, max } => {
            let (backlog, swept) = below.backlog(*webhook, *lane, *after, *max)?;
            let is_all = backlog.len() < *max;
            let deliveries = backlog.into_iter().map(with_event).collect::<Result<_, _>>()?;
            Found::Backlog { webhook: *webhook, lane: *lane, deliveries, is_all, swept }
        }
        Wanted::Whole(event) => Found::Whole(*event, below.whole(*event)?),
        Wanted::Replay { replay, webhook, wish, from, to, max } => {
            let reach = Reach { workspace: replay.0, webhook: *webhook, wish, from: *from, to: *to };
            let (events, read_to) = below.events(reach, *max)?;
            Found::Replay { replay: *replay, from: *from, events, read_to }
        }
        Wanted::Unfinished { from, below: end, max } => {
            let (events, next) = below.unfinished(*from, *end, *max)?;
            Found::Unfinished { events, next }
        }
    };
    Ok(Loaded { covered, found })
}

/// Reads what a command is about.
///
/// # Errors
/// When it can't be read.
pub fn prefetch<B: Below + ?Sized>(below: &B, command: &Command) -> Result<Prefetch, B::Error> {
    let covered = below.covered()?;
    let found = match command {
        Command::Publish { workspace, event } => match &event.id {
            Some(id) => below.named(*workspace, id)?,
            None => None,
        },
        Command::EraseEvent { workspace, id } => below.named(*workspace, id)?,
        Command::Retry { key, .. } => below.delivery(*key)?,
        _ => None,
    };
    Ok(Prefetch { covered, found })
}

/// How far the shard relies on the store.
pub(super) struct Reliance {
    bounds: Bounds,
    is_reading: bool,
    /// All that is due before this was filed or spilled.
    horizon: Time,
    /// The last delivery that was read on the way there.
    read_to: Option<Asleep>,
    /// Nothing behind it in the store is due before this; `None`: there is nothing.
    next: Option<Time>,
    /// Deliveries in the overlay that are due behind the horizon; some have moved on since.
    dozing: BTreeSet<(Time, DeliveryKey)>,
    /// Lanes that had no room, or of which something that is due may be in the store alone.
    spilled: BTreeMap<(WebhookId, Lane), Spill>,
    /// The one that was asked about last.
    asked: (WebhookId, Lane),
    swept: Time,
}

/// What one lane of a webhook's queue had no room for.
#[derive(Debug, Default)]
struct Spill {
    /// Of this, what is in the overlay.
    here: BTreeSet<(Time, DeliveryKey)>,
    /// The latest due time of what is in the store alone; `None`: nothing is.
    in_store: Option<Time>,
    /// Of that, the last one that was read in the pass that is on.
    read_to: Option<Asleep>,
    /// The pass has found something that was not here.
    has_found: bool,
    /// There was nothing to read when all that was due before this was in the backlog.
    empty_at: Time,
}

pub(super) const LANES: [Lane; 2] = [Lane::Fresh, Lane::Retry];

fn lane_of(cell: &Cell) -> Lane {
    if cell.is_fresh() { Lane::Fresh } else { Lane::Retry }
}

impl Spill {
    fn is_in_store(&mut self, due: Time) {
        self.in_store = self.in_store.max(Some(due));
        self.empty_at = Time(0);
    }

    /// The backlog was read to its end, and all that was due before `swept` was in it.
    fn is_read(&mut self, swept: Time) {
        self.empty_at = swept;
        self.in_store = self.in_store.filter(|latest| *latest >= swept);
    }

    fn is_over(&self) -> bool {
        self.here.is_empty() && self.in_store.is_none()
    }
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
        let (checked, beginnings) = (self.to_check.front(), &self.beginnings);
        let is_needed = |cell: &Cell| {
            let event = cell.key.event;
            scheduler.residency(cell.key).is_some() || checked == Some(&event) || beginnings.is_to_carry(event)
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
            if has_spilled || cell.due < swept {
                reliance.spilled.entry(lane).or_default().is_in_store(cell.due);
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

    /// Whether something that is due, and for which there is room, may be in the store alone: it waits for the store to move on.
    pub fn has_spilled(&self) -> bool {
        let mut spilled = self.reliance.iter().flat_map(|reliance| &reliance.spilled);
        spilled.any(|((webhook, lane), spill)| spill.in_store.is_some() && self.is_short(*webhook, *lane))
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
        if let Some(event) = self.to_check.front().filter(|event| !self.is_whole(**event)) {
            return Some(Wanted::Whole(*event));
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
        let scan = self.beginnings.wanted();
        let scan = scan.map(|(from, below)| Wanted::Unfinished { from, below, max: bounds.batch });
        scan.or_else(|| self.next_backlog()).or_else(|| self.replay_wanted())
    }

    fn full_webhooks(&self) -> Vec<WebhookId> {
        let Some(reliance) = &self.reliance else { return Vec::new() };
        let is_full = |webhook: &WebhookId| LANES.iter().all(|lane| self.room(*webhook, *lane) == 0);
        let mut webhooks: Vec<_> = reliance.spilled.keys().map(|(webhook, _)| *webhook).filter(is_full).collect();
        webhooks.dedup();
        webhooks
    }

    /// A backlog of a lane that has become short; each in its turn.
    fn next_backlog(&mut self) -> Option<Wanted> {
        let reliance = self.reliance.as_ref()?;
        let behind = reliance.spilled.range((Bound::Excluded(reliance.asked), Bound::Unbounded));
        let mut lanes = behind.chain(reliance.spilled.range(..=reliance.asked));
        let (asked, spill) = lanes.find(|((webhook, lane), spill)| {
            let is_new = spill.read_to.is_some() || spill.empty_at < reliance.swept;
            spill.in_store.is_some() && is_new && self.is_short(*webhook, *lane)
        })?;
        let (asked, after) = (*asked, spill.read_to);
        let max = self.refill_len();
        self.reliance.as_mut()?.asked = asked;
        Some(Wanted::Backlog { webhook: asked.0, lane: asked.1, after, max })
    }

    /// What has spilled and is still here joins its queue again, where that has become short and the store has nothing older.
    fn refill(&mut self) {
        let Some(reliance) = &self.reliance else { return };
        let is_wanted = |((webhook, lane), spill): &(&(WebhookId, Lane), &Spill)| {
            !spill.here.is_empty() && spill.in_store.is_none() && self.is_short(*webhook, *lane)
        };
        let short: Vec<_> = reliance.spilled.iter().filter(is_wanted).map(|(lane, _)| *lane).collect();
        for (webhook, lane) in short {
            for _ in 0..self.refill_len() {
                let Some(reliance) = &mut self.reliance else { return };
                let spill = reliance.spilled.get_mut(&(webhook, lane));
                let Some((due, key)) = spill.and_then(|spill| spill.here.pop_first()) else { break };
                if let Some(cell) = self.waiting_cell(key, due) {
                    self.place(&cell);
                }
            }
            self.end_spill(webhook, lane);
        }
    }

    fn refill_len(&self) -> usize {
        self.reliance.as_ref().map_or(1, |reliance| (reliance.bounds.lane as usize / 2).max(1))
    }

    fn end_spill(&mut self, webhook: WebhookId, lane: Lane) {
        if let Some(reliance) = &mut self.reliance
            && reliance.spilled.get(&(webhook, lane)).is_some_and(Spill::is_over)
        {
            reliance.spilled.remove(&(webhook, lane));
        }
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
        let spilled = reliance.spilled.iter().filter(|(_, spill)| spill.in_store.is_none());
        let short = spilled.filter(|((webhook, lane), _)| self.is_short(*webhook, *lane));
        let first = short.filter_map(|(_, spill)| spill.here.first().map(|(due, _)| *due));
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
            Found::Backlog { webhook, lane, deliveries, is_all, swept } => {
                let Some(spill) = self.reliance.as_mut().and_then(|r| r.spilled.get_mut(&(webhook, lane))) else {
                    return;
                };
                let is_here = |(asleep, _): &(Asleep, _)| self.scheduler.residency(asleep.key).is_some();
                spill.has_found |= !deliveries.iter().all(is_here);
                spill.read_to = deliveries.last().map(|(asleep, _)| *asleep).filter(|_| !is_all);
                // Only what waits or runs already, from the front to the end: what comes in later lies behind `swept`.
                if is_all && !std::mem::take(&mut spill.has_found) {
                    spill.is_read(swept);
                }
                deliveries.into_iter().for_each(|(asleep, recalled)| self.bring(&asleep, recalled));
                self.end_spill(webhook, lane);
            }
            Found::Whole(event, found) => match found {
                Some(recalled) => self.overlay.admit(recalled),
                None => self.to_check.retain(|waiting| *waiting != event),
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

    /// The horizon has come to a delivery: it comes back, unless others of its lane wait already.
    fn meet(&mut self, asleep: &Asleep, recalled: Option<Recalled>) {
        let spill = self.reliance.as_ref().and_then(|r| r.spilled.get(&(asleep.webhook, asleep.lane)));
        // `Time(0)`: something may have been there when this began.
        let has_others =
            |spill: &Spill| !spill.here.is_empty() || spill.in_store.is_some_and(|latest| latest > Time(0));
        let stays = asleep.due <= self.now && spill.is_some_and(has_others) && self.overlay.cell(asleep.key).is_none();
        self.bring(asleep, recalled.filter(|_| !stays));
    }

    /// A delivery comes back from the store if there is room, unless it was here all the time, or has moved on since.
    fn bring(&mut self, asleep: &Asleep, recalled: Option<Recalled>) {
        let key = asleep.key;
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
    fn waiting_cell(&self, key: DeliveryKey, due: Time) -> Option<Cell> {
        let cell = self.overlay.cell(key).copied().filter(|cell| cell.due == due && self.kernel.is_pending(cell))?;
        (self.scheduler.residency(key).is_none() && self.scheduler.knows(cell.webhook)).then_some(cell)
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

    /// Whether a delivery that has just become pending may be in the schedule now. If not, it dozes, or has spilled.
    pub(super) fn may_stay(&mut self, cell: &Cell) -> bool {
        let (is_now, lane) = (cell.due <= self.now, lane_of(cell));
        let room = self.room(cell.webhook, lane);
        let Some(reliance) = &mut self.reliance else { return true };
        if cell.due >= reliance.horizon && (!cell.is_fresh() || self.is_resuming) {
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

    /// How many more a webhook's queue may have.
    fn room(&self, webhook: WebhookId, lane: Lane) -> u32 {
        let (Some(reliance), Some(counts)) = (&self.reliance, self.scheduler.counts(webhook)) else { return 0 };
        let queued = if lane == Lane::Fresh { counts.fresh } else { counts.retry };
        reliance.bounds.lane.saturating_sub(queued)
    }

    fn is_short(&self, webhook: WebhookId, lane: Lane) -> bool {
        let most = self.reliance.as_ref().map_or(0, |reliance| reliance.bounds.lane);
        self.scheduler.knows(webhook) && self.room(webhook, lane) >= most.div_ceil(2)
    }

    fn spill(&mut self, cell: &Cell) {
        if let Some(reliance) = &mut self.reliance {
            let spill = reliance.spilled.entry((cell.webhook, lane_of(cell))).or_default();
            spill.here.insert((cell.due, cell.key));
        }
    }

    /// Something of this lane may be in the store alone, though the horizon has passed it.
    pub(super) fn is_in_store(&mut self, webhook: WebhookId, lane: Lane, due: Time) {
        if let Some(reliance) = self.reliance.as_mut().filter(|_| self.overlay.base() > 0) {
            reliance.spilled.entry((webhook, lane)).or_default().is_in_store(due);
        }
    }

    /// A webhook's deliveries are gone.
    pub(super) fn forget_spill(&mut self, webhook: WebhookId) {
        if let Some(reliance) = &mut self.reliance {
            LANES.iter().for_each(|lane| drop(reliance.spilled.remove(&(webhook, *lane))));
            self.overlay.all_may_be_idle();
        }
    }

    /// Whether an event is here with all of its deliveries.
    pub(super) fn is_whole(&self, event: Position) -> bool {
        self.reliance.is_none() || self.overlay.recalled(event).is_some_and(Recalled::is_whole)
    }

    /// Whether a delivery that is not in RAM will come back from the store by itself: for those who watch.
    pub fn will_recall(&self, cell: &Cell) -> bool {
        let is_ahead = |reliance: &Reliance| {
            cell.due >= reliance.horizon
                || reliance.spilled.contains_key(&(cell.webhook, lane_of(cell)))
                || reliance.next.is_some_and(|next| next <= cell.due)
        };
        self.reliance.as_ref().is_some_and(is_ahead)
    }
}
