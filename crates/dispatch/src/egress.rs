//! The address policy: which addresses a delivery may go to.
//!
//! One table, judged by range. Public unicast addresses pass; everything else is refused unless an `allow` entry covers it. An IPv4
//! address inside an IPv6 one (`::ffff:127.0.0.1`) is that IPv4 address. Addresses at which clouds serve credentials pass only by an
//! entry that names exactly that address, so that opening a private network does not open its metadata service.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::Target;

/// An address range. IPv4 is kept as its mapped IPv6 form, so that both spellings of one address are one value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    /// Of the mapped form: IPv4's own and 96.
    prefix: u8,
}

/// Why a text is not an address range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `ADDRESS/PREFIX`, an address, or a word.
    #[error("{0:?} is not an address range, such as 10.0.0.0/8 or fd00::/8, nor `loopback` or `private`")]
    Form(String),
    /// Bits are set behind the prefix.
    #[error("{0} has bits past its prefix; write {1}")]
    HostBits(String, Cidr),
}

/// An address that the policy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// The name of its range: `loopback`, `private`, ….
    pub range: &'static str,
    /// The range that would have to be allowed.
    pub allow: Cidr,
}

/// Which addresses a delivery may go to.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allow: Vec<Cidr>,
}

impl AddressPolicy {
    /// The table, opened by the ranges in `allow`.
    pub fn new(allow: Vec<Cidr>) -> AddressPolicy {
        AddressPolicy { allow }
    }

    /// As `new`, from the configuration's words: ranges, addresses, `loopback`, `private`.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn from_words<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<AddressPolicy, CidrError> {
        let mut allow = Vec::new();
        for word in words {
            match word.as_ref() {
                "loopback" => allow.extend(LOOPBACK),
                "private" => allow.extend(PRIVATE),
                range => allow.push(range.parse()?),
            }
        }
        Ok(AddressPolicy { allow })
    }

    /// Judges one address.
    ///
    /// # Errors
    /// The range for which it is refused.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let bits = bits_of(address);
        if METADATA.contains(&bits) {
            let exact = Cidr { network: bits, prefix: 128 };
            let named = self.allow.contains(&exact);
            return if named { Ok(()) } else { Err(Refused { address, range: "cloud metadata", allow: exact }) };
        }
        if NAT64.contains(bits) {
            // Also when the prefix is allowed, the far end is an IPv4 address, and that one is judged.
            let inner = IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
            self.check(inner).map_err(|refused| Refused { address, ..refused })?;
        }
        let Some((allow, range)) = refused_range(bits) else {
            return Ok(());
        };
        if self.allow.iter().any(|allowed| allowed.contains(bits)) {
            return Ok(());
        }
        Err(Refused { address, range, allow })
    }

    /// Judges a URL's host where it is an address in any of the spellings that URL parsers turn into one (`2130706433`, `0x7f.1`,
    /// `[::ffff:127.0.0.1]`). A name passes: it is judged by what it resolves to, at each connect.
    ///
    /// # Errors
    /// The range for which the address is refused.
    pub fn check_url_host(&self, host: &str) -> Result<(), Refused> {
        match url::Host::parse(host) {
            Ok(url::Host::Ipv4(address)) => self.check(address.into()),
            Ok(url::Host::Ipv6(address)) => self.check(address.into()),
            Ok(url::Host::Domain(_)) | Err(_) => Ok(()),
        }
    }

    /// As `check_url_host`, for a URL that was read.
    ///
    /// # Errors
    /// The range for which the address is refused.
    pub fn check_target(&self, target: &Target) -> Result<(), Refused> {
        target.address().map_or(Ok(()), |address| self.check(address))
    }
}

/// `127.0.0.1 (loopback) is refused by the address policy; allow it with egress.allow or --allow 127.0.0.0/8`
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { address, range, allow } = self;
        write!(f, "{address} ({range}) is refused by the address policy; allow it with egress.allow or --allow {allow}")
    }
}

const LOOPBACK: [Cidr; 2] = [v4([127, 0, 0, 0], 8), v6([0, 0, 0, 0, 0, 0, 0, 1], 128)];
const PRIVATE: [Cidr; 4] =
    [v4([10, 0, 0, 0], 8), v4([172, 16, 0, 0], 12), v4([192, 168, 0, 0], 16), v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7)];
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
    listed.or_else(|| (!public).then_some((Cidr { network: bits, prefix: 128 }, "not public")))
}

const MAPPED: u128 = 0xffff << 32;

const fn v4(octets: [u8; 4], prefix: u8) -> Cidr {
    Cidr { network: MAPPED | u32::from_be_bytes(octets) as u128, prefix: 96 + prefix }
}

const fn v6(segments: [u16; 8], prefix: u8) -> Cidr {
    let [a, b, c, d, e, f, g, h] = segments;
    Cidr { network: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(), prefix }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn is_v4(bits: u128) -> bool {
    bits >> 32 == MAPPED >> 32
}

impl Cidr {
    /// An IPv6 range that is wider than the mapped addresses holds no IPv4: `::/0` is all of IPv6.
    fn contains(self, bits: u128) -> bool {
        self.is_v4() == is_v4(bits) && bits & mask(self.prefix) == self.network
    }

    fn is_v4(self) -> bool {
        self.prefix >= 96 && is_v4(self.network)
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/8`, `fd00::/8`, or an address alone.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let form = || CidrError::Form(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let (width, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| form())?,
            Some(_) => return Err(form()),
            None => width,
        };
        if prefix > width {
            return Err(form());
        }
        let bits = bits_of(address);
        let range = Cidr { network: bits & mask(prefix + offset), prefix: prefix + offset };
        if range.network != bits { Err(CidrError::HostBits(text.to_owned(), range)) } else { Ok(range) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_v4() {
            write!(f, "{}/{}", Ipv4Addr::from_bits(self.network as u32), self.prefix - 96)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(self.network), self.prefix)
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
