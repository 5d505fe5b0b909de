//! The append-only log of facts: the truth that everything else is derived from.
//!
//! Owns the bytes: blocks, each one group commit, valid whole or not at all, chained to the one before. Promises: what `append` has
//! returned for is durable; block numbers are dense and record times never decrease; damage is refused by name of file and offset, and
//! never repaired, skipped or taken for the end. Facts and payloads are opaque bytes here.
//!
//! Refuses clocks and chance (the time of a claim and the id of a new log are arguments), threads, and more than one append in flight.

mod batch;
mod block;
pub mod codec;
mod error;
pub mod fault;
pub mod journal;
mod kind;
mod layout;
mod log;
pub mod memory;
pub mod sled_log;
mod table;

pub use batch::{Batch, Payload};
pub use block::Block;
pub use error::{AppendError, ClaimError, Damage, EraseError, Fault, ReadError, ReserveError, TruncateError};
pub use kind::LogKind;
pub use layout::{ChainHash, Kind, LogId, Owner, VERSION};
pub use log::{Claimed, EventLog, LogReader, LogWriter};
