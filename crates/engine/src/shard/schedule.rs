//! What becomes of facts in the schedule, and of the schedule in attempts.

use std::sync::Arc;

use postrider_core::delivery::Cell;
use postrider_core::effect::Effect;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, Position, Time};
use postrider_dispatch::Target;
use postrider_log::LogWriter;
use postrider_scheduler::{Lane, Residency, Scheduler};

use super::{Job, Shard};

impl<W: LogWriter> Shard<W> {
    /// Everything here follows from facts that are durable.
    pub(super) fn carry_out(&mut self, destroyed: &mut Vec<SealingKeyId>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver(cell) => self.file(&cell),
                Effect::Free(key, held) => {
                    self.scheduler.finished(key, held);
                    self.has_moved_on(key);
                }
                Effect::Sleep(cell) => self.file(&cell),
                Effect::Hasten(cell) => self.hasten(&cell),
                Effect::Forget(key) => {
                    self.scheduler.forget(key);
                    self.has_moved_on(key);
                    if let Some(webhook) = self.overlay.cell(key).map(|cell| cell.webhook) {
                        self.has_shortened(webhook);
                    }
                }
                Effect::ErasePayload(event) => self.to_erase.push(self.overlay.payload_of(event)),
                Effect::Webhook(webhook) => {
                    make_known(&mut self.scheduler, &webhook);
                    self.probes.follow(&webhook);
                    self.keep_order(webhook.id, webhook.settings.ordered);
                }
                Effect::ForgetWebhook(webhook) => {
                    self.scheduler.drop_webhook(webhook);
                    self.probes.forget(webhook);
                    self.forget_line(webhook);
                    self.forget_spill(webhook);
                }
                Effect::DestroyKey(key) => destroyed.push(key),
            }
        }
        self.scatter_all();
        self.effects = effects;
    }

    pub(super) fn file(&mut self, cell: &Cell) {
        // A webhook can be deleted later in the turn that chose it, or that filed an attempt of it.
        if !self.scheduler.knows(cell.webhook) || !self.is_current(cell) {
            return;
        }
        if self.lines.contains_key(&cell.webhook) {
            self.stand_in_line(cell);
        } else if self.may_stay(cell) {
            self.place(cell);
        }
    }

    pub(super) fn place(&mut self, cell: &Cell) {
        if cell.is_fresh() {
            self.scheduler.ready(cell.key, cell.webhook, Lane::Fresh);
        } else if cell.attempts == 0 {
            // A replay has added it: it is due, and waits behind what is fresh.
            self.scheduler.ready(cell.key, cell.webhook, Lane::Retry);
        } else {
            self.scheduler.sleep(cell.key, cell.webhook, cell.due);
        }
    }

    fn hasten(&mut self, cell: &Cell) {
        if !self.is_current(cell) || !self.scheduler.knows(cell.webhook) {
            return;
        }
        if self.lines.contains_key(&cell.webhook) {
            self.stand_in_line(cell);
            self.scheduler.wake(cell.key);
            return;
        }
        match self.scheduler.residency(cell.key) {
            Some(Residency::Asleep(_)) => {
                self.scheduler.wake(cell.key);
            }
            Some(_) => {}
            None => self.scheduler.ready(cell.key, cell.webhook, Lane::Retry),
        }
    }

    /// Later facts of the same turn can have moved the delivery on.
    fn is_current(&self, cell: &Cell) -> bool {
        self.overlay.cell(cell.key) == Some(cell)
    }

    /// Makes due what is due by `now`. True: there is more; call again after the next turn.
    pub fn advance(&mut self, now: Time) -> bool {
        while let Some(webhook) = self.probes.take_due(now) {
            self.scheduler.let_one_through(webhook);
        }
        self.scheduler.advance(now)
    }

    /// The next attempt to make; `None` while no permit is free or nothing may run.
    pub fn pick(&mut self, now: Time) -> Option<Job> {
        loop {
            let pick = self.scheduler.pick(now)?;
            self.has_shortened(pick.webhook);
            let cell = self.overlay.cell(pick.key);
            let event = self.overlay.event(pick.key.event);
            let webhook = self.kernel.directory.webhook(pick.webhook);
            if let (Some(cell), Some(event), Some(webhook)) = (cell, event, webhook) {
                let (event, webhook) = (Arc::clone(event), Arc::clone(webhook));
                let payload = self.overlay.payload_of(event.at);
                return Some(Job { cell: *cell, number: cell.attempts + 1, started: now, event, payload, webhook });
            }
            self.scheduler.withdrawn(pick.key);
        }
    }

    /// How many deliveries an event has here.
    pub fn deliveries_of(&self, event: Position) -> usize {
        self.overlay.recalled(event).map_or(0, |recalled| recalled.cells.len())
    }

    /// An attempt was not made, since its webhook changed before the request was written: it waits for its turn again.
    pub fn withdrawn(&mut self, key: DeliveryKey) {
        self.scheduler.withdrawn(key);
        let Some(cell) = self.overlay.cell(key).copied() else {
            return;
        };
        self.has_moved_on(key);
        if !self.kernel.is_pending(&cell) {
            self.overlay.may_be_idle(key.event);
        } else if self.lines.contains_key(&cell.webhook) {
            self.file(&cell);
        } else {
            let lane = if cell.is_fresh() { Lane::Fresh } else { Lane::Retry };
            self.scheduler.ready(key, cell.webhook, lane);
        }
    }

    /// Until when nothing falls due.
    pub fn next_due(&self) -> Option<Time> {
        self.scheduler.next_due().into_iter().chain(self.wants_at()).chain(self.probes.next()).min()
    }
}

pub(super) fn make_known(scheduler: &mut Scheduler, webhook: &Webhook) {
    let host = match Target::parse(&webhook.settings.url, false) {
        Ok(target) => format!("{}:{}", target.host(), target.port()),
        Err(_) => webhook.settings.url.to_string(),
    };
    if scheduler.knows(webhook.id) {
        scheduler.set_host(webhook.id, &host);
    } else {
        scheduler.add_webhook(webhook.id, &host);
    }
    scheduler.set_rate(webhook.id, webhook.settings.rate_limit);
    if webhook.settings.enabled {
        scheduler.release(webhook.id);
    } else {
        scheduler.hold(webhook.id);
    }
}
