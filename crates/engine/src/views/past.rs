//! The views as what replays are counted from, and the deliveries that replays have added.

use std::sync::Arc;

use postrider_core::event::Event;
use postrider_core::replay::{Ahead, Candidate, Judgement};
use postrider_core::webhook::Settings;
use postrider_core::{DeliveryKey, Position, WebhookId};

use super::forget::all_of;
use super::{DeliveryRow, Views, WorkspaceView};
use crate::past::{Past, Reach, chosen_key, read_in_order};

/// Events that are looked at to count what a replay means.
const COUNTED_MAX: usize = 10_000;

/// What a replay comes to, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCount {
    /// Events that it delivers.
    pub matched: u64,
    /// Events that it means and that cannot be sent.
    pub skipped: u64,
}

impl Views {
    /// What a replay with this reach comes to; `None` where there are more events than are counted.
    pub fn count_replay(&self, reach: Reach<'_>, settings: &Settings) -> Option<ReplayCount> {
        let ahead = self.events_of(reach, COUNTED_MAX);
        if ahead.read_to < reach.to {
            return None;
        }
        let mut count = ReplayCount::default();
        for candidate in &ahead.candidates {
            match reach.wish.judge(settings, candidate) {
                Judgement::Deliver => count.matched += 1,
                Judgement::Skip => count.skipped += 1,
                Judgement::Pass => {}
            }
        }
        Some(count)
    }

    /// How many deliveries an event has.
    pub fn deliveries_of(&self, event: &Event) -> usize {
        let added = self.workspaces.get(&event.workspace).map_or(0, |view| view.added_to(event.at).count());
        event.chosen.len() + added
    }
}

impl Past for Views {
    fn events_of(&self, reach: Reach<'_>, max: usize) -> Ahead {
        let Some(view) = self.workspaces.get(&reach.workspace) else {
            return Ahead { candidates: Vec::new(), read_to: reach.to };
        };
        read_in_order(&view.events, reach, max, |event| view.candidate(event, reach.webhook))
    }
}

impl WorkspaceView {
    fn candidate(&self, event: &Arc<Event>, webhook: WebhookId) -> Candidate {
        let key = chosen_key(event, webhook).or_else(|| self.added_for(event.at, webhook));
        Candidate {
            event: Arc::clone(event),
            delivery: key.and_then(|key| self.deliveries.get(&key)).map(|row| row.cell),
            added: self.added_to(event.at).count() as u32,
            is_erased: self.erased.contains_key(&event.at),
        }
    }

    /// The delivery that a replay has added to an event for a webhook.
    pub(super) fn added_for(&self, event: Position, webhook: WebhookId) -> Option<DeliveryKey> {
        self.added_to(event).find(|row| row.cell.webhook == webhook).map(|row| row.cell.key)
    }

    fn added_to(&self, event: Position) -> impl Iterator<Item = &DeliveryRow> {
        self.deliveries.range(DeliveryKey::added(event, 0)..=*all_of(event).end()).map(|(_, row)| row)
    }
}
