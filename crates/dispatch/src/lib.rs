//! One attempt: exactly one HTTP request to a receiver, and what came of it. HTTP/1.1, or HTTP/2 where an https receiver chooses it.
//!
//! Owns the connections (an own keep-alive pool), TLS, the address policy, the deadline and the classification. It promises:
//!
//! - **One request.** Nothing is sent twice. A pooled connection that proves closed before the request was taken from the queue in
//!   front of it is replaced; from the moment that a byte may have been written, a broken connection is a `reset`.
//! - **One deadline** over name lookup, connect, TLS, writing, head and body, on the monotonic clock.
//! - **No way around the address policy**: a connection exists only to an address that was judged.
//! - **No task of its own** for HTTP/1.1. Whoever awaits [`Dispatcher::attempt`] drives the connection, and dropping that future closes it. An
//!   HTTP/2 connection, which several attempts share, has one task, which ends with the last that holds the connection; a dropped attempt
//!   ends its stream.
//!
//! It refuses redirects, proxies from the environment, decompression, retries, and decisions about any of them.

mod classify;
mod connect;
mod dispatcher;
mod egress;
mod exchange;
mod http2;
pub mod limits;
mod line;
mod names;
mod pool;
mod resolve;
mod sign;
mod stage;
mod target;
mod tls;

pub use dispatcher::{Answer, Config, Dispatched, Dispatcher, Http2, Request};
pub use egress::{AddressPolicy, Cidr, CidrError, Opening, Refused};
pub use hyper::header::{HeaderMap, HeaderName, HeaderValue};
pub use names::NameServers;
pub use sign::{SecretError, SigningSecret, public_key_text};
pub use target::{Target, TargetError};
pub use tls::TlsError;
