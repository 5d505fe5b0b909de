//! Every bound of the HTTP side in one place; those of the domain are core's.

use std::time::Duration;

use postrider_core::Millis;

/// Connections that are open at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 4_096;
/// From a connection to the end of its TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From so long before its end on a certificate is warned of,
pub const CERTIFICATE_MONTH: Millis = Millis::from_secs(30 * 24 * 3600);
/// again when so little is left,
pub const CERTIFICATE_WEEK: Millis = Millis::from_secs(7 * 24 * 3600);
/// and in between and after its end this often.
pub const CERTIFICATE_TOLD_EVERY: Millis = Millis::from_secs(24 * 3600);
/// A request's head has to be there within this time of the connection being idle. It bounds idle keep-alive as well.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests at once on one connection of HTTP/2.
pub const STREAMS_MAX: u32 = 32;
/// And on all of them together, each until its answer is sent: as many as connections of HTTP/1.1 can have. Those beyond get 503.
pub const REQUESTS_MAX: usize = CONNECTIONS_MAX;
/// The fields of a head of HTTP/2, with 32 bytes more for each.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// What a client of HTTP/2 may send ahead of what is read, on a connection.
pub const WINDOW_BYTES: u32 = 256 * 1024;
/// An answer by HTTP/2 is sent in pieces of so many bytes,
pub const PIECE_BYTES_MAX: usize = 16 * 1024;
/// and so much of it at most lies between it and the socket.
pub const SEND_BYTES_MAX: usize = 64 * 1024;
/// Requests on one connection of HTTP/2 that the client may give up before it is told to open another one.
pub const GIVEN_UP_MAX: usize = 100;
/// A request's body has to be there within this time.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// No pause between two pieces of a body may be longer.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A request body elsewhere than on `/v1/events`, in bytes.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Request bodies that are in memory at once over all connections, in KiB.
pub const BODIES_KIB_MAX: usize = 512 * 1024;
/// Of a body that nobody wants this much is read away, so that the client gets to read the answer.
pub const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Reading it away takes no longer.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// It ends sooner where nothing comes for so long.
pub const DRAIN_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Bodies of more bytes are parsed on a thread of their own, so that the runtime goes on.
pub const PARSE_INLINE_BYTES_MAX: usize = 64 * 1024;
/// Connections get this long to end after the shutdown began.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Characters of a request's id that a client may give.
pub const REQUEST_ID_MAX: usize = 128;
/// Clients that watch attempts at once.
pub const WATCHERS_MAX: usize = 256;
/// Entries of one page.
pub const PAGE_SIZE_MAX: usize = 200;
/// Entries of one page when the request names no number.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Entries that page numbers reach; beyond them a cursor goes on.
pub const PAGED_MAX: usize = 10_000;
/// Keys whose requests are counted before those that have been quiet for a minute are forgotten.
pub const RATE_KEYS_MAX: usize = 10_000;
/// A field's path in an error, in characters.
pub const FIELD_CHARS_MAX: usize = 200;
/// How often what the recorder has gathered is put together.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// The body of a form, in bytes.
pub const FORM_BYTES_MAX: usize = 256 * 1024;
/// Sessions of the dashboard at once; the one that was not used for longest makes room.
pub const SESSIONS_MAX: usize = 4_096;
/// Of these with one key, so that nobody ends the sessions of others.
pub const SESSIONS_OF_ONE_MAX: usize = 16;
/// A session ends so long after it began.
pub const SESSION_AGE_MAX: Duration = Duration::from_secs(12 * 3600);
/// And when it was not used for so long.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
/// Webhooks on one page of the dashboard: each shows its health.
pub const WEBHOOKS_SHOWN: usize = 25;
