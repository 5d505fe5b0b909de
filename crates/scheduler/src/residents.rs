//! The deliveries that are in RAM, each in exactly one place.
//!
//! Owns the index by key, so that a second entry of the same delivery is noticed (an assert: it would be sent twice), and the links
//! of the lists that they form: each is on one list of its webhook's, or in flight and on none.

use postrider_core::ids::DeliveryKey;

use crate::Lane;
use crate::hash::IdMap;
use crate::slab::Slab;
use crate::wheel::Handle;

const NIL: u32 = u32::MAX;

/// Where a delivery is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In the wheel, and on its webhook's list of sleepers.
    Asleep(Handle),
    /// On its webhook's list for this lane.
    Ready(Lane),
    /// Charged so many rounds to its webhook, and holding a permit of this host (the webhook may have moved since).
    InFlight { lane: Lane, charge: u32, host: u32 },
}

pub(crate) struct Resident {
    pub(crate) key: DeliveryKey,
    pub(crate) webhook: u32,
    pub(crate) place: Place,
    next: u32,
    prev: u32,
}

/// A list of deliveries, linked through themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    pub(crate) const EMPTY: List = List { head: NIL, tail: NIL, len: 0 };

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn first(&self) -> Option<u32> {
        Some(self.head).filter(|&at| at != NIL)
    }
}

pub(crate) struct Residents {
    slab: Slab<Resident>,
    index: IdMap<DeliveryKey>,
}

impl Residents {
    pub(crate) fn new() -> Residents {
        Residents { slab: Slab::new(), index: IdMap::default() }
    }

    pub(crate) fn find(&self, key: DeliveryKey) -> Option<u32> {
        self.index.get(&key).copied()
    }

    pub(crate) fn get(&self, at: u32) -> &Resident {
        &self.slab[at]
    }

    pub(crate) fn set_place(&mut self, at: u32, place: Place) {
        self.slab[at].place = place;
    }

    /// Takes a delivery in, on no list yet.
    pub(crate) fn insert(&mut self, key: DeliveryKey, webhook: u32, lane: Lane) -> u32 {
        let at = self.slab.insert(Resident { key, webhook, place: Place::Ready(lane), next: NIL, prev: NIL });
        assert!(self.index.insert(key, at).is_none(), "{key} is resident already");
        at
    }

    /// Lets go of a delivery that is on no list.
    pub(crate) fn remove(&mut self, at: u32) -> Resident {
        let resident = self.slab.remove(at);
        self.index.remove(&resident.key);
        resident
    }

    pub(crate) fn push_back(&mut self, list: &mut List, at: u32) {
        let resident = &mut self.slab[at];
        (resident.prev, resident.next) = (list.tail, NIL);
        match list.tail {
            NIL => list.head = at,
            tail => self.slab[tail].next = at,
        }
        list.tail = at;
        list.len += 1;
    }

    pub(crate) fn unlink(&mut self, list: &mut List, at: u32) {
        let Resident { next, prev, .. } = self.slab[at];
        // What lies before the first and behind the last is never read, so taking the first does not touch the second.
        match list.head == at {
            true => list.head = next,
            false => self.slab[prev].next = next,
        }
        match list.tail == at {
            true => list.tail = prev,
            false if list.head == next => {}
            false => self.slab[next].prev = prev,
        }
        list.len -= 1;
        if list.len == 0 {
            *list = List::EMPTY;
        }
    }
}
