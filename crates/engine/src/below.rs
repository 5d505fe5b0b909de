//! How the shard reads below W: through the store and the log.

use std::collections::BTreeSet;
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

/// Deliveries that are asked for at once where many are looked through.
const AT_ONCE: usize = 4096;

/// The first ones behind `after`.
struct First {
    after: Option<DeliveryKey>,
    max: usize,
    keys: BTreeSet<DeliveryKey>,
}

impl First {
    fn take(&mut self, key: DeliveryKey) {
        if self.after.is_none_or(|after| key > after) {
            self.keys.insert(key);
            if self.keys.len() > self.max {
                self.keys.pop_last();
            }
        }
    }

    /// Whether there are as many as are wanted, all before this one.
    fn is_behind(&self, key: Option<DeliveryKey>) -> bool {
        self.keys.len() == self.max && key.is_some_and(|key| self.keys.last().is_some_and(|last| *last < key))
    }
}

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

    fn in_order(
        &self,
        webhook: WebhookId,
        after: Option<DeliveryKey>,
        max: usize,
    ) -> Result<Vec<DeliveryKey>, StoredError> {
        self.view(|view| {
            let mut first = First { after, max, keys: BTreeSet::new() };
            for lane in [Lane::Fresh, Lane::Retry] {
                let mut read_to = None;
                loop {
                    let some = view.backlog(webhook, lane, read_to, AT_ONCE)?;
                    some.iter().for_each(|asleep| first.take(asleep.key));
                    read_to = some.last().copied().or(read_to);
                    // What has just come is there in the order in which it came, but for that of one moment.
                    let is_past = lane == Lane::Fresh && first.is_behind(some.first().map(|asleep| asleep.key));
                    if some.len() < AT_ONCE || is_past {
                        break;
                    }
                }
            }
            let mut read_to = None;
            loop {
                let some = view.due(read_to, Time(u64::MAX), AT_ONCE)?;
                let of_webhook = some.iter().filter(|asleep| asleep.webhook == webhook);
                of_webhook.for_each(|asleep| first.take(asleep.key));
                read_to = some.last().copied().or(read_to);
                if some.len() < AT_ONCE {
                    return Ok(first.keys.into_iter().collect());
                }
            }
        })
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
