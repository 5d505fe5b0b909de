//! `postrider event`: publish one, find it again, ask why a webhook did or did not get it, erase it.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use hyper::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Usage;
use crate::args;
use crate::columns::Column;
use crate::limits::BATCH_BYTES_MAX;
use crate::remote::{self, Ask, Options, Paging, Remote, confirm};

const COLUMNS: [Column; 5] = [
    ("id", "/id"),
    ("type", "/type"),
    ("accepted", "/acceptedAt"),
    ("campaign", "/campaignId"),
    ("deliveries", "/deliveryCount"),
];
const DELIVERY_COLUMNS: [Column; 5] = [
    ("delivery", "/id"),
    ("webhook", "/webhookId"),
    ("status", "/status"),
    ("attempts", "/attemptCount"),
    ("next attempt", "/nextAttemptAt"),
];
const EXPLAIN_COLUMNS: [Column; 3] = [("webhook", "/webhookId"), ("why", "/code"), ("delivery", "/deliveryId")];
const TYPE_COLUMNS: [Column; 3] = [("type", "/name"), ("called", "/displayName"), ("when", "/description")];

/// Publish an event, find events, explain who got one and who did not, and erase one.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Options,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Publish one event; `postrider publish` sends many
    Publish(Publish),
    /// List events, newest first
    List(Filter),
    /// Show an event with its data and its deliveries
    Show(Which),
    /// Say for each webhook what became of the event, or why it was not chosen
    Explain {
        #[command(flatten)]
        which: Which,
        /// Only this webhook
        #[arg(long, value_name = "WEBHOOK")]
        webhook: Option<u64>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Erase an event's data, and cancel what is pending of it
    Erase {
        #[command(flatten)]
        which: Which,
        /// It is meant: do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the event types that the workspace has
    Types,
}

#[derive(clap::Args)]
struct Which {
    /// The event's id
    #[arg(value_name = "EVENT")]
    id: String,
}

#[derive(clap::Args)]
struct Publish {
    /// What happened: one of `postrider event types`
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// Its data: a JSON object, @FILE, or @- for stdin
    #[arg(long, value_name = "JSON", default_value = "{}")]
    data: String,
    /// Its id, under which it is published once however often it is sent [default: a new one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// When it happened [default: now]
    #[arg(long, value_name = "TIME")]
    created: Option<String>,
}

#[derive(clap::Args)]
struct Filter {
    /// With this id
    #[arg(long, value_name = "EVENT")]
    id: Option<String>,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Of this campaign
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// Accepted then or later: an RFC 3339 time, or so long ago, such as 24h
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    since: Option<String>,
    /// Accepted before: the same
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    until: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// An event as the API takes it: its data stays byte for byte.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    data: Box<RawValue>,
}

/// # Errors
/// [`Usage`] for what cannot be meant; else what the server says, or that it is not there.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut remote = args.server.remote()?;
    remote::run(answer(&mut remote, &args.verb))
}

async fn answer(remote: &mut Remote, verb: &Verb) -> anyhow::Result<ExitCode> {
    let all = Ask::of("/v1/events");
    match verb {
        Verb::Publish(publish) => {
            let taken = remote.send(Method::POST, all, Some(publish.body()?)).await?;
            remote.show(&taken, &["id", "duplicate", "deliveries"], &[])?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::List(filter) => {
            let page = remote.get(filter.ask(all)).await?;
            remote.list(&page, &COLUMNS)
        }
        Verb::Show(Which { id }) => {
            let event = remote.get(all.under(id)).await?;
            remote.show(&event, &["id", "type", "created", "acceptedAt", "campaignId", "erasedAt"], &["deliveries"])?;
            remote.list_part(&event.data()["deliveries"], &DELIVERY_COLUMNS)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Explain { which, webhook, paging } => {
            let ask = all.under(&which.id).under("explain").with("webhookId", *webhook).page(paging);
            let page = remote.get(ask).await?;
            remote.list(&page, &EXPLAIN_COLUMNS)
        }
        Verb::Erase { which: Which { id }, yes } => {
            confirm(*yes, &format!("erase the data of event {id}"))?;
            remote.delete(all.under(id), &format!("The data of event {id} is erased.")).await
        }
        Verb::Types => {
            let types = remote.get(Ask::of("/v1/event-types")).await?;
            remote.list(&types, &TYPE_COLUMNS)
        }
    }
}

impl Publish {
    /// # Errors
    /// [`Usage`]: the data can't be read, or is no JSON.
    fn body(&self) -> anyhow::Result<String> {
        let unreadable = |error: std::io::Error| Usage(format!("--data {}: {error}", self.data));
        let data = match self.data.strip_prefix('@') {
            None => self.data.clone(),
            Some("-") => text(std::io::stdin()).map_err(unreadable)?,
            Some(path) => text(std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)?,
        };
        let data = RawValue::from_string(data.trim().to_owned());
        let data = data.map_err(|error| Usage(format!("--data is not JSON: {error}")))?;
        let event =
            Event { id: self.id.as_deref(), event_type: &self.event_type, created: self.created.as_deref(), data };
        serde_json::to_string(&event).context("the event")
    }
}

/// No more than the API would take.
fn text(input: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    input.take(BATCH_BYTES_MAX as u64).read_to_string(&mut text)?;
    Ok(text)
}

impl Filter {
    fn ask(&self, all: Ask) -> Ask {
        all.with("id", self.id.as_ref())
            .with("eventType", self.event_type.as_ref())
            .with("campaignId", self.campaign.as_ref())
            .with("since", self.since.as_ref())
            .with("until", self.until.as_ref())
            .page(&self.paging)
    }
}
