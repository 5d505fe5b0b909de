//! The machine: commands become facts, facts become state and effects.
//!
//! `decide` reads and never changes; `apply` changes and never refuses. Neither does I/O, reads a clock or draws chance: what they need is
//! an argument, and what a decision drew or computed stands in its fact. So a replay of the facts gives the state of the live run.

mod decide_delivery;
mod decide_erasure;
mod decide_event;
mod decide_replay;
mod decide_switch;
mod decide_webhook;
mod decide_workspace;
mod timestamps;

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Rejection, Reply};
use crate::delivery::{Cell, Status, Was};
use crate::directory::Directory;
use crate::effect::Effect;
use crate::event::Event;
use crate::fact::{Fact, Record, Restated};
use crate::ids::{AttemptId, DeliveryKey, Position, WebhookId};
use crate::replay::{Ahead, Replays};
use crate::time::Time;
use timestamps::Timestamps;

/// The part of the state that is always in RAM. It grows with webhooks and workspaces; with events only by what `timestamps` says, and by
/// those that owe an erasure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    /// Profiles, workspaces, keys, webhooks.
    pub directory: Directory,
    /// Jobs that send past events again.
    pub replays: Replays,
    timestamps: Timestamps,
    pending: BTreeMap<WebhookId, u64>,
    /// Events of which a delivery was removed and that are not erased, since others of theirs were pending when it was.
    owed: BTreeSet<Position>,
    webhooks_made: u64,
    attempts_made: u64,
}

/// Random numbers, as the shell draws them.
pub trait Entropy {
    /// The next 64 bits.
    fn next_u64(&mut self) -> u64;
}

/// When and where a decision is made.
pub struct Moment<'a> {
    /// Engine time of the turn.
    pub now: Time,
    /// The position that the decision's first fact will have.
    pub at: Position,
    /// Where chance comes from.
    pub entropy: &'a mut dyn Entropy,
}

/// What the shell has looked up for a command: the values of single deliveries and events, which the kernel does not hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prior<'a> {
    /// The cell of the delivery that the command names.
    pub cell: Option<&'a Cell>,
    /// An attempt of that delivery is running.
    pub in_flight: bool,
    /// The event that has the published id already, or that the command or its delivery is about.
    pub event: Option<&'a Event>,
    /// The cells of that event's deliveries, where the command is about all of them.
    pub siblings: &'a [Cell],
    /// That event's payload was erased.
    pub is_erased: bool,
    /// Events that were read ahead for a step of a replay.
    pub ahead: Option<&'a Ahead>,
}

/// The facts of one decision, in order, and what to answer once they are durable.
#[derive(Debug)]
pub struct Decision {
    /// To be appended and applied in this order. Never more than two, but for a step of a replay, which has one for each delivery.
    pub facts: Vec<Fact>,
    /// The answer.
    pub reply: Reply,
}

impl Decision {
    fn one(fact: Fact, reply: Reply) -> Decision {
        Decision { facts: vec![fact], reply }
    }

    fn nothing(reply: Reply) -> Decision {
        Decision { facts: Vec::new(), reply }
    }
}

/// What `command` leads to, given the state and what the shell looked up.
///
/// # Errors
/// When the state does not allow it; then nothing is to be done but to say so.
pub fn decide(
    kernel: &Kernel,
    prior: Prior<'_>,
    command: &Command,
    moment: &mut Moment<'_>,
) -> Result<Decision, Rejection> {
    match command {
        Command::RegisterProfile(profile) => Ok(decide_workspace::register_profile(kernel, profile)),
        Command::CreateWorkspace { name, profile, sealing_key, key_hash } => {
            decide_workspace::create(kernel, name, profile, *sealing_key, *key_hash, moment)
        }
        Command::RenameWorkspace { id, name } => decide_workspace::rename(kernel, *id, name),
        Command::DeleteWorkspace { id } => decide_workspace::delete(kernel, *id),
        Command::CreateKey { workspace, name, scopes, hash } => {
            decide_workspace::create_key(kernel, *workspace, name, *scopes, *hash, moment)
        }
        Command::RevokeKey { workspace, id } => decide_workspace::revoke_key(kernel, *workspace, *id),
        Command::CreateWebhook { workspace, settings } => decide_webhook::create(kernel, *workspace, settings, moment),
        Command::ChangeWebhook { workspace, id, change } => {
            decide_webhook::change(kernel, *workspace, *id, change, moment)
        }
        Command::SwitchOff { workspace, id, version, failing_since } => {
            decide_switch::off(kernel, (*workspace, *id), *version, *failing_since, moment)
        }
        Command::RotateSecret { workspace, id, fresh, grace } => {
            decide_webhook::rotate_secret(kernel, *workspace, *id, fresh, *grace, moment)
        }
        Command::DeleteWebhook { workspace, id } => decide_webhook::delete(kernel, *workspace, *id),
        Command::Publish { workspace, event } => decide_event::publish(kernel, prior.event, *workspace, event, moment),
        Command::Finish(finish) => decide_delivery::finish(kernel, prior.cell, finish, moment),
        Command::Retry { workspace, .. } => decide_delivery::retry(kernel, prior, *workspace, moment),
        Command::EraseEvent { .. } => decide_erasure::erase(prior),
        Command::EraseRemoved { .. } => Ok(decide_erasure::erase_removed(kernel, prior)),
        Command::StartReplay { workspace, webhook, wish } => {
            decide_replay::start(kernel, *workspace, *webhook, wish, moment)
        }
        Command::ChangeReplay { workspace, id, state } => decide_replay::change(kernel, *workspace, *id, *state),
        Command::AdvanceReplay { workspace, id, room } => {
            decide_replay::advance(kernel, prior.ahead, *workspace, *id, *room, moment)
        }
        Command::RecordTest { workspace, webhook, event_id, event_type, measured } => {
            decide_delivery::record_test(kernel, *workspace, *webhook, event_id, event_type, measured)
        }
    }
}

/// Takes a fact into the state and hands what the shell must do once it is durable to `effect`.
pub fn apply(kernel: &mut Kernel, record: &Record, mut effect: impl FnMut(Effect)) {
    let deleted = match record.fact {
        Fact::WorkspaceDeleted { id } => kernel.directory.workspace(id).map(|w| w.sealing_key),
        _ => None,
    };
    kernel.directory.apply(record);
    kernel.replays.apply(&record.fact);
    match &record.fact {
        Fact::ReplayStarted(_) | Fact::ReplayAdvanced { .. } | Fact::ReplayChanged { .. } => {}
        Fact::DeliveryAdded { cell } => {
            kernel.count(cell, None);
            effect(Effect::Deliver(*cell));
        }
        Fact::ProfileRegistered(_)
        | Fact::WorkspaceCreated { .. }
        | Fact::WorkspaceRenamed { .. }
        | Fact::KeyCreated(_)
        | Fact::KeyRevoked { .. } => {}
        Fact::WorkspaceDeleted { id } => {
            kernel.timestamps.forget(*id);
            for webhook in kernel.orphans() {
                kernel.pending.remove(&webhook);
                effect(Effect::ForgetWebhook(webhook));
            }
            deleted.into_iter().for_each(|key| effect(Effect::DestroyKey(key)));
        }
        Fact::WebhookCreated(webhook) => {
            kernel.webhooks_made = kernel.webhooks_made.max(webhook.id.0);
            kernel.pending.insert(webhook.id, 0);
            effect(Effect::Webhook(webhook.clone()));
        }
        Fact::WebhookChanged(webhook) => effect(Effect::Webhook(webhook.clone())),
        Fact::WebhookDeleted { id, .. } => {
            kernel.pending.remove(id);
            effect(Effect::ForgetWebhook(*id));
        }
        Fact::EventAccepted(event) => {
            kernel.take_timestamp(event);
            for cell in event_cells(event) {
                kernel.count(&cell, None);
                effect(Effect::Deliver(cell));
            }
        }
        Fact::AttemptFinished { cell, was, attempt } => {
            kernel.attempts_made = kernel.attempts_made.max(attempt.id.0);
            kernel.count(cell, Some(*was));
            if cell.status == Status::Removed {
                kernel.owed.insert(cell.key.event);
            }
            effect(Effect::Free(cell.key, attempt.exchange.duration));
            if kernel.is_pending(cell) {
                effect(Effect::Sleep(*cell));
            }
        }
        Fact::RetryRequested { cell, was } => {
            kernel.count(cell, Some(*was));
            effect(Effect::Hasten(*cell));
        }
        Fact::EventErased { event, cancelled, .. } => {
            for cell in cancelled {
                kernel.count(cell, Some(Was { status: Status::Pending, due: cell.due }));
                effect(Effect::Forget(cell.key));
            }
            kernel.owed.remove(event);
            effect(Effect::ErasePayload(*event));
        }
        Fact::EventCarried { .. } => {}
        Fact::Restated(restated) => kernel.take_back(restated),
        Fact::TestFinished { attempt, .. } => kernel.attempts_made = kernel.attempts_made.max(attempt.id.0),
    }
}

/// The cells that an accepted event's deliveries begin with.
pub fn event_cells(event: &Event) -> impl Iterator<Item = Cell> {
    event.chosen.iter().enumerate().map(|(ordinal, chosen)| {
        let key = DeliveryKey { event: event.at, ordinal: ordinal as u32 };
        Cell::fresh(key, event.workspace, chosen.webhook, chosen.revision, event.accepted)
    })
}

impl Kernel {
    /// Whether the delivery still waits for an attempt: one whose webhook is gone does not.
    pub fn is_pending(&self, cell: &Cell) -> bool {
        cell.status == Status::Pending && self.directory.webhook(cell.webhook).is_some()
    }

    /// Unfinished deliveries of a webhook, exactly.
    pub fn pending_of(&self, webhook: WebhookId) -> u64 {
        self.pending.get(&webhook).copied().unwrap_or(0)
    }

    /// Unfinished deliveries of all webhooks, exactly.
    pub fn pending(&self) -> u64 {
        self.pending.values().sum()
    }

    /// The events of which a delivery was removed, and that are to be erased once nothing of them is pending.
    pub fn owed_erasures(&self) -> impl Iterator<Item = Position> {
        self.owed.iter().copied()
    }

    /// All of the state as facts that a log can begin with; none while there is nothing.
    pub fn restate(&self) -> Vec<Fact> {
        if self.directory.profile_names().next().is_none() {
            return Vec::new();
        }
        let begin = Restated::Begin { webhooks_made: self.webhooks_made, attempts_made: self.attempts_made };
        let pending = self.pending.iter().map(|(webhook, count)| Restated::Pending(*webhook, *count));
        let parts = std::iter::once(begin).chain(self.directory.restate()).chain(pending);
        let owed = self.owed.iter().map(|event| Restated::OwedErasure(*event));
        let taken = self.timestamps.restate().map(|taken| Restated::TakenTimes(Box::new(taken)));
        parts
            .chain(owed)
            .chain(taken)
            .chain(self.replays.restate())
            .chain([Restated::End])
            .map(Fact::Restated)
            .collect()
    }

    fn take_back(&mut self, restated: &Restated) {
        if !self.directory.is_restating() {
            return;
        }
        match restated {
            Restated::Begin { webhooks_made, attempts_made } => {
                self.webhooks_made = *webhooks_made;
                self.attempts_made = *attempts_made;
            }
            Restated::Pending(webhook, count) => {
                self.pending.insert(*webhook, *count);
            }
            Restated::OwedErasure(event) => {
                self.owed.insert(*event);
            }
            Restated::TakenTimes(taken) => self.timestamps.take_back(taken),
            Restated::Replay(replay) => self.replays.put(replay),
            _ => {}
        }
    }

    fn next_attempt_id(&self) -> AttemptId {
        AttemptId(self.attempts_made + 1)
    }

    fn count(&mut self, cell: &Cell, was: Option<Was>) {
        let Some(pending) = self.pending.get_mut(&cell.webhook) else {
            return;
        };
        let before = was.is_some_and(|w| w.status == Status::Pending);
        match (before, cell.status == Status::Pending) {
            (false, true) => *pending += 1,
            // A salvaged log can have the end of a delivery without its beginning.
            (true, false) => *pending = pending.saturating_sub(1),
            _ => {}
        }
    }

    fn orphans(&self) -> Vec<WebhookId> {
        self.pending.keys().copied().filter(|id| self.directory.webhook(*id).is_none()).collect()
    }

    fn take_timestamp(&mut self, event: &Event) {
        if self.directory.profile(event.profile).is_some_and(|p| p.created.unique) {
            self.timestamps.take(event.workspace, &event.event_type, &event.created);
        }
    }
}

#[cfg(test)]
mod tests;
