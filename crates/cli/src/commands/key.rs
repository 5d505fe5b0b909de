//! `postrider key`: keys of a workspace, by the admin key.

use std::process::ExitCode;

use serde_json::json;

use crate::columns::Column;
use crate::remote::{self, AdminOptions, Ask, Paging, Remote, confirm};

const COLUMNS: [Column; 4] = [("id", "/id"), ("name", "/name"), ("scopes", "/scopes"), ("created", "/createdAt")];
const FIRST: [&str; 4] = ["id", "name", "scopes", "key"];

/// Make, list and revoke keys of a workspace; with the admin key.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: AdminOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a key, and show it once
    Create {
        /// Whose key, such as ws_0000000000020
        #[arg(value_name = "WORKSPACE")]
        workspace: String,
        /// What it is called
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do, with commas: READ, EVENTS_WRITE, ALL
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scopes: Vec<String>,
    },
    /// List the keys of a workspace, without the keys themselves
    List {
        /// Whose keys
        #[arg(value_name = "WORKSPACE")]
        workspace: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Revoke a key at once
    #[command(visible_alias = "delete")]
    Revoke {
        /// Whose key
        #[arg(value_name = "WORKSPACE")]
        workspace: String,
        /// Its id, such as key_0000000000021
        #[arg(value_name = "ID")]
        id: String,
        /// It is meant: do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// # Errors
/// [`Usage`](super::Usage) for what cannot be meant; else what the server says, or that it is not there.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut remote = args.server.remote()?;
    remote::run(answer(&mut remote, &args.verb))
}

async fn answer(remote: &mut Remote, verb: &Verb) -> anyhow::Result<ExitCode> {
    let of = |workspace: &String| Ask::of("/v1/workspaces").under(workspace).under("keys");
    match verb {
        Verb::Create { workspace, name, scopes } => {
            let made = remote.post(of(workspace), &json!({ "name": name, "scopes": scopes })).await?;
            remote.show(&made, &FIRST, &[])?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::List { workspace, paging } => {
            let page = remote.get(of(workspace).page(paging)).await?;
            remote.list(&page, &COLUMNS)
        }
        Verb::Revoke { workspace, id, yes } => {
            confirm(*yes, &format!("revoke key {id}"))?;
            remote.delete(of(workspace).under(id), &format!("Key {id} is revoked.")).await
        }
    }
}
