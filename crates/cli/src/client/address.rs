//! Where a server is, as people write it: `http://127.0.0.1:8080` or `https://…`, with a path where it is behind another one.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::ClientConfig;

use super::Trust;

/// A server's address, taken apart.
#[derive(Clone, Debug)]
pub struct Address {
    /// To connect to: a name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// As the header `Host` has it.
    pub authority: HeaderValue,
    /// What stands before `/v1`, without a slash at its end.
    pub base: String,
    /// With https: how it is spoken.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Address {
    /// # Errors
    /// What is wrong with the URL, or with an authority to trust, for a person.
    pub fn parse(url: &str, trust: &Trust) -> Result<Self, String> {
        let bad = || format!("--url {url} is not a server's address, such as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let (port, tls) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => (443, Some(trust.config()?)),
            _ => return Err(bad()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        if uri.query().is_some() {
            return Err(bad());
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?,
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
        })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let authority = HeaderValue::from_str(&address.to_string()).expect("digits, colons, brackets and dots");
        Self { host: address.ip().to_string(), port: address.port(), authority, base: String::new(), tls: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_a_path_and_nothing_else() {
        let parse = |url: &str| Address::parse(url, &Trust::default());
        let base = |url: &str| parse(url).map(|address| address.base);
        assert_eq!(base("http://h:1").as_deref(), Ok(""));
        assert_eq!(base("http://h/base/").as_deref(), Ok("/base"));
        for bad in ["h:1", "ftp://h", "http://u:p@h", "http://h?x=1", "", "/x", "http://"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let port = |url: &str| parse(url).map(|address| (address.port, address.tls.is_some()));
        assert_eq!((port("http://h"), port("https://h")), (Ok((80, false)), Ok((443, true))));
    }

    #[test]
    fn an_address_in_brackets_loses_them_to_connect() {
        let address = Address::parse("http://[::1]:8080", &Trust::default()).unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 8080));
    }
}
