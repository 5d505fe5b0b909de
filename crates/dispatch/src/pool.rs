//! Idle connections, kept for the next request to the same origin at the same address; and those of HTTP/2, which several requests share.
//!
//! A connection to an address that its name has left is not used again, and closed when that is noticed.
//! The one used last is taken first, so that a burst's extra connections grow old and close. Bounded over all; at the bound the one that
//! was idle longest goes. Nobody waits on an idle connection: one that the receiver closed is found when
//! it is taken, and by the sweep. Of HTTP/2 connections the first with a place is taken, so that others come to rest.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::exchange::Link;
use crate::http2::{Channel, Lease};
use crate::limits::{CHANNELS_PER_ORIGIN_MAX, CONNECTION_AGE_MAX, IDLE_AGE_MAX, IDLE_MAX, SWEEP_EVERY};
use crate::line::Line;
use crate::target::Origin;

/// The idle connections of one dispatcher.
pub(crate) struct Pool {
    // One thread uses a dispatcher, so this is never waited for; and it is never held across an await.
    idle: Mutex<Idle>,
}

struct Idle {
    /// By origin, the one that was idle longest in front. A queue can be empty until the next sweep.
    links: HashMap<Arc<Origin>, VecDeque<Resting>>,
    /// The same connections by number, hence over all origins in the order in which they became idle.
    order: BTreeMap<u64, Arc<Origin>>,
    /// Of HTTP/2, with requests on them or not.
    shared: HashMap<Arc<Origin>, Vec<Arc<Channel>>>,
    next: u64,
    swept: Instant,
}

struct Resting {
    number: u64,
    since: Instant,
    link: Box<Link>,
}

impl Pool {
    pub(crate) fn new() -> Pool {
        let idle = Idle {
            links: HashMap::new(),
            order: BTreeMap::new(),
            shared: HashMap::new(),
            next: 0,
            swept: Instant::now(),
        };
        Pool { idle: Mutex::new(idle) }
    }

    /// An open connection to `origin` at one of `addresses`, or at any where these are not known, if there is one.
    pub(crate) fn take(&self, origin: &Arc<Origin>, addresses: Option<&[SocketAddr]>, now: Instant) -> Option<Line> {
        let is_there = |peer: SocketAddr| addresses.is_none_or(|addresses| addresses.contains(&peer));
        if origin.https
            && let Some(channels) = self.idle.lock().shared.get_mut(origin)
        {
            channels.retain(|channel| channel.is_of_use(now) && is_there(channel.peer));
            if let Some(channel) = channels.iter().find(|channel| channel.has_room()) {
                return Some(Line::Shared(Lease::of(channel)));
            }
        }
        loop {
            let mut rested = self.idle.lock().take(origin)?;
            if !rested.is_overdue(now) && is_there(rested.link.peer) && rested.link.is_idle() {
                return Some(Line::Own(rested.link));
            }
        }
    }

    /// Lets others have places on the connection that `lease` is one on.
    pub(crate) fn share(&self, origin: &Arc<Origin>, lease: &Lease) {
        let mut idle = self.idle.lock();
        // Beyond the bounds it serves this request alone.
        if idle.shared.values().map(Vec::len).sum::<usize>() < IDLE_MAX {
            let channels = idle.shared.entry(Arc::clone(origin)).or_default();
            if channels.len() < CHANNELS_PER_ORIGIN_MAX {
                channels.push(Arc::clone(lease.channel()));
            }
        }
    }

    /// Keeps a connection of one's own, if it can be used again. A place on a shared one becomes free.
    pub(crate) fn put(&self, origin: &Arc<Origin>, line: Line, now: Instant) {
        let Line::Own(mut link) = line else { return };
        if now.saturating_duration_since(link.opened) < CONNECTION_AGE_MAX && link.is_idle() {
            self.idle.lock().put(origin, link, now);
        }
    }

    /// Closes what is overdue or was closed by its receiver, at most every `SWEEP_EVERY`.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.idle.lock();
        if now.saturating_duration_since(idle.swept) >= SWEEP_EVERY {
            idle.sweep(now);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        let (idle, now) = (self.idle.lock(), Instant::now());
        let resting = idle.shared.values().flatten().filter(|channel| channel.is_idle() && channel.is_of_use(now));
        idle.order.len() + resting.count()
    }
}

impl Resting {
    fn is_overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= IDLE_AGE_MAX
            || now.saturating_duration_since(self.link.opened) >= CONNECTION_AGE_MAX
    }
}

impl Idle {
    fn take(&mut self, origin: &Arc<Origin>) -> Option<Resting> {
        let rested = self.links.get_mut(origin)?.pop_back()?;
        self.order.remove(&rested.number);
        Some(rested)
    }

    fn put(&mut self, origin: &Arc<Origin>, link: Box<Link>, now: Instant) {
        if self.order.len() >= IDLE_MAX
            && let Some(oldest) = self.order.values().next().cloned()
        {
            self.drop_oldest(&oldest);
        }
        let number = self.next;
        self.next += 1;
        self.order.insert(number, Arc::clone(origin));
        let resting = Resting { number, since: now, link };
        match self.links.get_mut(origin) {
            Some(queue) => queue.push_back(resting),
            None => drop(self.links.insert(Arc::clone(origin), VecDeque::from([resting]))),
        }
    }

    fn drop_oldest(&mut self, origin: &Arc<Origin>) {
        if let Some(oldest) = self.links.get_mut(origin).and_then(VecDeque::pop_front) {
            self.order.remove(&oldest.number);
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        let Idle { links, order, shared, .. } = self;
        shared.retain(|_, channels| {
            channels.retain(|channel| channel.is_of_use(now));
            !channels.is_empty()
        });
        links.retain(|_, queue| {
            queue.retain_mut(|resting| {
                let keep = !resting.is_overdue(now) && resting.link.is_idle();
                if !keep {
                    order.remove(&resting.number);
                }
                keep
            });
            !queue.is_empty()
        });
    }
}
