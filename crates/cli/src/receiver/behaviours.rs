//! The named ways to misbehave. Those that are valid HTTP are answers; the others take over the socket once the request
//! has been read (`raw.rs`).

use std::str::FromStr;

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION, RETRY_AFTER};

use super::plan::{Answer, Plan};
use super::stats::End;

/// What a receiver does to every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Follows the plan.
    Ok,
    /// Closes the connection with a reset once the request is read.
    Reset,
    /// Reads the request and never answers.
    Silent,
    /// Sends a head that is valid as far as it goes, a byte at a time, and never ends it.
    DripHead,
    /// Answers 200 and sends body for as long as the client reads.
    EndlessBody,
    /// Answers with bytes that are not HTTP, then closes.
    Garbage,
    /// Answers 302 to a path of its own: a followed redirect shows in the kept requests.
    Redirect,
    /// Answers 200 with a head of 1 MiB.
    HugeHead,
    /// Answers 410.
    Gone,
    /// Answers 429 with `Retry-After: 1`.
    Busy,
}

impl Behaviour {
    /// Every behaviour by its name on the command line.
    pub const ALL: [(&'static str, Self); 10] = [
        ("ok", Self::Ok),
        ("reset", Self::Reset),
        ("silent", Self::Silent),
        ("drip-head", Self::DripHead),
        ("endless-body", Self::EndlessBody),
        ("garbage", Self::Garbage),
        ("redirect", Self::Redirect),
        ("huge-head", Self::HugeHead),
        ("gone", Self::Gone),
        ("busy", Self::Busy),
    ];

    /// What an HTTP server can answer; none where the socket is needed.
    pub(super) fn answer(self, plan: &Plan, number: u64) -> Option<Answer> {
        let reply = |status, name, value| Some(Answer::Reply(status, Some((name, HeaderValue::from_static(value)))));
        match self {
            Self::Ok => Some(plan.answer(number)),
            Self::Silent => Some(Answer::Hang),
            Self::Redirect => reply(StatusCode::FOUND, LOCATION, "/redirected"),
            Self::Gone => Some(Answer::Reply(StatusCode::GONE, None)),
            Self::Busy => reply(StatusCode::TOO_MANY_REQUESTS, RETRY_AFTER, "1"),
            Self::Reset | Self::DripHead | Self::EndlessBody | Self::Garbage | Self::HugeHead => None,
        }
    }

    /// How a request counts whose answer is written on the bare socket, and the status that goes over the wire whole.
    pub(super) fn raw_end(self) -> (End, Option<u16>) {
        match self {
            Self::EndlessBody | Self::HugeHead => (End::Succeeded, Some(200)),
            Self::DripHead | Self::Silent => (End::Hung, None),
            _ => (End::Failed, None),
        }
    }
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, behaviour)| *behaviour).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(known, _)| *known).collect();
            format!("unknown behaviour `{name}`; known are {}", names.join(", "))
        })
    }
}
