//! `postrider publish`: sends events, one a line, in batches, one batch at a time and in order.
//!
//! A batch is sent again when that cannot publish an event twice: after 429 and 503, which mean that nothing of it was
//! accepted, when no connection could be made, and after a lost answer only if every line of it has an `id` (the
//! server's idempotency key). Otherwise it stops and says which lines are in doubt.

mod answer;
mod batch;
mod client;

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};

use super::Usage;
use crate::args;
use crate::client::{SendError, Trust, printable, problem};
use crate::limits::{BATCH_BYTES_MAX, BATCH_LINES_MAX, REFUSED_SHOWN_MAX, RETRY_AFTER_MAX, SENDS_MAX};
use batch::{Batch, Piece};
use client::{Client, Reply};

/// Publish events from a file or stdin, one JSON event a line.
///
/// An event is {"id"?, "type", "created"?, "data"}. Give each an id: then a batch whose answer is lost can be sent
/// again, and so can the whole file, without publishing anything twice.
#[derive(clap::Args)]
pub struct Args {
    /// The server, such as http://127.0.0.1:8080
    #[arg(long, env = "POSTRIDER_URL", value_name = "URL")]
    url: String,
    /// A key of the workspace with scope EVENTS_WRITE or ALL
    #[arg(long, env = "POSTRIDER_KEY", value_name = "KEY", hide_env_values = true)]
    key: String,
    #[command(flatten)]
    trust: Trust,
    /// Events in one batch at most
    #[arg(long, env = "POSTRIDER_PUBLISH_BATCH", value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=BATCH_LINES_MAX as i64))]
    batch: u32,
    /// Bytes in one batch at most, such as 1MiB; a longer line goes alone
    #[arg(long, env = "POSTRIDER_PUBLISH_BATCH_SIZE", value_name = "SIZE", default_value = "1MiB",
          value_parser = args::size)]
    batch_size: u64,
    /// The file to read; - or none is stdin
    #[arg(value_name = "FILE")]
    file: Option<String>,
}

/// # Errors
/// [`Usage`] for a bad URL, key or file name; else the first failure that stops it, after the counts are printed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut client = Client::new(&args.url, &args.trust, &args.key).map_err(Usage)?;
    let batch_bytes = usize::try_from(args.batch_size).unwrap_or(usize::MAX);
    if !(1..=BATCH_BYTES_MAX).contains(&batch_bytes) {
        return Err(Usage("--batch-size is 1B to 16MiB".to_owned()).into());
    }
    let (input, total) = open(args.file.as_deref())?;
    let pieces = batch::read_on_thread(input, args.batch as usize, batch_bytes, total.is_none());
    let mut report = Report::new(total);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(publish(&mut client, pieces, &mut report));
    report.finish();
    result?;
    Ok(if report.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The input, and its length where it is a plain file.
fn open(name: Option<&str>) -> anyhow::Result<(impl Read + Send + 'static, Option<u64>)> {
    let file = match name {
        None | Some("-") => File::from(std::io::stdin().as_fd().try_clone_to_owned().context("cannot read stdin")?),
        Some(name) => File::open(name).map_err(|error| Usage(format!("cannot read {name}: {error}")))?,
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Usage(format!("{} is a folder", name.unwrap_or("stdin"))).into());
    }
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

async fn publish(
    client: &mut Client,
    mut pieces: tokio::sync::mpsc::Receiver<std::io::Result<Piece>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    while let Some(piece) = pieces.recv().await {
        match piece.context("cannot read the events")? {
            Piece::TooLong { line } => report.refuse(line, "longer than 16 MiB: not sent"),
            Piece::Batch(batch) => {
                let lines = batch.span();
                let reply = send(client, &batch, report).await.with_context(|| lines.clone())?;
                let entries = answer::entries(&reply).with_context(|| lines.clone())?;
                if entries.len() != batch.lines.len() {
                    bail!("{lines}: the answer has {} entries for {} events", entries.len(), batch.lines.len());
                }
                report.take(&batch, &entries);
            }
        }
    }
    Ok(())
}

/// Sends one batch until it is answered, as often as is safe and no more than [`SENDS_MAX`] times.
async fn send(client: &mut Client, batch: &Batch, report: &Report) -> anyhow::Result<Reply> {
    let body = Bytes::copy_from_slice(&batch.bytes);
    for sent in 1.. {
        let connected = client.has_connected();
        let (why, wait) = match client.post(body.clone()).await {
            Ok(reply) if !reply.is_later() => return Ok(reply),
            Ok(reply) => (format!("{} {}", reply.status.as_u16(), problem(&reply.body)), reply.retry_after),
            Err(SendError::Unsent(why)) if connected => (why, None),
            Err(SendError::Unsent(why)) => bail!(why),
            Err(SendError::Lost(why)) if batch.all_have_ids => (why, None),
            Err(SendError::Lost(why)) => {
                bail!(
                    "{why}; not sent again, for the events may be in: only lines that all have an `id` are safe to resend"
                )
            }
        };
        let wait = wait.unwrap_or(Duration::from_millis(100 << sent.min(6)));
        if sent >= SENDS_MAX {
            bail!("{why}; gave up after {sent} tries");
        }
        if wait > RETRY_AFTER_MAX {
            bail!("{why}; the server asks to wait {} s, longer than publish waits", wait.as_secs());
        }
        report.say(&format!("{}: {why}; again in {wait:?}", batch.span()));
        tokio::time::sleep(wait).await;
    }
    bail!("not sent")
}

/// The counts, the bar, and the refused lines.
struct Report {
    bar: ProgressBar,
    accepted: u64,
    duplicates: u64,
    refused: u64,
}

impl Report {
    /// The bar is on stderr, and hidden where that is no terminal.
    fn new(total: Option<u64>) -> Self {
        let bar = match total {
            _ if !std::io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let shape = if total.is_some() { "{bar:30} {bytes}/{total_bytes} {msg}" } else { "{spinner} {bytes} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        Self { bar, accepted: 0, duplicates: 0, refused: 0 }
    }

    fn take(&mut self, batch: &Batch, entries: &[answer::Entry]) {
        for (line, entry) in batch.lines.iter().zip(entries) {
            match &entry.error {
                Some(error) => self.refuse(*line, &error.to_string()),
                None if entry.duplicate => self.duplicates += 1,
                None => self.accepted += 1,
            }
        }
        self.bar.set_position(batch.read);
        self.bar.set_message(self.counts());
    }

    fn refuse(&mut self, line: u64, why: &str) {
        self.refused += 1;
        if self.refused <= REFUSED_SHOWN_MAX as u64 {
            self.say(&format!("line {line} refused: {why}"));
        }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("postrider: {}", printable(line)));
    }

    fn counts(&self) -> String {
        format!("accepted {}, duplicates {}, refused {}", self.accepted, self.duplicates, self.refused)
    }

    fn finish(&self) {
        let hidden = self.refused.saturating_sub(REFUSED_SHOWN_MAX as u64);
        if hidden > 0 {
            self.say(&format!("{hidden} more lines refused"));
        }
        self.bar.finish_and_clear();
        // A reader that has gone away changes nothing about what was published.
        let _ = writeln!(std::io::stdout(), "{}", self.counts());
    }
}
