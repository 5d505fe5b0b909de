//! A workspace's past events as replays read them: in the order of the log, each with its delivery to one webhook.
//!
//! This is the only way in which replays come to events: the writer's steps read the overlay, readers who count beforehand read the views.
//! Whoever keeps events somewhere else implements [`Past`] over it. A look costs what it reads, wherever in the log it begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider_core::event::Event;
use postrider_core::replay::{Ahead, Candidate, Replay, Wish};
use postrider_core::{DeliveryKey, Position, Time, WebhookId, WorkspaceId};

/// Which events are read.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// Of this workspace.
    pub workspace: WorkspaceId,
    /// With their deliveries to this webhook.
    pub webhook: WebhookId,
    /// What lies outside of its times need not be read.
    pub wish: &'a Wish,
    /// From this position on.
    pub from: Position,
    /// And before this one.
    pub to: Position,
}

impl<'a> Reach<'a> {
    /// What a replay has still to look at.
    pub fn left(replay: &'a Replay) -> Reach<'a> {
        let Replay { workspace, webhook, ref wish, next, .. } = *replay;
        Reach { workspace, webhook, wish, from: next, to: replay.end() }
    }
}

/// What keeps events and their deliveries.
pub trait Past {
    /// Reads on, over at most `max` events, and says how far it has come: as far as asked for where there are no more.
    fn events_of(&self, reach: Reach<'_>, max: usize) -> Ahead;
}

/// Reads out of events that are in RAM in the order of their positions; `candidate` adds the rest.
pub fn read_in_order(
    events: &BTreeMap<Position, Arc<Event>>,
    reach: Reach<'_>,
    max: usize,
    candidate: impl Fn(&Arc<Event>) -> Candidate,
) -> Ahead {
    let mut ahead = Ahead { candidates: Vec::new(), read_to: reach.to };
    let from = reach.from.max(first_since(events, reach.wish.since)).min(reach.to);
    for (looked_at, (at, event)) in events.range(from..reach.to).enumerate() {
        if looked_at == max {
            ahead.read_to = *at;
            break;
        }
        // Positions are in the order of time.
        if reach.wish.until.is_some_and(|until| event.accepted >= until) {
            break;
        }
        if event.workspace == reach.workspace {
            ahead.candidates.push(candidate(event));
        }
    }
    ahead
}

/// The key of an event's delivery to a webhook that was chosen when it came. Webhooks are chosen in the order of their ids.
pub fn chosen_key(event: &Event, webhook: WebhookId) -> Option<DeliveryKey> {
    let place = event.chosen.binary_search_by_key(&webhook, |chosen| chosen.webhook).ok()?;
    Some(DeliveryKey { event: event.at, ordinal: place as u32 })
}

/// No event that was accepted at `since` or later lies before this position.
fn first_since(events: &BTreeMap<Position, Arc<Event>>, since: Time) -> Position {
    let (Some((first, _)), Some((last, _))) = (events.first_key_value(), events.last_key_value()) else {
        return Position::default();
    };
    let (mut low, mut high) = (first.block(), last.block());
    while low < high {
        let middle = low + (high - low) / 2;
        match events.range(Position::new(middle, 0)..).next() {
            Some((at, event)) if event.accepted < since => low = (at.block() + 1).min(high),
            _ => high = middle,
        }
    }
    Position::new(low, 0)
}

#[cfg(test)]
mod tests;
