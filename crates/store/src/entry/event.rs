//! *events*: a workspace's events in the order in which they were accepted.

use postrider_core::{Position, Time, WorkspaceId};

use super::Entry;
use crate::coding::{Input, put, put_difference, put_position};

/// An accepted event's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPlace {
    /// Of its record.
    pub position: Position,
    /// When it was accepted.
    pub time: Time,
    /// How many webhooks were chosen for it.
    pub deliveries: u32,
}

/// Workspace ±, position, time ±, deliveries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct EventOf {
    pub workspace: WorkspaceId,
    pub place: EventPlace,
}

impl Entry for EventOf {
    const TAG: u8 = b'e';
    type Key = (WorkspaceId, Position);

    fn zero() -> EventOf {
        let place = EventPlace { position: Position::default(), time: Time(0), deliveries: 0 };
        EventOf { workspace: WorkspaceId(Position::default()), place }
    }

    fn key(&self) -> (WorkspaceId, Position) {
        (self.workspace, self.place.position)
    }

    fn write(&self, previous: &EventOf, out: &mut Vec<u8>) {
        put_difference(out, previous.workspace.0.to_u64(), self.workspace.0.to_u64());
        put_position(out, previous.place.position, self.place.position);
        put_difference(out, previous.place.time.0, self.place.time.0);
        put(out, u64::from(self.place.deliveries));
    }

    fn read(previous: &EventOf, input: &mut Input<'_>) -> Option<EventOf> {
        let workspace = input.difference(previous.workspace.0.to_u64())?;
        let position = input.position(previous.place.position)?;
        let time = Time(input.difference(previous.place.time.0)?);
        let place = EventPlace { position, time, deliveries: input.small()? };
        Some(EventOf { workspace: WorkspaceId(Position::from_u64(workspace)), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::golden;

    #[test]
    fn the_layout_is_this() {
        let event = |workspace, block, index, time, deliveries| EventOf {
            workspace: WorkspaceId(Position::from_u64(workspace)),
            place: EventPlace { position: Position::new(block, index), time: Time(time), deliveries },
        };
        golden(
            &[event(300, 5, 2, 70, 1), event(300, 5, 3, 70, 0), event(301, 4, 1, 60, 300)],
            &[0xd8, 4, 10, 4, 0x8c, 1, 1, 0, 0, 2, 0, 0, 2, 1, 2, 19, 0xac, 2],
        );
    }
}
