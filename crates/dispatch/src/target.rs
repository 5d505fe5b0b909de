//! Where a request goes: a webhook's URL, read once and kept in the parts that every attempt needs.
//!
//! The reading is the WHATWG URL standard's (the `url` crate), so that a host means here what it means to the receiver's browser or
//! to any other client: `http://2130706433/` is 127.0.0.1. What that standard repairs in silence and what has no place in a webhook
//! is refused: user info, control characters, spaces and backslashes, other schemes, a scheme without `//`. A fragment is dropped.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use postrider_core::limits::URL_BYTES_MAX;
use rustls::pki_types::ServerName;
use url::{Host, Position, Url};

/// Why a text is not the URL of a receiver; for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than `URL_BYTES_MAX`.
    #[error("is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// A character that the URL standard would drop or turn into another.
    #[error("has a space, a control character or a backslash; percent-encode it")]
    Character,
    /// No scheme with `//`.
    #[error("is not absolute; write it with its scheme, such as https://example.com/hook")]
    NotAbsolute,
    /// A scheme other than http and https.
    #[error("has a scheme other than http and https")]
    Scheme,
    /// Plain http, where the configuration asks for https.
    #[error("is plain http, which egress.https_only refuses; use https")]
    HttpsOnly,
    /// `user:password@`.
    #[error("has user info before its host; send credentials in a header")]
    UserInfo,
    /// No host, or one that is neither a name nor an address.
    #[error("has no valid host")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("has no valid port")]
    Port,
    /// What an HTTP request cannot carry.
    #[error("has a path or query that no request can carry")]
    Path,
}

/// What connections are pooled by, and connected with.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    pub(crate) https: bool,
}

/// A receiver's URL. Cheap to clone.
#[derive(Clone)]
pub struct Target {
    pub(crate) origin: Arc<Origin>,
    /// The host where it is an address; no lookup then.
    pub(crate) address: Option<IpAddr>,
    pub(crate) host_header: HeaderValue,
    /// Path and query alone, as the request line wants them.
    pub(crate) uri: Uri,
    /// Present with https.
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Target {
    /// Reads `url`. `https_only` is the configuration's `egress.https_only`.
    ///
    /// # Errors
    /// The first rule that `url` breaks, as the end of a sentence that begins with "The URL".
    pub fn parse(url: &str, https_only: bool) -> Result<Target, TargetError> {
        check_raw(url)?;
        let parsed = Url::parse(url).map_err(error_of_parser)?;
        let https = parsed.scheme() == "https";
        if https_only && !https {
            return Err(TargetError::HttpsOnly);
        }
        let port = parsed.port_or_known_default().filter(|port| *port != 0).ok_or(TargetError::Port)?;
        let (address, server_name) = match parsed.host().ok_or(TargetError::Host)? {
            Host::Ipv4(ip) => (Some(IpAddr::V4(ip)), ServerName::from(IpAddr::V4(ip))),
            Host::Ipv6(ip) => (Some(IpAddr::V6(ip)), ServerName::from(IpAddr::V6(ip))),
            Host::Domain(name) => (None, server_name(name)?),
        };
        // Host and port as the Host header wants them: no default port, brackets around IPv6.
        let authority = &parsed[Position::BeforeHost..Position::AfterPort];
        let path_and_query = &parsed[Position::BeforePath..Position::AfterQuery];
        Ok(Target {
            origin: Arc::new(Origin { host: parsed.host_str().ok_or(TargetError::Host)?.into(), port, https }),
            address,
            host_header: HeaderValue::from_str(authority).map_err(|_| TargetError::Host)?,
            uri: path_and_query.parse().map_err(|_| TargetError::Path)?,
            server_name: https.then_some(server_name),
        })
    }

    /// The host in lower case; an address in its usual spelling, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// The host, where it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The port, the scheme's own when the URL names none.
    pub fn port(&self) -> u16 {
        self.origin.port
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.origin.https
    }

    /// Scheme, host and port: what connections are shared by. `https://example.com`.
    pub fn origin(&self) -> String {
        self.origin.to_string()
    }
}

/// Without path and query, which can hold a token.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}/…)", self.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default_port) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != default_port { write!(f, ":{}", self.port) } else { Ok(()) }
    }
}

/// What the parser would repair without a word.
fn check_raw(url: &str) -> Result<(), TargetError> {
    if url.len() > URL_BYTES_MAX {
        return Err(TargetError::TooLong);
    }
    if url.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(TargetError::Character);
    }
    let (scheme, rest) = url.split_once(':').ok_or(TargetError::NotAbsolute)?;
    let rest = rest.strip_prefix("//").ok_or(TargetError::NotAbsolute)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(TargetError::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(TargetError::UserInfo);
    }
    if authority.is_empty() {
        return Err(TargetError::Host);
    }
    Ok(())
}

fn error_of_parser(error: url::ParseError) -> TargetError {
    match error {
        url::ParseError::InvalidPort => TargetError::Port,
        url::ParseError::RelativeUrlWithoutBase => TargetError::NotAbsolute,
        _ => TargetError::Host,
    }
}

/// The name in the certificate, which never has the root's dot.
fn server_name(host: &str) -> Result<ServerName<'static>, TargetError> {
    let name = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| TargetError::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_in_the_parts_that_a_request_needs() {
        for (url, origin, host_header, uri) in [
            ("http://example.com", "http://example.com", "example.com", "/"),
            ("HTTPS://EXAMPLE.com:443/a/../b?c=d#e", "https://example.com", "example.com", "/b?c=d"),
            ("http://example.com:8080//x?", "http://example.com:8080", "example.com:8080", "//x?"),
            (
                "https://example.com:80/%7e ü".replace(' ', "").as_str(),
                "https://example.com:80",
                "example.com:80",
                "/%7e%C3%BC",
            ),
            ("http://bücher.example/", "http://xn--bcher-kva.example", "xn--bcher-kva.example", "/"),
            ("https://[2606:4700:0::1111]:8443/", "https://[2606:4700::1111]:8443", "[2606:4700::1111]:8443", "/"),
            ("http://0x7f.1/", "http://127.0.0.1", "127.0.0.1", "/"),
            ("http://under_score.example./", "http://under_score.example.", "under_score.example.", "/"),
            (
                "http://e.com/{\"a\"}|^`[]<>'?q={\"a\"}|^`[]<>'",
                "http://e.com",
                "e.com",
                "/%7B%22a%22%7D|^%60[]%3C%3E'?q={%22a%22}|^`[]%3C%3E%27",
            ),
        ] {
            let target = Target::parse(url, false).expect(url);
            assert_eq!(target.origin(), origin);
            assert_eq!(target.host_header, host_header);
            assert_eq!(target.uri.to_string(), uri);
        }
    }

    #[test]
    fn what_is_no_receivers_url_is_refused_with_its_reason() {
        use TargetError::*;
        for (url, error) in [
            ("", NotAbsolute),
            ("/hook", NotAbsolute),
            ("example.com/hook", NotAbsolute),
            ("//example.com/hook", NotAbsolute),
            ("http:example.com", NotAbsolute),
            ("http:/example.com", NotAbsolute),
            ("localhost:8080/hook", NotAbsolute),
            ("ftp://example.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("gopher://example.com/", Scheme),
            ("unix://x", Scheme),
            ("http://", Host),
            ("http:///example.com", Host),
            ("http://:80/", Host),
            ("http://?x", Host),
            ("http://#x", Host),
            ("http://exa%00mple.com/", Host),
            ("http://exa<mple.com/", Host),
            ("http://user@example.com/", UserInfo),
            ("http://user:password@example.com/", UserInfo),
            ("http://@example.com/", UserInfo),
            ("http://example.com@127.0.0.1/", UserInfo),
            ("http://example.com:0/", Port),
            ("http://example.com:65536/", Port),
            ("http://example.com:x/", Port),
            (" http://example.com/", Character),
            ("http://example.com/a b", Character),
            ("http://example.com/\r\nx: y", Character),
            ("http://exam\tple.com/", Character),
            ("http://example.com\\@127.0.0.1/", Character),
            ("http://example.com/\u{7f}", Character),
            ("http://example.com/\u{2028}", Character),
        ] {
            assert_eq!(Target::parse(url, false).err(), Some(error), "{url}");
        }
        let long = format!("http://example.com/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(Target::parse(&long, false).err(), Some(TooLong));
        assert_eq!(Target::parse("http://example.com/", true).err(), Some(HttpsOnly));
        assert!(Target::parse("https://example.com/", true).is_ok());
    }

    #[test]
    fn a_certificate_is_for_the_name_without_the_roots_dot() {
        let name = |url| Target::parse(url, false).expect(url).server_name;
        assert_eq!(name("https://example.com./"), ServerName::try_from("example.com").ok());
        assert_eq!(name("https://[::1]/"), ServerName::try_from("::1").ok());
        assert_eq!(name("http://example.com/"), None);
    }

    #[test]
    fn a_target_shown_in_a_log_tells_no_token() {
        let target = Target::parse("https://example.com/secret?token=secret", false).expect("a URL");
        assert_eq!(format!("{target:?}"), "Target(https://example.com/…)");
    }
}
