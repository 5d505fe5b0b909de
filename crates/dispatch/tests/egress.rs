//! The address policy: every spelling, every range, and that nothing connects to what is refused.

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use postrider_core::attempt::ErrorKind;
use postrider_dispatch::{AddressPolicy, Cidr, CidrError, Config, Dispatcher, Target};
use proptest::prelude::*;
use support::*;

fn policy(allow: &[&str]) -> AddressPolicy {
    AddressPolicy::from_words(allow).expect("the words are ranges")
}

fn range_of(policy: &AddressPolicy, address: &str) -> Option<&'static str> {
    range_at(policy, address, 443)
}

fn range_at(policy: &AddressPolicy, address: &str, port: u16) -> Option<&'static str> {
    let ip = address.parse().expect("an address");
    policy.check(SocketAddr::new(ip, port)).err().map(|refused| refused.range)
}

#[tokio::test]
async fn a_refused_address_is_not_connected_to() {
    let server = answering(OK).await;
    let dispatcher = dispatcher(&["private", "fd00::/8"]);
    let answer = send(&dispatcher, &server.url).await;
    assert_eq!(
        assert_unanswered(&answer, ErrorKind::BlockedAddress),
        "blocked_address: 127.0.0.1 (loopback) is refused by the address policy; \
         allow it with egress.allow or --allow 127.0.0.0/8"
    );
    let by_name = send(&dispatcher, &server.url.replace("127.0.0.1", "localhost")).await;
    let message = assert_unanswered(&by_name, ErrorKind::BlockedAddress);
    assert!(message.contains("localhost resolves to a refused address (loopback)"), "{message}");
    let failure = dispatcher.check_host(&target("http://localhost/")).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::BlockedAddress);
    assert_eq!(server.connections(), 0);
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    let policy = policy(&[]);
    for (host, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0X7F.0.0.0x1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.000.000.001", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("10.1", "10.0.0.1"),
        ("192.168.257", "192.168.1.1"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("２１３０７０６４３３", "127.0.0.1"),
        ("１２７.０.０.１", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("①②⑦.0.0.1", "127.0.0.1"),
        ("%31%32%37.0.0.1", "127.0.0.1"),
        ("127%2e0%2E0.1", "127.0.0.1"),
        ("%EF%BC%9127.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[::]", "::"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[::FFFF:7f00:1]", "::ffff:127.0.0.1"),
        ("[::127.0.0.1]", "::127.0.0.1"),
        ("[64:ff9b::127.0.0.1]", "64:ff9b::127.0.0.1"),
        ("[2002:7f00:1::]", "2002:7f00:1::"),
        ("[fe80::1]", "fe80::1"),
    ] {
        let target = Target::parse(&format!("http://{host}/"), false).expect(host);
        assert_eq!(target.address(), Some(address.parse().unwrap()), "{host}");
        assert!(policy.check_target(&target).is_err(), "{host}");
    }
    for host in
        ["example.com", "8.8.8.8", "134744072", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "1.example", "0x7f.example"]
    {
        let target = Target::parse(&format!("http://{host}/"), false).expect(host);
        assert_eq!(policy.check_target(&target), Ok(()), "{host}");
    }
    // What looks like an address and is none is no host at all.
    for host in [
        "256.256.256.256",
        "1.2.3.4.5",
        "127.0.0.09",
        "4294967296",
        "0x7g.1.2.3",
        "[::1",
        "[fe80::1%25eth0]",
        "foo.0x4",
    ] {
        assert!(Target::parse(&format!("http://{host}/"), false).is_err(), "{host}");
    }
}

#[test]
fn ranges_are_refused_to_their_edges() {
    let policy = policy(&[]);
    for (first, last, range) in [
        ("0.0.0.0", "0.255.255.255", "unspecified"),
        ("10.0.0.0", "10.255.255.255", "private"),
        ("100.64.0.0", "100.127.255.255", "carrier-grade NAT"),
        ("127.0.0.0", "127.255.255.255", "loopback"),
        ("169.254.0.0", "169.254.255.255", "link-local"),
        ("172.16.0.0", "172.31.255.255", "private"),
        ("192.0.0.0", "192.0.0.255", "reserved"),
        ("192.0.2.0", "192.0.2.255", "documentation"),
        ("192.88.99.0", "192.88.99.255", "6to4 relay"),
        ("192.168.0.0", "192.168.255.255", "private"),
        ("198.18.0.0", "198.19.255.255", "benchmarking"),
        ("198.51.100.0", "198.51.100.255", "documentation"),
        ("203.0.113.0", "203.0.113.255", "documentation"),
        ("224.0.0.0", "239.255.255.255", "multicast"),
        ("240.0.0.0", "255.255.255.254", "reserved"),
        ("255.255.255.255", "255.255.255.255", "broadcast"),
        ("::", "::", "unspecified"),
        ("::1", "::1", "loopback"),
        ("::2", "::2", "not public"),
        ("::127.0.0.1", "::8.8.8.8", "not public"),
        ("64:ff9b::8.8.8.8", "64:ff9b::8.8.4.4", "NAT64"),
        ("64:ff9b::127.0.0.1", "64:ff9b::127.0.0.2", "loopback"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64"),
        ("100::", "1fff:ffff::", "not public"),
        ("2001::", "2001:0:ffff::", "Teredo"),
        ("2001:1::", "2001:1ff:ffff::", "reserved"),
        ("2001:db8::", "2001:db8:ffff::", "documentation"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
        ("3fff::", "3fff:fff:ffff::", "documentation"),
        ("4000::", "fbff:ffff::", "not public"),
        ("fc00::", "fdff:ffff::", "private"),
        ("fe80::1", "febf:ffff::", "link-local"),
        ("fec0::", "feff:ffff::", "site-local"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
    ] {
        assert_eq!(
            (range_of(&policy, first), range_of(&policy, last)),
            (Some(range), Some(range)),
            "{first} to {last}"
        );
    }
    for public in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "3ffe:ffff::",
        "3fff:1000::",
    ] {
        assert_eq!(range_of(&policy, public), None, "{public}");
    }
}

#[test]
fn allow_opens_what_it_names_and_no_more() {
    let loopback = policy(&["loopback"]);
    for address in ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(range_of(&loopback, address), None, "{address}");
    }
    assert_eq!(range_of(&loopback, "10.0.0.1"), Some("private"));
    let private = policy(&["private"]);
    for address in ["10.0.0.1", "172.31.0.1", "192.168.1.1", "::ffff:10.0.0.1", "fd12::1"] {
        assert_eq!(range_of(&private, address), None, "{address}");
    }
    assert_eq!(range_of(&private, "127.0.0.1"), Some("loopback"));
    assert_eq!(range_of(&policy(&["127.0.0.2"]), "127.0.0.1"), Some("loopback"));
    assert_eq!(range_of(&policy(&["::/0"]), "127.0.0.1"), Some("loopback"));
    assert_eq!(range_of(&policy(&["::/0"]), "fe80::1"), None);
    assert_eq!(range_of(&policy(&["0.0.0.0/0"]), "::1"), Some("loopback"));
    assert_eq!(range_of(&policy(&["64:ff9b::/96"]), "64:ff9b::8.8.8.8"), None);
    assert_eq!(range_of(&policy(&["64:ff9b::/96"]), "64:ff9b::10.0.0.1"), Some("private"));
}

#[test]
fn metadata_addresses_want_to_be_named() {
    let wide = policy(&["0.0.0.0/0", "::/0", "private", "169.254.0.0/16", "169.254.169.254/31"]);
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:168.63.129.16",
        "64:ff9b::169.254.169.254",
    ] {
        assert_eq!(range_of(&policy(&[]), address), Some("cloud metadata"), "{address}");
        assert_eq!(range_of(&wide, address), Some("cloud metadata"), "{address}");
    }
    assert_eq!(range_of(&wide, "169.254.169.253"), None);
    for named in ["169.254.169.254", "169.254.169.254/32", "::ffff:169.254.169.254"] {
        assert_eq!(range_of(&policy(&[named]), "169.254.169.254"), None, "{named}");
    }
    assert_eq!(range_of(&policy(&["fd00:ec2::254/128"]), "fd00:ec2::254"), None);
}

#[test]
fn ranges_are_read_and_written_alike_and_mistakes_are_named() {
    for text in ["10.0.0.0/8", "0.0.0.0/0", "127.0.0.1/32", "::/0", "fd00::/8", "::1/128"] {
        assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
    }
    assert_eq!("10.0.0.1".parse::<Cidr>().unwrap().to_string(), "10.0.0.1/32");
    for text in [
        "",
        "10",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "::/129",
        "::/999",
        "example.com",
        "Loopback",
    ] {
        assert_eq!(text.parse::<Cidr>(), Err(CidrError::Form(text.to_owned())));
        assert!(AddressPolicy::from_words([text]).is_err());
    }
    let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
    assert_eq!(error.to_string(), "10.1.2.3/8 has bits past its prefix; write 10.0.0.0/8");
}

#[test]
fn a_range_can_be_opened_at_one_port_alone() {
    let some =
        policy(&["10.0.0.0/8:8443", "[fd00::/8]:443", "loopback:9000", "192.168.1.5:80", "[::ffff:172.16.0.1]:80"]);
    for (address, port) in [
        ("10.1.2.3", 8443),
        ("::ffff:10.1.2.3", 8443),
        ("fd12::1", 443),
        ("127.0.0.1", 9000),
        ("::1", 9000),
        ("192.168.1.5", 80),
        ("172.16.0.1", 80),
    ] {
        assert_eq!(range_at(&some, address, port), None, "{address} {port}");
        assert!(range_at(&some, address, port + 1).is_some(), "{address} {port}");
    }
    assert_eq!(range_at(&some, "fc12::1", 443), Some("private"));
    // An entry without a port opens all of them, whatever another one says.
    assert_eq!(range_at(&policy(&["10.0.0.0/8:80", "10.1.0.0/16"]), "10.1.2.3", 81), None);
    assert_eq!(range_at(&policy(&["64:ff9b::/96", "10.0.0.0/8:80"]), "64:ff9b::10.0.0.1", 80), None);
    assert_eq!(range_at(&policy(&["64:ff9b::/96", "10.0.0.0/8:80"]), "64:ff9b::10.0.0.1", 81), Some("private"));
    // The message asks for what is missing, and no more.
    let refused = some.check("10.1.2.3:80".parse().unwrap()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "10.1.2.3:80 (private) is refused by the address policy; allow it with egress.allow or --allow 10.0.0.0/8:80"
    );
    let refused = some.check("[fd00::1]:80".parse().unwrap()).unwrap_err();
    assert!(refused.to_string().ends_with("--allow [fc00::/7]:80"), "{refused}");
    let widened = policy(&[
        "10.0.0.0/8:8443",
        &some.check("[fd00::1]:80".parse().unwrap()).unwrap_err().allow.unwrap().to_string(),
    ]);
    assert_eq!(range_at(&widened, "fd00::1", 80), None);
}

#[test]
fn a_metadata_address_can_be_opened_at_one_port_alone() {
    let named = policy(&["169.254.169.254:80"]);
    assert_eq!(range_at(&named, "169.254.169.254", 80), None);
    assert_eq!(range_at(&named, "169.254.169.254", 81), Some("cloud metadata"));
    assert_eq!(range_at(&policy(&["169.254.0.0/16:80"]), "169.254.169.254", 80), Some("cloud metadata"));
}

#[test]
fn a_port_that_is_none_is_named() {
    for (word, words) in [
        ("10.0.0.0/8:", "does not end with a port from 1 to 65535"),
        ("10.0.0.0/8:0", "does not end with a port from 1 to 65535"),
        ("10.0.0.0/8:65536", "does not end with a port from 1 to 65535"),
        ("10.0.0.0/8:+80", "does not end with a port from 1 to 65535"),
        ("loopback:http", "does not end with a port from 1 to 65535"),
        ("[fd00::/8]:x", "does not end with a port from 1 to 65535"),
        ("fd00::/8:443", "put the range in brackets"),
        ("[fd00::/8]", "is not an address range"),
        ("[fd00::/8", "is not an address range"),
        (":80", "is not an address range"),
        ("example.com:80", "is not an address range"),
        ("10.1.2.3/8:80", "write 10.0.0.0/8"),
    ] {
        let error = AddressPolicy::from_words([word]).unwrap_err().to_string();
        assert!(error.contains(words), "{word}: {error}");
    }
}

#[tokio::test]
async fn where_this_process_listens_is_refused_whatever_is_open() {
    let server = answering(OK).await;
    let at: SocketAddr = server.url.split('/').nth(2).unwrap().parse().unwrap();
    let policy = policy(&["loopback", "0.0.0.0/8", "::", "127.0.0.1"]);
    let config = Arc::new(Config::new::<&[u8]>(policy, false, &[]).unwrap());
    let dispatcher = Dispatcher::new(Arc::clone(&config));
    assert_success(&send(&dispatcher, &server.url).await);
    config.policy().listens_at(at);
    let answer = send(&dispatcher, &server.url).await;
    assert_eq!(
        assert_unanswered(&answer, ErrorKind::BlockedAddress),
        format!(
            "blocked_address: {at} (where this server itself listens) is refused, and nothing opens it; set the webhook's url \
             to a receiver"
        )
    );
    // By a name, by the unspecified address, and by the mapped one. The connection that is kept is not used either.
    for host in ["localhost", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let answer = send(&dispatcher, &server.url.replace("127.0.0.1", host)).await;
        let message = assert_unanswered(&answer, ErrorKind::BlockedAddress);
        assert!(message.contains("where this server itself listens"), "{message}");
    }
    assert_eq!((server.connections(), server.requests()), (1, 1));
    // Another port of the same address is another server.
    assert_success(&send(&dispatcher, &answering(OK).await.url).await);
}

/// Judged without the table: the standard library's predicates, and arithmetic where it has none.
fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a == 198 && b & 0xfe == 18)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || address == Ipv4Addr::new(168, 63, 129, 16))
}

/// Even over the special ranges, whose share of all addresses is small.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let first = prop::sample::select(vec![0u8, 10, 100, 127, 168, 169, 172, 192, 198, 203, 224, 240, 255]);
    let second = prop::sample::select(vec![0u8, 16, 18, 19, 31, 51, 63, 64, 88, 127, 168, 254]);
    prop_oneof![
        any::<u32>().prop_map(Ipv4Addr::from_bits),
        (first.clone(), any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d)),
        (first, second, any::<[u8; 2]>()).prop_map(|(a, b, [c, d])| Ipv4Addr::new(a, b, c, d)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_agrees_with_the_standard_library(address in any_v4()) {
        let policy = policy(&[]);
        for ip in [IpAddr::V4(address), IpAddr::V6(address.to_ipv6_mapped())] {
            prop_assert_eq!(policy.check(SocketAddr::new(ip, 443)).is_ok(), is_public(address));
        }
    }

    #[test]
    fn no_spelling_of_an_address_changes_its_judgement(address in any_v4(), dot in any::<bool>()) {
        let policy = policy(&[]);
        let number = address.to_bits();
        let [a, b, c, d] = address.octets();
        let dot = if dot { "." } else { "" };
        for host in [
            format!("{number}{dot}"),
            format!("0x{number:x}{dot}"),
            format!("0{number:o}{dot}"),
            format!("{a}.{b}.{}{dot}", u32::from(c) << 8 | u32::from(d)),
            format!("0{a:o}.0x{b:X}.{c}.{d}{dot}"),
            format!("[::ffff:{address}]"),
        ] {
            let target = Target::parse(&format!("http://{host}/"), false).unwrap();
            prop_assert_eq!(policy.check_target(&target).is_ok(), is_public(address), "{}", host);
        }
    }

    #[test]
    fn no_ipv6_outside_the_public_block_passes(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        let public = address.segments()[0] & 0xe000 == 0x2000 || address.to_ipv4_mapped().is_some();
        prop_assert!(public || policy(&[]).check(SocketAddr::new(address.into(), 443)).is_err());
    }

    #[test]
    fn no_text_makes_the_parser_panic_or_hides_an_address(text in "\\PC{0,40}") {
        let policy = policy(&[]);
        for url in [text.clone(), format!("http://{text}"), format!("http://{text}/")] {
            if let Ok(target) = Target::parse(&url, false) {
                // What the URL standard takes for an address is known as one, whatever it was spelt like.
                let host = target.host().trim_matches(['[', ']']);
                prop_assert_eq!(target.address(), host.parse::<IpAddr>().ok());
                prop_assert!(policy.check_target(&target).is_ok() || target.address().is_some());
            }
        }
    }
}
