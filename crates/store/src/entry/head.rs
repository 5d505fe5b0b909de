//! *heads*: where the newest fact of a delivery lies. A delivery that has had none beside its event's acceptance has no head. An event that
//! was erased has one, too, behind those of its deliveries: the fact that says so.

use postrider_core::{DeliveryKey, Position};

use super::Entry;
use crate::coding::{Input, put, put_position};

/// Event, ordinal, newest; the newer entry of a key counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    pub key: DeliveryKey,
    pub newest: Position,
}

impl Head {
    /// The key of an event's own head: one ordinal more than any delivery has.
    pub fn of_event(event: Position) -> DeliveryKey {
        DeliveryKey { event, ordinal: Position::INDEX_MAX + 1 }
    }

    /// Whether it is an event's own.
    pub fn is_of_event(&self) -> bool {
        self.key == Head::of_event(self.key.event)
    }
}

impl Entry for Head {
    const TAG: u8 = b'h';
    type Key = DeliveryKey;

    fn zero() -> Head {
        Head { key: DeliveryKey { event: Position::default(), ordinal: 0 }, newest: Position::default() }
    }

    fn key(&self) -> DeliveryKey {
        self.key
    }

    fn write(&self, previous: &Head, out: &mut Vec<u8>) {
        put_position(out, previous.key.event, self.key.event);
        put(out, u64::from(self.key.ordinal));
        put_position(out, previous.newest, self.newest);
    }

    fn read(previous: &Head, input: &mut Input<'_>) -> Option<Head> {
        let key = DeliveryKey { event: input.position(previous.key.event)?, ordinal: input.small()? };
        Some(Head { key, newest: input.position(previous.newest)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{golden, settle};

    fn head(event: (u64, u32), ordinal: u32, newest: (u64, u32)) -> Head {
        let [event, newest] = [event, newest].map(|(block, index)| Position::new(block, index));
        Head { key: DeliveryKey { event, ordinal }, newest }
    }

    #[test]
    fn the_layout_is_this() {
        let entries = [head((5, 2), 0, (6, 0)), head((5, 2), 1, (6, 1)), head((7, 0), 0, (9, 3))];
        golden(&entries, &[10, 4, 0, 12, 0, 0, 0, 1, 0, 2, 4, 0, 0, 6, 6]);
        let erased = Head { key: Head::of_event(Position::new(5, 2)), newest: Position::new(6, 0) };
        golden(&[erased], &[10, 4, 0x80, 0x80, 0x40, 12, 0]);
    }

    #[test]
    fn the_newer_one_counts() {
        let mut heads = vec![head((5, 2), 0, (6, 0)), head((5, 1), 0, (6, 0)), head((5, 2), 0, (8, 0))];
        settle(&mut heads);
        assert_eq!(heads, [head((5, 1), 0, (6, 0)), head((5, 2), 0, (8, 0))]);
    }
}
