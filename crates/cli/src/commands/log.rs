//! `postrider log`: a look at a data folder while nothing runs on it. Reads only.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use postrider::inspect::{LogFolder, Stats, StoredRecord};
use serde_json::{Value, json};

/// Look at a log offline.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Look,
}

#[derive(clap::Subcommand)]
enum Look {
    /// Print every fact, one a line
    Cat(Folder),
    /// Read everything and check every checksum; exit 1 at the first fault
    Verify(Folder),
    /// Print what the log holds
    Stats(Folder),
}

#[derive(clap::Args)]
struct Folder {
    /// The data folder
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
    }
}

fn open(folder: &Folder) -> anyhow::Result<LogFolder> {
    LogFolder::open(&folder.data).with_context(|| folder.data.display().to_string())
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
    let log = open(folder)?;
    let stats = log.verify()?;
    // The checksums hold; now every fact has to be one that this version knows, and to lead somewhere.
    let mut facts = 0u64;
    for stored in log.records() {
        stored?;
        facts += 1;
    }
    if folder.json {
        println!("{}", json!({ "ok": true, "facts": facts, "log": to_json(&stats) }));
    } else {
        println!("the log is whole: {facts} facts in {} blocks{}", stats.blocks, torn(&stats));
    }
    Ok(ExitCode::SUCCESS)
}

fn stats(folder: &Folder) -> anyhow::Result<ExitCode> {
    let stats = open(folder)?.verify()?;
    if folder.json {
        println!("{}", to_json(&stats));
        return Ok(ExitCode::SUCCESS);
    }
    let time = |time: Option<postrider::Time>| time.map_or("-".to_owned(), |t| t.to_string());
    println!("segments   {}", stats.segments);
    println!("blocks     {}", stats.blocks);
    println!("facts      {} ({} bytes)", stats.facts, stats.facts_bytes);
    println!("payloads   {} bytes", stats.payloads_bytes);
    println!("on disk    {} bytes in blocks", stats.blocks_bytes);
    println!("from       {}", time(stats.time_first));
    println!("to         {}{}", time(stats.time_last), torn(&stats));
    Ok(ExitCode::SUCCESS)
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
        "firstAt": stats.time_first.map(|t| t.to_string()),
        "lastAt": stats.time_last.map(|t| t.to_string()),
        "torn": stats.torn.as_ref().map(ToString::to_string),
    })
}
