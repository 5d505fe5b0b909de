//! A simulator over the real turn: virtual clock, receivers, people and crashes; and a judge who knows only the laws.
//!
//! It drives exactly the [`postrider_engine::shard::Shard`] that the server runs, over the log in memory, and takes the places of clock,
//! entropy, network, publishers, operators and power supply. Everything is drawn from one seed: the same seed gives the same trace.
//!
//! It promises to find a broken law by what it looks like from outside, and proves that by bugs made on purpose ([`fault`]). It has no
//! thread, no socket and no real clock; what lies around the shard in a server (inbox, workers' threads, HTTP) is not simulated.

pub mod chance;
pub mod checker;
pub mod fault;
mod operators;
mod process;
mod publishers;
mod receivers;
mod world;

pub use fault::Fault;
pub use world::{Failure, Plan, Summary, run};
