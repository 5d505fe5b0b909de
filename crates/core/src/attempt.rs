//! One HTTP exchange with a receiver, and how it is classified.

use crate::ids::{AttemptId, Position};
use crate::time::{Millis, Time};

/// Why an attempt failed, as the delivery log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The host's name was not resolved.
    Dns,
    /// The host resolved to an address that the address policy refuses.
    BlockedAddress,
    /// No connection was made.
    Connect,
    /// No TLS session was made, or the certificate was not trusted.
    Tls,
    /// The attempt's time was up.
    Timeout,
    /// The connection was closed or broken before a complete head.
    Reset,
    /// What came was not a valid HTTP response head.
    ResponseInvalid,
    /// A complete response with a status other than 2xx.
    HttpStatus,
}

impl ErrorKind {
    /// The name in logs and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Dns => "dns",
            ErrorKind::BlockedAddress => "blocked_address",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Reset => "reset",
            ErrorKind::ResponseInvalid => "response_invalid",
            ErrorKind::HttpStatus => "http_status",
        }
    }
}

/// A failure: its kind, and what a person can do, beginning with the kind's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub kind: ErrorKind,
    /// For people: `timeout: no answer within 15 s; answer 2xx first and process later`.
    pub message: Box<str>,
}

/// What one exchange came to, as dispatch reports it: measured, not yet decided upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// From the first byte of work on it (name lookup) to its end.
    pub duration: Millis,
    /// The status of a complete, valid response head.
    pub status_code: Option<u16>,
    /// `None` for a 2xx.
    pub failure: Option<Failure>,
    /// `Retry-After` on 429 and 503, as a span from the end.
    pub retry_after: Option<Millis>,
}

/// What became of the delivery by this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// 2xx.
    Succeeded,
    /// Failed; another attempt is scheduled.
    Retrying,
    /// Failed, the last of the schedule; kept, can be retried by hand.
    Exhausted,
    /// Failed, the last of the schedule; nothing sends it again.
    Removed,
    /// Failed, and the delivery had been cancelled meanwhile.
    Cancelled,
    /// A failed test.
    Failed,
}

impl Outcome {
    /// The name in logs and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Retrying => "retrying",
            Outcome::Exhausted => "exhausted",
            Outcome::Removed => "removed",
            Outcome::Cancelled => "cancelled",
            Outcome::Failed => "failed",
        }
    }
}

/// One finished attempt, as it stands in the log. The response's first bytes are the record's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number over the whole shard.
    pub id: AttemptId,
    /// Its number within the delivery, from 1.
    pub number: u32,
    /// When it was handed to a worker.
    pub started: Time,
    /// What was measured.
    pub exchange: Exchange,
    /// What was decided.
    pub outcome: Outcome,
    /// The webhook's version that it was sent with: the position of the fact that holds URL, secret and headers.
    pub webhook_version: Position,
    /// Where the attempt of the same delivery before this one was filed, so that all of them are found from the last one.
    pub previous: Option<Position>,
}
