//! What leaves the house: attempts that are picked, written, answered, and cut off by a crash.

use postrider_core::attempt::Exchange;
use postrider_core::delivery::Status;
use postrider_core::sealed::Sealed;
use postrider_core::{DeliveryKey, Position, Time};
use postrider_engine::shard::Job;

use super::hook::is_first;
use super::{Checker, Verdict, broken, law};

/// One attempt that holds permits.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) number: u32,
    pub(super) host: Box<str>,
    pub(super) is_retry: bool,
    /// The request was written.
    pub(super) written: bool,
    /// When it ended, and what it came to.
    pub(super) ended: Option<(Time, Exchange)>,
}

/// A request, as far as it is judged.
pub struct Request<'a> {
    /// Of which delivery.
    pub key: DeliveryKey,
    /// Number of the attempt.
    pub number: u32,
    /// Of the webhook that it was made for.
    pub version: Position,
    /// Where it goes.
    pub url: &'a str,
    /// What it is signed with.
    pub secret: Option<&'a Sealed>,
    /// Of the body, a hash.
    pub body: u64,
}

impl Checker {
    /// An attempt takes its permits.
    ///
    /// # Errors
    /// When it is early, or one too many in any respect.
    pub fn picked(&mut self, job: &Job, now: Time) -> Verdict {
        let key = job.cell.key;
        let Some(delivery) = self.deliveries.get(&key) else {
            return Err(broken!(1, "{key} is attempted, which no event has"));
        };
        let cell = delivery.cell;
        law!(4, cell.status == Status::Pending && self.is_alive(&cell), "{key} is attempted and has ended: {cell:?}");
        law!(4, job.number == cell.attempts + 1, "attempt {} of {key} after {}", job.number, cell.attempts);
        law!(5, now >= cell.due, "{key} is attempted at {now}, before {}", cell.due);
        let Some(hook) = self.hooks.get_mut(&cell.webhook) else {
            return Ok(());
        };
        if !hook.webhook.settings.enabled {
            law!(8, hook.may_be_tried(now), "{key} is attempted while its webhook is off: {hook:?}");
            hook.tried += 1;
        }
        law!(7, hook.in_flight < self.limits.per_webhook, "over {} to one webhook", self.limits.per_webhook);
        if hook.webhook.settings.ordered {
            law!(14, hook.in_flight == 0, "{key} is attempted while another one of its ordered webhook is");
            let first = hook.first().map(|(_, first)| first);
            law!(14, first == Some(key), "{key} is attempted before {first:?}, which is of an older event");
        }
        hook.in_flight += 1;
        hook.last_start = Some(now);
        hook.unwait(&cell);
        let (host, is_retry) = (hook.host.clone(), !is_first(&cell));
        let to_host = self.flights.values().filter(|flight| flight.host == host).count();
        law!(7, to_host < self.limits.per_host as usize, "over {} to {host}", self.limits.per_host);
        law!(7, self.flights.len() < self.limits.global as usize, "over {} in all", self.limits.global);
        law!(7, !is_retry || self.retries_in_flight() < self.retries_max(), "over {} retries", self.retries_max());
        let flight = Flight { number: job.number, host, is_retry, written: false, ended: None };
        law!(3, self.flights.insert(key, flight).is_none(), "{key} is in flight twice");
        Ok(())
    }

    /// A request goes out.
    ///
    /// # Errors
    /// When it may not, or carries another body than before.
    pub fn written(&mut self, request: &Request<'_>) -> Verdict {
        let Request { key, number, version, url, secret, body } = *request;
        let (Some(flight), Some(delivery)) = (self.flights.get_mut(&key), self.deliveries.get_mut(&key)) else {
            return Err(broken!(3, "{key} is written and not in flight"));
        };
        law!(4, !flight.written, "attempt {number} of {key} is written twice");
        flight.written = true;
        let current = self.hooks.get(&delivery.cell.webhook).filter(|hook| hook.alive);
        let is_wanted = current.is_some_and(|hook| {
            let is_tried = hook.webhook.failing_since.is_some();
            (hook.webhook.settings.enabled || is_tried) && hook.webhook.version == version
        });
        law!(8, is_wanted, "{key} is sent by version {version} of a webhook that is now {current:?}");
        let settings = current.map(|hook| &hook.webhook.settings);
        let is_newest = settings.is_some_and(|s| *s.url == *url && s.secret.as_ref() == secret);
        law!(8, is_newest, "attempt {number} of {key} has another URL or secret than its webhook");
        law!(10, body == delivery.body, "attempt {number} of {key} has another body");
        if number <= delivery.reached {
            law!(9, self.cut.contains(&key), "attempt {number} of {key} came before, and no crash took its outcome");
            self.duplicates += 1;
        }
        delivery.reached = delivery.reached.max(number);
        Ok(())
    }

    /// The receiver has answered, or not in time.
    pub fn ended(&mut self, key: DeliveryKey, now: Time, exchange: &Exchange) {
        if let Some(flight) = self.flights.get_mut(&key) {
            flight.ended = Some((now, exchange.clone()));
        }
    }

    /// An attempt was not made after all.
    ///
    /// # Errors
    /// When it was.
    pub fn withdrawn(&mut self, key: DeliveryKey) -> Verdict {
        let written = self.flights.get(&key).map(|flight| flight.written);
        law!(3, written == Some(false), "{key} is withdrawn: {written:?}");
        self.land(key);
        self.wait_again(key);
        Ok(())
    }

    /// The permits of an attempt are free.
    pub(super) fn land(&mut self, key: DeliveryKey) {
        let Some(flight) = self.flights.remove(&key) else {
            return;
        };
        let webhook = self.deliveries.get(&key).map(|delivery| delivery.cell.webhook);
        let Some(hook) = webhook.and_then(|id| self.hooks.get_mut(&id)) else {
            return;
        };
        hook.in_flight -= 1;
        hook.answered |= flight.ended.is_some();
        hook.may_be_slow |= flight.ended.is_some_and(|(_, exchange)| exchange.duration.0 > 1000);
    }

    fn wait_again(&mut self, key: DeliveryKey) {
        let Some(cell) = self.deliveries.get(&key).map(|delivery| delivery.cell) else {
            return;
        };
        if let Some(hook) = self.hooks.get_mut(&cell.webhook).filter(|_| cell.status == Status::Pending) {
            hook.wait(&cell);
        }
    }

    /// The process is gone, and with it what was in flight.
    ///
    /// # Errors
    /// When more outcomes are lost than there are permits.
    pub fn crashed(&mut self) -> Verdict {
        let flights = std::mem::take(&mut self.flights);
        let lost = flights.values().filter(|flight| flight.written).count();
        law!(9, lost <= self.limits.global as usize, "{lost} outcomes are lost, over {}", self.limits.global);
        for (key, flight) in flights {
            if flight.written {
                self.cut.insert(key);
            }
            self.wait_again(key);
        }
        for hook in self.hooks.values_mut() {
            hook.forget_process();
        }
        Ok(())
    }

    /// The process says that it has stopped.
    ///
    /// # Errors
    /// When something was still in flight.
    pub fn stopped(&mut self) -> Verdict {
        law!(9, self.flights.is_empty(), "it stopped with {} in flight", self.flights.len());
        self.crashed()
    }

    /// At most half of the permits are for retries.
    pub(super) fn retries_max(&self) -> usize {
        (self.limits.global as usize / 2).max(1)
    }
}
