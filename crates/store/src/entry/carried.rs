//! *carried*: where the fact of an event lies that was carried over from a part of the log that is let go.

use postrider_core::Position;

use super::Entry;
use crate::coding::{Input, put_position};

/// Event, where it was carried to; the newer entry of an event counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Carried {
    pub event: Position,
    pub to: Position,
}

impl Entry for Carried {
    const TAG: u8 = b'f';
    type Key = Position;

    fn zero() -> Carried {
        Carried { event: Position::default(), to: Position::default() }
    }

    fn key(&self) -> Position {
        self.event
    }

    fn write(&self, previous: &Carried, out: &mut Vec<u8>) {
        put_position(out, previous.event, self.event);
        put_position(out, previous.to, self.to);
    }

    fn read(previous: &Carried, input: &mut Input<'_>) -> Option<Carried> {
        Some(Carried { event: input.position(previous.event)?, to: input.position(previous.to)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_this() {
        let carried = |event, to| Carried { event: Position::new(event, 1), to: Position::new(to, 2) };
        crate::entry::golden(&[carried(3, 9), carried(4, 9)], &[6, 2, 18, 4, 2, 2, 0, 0]);
    }
}
