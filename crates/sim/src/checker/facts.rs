//! Durable facts: each must follow by the laws from what the books say, and moves them on.

use std::sync::Arc;

use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::profile::EventView;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, Time, WebhookId};

use super::hook::Hook;
use super::{Checker, Delivery, Known, Verdict, law};
use crate::chance::Fnv;

impl Checker {
    pub(super) fn fact(&mut self, record: &Record, payload: &[u8]) -> Verdict {
        if !matches!(record.fact, Fact::RetryRequested { .. } | Fact::DeliveryAdded { .. }) {
            self.nothing_is_to_be_released()?;
        }
        match &record.fact {
            Fact::ProfileRegistered(profile) => {
                self.profiles.insert(record.position, Arc::clone(profile));
            }
            Fact::WorkspaceCreated { id, profile, .. } => {
                self.workspaces.insert(*id, profile.clone());
            }
            Fact::WorkspaceDeleted { id } => {
                self.workspaces.remove(id);
                self.replays.retain(|_, replay| replay.workspace != *id);
                self.hooks.values_mut().filter(|hook| hook.webhook.workspace == *id).for_each(Hook::die);
            }
            Fact::WebhookCreated(webhook) => {
                law!(1, !self.hooks.contains_key(&webhook.id), "webhook id {} was used before", webhook.id);
                self.hooks.insert(webhook.id, Hook::new(Arc::clone(webhook)));
            }
            Fact::WebhookChanged(webhook) => {
                if let Some(hook) = self.hooks.get_mut(&webhook.id) {
                    hook.change(webhook);
                }
            }
            Fact::WebhookDeleted { id, .. } => {
                self.hooks.get_mut(id).into_iter().for_each(Hook::die);
                self.end_replays_to(*id);
            }
            Fact::ReplayStarted(replay) => self.replay_started(record, replay)?,
            Fact::ReplayAdvanced { id, next, released, skipped, .. } => {
                self.replay_advanced(record.time, *id, *next, *released, *skipped)?;
            }
            Fact::ReplayChanged { workspace, id, state } => self.replay_changed(*workspace, *id, *state)?,
            Fact::DeliveryAdded { cell } => self.added(cell)?,
            Fact::EventAccepted(event) => self.accepted(event, payload)?,
            Fact::AttemptFinished { cell, was, attempt } => self.finished(record, cell, *was, attempt)?,
            Fact::RetryRequested { cell, was } => self.retried(record.time, cell, *was)?,
            Fact::EventErased { workspace, event, cancelled } => self.erased(*workspace, *event, cancelled)?,
            Fact::EventCarried { event, was, cells } => self.carried(record.position, event, *was, cells)?,
            Fact::Restated(restated) => self.restated(restated)?,
            // Names, keys and tests are not judged.
            _ => {}
        }
        Ok(())
    }

    fn accepted(&mut self, event: &Arc<Event>, payload: &[u8]) -> Verdict {
        let profile_name = self.workspaces.get(&event.workspace);
        law!(1, profile_name.is_some(), "{} was accepted without a workspace", event.id.as_str());
        let is_asked = self.publishes_asked.iter().any(|(workspace, id, digest)| {
            *workspace == event.workspace && *digest == event.digest && id.as_ref().is_none_or(|id| *id == event.id)
        });
        law!(12, is_asked, "{} was accepted, and nobody waits for it", event.id.as_str());
        let chosen: Vec<WebhookId> = event.chosen.iter().map(|c| c.webhook).collect();
        let wanted: Vec<WebhookId> = self
            .hooks
            .values()
            .filter(|hook| hook.alive && wants(&hook.webhook, event))
            .map(|hook| hook.webhook.id)
            .collect();
        law!(1, chosen == wanted, "{} is wanted by {wanted:?} and goes to {chosen:?}", event.id.as_str());
        let is_stamped = profile_name.is_some_and(|name| &**name == "genesy");
        let stamp = is_stamped.then(|| (event.workspace, event.event_type.clone(), event.created.clone()));
        let known = Known {
            event: Arc::clone(event),
            payload: payload.into(),
            at: event.at,
            digest: event.digest,
            deliveries: chosen.len() as u32,
            stamp: stamp.clone(),
        };
        self.names.insert(event.at, (event.workspace, event.id.clone()));
        let earlier = self.events.insert((event.workspace, event.id.clone()), known);
        law!(1, earlier.is_none(), "{} was accepted twice", event.id.as_str());
        if let Some(stamp) = stamp {
            law!(1, self.stamps.insert(stamp), "the time {} of {} repeats", event.created, event.event_type);
        }
        for (ordinal, id) in (0..).zip(chosen) {
            let Some(hook) = self.hooks.get(&id) else { continue };
            let key = DeliveryKey { event: event.at, ordinal };
            let cell = Cell::fresh(key, event.workspace, id, hook.webhook.revision, event.accepted);
            let body = self.body(event, &hook.webhook, payload);
            self.deliveries_made += 1;
            self.deliveries.insert(key, Delivery { cell, body, reached: 0 });
            let hook = self.hooks.get_mut(&id).expect("it was there a line ago");
            hook.pending += 1;
            hook.wait(&cell);
        }
        Ok(())
    }

    /// The body that this webhook is to get of this event for ever, as of now.
    pub(super) fn body(&self, event: &Event, webhook: &Webhook, payload: &[u8]) -> u64 {
        let mut body = Vec::new();
        let view =
            EventView { id: event.id.as_str(), event_type: &event.event_type, created: &event.created, data: payload };
        if let Some(profile) = self.profiles.get(&event.profile) {
            profile.render(&view, &webhook.settings.custom_fields, &mut body);
        }
        Fnv::of(&body)
    }

    fn retried(&mut self, now: Time, cell: &Cell, was: Was) -> Verdict {
        let key = cell.key;
        let old = self.deliveries.get(&key).map(|delivery| delivery.cell);
        law!(1, old.is_some(), "{key} is sent again, which no event has");
        let Some(old) = old else { return Ok(()) };
        if !self.is_released(cell)? {
            law!(4, self.retries_asked.contains(&key), "{key} is sent again, and nobody asked for it");
        }
        law!(2, was == Was::from(&old), "{key} was {old:?}, and its fact says {was:?}");
        let may = matches!(old.status, Status::Pending | Status::Succeeded | Status::Exhausted);
        law!(4, may, "{key} was {:?} and is sent again", old.status);
        law!(8, self.is_alive(&old), "{key} is sent again to a webhook that is gone");
        law!(3, !self.flights.contains_key(&key), "{key} is sent again while it is in flight");
        let attempts_before = if old.status == Status::Pending { old.attempts_before } else { old.attempts };
        let expected = Cell { status: Status::Pending, due: now, attempts_before, ..old };
        law!(2, *cell == expected, "{cell:?} does not follow from {old:?}");
        if let Some(hook) = self.hooks.get_mut(&cell.webhook) {
            hook.unwait(&old);
        }
        self.put(cell, old.status);
        Ok(())
    }

    /// Files a cell that is not in flight.
    pub(super) fn put(&mut self, cell: &Cell, before: Status) {
        if let Some(delivery) = self.deliveries.get_mut(&cell.key) {
            delivery.cell = *cell;
        }
        let Some(hook) = self.hooks.get_mut(&cell.webhook).filter(|hook| hook.alive) else {
            return;
        };
        hook.moved_at = self.last_time;
        match (before == Status::Pending, cell.status == Status::Pending) {
            (true, false) => hook.pending -= 1,
            (false, true) => hook.pending += 1,
            _ => {}
        }
        if cell.status == Status::Pending {
            hook.wait(cell);
        }
    }
}

/// Whether a webhook subscribes to an event.
pub(super) fn wants(webhook: &Webhook, event: &Event) -> bool {
    let settings = &webhook.settings;
    let of_campaign = |text: &str| settings.campaign_ids.iter().any(|id| &*id.text == text);
    webhook.workspace == event.workspace
        && settings.enabled
        && settings.events.contains(&event.event_type)
        && (settings.campaign_ids.is_empty() || event.campaign.as_deref().is_some_and(of_campaign))
}
