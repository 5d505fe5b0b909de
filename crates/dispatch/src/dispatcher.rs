//! The attempt from its start to its answer: a connection, the gate, the exchange, the deadline over all of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::{Method, Response, StatusCode};
use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::time::{Millis, Time};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use crate::classify::{self, failure};
use crate::connect::connect;
use crate::exchange::{Message, Unanswered};
use crate::line::{Line, Payload};
use crate::names::{NameServers, Names};
use crate::pool::Pool;
use crate::resolve::resolve;
use crate::stage::{Progress, Stage};
use crate::{AddressPolicy, Target, TlsError, tls};

/// What all dispatchers of a process share.
pub struct Config {
    policy: AddressPolicy,
    https_only: bool,
    tls: Arc<ClientConfig>,
    name_servers: NameServers,
}

/// Whether https receivers are asked to choose between HTTP/2 and HTTP/1.1, or get HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// They choose.
    Offered,
    /// HTTP/1.1.
    Off,
}

impl Config {
    /// `extra_roots` are PEM texts of certificate authorities, trusted beside the public ones.
    ///
    /// # Errors
    /// An extra root that cannot be read.
    pub fn new<P: AsRef<[u8]>>(policy: AddressPolicy, https_only: bool, extra_roots: &[P]) -> Result<Config, TlsError> {
        Config::speaking(Http2::Offered, policy, https_only, extra_roots)
    }

    /// The same, with HTTP/2 or without.
    ///
    /// # Errors
    /// An extra root that cannot be read.
    pub fn speaking<P: AsRef<[u8]>>(
        http2: Http2,
        policy: AddressPolicy,
        https_only: bool,
        extra_roots: &[P],
    ) -> Result<Config, TlsError> {
        let tls = tls::client_config(extra_roots, http2 == Http2::Offered)?;
        Ok(Config { policy, https_only, tls, name_servers: NameServers::System })
    }

    /// The same, with other name servers than the system's.
    pub fn with_name_servers(self, name_servers: NameServers) -> Config {
        Config { name_servers, ..self }
    }

    /// The address policy.
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// Whether plain http is refused.
    pub fn https_only(&self) -> bool {
        self.https_only
    }
}

/// One attempt's POST.
pub struct Request<'a> {
    /// Where it goes.
    pub target: &'a Target,
    /// All headers but Host, Content-Length and Transfer-Encoding, which are set here and ignored if given.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body's bytes.
    pub body: Bytes,
    /// For the whole attempt.
    pub timeout: Duration,
    /// The wall clock at the start; only a `Retry-After` that is a date is measured by it.
    pub now: Time,
}

/// What a request came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Measured and classified.
    pub exchange: Exchange,
    /// Of a complete head, at most 100 fields and 64 KiB; else empty. Shares memory with the connection's buffer: read it, drop it.
    pub response_headers: HeaderMap,
    /// The response body's first bytes, at most `RESPONSE_KEPT_BYTES`, of any status.
    pub body: Bytes,
}

impl Answer {
    /// The response's headers for people: names in lower case, bytes that are not UTF-8 replaced.
    pub fn headers_text(&self) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.response_headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Dispatched {
    /// The request was made, or something stood in its way.
    Done(Answer),
    /// `still_wanted` said no when all was ready: nothing was sent.
    Withdrawn,
}

/// Makes attempts. One for each worker thread: its connections are its own.
pub struct Dispatcher {
    config: Arc<Config>,
    names: Names,
    pool: Pool,
}

impl Dispatcher {
    /// A dispatcher without connections. Call it and its methods within a tokio runtime with I/O and time.
    pub fn new(config: Arc<Config>) -> Dispatcher {
        let names = Names::new(config.name_servers.clone());
        Dispatcher { config, names, pool: Pool::new() }
    }

    /// Sends `request` once. `still_wanted` is asked when a connection stands, just before the request is written to it.
    ///
    /// Dropping the future closes its connection; whether the request was sent is then unknown.
    pub async fn attempt(&self, request: Request<'_>, still_wanted: impl Fn() -> bool) -> Dispatched {
        let started = Instant::now();
        let Request { target, timeout, now, .. } = request;
        let deadline = started + timeout;
        let progress = Progress::new();
        let head = timeout_at(deadline, self.head(request, still_wanted, started, &progress)).await;
        let (link, response) = match head {
            Ok(Ok(Some(answered))) => answered,
            Ok(Ok(None)) => return Dispatched::Withdrawn,
            Ok(Err(failure)) => return Dispatched::Done(unanswered(started, failure)),
            Err(_) => return Dispatched::Done(unanswered(started, progress.overdue(target, timeout))),
        };
        Dispatched::Done(self.answer(target, link, response, started, deadline, now).await)
    }

    /// Judges where `target` leads now, without connecting: for a warning when a webhook is saved.
    ///
    /// # Errors
    /// `dns` or `blocked_address`.
    pub async fn check_host(&self, target: &Target) -> Result<(), Failure> {
        resolve(target, &self.names, &self.config.policy).await.map(drop)
    }

    /// Closes idle connections that are overdue or that their receivers closed. Attempts do this by themselves; a worker without
    /// any calls it now and then, at most every second is enough.
    pub fn close_idle(&self) {
        self.pool.sweep(Instant::now());
    }

    /// Idle connections that are kept.
    pub fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    /// A connection and the response's head; `None` if the request was withdrawn.
    async fn head(
        &self,
        request: Request<'_>,
        still_wanted: impl Fn() -> bool,
        started: Instant,
        progress: &Progress,
    ) -> Result<Option<(Line, Response<Payload>)>, Failure> {
        let target = request.target;
        if self.config.https_only && !target.is_https() {
            return Err(failure(ErrorKind::BlockedAddress, "plain http is refused by egress.https_only; use https"));
        }
        self.pool.sweep(started);
        let mut message = message(request);
        let resolved = match resolve(target, &self.names, &self.config.policy).await {
            Err(failure) if failure.kind != ErrorKind::Dns => return Err(failure),
            // Without an answer from a name server, what is connected stays in use until it is too old.
            resolved => resolved,
        };
        let addresses = resolved.as_deref().ok();
        // Ends: each round takes a connection out of the pool, or retires a shared one, and one that was made here is the last.
        loop {
            let (mut link, pooled) = match self.pool.take(&target.origin, addresses, started) {
                Some(link) if link.is_open().await => (link, true),
                Some(link) => {
                    link.give_up();
                    continue;
                }
                None => (self.connect(target, &resolved, progress).await?, false),
            };
            if !still_wanted() {
                // A new connection is not kept: before its first write it is not read, so its close would go unseen.
                if pooled {
                    self.pool.put(&target.origin, link, Instant::now());
                }
                return Ok(None);
            }
            progress.begin(Stage::Answer);
            match link.send(message).await {
                Ok(response) => return Ok(Some((link, response))),
                Err(Unanswered::Unsent(unsent)) if pooled => message = *unsent,
                Err(Unanswered::Unsent(_)) => return Err(classify::closed_at_once()),
                Err(Unanswered::Broken(failure)) => return Err(failure),
            }
        }
    }

    async fn connect(
        &self,
        target: &Target,
        resolved: &Result<Vec<SocketAddr>, Failure>,
        progress: &Progress,
    ) -> Result<Line, Failure> {
        let addresses = resolved.as_ref().map_err(Failure::clone)?;
        let stream = connect(target, addresses, &self.config.policy, &self.config.tls, progress).await?;
        let line = Line::open(stream).await?;
        if let Line::Shared(lease) = &line {
            self.pool.share(&target.origin, lease);
        }
        Ok(line)
    }

    /// The head decides; the body is read for its first bytes and so that the connection can be used again.
    async fn answer(
        &self,
        target: &Target,
        mut link: Line,
        response: Response<Payload>,
        started: Instant,
        deadline: Instant,
        now: Time,
    ) -> Answer {
        let (head, body) = response.into_parts();
        let status = head.status;
        if status == StatusCode::SWITCHING_PROTOCOLS || status.as_u16() > 599 {
            link.give_up();
            return unanswered(started, classify::invalid_status(format_args!("the status {}", status.as_u16())));
        }
        let mut kept = BytesMut::new();
        let whole =
            body.is_end_stream() || timeout_at(deadline, link.read_body(body, &mut kept)).await.unwrap_or(false);
        let ended = Instant::now();
        if whole && !is_framing_in_doubt(status, &head.headers) {
            self.pool.put(&target.origin, link, ended);
        }
        let duration = millis(ended.duration_since(started));
        let exchange = Exchange {
            duration,
            status_code: Some(status.as_u16()),
            failure: (!status.is_success()).then(|| classify::http_status(status)),
            retry_after: retry_after(status, &head.headers, Time(now.0.saturating_add(duration.0))),
        };
        Answer { exchange, response_headers: head.headers, body: kept.freeze() }
    }
}

/// Host first, as RFC 9112 asks; hyper adds the length.
fn message(request: Request<'_>) -> Message {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    headers.append(HOST, request.target.host_header.clone());
    for (name, value) in request.headers {
        if name != HOST && name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            headers.append(name, value);
        }
    }
    let mut message = Message::new(Full::new(request.body));
    *message.method_mut() = Method::POST;
    *message.uri_mut() = request.target.uri.clone();
    *message.headers_mut() = headers;
    message
}

/// No complete, valid head came.
fn unanswered(started: Instant, failure: Failure) -> Answer {
    let exchange =
        Exchange { duration: millis(started.elapsed()), status_code: None, failure: Some(failure), retry_after: None };
    Answer { exchange, response_headers: HeaderMap::new(), body: Bytes::new() }
}

/// Where two rules about the body's end contradict each other, what comes next on the connection may be part of this answer.
fn is_framing_in_doubt(status: StatusCode, headers: &HeaderMap) -> bool {
    let has_length = headers.contains_key(CONTENT_LENGTH);
    let has_chunks = headers.contains_key(TRANSFER_ENCODING);
    let has_body = has_chunks || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    (has_length && has_chunks) || (status == StatusCode::NO_CONTENT && has_body)
}

fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Seconds or an HTTP date, on 429 and 503 only; what is neither counts as absent.
fn retry_after(status: StatusCode, headers: &HeaderMap, ended: Time) -> Option<Millis> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Millis(text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = Time(u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?);
    Some(date.since(ended))
}
