//! `postrider replay`: past events to a webhook again, counted first or as a job that can be paused; and a look at how far it is.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use hyper::Method;
use indicatif::ProgressBar;
use serde_json::json;

use super::signals;
use crate::args;
use crate::progress::bar;
use crate::remote::{self, Answer, Ask, Options, Remote};

/// Between two looks at a replay: well within the requests a minute that a key has by default.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const FIRST: [&str; 6] = ["id", "webhookId", "state", "created", "skipped", "remaining"];

/// Send past events to a webhook again: count, start, watch, pause, resume and cancel.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Options,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Start a replay, or with --dry-run count what it would send
    Start {
        #[command(flatten)]
        range: Range,
        /// Which of the events
        #[arg(long, value_name = "WHICH")]
        only: Only,
    },
    /// Show how far a replay is
    Show {
        /// Its id, such as rpl_0000000000020
        #[arg(value_name = "REPLAY")]
        id: String,
        /// Until it is over, with a bar
        #[arg(long)]
        wait: bool,
    },
    /// Pause a replay
    Pause(Which),
    /// Let a paused replay go on
    Resume(Which),
    /// End a replay; what it made due goes on
    Cancel(Which),
}

#[derive(clap::Args)]
struct Which {
    /// Its id
    #[arg(value_name = "REPLAY")]
    id: String,
}

/// Which events of which webhook.
#[derive(clap::Args)]
pub struct Range {
    /// The webhook's id
    #[arg(value_name = "WEBHOOK")]
    webhook: u64,
    /// Accepted then or later: an RFC 3339 time, or so long ago, such as 24h
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    since: String,
    /// Accepted before: the same [default: now]
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    until: Option<String>,
    /// Of these types, with commas [default: all]
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Count, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Until it is over, with a bar
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
}

/// Which events of a range.
#[derive(Clone, Copy, ValueEnum)]
enum Only {
    /// Those whose delivery has failed for good
    Failed,
    /// All that it ever got
    All,
    /// Those that match its filter and that it never got
    Missed,
}

/// # Errors
/// [`Usage`](super::Usage) for what cannot be meant; else what the server says, or that it is not there.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut remote = args.server.remote()?;
    remote::run(answer(&mut remote, &args.verb))
}

async fn answer(remote: &mut Remote, verb: &Verb) -> anyhow::Result<ExitCode> {
    let one = |id: &String| Ask::of("/v1/replays").under(id);
    let shown = match verb {
        Verb::Start { range, only } => {
            let only = only.to_possible_value().expect("none is skipped");
            return start(remote, range, only.get_name()).await;
        }
        Verb::Cancel(Which { id }) => {
            return remote.delete(one(id), &format!("Replay {id} is over; what it made due goes on.")).await;
        }
        Verb::Show { id, wait: true } => return wait(remote, id).await,
        Verb::Show { id, wait: false } => remote.get(one(id)).await?,
        Verb::Pause(Which { id }) => remote.send(Method::POST, one(id).under("pause"), None).await?,
        Verb::Resume(Which { id }) => remote.send(Method::POST, one(id).under("resume"), None).await?,
    };
    remote.show(&shown, &FIRST, &[])?;
    Ok(ExitCode::SUCCESS)
}

/// Starts or counts.
///
/// # Errors
/// What the server says, or that it is not there.
pub async fn start(remote: &mut Remote, range: &Range, only: &str) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "since": range.since, "only": only, "dryRun": range.dry_run });
    if let Some(until) = &range.until {
        body["until"] = json!(until);
    }
    if !range.types.is_empty() {
        body["eventTypes"] = json!(range.types);
    }
    let begun = remote.post(Ask::of("/v1/webhooks").under(range.webhook).under("replay"), &body).await?;
    match begun.data()["replayId"].as_str() {
        Some(id) if range.wait => wait(remote, id).await,
        _ => {
            remote.show(&begun, &["replayId", "matched", "skipped"], &[])?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Looks until it is over. ^C ends the looking, not the replay.
async fn wait(remote: &mut Remote, id: &str) -> anyhow::Result<ExitCode> {
    let bar = bar("{bar:30} {pos} of {len} {msg}")?;
    let interrupted = signals()?;
    let over = tokio::select! {
        over = watch(remote, id, &bar) => over,
        () = interrupted => Err(anyhow!("not waiting any more; the replay goes on: `postrider replay show {id}`")),
    };
    bar.finish_and_clear();
    let over = over?;
    remote.show(&over, &FIRST, &[])?;
    Ok(if over.data()["state"] == "finished" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn watch(remote: &mut Remote, id: &str, bar: &ProgressBar) -> anyhow::Result<Answer> {
    loop {
        let now = remote.get(Ask::of("/v1/replays").under(id)).await?;
        let state = now.data()["state"].as_str().unwrap_or_default().to_owned();
        let done = now.data()["created"].as_u64().unwrap_or(0) + now.data()["skipped"].as_u64().unwrap_or(0);
        match now.data()["remaining"].as_u64() {
            Some(remaining) => bar.set_length(done + remaining),
            None => bar.unset_length(),
        }
        bar.set_position(done);
        bar.set_message(state.clone());
        match &*state {
            "running" | "paused" => tokio::time::sleep(LOOK_EVERY).await,
            "finished" | "cancelled" => return Ok(now),
            other => bail!("the replay is {other:?}, which this program does not know"),
        }
    }
}
