//! `postrider webhook`: subscriptions of a workspace, how they do, and what was sent to them.

mod settings;

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::Usage;
use crate::args;
use crate::columns::Column;
use crate::remote::{self, Answer, Ask, Options, Paging, Remote, confirm};
use settings::Settings;

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("name", "/name"),
    ("on", "/enabled"),
    ("url", "/url"),
    ("events", "/events"),
    ("retries after", "/retryPolicy/delays"),
];
const FIRST: [&str; 7] = ["id", "name", "url", "events", "enabled", "warnings", "signingSecret"];
const LOG_COLUMNS: [Column; 8] = [
    ("id", "/id"),
    ("started", "/createdAt"),
    ("type", "/eventType"),
    ("event", "/eventId"),
    ("attempt", "/attemptNumber"),
    ("status", "/statusCode"),
    ("outcome", "/outcome"),
    ("why", "/errorMessage"),
];
const WINDOW_COLUMNS: [Column; 7] = [
    ("window", "/window"),
    ("attempts", "/attempts"),
    ("failed", "/failed"),
    ("success", "/successRate"),
    ("p50 ms", "/p50Ms"),
    ("p95 ms", "/p95Ms"),
    ("p99 ms", "/p99Ms"),
];

const SLOT_COLUMNS: [Column; 7] = [
    ("from", "/start"),
    ("attempts", "/attempts"),
    ("failed", "/failed"),
    ("success", "/successRate"),
    ("p50 ms", "/p50Ms"),
    ("p95 ms", "/p95Ms"),
    ("p99 ms", "/p99Ms"),
];

/// Make, list, change and test webhooks of a workspace, and read their logs.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Options,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a webhook
    Create(Box<Settings>),
    /// List webhooks, newest first
    List(Paging),
    /// Show one webhook
    Show(Which),
    /// Change what is named, and leave the rest as it is
    Update(Box<Update>),
    /// Delete a webhook, and cancel what is pending for it
    Delete {
        #[command(flatten)]
        which: Which,
        /// It is meant: do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Send the sample of a type now, once; exit 1 if it was not delivered
    Test {
        #[command(flatten)]
        which: Which,
        /// Which type [default: the webhook's first]
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
    },
    /// List attempts, newest first
    Logs(Logs),
    /// Show what is pending, and how attempts went of late
    Health(Which),
    /// Show what attempts came to by the hour or the day, for as long as they are kept
    Stats(Stats),
    /// Replace the secret that requests are signed with, and show the new one once
    Rotate {
        #[command(flatten)]
        which: Which,
        /// For how long the old one signs along, such as 24h [default: 24h]
        #[arg(long, value_name = "D")]
        grace: Option<String>,
    },
}

#[derive(clap::Args)]
struct Which {
    /// The webhook's id
    #[arg(value_name = "WEBHOOK")]
    id: u64,
}

#[derive(clap::Args)]
struct Update {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    settings: Settings,
    /// Go back to the default of these settings, as the API names them, with commas: secret, retryPolicy, …
    #[arg(long, value_name = "SETTING", value_delimiter = ',')]
    unset: Vec<String>,
}

#[derive(clap::Args)]
struct Logs {
    #[command(flatten)]
    which: Which,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// succeeded, retrying, exhausted, removed, cancelled or failed
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Answered with this status
    #[arg(long, value_name = "N")]
    status_code: Option<u16>,
    /// Of this event
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Started then or later: an RFC 3339 time, or so long ago, such as 24h
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    since: Option<String>,
    /// Started before: the same
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    until: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(clap::Args)]
struct Stats {
    /// The webhook's id [default: all webhooks together]
    #[arg(value_name = "WEBHOOK")]
    id: Option<u64>,
    /// hour or day
    #[arg(long, value_name = "STEP", default_value = "hour")]
    step: String,
    /// From then on: an RFC 3339 time, or so long ago, such as 24h [default: 7 days, with --step day 30]
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    since: Option<String>,
    /// Up to then: the same [default: now]
    #[arg(long, value_name = "TIME", value_parser = args::moment)]
    until: Option<String>,
}

/// # Errors
/// [`Usage`] for what cannot be meant; else what the server says, or that it is not there.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut remote = args.server.remote()?;
    remote::run(answer(&mut remote, &args.verb))
}

async fn answer(remote: &mut Remote, verb: &Verb) -> anyhow::Result<ExitCode> {
    let all = Ask::of("/v1/webhooks");
    let one = |which: &Which| Ask::of("/v1/webhooks").under(which.id);
    let shown = match verb {
        Verb::List(paging) => {
            let page = remote.get(all.page(paging)).await?;
            return remote.list(&page, &COLUMNS);
        }
        Verb::Logs(logs) => {
            let page = remote.get(logs.ask()).await?;
            return remote.list(&page, &LOG_COLUMNS);
        }
        Verb::Delete { which, yes } => {
            confirm(*yes, &format!("delete webhook {} and cancel what is pending for it", which.id))?;
            return remote.delete(one(which), &format!("Webhook {} is deleted.", which.id)).await;
        }
        Verb::Test { which, event_type } => {
            let body = event_type.as_ref().map_or_else(|| json!({}), |name| json!({ "eventType": name }));
            let tried = remote.post(one(which).under("test"), &body).await?;
            return show_test(remote, &tried);
        }
        Verb::Health(which) => {
            let health = remote.get(one(which).under("health")).await?;
            return show_health(remote, &health);
        }
        Verb::Stats(stats) => {
            let told = remote.get(stats.ask()).await?;
            return show_history(remote, &told);
        }
        Verb::Create(settings) => remote.post(all, &Value::Object(settings.members()?)).await?,
        Verb::Show(which) => remote.get(one(which)).await?,
        Verb::Update(update) => remote.patch(one(&update.which), &Value::Object(update.members()?)).await?,
        Verb::Rotate { which, grace } => {
            let body = grace.as_ref().map_or_else(|| json!({}), |grace| json!({ "gracePeriod": grace }));
            remote.post(one(which).under("rotate-secret"), &body).await?
        }
    };
    remote.show(&shown, &FIRST, &[])?;
    Ok(ExitCode::SUCCESS)
}

impl Update {
    fn members(&self) -> anyhow::Result<Map<String, Value>> {
        let mut members = self.settings.members()?;
        for name in &self.unset {
            if members.insert(name.clone(), Value::Null).is_some() {
                return Err(Usage(format!("--unset {name}: it is set at once")).into());
            }
        }
        if members.is_empty() {
            return Err(
                Usage("nothing is named that would change; `postrider webhook update --help`".to_owned()).into()
            );
        }
        Ok(members)
    }
}

impl Logs {
    fn ask(&self) -> Ask {
        Ask::of("/v1/webhooks")
            .under(self.which.id)
            .under("logs")
            .with("eventType", self.event_type.as_ref())
            .with("outcome", self.outcome.as_ref())
            .with("statusCode", self.status_code)
            .with("eventId", self.event.as_ref())
            .with("since", self.since.as_ref())
            .with("until", self.until.as_ref())
            .page(&self.paging)
    }
}

impl Stats {
    fn ask(&self) -> Ask {
        let of = self.id.map_or_else(|| Ask::of("/v1"), |id| Ask::of("/v1/webhooks").under(id));
        of.under("stats")
            .with("step", Some(&self.step))
            .with("since", self.since.as_ref())
            .with("until", self.until.as_ref())
    }
}

/// What came of a test, and whether that is a success.
fn show_test(remote: &Remote, tried: &Answer) -> anyhow::Result<ExitCode> {
    remote.show(tried, &["success", "statusCode", "durationMs", "errorKind", "errorMessage"], &[])?;
    Ok(if tried.data()["success"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show_health(remote: &Remote, health: &Answer) -> anyhow::Result<ExitCode> {
    remote.show(
        health,
        &["pending", "nextAttemptAt", "consecutiveFailures", "lastSuccessAt", "lastFailureAt"],
        &["windows"],
    )?;
    let windows = ["5m", "1h", "24h"].map(|name| {
        let mut window = with_percent(&health.data()["windows"][name]);
        window["window"] = json!(name);
        window
    });
    remote.list_part(&json!(windows), &WINDOW_COLUMNS)?;
    Ok(ExitCode::SUCCESS)
}

/// Those slots alone in which there was anything.
fn show_history(remote: &Remote, told: &Answer) -> anyhow::Result<ExitCode> {
    let history = &told.data()["history"];
    remote.show_part(told, history, &["step", "keptSince"], &["slots"])?;
    let slots = history["slots"].as_array().into_iter().flatten();
    let slots: Vec<_> = slots.filter(|slot| slot["attempts"] != 0).map(with_percent).collect();
    remote.list_part(&json!(slots), &SLOT_COLUMNS)?;
    Ok(ExitCode::SUCCESS)
}

/// Figures as people read them.
fn with_percent(figures: &Value) -> Value {
    let mut figures = figures.clone();
    figures["successRate"] = json!(figures["successRate"].as_f64().map(|rate| format!("{:.2} %", rate * 100.0)));
    figures
}
