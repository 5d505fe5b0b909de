//! Where deliveries are: each that is unfinished in exactly one place, none forgotten, none late without a reason.

use postrider_core::Time;
use postrider_core::delivery::Status;
use postrider_engine::shard::Shard;
use postrider_log::LogWriter;
use postrider_scheduler::Residency;

use super::hook::Hook;
use super::{Checker, Verdict, law};

/// A rate's slack, and the second that the law allows.
const PACE_MS: u64 = 2_100;

impl Checker {
    /// After each step: as many are resident as are unfinished. Costs nothing to speak of.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn counts<W: LogWriter>(&self, shard: &Shard<W>) -> Verdict {
        let scheduler = shard.scheduler();
        let in_flight = scheduler.in_flight() as usize;
        law!(3, in_flight == self.flights.len(), "{in_flight} permits are held for {} attempts", self.flights.len());
        let resident = scheduler.ready_len() + scheduler.asleep_len();
        let waiting: usize = self.hooks.values().map(Hook::waiting).sum();
        law!(3, resident == waiting, "{resident} deliveries wait in the schedule, {waiting} by the books");
        let pending = shard.kernel().pending();
        law!(2, pending == self.unfinished(), "{pending} are counted as pending, {} by the books", self.unfinished());
        Ok(())
    }

    /// One by one: exactly the unfinished deliveries are resident, and every cell is what the durable facts say.
    ///
    /// # Errors
    /// When a delivery is absent, different, or somewhere where it does not belong.
    pub fn each_place<W: LogWriter>(&self, shard: &Shard<W>) -> Verdict {
        for (key, delivery) in &self.deliveries {
            let cell = shard.overlay().cell(*key);
            law!(1, cell.is_some(), "{key} was durable and is absent");
            law!(2, cell == Some(&delivery.cell), "{key} is {cell:?}, and {:?} is durable", delivery.cell);
            let is_unfinished = delivery.cell.status == Status::Pending && self.is_alive(&delivery.cell);
            let is_flying = self.flights.contains_key(key);
            let place = shard.scheduler().residency(*key);
            let is_right = match place {
                Some(Residency::InFlight) => is_flying,
                Some(_) => is_unfinished && !is_flying,
                None => !is_unfinished && !is_flying,
            };
            law!(3, is_right, "{key} is at {place:?}: unfinished {is_unfinished}, in flight {is_flying}");
        }
        self.removed_are_erased()
    }

    /// The engine does nothing from the end of this step, at which `now` it was, until `until`: nothing may fall behind meanwhile.
    ///
    /// # Errors
    /// When a delivery below its limits is then more than a second late.
    pub fn sleeps(&self, now: Time, until: Time) -> Verdict {
        let global = self.limits.global as usize;
        if self.flights.len() >= global {
            return Ok(());
        }
        let retries_full = self.flights.values().filter(|flight| flight.is_retry).count() >= self.retries_max();
        let slow =
            self.hooks.values().filter(|hook| hook.may_be_slow).map(|hook| hook.in_flight as usize).sum::<usize>();
        let slow_full = slow >= (global * 3 / 4).max(1);
        for hook in self.hooks.values().filter(|hook| hook.alive && hook.waiting() > 0) {
            if self.is_limited(hook, until) || slow_full && hook.may_be_slow {
                continue;
            }
            let first = [hook.fresh.first(), hook.retry.first().filter(|_| !retries_full)];
            for &(due, key) in first.into_iter().flatten() {
                let is_late = due.0 + 1000 < until.0;
                law!(5, !is_late, "{key} was due at {due}, could run at {now}, and is left until {until}");
            }
        }
        Ok(())
    }

    fn is_limited(&self, hook: &Hook, until: Time) -> bool {
        let settings = &hook.webhook.settings;
        let slots = if hook.answered { self.limits.per_webhook } else { 1 };
        let host = hook.host();
        let to_host = self.flights.values().filter(|flight| flight.host == host).count();
        let paced = settings.rate_limit.is_some() && hook.last_start.is_some_and(|at| until.0 < at.0 + PACE_MS);
        !settings.enabled || hook.in_flight >= slots || to_host >= self.limits.per_host as usize || paced
    }
}
