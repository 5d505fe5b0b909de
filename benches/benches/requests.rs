//! What every request costs before a byte of it is written: the signature over its body, and the judgement on where it goes.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use postrider::ExposeSecret;
use postrider_benches::{Hash, Scale, genesy_data, report, spread, timed};
use postrider_core::signing::Scheme;
use postrider_dispatch::{AddressPolicy, SigningSecret, Target};

fn main() {
    let scale = Scale::of_arguments();
    let mut hash = Hash::new();
    signatures(scale.pick(20_000, 20), &mut hash);
    addresses(scale.pick(2_000_000, 1_000), &mut hash);
    urls(scale.pick(200_000, 100), &mut hash);
    hash.report();
}

fn signatures(times: u64, hash: &mut Hash) {
    for scheme in [Scheme::V1, Scheme::V1a] {
        let secret = SigningSecret::text_of(scheme, &[7; 32]);
        let secret = SigningSecret::parse(secret.expose_secret()).expect("it was just made");
        for bytes in [256, 1024, 16 * 1024] {
            let body = genesy_data(1, bytes);
            let (_, took) = timed(|| {
                for number in 0..times {
                    black_box(secret.sign("evt_1", number, black_box(body.as_bytes())));
                }
            });
            report(&format!("to sign {bytes} B by {scheme:?}"), times, took);
            hash.take_bytes(secret.sign("evt_1", 1, body.as_bytes()).as_bytes());
        }
    }
}

fn addresses(times: u64, hash: &mut Hash) {
    let policy = AddressPolicy::from_words(["10.0.0.0/8", "fd00::/8"]).expect("two ranges");
    let v4 = |number| IpAddr::V4(Ipv4Addr::from(spread(number) as u32));
    // As many within 2000::/3, where the special ranges are, as elsewhere.
    let v6 = |number| IpAddr::V6(Ipv6Addr::from(u128::from(spread(number)) << 84 | u128::from(number & 1) << 125));
    for (what, address) in [("IPv4", &v4 as &dyn Fn(u64) -> IpAddr), ("IPv6", &v6)] {
        let (taken, took) = timed(|| {
            (0..times).filter(|number| policy.check(black_box(SocketAddr::new(address(*number), 443))).is_ok()).count()
        });
        report(&format!("to judge an address of {what}"), times, took);
        hash.take(taken as u64);
    }
}

fn urls(times: u64, hash: &mut Hash) {
    for url in
        ["https://hooks.example.com/v1/incoming?team=7", "http://203.0.113.7:8080/", "http://[2606:4700::1111]/h"]
    {
        let (_, took) = timed(|| {
            for _ in 0..times {
                black_box(Target::parse(black_box(url), false).is_ok());
            }
        });
        report(&format!("to read {url}"), times, took);
        hash.take(Target::parse(url, false).map_or(0, |target| u64::from(target.port())));
    }
}
