//! `postrider log`: a look at a data folder while nothing runs on it. Changes nothing there.

mod salvage;
mod store;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use postrider::inspect::{LogFolder, Progress, Stats, StoredRecord};
use serde_json::{Value, json};

use super::about;
use crate::limits::TO_ERASE_SHOWN_MAX;
use crate::progress::bar;

/// Of a bar.
const SHAPE: &str = "{bar:30} {msg}, block {pos} of {len}";

/// Look at a log while no server runs on it: print, check, save what is whole.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Look,
}

#[derive(clap::Subcommand)]
enum Look {
    /// Print everything that happened, one fact a line, without payloads and secrets
    Cat(Folder),
    /// Check every checksum, and the store against the log; exit 1 at the first fault, naming its place
    Verify(Folder),
    /// Count what the log holds, after the same check
    Stats(Folder),
    Salvage(salvage::Args),
}

#[derive(clap::Args)]
struct Folder {
    /// The server's data folder
    #[arg(long, env = "POSTRIDER_DATA", value_name = "FOLDER", default_value = "postrider-data")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When the log can't be read, or is not what was written: with file and offset.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Look::Cat(folder) => cat(&folder),
        Look::Verify(folder) => verify(&folder),
        Look::Stats(folder) => stats(&folder),
        Look::Salvage(args) => salvage::run(args),
    }
}

fn open(folder: &Folder) -> anyhow::Result<LogFolder> {
    LogFolder::open(&folder.data).map_err(|error| about(&folder.data, error))
}

fn cat(folder: &Folder) -> anyhow::Result<ExitCode> {
    let log = open(folder)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for stored in log.records() {
        let StoredRecord { file, offset, record, payload_bytes } = stored?;
        let fact = record.fact.describe();
        let written = if folder.json {
            let line = json!({
                "position": record.position.to_string(),
                "time": record.time.to_string(),
                "kind": fact.kind,
                "what": fact.what,
                "payloadBytes": payload_bytes,
                "file": file,
                "offset": offset,
            });
            writeln!(out, "{line}")
        } else {
            let payload = payload_bytes.map(|n| format!(" +{n} B")).unwrap_or_default();
            writeln!(
                out,
                "{:>10} {} {:<18} {}{payload}",
                record.position.to_string(),
                record.time,
                fact.kind,
                fact.what
            )
        };
        match written {
            // Whoever reads has seen enough.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            other => other?,
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn verify(folder: &Folder) -> anyhow::Result<ExitCode> {
    let (log, bar) = (open(folder)?, bar(SHAPE)?);
    let looked = log.verify(|progress| show(&bar, progress));
    let looked = looked.map_err(anyhow::Error::from).and_then(|stats| {
        let compared = log.compare_store(&folder.data, |progress| show(&bar, progress));
        Ok((stats, compared.map_err(|error| about(&folder.data, error))?))
    });
    bar.finish_and_clear();
    let (stats, store) = looked?;
    let difference = store::difference(&store);
    if folder.json {
        let is_ok = difference.is_none();
        println!(
            "{}",
            json!({ "ok": is_ok, "facts": stats.facts, "log": to_json(&stats), "store": store::to_json(&store) })
        );
    } else {
        println!("the log is whole: {} facts in {} blocks{}", stats.facts, stats.blocks, remarks(&stats));
        if difference.is_none() {
            println!("{}", store::told(&store));
        }
    }
    match difference {
        None => Ok(ExitCode::SUCCESS),
        Some(difference) => Err(anyhow::anyhow!("{}: store/{difference}", folder.data.display())),
    }
}

fn show(bar: &ProgressBar, Progress { doing, block, blocks }: Progress) {
    let (first, last) = blocks.unwrap_or_default();
    match blocks {
        Some(_) => bar.set_length(last - first + 1),
        None => bar.unset_length(),
    }
    bar.set_message(doing);
    bar.set_position(block + 1 - first);
}

fn stats(folder: &Folder) -> anyhow::Result<ExitCode> {
    let (log, bar) = (open(folder)?, bar(SHAPE)?);
    let stats = log.verify(|progress| show(&bar, progress));
    bar.finish_and_clear();
    let stats = stats?;
    if folder.json {
        println!("{}", to_json(&stats));
        return Ok(ExitCode::SUCCESS);
    }
    let time = |time: Option<postrider::Time>| time.map_or("-".to_owned(), |t| t.to_string());
    println!("segments   {}", stats.segments);
    println!("blocks     {}", stats.blocks);
    println!("facts      {} ({} bytes)", stats.facts, stats.facts_bytes);
    println!("payloads   {} bytes", stats.payloads_bytes);
    println!("erased     {} payloads", stats.erased);
    println!("to erase   {} at the next start", to_erase(&stats));
    println!("gaps       {} for blocks that a salvage did not find", stats.gaps);
    println!("on disk    {} bytes in blocks", stats.blocks_bytes);
    println!("from       {}", time(stats.time_first));
    println!("to         {}{}", time(stats.time_last), torn(&stats));
    Ok(ExitCode::SUCCESS)
}

/// What is worth saying of a log that is whole.
fn remarks(stats: &Stats) -> String {
    let mut remarks = String::new();
    if stats.erased > 0 {
        remarks += &format!("; payloads erased: {}", stats.erased);
    }
    if !stats.to_erase.is_empty() {
        remarks += &format!("; payloads that the next start erases: {}", to_erase(stats));
    }
    if stats.gaps > 0 {
        remarks += &format!("; gaps, for blocks that a salvage did not find: {}", stats.gaps);
    }
    remarks + &torn(stats)
}

/// Payloads that a crash kept from being erased.
fn to_erase(stats: &Stats) -> String {
    let events: Vec<String> = stats.to_erase.iter().take(TO_ERASE_SHOWN_MAX).map(ToString::to_string).collect();
    match stats.to_erase.len() {
        0 => "0".to_owned(),
        count if count > events.len() => format!("{count} ({}, …)", events.join(", ")),
        count => format!("{count} ({})", events.join(", ")),
    }
}

fn torn(stats: &Stats) -> String {
    stats.torn.as_ref().map(|torn| format!("; a last block that was never acknowledged: {torn}")).unwrap_or_default()
}

fn to_json(stats: &Stats) -> Value {
    json!({
        "segments": stats.segments,
        "blocks": stats.blocks,
        "facts": stats.facts,
        "factsBytes": stats.facts_bytes,
        "payloadsBytes": stats.payloads_bytes,
        "blocksBytes": stats.blocks_bytes,
        "erased": stats.erased,
        "toErase": stats.to_erase.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "gaps": stats.gaps,
        "firstAt": stats.time_first.map(|t| t.to_string()),
        "lastAt": stats.time_last.map(|t| t.to_string()),
        "torn": stats.torn.as_ref().map(ToString::to_string),
    })
}
