//! Decisions to erase an event's payload: asked for, or because a terminal rule says so.

use super::{Decision, Kernel, Prior};
use crate::command::{Rejection, Reply};
use crate::delivery::{Cell, Status};
use crate::event::Event;
use crate::fact::Fact;

/// Erases whatever stands in the way: pending deliveries are cancelled. Erasing twice is no error and no second fact.
pub(super) fn erase(prior: Prior<'_>) -> Result<Decision, Rejection> {
    let event = prior.event.ok_or(Rejection::NoEvent)?;
    if prior.is_erased {
        return Ok(Decision::nothing(Reply::Done));
    }
    let pending = prior.siblings.iter().filter(|cell| cell.status == Status::Pending);
    Ok(erased(event, pending.map(|cell| Cell { status: Status::Cancelled, ..*cell }).collect()))
}

/// Erases an event of which a delivery was removed, once none is pending.
pub(super) fn erase_removed(kernel: &Kernel, prior: Prior<'_>) -> Decision {
    let is_removed = prior.siblings.iter().any(|cell| cell.status == Status::Removed);
    let is_pending = prior.siblings.iter().any(|cell| kernel.is_pending(cell));
    match prior.event {
        Some(event) if is_removed && !is_pending && !prior.is_erased => erased(event, Box::new([])),
        _ => Decision::nothing(Reply::Done),
    }
}

fn erased(event: &Event, cancelled: Box<[Cell]>) -> Decision {
    Decision::one(Fact::EventErased { workspace: event.workspace, event: event.at, cancelled }, Reply::Done)
}
