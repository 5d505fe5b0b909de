//! Where a server is, as people write it: `http://127.0.0.1:8080`, with a path where it is behind another one.

use std::net::SocketAddr;

use hyper::Uri;
use hyper::header::HeaderValue;

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
}

impl Address {
    /// # Errors
    /// What is wrong with the URL, for a person.
    pub fn parse(url: &str) -> Result<Self, String> {
        let bad = || format!("--url {url} is not a server's address, such as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|_| bad())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(format!(
                    "--url {url}: the command line speaks http only, not https: name the server itself, not a proxy before it"
                ));
            }
            _ => return Err(bad()),
        }
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        if uri.query().is_some() {
            return Err(bad());
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?,
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let authority = HeaderValue::from_str(&address.to_string()).expect("digits, colons, brackets and dots");
        Self { host: address.ip().to_string(), port: address.port(), authority, base: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_a_path_and_nothing_else() {
        let base = |url: &str| Address::parse(url).map(|address| address.base);
        assert_eq!(base("http://h:1").as_deref(), Ok(""));
        assert_eq!(base("http://h/base/").as_deref(), Ok("/base"));
        for bad in ["h:1", "ftp://h", "http://u:p@h", "http://h?x=1", "", "/x", "http://"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        assert!(Address::parse("https://h").is_err_and(|error| error.contains("http only")));
    }

    #[test]
    fn an_address_in_brackets_loses_them_to_connect() {
        let address = Address::parse("http://[::1]:8080").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 8080));
    }
}
