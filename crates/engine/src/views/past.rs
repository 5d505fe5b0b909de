//! What replays are counted from: a workspace's events in the order of the log, each with its delivery to one webhook.

use postrider_core::event::Event;
use postrider_core::replay::{Candidate, Judgement};
use postrider_core::webhook::Settings;
use postrider_core::{Position, WebhookId};

use super::Look;
use crate::past::{Reach, chosen_key};
use crate::stored::StoredError;

/// Events that are looked at to count what a replay means.
const COUNTED_MAX: usize = 10_000;
/// Events that are asked for at once.
const STEP: usize = 512;

/// What a replay comes to, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCount {
    /// Events that it delivers.
    pub matched: u64,
    /// Events that it means and that cannot be sent.
    pub skipped: u64,
}

impl Look<'_> {
    /// What a replay with this reach comes to; `None` where there are more events than are counted.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn count_replay(&self, reach: Reach<'_>, settings: &Settings) -> Result<Option<ReplayCount>, StoredError> {
        let (mut count, mut looked_at) = (ReplayCount::default(), 0);
        let begin = self.stored.view(|view| Ok(view.day_begin(reach.wish.since)))?;
        // Above W no day is known; what was accepted before `since` is passed over there.
        let mut from = begin.filter(|begin| *begin > reach.from && reach.to > *begin).unwrap_or(reach.from);
        loop {
            let places = self.events_up(reach.workspace, from, STEP)?;
            let Some(last) = places.last() else { return Ok(Some(count)) };
            from = Position::from_u64(last.position.to_u64() + 1);
            for place in places {
                if place.position >= reach.to || reach.wish.until.is_some_and(|until| place.time >= until) {
                    return Ok(Some(count));
                }
                if place.time < reach.wish.since || !self.is_kept(place.position)? {
                    continue;
                }
                if looked_at == COUNTED_MAX {
                    return Ok(None);
                }
                looked_at += 1;
                let Some(candidate) = self.candidate(place.position, reach.webhook)? else { continue };
                match reach.wish.judge(settings, &candidate) {
                    Judgement::Deliver => count.matched += 1,
                    Judgement::Skip => count.skipped += 1,
                    Judgement::Pass => {}
                }
            }
        }
    }

    /// How many deliveries an event has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn deliveries_of(&self, event: &Event) -> Result<usize, StoredError> {
        Ok(event.chosen.len() + self.added_to(event.at)? as usize)
    }

    fn candidate(&self, at: Position, webhook: WebhookId) -> Result<Option<Candidate>, StoredError> {
        let Some(event) = self.event_at(at)? else { return Ok(None) };
        let added = self.added_to(at)?;
        let delivery = match chosen_key(&event, webhook) {
            Some(key) => self.cell(&event, key)?,
            None if added == 0 => None,
            None => self.cells_of(&event)?.into_iter().find(|cell| cell.webhook == webhook),
        };
        let is_erased = self.erased_at(at)?.is_some();
        Ok(Some(Candidate { event, delivery, added, is_erased }))
    }
}
