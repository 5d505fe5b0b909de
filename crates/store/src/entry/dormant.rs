//! Unfinished deliveries: by due time (*sleep*) and, once overdue for long, by webhook and lane (*backlog*). The same fields in two orders.

use postrider_core::{DeliveryKey, Position, Time, WebhookId};

use super::Entry;
use crate::coding::{Input, put, put_difference, put_position};

/// Which of a webhook's two queues a delivery belongs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Its first attempt, if it was chosen when its event came.
    Fresh,
    /// Every other one.
    Retry,
}

/// A delivery that is unfinished at W. All fields together name it; their order is the order of waking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asleep {
    /// When its next attempt is due.
    pub due: Time,
    /// Which delivery.
    pub key: DeliveryKey,
    /// Where it goes.
    pub webhook: WebhookId,
    /// Whether it has had an attempt.
    pub lane: Lane,
}

/// A delivery that fell asleep, or the tombstone of one: the two cancel each other, in whichever order they are met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dormant {
    pub asleep: Asleep,
    pub is_over: bool,
}

impl Dormant {
    fn zero() -> Dormant {
        let key = DeliveryKey { event: Position::default(), ordinal: 0 };
        Dormant { asleep: Asleep { due: Time(0), key, webhook: WebhookId(0), lane: Lane::Fresh }, is_over: false }
    }

    /// ordinal << 2 | retry << 1 | tombstone.
    fn flags(&self) -> u64 {
        let Asleep { key, lane, .. } = self.asleep;
        u64::from(key.ordinal) << 2 | u64::from(lane == Lane::Retry) << 1 | u64::from(self.is_over)
    }

    fn of(due: u64, event: Position, flags: u64, webhook: u64) -> Option<Dormant> {
        let key = DeliveryKey { event, ordinal: u32::try_from(flags >> 2).ok()? };
        let lane = if flags & 2 == 0 { Lane::Fresh } else { Lane::Retry };
        let asleep = Asleep { due: Time(due), key, webhook: WebhookId(webhook), lane };
        Some(Dormant { asleep, is_over: flags & 1 == 1 })
    }

    fn join(older: Dormant, newer: Dormant) -> Option<Dormant> {
        (older.is_over == newer.is_over).then_some(newer)
    }
}

/// In order of due time: due ±, event, flags, webhook.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ByDue(pub Dormant);

impl Entry for ByDue {
    const TAG: u8 = b's';
    type Key = Asleep;

    fn zero() -> ByDue {
        ByDue(Dormant::zero())
    }

    fn key(&self) -> Asleep {
        self.0.asleep
    }

    fn write(&self, previous: &ByDue, out: &mut Vec<u8>) {
        let (this, previous) = (&self.0.asleep, &previous.0.asleep);
        put_difference(out, previous.due.0, this.due.0);
        put_position(out, previous.key.event, this.key.event);
        put(out, self.0.flags());
        put(out, this.webhook.0);
    }

    fn read(previous: &ByDue, input: &mut Input<'_>) -> Option<ByDue> {
        let previous = &previous.0.asleep;
        let due = input.difference(previous.due.0)?;
        let event = input.position(previous.key.event)?;
        Dormant::of(due, event, input.number()?, input.number()?).map(ByDue)
    }

    fn join(older: ByDue, newer: ByDue) -> Option<ByDue> {
        Dormant::join(older.0, newer.0).map(ByDue)
    }

    fn is_tombstone(&self) -> bool {
        self.0.is_over
    }
}

/// In order of webhook and lane, then of due time: webhook ±, flags, due ±, event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ByWebhook(pub Dormant);

impl Entry for ByWebhook {
    const TAG: u8 = b'b';
    type Key = (WebhookId, Lane, Asleep);

    fn zero() -> ByWebhook {
        ByWebhook(Dormant::zero())
    }

    fn key(&self) -> (WebhookId, Lane, Asleep) {
        (self.0.asleep.webhook, self.0.asleep.lane, self.0.asleep)
    }

    fn write(&self, previous: &ByWebhook, out: &mut Vec<u8>) {
        let (this, previous) = (&self.0.asleep, &previous.0.asleep);
        put_difference(out, previous.webhook.0, this.webhook.0);
        put(out, self.0.flags());
        put_difference(out, previous.due.0, this.due.0);
        put_position(out, previous.key.event, this.key.event);
    }

    fn read(previous: &ByWebhook, input: &mut Input<'_>) -> Option<ByWebhook> {
        let previous = &previous.0.asleep;
        let webhook = input.difference(previous.webhook.0)?;
        let flags = input.number()?;
        let due = input.difference(previous.due.0)?;
        Dormant::of(due, input.position(previous.key.event)?, flags, webhook).map(ByWebhook)
    }

    fn join(older: ByWebhook, newer: ByWebhook) -> Option<ByWebhook> {
        Dormant::join(older.0, newer.0).map(ByWebhook)
    }

    fn is_tombstone(&self) -> bool {
        self.0.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{golden, settle};

    fn dormant(due: u64, block: u64, index: u32, ordinal: u32, webhook: u64, lane: Lane) -> Dormant {
        let key = DeliveryKey { event: Position::new(block, index), ordinal };
        Dormant { asleep: Asleep { due: Time(due), key, webhook: WebhookId(webhook), lane }, is_over: false }
    }

    #[test]
    fn the_layouts_are_these() {
        let first = dormant(300, 5, 2, 0, 9, Lane::Fresh);
        let second = Dormant { is_over: true, ..dormant(301, 5, 4, 1, 200, Lane::Retry) };
        let third = dormant(301, 6, 1, 0, 200, Lane::Retry);
        let bytes = [0xd8, 4, 10, 4, 0, 9, 2, 0, 4, 7, 0xc8, 1, 0, 2, 2, 2, 0xc8, 1];
        golden(&[first, second, third].map(ByDue), &bytes);
        let bytes = [18, 0, 0xd8, 4, 10, 4, 0xfe, 2, 7, 2, 0, 4, 0, 2, 0, 2, 2];
        golden(&[first, second, third].map(ByWebhook), &bytes);
    }

    #[test]
    fn a_tombstone_and_its_entry_cancel_each_other_in_either_order() {
        let entry = ByDue(dormant(1, 1, 1, 0, 1, Lane::Retry));
        let tombstone = ByDue(Dormant { is_over: true, ..entry.0 });
        let other = ByDue(dormant(1, 1, 1, 0, 2, Lane::Retry));
        for mut entries in [vec![entry, other, tombstone], vec![tombstone, entry, other]] {
            settle(&mut entries);
            assert_eq!(entries, [other]);
        }
        let mut again = vec![entry, tombstone, entry];
        settle(&mut again);
        assert_eq!(again, [entry]);
    }
}
