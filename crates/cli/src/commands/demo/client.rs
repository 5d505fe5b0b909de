//! The API as a client sees it: one kept connection, a key, JSON in and out. Every answer but the expected ones is an error that says what
//! was asked for.

use std::net::SocketAddr;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::net::TcpStream;

use crate::limits::{CONNECT_WAIT_MAX, DEMO_ANSWER_BYTES_MAX, DEMO_ANSWER_WAIT_MAX};

/// A client with one key. One request at a time.
pub struct Client {
    address: SocketAddr,
    key: HeaderValue,
    connection: Option<SendRequest<Full<Bytes>>>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workspace {
    pub api_key: String,
}

#[derive(Deserialize)]
pub struct EventType {
    pub name: String,
    pub sample: Box<RawValue>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub id: u64,
    pub name: String,
    pub url: String,
    pub retry_policy: RetryPolicy,
}

#[derive(Clone, Deserialize)]
pub struct RetryPolicy {
    pub delays: Vec<String>,
}

#[derive(Deserialize)]
pub struct Accepted {
    pub id: String,
    pub duplicate: bool,
    pub deliveries: u64,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub id: String,
    pub event_id: String,
    pub webhook_id: u64,
    pub status: String,
    pub next_attempt_at: Option<String>,
    /// Only in a delivery that was asked for by its id.
    #[serde(default)]
    pub attempts: Vec<LogEntry>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    pub id: u64,
    pub event_type: String,
    pub status_code: Option<u16>,
    pub error_message: Option<String>,
    pub attempt_number: u32,
    pub duration_ms: u64,
    pub created_at: String,
    pub outcome: String,
}

impl Client {
    pub fn new(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(key).context("the key is no header value")?;
        key.set_sensitive(true);
        Ok(Self { address, key, connection: None })
    }

    /// Reads one resource.
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

    async fn send(&mut self, method: Method, path: &str, json: Option<String>) -> anyhow::Result<(StatusCode, Bytes)> {
        let what = format!("{method} {path}");
        let exchange = tokio::time::timeout(DEMO_ANSWER_WAIT_MAX, self.exchange(method, path, json));
        let late = |_| anyhow!("{what}: no answer within {} s", DEMO_ANSWER_WAIT_MAX.as_secs());
        exchange.await.map_err(late)?.context(what.clone())
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        json: Option<String>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut connection = self.connection().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header("x-api-key", &self.key);
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(json.unwrap_or_default()))?;
        let (head, body) = connection.send_request(request).await?.into_parts();
        let body = Limited::new(body, DEMO_ANSWER_BYTES_MAX).collect().await;
        self.connection = Some(connection);
        Ok((head.status, body.map_err(|error| anyhow!(error))?.to_bytes()))
    }

    /// The kept connection if it is still open, else a new one.
    async fn connection(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        if let Some(mut kept) = self.connection.take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let stream = tokio::time::timeout(CONNECT_WAIT_MAX, TcpStream::connect(self.address)).await??;
        // Only latency is lost without it.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender or the connection, whichever goes first; the sender hears of errors.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl LogEntry {
    /// When it ended, in milliseconds since 1970.
    pub fn ended_ms(&self) -> i64 {
        let started = crate::clock::parse(&self.created_at).unwrap_or_default();
        started.saturating_add(i64::try_from(self.duration_ms).unwrap_or(i64::MAX))
    }
}

impl RetryPolicy {
    pub fn attempts_max(&self) -> usize {
        self.delays.len() + 1
    }
}

fn read<T: DeserializeOwned>(path: &str, body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body).with_context(|| format!("the answer of {path} is not as documented"))
}

/// The message of an error answer, or the beginning of whatever came instead.
fn problem(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        message: String,
        #[serde(default)]
        errors: Vec<serde_json::Value>,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { message, errors }) if errors.is_empty() => message,
        Ok(Problem { message, errors }) => format!("{message} {}", serde_json::Value::Array(errors)),
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
    }
}
