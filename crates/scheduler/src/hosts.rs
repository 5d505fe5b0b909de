//! Hosts: a cap shared by the webhooks that lie there.
//!
//! A host keeps the ring of its own webhooks that may run, and stands in the engine's ring once a class with the round of the first
//! of them. A host at its cap leaves the engine's ring with all its webhooks in one step, however many they are.

use std::collections::BTreeMap;

use crate::permits::Slots;
use crate::ring::{Class, Ring};
use crate::slab::Slab;

pub(crate) struct Host {
    name: Box<str>,
    webhooks: u32,
    pub(crate) slots: Slots,
    /// Its webhooks that may run but for the caps beyond them.
    pub(crate) ring: Ring,
    /// The round under which it stands in the engine's ring, by class.
    standing: [Option<u64>; Class::COUNT],
}

pub(crate) struct Hosts {
    slab: Slab<Host>,
    by_name: BTreeMap<Box<str>, u32>,
    slots_max: u32,
    /// The hosts below their caps.
    pub(crate) ring: Ring,
}

impl Hosts {
    pub(crate) fn new(slots_max: u32) -> Hosts {
        assert!(slots_max > 0, "without permits nothing is ever sent");
        Hosts { slab: Slab::new(), by_name: BTreeMap::new(), slots_max, ring: Ring::new() }
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Host {
        &mut self.slab[at]
    }

    /// In flight to a host by name.
    pub(crate) fn in_flight(&self, name: &str) -> u32 {
        self.by_name.get(name).map_or(0, |&at| self.slab[at].slots.held())
    }

    /// A webhook comes to lie at `name`.
    pub(crate) fn join(&mut self, name: &str) -> u32 {
        let at = match self.by_name.get(name) {
            Some(&at) => at,
            None => {
                let (slots, ring) = (Slots::new(self.slots_max), Ring::new());
                let at = self.slab.insert(Host {
                    name: name.into(),
                    webhooks: 0,
                    slots,
                    ring,
                    standing: Default::default(),
                });
                self.by_name.insert(name.into(), at);
                at
            }
        };
        self.slab[at].webhooks += 1;
        at
    }

    /// A webhook that has left the host's ring no longer lies there.
    pub(crate) fn leave(&mut self, at: u32) {
        self.slab[at].webhooks -= 1;
        self.restand(at);
        self.retire(at);
    }

    /// An attempt's permit returns.
    pub(crate) fn give_back(&mut self, at: u32) {
        self.slab[at].slots.give_back();
        self.restand(at);
        self.retire(at);
    }

    /// Puts the host where its cap and its webhooks now say.
    pub(crate) fn restand(&mut self, at: u32) {
        let host = &mut self.slab[at];
        let open = host.slots.has_free();
        for class in Class::ALL {
            let now = host.ring.first(class).map(|(round, _)| round).filter(|_| open);
            let before = std::mem::replace(&mut host.standing[class.index()], now);
            if now == before {
                continue;
            }
            if let Some(round) = before {
                self.ring.remove(class, round, at);
            }
            if let Some(round) = now {
                self.ring.insert(class, round, at);
            }
        }
    }

    fn retire(&mut self, at: u32) {
        let host = &self.slab[at];
        if host.webhooks == 0 && host.slots.held() == 0 {
            let host = self.slab.remove(at);
            self.by_name.remove(&host.name);
        }
    }
}
