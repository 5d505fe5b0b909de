//! The words of a failure: a kind and a sentence that says what a person can do.
//!
//! A message begins with the kind's name. It never holds a header's value, a path, a query or a byte of a body: those can be
//! secrets.

use std::fmt::Display;
use std::time::Duration;

use hyper::StatusCode;
use postrider_core::attempt::{ErrorKind, Failure};

use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, HEADS_BYTES_MAX};
use crate::tls;

/// A failure of `kind`; `words` follow its name.
pub(crate) fn failure(kind: ErrorKind, words: impl Display) -> Failure {
    Failure { kind, message: format!("{}: {words}", kind.as_str()).into() }
}

/// The request may have been written, and no complete head came back.
pub(crate) fn broken_exchange(error: &hyper::Error) -> Failure {
    // Hyper tells a client of this in words only. Were they to change, the kind would stay and the sentence be the general one.
    if error.is_parse() && error.to_string().contains("too large") {
        return head_too_large();
    }
    if error.is_parse_version_h2() {
        return failure(ErrorKind::ResponseInvalid, "the receiver spoke HTTP/2 unasked; serve HTTP/1.1 at this URL");
    }
    if error.is_parse_status() {
        return invalid_status("no valid status");
    }
    if error.is_parse() {
        return failure(
            ErrorKind::ResponseInvalid,
            "the answer is not a valid HTTP/1.1 response head; check that the port is the one of an HTTP server",
        );
    }
    tls::unwanted_client(error).unwrap_or_else(closed_early)
}

fn closed_early() -> Failure {
    failure(
        ErrorKind::Reset,
        "the receiver closed the connection before a complete response head; it may have processed the request, \
         look at its logs and at proxies in front of it",
    )
}

/// A head beyond its bounds.
pub(crate) fn head_too_large() -> Failure {
    let kib = HEAD_BYTES_MAX / 1024;
    failure(
        ErrorKind::ResponseInvalid,
        format_args!(
            "the response head is over {kib} KiB or {HEAD_FIELDS_MAX} fields; answer with fewer or shorter headers"
        ),
    )
}

/// A request's stream ended without a complete head.
pub(crate) fn broken_stream(error: &h2::Error) -> Failure {
    use h2::Reason;
    if error.is_io() || (error.is_remote() && error.reason() == Some(Reason::NO_ERROR) && !error.is_go_away()) {
        return error.get_io().and_then(|error| tls::unwanted_client(error)).unwrap_or_else(closed_early);
    }
    let reason = error.reason().map_or_else(|| "unknown".to_owned(), |reason| format!("{reason:?}"));
    if !error.is_remote() {
        let kib = HEAD_BYTES_MAX / 1024;
        return failure(
            ErrorKind::ResponseInvalid,
            format_args!(
                "the answer breaks the rules of HTTP/2 ({reason}), or its head is over {kib} KiB; look at the receiver and at \
                 proxies in front of it"
            ),
        );
    }
    if error.is_go_away() {
        return failure(
            ErrorKind::Reset,
            format_args!(
                "the receiver ended the connection (GOAWAY, {reason}) before it answered; it was restarting, or look at its logs \
                 and at proxies in front of it"
            ),
        );
    }
    let advice = match error.reason() {
        Some(Reason::REFUSED_STREAM) => "it did not process the request; let it take more streams at once",
        Some(Reason::HTTP_1_1_REQUIRED) => "it wants HTTP/1.1 at this URL and should not offer HTTP/2 there",
        _ => "it may have processed the request, look at its logs and at proxies in front of it",
    };
    failure(ErrorKind::Reset, format_args!("the receiver reset the stream ({reason}); {advice}"))
}

/// What came on an HTTP/2 connection is more than answers to all of its requests may have.
pub(crate) fn too_much() -> Failure {
    failure(
        ErrorKind::ResponseInvalid,
        "informational (1xx) heads or frames without an end came, and no answer; answer with a status from 200 to 599",
    )
}

/// What is no request in HTTP/2.
pub(crate) fn no_request() -> Failure {
    failure(ErrorKind::Connect, "the request cannot be put as HTTP/2 has it; check the webhook's url")
}

/// Informational heads without an end to them.
pub(crate) fn too_many_heads() -> Failure {
    let kib = HEADS_BYTES_MAX / 1024;
    failure(
        ErrorKind::ResponseInvalid,
        format_args!(
            "over {kib} KiB of informational (1xx) heads came and no answer; answer with a status from 200 to 599"
        ),
    )
}

/// A new connection that ended before the request was taken.
pub(crate) fn closed_at_once() -> Failure {
    failure(
        ErrorKind::Reset,
        "the receiver closed the connection at once; look at its logs and at proxies in front of it",
    )
}

/// A head whose status cannot end an exchange.
pub(crate) fn invalid_status(what: impl Display) -> Failure {
    failure(
        ErrorKind::ResponseInvalid,
        format_args!("the response head has {what}; answer with a status from 200 to 599"),
    )
}

/// A complete head with a status other than 2xx.
pub(crate) fn http_status(status: StatusCode) -> Failure {
    let advice = match status.as_u16() {
        300..=399 => "redirects are not followed, set the webhook's url to the final address",
        401 | 403 => "check the secret that the receiver expects",
        404 | 405 => "check the webhook's url, it must take POST",
        410 => "the receiver says that this URL is gone for good",
        413 => "let the receiver take larger bodies",
        429 => "the receiver asks for fewer requests, set the webhook's rateLimit",
        500..=599 => "look at the receiver's own logs",
        _ => "answer 2xx once the event is taken",
    };
    match status.canonical_reason() {
        Some(reason) => failure(ErrorKind::HttpStatus, format_args!("{} {reason}; {advice}", status.as_u16())),
        None => failure(ErrorKind::HttpStatus, format_args!("{}; {advice}", status.as_u16())),
    }
}

/// `15 s`, `1.5 s`.
pub(crate) fn seconds(span: Duration) -> String {
    format!("{} s", span.as_millis() as f64 / 1000.0)
}
