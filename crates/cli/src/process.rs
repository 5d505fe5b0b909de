//! This program again, as a child: its first line, what it uses of the machine, and its end. Used by commands that need a server or a sink
//! in a process of its own.
//!
//! A child gets no `POSTRIDER_…` variable and starts in the folder it is given, so that no configuration of the caller's reaches it. It dies
//! with its handle; whoever wants to see it end well calls [`Process::end`].

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::limits::CHILD_START_MAX;

/// A running child.
pub struct Process {
    what: &'static str,
    child: Child,
    pid: Pid,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `postrider ARGUMENTS` in a folder. Its stderr is the caller's.
    ///
    /// # Errors
    /// This program cannot be started.
    pub fn start(what: &'static str, arguments: &[String], folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own file is not known")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POSTRIDER_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().with_context(|| format!("the {what} cannot be started"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| anyhow!("the {what} has ended at once"))?;
        let out = child.stdout.take().expect("it is piped");
        Ok(Self { what, child, pid, lines: BufReader::new(out).lines() })
    }

    /// Its next line on stdout.
    ///
    /// # Errors
    /// It has ended, or says nothing for a long time.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        let what = self.what;
        match timeout(CHILD_START_MAX, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(_) => bail!("the {what} has ended: {}", self.child.wait().await?),
            Err(_) => bail!("the {what} has said nothing for {} s", CHILD_START_MAX.as_secs()),
        }
    }

    /// Reads lines until one names an address after `http://` or `https://`.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub async fn address(&mut self) -> anyhow::Result<SocketAddr> {
        loop {
            let line = self.line().await?;
            let rest = line.split_once("://").map(|(_, rest)| rest);
            let end = |rest: &str| rest.find([',', '/', ' ']).unwrap_or(rest.len());
            if let Some(address) = rest.and_then(|rest| rest[..end(rest)].parse().ok()) {
                return Ok(address);
            }
        }
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(&self.pid.as_raw_nonzero().to_string()).with_context(|| format!("the {} is gone", self.what))
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// It does not end in time: then it is killed.
    pub async fn end(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        // It may have ended by itself; waiting tells.
        let _ = kill_process(self.pid, Signal::TERM);
        match timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.child.kill().await?;
                bail!("the {} did not end within {} s and was killed", self.what, within.as_secs())
            }
        }
    }

    /// Ends it without asking, and waits until it is gone.
    pub async fn kill(mut self) {
        // It may be gone already.
        let _ = self.child.kill().await;
    }
}

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// On all its threads, in user and system mode.
    pub cpu: Duration,
    /// The most memory that was resident at a time, in bytes.
    pub rss_max: u64,
    /// Bytes that it has caused to be written to disks.
    pub disk_written: u64,
}

/// Of this process.
///
/// # Errors
/// `/proc` is not as Linux has it.
pub fn own_usage() -> anyhow::Result<Usage> {
    usage("self")
}

fn usage(process: &str) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{process}/{name}");
        std::fs::read_to_string(&path).context(path)
    };
    let field = |text: &str, name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    let stat = read("stat")?;
    // The command's name may hold spaces; it ends with the last parenthesis.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    let (status, io) = (read("status")?, read("io")?);
    Ok(Usage {
        cpu: Duration::from_micros(ticks * 1_000_000 / per_second),
        rss_max: field(&status, "VmHWM:").context("no VmHWM")? * 1024,
        disk_written: field(&io, "write_bytes:").context("no write_bytes")?,
    })
}

impl Usage {
    /// From another reading on; memory as it stands now.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_sub(before.cpu),
            rss_max: self.rss_max,
            disk_written: self.disk_written.saturating_sub(before.disk_written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let before = own_usage().unwrap();
        assert!(before.rss_max > 100 * 1024, "{before:?}");
        let began = std::time::Instant::now();
        while own_usage().unwrap().since(before).cpu < Duration::from_millis(20) {
            assert!(began.elapsed() < Duration::from_secs(10));
        }
    }
}
