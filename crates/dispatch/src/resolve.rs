//! From a target to the addresses that may be connected to.
//!
//! A name with one refused address is refused whole: which of its addresses a connect would take is chance, and a name that mixes
//! public with internal addresses is either a mistake or an attack. Addresses are looked up for each connect and never cached, so
//! what was judged is what is used.

use std::net::SocketAddr;

use postrider_core::attempt::{ErrorKind, Failure};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::classify::{failure, seconds};
use crate::limits::{ADDRESSES_TRIED_MAX, LOOKUP_MAX};
use crate::{AddressPolicy, Target};

/// At least one address and at most `ADDRESSES_TRIED_MAX`, all judged.
///
/// # Errors
/// `dns` or `blocked_address`.
pub(crate) async fn resolve(target: &Target, policy: &AddressPolicy) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(address) = target.address() {
        policy.check(address).map_err(|refused| failure(ErrorKind::BlockedAddress, refused))?;
        return Ok(vec![SocketAddr::new(address, target.port())]);
    }
    let addresses = lookup(target).await?;
    judge(target.host(), addresses, policy)
}

async fn lookup(target: &Target) -> Result<Vec<SocketAddr>, Failure> {
    let host = target.host();
    match timeout(LOOKUP_MAX, lookup_host((host, target.port()))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(failure(
            ErrorKind::Dns,
            format_args!("{host} was not resolved ({error}); check the host's spelling and its DNS records"),
        )),
        Err(_) => Err(failure(
            ErrorKind::Dns,
            format_args!("{host} was not resolved within {}; check its name servers", seconds(LOOKUP_MAX)),
        )),
    }
}

/// The name's owner learns the range, not the address: a name may stand for one that only this network knows.
fn judge(host: &str, mut addresses: Vec<SocketAddr>, policy: &AddressPolicy) -> Result<Vec<SocketAddr>, Failure> {
    for address in &addresses {
        policy.check(address.ip()).map_err(|refused| {
            failure(
                ErrorKind::BlockedAddress,
                format_args!(
                    "{host} resolves to a refused address ({}); point it at a public one only, or allow the range with \
                     egress.allow or --allow {}",
                    refused.range, refused.allow
                ),
            )
        })?;
    }
    if addresses.is_empty() {
        return Err(failure(ErrorKind::Dns, format_args!("{host} has no address; add an A or AAAA record")));
    }
    addresses.truncate(ADDRESSES_TRIED_MAX);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 80)).collect()
    }

    #[test]
    fn one_refused_address_refuses_the_name() {
        let policy = AddressPolicy::default();
        for mixed in
            [&["8.8.8.8", "10.0.0.1"][..], &["2606:4700::1111", "8.8.8.8", "::1"], &["169.254.169.254", "8.8.8.8"]]
        {
            let failure = judge("example.com", addresses(mixed), &policy).expect_err("one is refused");
            assert_eq!(failure.kind, ErrorKind::BlockedAddress);
            assert!(!failure.message.contains("10.0.0.1"), "{}", failure.message);
        }
        // Also where it would not be tried.
        let late = [vec!["8.8.8.8"; ADDRESSES_TRIED_MAX], vec!["127.0.0.1"]].concat();
        assert!(judge("example.com", addresses(&late), &policy).is_err());
    }

    #[test]
    fn public_addresses_pass_up_to_the_bound() {
        let policy = AddressPolicy::default();
        let passed = judge("example.com", addresses(&["8.8.8.8"; 20]), &policy);
        assert_eq!(passed.map(|kept| kept.len()), Ok(ADDRESSES_TRIED_MAX));
        assert_eq!(judge("example.com", vec![], &policy).map_err(|failure| failure.kind), Err(ErrorKind::Dns));
    }
}
