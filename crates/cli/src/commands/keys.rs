//! `postrider keys`: the keys of a data folder while no server runs on it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use postrider::MasterKey;
use postrider::keys::{NewMaster, RotateError, rotate_master};

use super::{Usage, about};

/// Look after the keys of a data folder while no server runs on it.
#[derive(clap::Subcommand)]
pub enum Command {
    RotateMaster(Rotate),
}

/// Wrap all keys by another master key.
///
/// The new one is made and kept in DIR/master.key, or is the one given with --new-master-key and then in no file. The old one opens nothing in
/// DIR any more; backups from before still need it. Secrets in the log stay as they are, so this takes a moment. Wherever it is cut off, DIR
/// opens with the old master key or with the new one; done again, it comes to its end.
#[derive(clap::Args)]
pub struct Rotate {
    /// The data folder
    #[arg(long, env = "POSTRIDER_DATA", value_name = "DIR", default_value = "postrider-data")]
    data: PathBuf,
    /// The present master key, where it is not in DIR/master.key
    #[arg(long, env = "POSTRIDER_MASTER_KEY", value_name = "KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// The new master key, to be given to the server from here on: 64 hexadecimal digits [default: made, in DIR/master.key]
    #[arg(long, env = "POSTRIDER_NEW_MASTER_KEY", value_name = "KEY", hide_env_values = true)]
    new_master_key: Option<String>,
}

/// # Errors
/// [`Usage`] when a key is none; else when the folder is in use, or its keys can't be opened or written.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::RotateMaster(args) = command;
    let given = key("master-key", args.master_key.as_ref())?;
    let new = match key("new-master-key", args.new_master_key.as_ref())? {
        Some(key) => NewMaster::Given(key),
        None => NewMaster::InFile,
    };
    let keys = rotate_master(&args.data, given.as_ref(), &new).map_err(|error| match error {
        RotateError::Lock(..) => anyhow!(error),
        error => about(&args.data, error),
    })?;
    match new {
        NewMaster::InFile => {
            println!("{keys} keys are wrapped by a new master key, {}", args.data.join("master.key").display())
        }
        NewMaster::Given(_) => {
            println!("{keys} keys are wrapped by the new master key: give it to the server as POSTRIDER_MASTER_KEY")
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn key(option: &str, text: Option<&String>) -> anyhow::Result<Option<MasterKey>> {
    let parsed = text.map(|text| MasterKey::parse(text)).transpose();
    parsed.map_err(|error| anyhow!(Usage(format!("--{option}: {error}"))))
}
