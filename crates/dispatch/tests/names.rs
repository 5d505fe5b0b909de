//! Names: what a name server can say, and what an attempt makes of it.

#[path = "support/dns.rs"]
mod dns;
mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dns::{Dns, NO_ERROR, NXDOMAIN, REFUSED, SERVFAIL, Say};
use postrider_core::attempt::ErrorKind;
use postrider_dispatch::{AddressPolicy, Config, Dispatcher, NameServers};
use support::*;

/// A dispatcher that asks `dns` and may go where `allow` says.
fn asking(dns: &Dns, allow: &[&str]) -> Dispatcher {
    let policy = AddressPolicy::from_words(allow).expect("the words are ranges");
    let config = Config::new::<&[u8]>(policy, false, &[]).expect("no extra roots to misread");
    Dispatcher::new(Arc::new(config.with_name_servers(NameServers::At(vec![dns.address]))))
}

fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

fn by_name(server: &Server, name: &str) -> String {
    server.url.replace("127.0.0.1", name)
}

async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_a_name_server_says_instead_of_an_address_is_a_dns_failure_with_its_own_advice() {
    let dns = Dns::answering(|question| match question.name.split('.').next() {
        Some("gone") => Say::Code(NXDOMAIN),
        Some("broken") => Say::Code(SERVFAIL),
        Some("closed") => Say::Code(REFUSED),
        Some("empty") => Say::Code(NO_ERROR),
        _ => Say::Nothing,
    })
    .await;
    let dispatcher = asking(&dns, &["loopback"]);
    for (name, words) in [
        ("gone", "does not exist; check the host's spelling and its DNS records"),
        ("broken", "failed (Server Failure); check its zone"),
        ("closed", "failed (Query Refused); check its zone"),
        ("empty", "has no address; add an A or AAAA record"),
        ("silent", "was not resolved within 2 s; check its name servers"),
    ] {
        let began = Instant::now();
        let answer = send(&dispatcher, &format!("http://{name}.example/")).await;
        let message = assert_unanswered(&answer, ErrorKind::Dns);
        assert!(message.contains(&format!("{name}.example")) && message.contains(words), "{message}");
        assert!(began.elapsed() < Duration::from_millis(2_800), "{name} took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn nobody_listening_where_the_name_server_should_be_is_a_dns_failure() {
    let free = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = Config::new::<&[u8]>(AddressPolicy::default(), false, &[]).unwrap();
    let dispatcher = Dispatcher::new(Arc::new(config.with_name_servers(NameServers::At(vec![free]))));
    assert_unanswered(&send(&dispatcher, "http://a.example/").await, ErrorKind::Dns);
}

#[tokio::test]
async fn a_name_that_turns_to_a_refused_address_is_refused_from_then_on() {
    let server = answering(OK).await;
    let turned = Arc::new(AtomicUsize::new(0));
    let say = Arc::clone(&turned);
    // What 127.0.0.1 is here, a public address is outside: open, while its neighbour is not.
    let dns = Dns::answering(move |_| Say::Addresses(vec![v4(1 + say.load(Ordering::SeqCst) as u8)], 0)).await;
    let dispatcher = asking(&dns, &["127.0.0.1"]);
    let url = by_name(&server, "rebinding.example");
    assert_success(&send(&dispatcher, &url).await);
    turned.store(1, Ordering::SeqCst);
    later(6).await;
    // Also while a connection to the old address is open.
    assert_eq!(dispatcher.idle_connections(), 1);
    let answer = send(&dispatcher, &url).await;
    let message = assert_unanswered(&answer, ErrorKind::BlockedAddress);
    assert!(
        message.contains("resolves to a refused address (loopback)") && !message.contains("127.0.0.2"),
        "{message}"
    );
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_name_that_mixes_open_with_refused_addresses_is_refused_whole() {
    let server = answering(OK).await;
    for mixed in [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "::1"], ["127.0.0.1", "fd00::1"]]
    {
        let addresses: Vec<IpAddr> = mixed.iter().map(|text| text.parse().unwrap()).collect();
        let dns = Dns::answering(move |_| Say::Addresses(addresses.clone(), 60)).await;
        let answer = send(&asking(&dns, &["127.0.0.1"]), &by_name(&server, "mixed.example")).await;
        assert_unanswered(&answer, ErrorKind::BlockedAddress);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_thousand_addresses_come_over_tcp_and_are_judged_all() {
    let server = answering(OK).await;
    let thousand: Vec<IpAddr> = (0..1000u32).map(|n| IpAddr::V4(Ipv4Addr::from(0x7f00_0001 + n))).collect();
    for (last, blocked) in [(None, false), (Some("10.0.0.1"), true)] {
        let mut addresses = thousand.clone();
        addresses.extend(last.map(|text: &str| text.parse::<IpAddr>().unwrap()));
        let dns = Dns::answering(move |_| Say::Addresses(addresses.clone(), 60)).await;
        let answer = send(&asking(&dns, &["loopback"]), &by_name(&server, "many.example")).await;
        if blocked {
            assert_unanswered(&answer, ErrorKind::BlockedAddress);
        } else {
            assert_success(&answer);
        }
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_name_is_asked_for_as_it_stands_with_and_without_the_roots_dot() {
    let server = answering(OK).await;
    let (tell, asked) = std::sync::mpsc::channel();
    let dns = Dns::answering(move |question| {
        if !question.is_v6 {
            tell.send(question.name.clone()).unwrap();
        }
        Say::Addresses(vec![v4(1)], 60)
    })
    .await;
    let dispatcher = asking(&dns, &["loopback"]);
    for name in ["a.example", "b.example.", "under_score.example", "xn--bcher-kva.example", "single."] {
        assert_success(&send(&dispatcher, &by_name(&server, name)).await);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [name.trim_end_matches('.')]);
    }
}

#[tokio::test]
async fn an_answer_holds_for_its_time_to_live_within_bounds_and_a_failure_for_five_seconds() {
    // What the server says lives for `ttl` seconds; asked again after `wait` or not.
    for (ttl, wait, again) in
        [(0, 4, false), (0, 6, true), (30, 29, false), (30, 31, true), (86_400, 59, false), (86_400, 61, true)]
    {
        let server = answering(OK).await;
        let dns = Dns::answering(move |_| Say::Addresses(vec![v4(1)], ttl)).await;
        let dispatcher = asking(&dns, &["loopback"]);
        let url = by_name(&server, "a.example");
        assert_success(&send(&dispatcher, &url).await);
        assert_eq!(dns.asked(), 2, "one question a family");
        later(wait).await;
        assert_success(&send(&dispatcher, &url).await);
        assert_eq!(dns.asked(), if again { 4 } else { 2 }, "{ttl} s to live, {wait} s later");
    }
    let dns = Dns::answering(|_| Say::Code(NXDOMAIN)).await;
    let dispatcher = asking(&dns, &["loopback"]);
    for (wait, again) in [(0, true), (4, false), (2, true)] {
        let before = dns.asked();
        later(wait).await;
        assert_unanswered(&send(&dispatcher, "http://gone.example/").await, ErrorKind::Dns);
        assert_eq!(dns.asked() > before, again, "{wait} s later");
    }
}

#[tokio::test]
async fn a_name_that_moves_takes_its_requests_along() {
    let old = answering(OK).await;
    let port: u16 = old.url.split([':', '/']).nth(4).unwrap().parse().unwrap();
    let new = answering_at((Ipv4Addr::new(127, 0, 0, 2), port), OK).await;
    let moved = Arc::new(AtomicUsize::new(1));
    let say = Arc::clone(&moved);
    let dns = Dns::answering(move |_| Say::Addresses(vec![v4(say.load(Ordering::SeqCst) as u8)], 10)).await;
    let dispatcher = asking(&dns, &["loopback"]);
    let url = by_name(&old, "moving.example");
    assert_success(&send(&dispatcher, &url).await);
    moved.store(2, Ordering::SeqCst);
    assert_success(&send(&dispatcher, &url).await);
    assert_eq!((old.requests(), new.requests()), (2, 0), "while the answer lives");
    later(11).await;
    assert_success(&send(&dispatcher, &url).await);
    assert_eq!((old.requests(), new.requests()), (2, 1));
    assert_eq!(dispatcher.idle_connections(), 1, "the connection to the old address is closed");
}

#[tokio::test]
async fn without_a_name_server_what_is_connected_goes_on() {
    let server = answering(OK).await;
    let calls = AtomicUsize::new(0);
    let dns = Dns::answering(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Say::Addresses(vec![v4(1)], 0),
        _ => Say::Code(SERVFAIL),
    })
    .await;
    let dispatcher = asking(&dns, &["loopback"]);
    let url = by_name(&server, "a.example");
    for _ in 0..3 {
        assert_success(&send(&dispatcher, &url).await);
        later(6).await;
    }
    assert_eq!((server.connections(), server.requests()), (1, 3));
    assert_unanswered(&send(&dispatcher, &by_name(&server, "b.example")).await, ErrorKind::Dns);
}

#[tokio::test]
async fn a_server_that_is_silent_about_one_family_does_not_cost_the_whole_time() {
    let server = answering(OK).await;
    let dns = Dns::answering(|question| match question.is_v6 {
        true => Say::Nothing,
        false => Say::Addresses(vec![v4(1)], 60),
    })
    .await;
    let began = Instant::now();
    assert_success(&send(&asking(&dns, &["loopback"]), &by_name(&server, "a.example")).await);
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}
