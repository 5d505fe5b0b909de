//! The API as a client sees it: one kept connection, a key, JSON in and out. Every answer but the expected ones is an error that says what
//! was asked for. What several commands want of a server goes through here; `publish`, which has to know whether a lost batch may have
//! arrived, and `bench`, which measures, take the connection below.

mod address;
mod connection;
mod problem;
mod trust;
pub mod wire;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::commands::Usage;
use crate::limits::{API_ANSWER_BYTES_MAX, API_ANSWER_WAIT_MAX};

pub use address::Address;
pub use connection::{Connection, SendError};
pub use problem::{Problem, printable, problem};
pub use trust::Trust;

/// What the command line calls itself.
pub const AGENT: &str = concat!("Postrider/", env!("CARGO_PKG_VERSION"));

/// A client with one key. One request at a time.
pub struct Client {
    connection: Connection,
    key: HeaderValue,
}

/// `{"data":…}` of one resource.
#[derive(Deserialize)]
struct One<T> {
    data: T,
}

/// `{"data":[…],"meta":{…}}`.
#[derive(Deserialize)]
pub struct List<T> {
    pub data: Vec<T>,
    pub meta: Meta,
}

#[derive(Deserialize)]
pub struct Meta {
    pub total: u64,
}

impl Client {
    /// # Errors
    /// [`Usage`]: the key is no header value.
    pub fn new(address: impl Into<Address>, key: &str) -> Result<Self, Usage> {
        let mut key = HeaderValue::from_str(key).map_err(|_| Usage("--key is not visible ASCII".to_owned()))?;
        key.set_sensitive(true);
        Ok(Self { connection: Connection::new(address.into()), key })
    }

    /// Reads one resource.
    ///
    /// # Errors
    /// Any other answer, or none. So it is with all that follow.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let answer = self.expect(Method::GET, path, None, StatusCode::OK).await?;
        Ok(read::<One<T>>(path, &answer)?.data)
    }

    /// Reads a page of a list.
    pub async fn list<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<List<T>> {
        let answer = self.expect(Method::GET, path, None, StatusCode::OK).await?;
        read(path, &answer)
    }

    /// Sends JSON and reads one resource.
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        json: String,
        expected: StatusCode,
    ) -> anyhow::Result<T> {
        let answer = self.expect(Method::POST, path, Some(json), expected).await?;
        Ok(read::<One<T>>(path, &answer)?.data)
    }

    /// The status alone.
    pub async fn status_of(&mut self, method: Method, path: &str) -> anyhow::Result<StatusCode> {
        Ok(self.send(method, path, None).await?.0)
    }

    async fn expect(
        &mut self,
        method: Method,
        path: &str,
        json: Option<String>,
        expected: StatusCode,
    ) -> anyhow::Result<Bytes> {
        let (status, body) = self.send(method.clone(), path, json).await?;
        if status != expected {
            bail!("{method} {path}: {status} instead of {expected}: {}", problem(&body));
        }
        Ok(body)
    }

    /// Status and body, whatever they are.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        json: Option<String>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let what = format!("{method} {path}");
        let request = self.request(method, path, json)?;
        let exchange = self.connection.exchange(request, API_ANSWER_BYTES_MAX, API_ANSWER_WAIT_MAX);
        let (head, body) = exchange.await.map_err(|error| anyhow!(error)).context(what)?;
        Ok((head.status, body))
    }

    /// An answer whose body is still to come, and has no end that is known.
    ///
    /// # Errors
    /// No answer, or its head comes too late.
    pub async fn open(&mut self, path: &str) -> anyhow::Result<Response<Incoming>> {
        let request = self.request(Method::GET, path, None)?;
        let opened = self.connection.open(request, API_ANSWER_WAIT_MAX).await;
        opened.map_err(|error| anyhow!(error)).with_context(|| format!("GET {path}"))
    }

    fn request(&self, method: Method, path: &str, json: Option<String>) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.connection.address().base))
            .header("x-api-key", &self.key)
            .header(USER_AGENT, AGENT);
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(request.body(Full::from(json.unwrap_or_default()))?)
    }
}

fn read<T: DeserializeOwned>(path: &str, body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body).with_context(|| format!("the answer of {path} is not as documented"))
}
