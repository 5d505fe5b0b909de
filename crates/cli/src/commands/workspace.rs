//! `postrider workspace`: rooms of a server, by the admin key.

use std::process::ExitCode;

use serde_json::json;

use crate::columns::Column;
use crate::remote::{self, AdminOptions, Ask, Paging, Remote, confirm};

const COLUMNS: [Column; 4] = [("id", "/id"), ("name", "/name"), ("profile", "/profile"), ("created", "/createdAt")];
const FIRST: [&str; 4] = ["id", "name", "profile", "apiKey"];

/// Make, list and change workspaces of a server; with the admin key.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: AdminOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a workspace, and show its first key once
    Create {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
        /// What it behaves as: genesy, snaily or standard
        #[arg(long, value_name = "PROFILE")]
        profile: String,
    },
    /// List workspaces, newest first
    List(Paging),
    /// Show one workspace
    Show {
        /// Its id, such as ws_0000000000020
        #[arg(value_name = "WORKSPACE")]
        id: String,
    },
    /// Give a workspace another name
    Update {
        /// Its id
        #[arg(value_name = "WORKSPACE")]
        id: String,
        /// What it is called from now on
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Delete a workspace with its keys, webhooks and events
    Delete {
        /// Its id
        #[arg(value_name = "WORKSPACE")]
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
    let all = Ask::of("/v1/workspaces");
    let shown = match verb {
        Verb::List(paging) => {
            let page = remote.get(all.page(paging)).await?;
            return remote.list(&page, &COLUMNS);
        }
        Verb::Delete { id, yes } => {
            confirm(*yes, &format!("delete workspace {id} and all that is in it"))?;
            return remote.delete(all.under(id), &format!("Workspace {id} is deleted.")).await;
        }
        Verb::Create { name, profile } => remote.post(all, &json!({ "name": name, "profile": profile })).await?,
        Verb::Show { id } => remote.get(all.under(id)).await?,
        Verb::Update { id, name } => remote.patch(all.under(id), &json!({ "name": name })).await?,
    };
    remote.show(&shown, &FIRST, &[])?;
    Ok(ExitCode::SUCCESS)
}
