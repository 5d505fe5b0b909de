//! One connection to the server, kept alive and opened again when it is gone. Says of every failure whether the request
//! may have arrived; decides nothing about it.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::{ANSWER_BYTES_MAX, ANSWER_WAIT_MAX, CONNECT_WAIT_MAX};

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// In seconds only; the form with a date is left alone.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

impl Reply {
    /// Nothing was accepted and the same request may be sent later.
    pub fn is_later(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum SendError {
    /// No connection: nothing was sent.
    Unsent(String),
    /// The request or part of it was sent; whether it was taken is unknown.
    Lost(String),
}

/// A client for one URL and key.
pub struct Client {
    authority: HeaderValue,
    host: String,
    port: u16,
    path: Uri,
    authorization: HeaderValue,
    connection: Option<SendRequest<Full<Bytes>>>,
    has_connected: bool,
}

impl Client {
    /// # Errors
    /// What is wrong with the URL or the key, for a person.
    pub fn new(url: &str, key: &str) -> Result<Self, String> {
        let bad = || format!("--url {url} is not a server's address, such as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|_| bad())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "publish speaks http only, not https: send to the server itself, not through TLS".to_owned()
                );
            }
            _ => return Err(bad()),
        }
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        if uri.query().is_some() {
            return Err(bad());
        }
        let path = format!("{}/v1/events", uri.path().trim_end_matches('/')).parse().map_err(|_| bad())?;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| "--key is not visible ASCII".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?,
            path,
            authorization,
            connection: None,
            has_connected: false,
        })
    }

    /// Whether the server was ever there.
    pub fn has_connected(&self) -> bool {
        self.has_connected
    }

    /// Sends one body and reads the answer.
    pub async fn post(&mut self, body: Bytes) -> Result<Reply, SendError> {
        let mut connection = self.connection().await?;
        let mut request = Request::post(self.path.clone()).body(Full::new(body)).map_err(unsent)?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Postrider/", env!("CARGO_PKG_VERSION"))));
        let exchange = async {
            let response = connection.send_request(request).await.map_err(lost)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(lost)?.to_bytes();
            let seconds = |value: &HeaderValue| value.to_str().ok()?.parse().ok().map(Duration::from_secs);
            let retry_after = head.headers.get(RETRY_AFTER).and_then(seconds);
            Ok(Reply { status: head.status, retry_after, body })
        };
        let reply = timeout(ANSWER_WAIT_MAX, exchange)
            .await
            .unwrap_or_else(|_| Err(SendError::Lost(format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs()))))?;
        self.connection = Some(connection);
        Ok(reply)
    }

    /// The kept connection if it is still open, else a new one.
    async fn connection(&mut self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        if let Some(mut kept) = self.connection.take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        self.connect().await
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let to = format!("cannot connect to {}:{}", self.host, self.port);
        let stream = match timeout(CONNECT_WAIT_MAX, TcpStream::connect((self.host.as_str(), self.port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(SendError::Unsent(format!("{to}: {error}"))),
            Err(_) => {
                return Err(SendError::Unsent(format!("{to} within {} s", CONNECT_WAIT_MAX.as_secs())));
            }
        };
        // Only latency is lost without it.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unsent)?;
        // Ends with the sender or the connection, whichever goes first; the sender hears of errors.
        tokio::spawn(connection);
        self.has_connected = true;
        Ok(sender)
    }
}

fn unsent(error: impl Display) -> SendError {
    SendError::Unsent(error.to_string())
}

fn lost(error: impl Display) -> SendError {
    SendError::Lost(format!("the connection broke before the answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_a_path_and_nothing_else() {
        let path = |url: &str| Client::new(url, "k").map(|client| client.path.to_string());
        assert_eq!(path("http://h:1").as_deref(), Ok("/v1/events"));
        assert_eq!(path("http://h/base/").as_deref(), Ok("/base/v1/events"));
        for bad in ["h:1", "ftp://h", "http://u:p@h", "http://h?x=1", "", "/x", "http://"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(path("https://h").is_err_and(|error| error.contains("http only")));
    }

    #[test]
    fn an_address_in_brackets_loses_them_to_connect() {
        let client = Client::new("http://[::1]:8080", "k").unwrap();
        assert_eq!((client.host.as_str(), client.port), ("::1", 8080));
    }
}
