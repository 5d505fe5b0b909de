//! A batch as a request: one kept connection, NDJSON in. What a failure means for the batch is told by the connection and decided above.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode, Uri};

use crate::client::{AGENT, Address, Connection, SendError, Trust};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_WAIT_MAX};

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

/// A client for one URL and key.
pub struct Client {
    path: Uri,
    authorization: HeaderValue,
    connection: Connection,
}

impl Client {
    /// # Errors
    /// What is wrong with the URL or the key, for a person.
    pub fn new(url: &str, trust: &Trust, key: &str) -> Result<Self, String> {
        let address = Address::parse(url, trust)?;
        let path = format!("{}/v1/events", address.base).parse().map_err(|_| format!("--url {url} has a bad path"))?;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| "--key is not visible ASCII".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self { path, authorization, connection: Connection::new(address) })
    }

    /// Whether the server was ever there.
    pub fn has_connected(&self) -> bool {
        self.connection.has_connected()
    }

    /// Sends one body and reads the answer.
    pub async fn post(&mut self, body: Bytes) -> Result<Reply, SendError> {
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut()) = (hyper::Method::POST, self.path.clone());
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let (head, body) = self.connection.exchange(request, ANSWER_BYTES_MAX, ANSWER_WAIT_MAX).await?;
        let seconds = |value: &HeaderValue| value.to_str().ok()?.parse().ok().map(Duration::from_secs);
        let retry_after = head.headers.get(RETRY_AFTER).and_then(seconds);
        Ok(Reply { status: head.status, retry_after, body })
    }
}
