//! Replays, a step at a time: each turn makes one for each webhook whose queue has room, behind the commands that somebody waits for.
//!
//! So a replay never has more than a queue's share waiting, goes as fast as its webhook answers, and stands still behind a backlog. Replays
//! to one webhook run one after another. Which deliveries a step makes due is decided in the core; here events are read ahead for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use postrider_core::command::Command;
use postrider_core::machine::Entropy;
use postrider_core::replay::{Ahead, Candidate, Replay};
use postrider_core::{Position, ReplayId, WebhookId, WorkspaceId, limits};
use postrider_log::LogWriter;

use super::{Shard, Turned, Wanted};
use crate::overlay::{Overlay, Recalled};
use crate::past::{Past, Reach};

impl<W: LogWriter> Shard<W> {
    /// While there is little space, replays make no steps: what is left is for outcomes.
    pub fn spare_space(&mut self, spares: bool) {
        self.spares_space = spares;
    }

    /// Whether a step can be made now.
    pub(super) fn has_replay_steps(&self) -> bool {
        !self.spares_space && self.replays_with_room().any(|replay| self.has_read_ahead(replay))
    }

    /// The first replay of each webhook whose queue has room.
    fn replays_with_room(&self) -> impl Iterator<Item = &Replay> {
        let mut webhooks = BTreeSet::new();
        let firsts = self.kernel.replays.running().filter(move |replay| webhooks.insert(replay.webhook));
        firsts.filter(|replay| self.room_for(replay) > 0)
    }

    /// In this order replays have their turns: those behind the one that made the last step come first.
    fn turn_of(&self, replay: &Replay) -> (bool, (WorkspaceId, ReplayId)) {
        let name = (replay.workspace, replay.id);
        (Some(name) <= self.replayed, name)
    }

    /// Makes one step of each replay that can make one, within the turn's bounds.
    pub(super) fn advance_replays<T>(
        &mut self,
        entropy: &mut dyn Entropy,
        turned: &mut Turned<T>,
        deliveries: &mut usize,
    ) {
        if self.spares_space {
            return;
        }
        let mut steps: Vec<_> = self.replays_with_room().filter(|replay| self.has_read_ahead(replay)).collect();
        steps.sort_by_key(|replay| self.turn_of(replay));
        let steps: Vec<_> = steps.into_iter().map(|r| ((r.workspace, r.id), self.room_for(r))).collect();
        for (name, room) in steps {
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

    /// How many deliveries may join the queue of the replay's webhook.
    fn room_for(&self, replay: &Replay) -> usize {
        let webhook = self.kernel.directory.webhook(replay.webhook);
        let counts = self.scheduler.counts(replay.webhook).filter(|_| webhook.is_some_and(|w| w.settings.enabled));
        let waiting = counts.map(|counts| match self.lines.contains_key(&replay.webhook) {
            // In the schedule is one of them.
            true => usize::try_from(self.kernel.pending_of(replay.webhook)).unwrap_or(usize::MAX),
            false => (counts.fresh + counts.retry) as usize,
        });
        limits::REPLAY_WAITING_MAX.saturating_sub(waiting.unwrap_or(usize::MAX))
    }

    /// What is to be read for a replay, if its next step needs more than what is in RAM.
    pub(super) fn replay_wanted(&self) -> Option<Wanted> {
        let waiting = self.replays_with_room().filter(|replay| !self.has_read_ahead(replay));
        let replay = waiting.min_by_key(|replay| self.turn_of(replay)).filter(|_| !self.spares_space)?;
        let Replay { workspace, id, webhook, ref wish, next, .. } = *replay;
        let to = replay.end().min(Position::new(self.overlay.base(), 0));
        let max = limits::REPLAY_STEP_EVENTS;
        Some(Wanted::Replay { replay: (workspace, id), webhook, wish: wish.clone(), from: next, to, max })
    }

    /// Whether the events of its next step are in RAM.
    fn has_read_ahead(&self, replay: &Replay) -> bool {
        replay.next.block() >= self.overlay.base()
            || self.read_for_replay.as_ref().is_some_and(|read| read.is_for(replay, self.overlay.base()))
    }

    pub(super) fn read_ahead(&mut self, workspace: WorkspaceId, id: ReplayId) -> Option<Ahead> {
        let replay = self.kernel.replays.get(workspace, id)?;
        let reach = Reach::left(replay);
        if replay.next.block() >= self.overlay.base() {
            return Some(self.overlay.events_of(reach, limits::REPLAY_STEP_EVENTS));
        }
        let base = self.overlay.base();
        // What was read for another one is left to it.
        let read = self.read_for_replay.take_if(|read| read.is_for(replay, base));
        let ReadForReplay { events, read_to, .. } = read?;
        let webhook = replay.webhook;
        let read: Vec<_> = events.iter().map(|recalled| recalled.event.at).collect();
        for recalled in events {
            self.overlay.may_be_idle(recalled.event.at);
            self.overlay.admit(recalled);
        }
        // What is in the overlay is newer than what was read.
        let recalled = read.into_iter().filter_map(|at| self.overlay.recalled(at));
        Some(Ahead { candidates: recalled.map(|recalled| candidate(recalled, webhook)).collect(), read_to })
    }
}

/// What was read below the store's position for the next step of a replay.
pub(super) struct ReadForReplay {
    pub replay: (WorkspaceId, ReplayId),
    pub covered: u64,
    pub from: Position,
    pub read_to: Position,
    pub events: Vec<Recalled>,
}

impl ReadForReplay {
    fn is_for(&self, replay: &Replay, base: u64) -> bool {
        self.replay == (replay.workspace, replay.id) && self.from == replay.next && self.covered >= base
    }
}

impl Past for Overlay {
    fn events_of(&self, reach: Reach<'_>, max: usize) -> Ahead {
        let mut ahead = Ahead { candidates: Vec::new(), read_to: reach.to };
        for (looked_at, recalled) in self.events(reach.from, reach.to).enumerate() {
            if looked_at == max {
                ahead.read_to = recalled.event.at;
                break;
            }
            // Positions are in the order of time.
            if reach.wish.until.is_some_and(|until| recalled.event.accepted >= until) {
                break;
            }
            if recalled.event.workspace == reach.workspace {
                ahead.candidates.push(candidate(recalled, reach.webhook));
            }
        }
        ahead
    }
}

fn candidate(recalled: &Recalled, webhook: WebhookId) -> Candidate {
    Candidate {
        event: Arc::clone(&recalled.event),
        delivery: recalled.to_webhook(webhook).copied(),
        added: recalled.added,
        is_erased: recalled.erased.is_some(),
    }
}
