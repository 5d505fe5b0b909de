//! The address policy against a guard that others wrote, over millions of addresses.
//!
//! The oracle is the crate `http-acl`, whose notion of a global address is the standard library's (unstable) one. Where the two differ, the
//! difference is listed here with its reason: an address of no listed difference on which they disagree fails the test, and so does a
//! difference that no address showed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http_acl::HttpAcl;
use postrider_dispatch::AddressPolicy;

const ADDRESSES: usize = 4_000_000;

/// What the oracle lets pass and we refuse, with why. The other way round there is nothing.
fn known_difference(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [224..=239, ..] => Some("multicast is global, and no receiver of a POST over TCP"),
            [192, 88, 99, _] => Some("the anycast of 6to4 relays, deprecated: the far end is whoever answers first"),
            [168, 63, 129, 16] => {
                Some("Azure's address for what a machine may know, credentials too, though a public one")
            }
            _ => None,
        },
        IpAddr::V6(address) => match address.segments() {
            [0xff00..=0xffff, ..] => Some("IPv6 multicast, as IPv4's"),
            [first, ..] if first & 0xe000 != 0x2000 => {
                Some("nothing outside of 2000::/3 is assigned for public unicast")
            }
            [0x2001, ..0x200, ..] => Some(
                "protocol assignments that are global (anycast of PCP and TURN, AMT, AS112, ORCHID) and no receivers",
            ),
            [0x3fff, ..0x1000, ..] => Some("the second documentation range, which is newer than the oracle's list"),
            _ => None,
        },
    }
}

/// Chance that is the same at every run.
struct Chance(u64);

impl Chance {
    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn of(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn bits(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// Half of them anywhere, half of them near the edge of a range that somebody has special rules for.
    fn address(&mut self) -> IpAddr {
        match self.of(4) {
            0 => IpAddr::V4(Ipv4Addr::from_bits(self.next() as u32)),
            1 => {
                let (network, prefix) = SPECIAL_V4[self.of(SPECIAL_V4.len())];
                let tail = self.tail(32 - prefix) as u32;
                IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::from(network).to_bits().wrapping_add(tail)))
            }
            2 => IpAddr::V6(Ipv6Addr::from_bits(self.bits() >> 3 | 1 << 125)),
            _ => {
                let (network, prefix) = SPECIAL_V6[self.of(SPECIAL_V6.len())];
                let tail = self.tail(128 - prefix);
                IpAddr::V6(Ipv6Addr::from_bits(Ipv6Addr::from(network).to_bits().wrapping_add(tail)))
            }
        }
    }

    /// What is added to the first address of a range of `bits`: within it, just before it, or just behind it.
    fn tail(&mut self, bits: u32) -> u128 {
        let size = 1_u128.checked_shl(bits).unwrap_or(0);
        let near = u128::from(self.next() % 4);
        match self.of(4) {
            0 => near,
            1 => near.wrapping_neg(),
            2 => size.wrapping_add(near).wrapping_sub(2),
            _ => self.bits() & size.wrapping_sub(1),
        }
    }
}

/// Of the registries of special-purpose addresses, and clouds' own.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([100, 100, 100, 200], 32),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

const SPECIAL_V6: &[([u16; 8], u32)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 1, 0, 0, 0, 0, 0, 1], 128),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48),
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48),
    ([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

fn passes(policy: &AddressPolicy, address: IpAddr) -> bool {
    policy.check(SocketAddr::new(address, 443)).is_ok()
}

#[test]
fn over_millions_of_addresses_it_differs_from_another_guard_only_where_it_says_so() {
    let (policy, oracle) = (AddressPolicy::default(), HttpAcl::builder().ip_acl_default(true).build());
    let oracle_passes = |address: IpAddr| oracle.is_ip_allowed(&address).is_allowed();
    let mut chance = Chance(0x706f_7374_7269_6465);
    let (mut differences, mut passed) = (BTreeMap::<&str, usize>::new(), 0);
    for _ in 0..ADDRESSES {
        let address = chance.address();
        let ours = passes(&policy, address);
        passed += usize::from(ours);
        let theirs = oracle_passes(address);
        match known_difference(address) {
            Some(why) => {
                assert!(!ours, "{address} passes, though it is refused for {why:?}");
                *differences.entry(why).or_default() += usize::from(theirs);
            }
            None => assert_eq!(ours, theirs, "{address}"),
        }
        if let IpAddr::V4(address) = address {
            // An IPv4 address in IPv6's clothes is itself; the oracle refuses all of these. Behind NAT64's prefix nothing passes.
            assert_eq!(passes(&policy, address.to_ipv6_mapped().into()), ours, "::ffff:{address}");
            let translated = Ipv6Addr::from_bits(0x64_ff9b << 96 | u128::from(address.to_bits()));
            assert!(!passes(&policy, translated.into()), "{translated}");
        }
    }
    assert!(passed > ADDRESSES / 8 && passed < ADDRESSES * 7 / 8, "{passed} of {ADDRESSES} pass");
    assert_eq!(differences.len(), 7, "{differences:#?}");
    assert!(differences.values().all(|count| *count > 0), "{differences:#?}");
}
