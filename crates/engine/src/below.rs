//! How the shard reads below W: through the store and the log.

use std::sync::Arc;

use postrider_core::delivery::{Cell, Status};
use postrider_core::event::Event;
use postrider_core::fact::Fact;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_store::{Asleep, Lane};

use crate::overlay::Recalled;
use crate::past::Reach;
use crate::shard::Below;
use crate::stored::{Stored, StoredError, View};

/// Blocks that are looked through at once for what is unfinished: a commit waits for each look.
const BLOCKS_A_LOOK: u64 = 16;

fn recalled(view: &View<'_>, event: Arc<Event>, cells: Vec<Cell>) -> Result<Recalled, StoredError> {
    let (payload, erased) = (view.payload_of(event.at)?, view.erased(event.at)?.map(|(fact, _)| fact));
    let added = view.added(event.at, event.at)?.first().map_or(0, |(_, count)| *count);
    Ok(Recalled { event, payload, erased, cells, added })
}

fn whole(view: &View<'_>, event: Arc<Event>) -> Result<Recalled, StoredError> {
    let cells = view.cells_of(&event)?;
    recalled(view, event, cells)
}

/// The delivery of an event to a webhook, if it has one.
fn to_webhook(view: &View<'_>, event: &Event, webhook: WebhookId) -> Result<Option<Cell>, StoredError> {
    let chosen = event.chosen.iter().position(|chosen| chosen.webhook == webhook);
    if let Some(ordinal) = chosen {
        return view.cell(DeliveryKey { event: event.at, ordinal: ordinal as u32 });
    }
    let added = view.added(event.at, event.at)?.first().map_or(0, |(_, count)| *count);
    for nth in 0..added {
        let cell = view.cell(DeliveryKey::added(event.at, nth))?;
        if cell.is_some_and(|cell| cell.webhook == webhook) {
            return Ok(cell);
        }
    }
    Ok(None)
}

impl Below for Stored {
    type Error = StoredError;

    fn covered(&self) -> Result<u64, StoredError> {
        self.view(|view| Ok(view.covered()))
    }

    fn due(&self, after: Option<Asleep>, until: Time, max: usize) -> Result<Vec<Asleep>, StoredError> {
        self.view(|view| view.due(after, until, max))
    }

    fn backlog(
        &self,
        webhook: WebhookId,
        lane: Lane,
        after: Option<Asleep>,
        max: usize,
    ) -> Result<(Vec<Asleep>, Time), StoredError> {
        self.view(|view| Ok((view.backlog(webhook, lane, after, max)?, view.swept())))
    }

    fn delivery(&self, key: DeliveryKey) -> Result<Option<Recalled>, StoredError> {
        self.view(|view| {
            let Some(cell) = view.cell(key)? else { return Ok(None) };
            view.event(key.event)?.map(|event| recalled(view, event, vec![cell])).transpose()
        })
    }

    fn whole(&self, event: Position) -> Result<Option<Recalled>, StoredError> {
        self.view(|view| view.event(event)?.map(|event| whole(view, event)).transpose())
    }

    fn named(&self, workspace: WorkspaceId, id: &EventId) -> Result<Option<Recalled>, StoredError> {
        self.view(|view| view.event_with_id(workspace, id)?.map(|event| whole(view, event)).transpose())
    }

    fn events(&self, reach: Reach<'_>, max: usize) -> Result<(Vec<Recalled>, Position), StoredError> {
        self.view(|view| {
            let mut places = view.events_up(reach.workspace, reach.from, max)?;
            let is_all = places.len() < max || places.last().is_some_and(|last| last.position >= reach.to);
            places.retain(|place| place.position < reach.to);
            let read_to = match places.last().filter(|_| !is_all) {
                Some(last) => Position::from_u64(last.position.to_u64() + 1),
                None => reach.to,
            };
            let is_in_time = |time: Time| time >= reach.wish.since && reach.wish.until.is_none_or(|until| time < until);
            let mut events = Vec::new();
            for place in places.into_iter().filter(|place| is_in_time(place.time)) {
                let Some(event) = view.event(place.position)? else { continue };
                let cells = to_webhook(view, &event, reach.webhook)?.into_iter().collect();
                events.push(recalled(view, event, cells)?);
            }
            Ok((events, read_to))
        })
    }

    fn unfinished(
        &self,
        from: Position,
        below: u64,
        max: usize,
    ) -> Result<(Vec<Recalled>, Option<Position>), StoredError> {
        let first = self.first();
        let (mut events, mut block) = (Vec::new(), from.block().max(first));
        while block < below && events.len() < max {
            let end = below.min(block + BLOCKS_A_LOOK);
            self.view(|view| {
                while block < end && events.len() < max {
                    for record in self.records(block)? {
                        // Where an event is kept: there, unless it was carried on.
                        let (Fact::EventAccepted(event) | Fact::EventCarried { event, .. }) = record.fact else {
                            continue;
                        };
                        if view.payload_of(event.at)? != record.position {
                            continue;
                        }
                        let found = whole(view, event)?;
                        if found.cells.iter().any(|cell| cell.status == Status::Pending) {
                            events.push(found);
                        }
                    }
                    block += 1;
                }
                Ok(())
            })?;
        }
        Ok((events, (block < below).then(|| Position::new(block, 0))))
    }
}
