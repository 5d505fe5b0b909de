//! The scheduler against a naive model, under any sequence of operations: nothing is lost, doubled, early or over a cap, and while
//! something may run it is picked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

use postrider_core::ids::{DeliveryKey, Position, WebhookId};
use postrider_core::time::{Millis, Time};
use postrider_scheduler::wheel::TICK_MS;
use postrider_scheduler::{Lane, Limits, Pick, Residency, Scheduler};
use proptest::prelude::*;

const LIMITS: Limits = Limits { global: 8, per_webhook: 4, per_host: 5 };
const RETRIES_MAX: u32 = 4;
const SLOW_MAX: u32 = 6;
const WEBHOOKS: u64 = 6;
const HOSTS: [&str; 3] = ["one:443", "two:443", "three:8080"];

#[derive(Clone, Debug)]
enum Op {
    Drop(u64),
    Hold(u64),
    Release(u64),
    SetHost(u64, usize),
    SetRate(u64, Option<u32>),
    Ready(u64, Lane, u32),
    Sleep(u64, u64),
    Wake(usize),
    Forget(usize),
    Advance(u64),
    Pick(u32),
    Finish(usize, u64),
}

fn op() -> impl Strategy<Value = Op> {
    let webhook = 0..WEBHOOKS;
    let lane = prop_oneof![Just(Lane::Fresh), Just(Lane::Retry)];
    let slot_time = prop_oneof![0..50u64, 0..5_000u64, Just(15_000)];
    let rate = prop_oneof![Just(None), (1..2000u32).prop_map(Some)];
    prop_oneof![
        1 => webhook.clone().prop_map(Op::Drop),
        2 => webhook.clone().prop_map(Op::Hold),
        3 => webhook.clone().prop_map(Op::Release),
        2 => (webhook.clone(), 0..HOSTS.len()).prop_map(|(webhook, host)| Op::SetHost(webhook, host)),
        1 => (webhook.clone(), rate).prop_map(|(webhook, rate)| Op::SetRate(webhook, rate)),
        20 => (webhook.clone(), lane, 1..4u32).prop_map(|(webhook, lane, times)| Op::Ready(webhook, lane, times)),
        10 => (webhook, 0..100_000u64).prop_map(|(webhook, ahead)| Op::Sleep(webhook, ahead)),
        3 => any::<usize>().prop_map(Op::Wake),
        3 => any::<usize>().prop_map(Op::Forget),
        10 => prop_oneof![0..100u64, 0..60_000u64].prop_map(Op::Advance),
        20 => (1..6u32).prop_map(Op::Pick),
        20 => (any::<usize>(), slot_time).prop_map(|(which, slot_time)| Op::Finish(which, slot_time)),
    ]
}

/// Deliveries that came to a queue at once in no order that is promised.
type Batch = BTreeSet<DeliveryKey>;

#[derive(Default)]
struct Webhook {
    host: usize,
    held: bool,
    rate: Option<u32>,
    last_pick: Option<u64>,
    queues: [VecDeque<Batch>; 2],
}

#[derive(Default)]
struct Model {
    now: u64,
    next: u64,
    /// Numbers of webhooks are never reused: a dropped one comes back under the next.
    ids: BTreeMap<u64, u64>,
    webhooks: BTreeMap<WebhookId, Webhook>,
    asleep: BTreeMap<DeliveryKey, (u64, u64, WebhookId)>,
    in_flight: BTreeMap<DeliveryKey, (WebhookId, Lane, usize)>,
}

struct World {
    scheduler: Scheduler,
    model: Model,
}

impl World {
    /// The webhook that plays this part now; added when there is none.
    fn webhook(&mut self, part: u64) -> WebhookId {
        let times = *self.model.ids.entry(part).or_default();
        let id = WebhookId(1 + part + times * WEBHOOKS);
        self.model.webhooks.entry(id).or_insert_with(|| {
            let host = part as usize % HOSTS.len();
            self.scheduler.add_webhook(id, HOSTS[host]);
            Webhook { host, ..Webhook::default() }
        });
        id
    }

    fn of_model(&mut self, part: u64) -> (WebhookId, &mut Webhook) {
        let id = self.webhook(part);
        (id, self.model.webhooks.get_mut(&id).expect("just added"))
    }

    fn new_key(&mut self) -> DeliveryKey {
        self.model.next += 1;
        DeliveryKey { event: Position::from_u64(self.model.next), ordinal: 3 }
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Drop(part) => self.drop_webhook(part)?,
            Op::Hold(part) => {
                let (id, webhook) = self.of_model(part);
                webhook.held = true;
                self.scheduler.hold(id);
            }
            Op::Release(part) => {
                let (id, webhook) = self.of_model(part);
                webhook.held = false;
                self.scheduler.release(id);
            }
            Op::SetHost(part, host) => {
                let (id, webhook) = self.of_model(part);
                webhook.host = host;
                self.scheduler.set_host(id, HOSTS[host]);
            }
            Op::SetRate(part, rate) => {
                let (id, webhook) = self.of_model(part);
                webhook.rate = rate;
                self.scheduler.set_rate(id, rate.and_then(NonZeroU32::new));
            }
            Op::Ready(part, lane, times) => {
                for _ in 0..times {
                    let (key, (id, webhook)) = (self.new_key(), self.of_model(part));
                    webhook.queues[lane as usize].push_back(Batch::from([key]));
                    self.scheduler.ready(key, id, lane);
                }
            }
            Op::Sleep(part, ahead) => {
                let (key, id) = (self.new_key(), self.webhook(part));
                let due = self.model.now + ahead;
                // One that is due already comes with those of the tick in progress.
                let tick = due.div_ceil(TICK_MS).max(self.model.now / TICK_MS);
                self.model.asleep.insert(key, (tick, due, id));
                self.scheduler.sleep(key, id, Time(due));
            }
            Op::Wake(which) => self.wake(which)?,
            Op::Forget(which) => self.forget(which)?,
            Op::Advance(ahead) => self.advance(ahead),
            Op::Pick(times) => {
                for _ in 0..times {
                    self.pick()?;
                }
            }
            Op::Finish(which, slot_time) => {
                let Some(&key) = nth(self.model.in_flight.keys(), which) else {
                    return Ok(());
                };
                self.model.in_flight.remove(&key);
                self.scheduler.finished(key, Millis(slot_time));
            }
        }
        Ok(())
    }

    fn drop_webhook(&mut self, part: u64) -> Result<(), TestCaseError> {
        let id = self.webhook(part);
        *self.model.ids.entry(part).or_default() += 1;
        let webhook = self.model.webhooks.remove(&id).expect("it is there");
        let asleep = self.model.asleep.len();
        self.model.asleep.retain(|_, (_, _, of)| *of != id);
        let queued: usize = webhook.queues.iter().flatten().map(Batch::len).sum();
        prop_assert_eq!(self.scheduler.drop_webhook(id), queued + asleep - self.model.asleep.len());
        prop_assert!(!self.scheduler.knows(id));
        Ok(())
    }

    fn wake(&mut self, which: usize) -> Result<(), TestCaseError> {
        let Some(&key) = nth(self.model.asleep.keys(), which) else {
            return Ok(());
        };
        let (_, _, id) = self.model.asleep.remove(&key).expect("just seen");
        self.model.webhooks.get_mut(&id).expect("it is there").queues[1].push_back(Batch::from([key]));
        prop_assert!(self.scheduler.wake(key));
        prop_assert!(!self.scheduler.wake(key), "it is awake");
        Ok(())
    }

    /// Of a delivery in any place, or of one that is gone.
    fn forget(&mut self, which: usize) -> Result<(), TestCaseError> {
        let key = DeliveryKey { event: Position::from_u64(1 + which as u64 % self.model.next.max(1)), ordinal: 3 };
        let mut waits = self.model.asleep.remove(&key).is_some();
        for queue in self.model.webhooks.values_mut().flat_map(|webhook| &mut webhook.queues) {
            waits |= queue.iter_mut().any(|batch| batch.remove(&key));
            queue.retain(|batch| !batch.is_empty());
        }
        prop_assert_eq!(self.scheduler.forget(key), waits);
        Ok(())
    }

    fn advance(&mut self, ahead: u64) {
        let model = &mut self.model;
        model.now += ahead;
        let mut due: BTreeMap<(u64, WebhookId), Batch> = BTreeMap::new();
        for (&key, &(tick, _, id)) in model.asleep.iter().filter(|(_, (tick, ..))| tick * TICK_MS <= model.now) {
            due.entry((tick, id)).or_default().insert(key);
        }
        model.asleep.retain(|_, (tick, ..)| *tick * TICK_MS > model.now);
        for ((_, id), batch) in due {
            model.webhooks.get_mut(&id).expect("it is there").queues[1].push_back(batch);
        }
        while self.scheduler.advance(Time(model.now)) {}
    }

    fn pick(&mut self) -> Result<(), TestCaseError> {
        let (must, may) = (self.must_run(), self.may_run_all());
        let Some(Pick { key, webhook, lane }) = self.scheduler.pick(Time(self.model.now)) else {
            prop_assert_eq!(must, None, "may run, and was not picked");
            return Ok(());
        };
        prop_assert!(may.contains(&(webhook, lane)), "{webhook} was picked against a rule");
        let of_model = self.model.webhooks.get_mut(&webhook).expect("picked of a webhook that is known");
        of_model.last_pick = Some(self.model.now);
        let first = of_model.queues[lane as usize].front_mut().expect("picked from a queue that has something");
        prop_assert!(first.remove(&key), "picked out of order");
        of_model.queues[lane as usize].retain(|batch| !batch.is_empty());
        self.model.in_flight.insert(key, (webhook, lane, of_model.host));
        Ok(())
    }

    /// Whether the caps and its state let a webhook take one from a lane, its rate aside.
    fn may_run(&self, id: WebhookId, lane: Lane) -> bool {
        let webhook = &self.model.webhooks[&id];
        let count = |test: &dyn Fn(&(WebhookId, Lane, usize)) -> bool| {
            self.model.in_flight.values().filter(|&attempt| test(attempt)).count() as u32
        };
        let is_slow =
            |id| self.scheduler.counts(id).and_then(|counts| counts.slot_time).is_some_and(|mean| mean.0 > 1000);
        let own_max = self.scheduler.counts(id).and_then(|counts| counts.slot_time).map_or(1, |_| LIMITS.per_webhook);
        !webhook.held
            && !webhook.queues[lane as usize].is_empty()
            && count(&|_| true) < LIMITS.global
            && count(&|attempt| attempt.0 == id) < own_max
            && count(&|attempt| attempt.2 == webhook.host) < LIMITS.per_host
            && (lane == Lane::Fresh || count(&|attempt| attempt.1 == Lane::Retry) < RETRIES_MAX)
            // What a dropped webhook holds keeps its class, which the model can no longer see: so only the scheduler's count.
            && (!is_slow(id) || self.scheduler.slow_in_flight() < SLOW_MAX)
    }

    fn may_run_all(&self) -> Vec<(WebhookId, Lane)> {
        let lanes = self.model.webhooks.keys().flat_map(|&id| [(id, Lane::Fresh), (id, Lane::Retry)]);
        lanes.filter(|&(id, lane)| self.may_run(id, lane)).collect()
    }

    /// A webhook that may run for certain, if there is any.
    fn must_run(&self) -> Option<WebhookId> {
        let rate_is_open = |webhook: &Webhook| match (webhook.rate, webhook.last_pick) {
            (Some(rate), Some(last)) => self.model.now > last + 1000 / u64::from(rate) + 100,
            _ => true,
        };
        let may = |id| self.may_run(id, Lane::Fresh) || self.may_run(id, Lane::Retry);
        self.model.webhooks.iter().find(|&(&id, webhook)| rate_is_open(webhook) && may(id)).map(|(&id, _)| id)
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (scheduler, model) = (&self.scheduler, &self.model);
        let mut places: BTreeMap<DeliveryKey, Residency> = BTreeMap::new();
        places.extend(model.asleep.iter().map(|(&key, &(_, due, _))| (key, Residency::Asleep(Time(due)))));
        places.extend(model.in_flight.keys().map(|&key| (key, Residency::InFlight)));
        for webhook in model.webhooks.values() {
            for (queue, lane) in webhook.queues.iter().zip([Lane::Fresh, Lane::Retry]) {
                places.extend(queue.iter().flatten().map(|&key| (key, Residency::Ready(lane))));
            }
        }
        for number in 1..=model.next {
            let key = DeliveryKey { event: Position::from_u64(number), ordinal: 3 };
            prop_assert_eq!(scheduler.residency(key), places.get(&key).copied(), "{}", key);
        }
        prop_assert_eq!(scheduler.in_flight() as usize, model.in_flight.len());
        prop_assert_eq!(scheduler.asleep_len(), model.asleep.len());
        prop_assert_eq!(scheduler.ready_len(), places.len() - model.in_flight.len() - model.asleep.len());
        prop_assert!(scheduler.in_flight() <= LIMITS.global && scheduler.retries_in_flight() <= RETRIES_MAX);
        for (at, host) in HOSTS.iter().enumerate() {
            let held = model.in_flight.values().filter(|attempt| attempt.2 == at).count();
            prop_assert!(held <= LIMITS.per_host as usize);
            prop_assert_eq!(scheduler.host_in_flight(host) as usize, held);
        }
        for (&id, webhook) in &model.webhooks {
            let counts = scheduler.counts(id).expect("it is known");
            let queued = |lane: Lane| webhook.queues[lane as usize].iter().map(Batch::len).sum::<usize>();
            prop_assert_eq!((counts.fresh as usize, counts.retry as usize), (queued(Lane::Fresh), queued(Lane::Retry)));
            prop_assert_eq!(counts.held, webhook.held);
            prop_assert!(counts.in_flight <= LIMITS.per_webhook);
        }
        let first = model.asleep.values().map(|&(tick, ..)| tick * TICK_MS).min();
        if let Some(first) = first {
            prop_assert!(scheduler.next_due().is_some_and(|bound| bound.0 <= first), "a driver would oversleep");
        }
        Ok(())
    }
}

fn nth<K>(mut keys: impl ExactSizeIterator<Item = K>, which: usize) -> Option<K> {
    let len = keys.len();
    keys.nth(which.checked_rem(len)?)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_scheduler_does_what_the_model_does(ops in prop::collection::vec(op(), 1..200)) {
        let model = Model { now: 1_771_497_000_000, ..Model::default() };
        let mut world = World { scheduler: Scheduler::new(LIMITS), model };
        world.advance(0);
        for op in ops {
            world.apply(op)?;
            world.check()?;
        }
        world.drain()?;
    }
}

impl World {
    /// Once all is released and answered, everything that is left runs, however it was tangled.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        let ids: Vec<WebhookId> = self.model.webhooks.keys().copied().collect();
        for id in ids {
            self.scheduler.release(id);
            self.scheduler.set_rate(id, None);
            let webhook = self.model.webhooks.get_mut(&id).expect("just seen");
            (webhook.held, webhook.rate) = (false, None);
        }
        self.advance(200_000);
        loop {
            self.apply(Op::Pick(LIMITS.global))?;
            self.check()?;
            if self.model.in_flight.is_empty() {
                break;
            }
            while !self.model.in_flight.is_empty() {
                self.apply(Op::Finish(0, 20))?;
            }
        }
        prop_assert_eq!(
            (self.scheduler.ready_len(), self.scheduler.asleep_len(), self.scheduler.in_flight()),
            (0, 0, 0)
        );
        Ok(())
    }
}
