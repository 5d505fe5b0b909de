//! The built binary, run as a person runs it. Every child process dies with its handle.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod behaviours;
mod bench;
mod completions;
mod config_show;
mod demo;
mod emulate;
#[cfg(feature = "otlp")]
mod otlp;
mod publish;
mod serve;
mod server;
mod simulate;
mod sink;
mod support;
mod usage;
