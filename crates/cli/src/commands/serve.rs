//! `postrider serve`: the server, from the first line to the last attempt.

mod certificate;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use postrider::http::{self, ApiOptions};
use postrider::{Engine, ExposeSecret, Handle, SecretString, StartError, Stopped};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Usage, about};
use crate::config::{Config, Layers, Settings};
use crate::limits::ADMIN_KEY_SHORT;
use crate::{logging, traces};

use certificate::Certificate;
pub use certificate::Files;

/// Run the server: take events, deliver them, retry, show every attempt.
///
/// Every option is also a key of the configuration file and an environment variable. An option goes before the environment,
/// the environment before the file, the file before the default. SIGTERM and ^C end the server once attempts in flight have ended.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file [default: ./postrider.toml if it is there]
    #[arg(long, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Args {
    /// What they and the file name.
    ///
    /// # Errors
    /// [`Usage`] when the file can't be read.
    pub fn layers(&self) -> anyhow::Result<Layers> {
        Layers::new(self.settings.clone(), self.config.as_deref())
    }
}

/// # Errors
/// [`Usage`] for what is configured wrong; else the log, the keys or the address can't be had, or the log can't be written any more.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.layers()?.resolve()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let traces = match &config.otlp {
        Some(url) => Some(traces::start(url, &config.trust, config.log_level, config.log_format, runtime.handle())?),
        None => {
            logging::start(config.log_level, config.log_format);
            None
        }
    };
    let ended = runtime.block_on(serve(config));
    if let Some(traces) = traces {
        traces.end();
    }
    ended
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let certificate = config.tls.clone().map(Certificate::load).transpose()?;
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let engine = config.engine.clone().listens_at(listener.local_addr()?).open().map_err(|error| match error {
        StartError::Allow(_) | StartError::Roots(_) => anyhow!(Usage(error.to_string())),
        error => about(&config.data, error),
    })?;
    let admin_key = match config.admin_key.clone() {
        Some(key) => key,
        None => kept_admin_key(&config.data)?,
    };
    if admin_key.expose_secret().len() < ADMIN_KEY_SHORT {
        tracing::warn!(
            "the admin key has fewer than {ADMIN_KEY_SHORT} characters: whoever guesses it manages all workspaces"
        );
    }
    let handle = engine.handle();
    if let Some(profile) = &config.init {
        init(&handle, profile).await?;
    }
    announce(&listener, certificate.is_some(), &config.data)?;

    let options = ApiOptions {
        admin_key,
        rate_limit_per_minute: config.rate_limit,
        event_bytes_max: config.event_bytes_max,
        egress_addresses: config.egress_addresses.clone(),
        metrics: Some(http::install_recorder()?),
        tls: certificate.as_ref().map(Certificate::tls),
    };
    let poisoned = handle.clone();
    let serving = http::serve(listener, handle, options, async move {
        tokio::select! {
            () = signals.next() => {}
            _ = poisoned.poisoned() => {}
        }
    });
    let keeping = async {
        match certificate {
            Some(certificate) => certificate.keep_current().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = serving => {}
        () = keeping => {}
    }
    end(engine, &config).await
}

async fn end(engine: Engine, config: &Config) -> anyhow::Result<ExitCode> {
    match engine.shutdown(config.grace).await {
        Stopped::Clean => Ok(ExitCode::SUCCESS),
        Stopped::Poisoned(reason) => Err(anyhow!(reason)),
    }
}

/// One line, so that whoever started it knows where to go.
fn announce(listener: &TcpListener, is_tls: bool, data: &Path) -> anyhow::Result<()> {
    let url = format!("{}://{}", if is_tls { "https" } else { "http" }, listener.local_addr()?);
    let mut out = std::io::stdout().lock();
    writeln!(out, "postrider is ready at {url}, dashboard {url}/, data in {}", data.display())?;
    Ok(out.flush()?)
}

async fn init(handle: &Handle, profile: &str) -> anyhow::Result<()> {
    if !handle.workspaces().is_empty() {
        tracing::info!("there are workspaces already: --init makes none");
        return Ok(());
    }
    let made = handle.create_workspace("default", profile).await;
    let (workspace, key) = made.map_err(|error| match error {
        postrider::Refused::Invalid(faults) => {
            anyhow!(Usage(format!("init: {}", faults.into_iter().map(|f| f.message).collect::<Vec<_>>().join("; "))))
        }
        error => anyhow!(error),
    })?;
    println!("workspace default ({}, profile {profile}), key {}", workspace.id, key.key.expose_secret());
    Ok(())
}

/// The admin key in the data folder, made at the first start.
fn kept_admin_key(data: &Path) -> anyhow::Result<SecretString> {
    let path = data.join("admin.key");
    match fs::read_to_string(&path) {
        Ok(key) if !key.trim().is_empty() => return Ok(key.trim().to_owned().into()),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| path.display().to_string());
        }
        _ => {}
    }
    let key = postrider::new_admin_key();
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    writeln!(file, "{}", key.expose_secret())?;
    file.sync_all()?;
    println!("made an admin key: it is in {}", path.display());
    Ok(key)
}

/// SIGTERM and ^C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
