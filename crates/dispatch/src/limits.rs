//! Every bound of this crate in one place. Spans are measured on the monotonic clock.

use std::time::Duration;

/// A name lookup.
pub const LOOKUP_MAX: Duration = Duration::from_secs(2);
/// One question to one name server, of which there are `LOOKUP_TRIES`.
pub const LOOKUP_TRY_MAX: Duration = Duration::from_millis(900);
/// How often a question is asked.
pub const LOOKUP_TRIES: usize = 2;
/// What the second family of addresses may take beyond the first.
pub const FAMILY_WAIT_MAX: Duration = Duration::from_millis(300);
/// Names that one dispatcher remembers; beyond that all are forgotten.
pub const NAMES_MAX: usize = 4096;
/// A name's addresses are remembered for their time to live, and at least this long: not every attempt is to ask.
pub const NAME_AGE_MIN: Duration = Duration::from_secs(5);
/// And at most this long, whatever their time to live.
pub const NAME_AGE_MAX: Duration = Duration::from_secs(60);
/// How long it is remembered that a name was not resolved.
pub const NAME_FAILURE_AGE: Duration = Duration::from_secs(5);
/// `/etc/resolv.conf` and `/etc/hosts` are looked at this often.
pub const SYSTEM_READ_EVERY: Duration = Duration::from_secs(30);
/// A new connection: all addresses that are tried, TLS included.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried; all that came are judged.
pub const ADDRESSES_TRIED_MAX: usize = 8;
/// A response head in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Everything up to the end of the final head: informational heads before it, and what of the body came with it.
pub const HEADS_BYTES_MAX: usize = 4 * HEAD_BYTES_MAX;
/// Fields of a response head. Hyper's own default: setting it would cost an allocation a response.
pub const HEAD_FIELDS_MAX: usize = 100;
/// Bytes of a response body that are read; a connection whose answer has more is closed.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection, or fewer where the receiver says so. What breaks the connection breaks them all.
pub const STREAMS_MAX: usize = 32;
/// What a receiver may send on an HTTP/2 connection before the first request: settings, and what goes with them.
pub const GREETING_BYTES_MAX: usize = 64 * 1024;
/// HTTP/2 connections to one origin that are shared.
pub const CHANNELS_PER_ORIGIN_MAX: usize = 64;
/// Idle connections of one dispatcher. To one origin there are as many as there were attempts at once: the permits bound them.
pub const IDLE_MAX: usize = 1024;
/// A connection that was idle this long is closed. Below the 60 s at which many servers close on their side.
pub const IDLE_AGE_MAX: Duration = Duration::from_secs(55);
/// A connection of this age is not used again, so that a change of the name's addresses is seen.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// Idle connections are looked over at most this often.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// TLS sessions that are kept for resumption, over all hosts.
pub const TLS_SESSIONS_MAX: usize = 4096;
