//! URLs and the address policy: a host that leads to an address is judged by that address. Two other judges: the standard library's own words
//! for private ranges, which are narrower than ours; and the C library's old reading of addresses (`inet_aton`), so that no spelling that
//! something behind us would take for an address passes as a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use postrider_dispatch::{AddressPolicy, Cidr, Target};

/// The metadata service of most clouds: opened by nothing but its own address.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

pub fn run(bytes: &[u8]) {
    let Some((number, text)) = bytes.split_first_chunk::<16>() else { return };
    let policy = AddressPolicy::default();
    numbers(&policy, u128::from_be_bytes(*number));
    let Ok(text) = std::str::from_utf8(text) else { return };
    follow(&policy, text);
    follow(&policy, &format!("http://{text}/"));
    spelt(text);
    opened_by(text);
}

fn numbers(policy: &AddressPolicy, number: u128) {
    let v4 = Ipv4Addr::from(number as u32);
    let v6 = Ipv6Addr::from(number);
    for address in [IpAddr::V4(v4), IpAddr::V6(v6), IpAddr::V6(v4.to_ipv6_mapped())] {
        judge(policy, address);
    }
    assert_eq!(is_open(policy, v4.into()), is_open(policy, v4.to_ipv6_mapped().into()), "{v4}");
    for written in [format!("http://{v4}/"), format!("http://[{v6}]/"), format!("http://{}/", u32::from(v4))] {
        follow(policy, &written);
    }
}

fn is_open(policy: &AddressPolicy, address: IpAddr) -> bool {
    policy.check(SocketAddr::new(address, 443)).is_ok()
}

fn judge(policy: &AddressPolicy, address: IpAddr) {
    let is_bad = match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_unspecified()
                || v4.is_documentation()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_multicast()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    };
    assert!(!is_bad || !is_open(policy, address), "{address} is let through");
}

/// Where a URL leads is judged, and its origin leads to the same place.
fn follow(policy: &AddressPolicy, url: &str) {
    let Ok(target) = Target::parse(url, false) else { return };
    assert!(!target.host().is_empty() && target.port() != 0, "{url}");
    if let Some(address) = target.address() {
        let opened = policy.check(SocketAddr::new(address, target.port())).is_ok();
        assert_eq!(policy.check_target(&target).is_ok(), opened, "{url}");
        judge(policy, address);
    }
    assert_eq!(Target::parse(url, true).is_ok(), target.is_https(), "{url}");
    let again = Target::parse(&target.origin(), false).expect("an origin is a URL");
    assert_eq!(
        (again.host(), again.port(), again.address(), again.is_https()),
        (target.host(), target.port(), target.address(), target.is_https()),
        "{url}"
    );
}

/// What the C library takes for an address is that address here, or no URL.
fn spelt(host: &str) {
    let Some(address) = aton(host) else { return };
    if let Ok(target) = Target::parse(&format!("http://{host}/"), false) {
        assert_eq!(target.address(), Some(IpAddr::V4(address)), "{host}");
    }
}

/// As `inet_aton` reads: one to four numbers, decimal, octal (`0…`) or hexadecimal (`0x…`), of which the last fills what is left.
fn aton(host: &str) -> Option<Ipv4Addr> {
    let parts = host.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) {
        return None;
    }
    let bits = 32 - 8 * front.len() as u32;
    if bits < 32 && *last >= 1 << bits {
        return None;
    }
    let front = front.iter().enumerate().map(|(nth, part)| part << (24 - 8 * nth)).sum::<u32>();
    Some(Ipv4Addr::from(front | last))
}

fn number(part: &str) -> Option<u32> {
    let hexadecimal = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
    let (digits, radix) = match (hexadecimal, part.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (part, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// A word of `egress.allow` opens what it says it opens, each word that it is shown as is one, and metadata stays shut.
fn opened_by(word: &str) {
    let Ok(policy) = AddressPolicy::from_words([word]) else { return };
    assert!(policy.allowed().count() >= 1, "{word:?}");
    for opening in policy.allowed() {
        let again = AddressPolicy::from_words([opening.to_string()]).expect("what is shown is a word");
        assert!(again.allowed().eq([opening]), "{word:?} and {opening}");
    }
    let exact = METADATA.to_string().parse::<Cidr>().expect("an address");
    let names_it = policy.allowed().any(|opening| opening.range == exact);
    assert!(names_it || !is_open(&policy, METADATA), "{word:?} opens {METADATA}");
}
