//! Address ranges as text, and those that are opened: a range, and a port if it is open at that one alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address range. IPv4 is kept as its mapped IPv6 form, so that both spellings of one address are one value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub(super) network: u128,
    /// Of the mapped form: IPv4's own and 96.
    prefix: u8,
}

/// A range that deliveries may go to, at one port or at any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The addresses.
    pub range: Cidr,
    /// The port; `None` for all.
    pub port: Option<u16>,
}

/// Why a text is not an address range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `ADDRESS/PREFIX`, an address, or a word.
    #[error(
        "{0:?} is not an address range, such as 10.0.0.0/8 or fd00::/8, nor `loopback` or `private`; each with a port at \
         its end if need be, as in 10.0.0.0/8:8443, [fd00::/8]:8443 and loopback:8443"
    )]
    Form(String),
    /// Bits are set behind the prefix.
    #[error("{0} has bits past its prefix; write {1}")]
    HostBits(String, Cidr),
    /// What follows the range is no port.
    #[error("{0:?} does not end with a port from 1 to 65535")]
    Port(String),
    /// IPv6 and a port, and nothing that says where the one ends.
    #[error("{0:?} is an IPv6 range with a port; put the range in brackets, as in [fd00::/8]:8443")]
    Brackets(String),
}

pub(super) const LOOPBACK: [Cidr; 2] = [v4([127, 0, 0, 0], 8), v6([0, 0, 0, 0, 0, 0, 0, 1], 128)];
pub(super) const PRIVATE: [Cidr; 4] =
    [v4([10, 0, 0, 0], 8), v4([172, 16, 0, 0], 12), v4([192, 168, 0, 0], 16), v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7)];

const MAPPED: u128 = 0xffff << 32;

pub(super) const fn v4(octets: [u8; 4], prefix: u8) -> Cidr {
    Cidr { network: MAPPED | u32::from_be_bytes(octets) as u128, prefix: 96 + prefix }
}

pub(super) const fn v6(segments: [u16; 8], prefix: u8) -> Cidr {
    let [a, b, c, d, e, f, g, h] = segments;
    Cidr { network: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(), prefix }
}

pub(super) fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

pub(super) fn is_v4(bits: u128) -> bool {
    bits >> 32 == MAPPED >> 32
}

impl Cidr {
    /// One address.
    pub(super) const fn exact(bits: u128) -> Cidr {
        Cidr { network: bits, prefix: 128 }
    }

    /// An IPv6 range that is wider than the mapped addresses holds no IPv4: `::/0` is all of IPv6.
    pub(super) fn contains(self, bits: u128) -> bool {
        self.is_v4() == is_v4(bits) && bits & mask(self.prefix) == self.network
    }

    fn is_v4(self) -> bool {
        self.prefix >= 96 && is_v4(self.network)
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl Opening {
    /// What a word of the configuration opens: `10.0.0.0/8`, `fd00::/8`, an address, `loopback` or `private`; each with a port behind it
    /// (`10.0.0.0/8:8443`, `[fd00::/8]:8443`, `loopback:8443`), or with none for all ports.
    ///
    /// # Errors
    /// When it is none of these.
    pub(super) fn parse(word: &str) -> Result<Vec<Opening>, CidrError> {
        let (ranges, port) = split_port(word)?;
        let ranges = match ranges {
            "loopback" => LOOPBACK.to_vec(),
            "private" => PRIVATE.to_vec(),
            range => vec![range.parse()?],
        };
        Ok(ranges.into_iter().map(|range| Opening { range, port }).collect())
    }

    /// Whether it opens `port` of the address.
    pub(super) fn covers(self, bits: u128, port: u16) -> bool {
        self.range.contains(bits) && self.port.is_none_or(|open| open == port)
    }
}

/// A range and the port behind it. IPv6 has colons of its own, so there the range stands in brackets.
fn split_port(word: &str) -> Result<(&str, Option<u16>), CidrError> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(port)),
        _ => Err(CidrError::Port(word.to_owned())),
    };
    if let Some(rest) = word.strip_prefix('[') {
        let (range, text) = rest.split_once("]:").ok_or_else(|| CidrError::Form(word.to_owned()))?;
        return Ok((range, port(text)?));
    }
    match word.split_once(':') {
        None => Ok((word, None)),
        Some((range, text)) if !text.contains(':') && !range.is_empty() => Ok((range, port(text)?)),
        // Colons behind the prefix are no address's any more.
        Some(_) if word.split_once('/').is_some_and(|(_, prefix)| prefix.contains(':')) => {
            Err(CidrError::Brackets(word.to_owned()))
        }
        Some(_) => Ok((word, None)),
    }
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

/// As the configuration takes it.
impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.range.is_v4()) {
            (None, _) => self.range.fmt(f),
            (Some(port), true) => write!(f, "{}:{port}", self.range),
            (Some(port), false) => write!(f, "[{}]:{port}", self.range),
        }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
