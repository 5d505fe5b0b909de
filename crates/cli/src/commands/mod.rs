//! One file a subcommand: its options and what it does. What several commands share lives beside this folder.

pub mod backup;
pub mod bench;
pub mod completions;
pub mod config_show;
pub mod delivery;
pub mod demo;
pub mod emulate;
pub mod event;
pub mod key;
pub mod keys;
pub mod listen;
pub mod log;
pub mod openapi;
pub mod publish;
pub mod replay;
pub mod serve;
pub mod simulate;
pub mod sink;
pub mod webhook;
pub mod workspace;

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

/// A wrong option or configuration that only shows after parsing: exit 2 instead of 1.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error about a data folder, which it names unless it does already.
pub fn about(data: &Path, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let (data, error) = (data.display().to_string(), error.into());
    let text = format!(" {error} ");
    let named = [" ", "/"].iter().any(|after| text.contains(&format!(" {data}{after}")));
    if named { error } else { error.context(data) }
}

/// Writes to stdout. That whoever reads has seen enough is no error.
pub fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ready at ^C, SIGTERM, or when the terminal goes away.
pub fn signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
