//! One webhook as the scheduler sees it: its queues, its slots, how long its attempts take, and whose turn it is within it.

use postrider_core::ids::WebhookId;
use postrider_core::time::{Millis, Time};

use crate::Lane;
use crate::pace::Pace;
use crate::permits::Slots;
use crate::residents::List;
use crate::ring::Class;

/// A webhook whose mean slot time is above this is slow.
const SLOW_ABOVE_MS: u64 = 1000;
/// What an attempt is expected to take before any has been answered.
const SLOT_TIME_GUESS_MS: u32 = 100;
/// No slot time counts for more: ten minutes, far above any timeout.
const SLOT_TIME_MS_MAX: u64 = 600_000;
/// The mean moves by an eighth of the distance to each new slot time.
const MEAN_WEIGHT: u64 = 8;
/// Fractional bits of the mean, so that small distances count.
const MEAN_SHIFT: u32 = 8;

/// The moving mean of the time that attempts hold a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlotTime(Option<u64>);

impl SlotTime {
    /// What the next attempt is charged, in rounds: a millisecond each, one at least.
    pub(crate) fn expected(self) -> u32 {
        self.0.map_or(SLOT_TIME_GUESS_MS, |mean| cost(Millis(mean >> MEAN_SHIFT)))
    }

    pub(crate) fn is_slow(self) -> bool {
        self.mean().is_some_and(|mean| mean.0 > SLOW_ABOVE_MS)
    }

    pub(crate) fn mean(self) -> Option<Millis> {
        self.0.map(|mean| Millis(mean >> MEAN_SHIFT))
    }

    pub(crate) fn observe(&mut self, slot_time: Millis) {
        let sample = slot_time.0.min(SLOT_TIME_MS_MAX) << MEAN_SHIFT;
        self.0 = Some(self.0.map_or(sample, |mean| (mean * (MEAN_WEIGHT - 1) + sample) / MEAN_WEIGHT));
    }
}

/// What a slot time costs in rounds.
pub(crate) fn cost(slot_time: Millis) -> u32 {
    slot_time.0.clamp(1, SLOT_TIME_MS_MAX) as u32
}

/// Where a webhook waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has nothing to send, may not, or is at its own cap: an event of its own will move it.
    Idle,
    /// Its rate opens at this time.
    Paced(Time),
    /// In its host's ring.
    Listed(Class, u64),
}

pub(crate) struct Webhook {
    pub(crate) id: WebhookId,
    pub(crate) host: u32,
    pub(crate) fresh: List,
    pub(crate) retry: List,
    pub(crate) asleep: List,
    pub(crate) slots: Slots,
    pub(crate) slot_time: SlotTime,
    /// The round from which it has paid for its turns.
    pub(crate) round: u64,
    pub(crate) pace: Pace,
    pub(crate) held: bool,
    /// Though it is held, one more is picked.
    pub(crate) lets_one_through: bool,
    /// One attempt at a time, whatever its cap.
    pub(crate) serial: bool,
    /// Deleted, and kept only until its permits have returned.
    pub(crate) dropped: bool,
    pub(crate) last: Lane,
    pub(crate) standing: Standing,
}

impl Webhook {
    /// One without history: a single slot until its first answer says how long it takes.
    pub(crate) fn new(id: WebhookId, host: u32) -> Webhook {
        Webhook {
            id,
            host,
            fresh: List::EMPTY,
            retry: List::EMPTY,
            asleep: List::EMPTY,
            slots: Slots::new(1),
            slot_time: SlotTime::default(),
            round: 0,
            pace: Pace::default(),
            held: false,
            lets_one_through: false,
            serial: false,
            dropped: false,
            last: Lane::Retry,
            standing: Standing::Idle,
        }
    }

    pub(crate) fn lane(&mut self, lane: Lane) -> &mut List {
        match lane {
            Lane::Fresh => &mut self.fresh,
            Lane::Retry => &mut self.retry,
        }
    }

    pub(crate) fn class(&self) -> Class {
        Class { slow: self.slot_time.is_slow(), retry_only: self.fresh.is_empty() }
    }

    /// Whether it may run as far as it alone is concerned.
    pub(crate) fn may_run(&self) -> bool {
        let waiting = !self.fresh.is_empty() || !self.retry.is_empty();
        let has_slot = self.slots.has_free() && !(self.serial && self.slots.held() > 0);
        waiting && (!self.held || self.lets_one_through) && !self.dropped && has_slot
    }

    /// The lane whose turn it is: they alternate, so that neither starves the other.
    pub(crate) fn turn(&self, retry_free: bool) -> Lane {
        if self.retry.is_empty() || !retry_free {
            return Lane::Fresh;
        }
        match self.last {
            _ if self.fresh.is_empty() => Lane::Retry,
            Lane::Fresh => Lane::Retry,
            Lane::Retry => Lane::Fresh,
        }
    }
}
