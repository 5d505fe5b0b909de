//! A name for each request: answered as `x-request-id`, and in every line of the program's log that is about the request.
//!
//! A client may give the name, so that its own log and this one can be held side by side. What is not plainly a name is not taken, since it
//! would stand in the log: one is made instead. Lines name method and path, never the query, a header or a body.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use postrider_engine::new_session_token;
use secrecy::ExposeSecret;
use tracing::{Instrument, field};

use crate::limits::REQUEST_ID_MAX;
use crate::state::Api;

/// The header, of requests and of answers.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Characters that tell the ids of two processes apart.
const PREFIX_CHARS: usize = 10;

/// Makes names that no other process makes.
pub struct RequestIds {
    prefix: String,
    made: AtomicU64,
}

impl RequestIds {
    /// With a prefix of its own.
    pub fn new() -> RequestIds {
        let token = new_session_token();
        let prefix = token.expose_secret().chars().filter(char::is_ascii_alphanumeric).take(PREFIX_CHARS).collect();
        RequestIds { prefix, made: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("req_{}{number:06x}", self.prefix)).expect("letters and digits")
    }
}

/// Gives each request its name, and says at its end what it was answered.
pub async fn name(State(api): State<Api>, request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).filter(|value| is_name(value.as_bytes()));
    let id = given.cloned().unwrap_or_else(|| api.request_ids().next());
    let (text, method) = (id.to_str().unwrap_or_default(), request.method());
    // A line of any level names the request, so that the span is of the highest. The other is for whoever traces, and in no line.
    let path = request.uri().path();
    let span = tracing::error_span!("request", id = text, %method, path);
    let traced = tracing::trace_span!("request", otel.kind = "server", id = text, %method, path, status = field::Empty);
    let began = Instant::now();
    let mut response = next.run(request).instrument(traced.clone()).instrument(span.clone()).await;
    span.in_scope(|| tell(&response, began));
    traced.record("status", response.status().as_u16());
    response.headers_mut().insert(HEADER, id);
    response
}

fn tell(response: &Response, began: Instant) {
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis() as u64);
    if response.status().is_server_error() {
        tracing::warn!(status, ms, "answered");
    } else {
        tracing::debug!(status, ms, "answered");
    }
}

/// Visible characters of ids as programs make them, and not too many.
fn is_name(value: &[u8]) -> bool {
    let is_sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=REQUEST_ID_MAX).contains(&value.len()) && value.iter().all(is_sane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plainly_a_name_is_taken() {
        for name in ["a", "6f1c1c9e-2a43-4a4e-9d59-6f0f7f4a6b11", "Root=1-67891233-abcdef012345678912345678"] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for other in ["", "two words", "a\u{1b}[2J", "\"", "{", "ä", &"x".repeat(REQUEST_ID_MAX + 1)] {
            assert!(!is_name(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let ids = [one.next(), one.next(), other.next()];
        assert!(ids.iter().all(|id| is_name(id.as_bytes())), "{ids:?}");
        assert!(ids[0] != ids[1] && ids[0] != ids[2], "{ids:?}");
    }
}
