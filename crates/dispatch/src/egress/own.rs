//! Where this process itself listens: a delivery there would reach our own API from inside.
//!
//! No configuration opens it. A listener at the unspecified address (`0.0.0.0`, `[::]`) is at each address of this machine; those are read
//! from the system when a delivery goes to the listener's port, and again after a while, since they change. What cannot be known from
//! here is an address that others translate to ours, such as a load balancer's.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use parking_lot::RwLock;
use tokio::time::Instant;

use crate::limits::SYSTEM_READ_EVERY;

/// The addresses and ports at which this process listens.
#[derive(Debug, Default)]
pub(super) struct Own {
    listeners: RwLock<Vec<SocketAddr>>,
    locals: RwLock<Option<Locals>>,
}

/// This machine's addresses, for a while.
#[derive(Debug)]
struct Locals {
    addresses: HashSet<IpAddr>,
    read: Instant,
}

impl Own {
    /// Adds a listener.
    pub(super) fn add(&self, listener: SocketAddr) {
        let listener = SocketAddr::new(listener.ip().to_canonical(), listener.port());
        let mut listeners = self.listeners.write();
        if !listeners.contains(&listener) {
            listeners.push(listener);
        }
    }

    /// Whether a connection to `address` would come to a listener.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let here = |listener: &SocketAddr| listener.port() == address.port();
        self.listeners.read().iter().filter(|listener| here(listener)).any(|listener| {
            // A connection to the unspecified address goes to loopback, where a listener at any of this machine's may be.
            listener.ip() == ip || ip.is_unspecified() || (listener.ip().is_unspecified() && self.is_local(ip))
        })
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        if ip.is_loopback() {
            return true;
        }
        if let Some(locals) = &*self.locals.read()
            && locals.read.elapsed() < SYSTEM_READ_EVERY
        {
            return locals.addresses.contains(&ip);
        }
        let mut locals = self.locals.write();
        let interfaces = if_addrs::get_if_addrs();
        // Where the system does not tell, what it told last is the best there is.
        let known = match (interfaces, locals.take()) {
            (Ok(found), _) => found.iter().map(|interface| interface.ip()).collect(),
            (Err(_), Some(known)) => known.addresses,
            (Err(_), None) => HashSet::new(),
        };
        let is_local = known.contains(&ip);
        *locals = Some(Locals { addresses: known, read: Instant::now() });
        is_local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listener: &str) -> Own {
        let own = Own::default();
        own.add(listener.parse().expect("an address"));
        own
    }

    fn is_at(own: &Own, address: &str) -> bool {
        own.is_at(address.parse().expect("an address"))
    }

    #[test]
    fn a_listener_at_one_address_is_there_and_nowhere_else() {
        let own = own("127.0.0.1:8080");
        for ours in ["127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", "0.0.0.0:8080", "[::]:8080"] {
            assert!(is_at(&own, ours), "{ours}");
        }
        for other in ["127.0.0.1:8081", "127.0.0.2:8080", "[::1]:8080", "0.0.0.0:80", "8.8.8.8:8080"] {
            assert!(!is_at(&own, other), "{other}");
        }
    }

    #[test]
    fn a_listener_at_no_address_in_particular_is_at_all_of_this_machines() {
        let interfaces = if_addrs::get_if_addrs().expect("the system tells");
        for unspecified in ["0.0.0.0:8080", "[::]:8080", "[::ffff:0.0.0.0]:8080"] {
            let own = own(unspecified);
            for ours in ["127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
                assert!(is_at(&own, ours), "{unspecified} is at {ours}");
            }
            for interface in &interfaces {
                assert!(own.is_at(SocketAddr::new(interface.ip(), 8080)), "{}", interface.ip());
                assert!(!own.is_at(SocketAddr::new(interface.ip(), 8081)), "{}", interface.ip());
            }
            assert!(!is_at(&own, "8.8.8.8:8080"));
        }
    }

    #[test]
    fn without_a_listener_nothing_is_ours() {
        for other in ["127.0.0.1:80", "0.0.0.0:80", "[::1]:80"] {
            assert!(!is_at(&Own::default(), other), "{other}");
        }
    }
}
