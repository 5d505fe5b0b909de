//! Names to addresses: a resolver of our own over the system's configuration, and what it found for as long as that holds.
//!
//! Promises: an answer or a failure within `LOOKUP_MAX`; both families of addresses, where both come in time; `/etc/resolv.conf` and
//! `/etc/hosts` as they are now, looked at again every `SYSTEM_READ_EVERY`; bounded memory. What is remembered is judged at each use like
//! what was just looked up, so a memory opens no address. Refuses: to go on without a name server's answer, but where a name's addresses
//! are still remembered.

mod system;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use parking_lot::Mutex;
use postrider_core::attempt::{ErrorKind, Failure};
use tokio::time::{Instant, timeout};

use crate::classify::{failure, seconds};
use crate::limits::{
    FAMILY_WAIT_MAX, LOOKUP_MAX, NAME_AGE_MAX, NAME_AGE_MIN, NAME_FAILURE_AGE, NAMES_MAX, SYSTEM_READ_EVERY,
};
use system::System;

/// Who is asked.
#[derive(Clone, Debug, Default)]
pub enum NameServers {
    /// Those of `/etc/resolv.conf`, after `/etc/hosts`.
    #[default]
    System,
    /// These alone.
    At(Vec<SocketAddr>),
}

/// The names that one dispatcher looked up.
pub(crate) struct Names {
    servers: NameServers,
    // One thread uses it, so this is never waited for; and it is never held across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Option<Asked>,
    known: HashMap<Box<str>, Known>,
}

/// The resolver, and of what it was made.
struct Asked {
    resolver: TokioResolver,
    system: System,
    looked_at: Instant,
}

struct Known {
    found: Result<Arc<[IpAddr]>, Failure>,
    until: Instant,
}

/// What one lookup brought.
struct Found {
    addresses: Vec<IpAddr>,
    /// None where it is not to be remembered.
    until: Option<std::time::Instant>,
}

impl Names {
    pub(crate) fn new(servers: NameServers) -> Names {
        Names { servers, state: Mutex::default() }
    }

    /// All addresses of `host`, at least one. None of them is judged.
    ///
    /// # Errors
    /// `dns`.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, Failure> {
        let now = Instant::now();
        if let Some(known) = self.state.lock().known.get(host).filter(|known| now < known.until) {
            return known.found.clone();
        }
        let resolver = self.resolver(now)?;
        let (found, age) = match timeout(LOOKUP_MAX, look_up(&resolver, host)).await {
            Ok(Ok(Found { addresses, until })) => {
                let age = until.map(|until| until.saturating_duration_since(std::time::Instant::now()));
                (Ok(addresses.into()), age.map(|age| age.clamp(NAME_AGE_MIN, NAME_AGE_MAX)))
            }
            Ok(Err(error)) => (Err(not_resolved(host, &error)), Some(NAME_FAILURE_AGE)),
            Err(_) => (Err(too_slow(host)), Some(NAME_FAILURE_AGE)),
        };
        if let Some(age) = age {
            self.state.lock().remember(host, &found, Instant::now() + age);
        }
        found
    }

    fn resolver(&self, now: Instant) -> Result<TokioResolver, Failure> {
        let mut state = self.state.lock();
        if let Some(asked) = &mut state.asked {
            let is_due = now.saturating_duration_since(asked.looked_at) >= SYSTEM_READ_EVERY;
            if !is_due || matches!(self.servers, NameServers::At(_)) {
                return Ok(asked.resolver.clone());
            }
            asked.looked_at = now;
            if System::read() == asked.system {
                return Ok(asked.resolver.clone());
            }
            // Another network, most likely: what the old one's servers said may be wrong here.
            state.known.clear();
        }
        let system = match &self.servers {
            NameServers::System => System::read(),
            NameServers::At(_) => System::default(),
        };
        let resolver = system.resolver(&self.servers).map_err(|error| {
            failure(ErrorKind::Dns, format_args!("no resolver can be made ({error}); check /etc/resolv.conf here"))
        })?;
        state.asked = Some(Asked { resolver: resolver.clone(), system, looked_at: now });
        Ok(resolver)
    }
}

impl State {
    fn remember(&mut self, host: &str, found: &Result<Arc<[IpAddr]>, Failure>, until: Instant) {
        if self.known.len() >= NAMES_MAX && !self.known.contains_key(host) {
            self.known.clear();
        }
        self.known.insert(host.into(), Known { found: found.clone(), until });
    }
}

/// Both families at once. Where one has come, the other may take a little longer: a server that answers one kind of question only must
/// not cost the whole time.
async fn look_up(resolver: &TokioResolver, host: &str) -> Result<Found, NetError> {
    let name = Name::from_ascii(host)?;
    let (mut four, mut six) = (pin!(resolver.ipv4_lookup(name.clone())), pin!(resolver.ipv6_lookup(name)));
    let (four, six) = tokio::select! {
        first = &mut four => { let second = after(&first, six).await; (Some(first), second) }
        first = &mut six => { let second = after(&first, four).await; (second, Some(first)) }
    };
    let is_complete = four.is_some() && six.is_some();
    let (mut addresses, mut until, mut error) = (Vec::new(), None, None);
    // IPv4 first: what a receiver's firewall knows of us is more likely one of these.
    for looked in [four, six].into_iter().flatten() {
        match looked {
            Ok(lookup) => {
                addresses.extend(lookup.answers().iter().filter_map(|record| record.data.ip_addr()));
                until = Some(
                    until.map_or(lookup.valid_until(), |until: std::time::Instant| until.min(lookup.valid_until())),
                );
            }
            // That a name has none of one family says less than anything else.
            Err(other) if error.as_ref().is_none_or(NetError::is_no_records_found) => error = Some(other),
            Err(_) => {}
        }
    }
    match error {
        Some(error) if addresses.is_empty() => Err(error),
        // A family whose servers failed is asked for again the next time.
        Some(error) if !error.is_no_records_found() => Ok(Found { addresses, until: None }),
        _ => Ok(Found { addresses, until: until.filter(|_| is_complete) }),
    }
}

async fn after(
    first: &Result<Lookup, NetError>,
    second: impl Future<Output = Result<Lookup, NetError>>,
) -> Option<Result<Lookup, NetError>> {
    match first {
        Ok(_) => timeout(FAMILY_WAIT_MAX, second).await.ok(),
        Err(_) => Some(second.await),
    }
}

fn too_slow(host: &str) -> Failure {
    let limit = seconds(LOOKUP_MAX);
    failure(
        ErrorKind::Dns,
        format_args!(
            "{host} was not resolved within {limit}; check its name servers, and this machine's resolver if other names fail too"
        ),
    )
}

fn not_resolved(host: &str, error: &NetError) -> Failure {
    let words = match error {
        NetError::Timeout => return too_slow(host),
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => format!("{host} does not exist; check the host's spelling and its DNS records"),
            ResponseCode::NoError => format!("{host} has no address; add an A or AAAA record"),
            code => refused_to_say(host, code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => refused_to_say(host, *code),
        NetError::Proto(error) => format!("{host} is no name that can be looked up ({error}); check the webhook's url"),
        error => {
            format!("{host} was not resolved ({error}); check that this machine's resolver is up, see /etc/resolv.conf")
        }
    };
    failure(ErrorKind::Dns, words)
}

fn refused_to_say(host: &str, code: ResponseCode) -> String {
    format!(
        "the name servers of {host} failed ({code}); check its zone and its DNSSEC, and this machine's resolver if other names fail too"
    )
}
