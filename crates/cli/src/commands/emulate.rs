//! `postrider emulate`: the requests of Genesy or Snaily, sent to a receiver that somebody is writing.
//!
//! They are not imitated: a server in this process delivers them, with the provider's profile, from a log in a temporary folder, as
//! `postrider serve` would. Only the delays between attempts are cut, and that is said. What goes wrong on purpose goes wrong as it does at
//! a provider: a delivery made again by hand, one event for two subscriptions, a subscription with another secret.

mod player;
mod scenario;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use hyper::Uri;
use postrider::{ExposeSecret, Profile};

use super::{Usage, signals};
use crate::args;
use crate::client::Client;
use crate::limits::EMULATE_COUNT_MAX;
use crate::local::LocalServer;
use player::Player;
use scenario::Scenario;

/// How long attempts in flight may go on at the end.
const GRACE: Duration = Duration::from_secs(1);
/// A receiver that somebody is writing is on their machine or in their network.
const ALLOW: [&str; 2] = ["loopback", "private"];

/// Send somebody's receiver what Genesy or Snaily would send it: every event type, with retries and what goes wrong.
///
/// A line for each request says what was sent and how it was answered. Exit 0: everything ended well, which after a wrong or missing
/// secret means that it was refused. Addresses of this machine and of private networks are allowed.
#[derive(clap::Args)]
pub struct Args {
    /// Whose requests
    #[arg(value_name = "PROVIDER")]
    provider: Provider,
    /// The receiver, such as http://localhost:3000/webhooks
    #[arg(long, env = "POSTRIDER_EMULATE_TO", value_name = "URL")]
    to: String,
    /// What happens; can be given several times
    #[arg(
        long,
        env = "POSTRIDER_EMULATE_SCENARIO",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "every-type"
    )]
    scenario: Vec<Scenario>,
    /// The secret that the receiver expects; without one no header is sent
    #[arg(long, env = "POSTRIDER_EMULATE_SECRET", value_name = "SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Event types to send [default: all of the provider's]
    #[arg(long, env = "POSTRIDER_EMULATE_TYPES", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Events of a burst
    #[arg(long, env = "POSTRIDER_EMULATE_COUNT", value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=EMULATE_COUNT_MAX))]
    count: u32,
    /// Cut each delay of the provider's schedule to this at the most; 12h leaves both as they are
    #[arg(long, env = "POSTRIDER_EMULATE_DELAY_MAX", value_name = "D", default_value = "500ms", value_parser = args::duration)]
    delay_max: Duration,
    /// Print each request's headers and body too, secrets masked
    #[arg(long, env = "POSTRIDER_EMULATE_SHOW", value_parser = BoolishValueParser::new())]
    show: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Provider {
    Genesy,
    Snaily,
}

/// What is to be played, checked.
struct Wish {
    profile: Profile,
    to: String,
    secret: Option<String>,
    types: Vec<String>,
    count: u32,
    /// As the API takes them.
    delays: Vec<String>,
    show: bool,
}

impl Args {
    fn wish(&self) -> Result<Wish, Usage> {
        let name = match self.provider {
            Provider::Genesy => "genesy",
            Provider::Snaily => "snaily",
        };
        let profile = Profile::built_in().into_iter().find(|profile| &*profile.name == name);
        let profile = profile.expect("both are built in");
        let is_url = |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !self.to.parse().is_ok_and(is_url) {
            return Err(Usage(format!(
                "--to {} is not a receiver's URL, such as http://localhost:3000/webhooks",
                self.to
            )));
        }
        if self.delay_max.is_zero() {
            return Err(Usage("--delay-max is more than 0ms".to_owned()));
        }
        let known = scenario::types(&profile);
        if let Some(unknown) = self.types.iter().find(|wanted| !known.contains(wanted)) {
            return Err(Usage(format!("--types: {} has no {unknown}, but {}", profile.title, known.join(", "))));
        }
        let cut = |delay: &postrider::Millis| args::duration_text(Duration::from_millis(delay.0).min(self.delay_max));
        Ok(Wish {
            delays: profile.retry.delays.iter().map(cut).collect(),
            types: if self.types.is_empty() { known } else { self.types.clone() },
            profile,
            to: self.to.clone(),
            secret: self.secret.clone(),
            count: self.count,
            show: self.show,
        })
    }
}

/// # Errors
/// [`Usage`] for a URL that is none, or a type that the provider does not have; else the server cannot be had, or refuses the secret.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let wish = args.wish()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(emulate(&wish, &args.scenario))
}

async fn emulate(wish: &Wish, scenarios: &[Scenario]) -> anyhow::Result<ExitCode> {
    let interrupted = signals()?;
    let server = LocalServer::start("postrider-emulate-", &ALLOW).await?;
    let played = tokio::select! {
        played = play(wish, scenarios, &server) => played,
        () = interrupted => Err(anyhow!("interrupted")),
    };
    let stopped = server.stop(GRACE).await;
    let all_well = played?;
    stopped?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether everything ended well.
async fn play(wish: &Wish, scenarios: &[Scenario], server: &LocalServer) -> anyhow::Result<bool> {
    let mut admin = Client::new(server.address, server.admin_key.expose_secret())?;
    player::say(&scenario::introduction(wish));
    let mut all_well = true;
    for scenario in scenarios {
        let mut player = Player::new(wish, *scenario, &mut admin, server.address).await?;
        all_well &= player.play().await?;
    }
    Ok(all_well)
}
