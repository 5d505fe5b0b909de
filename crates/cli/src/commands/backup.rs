//! `postrider backup`: a copy of a data folder, whether or not a server runs on it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use indicatif::BinaryBytes;
use postrider::backup::{Backup, BackupError, Progress, backup};
use postrider::salvage::position;
use serde_json::{Value, json};

use super::{Usage, about};
use crate::progress::bar;

/// Copy a data folder while its server runs: the log up to now, and the keys that belong to it.
///
/// The server is not asked and goes on meanwhile. Everything that was acknowledged before the backup began is in the copy, which is a data
/// folder: to restore it, start a server on it. Never let the original and the copy run at once: both would deliver what is pending.
/// Exit 0: all is there. 1: no copy, or the original itself lacks something.
#[derive(clap::Args)]
pub struct Args {
    /// The data folder
    #[arg(long, env = "POSTRIDER_DATA", value_name = "DIR", default_value = "postrider-data")]
    data: PathBuf,
    /// The folder for the copy: empty, or not there yet
    #[arg(long, env = "POSTRIDER_BACKUP_TO", value_name = "DIR2")]
    to: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// # Errors
/// [`Usage`] when the folder for the copy is not empty, or within the original; else when there is no copy, or something lacks in it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // The log's files are larger than what is in them, so the end comes before the bar's.
    let bar = bar("{bar:30} {binary_bytes} of at most {binary_total_bytes}, {binary_bytes_per_sec}")?;
    let copied = backup(&args.data, &args.to, |Progress { bytes, size }| {
        bar.set_length(size);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    let copied = copied.map_err(|error| match error {
        BackupError::NotEmpty(_) | BackupError::Inside(_) => anyhow!(Usage(format!("--to: {error}"))),
        BackupError::File(..) => anyhow!(error),
        error => about(&args.data, error),
    })?;
    if args.json {
        println!("{}", to_json(&copied));
    } else {
        tell(&copied, args);
    }
    match lacks(&copied) {
        None => Ok(ExitCode::SUCCESS),
        Some(lacks) => Err(anyhow!("{} lacks {lacks}, and so does its copy", args.data.display())),
    }
}

fn tell(copied: &Backup, args: &Args) {
    for damage in &copied.payloads {
        println!("damaged  {damage}");
    }
    for key in &copied.keys_missing {
        println!("missing  {key}");
    }
    let until = match (copied.blocks, copied.time_last) {
        (0, _) | (_, None) => String::new(),
        (blocks, Some(time)) => format!(", up to block {} of {time}", copied.first + blocks - 1),
    };
    println!(
        "{} blocks, {}{until}, and {} files with keys",
        copied.blocks,
        BinaryBytes(copied.bytes),
        copied.keys.len()
    );
    println!("to restore: postrider serve --data {}", args.to.display());
}

/// In words, what the original does not have itself.
fn lacks(copied: &Backup) -> Option<String> {
    let count = |count: usize, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {one}s")),
    };
    let parts = [count(copied.payloads.len(), "whole payload"), count(copied.keys_missing.len(), "key")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

fn to_json(copied: &Backup) -> Value {
    let payload = |damage: &postrider::backup::Damage| {
        json!({
            "file": damage.file,
            "offset": damage.offset,
            "position": position(damage).map(|at| at.to_string()),
            "fault": damage.fault.to_string(),
        })
    };
    json!({
        "ok": copied.is_whole(),
        "log": copied.log.to_string(),
        "firstBlock": copied.first,
        "blocks": copied.blocks,
        "bytes": copied.bytes,
        "lastAt": copied.time_last.map(|time| time.to_string()),
        "erased": copied.erased,
        "payloads": copied.payloads.iter().map(payload).collect::<Vec<_>>(),
        "keys": copied.keys,
        "keysMissing": copied.keys_missing,
    })
}
