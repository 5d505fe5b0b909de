//! `postrider sink`: a receiver to test against, until SIGTERM or ^C.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Lines, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use anyhow::Context;
use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use tokio::signal::unix::{SignalKind, signal};

use super::Usage;
use crate::limits::{PRINT_QUEUE_MAX, THREADS_MAX};
use crate::receiver::{Behaviour, Config, Observer, Plan, Receiver, Request, event_type};
use crate::{args, clock};

/// Receive webhooks and answer as told: a receiver to test against.
///
/// GET /stats gives the counts, DELETE /stats begins them anew, GET /requests gives the last 1,000 requests.
#[derive(clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one, which the first line names
    #[arg(long, env = "POSTRIDER_SINK_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9000",
          value_parser = args::listen)]
    listen: SocketAddr,
    /// The status to answer
    #[arg(long, env = "POSTRIDER_SINK_STATUS", value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// The share of requests to answer 500, from 0 to 1
    #[arg(long, env = "POSTRIDER_SINK_FAIL_RATE", value_name = "P", default_value = "0", value_parser = args::share)]
    fail_rate: f64,
    /// How long to wait before an answer, such as 50ms
    #[arg(long, env = "POSTRIDER_SINK_LATENCY", value_name = "D", default_value = "0ms", value_parser = args::duration)]
    latency: Duration,
    /// The share of requests never to answer, from 0 to 1
    #[arg(long, env = "POSTRIDER_SINK_HANG", value_name = "P", default_value = "0", value_parser = args::share)]
    hang: f64,
    /// What to do to every request instead; --help lists them
    #[arg(long, env = "POSTRIDER_SINK_BEHAVIOUR", value_name = "NAME", default_value = "ok",
          value_parser = behaviours())]
    behaviour: Behaviour,
    /// Serve https
    #[arg(long, env = "POSTRIDER_SINK_TLS", value_parser = BoolishValueParser::new())]
    tls: bool,
    /// Where to write the certificate of the authority that https is served with, for `serve --ca-file FILE`; a new one at each start
    #[arg(long, env = "POSTRIDER_SINK_TLS_CA", value_name = "FILE", default_value = "postrider-sink-ca.pem")]
    tls_ca: PathBuf,
    /// Threads that serve connections; as many as there are cores if not given
    #[arg(long, env = "POSTRIDER_SINK_THREADS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(THREADS_MAX)))]
    threads: Option<u16>,
    /// Time events whose id begins with the microseconds since 1970 at which they were sent, such as t1700000000000000-7:
    /// `measured` in GET /stats
    #[arg(long, env = "POSTRIDER_SINK_MEASURE", value_parser = BoolishValueParser::new())]
    measure: bool,
    /// Print no line for each request
    #[arg(long, env = "POSTRIDER_SINK_QUIET", value_parser = BoolishValueParser::new())]
    quiet: bool,
}

/// Each with its line in `--help`.
fn behaviours() -> impl TypedValueParser<Value = Behaviour> {
    let named = Behaviour::all().map(|behaviour| PossibleValue::new(behaviour.name()).help(behaviour.what()));
    PossibleValuesParser::new(named)
        .try_map(|name| Behaviour::named(&name).ok_or_else(|| format!("there is no behaviour `{name}`")))
}

/// # Errors
/// [`Usage`] where the options contradict each other; else the address cannot be bound.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    check(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the first line, so that whoever waits for it can stop us.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let receiver = Receiver::start(config(&args)).with_context(|| format!("cannot listen on {}", args.listen))?;
        if let Some(authority) = receiver.authority() {
            let file = &args.tls_ca;
            std::fs::write(file, authority).with_context(|| format!("--tls-ca: cannot write {}", file.display()))?;
        }
        let scheme = if args.behaviour.is_https(args.tls) { "https" } else { "http" };
        say(&format!("listening on {scheme}://{}", receiver.addr()));
        if receiver.authority().is_some() {
            let file = args.tls_ca.display();
            say(&format!("{file} has the authority of its certificate: postrider serve --ca-file {file}"));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn check(args: &Args) -> Result<(), Usage> {
    if args.fail_rate + args.hang > 1.0 {
        return Err(Usage("--fail-rate and --hang together are more than 1".to_owned()));
    }
    let plain = args.status == 200 && args.fail_rate == 0.0 && args.hang == 0.0;
    if !args.behaviour.is_plan() && !plain {
        let others = "--behaviour other than ok decides every answer: leave out --status, --fail-rate and --hang";
        return Err(Usage(others.to_owned()));
    }
    Ok(())
}

fn config(args: &Args) -> Config {
    let plan = Plan::default();
    plan.set_status(args.status);
    plan.set_fail_share(args.fail_rate);
    plan.set_hang_share(args.hang);
    plan.set_latency(args.latency);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Config {
        threads: args.threads.map_or(cores, usize::from),
        behaviour: args.behaviour,
        tls: args.tls,
        plan,
        measure: args.measure,
        observer: (!args.quiet).then(printer),
        ..Config::new(args.listen)
    }
}

/// Prints a line for each request on a thread of its own: a slow terminal holds up no answer, lines are left out then.
fn printer() -> Observer {
    let (sender, lines) = sync_channel(PRINT_QUEUE_MAX);
    std::thread::spawn(move || print(&lines));
    Arc::new(move |request, status| offer(&sender, line(request, status)))
}

fn offer(sender: &SyncSender<String>, line: String) {
    match sender.try_send(line) {
        Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
    }
}

fn print(lines: &Lines<String>) {
    for line in lines {
        say(&line);
    }
}

/// A reader of stdout that has gone away is no reason to stop.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// `12:00:00.000Z POST /hook 200 EMAIL_SENT evt_1 attempt 2`; header values are visible ASCII or left out.
fn line(request: &Request<'_>, status: Option<u16>) -> String {
    let time = clock::rfc3339(request.received_ms);
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
    let status = status.map_or_else(|| "---".to_owned(), |status| status.to_string());
    let mut line = format!("{time} {} {} {status}", request.method, request.path);
    let header = |name: &str| request.headers.get(name)?.to_str().ok();
    if let Some(kind) = event_type(request.body) {
        line = format!("{line} {kind}");
    }
    if let Some(id) = header("postrider-event-id") {
        line = format!("{line} {id}");
    }
    if let Some(attempt) = header("postrider-attempt") {
        line = format!("{line} attempt {attempt}");
    }
    line
}
