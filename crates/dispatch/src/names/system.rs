//! What the system says about names: `/etc/resolv.conf` and `/etc/hosts`, as text, and the resolver that they describe.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};

use super::NameServers;
use crate::limits::{LOOKUP_TRIES, LOOKUP_TRY_MAX};

/// Both files. One that cannot be read is empty: a machine without them has a resolver on loopback, or none.
#[derive(Default, PartialEq, Eq)]
pub(super) struct System {
    resolv: Vec<u8>,
    hosts: Vec<u8>,
}

impl System {
    pub(super) fn read() -> System {
        let text = |path| std::fs::read(path).unwrap_or_default();
        System { resolv: text("/etc/resolv.conf"), hosts: text("/etc/hosts") }
    }

    /// A resolver that remembers nothing: what it finds is remembered beside it.
    pub(super) fn resolver(&self, servers: &NameServers) -> Result<TokioResolver, NetError> {
        let (config, mut options) = match servers {
            NameServers::System => self.config(),
            NameServers::At(servers) => {
                let servers = servers.iter().map(|server| at(server.ip(), server.port())).collect();
                (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
            }
        };
        options.timeout = LOOKUP_TRY_MAX;
        options.attempts = LOOKUP_TRIES - 1;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&*self.hosts)?;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let mut resolver = builder.build()?;
        resolver.set_hosts(Arc::new(hosts));
        Ok(resolver)
    }

    /// Where the file names no server there may be one on this machine, as the C library has it.
    fn config(&self) -> (ResolverConfig, ResolverOpts) {
        parse_resolv_conf(&self.resolv).unwrap_or_else(|_| {
            let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
        })
    }
}

fn at(ip: IpAddr, port: u16) -> NameServerConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    (udp.port, tcp.port) = (port, port);
    NameServerConfig::new(ip, true, vec![udp, tcp])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(resolv: &str, hosts: &str) -> TokioResolver {
        let system = System { resolv: resolv.into(), hosts: hosts.into() };
        system.resolver(&NameServers::System).expect("a resolver")
    }

    #[test]
    fn the_files_are_read_as_the_c_library_reads_them() {
        let options = |resolv| {
            let resolver = resolver(resolv, "");
            (resolver.options().ndots, resolver.options().timeout)
        };
        assert_eq!(
            options("search a.example\nnameserver 192.0.2.1\noptions ndots:5 timeout:30\n"),
            (5, LOOKUP_TRY_MAX)
        );
        // Nothing in it, and nonsense, leave the server on this machine.
        for resolv in ["", "nameserver\n", "\u{fffd}\n"] {
            let (config, _) = System { resolv: resolv.into(), hosts: Vec::new() }.config();
            assert_eq!(config.name_servers()[0].ip, IpAddr::V4(Ipv4Addr::LOCALHOST), "{resolv:?}");
        }
    }

    #[tokio::test]
    async fn a_name_of_the_hosts_file_needs_no_server() {
        let resolver =
            resolver("nameserver 127.0.0.1\n", "10.1.2.3 crm.internal crm # ours\n2001:db8::7 crm.internal\n");
        for name in ["crm.internal", "crm.internal.", "CRM.internal"] {
            let found = resolver.ipv4_lookup(name).await.expect(name);
            let found: Vec<_> = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
            assert_eq!(found, ["10.1.2.3".parse::<IpAddr>().expect("an address")]);
        }
        assert!(resolver.ipv6_lookup("crm.internal").await.is_ok());
    }
}
