//! From a target to the addresses that may be connected to.
//!
//! A name with one refused address is refused whole: which of its addresses a connect would take is chance, and a name that mixes
//! public with internal addresses is either a mistake or an attack. Addresses are judged at each use, remembered ones too, so what was
//! judged is what is used.

use std::net::SocketAddr;

use postrider_core::attempt::{ErrorKind, Failure};

use crate::classify::failure;
use crate::names::Names;
use crate::{AddressPolicy, Refused, Target};

/// At least one address, all judged.
///
/// # Errors
/// `dns` or `blocked_address`.
pub(crate) async fn resolve(
    target: &Target,
    names: &Names,
    policy: &AddressPolicy,
) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(address) = target.address() {
        let address = SocketAddr::new(address, target.port());
        policy.check(address).map_err(|refused| failure(ErrorKind::BlockedAddress, refused))?;
        return Ok(vec![address]);
    }
    let found = names.addresses(target.host()).await?;
    judge(target.host(), found.iter().map(|ip| SocketAddr::new(*ip, target.port())).collect(), policy)
}

/// The name's owner learns the range, not the address: a name may stand for one that only this network knows.
fn judge(host: &str, addresses: Vec<SocketAddr>, policy: &AddressPolicy) -> Result<Vec<SocketAddr>, Failure> {
    for address in &addresses {
        policy.check(*address).map_err(|refused| refused_name(host, &refused))?;
    }
    Ok(addresses)
}

fn refused_name(host: &str, refused: &Refused) -> Failure {
    let range = refused.range;
    match refused.allow {
        Some(allow) => failure(
            ErrorKind::BlockedAddress,
            format_args!(
                "{host} resolves to a refused address ({range}); point it at a public one only, or allow the range with \
                 egress.allow or --allow {allow}"
            ),
        ),
        None => failure(
            ErrorKind::BlockedAddress,
            format_args!("{host} resolves to {range}, and nothing opens that; set the webhook's url to a receiver"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ADDRESSES_TRIED_MAX;

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
        let late = [vec!["8.8.8.8"; 2 * ADDRESSES_TRIED_MAX], vec!["127.0.0.1"]].concat();
        assert!(judge("example.com", addresses(&late), &policy).is_err());
    }
}
