//! The named ways to misbehave, as a table. Those that are valid HTTP are answers; the others are scripts on the wire (`script.rs`), from the
//! first byte of a connection, from a request, or from the second request of a connection; or HTTP/2 by hand (`frames.rs`). What is beneath HTTP
//! is http or https as the receiver was started, but where a row has its own.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::certificates::Certificate;
use super::frames::{self, Frame, Speech};
use super::plan::{Answer, Plan};
use super::script::{EVER, Step};
use super::stats::End;

/// What a receiver does to every request.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour(&'static Row);

#[derive(Debug)]
struct Row {
    name: &'static str,
    /// One line for people.
    what: &'static str,
    beneath: Beneath,
    does: Does,
}

/// What is beneath HTTP.
#[derive(Clone, Copy, Debug)]
enum Beneath {
    /// http or https, as the receiver was started.
    AsStarted,
    /// https with this certificate.
    Tls(Certificate),
    /// Something else where https is expected.
    NoTls,
}

#[derive(Debug)]
enum Does {
    /// Follows the plan.
    Plan,
    /// Never answers.
    Hang,
    /// Answers with a status and one header.
    Reply(StatusCode, Option<(&'static str, &'static str)>),
    /// Takes over the wire.
    Script(Script),
    /// HTTP/2 by hand.
    Frames(Speech),
}

/// What is done on the wire.
#[derive(Debug)]
pub struct Script {
    /// When it begins.
    pub from: Begins,
    /// How the request counts.
    pub end: End,
    /// The status that goes over the wire whole.
    pub status: Option<u16>,
    /// What is done.
    pub steps: &'static [Step],
}

/// When a script begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// With the first byte of a connection, which is not read.
    Connection,
    /// With each request that was read.
    Request,
    /// With the second request of a connection; the first one is answered well.
    SecondRequest,
}

impl Behaviour {
    /// Follows the plan.
    pub const OK: Self = Self(&ROWS[0]);

    /// Every behaviour.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(Self)
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|known| known.name() == name)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it does, in one line.
    pub fn what(self) -> &'static str {
        self.0.what
    }

    /// Whether the plan decides.
    pub fn is_plan(self) -> bool {
        matches!(self.0.does, Does::Plan)
    }

    /// What an HTTP server can answer; none where the socket is needed.
    pub(super) fn answer(self, plan: &Plan, number: u64) -> Option<Answer> {
        match &self.0.does {
            Does::Plan => Some(plan.answer(number)),
            Does::Hang => Some(Answer::Hang),
            Does::Reply(status, header) => {
                let header =
                    header.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
                Some(Answer::Reply(*status, header))
            }
            Does::Script(_) | Does::Frames(_) => None,
        }
    }

    /// What is done on the wire, if it is needed.
    pub(super) fn script(self) -> Option<&'static Script> {
        match &self.0.does {
            Does::Script(script) => Some(script),
            _ => None,
        }
    }

    /// What is said in HTTP/2, if that is spoken.
    pub(super) fn speech(self) -> Option<&'static Speech> {
        match &self.0.does {
            Does::Frames(speech) => Some(speech),
            _ => None,
        }
    }

    /// Whether its URL is one of https; `asked`: whether that was asked for.
    pub fn is_https(self, asked: bool) -> bool {
        asked || !matches!(self.0.beneath, Beneath::AsStarted)
    }

    /// What TLS begins with, if there is any.
    pub(super) fn certificate(self, asked: bool) -> Option<Certificate> {
        match self.0.beneath {
            Beneath::AsStarted => asked.then_some(Certificate::Good),
            Beneath::Tls(certificate) => Some(certificate),
            Beneath::NoTls => None,
        }
    }

    /// What is spoken within TLS, as ALPN has it.
    pub(super) fn protocol(self) -> &'static [u8] {
        if self.speech().is_some() { b"h2" } else { b"http/1.1" }
    }
}

const fn row(name: &'static str, what: &'static str, does: Does) -> Row {
    Row { name, what, beneath: Beneath::AsStarted, does }
}

const fn reply(
    name: &'static str,
    what: &'static str,
    status: StatusCode,
    header: Option<(&'static str, &'static str)>,
) -> Row {
    row(name, what, Does::Reply(status, header))
}

/// A request that gets a whole head with `status`, or what would be one.
const fn says(name: &'static str, what: &'static str, status: u16, steps: &'static [Step]) -> Row {
    let end = if status >= 200 && status < 300 { End::Succeeded } else { End::Failed };
    row(name, what, Does::Script(Script { from: Begins::Request, end, status: Some(status), steps }))
}

/// A request that gets no whole head.
const fn fails(name: &'static str, what: &'static str, from: Begins, steps: &'static [Step]) -> Row {
    row(name, what, Does::Script(Script { from, end: End::Failed, status: None, steps }))
}

/// A request that is left waiting.
const fn hangs(name: &'static str, what: &'static str, from: Begins, steps: &'static [Step]) -> Row {
    row(name, what, Does::Script(Script { from, end: End::Hung, status: None, steps }))
}

/// Follows the plan, for those who take its certificate.
const fn shows(name: &'static str, what: &'static str, certificate: Certificate) -> Row {
    Row { name, what, beneath: Beneath::Tls(certificate), does: Does::Plan }
}

/// What begins no session.
const fn no_tls(row: Row) -> Row {
    Row { name: row.name, what: row.what, beneath: Beneath::NoTls, does: row.does }
}

/// HTTP/2 that begins with `settings`, and `answer` to each request.
const fn http2(
    name: &'static str,
    what: &'static str,
    end: End,
    settings: &'static [u8],
    answer: &'static [Frame],
) -> Row {
    let does = Does::Frames(Speech { end, settings, answer });
    Row { name, what, beneath: Beneath::Tls(Certificate::Good), does }
}

use Step::{Deaf, Drip, DripOn, Fields, Listen, Pause, ReadOne, ReadSome, Repeat, Reset, Say, Serve};

const OK_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
const OK_WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a server says first in TLS 1.0: a hello with a cipher of its time.
const OLD_HELLO: &[u8] = b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01\
    0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";
/// The beginning of one in TLS 1.2, which goes on for longer than anybody waits.
const HELLO: &[u8] = b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03\
    0123456789abcdef0123456789abcdef\x20";
const PLAIN_ONLY: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 13\r\n\r\nwhat is that\n";
/// Milliseconds between two bytes.
const TENTH: u64 = 100;
const SECOND: u64 = 1_000;

const ROWS: &[Row] = &[
    row("ok", "follow --status, --fail-rate, --hang and --latency", Does::Plan),
    // No answer.
    row("silent", "read the request and never answer", Does::Hang),
    fails("hang-up", "read the request and close without an answer", Begins::Request, &[]),
    fails("reset", "read the request and close with a reset", Begins::Request, &[Reset]),
    fails("reset-unread", "close with a reset before the request is read", Begins::Connection, &[Reset]),
    fails("one-byte", "read one byte of the request and close", Begins::Connection, &[ReadOne]),
    hangs("deaf", "never read and never answer", Begins::Connection, &[Deaf]),
    fails("reuse-close", "answer, and close just when the next request comes", Begins::SecondRequest, &[Reset]),
    // Heads.
    hangs("drip-head", "send a head that never ends, ten bytes a second", Begins::Request, &[
        Drip(b"HTTP/1.1 200 OK\r\nX-Drip: ", TENTH), DripOn(b"a", TENTH),
    ]),
    says("long-line", "send a head with one line of 1 MiB", 200, &[
        Say(OK_HEAD), Say(b"X-Long: "), Repeat(b"aaaaaaaa", 1 << 17), Say(b"\r\n\r\n"),
    ]),
    says("huge-head", "send a head of 1 MiB in 64 lines", 200, &[
        Say(OK_HEAD), Say(b"Content-Length: 2\r\n"), Fields(64, &[b'a'; 16 * 1024]), Say(b"\r\nok"),
    ]),
    says("many-fields", "send a head of 10,000 fields", 200, &[Say(OK_HEAD), Fields(10_000, b"1"), Say(b"\r\n")]),
    says("bare-lf", "end the lines of a head with LF alone", 200, &[Say(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), Serve]),
    says("status-99", "answer with the status 99", 99, &[Say(b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n"), Serve]),
    says("status-600", "answer with the status 600", 600, &[Say(b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n"), Serve]),
    says("status-999", "answer with the status 999", 999, &[Say(b"HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n"), Serve]),
    hangs("endless-1xx", "send 100 Continue for ever and no answer", Begins::Request, &[Repeat(b"HTTP/1.1 100 Continue\r\n\r\n", EVER)]),
    says("switch", "answer 101 and speak something else", 101, &[
        Say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"), Listen,
    ]),
    fails("garbage", "answer with bytes that are not HTTP", Begins::Request, &[Say(b"\x00\xffnot HTTP at all\r\n\r\n\xfe\xfd\x80")]),
    // Framing.
    says("wrong-length", "say 100 bytes of body, send 7, and close", 200, &[Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off")]),
    says("short-length", "say 2 bytes of body and send 1,000", 200, &[Say(OK_WHOLE), Repeat(b"x", 998), Serve]),
    fails("double-length", "send two lengths that differ", Begins::Request, &[
        Say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"), Serve,
    ]),
    fails("negative-length", "send a length of -1", Begins::Request, &[Say(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), Serve]),
    says("length-and-chunks", "send a length and chunks at once", 200, &[
        Say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), Serve,
    ]),
    says("broken-chunks", "send a chunk whose size is no number", 200, &[
        Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\nno\r\n"), Listen,
    ]),
    says("second-answer", "send one more answer than was asked for", 200, &[
        Say(OK_WHOLE), Pause(20), Say(b"HTTP/1.1 410 Gone\r\nContent-Length: 8\r\n\r\ninjected"), Serve,
    ]),
    // Bodies.
    says("endless-body", "answer 200 and send body for ever", 200, &[Say(OK_HEAD), Say(b"\r\n"), Repeat(b"0123456789abcdef", EVER)]),
    says("huge-body", "answer 200 with a body of 10 GB", 200, &[
        Say(OK_HEAD), Say(b"Content-Length: 10000000000\r\n\r\n"), Repeat(b"0123456789", 1_000_000_000),
    ]),
    says("drip-body", "answer 200 and send the body at ten bytes a second", 200, &[
        Say(OK_HEAD), Say(b"Content-Length: 1000000\r\n\r\n"), DripOn(b"x", TENTH),
    ]),
    // Zeros in deflate's fixed code: a first one, then for ever "258 more of it"; eight of these are 13 bytes.
    says("gzip-bomb", "answer 200 with gzip that unpacks to 159 times its length, for ever", 200, &[
        Say(OK_HEAD), Say(b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x62\x18"),
        Repeat(b"\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x28\x18", EVER),
    ]),
    says("binary", "answer 200 with a body of no text", 200, &[
        Say(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 8\r\n\r\n\x00\x01\xfe\xff\x1b[2J"), Serve,
    ]),
    says("html", "answer 500 with a page in HTML", 500, &[
        Say(b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 33\r\n\r\n<h1>Oops</h1><script>1</script>\r\n"), Serve,
    ]),
    // Order.
    row("early", "answer 200 before the request is read", Does::Script(Script {
        from: Begins::Connection, end: End::Succeeded, status: Some(200),
        steps: &[Say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), Listen],
    })),
    says("reset-after-head", "send a 200 head and reset the connection", 200, &[
        Say(OK_HEAD), Say(b"Content-Length: 10\r\n\r\n"), Pause(50), Reset,
    ]),
    // Statuses with a meaning of their own.
    reply("redirect", "answer 302 to a path of its own", StatusCode::FOUND, Some(("location", "/redirected"))),
    reply("redirect-307", "answer 307 to a path of its own", StatusCode::TEMPORARY_REDIRECT, Some(("location", "/redirected"))),
    reply("gone", "answer 410", StatusCode::GONE, None),
    reply("busy", "answer 429 with Retry-After: 1", StatusCode::TOO_MANY_REQUESTS, Some(("retry-after", "1"))),
    reply("busy-date", "answer 503 with Retry-After in 2100", StatusCode::SERVICE_UNAVAILABLE,
        Some(("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT"))),
    reply("busy-absurd", "answer 503 with an absurd Retry-After", StatusCode::SERVICE_UNAVAILABLE,
        Some(("retry-after", "99999999999999999999"))),
    reply("busy-garbage", "answer 429 with a Retry-After of no sense", StatusCode::TOO_MANY_REQUESTS, Some(("retry-after", "soon"))),
    // TLS.
    shows("tls-expired", "serve https with a certificate that has expired", Certificate::Expired),
    shows("tls-self-signed", "serve https with a certificate that is signed by itself", Certificate::SelfSigned),
    shows("tls-wrong-name", "serve https with a certificate for another name", Certificate::OfAnotherName),
    shows("tls-unknown-ca", "serve https with a certificate from an authority that nobody knows", Certificate::OfAnotherAuthority),
    no_tls(fails("tls-1.0", "know no newer version of TLS than 1.0", Begins::Connection, &[ReadSome, Say(OLD_HELLO), Listen])),
    no_tls(fails("tls-plain", "speak plain http on the port of https", Begins::Connection, &[ReadSome, Say(PLAIN_ONLY), Listen])),
    no_tls(hangs("tls-drip", "send a byte a second of the handshake", Begins::Connection, &[
        ReadSome, Drip(HELLO, SECOND), DripOn(b"x", SECOND),
    ])),
    // HTTP/2, over TLS.
    http2("h2-goaway", "say GOAWAY instead of an answer", End::Failed, &[], &[frames::GONE]),
    http2("h2-goaway-after", "answer, and say GOAWAY", End::Succeeded, &[], &[frames::OK, frames::GONE_AFTER_FIRST]),
    http2("h2-reset", "reset the stream of each request", End::Failed, &[], &[frames::RESET]),
    http2("h2-refuse", "refuse the stream of each request", End::Failed, &[], &[frames::REFUSED]),
    http2("h2-zero-window", "never let the body of a request come", End::Hung, frames::NO_WINDOW, &[]),
    http2("h2-pings", "send pings for ever and no answer", End::Failed, &[], &[frames::PINGS]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let page = include_str!("../../../../docs/configuration.md");
        let names: BTreeSet<_> = Behaviour::all().map(Behaviour::name).collect();
        assert_eq!(names.len(), ROWS.len());
        for behaviour in Behaviour::all() {
            let line = format!("| `{}` | {} |", behaviour.name(), behaviour.what());
            assert!(page.contains(&line), "docs/configuration.md lacks: {line}");
        }
        assert!(Behaviour::OK.is_plan());
    }
}
