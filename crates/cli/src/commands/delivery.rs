//! `postrider delivery`: one event for one webhook: how it stands, its attempts, and once more.

use std::process::ExitCode;

use super::replay::{self, Range};
use crate::columns::Column;
use crate::remote::{self, Ask, Options, Paging, Remote};

const COLUMNS: [Column; 7] = [
    ("id", "/id"),
    ("event", "/eventId"),
    ("type", "/eventType"),
    ("webhook", "/webhookId"),
    ("status", "/status"),
    ("attempts", "/attemptCount"),
    ("next attempt", "/nextAttemptAt"),
];
const FIRST: [&str; 8] =
    ["id", "eventId", "eventType", "webhookId", "status", "attemptCount", "nextAttemptAt", "createdAt"];
const ATTEMPT_COLUMNS: [Column; 6] = [
    ("attempt", "/attemptNumber"),
    ("started", "/createdAt"),
    ("ms", "/durationMs"),
    ("status", "/statusCode"),
    ("outcome", "/outcome"),
    ("why", "/errorMessage"),
];

/// List deliveries, show one with its attempts, and send one or all failed ones again.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Options,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List deliveries, newest event first
    List(Filter),
    /// Show a delivery with its attempts
    Show {
        /// Its id, such as dlv_00000000000200000
        #[arg(value_name = "DELIVERY")]
        id: String,
    },
    /// Make a delivery due now
    Retry {
        /// Its id
        #[arg(value_name = "DELIVERY")]
        id: String,
    },
    /// Send all failed deliveries of a webhook again: a replay of them alone
    RetryFailed(Range),
}

#[derive(clap::Args)]
struct Filter {
    /// For this webhook
    #[arg(long, value_name = "WEBHOOK")]
    webhook: Option<u64>,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// pending, succeeded, exhausted, removed or cancelled
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// # Errors
/// [`Usage`](super::Usage) for what cannot be meant; else what the server says, or that it is not there.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut remote = args.server.remote()?;
    remote::run(answer(&mut remote, &args.verb))
}

async fn answer(remote: &mut Remote, verb: &Verb) -> anyhow::Result<ExitCode> {
    let all = Ask::of("/v1/deliveries");
    match verb {
        Verb::List(Filter { webhook, event_type, status, paging }) => {
            let ask = all.with("webhookId", *webhook).with("eventType", event_type.as_ref());
            let page = remote.get(ask.with("status", status.as_ref()).page(paging)).await?;
            remote.list(&page, &COLUMNS)
        }
        Verb::Show { id } => {
            let delivery = remote.get(all.under(id)).await?;
            remote.show(&delivery, &FIRST, &["attempts"])?;
            remote.list_part(&delivery.data()["attempts"], &ATTEMPT_COLUMNS)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Retry { id } => {
            let delivery = remote.send(hyper::Method::POST, all.under(id).under("retry"), None).await?;
            remote.show(&delivery, &FIRST, &[])?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::RetryFailed(range) => replay::start(remote, range, "failed").await,
    }
}
