//! The address policy: which addresses a delivery may go to.
//!
//! One table, judged by range. Public unicast addresses pass; everything else is refused unless an `allow` entry covers it. An IPv4
//! address inside an IPv6 one (`::ffff:127.0.0.1`) is that IPv4 address. Addresses at which clouds serve credentials pass only by an
//! entry that names exactly that address, so that opening a private network does not open its metadata service. Where this process itself
//! listens nothing passes.

mod own;
mod range;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::Target;
use own::Own;
pub use range::{Cidr, CidrError, Opening};
use range::{LOOPBACK, PRIVATE, bits_of, is_v4, v4, v6};

/// An address that the policy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The address and port.
    pub address: SocketAddr,
    /// The name of its range: `loopback`, `private`, ….
    pub range: &'static str,
    /// What would have to be allowed; `None` where nothing opens it.
    pub allow: Option<Opening>,
}

/// Which addresses a delivery may go to. A clone knows of the same listeners.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    open: Vec<Opening>,
    own: Arc<Own>,
}

impl AddressPolicy {
    /// What is open although the table refuses it.
    pub fn allowed(&self) -> impl Iterator<Item = &Opening> {
        self.open.iter()
    }

    /// The table, opened by the configuration's words: ranges, addresses, `loopback`, `private`; each with a port behind it, or with
    /// none for all ports.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn from_words<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<AddressPolicy, CidrError> {
        let mut open = Vec::new();
        for word in words {
            open.extend(Opening::parse(word.as_ref())?);
        }
        Ok(AddressPolicy { open, own: Arc::default() })
    }

    /// From now on `listener`, an address of this process, is refused, whatever is open.
    pub fn listens_at(&self, listener: SocketAddr) {
        self.own.add(listener);
    }

    /// Judges one address.
    ///
    /// # Errors
    /// The range for which it is refused.
    pub fn check(&self, address: SocketAddr) -> Result<(), Refused> {
        if self.own.is_at(address) {
            return Err(Refused { address, range: OWN, allow: None });
        }
        let bits = bits_of(address.ip());
        if METADATA.contains(&bits) {
            let exact = Cidr::exact(bits);
            let named = |open: &Opening| open.range == exact && open.covers(bits, address.port());
            return if self.open.iter().any(named) {
                Ok(())
            } else {
                Err(self.refused(address, "cloud metadata", exact))
            };
        }
        if NAT64.contains(bits) {
            // Also when the prefix is allowed, the far end is an IPv4 address, and that one is judged.
            let inner = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(bits as u32)), address.port());
            self.check(inner).map_err(|refused| Refused { address, ..refused })?;
        }
        let Some((range, name)) = refused_range(bits) else {
            return Ok(());
        };
        if self.open.iter().any(|open| open.covers(bits, address.port())) {
            return Ok(());
        }
        Err(self.refused(address, name, range))
    }

    /// Judges a URL's host where it is an address in any of the spellings that URL parsers turn into one (`2130706433`, `0x7f.1`,
    /// `[::ffff:127.0.0.1]`). A name passes: it is judged by what it resolves to, at each connect.
    ///
    /// # Errors
    /// The range for which the address is refused.
    pub fn check_target(&self, target: &Target) -> Result<(), Refused> {
        target.address().map_or(Ok(()), |address| self.check(SocketAddr::new(address, target.port())))
    }

    /// Where other ports of the address are open, this one alone is what is asked for.
    fn refused(&self, address: SocketAddr, name: &'static str, range: Cidr) -> Refused {
        let bits = bits_of(address.ip());
        let elsewhere = self.open.iter().any(|open| open.port.is_some() && open.range.contains(bits));
        let allow = Opening { range, port: elsewhere.then_some(address.port()) };
        Refused { address, range: name, allow: Some(allow) }
    }
}

/// `127.0.0.1 (loopback) is refused by the address policy; allow it with egress.allow or --allow 127.0.0.0/8`
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { address, range, allow } = self;
        match allow {
            Some(Opening { port: None, .. }) => write!(f, "{} ({range})", address.ip())?,
            _ => write!(f, "{address} ({range})")?,
        }
        match allow {
            Some(allow) => {
                write!(f, " is refused by the address policy; allow it with egress.allow or --allow {allow}")
            }
            None => write!(f, " is refused, and nothing opens it; set the webhook's url to a receiver"),
        }
    }
}

const OWN: &str = "where this server itself listens";
const NAT64: Cidr = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const PUBLIC_V6: Cidr = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What is refused; the first match names it. IPv6 outside `PUBLIC_V6` is refused without being listed.
const REFUSED: [(Cidr, &str); 29] = [
    (v4([0, 0, 0, 0], 8), "unspecified"),
    (PRIVATE[0], "private"),
    (PRIVATE[1], "private"),
    (PRIVATE[2], "private"),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT"),
    (LOOPBACK[0], "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([192, 0, 0, 0], 24), "reserved"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "6to4 relay"),
    (v4([198, 18, 0, 0], 15), "benchmarking"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
    (LOOPBACK[1], "loopback"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (NAT64, "NAT64"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "NAT64"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
    (PRIVATE[3], "private"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// Where clouds serve credentials: AWS, GCP and most others; ECS tasks; EKS pods; Azure; Alibaba; Oracle; then AWS and GCP by IPv6.
const METADATA: [u128; 9] = [
    v4([169, 254, 169, 254], 32).network,
    v4([169, 254, 170, 2], 32).network,
    v4([169, 254, 170, 23], 32).network,
    v4([168, 63, 129, 16], 32).network,
    v4([100, 100, 100, 200], 32).network,
    v4([192, 0, 0, 192], 32).network,
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128).network,
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128).network,
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128).network,
];

fn refused_range(bits: u128) -> Option<(Cidr, &'static str)> {
    let listed = REFUSED.iter().find(|(range, _)| range.contains(bits)).copied();
    let public = is_v4(bits) || PUBLIC_V6.contains(bits);
    listed.or_else(|| (!public).then_some((Cidr::exact(bits), "not public")))
}
