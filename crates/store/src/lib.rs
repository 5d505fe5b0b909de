//! What is derived from the log: everything in it can be rebuilt, so it is trusted with nothing.
//!
//! Owns the folder of sled databases in which unfinished deliveries sleep and in which history is found: positions of records, never
//! values. No payload, response, secret or header is ever in it; whoever wants details reads the log at the position.
//!
//! Promises:
//! - It is *at W*: [`Writer::commit`] returns when everything below a block is in it, durably, with a root record in the same batch.
//! - It holds exactly one live entry for each delivery that is unfinished at W. Waking never removes one: the delivery's next fact does.
//! - Readers see one commit or the next, never half of one.
//! - Damage is noticed: in what is pending at opening, in history at the read that meets it. A store that cannot be relied on is set
//!   aside as a whole, with the reason, and the caller builds it anew from the log.
//! - RAM does not grow with what sleeps, but for about 60 bytes a chunk of some 500 entries and a count for each webhook; with history, for
//!   the manifests of the days that are open, and a filter of up to 4 MiB a day over the ids.
//!
//! Refuses clocks, threads, tasks and sockets: time is an argument.
//!
//! One piece of code, *packed runs* (`sorted`, `bucket`, `chunk`), holds all kinds of entries (`entry`).

// The tests within share their support with those beside, which know the crate by its name.
#[cfg(test)]
extern crate self as postrider_store;

mod bucket;
mod chunk;
mod coding;
mod commit;
mod compare;
mod count;
mod day;
mod disk;
mod entry;
mod error;
mod filter;
mod folder;
mod identity;
mod ledger;
mod reader;
mod root;
mod sorted;
mod state;
mod store;
mod walk;
mod writer;

pub use compare::{Begun, CompareError, Compared, Comparison, Difference};
pub use entry::attempt::AttemptPlace;
pub use entry::dormant::{Asleep, Lane};
pub use entry::event::EventPlace;
pub use entry::tally::{LATENCY_CLASSES, Latency, Summary};
pub use error::{CommitError, Damage, Fault, OpenError, ReadError, Reason};
pub use folder::set_aside;
pub use identity::{At, LogIdentity, Mark, Part};
pub use reader::Reader;
pub use root::VERSION;
pub use store::{Kernel, Opened, Store};
pub use writer::Writer;
