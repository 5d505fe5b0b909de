//! *added*: the events to which replays have added deliveries, and how many. Few have any.

use postrider_core::Position;

use super::Entry;
use crate::coding::{Input, put, put_position};

/// Event, count; the larger count of an event counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Added {
    pub event: Position,
    pub count: u32,
}

impl Entry for Added {
    const TAG: u8 = b'n';
    type Key = Position;

    fn zero() -> Added {
        Added { event: Position::default(), count: 0 }
    }

    fn key(&self) -> Position {
        self.event
    }

    fn write(&self, previous: &Added, out: &mut Vec<u8>) {
        put_position(out, previous.event, self.event);
        put(out, u64::from(self.count));
    }

    fn read(previous: &Added, input: &mut Input<'_>) -> Option<Added> {
        Some(Added { event: input.position(previous.event)?, count: input.small()? })
    }

    fn join(older: Added, newer: Added) -> Option<Added> {
        Some(Added { count: older.count.max(newer.count), ..newer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_this() {
        let added = |event, count| Added { event: Position::new(event, 1), count };
        crate::entry::golden(&[added(3, 1), added(4, 300)], &[6, 2, 1, 2, 2, 0xac, 2]);
    }
}
