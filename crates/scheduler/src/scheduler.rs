//! The scheduler: the wheel, the ready queues and the permits together.
//!
//! Owns where each delivery in RAM is, from the moment it is handed over by [`Scheduler::ready`] or [`Scheduler::sleep`] until it
//! is let go by [`Scheduler::finished`], [`Scheduler::forget`] or [`Scheduler::drop_webhook`]. Promises that this is one place: a
//! delivery handed over twice is a bug of the caller's that would send it twice, so it panics.
//!
//! Bounds are the caller's: it looks at the counts and keeps what is too much on disk.

use std::num::NonZeroU32;

use postrider_core::ids::{DeliveryKey, WebhookId};
use postrider_core::time::{Millis, Time};

use crate::ready::Ready;
use crate::residents::{List, Place, Residents};
use crate::wheel::Wheel;
use crate::{Lane, Limits};

/// Sleepers that one step of [`Scheduler::advance`] fires or moves at the most: about a millisecond's work.
const ADVANCE_STEP: usize = 4096;

/// A delivery to be sent now. It holds its permits until [`Scheduler::finished`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Its webhook.
    pub webhook: WebhookId,
    /// The queue it waited in.
    pub lane: Lane,
}

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// Until this time.
    Asleep(Time),
    /// Queued for its turn.
    Ready(Lane),
    /// Picked, and not finished.
    InFlight,
}

/// What a webhook has in RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queued first attempts.
    pub fresh: u32,
    /// Queued retries.
    pub retry: u32,
    /// Sleeping deliveries.
    pub asleep: u32,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Whether it is held.
    pub held: bool,
    /// The moving mean of its slot times; `None` before its first answer.
    pub slot_time: Option<Millis>,
}

/// See the module.
pub struct Scheduler {
    wheel: Wheel<u32>,
    residents: Residents,
    ready: Ready,
    ready_len: usize,
    woken: Vec<u32>,
}

impl Scheduler {
    /// An empty scheduler.
    ///
    /// # Panics
    /// When a limit is zero.
    pub fn new(limits: Limits) -> Scheduler {
        Scheduler {
            wheel: Wheel::new(),
            residents: Residents::new(),
            ready: Ready::new(limits),
            ready_len: 0,
            woken: Vec::new(),
        }
    }

    /// Makes a webhook known, with the host (`host:port`) whose cap it shares.
    ///
    /// # Panics
    /// When it is known already.
    pub fn add_webhook(&mut self, webhook: WebhookId, host: &str) {
        self.ready.add(webhook, host);
    }

    /// Whether the webhook was added and not dropped.
    pub fn knows(&self, webhook: WebhookId) -> bool {
        self.ready.find(webhook).is_some()
    }

    /// Moves a webhook to another host. What is in flight still counts for the old one.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn set_host(&mut self, webhook: WebhookId, host: &str) {
        self.ready.set_host(self.webhook(webhook), host);
    }

    /// Limits a webhook to so many attempts a second; `None` lifts the limit. What is over it waits.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn set_rate(&mut self, webhook: WebhookId, rate: Option<NonZeroU32>) {
        self.ready.set_rate(self.webhook(webhook), rate);
    }

    /// Lets a webhook have one attempt in flight at a time, or as many as its cap allows.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn set_serial(&mut self, webhook: WebhookId, serial: bool) {
        self.ready.change(self.webhook(webhook), |webhook| webhook.serial = serial);
    }

    /// Switches a webhook off: nothing of it is picked. Its queues stay, and its sleepers join them when they are due.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn hold(&mut self, webhook: WebhookId) {
        self.ready.change(self.webhook(webhook), |webhook| (webhook.held, webhook.lets_one_through) = (true, false));
    }

    /// Ends a [`Scheduler::hold`].
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn release(&mut self, webhook: WebhookId) {
        self.ready.change(self.webhook(webhook), |webhook| (webhook.held, webhook.lets_one_through) = (false, false));
    }

    /// Has one delivery of a held webhook picked, the next that it has.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn let_one_through(&mut self, webhook: WebhookId) {
        self.ready.change(self.webhook(webhook), |webhook| webhook.lets_one_through = webhook.held);
    }

    /// Deletes a webhook and discards all that it has queued or asleep; says how many. What is in flight finishes as ever. Costs
    /// what it discards.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn drop_webhook(&mut self, webhook: WebhookId) -> usize {
        let at = self.webhook(webhook);
        // Out of the ring first, so that it is not moved there for each that goes.
        self.ready.change(at, |webhook| (webhook.held, webhook.lets_one_through) = (true, false));
        let discarded = self.discard(at);
        self.ready.drop_webhook(at);
        discarded
    }

    /// Lets go of all that a webhook has queued or asleep; says how many. What is in flight finishes as ever. Costs what it lets go.
    ///
    /// # Panics
    /// When the webhook is not known.
    pub fn clear(&mut self, webhook: WebhookId) -> usize {
        self.discard(self.webhook(webhook))
    }

    fn discard(&mut self, at: u32) -> usize {
        let mut discarded = 0;
        let next = |webhook: &crate::webhooks::Webhook| {
            [webhook.fresh, webhook.retry, webhook.asleep].iter().find_map(List::first)
        };
        while let Some(delivery) = next(self.ready.get(at)) {
            self.detach(delivery);
            self.residents.remove(delivery);
            discarded += 1;
        }
        discarded
    }

    /// Queues a delivery behind the others of its lane.
    ///
    /// # Panics
    /// When the delivery is resident already, or its webhook is not known.
    pub fn ready(&mut self, key: DeliveryKey, webhook: WebhookId, lane: Lane) {
        let delivery = self.residents.insert(key, self.webhook(webhook), lane);
        self.queue(delivery, lane);
    }

    /// Puts a delivery to sleep; once due it joins its webhook's retries.
    ///
    /// # Panics
    /// When the delivery is resident already, or its webhook is not known.
    pub fn sleep(&mut self, key: DeliveryKey, webhook: WebhookId, due: Time) {
        let at = self.webhook(webhook);
        let delivery = self.residents.insert(key, at, Lane::Retry);
        let handle = self.wheel.insert(due, delivery);
        self.residents.set_place(delivery, Place::Asleep(handle));
        self.residents.push_back(&mut self.ready.get_mut(at).asleep, delivery);
    }

    /// Queues a sleeping delivery now, with its webhook's retries; false when it is not asleep.
    pub fn wake(&mut self, key: DeliveryKey) -> bool {
        let asleep = |&at: &u32| matches!(self.residents.get(at).place, Place::Asleep(_));
        let Some(delivery) = self.residents.find(key).filter(asleep) else {
            return false;
        };
        self.detach(delivery);
        self.queue(delivery, Lane::Retry);
        true
    }

    /// Lets go of a delivery that is asleep or queued; false when it is neither. One in flight stays until it is finished.
    pub fn forget(&mut self, key: DeliveryKey) -> bool {
        let waiting = |&at: &u32| !matches!(self.residents.get(at).place, Place::InFlight { .. });
        let Some(delivery) = self.residents.find(key).filter(waiting) else {
            return false;
        };
        self.detach(delivery);
        self.residents.remove(delivery);
        true
    }

    /// Queues the sleepers that are due by `now`, in order, a bounded number of them; true says that more are due: call again.
    #[must_use = "true says that more is due"]
    pub fn advance(&mut self, now: Time) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        let more = self.wheel.advance(now, ADVANCE_STEP, &mut woken);
        for delivery in woken.drain(..) {
            let at = self.residents.get(delivery).webhook;
            self.residents.unlink(&mut self.ready.get_mut(at).asleep, delivery);
            self.queue(delivery, Lane::Retry);
        }
        self.woken = woken;
        more
    }

    /// The next delivery to send, with its permits taken; `None` when no permit is free or nothing may run.
    pub fn pick(&mut self, now: Time) -> Option<Pick> {
        let pick = self.ready.pick(&mut self.residents, now)?;
        self.ready_len -= 1;
        Some(pick)
    }

    /// Ends an attempt that held its slot for `slot_time`: returns the permits, corrects the charge, and lets the delivery go.
    ///
    /// # Panics
    /// When the delivery is not in flight.
    pub fn finished(&mut self, key: DeliveryKey, slot_time: Millis) {
        self.give_back(key, Some(slot_time));
    }

    /// Ends an attempt that was not made after all: as [`Scheduler::finished`], but free of charge.
    ///
    /// # Panics
    /// When the delivery is not in flight.
    pub fn withdrawn(&mut self, key: DeliveryKey) {
        self.give_back(key, None);
    }

    fn give_back(&mut self, key: DeliveryKey, slot_time: Option<Millis>) {
        let delivery = self.residents.find(key).expect("a permit is given back only by what holds it");
        let resident = self.residents.get(delivery);
        self.ready.finished(resident.webhook, resident.place, slot_time);
        self.residents.remove(delivery);
    }

    /// Where a delivery is; `None` when it is not in RAM.
    pub fn residency(&self, key: DeliveryKey) -> Option<Residency> {
        let resident = self.residents.get(self.residents.find(key)?);
        Some(match resident.place {
            Place::Asleep(handle) => Residency::Asleep(self.wheel.due(handle).expect("a sleeper is in the wheel")),
            Place::Ready(lane) => Residency::Ready(lane),
            Place::InFlight { .. } => Residency::InFlight,
        })
    }

    /// A time before which neither a sleeper falls due nor a rate opens: how long a driver may sleep once [`Scheduler::pick`] has
    /// said `None` and no permit returns.
    pub fn next_due(&self) -> Option<Time> {
        self.wheel.next_due().into_iter().chain(self.ready.next_paced()).min()
    }

    /// Attempts in flight.
    pub fn in_flight(&self) -> u32 {
        self.ready.permits().in_flight()
    }

    /// Retries in flight.
    pub fn retries_in_flight(&self) -> u32 {
        self.ready.permits().retries()
    }

    /// Attempts in flight of webhooks that are slow now.
    pub fn slow_in_flight(&self) -> u32 {
        self.ready.permits().slow()
    }

    /// Attempts in flight to one host.
    pub fn host_in_flight(&self, host: &str) -> u32 {
        self.ready.hosts().in_flight(host)
    }

    /// Queued deliveries.
    pub fn ready_len(&self) -> usize {
        self.ready_len
    }

    /// Sleeping deliveries.
    pub fn asleep_len(&self) -> usize {
        self.wheel.len()
    }

    /// What a webhook has in RAM; `None` when it is not known.
    pub fn counts(&self, webhook: WebhookId) -> Option<Counts> {
        let webhook = self.ready.get(self.ready.find(webhook)?);
        Some(Counts {
            fresh: webhook.fresh.len(),
            retry: webhook.retry.len(),
            asleep: webhook.asleep.len(),
            in_flight: webhook.slots.held(),
            held: webhook.held,
            slot_time: webhook.slot_time.mean(),
        })
    }

    fn webhook(&self, id: WebhookId) -> u32 {
        self.ready.find(id).unwrap_or_else(|| panic!("webhook {id} is not known"))
    }

    fn queue(&mut self, delivery: u32, lane: Lane) {
        self.ready.push(&mut self.residents, delivery, lane);
        self.ready_len += 1;
    }

    /// Takes a delivery that waits out of its place.
    fn detach(&mut self, delivery: u32) {
        let (at, place) = (self.residents.get(delivery).webhook, self.residents.get(delivery).place);
        match place {
            Place::Asleep(handle) => {
                self.wheel.cancel(handle).expect("a sleeper is in the wheel");
                self.residents.unlink(&mut self.ready.get_mut(at).asleep, delivery);
            }
            Place::Ready(lane) => {
                self.ready.change(at, |webhook| self.residents.unlink(webhook.lane(lane), delivery));
                self.ready_len -= 1;
            }
            Place::InFlight { .. } => panic!("what is in flight is not waiting"),
        }
    }
}
