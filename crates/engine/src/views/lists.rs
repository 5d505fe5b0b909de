//! The lists that readers page through, newest first. Places come from tail and store; a fact is read only for what is shown, or where
//! a filter asks for what the place does not say.

mod deliveries;
mod events;
mod logs;

pub use deliveries::DeliveryFilter;
pub use events::EventFilter;
pub use logs::LogFilter;

use postrider_core::{Position, Time};

use super::Look;
use super::page::Cursor;
use crate::stored::StoredError;

/// A position as a cursor, of a list with one entry a position.
fn cursor_of(position: Position) -> Cursor {
    (position.to_u64(), 0)
}

fn position_of(cursor: Cursor) -> Position {
    Position::from_u64(cursor.0)
}

impl Look<'_> {
    /// A position before which all lies that is wanted, of lists whose entries from `until` on are not: the beginning of the day after.
    /// So that a list of long ago is not walked down to from today.
    fn end_of_until(&self, until: Option<Time>) -> Result<Option<Position>, StoredError> {
        let Some(until) = until else { return Ok(None) };
        self.stored.view(|view| Ok(view.day_begin(Time(until.0.saturating_add(DAY_MS)))))
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The earlier of where a page goes on and where anything wanted can lie.
fn earlier(before: Option<Position>, end: Option<Position>) -> Option<Position> {
    match (before, end) {
        (Some(before), Some(end)) => Some(before.min(end)),
        (before, end) => before.or(end),
    }
}
