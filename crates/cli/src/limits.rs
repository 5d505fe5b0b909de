//! Every bound of the command line tools, in one place. Bytes unless the name says otherwise.

use std::time::Duration;

/// Requests that a receiver keeps for `GET /requests`.
pub const REQUESTS_KEPT_MAX: usize = 1_000;
/// Body bytes kept of one request; the rest is counted, not kept.
pub const BODY_KEPT_MAX: usize = 64 * 1024;
/// Header bytes kept of one request.
pub const HEAD_KEPT_MAX: usize = 16 * 1024;
/// What all kept requests of one receiver may hold together.
pub const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Connections accepted but not yet picked up by a worker.
pub const ACCEPTED_QUEUE_MAX: usize = 1_024;
/// Lines waiting to be printed; beyond that they are left out.
pub const PRINT_QUEUE_MAX: usize = 4_096;
/// Threads of one receiver.
pub const THREADS_MAX: u16 = 256;

/// Characters of an admin key, below which the server warns at its start.
pub const ADMIN_KEY_SHORT: usize = 16;

/// A file with certificates or a key.
pub const CERTIFICATE_BYTES_MAX: u64 = 1024 * 1024;
/// How often the files of a certificate are looked at.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(10);

/// The answer of a collector of traces.
#[cfg(feature = "otlp")]
pub const OTLP_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// From sending it a batch to the end of its answer.
#[cfg(feature = "otlp")]
pub const OTLP_ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Events in one batch: the API's limit.
pub const BATCH_LINES_MAX: usize = 10_000;
/// Bytes in one batch: the API's limit.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The answer to a batch that `publish` will read: 10,000 entries with an error each fit well.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Refused lines that `publish` prints; the rest is counted.
pub const REFUSED_SHOWN_MAX: usize = 20;
/// Positions that `log verify` and `log stats` print of what is still to be erased; with `--json` all.
pub const TO_ERASE_SHOWN_MAX: usize = 10;
/// How often one batch is sent at most.
pub const SENDS_MAX: u32 = 8;
/// The longest `Retry-After` that is honoured as it stands.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// From the first byte of a batch to the last of its answer.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// An answer of the API that a command will read: a page of 200 entries with 4 KiB of response body each.
pub const API_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// From a request to the API to the end of its answer, but for batches.
pub const API_ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);
/// A message of `/v1/live` that `listen` will read: an attempt with 4 KiB of response body, each byte escaped.
pub const LIVE_MESSAGE_MAX: usize = 256 * 1024;
/// The server says something every 15 s; without a byte for so long `listen` takes the stream for broken.
pub const LIVE_SILENCE_MAX: Duration = Duration::from_secs(45);
/// Before a broken stream is opened again; twice as long after each time that it cannot be, up to the other.
pub const LIVE_PAUSE: Duration = Duration::from_secs(1);
pub const LIVE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Attempts that `demo` remembers to show.
pub const DEMO_ATTEMPTS_KEPT_MAX: usize = 64;
/// What a child of this program says at its start has to come within this.
pub const CHILD_START_MAX: Duration = Duration::from_secs(20);
/// From asking a child to end to its end; a server waits for attempts in flight.
pub const CHILD_END_MAX: Duration = Duration::from_secs(30);
/// Events of one run of `bench`.
pub const BENCH_EVENTS_MAX: u64 = 1_000_000_000;
/// Webhooks of `bench`: a workspace has no more.
pub const BENCH_WEBHOOKS_MAX: u64 = 16_384;
/// Bytes of an event's data in `bench`: what it is made of takes some.
pub const BENCH_PAYLOAD_MIN: u64 = 256;
/// The body that it comes to has to be kept whole by the sink.
pub const BENCH_PAYLOAD_MAX: u64 = 60 * 1024;
/// Without a delivery for so long, `bench` gives up.
pub const BENCH_STALL_MAX: Duration = Duration::from_secs(30);
/// Points of its timeline that `bench` keeps.
pub const BENCH_TIMELINE_MAX: usize = 20_000;
/// Events of a burst of `emulate`.
pub const EMULATE_COUNT_MAX: i64 = 5_000;
/// To open a connection.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
