//! Replays, a step at a time: each turn makes one for each webhook whose queue has room, behind the commands that somebody waits for.
//!
//! So a replay never has more than a queue's share waiting, goes as fast as its webhook answers, and stands still behind a backlog. Replays
//! to one webhook run one after another. Which deliveries a step makes due is decided in the core; here events are read ahead for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use postrider_core::command::Command;
use postrider_core::event::Event;
use postrider_core::machine::Entropy;
use postrider_core::replay::{Ahead, Candidate, Replay};
use postrider_core::{DeliveryKey, ReplayId, WebhookId, WorkspaceId, limits};
use postrider_log::LogWriter;

use super::{Shard, Turned};
use crate::overlay::Overlay;
use crate::past::{Past, Reach, chosen_key, read_in_order};

impl<W: LogWriter> Shard<W> {
    /// While there is little space, replays make no steps: what is left is for outcomes.
    pub fn spare_space(&mut self, spares: bool) {
        self.spares_space = spares;
    }

    /// Whether a step can be made now.
    pub(super) fn has_replay_steps(&self) -> bool {
        !self.spares_space && self.kernel.replays.running().any(|replay| self.room_for(replay) > 0)
    }

    /// Makes one step of the first replay of each webhook, within the turn's bounds, from behind the one that came last.
    pub(super) fn advance_replays<T>(
        &mut self,
        entropy: &mut dyn Entropy,
        turned: &mut Turned<T>,
        deliveries: &mut usize,
    ) {
        if self.spares_space {
            return;
        }
        for (name, room) in self.replay_steps() {
            if *deliveries >= limits::TURN_DELIVERIES_MAX || self.batch.bytes() >= limits::TURN_BYTES_TARGET {
                return;
            }
            let (workspace, id) = name;
            // Looking at an event costs about as much as delivering it: so a turn makes few steps, however many replays there are.
            *deliveries += limits::REPLAY_STEP_EVENTS;
            self.replayed = Some(name);
            // Asked by nobody, answered to nobody.
            let _ = self.run(Command::AdvanceReplay { workspace, id, room }, entropy, turned, deliveries);
        }
    }

    fn replay_steps(&self) -> Vec<((WorkspaceId, ReplayId), usize)> {
        let mut webhooks = BTreeSet::new();
        let firsts = self.kernel.replays.running().filter(|replay| webhooks.insert(replay.webhook));
        let mut steps: Vec<_> = firsts.map(|replay| ((replay.workspace, replay.id), self.room_for(replay))).collect();
        let next = steps.partition_point(|(name, _)| Some(*name) <= self.replayed);
        steps.rotate_left(next);
        steps.retain(|(_, room)| *room > 0);
        steps
    }

    /// How many deliveries may join the queue of the replay's webhook.
    fn room_for(&self, replay: &Replay) -> usize {
        let webhook = self.kernel.directory.webhook(replay.webhook);
        let counts = self.scheduler.counts(replay.webhook).filter(|_| webhook.is_some_and(|w| w.settings.enabled));
        let waiting = counts.map(|counts| (counts.fresh + counts.retry) as usize);
        limits::REPLAY_WAITING_MAX.saturating_sub(waiting.unwrap_or(usize::MAX))
    }

    pub(super) fn read_ahead(&self, workspace: WorkspaceId, id: ReplayId) -> Ahead {
        match self.kernel.replays.get(workspace, id) {
            Some(replay) => self.overlay.events_of(Reach::left(replay), limits::REPLAY_STEP_EVENTS),
            None => Ahead::default(),
        }
    }
}

impl Past for Overlay {
    fn events_of(&self, reach: Reach<'_>, max: usize) -> Ahead {
        read_in_order(self.events(), reach, max, |event| candidate(self, event, reach.webhook))
    }
}

fn candidate(overlay: &Overlay, event: &Arc<Event>, webhook: WebhookId) -> Candidate {
    let added = overlay.added_to(event.at);
    let chosen = chosen_key(event, webhook).and_then(|key| overlay.cell(key));
    let delivery = chosen.or_else(|| {
        let mut later = (0..added).filter_map(|nth| overlay.cell(DeliveryKey::added(event.at, nth)));
        later.find(|cell| cell.webhook == webhook)
    });
    Candidate { event: Arc::clone(event), delivery: delivery.copied(), added, is_erased: overlay.is_erased(event.at) }
}
