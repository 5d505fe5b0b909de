//! `postrider log salvage`: what is whole of a damaged log, in a folder of its own, and a list of what is not.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use postrider::salvage::{Damage, Missing, Progress, Salvage, SalvageError, position, salvage};
use serde_json::{Value, json};

use crate::commands::{Usage, about};
use crate::progress::bar;

/// Copy what is whole of a damaged log into a new folder, and list what is missing.
///
/// The damaged folder is only read. Every block that is whole is copied, with the keys (master.key, keys/, admin.key) that the secrets in it
/// need; what is lost leaves a gap, so that everything else keeps its id. Exit 0: all is there. 1: something is missing.
#[derive(clap::Args)]
pub struct Args {
    /// The damaged data folder [env: POSTRIDER_DATA] [default: postrider-data]
    #[arg(value_name = "DIR")]
    from: Option<PathBuf>,
    /// The same, as the other commands name it
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    data: Option<PathBuf>,
    /// The folder for what is whole: empty, or not there yet
    #[arg(long, env = "POSTRIDER_SALVAGE_TO", value_name = "DIR2")]
    to: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// # Errors
/// [`Usage`] when the new folder is not empty; else when nothing could be salvaged.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // An environment variable must not clash with the folder that is named on the command line, as it would with clap.
    let named = args.from.or(args.data).or_else(|| std::env::var_os("POSTRIDER_DATA").map(PathBuf::from));
    let from = named.unwrap_or_else(|| "postrider-data".into());
    let bar = bar("{bar:30} {binary_bytes} of {binary_total_bytes} gone through")?;
    let salvaged = salvage(&from, &args.to, |Progress { bytes, size }| {
        bar.set_length(size);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    let salvaged = salvaged.map_err(|error| match error {
        SalvageError::NotEmpty(_) => anyhow!(Usage(format!("--to: {error}"))),
        error => about(&from, error),
    })?;
    if args.json {
        println!("{}", to_json(&salvaged));
    } else {
        tell(&salvaged, &from, &args.to);
    }
    if salvaged.is_whole() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(anyhow!("{} lacks {} of {}", args.to.display(), missing(&salvaged), from.display()))
}

fn tell(salvage: &Salvage, from: &Path, to: &Path) {
    let Salvage { log, keys } = salvage;
    for lost in &log.missing {
        println!("missing  {lost}");
    }
    for damage in &log.payloads {
        println!("missing  {damage}");
    }
    match &log.torn {
        Some(end) if salvage.has_foreign_end() => println!("missing  {end}; and all that followed"),
        Some(torn) => println!("left out {torn}; as a crash leaves a block that was never acknowledged"),
        None => {}
    }
    println!("{} blocks copied from {} to {}", log.copied, from.display(), to.display());
    match &keys[..] {
        [] => println!("no keys copied: there are none"),
        keys => println!("keys copied: {}", keys.join(", ")),
    }
    println!("to go on: postrider serve --data {}; {} is as it was", to.display(), from.display());
}

/// In words, of a salvage to which something is missing.
fn missing(salvage: &Salvage) -> String {
    let blocks: u64 = salvage.log.missing.iter().map(|lost| lost.blocks.end - lost.blocks.start).sum();
    let mut parts = Vec::new();
    let mut count = |count: u64, one: &str| match count {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        count => parts.push(format!("{count} {one}s")),
    };
    count(blocks, "block");
    count(salvage.log.payloads.len() as u64, "payload");
    if salvage.has_foreign_end() {
        parts.push("the end".to_owned());
    }
    if !salvage.has_master_key() {
        parts.push("the key master.key, without which no secret can be opened,".to_owned());
    }
    parts.join(" and ")
}

fn to_json(salvage: &Salvage) -> Value {
    let log = &salvage.log;
    let missing = |lost: &Missing| {
        json!({
            "file": lost.file,
            "offset": lost.offset,
            "until": lost.until,
            "firstBlock": lost.blocks.start,
            "lastBlock": lost.blocks.end - 1,
            "fault": lost.fault.to_string(),
        })
    };
    let payload = |damage: &Damage| {
        json!({
            "file": damage.file,
            "offset": damage.offset,
            "position": position(damage).map(|at| at.to_string()),
            "fault": damage.fault.to_string(),
        })
    };
    json!({
        "ok": salvage.is_whole(),
        "log": log.log.to_string(),
        "copied": log.copied,
        "missing": log.missing.iter().map(missing).collect::<Vec<_>>(),
        "payloads": log.payloads.iter().map(payload).collect::<Vec<_>>(),
        "torn": log.torn.as_ref().map(ToString::to_string),
        "keys": salvage.keys,
    })
}
