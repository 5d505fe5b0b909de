//! Replays: what each step has to make due by the promises, worked out from the books; none twice, none left out, none when it may not.

use postrider_core::command::{Rejection, Reply};
use postrider_core::delivery::{Cell, Status};
use postrider_core::fact::Record;
use postrider_core::replay::{Only, Replay, ReplayState};
use postrider_core::{DeliveryKey, Position, ReplayId, Time, WebhookId, WorkspaceId};
use postrider_engine::shard::Shard;
use postrider_log::LogWriter;

use super::answers::Asked;
use super::{Checker, Delivery, Known, Verdict, broken, law};

/// Deliveries that were added to an event are numbered from here on.
pub(super) const FIRST_ADDED: u32 = 1 << 19;
/// So many deliveries a step makes due at the most: it stops where so many wait.
const STEP_MAX: usize = 64;

/// What a replay does about an event.
enum Treatment {
    Release(Cell),
    Skip,
    Pass,
}

impl Checker {
    /// Replays that are not over.
    pub fn open_replays(&self) -> Vec<(WorkspaceId, ReplayId)> {
        let open = self.replays.values().filter(|replay| !is_over(replay.state));
        open.map(|replay| (replay.workspace, replay.id)).collect()
    }

    /// Deliveries that replays made due.
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Whether a replay has still something to look at, and may.
    pub fn is_replaying(&self) -> bool {
        self.replays.values().any(|replay| replay.state == ReplayState::Running)
    }

    pub(super) fn replay_started(&mut self, record: &Record, replay: &Replay) -> Verdict {
        let asked = Asked::StartReplay(replay.workspace, replay.webhook);
        law!(13, self.replays_asked.contains(&asked), "{replay:?} begins, and nobody asked for it");
        let hook = self.hooks.get(&replay.webhook).filter(|hook| hook.alive && hook.webhook.settings.enabled);
        law!(13, hook.is_some(), "{replay:?} begins, and its webhook is off or gone");
        let begins = (ReplayId(record.position), Position::default(), ReplayState::Running, 0, 0, record.time);
        let is = (replay.id, replay.next, replay.state, replay.created, replay.skipped, replay.started_at);
        law!(2, is == begins, "{replay:?} does not begin at its beginning");
        self.replays.insert(replay.id, replay.clone());
        Ok(())
    }

    pub(super) fn replay_changed(&mut self, workspace: WorkspaceId, id: ReplayId, state: ReplayState) -> Verdict {
        let asked = Asked::ChangeReplay(workspace, id, state);
        law!(13, self.replays_asked.contains(&asked), "{id} is {state:?}, and nobody asked for it");
        let Some(replay) = self.replays.get_mut(&id).filter(|replay| !is_over(replay.state)) else {
            return Err(broken!(13, "{id} is over and is {state:?}"));
        };
        replay.state = state;
        Ok(())
    }

    pub(super) fn replay_advanced(
        &mut self,
        now: Time,
        id: ReplayId,
        next: Position,
        released: u32,
        skipped: u32,
    ) -> Verdict {
        let running = self.replays.get(&id).filter(|replay| replay.state == ReplayState::Running);
        let Some(replay) = running.cloned() else {
            return Err(broken!(13, "{id} makes a step and does not run: {:?}", self.replays.get(&id)));
        };
        let hook = self.hooks.get(&replay.webhook).filter(|hook| hook.alive && hook.webhook.settings.enabled);
        law!(13, hook.is_some(), "{id} makes a step, and its webhook is off or gone");
        law!(13, next > replay.next && next <= id.0, "{id} goes from {} to {next}", replay.next);
        let mut count = 0;
        let looked_at: Vec<&Known> = self
            .names
            .range(replay.next..next)
            .filter(|(_, (workspace, _))| *workspace == replay.workspace)
            .filter_map(|(_, name)| self.events.get(name))
            .collect();
        let mut releases = Vec::new();
        for known in looked_at {
            match self.treat(&replay, known, now) {
                Treatment::Release(cell) => releases.push(cell),
                Treatment::Skip => count += 1,
                Treatment::Pass => {}
            }
        }
        law!(13, releases.len() == released as usize, "{id} makes {released} due, and means {releases:?}");
        law!(13, releases.len() <= STEP_MAX, "{id} makes {released} due at once");
        law!(13, count == skipped, "{id} skips {skipped}, and has to skip {count}");
        self.replayed += releases.len() as u64;
        self.releases = releases.into();
        if let Some(replay) = self.replays.get_mut(&id) {
            replay.next = next;
            replay.created += u64::from(released);
            replay.skipped += u64::from(skipped);
            if next == id.0 {
                replay.state = ReplayState::Finished;
            }
        }
        Ok(())
    }

    /// What the promises say about an event.
    fn treat(&self, replay: &Replay, known: &Known, now: Time) -> Treatment {
        let (wish, event) = (&replay.wish, &known.event);
        let is_in_time = event.accepted >= wish.since && wish.until.is_none_or(|until| event.accepted < until);
        let is_of_type = wish.event_types.is_empty() || wish.event_types.contains(&event.event_type);
        if !is_in_time || !is_of_type {
            return Treatment::Pass;
        }
        let erased = self.erased.contains(&event.at);
        let delivery =
            self.siblings(event.at).map(|delivery| delivery.cell).find(|cell| cell.webhook == replay.webhook);
        let old = match (wish.only, delivery) {
            (Only::Missed, Some(_)) | (Only::Failed | Only::All, None) => return Treatment::Pass,
            (Only::Missed, None) => return self.treat_missed(replay, known, now),
            (Only::Failed, Some(cell)) if cell.status == Status::Succeeded => return Treatment::Pass,
            (_, Some(cell)) => cell,
        };
        match old.status {
            Status::Succeeded | Status::Exhausted if !erased => {
                let attempts_before = old.attempts;
                Treatment::Release(Cell { status: Status::Pending, due: now, attempts_before, ..old })
            }
            _ => Treatment::Skip,
        }
    }

    fn treat_missed(&self, replay: &Replay, known: &Known, now: Time) -> Treatment {
        let Some(hook) = self.hooks.get(&replay.webhook) else { return Treatment::Pass };
        if !super::facts::wants(&hook.webhook, &known.event) {
            return Treatment::Pass;
        }
        if self.erased.contains(&known.at) {
            return Treatment::Skip;
        }
        let added = self.siblings(known.at).filter(|delivery| delivery.cell.key.ordinal >= FIRST_ADDED).count();
        let key = DeliveryKey { event: known.at, ordinal: FIRST_ADDED + added as u32 };
        Treatment::Release(Cell::fresh(key, replay.workspace, replay.webhook, hook.webhook.revision, now))
    }

    /// Whether this is the next that a step has to make due. While one is owed, nothing else may come.
    pub(super) fn is_released(&mut self, cell: &Cell) -> Result<bool, super::Violation> {
        let Some(owed) = self.releases.pop_front() else { return Ok(false) };
        law!(13, owed == *cell, "{cell:?} is made due, and a replay has to make due {owed:?}");
        Ok(true)
    }

    pub(super) fn nothing_is_to_be_released(&self) -> Verdict {
        law!(13, self.releases.is_empty(), "a replay has not made due {:?}", self.releases);
        Ok(())
    }

    /// A delivery is added: one that a replay has to make due.
    pub(super) fn added(&mut self, cell: &Cell) -> Verdict {
        law!(13, self.is_released(cell)?, "{cell:?} is added, and no replay has to");
        let known = self.event_at(cell.key.event).and_then(|name| self.events.get(&name));
        let (Some(known), Some(hook)) = (known, self.hooks.get(&cell.webhook)) else {
            return Err(broken!(1, "{cell:?} is added, which no event has"));
        };
        let body = self.body(&known.event, &hook.webhook, &known.payload);
        let earlier = self.deliveries.insert(cell.key, Delivery { cell: *cell, body, reached: 0 });
        law!(13, earlier.is_none(), "{cell:?} is added, and is there: {earlier:?}");
        self.deliveries_made += 1;
        if let Some(hook) = self.hooks.get_mut(&cell.webhook) {
            hook.pending += 1;
            hook.wait(cell);
        }
        Ok(())
    }

    pub(super) fn end_replays_to(&mut self, webhook: WebhookId) {
        let open = self.replays.values_mut().filter(|replay| replay.webhook == webhook && !is_over(replay.state));
        open.for_each(|replay| replay.state = ReplayState::Cancelled);
    }

    /// After the quiet phase.
    pub(super) fn replays_are_over(&self) -> Verdict {
        let running = self.replays.values().find(|replay| replay.state == ReplayState::Running);
        law!(13, running.is_none(), "a replay has not come to its end: {running:?}");
        Ok(())
    }

    /// Every replay of the books is in the kernel as it is there.
    pub(super) fn each_replay<W: LogWriter>(&self, shard: &Shard<W>) -> Verdict {
        let replays = &shard.kernel().replays;
        for replay in self.replays.values() {
            let is = replays.get(replay.workspace, replay.id);
            law!(2, is == Some(replay), "{is:?} is in the kernel, and {replay:?} is durable");
        }
        Ok(())
    }

    pub(super) fn replay_answered(&self, webhook: WebhookId, answer: &Result<Reply, Rejection>) -> Verdict {
        let hook = self.hooks.get(&webhook);
        let is_right = match answer {
            // It can be gone again with its workspace, by a later command of the same turn.
            Ok(Reply::Replay(replay)) => {
                self.replays.contains_key(&replay.id) || !self.workspaces.contains_key(&replay.workspace)
            }
            Err(Rejection::NoWebhook) => hook.is_none_or(|hook| !hook.alive),
            // As it was at the time.
            Err(Rejection::WebhookOff) => hook.is_some(),
            Err(Rejection::TooMany { .. }) => self.replays.len() >= 16,
            _ => false,
        };
        law!(13, is_right, "a replay to {webhook} was answered by {answer:?}");
        Ok(())
    }

    pub(super) fn replay_change_answered(
        &self,
        id: ReplayId,
        state: ReplayState,
        answer: &Result<Reply, Rejection>,
    ) -> Verdict {
        let known = self.replays.get(&id);
        let is_right = match answer {
            Ok(Reply::Replay(replay)) => {
                let is_so = replay.state == state || is_over(replay.state) && state == ReplayState::Cancelled;
                replay.id == id && is_so
            }
            Err(Rejection::NoReplay) => known.is_none(),
            Err(Rejection::ReplayEnded(_)) => known.is_none_or(|known| is_over(known.state)),
            _ => false,
        };
        law!(13, is_right, "{id} was to be {state:?}, which was answered by {answer:?}: {known:?}");
        Ok(())
    }
}

fn is_over(state: ReplayState) -> bool {
    matches!(state, ReplayState::Finished | ReplayState::Cancelled)
}
