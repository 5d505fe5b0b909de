//! Where deliveries are: each that is unfinished in exactly one place, none forgotten, none late without a reason.

use postrider_core::Time;
use postrider_core::delivery::Status;
use postrider_engine::shard::Shard;
use postrider_log::LogWriter;
use postrider_scheduler::Residency;

use super::hook::Hook;
use super::{Checker, Verdict, law};
use crate::store::Store;

/// A rate's slack, and the second that the law allows it.
const PACE_MS: u64 = 2_100;
/// The second that the law allows; and two more where a queue that was full comes back from the store.
const LATE_MS: u64 = 1_000;
const LATE_FROM_STORE_MS: u64 = 3_000;

impl Checker {
    /// After each step: as many are resident as are unfinished, and whoever has no answer waits in the inbox. Costs nothing to speak of.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn counts<W: LogWriter>(&self, shard: &Shard<W>, asking: usize) -> Verdict {
        law!(12, asking == self.unanswered, "{} wait for an answer, and {asking} wishes wait", self.unanswered);
        let scheduler = shard.scheduler();
        let in_flight = scheduler.in_flight() as usize;
        law!(3, in_flight == self.flights.len(), "{in_flight} permits are held for {} attempts", self.flights.len());
        let resident = scheduler.ready_len() + scheduler.asleep_len();
        let waiting: usize = self.hooks.values().map(Hook::waiting).sum();
        // Of an ordered webhook there is one at the most.
        let (ordered, others): (Vec<&Hook>, Vec<&Hook>) =
            self.hooks.values().partition(|hook| hook.webhook.settings.ordered);
        let least: usize = others.iter().map(|hook| hook.waiting()).sum();
        let most = least + ordered.iter().filter(|hook| hook.waiting() > 0).count();
        let is_right = resident <= most && (shard.met_until().is_some() || resident >= least);
        law!(3, is_right, "{resident} deliveries wait in the schedule, {waiting} by the books");
        let pending = shard.kernel().pending();
        law!(2, pending == self.unfinished(), "{pending} are counted as pending, {} by the books", self.unfinished());
        Ok(())
    }

    /// One by one: exactly the unfinished deliveries are resident, and every cell is what the durable facts say.
    ///
    /// # Errors
    /// When a delivery is absent, different, or somewhere where it does not belong.
    pub fn each_place<W: LogWriter>(&self, shard: &Shard<W>, store: Option<&Store>) -> Verdict {
        for (key, delivery) in &self.deliveries {
            // What was let go is as the store has it: no later fact is about it.
            let let_go = || store?.cell(*key);
            let cell = shard.overlay().cell(*key).or_else(let_go);
            law!(1, cell.is_some(), "{key} was durable and is absent");
            law!(2, cell == Some(&delivery.cell), "{key} is {cell:?}, and {:?} is durable", delivery.cell);
            let is_unfinished = delivery.cell.status == Status::Pending && self.is_alive(&delivery.cell);
            let is_flying = self.flights.contains_key(key);
            let place = shard.scheduler().residency(*key);
            let is_right = match place {
                Some(Residency::InFlight) => is_flying,
                Some(_) => is_unfinished && !is_flying,
                None => !is_flying && (!is_unfinished || shard.will_recall(&delivery.cell)),
            };
            law!(3, is_right, "{key} is at {place:?}: unfinished {is_unfinished}, in flight {is_flying}");
        }
        self.each_replay(shard)?;
        // What is to be looked at for it is read first.
        if shard.is_checking() { Ok(()) } else { self.removed_are_erased() }
    }

    /// The engine does nothing from the end of this step, at which `now` it was, until `until`: nothing may fall behind meanwhile. Nobody is
    /// blamed for what was due before it could do anything, at `since`.
    ///
    /// # Errors
    /// When a delivery below its limits is then more than a second late.
    pub fn sleeps(&self, now: Time, until: Time, since: Time, has_store: bool) -> Verdict {
        let allowed = if has_store { LATE_FROM_STORE_MS } else { LATE_MS };
        let global = self.limits.global as usize;
        if self.flights.len() >= global {
            return Ok(());
        }
        let is_late = |&&(due, _): &&(Time, _)| due.max(since).0 + allowed < until.0;
        for hook in self.hooks.values().filter(|hook| hook.waiting() > 0) {
            if hook.webhook.settings.ordered {
                self.first_is_late(hook, until, since.max(hook.moved_at), allowed)?;
                continue;
            }
            let late = [hook.fresh.first(), hook.retry.first()].map(|first| first.filter(is_late));
            if late == [None, None] || self.is_limited(hook, until) {
                continue;
            }
            for &(due, key) in late.into_iter().flatten() {
                let is_retry = late[1] == Some(&(due, key));
                law!(
                    5,
                    is_retry && self.retries_in_flight() >= self.retries_max(),
                    "{key} was due at {due}, could run at {now}, and is left until {until}"
                );
            }
        }
        Ok(())
    }

    /// Of an ordered webhook the first one counts: others are due as they may.
    fn first_is_late(&self, hook: &Hook, until: Time, since: Time, allowed: u64) -> Verdict {
        let Some((due, key)) = hook.first().filter(|_| !self.is_limited(hook, until)) else { return Ok(()) };
        let is_retry = !hook.fresh.contains(&(due, key));
        let is_full = is_retry && self.retries_in_flight() >= self.retries_max();
        let is_late = due.max(since).0 + allowed < until.0;
        law!(
            14,
            !is_late || is_full,
            "{key} is the first of an ordered webhook, was due at {due}, and is left until {until}"
        );
        Ok(())
    }

    pub(super) fn retries_in_flight(&self) -> usize {
        self.flights.values().filter(|flight| flight.is_retry).count()
    }

    /// Whether slow webhooks hold as many permits together as they may.
    fn is_slow_full(&self) -> bool {
        let slow = self.hooks.values().filter(|hook| hook.may_be_slow).map(|hook| hook.in_flight).sum::<u32>();
        slow >= (self.limits.global * 3 / 4).max(1)
    }

    fn is_limited(&self, hook: &Hook, until: Time) -> bool {
        let settings = &hook.webhook.settings;
        let slots = if hook.answered && !settings.ordered { self.limits.per_webhook } else { 1 };
        let to_host = self.flights.values().filter(|flight| flight.host == hook.host).count();
        let paced = settings.rate_limit.is_some() && hook.last_start.is_some_and(|at| until.0 < at.0 + PACE_MS);
        !settings.enabled
            || hook.in_flight >= slots
            || to_host >= self.limits.per_host as usize
            || paced
            || hook.may_be_slow && self.is_slow_full()
    }
}
