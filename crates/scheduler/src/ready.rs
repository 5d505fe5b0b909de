//! Whose turn it is: deficit round robin over webhooks, charged by slot time, inside the caps.
//!
//! Promises: while a permit is free and some delivery may run within the caps, one is picked; webhooks that compete get equal shares
//! of slot time, not of turns; a pick costs the same whoever is blocked, because who may not run is not in the ring. Every change to
//! a webhook ends in [`Ready::settle`], the one place that says where it stands.
//!
//! Refuses to own deliveries: their lists hang on the webhooks and are linked through [`Residents`].

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use postrider_core::ids::WebhookId;
use postrider_core::time::{Millis, Time};

use crate::hash::IdMap;
use crate::hosts::Hosts;
use crate::permits::{Limits, Permits};
use crate::residents::{Place, Residents};
use crate::ring::Class;
use crate::slab::Slab;
use crate::webhooks::{Standing, Webhook, cost};
use crate::{Lane, Pick};

/// The most rounds that a wrong guess may put a webhook behind: a minute of one slot. An endpoint that hung with all its slots and
/// has recovered is not made to wait for all that it took.
const DEBT_ROUNDS_MAX: u64 = 60_000;

pub(crate) struct Ready {
    webhooks: Slab<Webhook>,
    by_id: IdMap<WebhookId>,
    hosts: Hosts,
    permits: Permits,
    per_webhook: u32,
    /// Webhooks whose rate opens at a later time.
    paced: BTreeSet<(Time, u32)>,
    /// The round in progress. It never runs backward.
    round: u64,
    /// The latest time that was seen.
    now: Time,
}

impl Ready {
    pub(crate) fn new(limits: Limits) -> Ready {
        assert!(limits.per_webhook > 0, "without permits nothing is ever sent");
        Ready {
            webhooks: Slab::new(),
            by_id: IdMap::default(),
            hosts: Hosts::new(limits.per_host),
            permits: Permits::new(limits.global),
            per_webhook: limits.per_webhook,
            paced: BTreeSet::new(),
            round: 0,
            now: Time(0),
        }
    }

    pub(crate) fn permits(&self) -> &Permits {
        &self.permits
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub(crate) fn find(&self, id: WebhookId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn get(&self, at: u32) -> &Webhook {
        &self.webhooks[at]
    }

    /// For lists that nothing is picked from; other changes go through [`Ready::change`].
    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Webhook {
        &mut self.webhooks[at]
    }

    pub(crate) fn set_rate(&mut self, at: u32, rate: Option<NonZeroU32>) {
        let now = self.now;
        self.change(at, |webhook| webhook.pace.set(rate, now));
    }

    /// When the first rate opens.
    pub(crate) fn next_paced(&self) -> Option<Time> {
        self.paced.first().map(|&(time, _)| time)
    }

    pub(crate) fn add(&mut self, id: WebhookId, host: &str) {
        let at = self.webhooks.insert(Webhook::new(id, self.hosts.join(host)));
        assert!(self.by_id.insert(id, at).is_none(), "webhook {id} was added before");
    }

    pub(crate) fn set_host(&mut self, at: u32, host: &str) {
        self.stand(at, Standing::Idle);
        let old = std::mem::replace(&mut self.webhooks[at].host, self.hosts.join(host));
        self.hosts.leave(old);
        self.settle(at);
    }

    /// Takes a webhook out whose lists are empty. It stays without a name until its permits have returned.
    pub(crate) fn drop_webhook(&mut self, at: u32) {
        let webhook = &mut self.webhooks[at];
        webhook.dropped = true;
        self.by_id.remove(&webhook.id);
        self.stand(at, Standing::Idle);
        self.hosts.leave(self.webhooks[at].host);
        self.retire(at);
    }

    /// Changes a webhook, then puts it where it now belongs.
    pub(crate) fn change(&mut self, at: u32, change: impl FnOnce(&mut Webhook)) {
        change(&mut self.webhooks[at]);
        self.settle(at);
    }

    /// Queues a delivery that is on no list.
    pub(crate) fn push(&mut self, residents: &mut Residents, delivery: u32, lane: Lane) {
        let at = residents.get(delivery).webhook;
        residents.set_place(delivery, Place::Ready(lane));
        residents.push_back(self.webhooks[at].lane(lane), delivery);
        self.settle(at);
    }

    /// The next delivery, with its permits.
    pub(crate) fn pick(&mut self, residents: &mut Residents, now: Time) -> Option<Pick> {
        self.open_rates(now);
        if !self.permits.any_free() {
            return None;
        }
        let (class, (_, host)) = self.first_open()?;
        let of_host = self.hosts.get_mut(host);
        of_host.slots.take();
        let (round, at) = of_host.ring.first(class).expect("a host stands for a webhook in its ring");
        self.round = self.round.max(round);

        let webhook = &mut self.webhooks[at];
        let lane = webhook.turn(self.permits.retry_free());
        let delivery = webhook.lane(lane).first().expect("a webhook in the ring has something in an open lane");
        residents.unlink(webhook.lane(lane), delivery);
        webhook.last = lane;
        webhook.slots.take();
        webhook.lets_one_through = false;
        webhook.pace.book(now);
        let charge = webhook.slot_time.expected();
        webhook.round = self.round + u64::from(charge);
        self.permits.take(lane == Lane::Retry, class.slow);
        residents.set_place(delivery, Place::InFlight { lane, charge, host });
        let pick = Pick { key: residents.get(delivery).key, webhook: webhook.id, lane };
        self.place(at);
        self.hosts.restand(host);
        Some(pick)
    }

    /// An attempt has ended: its permits return, and its webhook is charged what it took instead of what was expected.
    /// `slot_time` is `None` where the attempt was not made: nothing is learned from it, and nothing charged.
    pub(crate) fn finished(&mut self, at: u32, place: Place, slot_time: Option<Millis>) {
        let Place::InFlight { lane, charge, host } = place else {
            panic!("a permit is given back only by what holds it: {place:?}");
        };
        let webhook = &mut self.webhooks[at];
        webhook.slots.give_back();
        let was_slow = webhook.slot_time.is_slow();
        self.permits.give_back(lane == Lane::Retry, was_slow);
        if let Some(slot_time) = slot_time {
            webhook.slot_time.observe(slot_time);
            webhook.slots.set_max(self.per_webhook);
        }
        if webhook.slot_time.is_slow() != was_slow {
            self.permits.reclass(webhook.slots.held(), !was_slow);
        }
        let corrected =
            (webhook.round + slot_time.map_or(0, |time| u64::from(cost(time)))).saturating_sub(u64::from(charge));
        webhook.round = corrected.min(self.round + DEBT_ROUNDS_MAX);
        self.settle(at);
        self.hosts.give_back(host);
        self.retire(at);
    }

    /// The class that may run now whose first turn comes first, with the host it stands at.
    fn first_open(&self) -> Option<(Class, (u64, u32))> {
        let (retry_free, slow_free) = (self.permits.retry_free(), self.permits.slow_free());
        Class::ALL
            .into_iter()
            .filter(|class| (retry_free || !class.retry_only) && (slow_free || !class.slow))
            .filter_map(|class| Some((class, self.hosts.ring.first(class)?)))
            .min_by_key(|&(_, first)| first)
    }

    /// Moves the webhooks whose rate has opened into the ring.
    fn open_rates(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(&(_, at)) = self.paced.first().filter(|&&(opens, _)| opens <= self.now) {
            self.settle(at);
        }
    }

    /// Puts a webhook where its state says that it belongs.
    fn settle(&mut self, at: u32) {
        if self.place(at) {
            self.hosts.restand(self.webhooks[at].host);
        }
    }

    /// As [`Ready::settle`], but its host must still be told when this says that something moved.
    fn place(&mut self, at: u32) -> bool {
        let webhook = &mut self.webhooks[at];
        let opens = webhook.pace.opens();
        let standing = if !webhook.may_run() {
            Standing::Idle
        } else if opens > self.now {
            Standing::Paced(opens)
        } else {
            // Who was away has saved nothing up: it joins the round in progress.
            if !matches!(webhook.standing, Standing::Listed(..)) {
                webhook.round = webhook.round.max(self.round);
            }
            Standing::Listed(webhook.class(), webhook.round)
        };
        self.stand(at, standing)
    }

    fn stand(&mut self, at: u32, standing: Standing) -> bool {
        let webhook = &mut self.webhooks[at];
        let (before, host) = (std::mem::replace(&mut webhook.standing, standing), webhook.host);
        if before == standing {
            return false;
        }
        match before {
            Standing::Idle => {}
            Standing::Paced(opens) => assert!(self.paced.remove(&(opens, at)), "a webhook waits where it was put"),
            Standing::Listed(class, round) => self.hosts.get_mut(host).ring.remove(class, round, at),
        }
        match standing {
            Standing::Idle => {}
            Standing::Paced(opens) => assert!(self.paced.insert((opens, at)), "a webhook waits in one place"),
            Standing::Listed(class, round) => self.hosts.get_mut(host).ring.insert(class, round, at),
        }
        true
    }

    fn retire(&mut self, at: u32) {
        if self.webhooks[at].dropped && self.webhooks[at].slots.held() == 0 {
            self.webhooks.remove(at);
        }
    }
}
