//! The server's configuration: option, then environment, then file, then default.
//!
//! [`Settings`] is what one source names, and is at once the command line's options and the file's keys, so that the two cannot differ.
//! [`Layers`] are all sources, one over the other; [`Config`] is what they come to.

mod shown;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use postrider::{ClockMode, EngineBuilder, LogKind, MasterKey, Profile, SecretString};
use serde::{Deserialize, Deserializer};
use tracing::Level;

use crate::args;
use crate::client::Trust;
use crate::commands::Usage;
use crate::commands::serve::Files;
use crate::logging::Format;

pub use shown::{Layer, Row};

/// The file that is read when none is named, if it is there.
const FILE_DEFAULT: &str = "postrider.toml";

/// What the command line and the environment, or a file, say. What is `None` is not named.
#[derive(clap::Args, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one, which the first line names [default: 127.0.0.1:8080]
    #[arg(long, env = "POSTRIDER_LISTEN", value_name = "ADDR", value_parser = args::listen)]
    #[serde(deserialize_with = "listen")]
    listen: Option<SocketAddr>,
    /// The folder for log and keys, made when it is not there; one process at a time [default: ./postrider-data]
    #[arg(long, env = "POSTRIDER_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The key that manages workspaces; made and kept in DATA/admin.key when not given
    #[arg(long, env = "POSTRIDER_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// The key that wraps the keys of secrets: 64 hexadecimal digits; made and kept in DATA/master.key when not given
    #[arg(long, env = "POSTRIDER_MASTER_KEY", value_name = "KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// Make a workspace `default` with this profile, genesy, snaily or standard, if there is no workspace yet, and print its key once
    #[arg(long, env = "POSTRIDER_INIT", value_name = "PROFILE")]
    init: Option<String>,
    /// Requests a minute with one key, publishing not counted; 0 for no limit [default: 100]
    #[arg(long, env = "POSTRIDER_RATE_LIMIT", value_name = "N")]
    rate_limit: Option<u32>,
    /// The most bytes of an event's data, up to 1MiB [default: 256KiB]
    #[arg(long, env = "POSTRIDER_EVENT_MAX", value_name = "SIZE", value_parser = args::size)]
    #[serde(deserialize_with = "size")]
    event_max: Option<u64>,
    /// How long attempts in flight may go on after SIGTERM or ^C, such as 20s [default: 20s]
    #[arg(long, env = "POSTRIDER_GRACE", value_name = "D", value_parser = args::duration)]
    #[serde(deserialize_with = "duration")]
    grace: Option<Duration>,
    /// Threads that send [default: one for two cores]
    #[arg(long, env = "POSTRIDER_WORKERS", value_name = "N")]
    workers: Option<usize>,
    /// Bytes of one file of the log [default: 64MiB]
    #[arg(long, env = "POSTRIDER_SEGMENT", value_name = "SIZE", value_parser = args::size)]
    #[serde(deserialize_with = "size")]
    segment: Option<u64>,
    /// How long finished events and attempts are kept, such as 12h or 30d [default: 30d]
    #[arg(long, env = "POSTRIDER_RETENTION", value_name = "D", value_parser = args::duration)]
    #[serde(deserialize_with = "duration")]
    retention: Option<Duration>,
    /// Bytes that the log may have before what is finished goes earlier, oldest first [default: no bound]
    #[arg(long, env = "POSTRIDER_RETENTION_BYTES", value_name = "SIZE", value_parser = args::size)]
    #[serde(deserialize_with = "size")]
    retention_bytes: Option<u64>,
    /// What engine time goes on with: boot, or wall for tests under a faked clock [default: boot]
    #[arg(long, env = "POSTRIDER_CLOCK", value_name = "CLOCK")]
    clock: Option<String>,
    /// How much to say on stderr: error, warn, info, debug [default: info]
    #[arg(long, env = "POSTRIDER_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    /// How a line on stderr is written: text, or json for programs [default: text]
    #[arg(long, env = "POSTRIDER_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
    /// Send traces to this OpenTelemetry collector, by OTLP over HTTP, such as http://127.0.0.1:4318; for a program built with the feature otlp
    #[arg(long, env = "POSTRIDER_OTLP", value_name = "URL")]
    otlp: Option<String>,
    /// What a new log is kept as, journal or sled; one that is there stays what it is [default: journal]
    #[arg(long, env = "POSTRIDER_LOG", value_name = "KIND")]
    log: Option<String>,
    #[command(flatten)]
    tls: Tls,
    #[command(flatten)]
    egress: Egress,
    #[command(flatten)]
    permits: Permits,
    #[command(flatten)]
    failing: Failing,
}

/// The server's own certificate.
#[derive(clap::Args, Clone, Deserialize, Default)]
#[command(next_help_heading = "TLS")]
#[serde(deny_unknown_fields, default)]
struct Tls {
    /// Serve https: a PEM file with the server's certificate and those between it and its authority; read again when it changes, and on SIGHUP
    #[arg(long = "tls-certificate", env = "POSTRIDER_TLS_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A PEM file with its private key, not encrypted
    #[arg(long = "tls-key", env = "POSTRIDER_TLS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Where deliveries may go.
#[derive(clap::Args, Clone, Deserialize, Default)]
#[command(next_help_heading = "Where deliveries may go")]
#[serde(deny_unknown_fields, default)]
struct Egress {
    /// Open an address range that is refused by default: a CIDR, `loopback` or `private`, at one port with `:PORT` behind it; can be given several times
    #[arg(long, env = "POSTRIDER_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    allow: Vec<String>,
    /// Refuse webhooks with plain http, also those there are
    #[arg(long, env = "POSTRIDER_HTTPS_ONLY", value_name = "true|false", hide_possible_values = true, value_parser = BoolishValueParser::new(), num_args = 0..=1,
          default_missing_value = "true")]
    https_only: Option<bool>,
    /// Let https receivers choose HTTP/2 [default: true]
    #[arg(long, env = "POSTRIDER_HTTP2", value_name = "true|false", hide_possible_values = true, value_parser = BoolishValueParser::new(), num_args = 0..=1,
          default_missing_value = "true")]
    http2: Option<bool>,
    /// An address that deliveries come from, told to receivers by GET /v1/egress; can be given several times
    #[arg(long = "egress-address", env = "POSTRIDER_EGRESS_ADDRESSES", value_name = "ADDRESS", value_delimiter = ',')]
    addresses: Vec<String>,
    /// A PEM file of certificate authorities to trust beside the public ones; can be given several times
    #[arg(long = "ca-file", env = "POSTRIDER_CA_FILES", value_name = "FILE", value_delimiter = ',')]
    ca_files: Vec<PathBuf>,
}

/// Attempts in flight at the most.
#[derive(clap::Args, Clone, Deserialize, Default)]
#[command(next_help_heading = "Attempts in flight")]
#[serde(deny_unknown_fields, default)]
struct Permits {
    /// At the most in all [default: 1024]
    #[arg(long = "permits", env = "POSTRIDER_PERMITS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    global: Option<u32>,
    /// At the most to one webhook [default: 32]
    #[arg(long = "permits-per-webhook", env = "POSTRIDER_PERMITS_PER_WEBHOOK", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    per_webhook: Option<u32>,
    /// At the most to one host and port [default: 64]
    #[arg(long = "permits-per-host", env = "POSTRIDER_PERMITS_PER_HOST", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    per_host: Option<u32>,
}

/// Webhooks of which all attempts fail.
#[derive(clap::Args, Clone, Deserialize, Default)]
#[command(next_help_heading = "Webhooks that fail for long")]
#[serde(deny_unknown_fields, default)]
struct Failing {
    /// Tell workspaces with the profile operator of a webhook of which all attempts have failed for so long, such as 1d [default: never]
    #[arg(long = "failing-warn-after", env = "POSTRIDER_FAILING_WARN_AFTER", value_name = "D", value_parser = args::duration)]
    #[serde(deserialize_with = "duration")]
    warn_after: Option<Duration>,
    /// Switch off a webhook of which all attempts have failed for so long, such as 5d, and tell them [default: never]
    #[arg(long = "failing-off-after", env = "POSTRIDER_FAILING_OFF_AFTER", value_name = "D", value_parser = args::duration)]
    #[serde(deserialize_with = "duration")]
    off_after: Option<Duration>,
    /// Try a webhook that was switched off for this so often, with one delivery that waits; one that arrives switches it on [default: 1h]
    #[arg(long = "failing-probe-every", env = "POSTRIDER_FAILING_PROBE_EVERY", value_name = "D", value_parser = args::duration)]
    #[serde(deserialize_with = "duration")]
    probe_every: Option<Duration>,
}

/// What the server runs with.
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where log and keys are.
    pub data: PathBuf,
    /// Given from outside; else it is in the data folder.
    pub admin_key: Option<SecretString>,
    /// The profile of the workspace to make in an empty folder.
    pub init: Option<String>,
    /// Requests a minute with one key; 0: no limit.
    pub rate_limit: u32,
    /// The most bytes of an event's data.
    pub event_bytes_max: usize,
    /// How long attempts in flight may go on at the end.
    pub grace: Duration,
    /// What to say on stderr.
    pub log_level: Level,
    /// How.
    pub log_format: Format,
    /// The collector of traces.
    pub otlp: Option<String>,
    /// Whose certificate that may have.
    pub trust: Trust,
    /// Where the server's certificate is; without it the API speaks plain http.
    pub tls: Option<Files>,
    /// Told to receivers for their firewalls.
    pub egress_addresses: Vec<String>,
    /// The engine's part.
    pub engine: EngineBuilder,
}

const EVENT_BYTES_MAX: u64 = 1 << 20;
const FAILING_RANGE_MS: std::ops::RangeInclusive<u64> = 1_000..=365 * 24 * 3_600_000;
const SEGMENT_RANGE: std::ops::RangeInclusive<u64> = 4 << 20..=1 << 30;

/// What each source names.
pub struct Layers {
    /// By option or in the environment.
    named: Settings,
    file: Settings,
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    default: Settings,
}

impl Layers {
    /// Over the file at `file`, or the one that is read when none is named.
    ///
    /// # Errors
    /// [`Usage`] when the file can't be read, with the key that can't be meant.
    pub fn new(named: Settings, file: Option<&Path>) -> anyhow::Result<Layers> {
        let (path, file) = read(file)?.unzip();
        Ok(Layers { named, file: file.unwrap_or_default(), path, default: Settings::default_values() })
    }

    /// What they come to.
    ///
    /// # Errors
    /// [`Usage`] with the option or key that can't be meant.
    pub fn resolve(&self) -> anyhow::Result<Config> {
        let merged = self.named.clone().or(self.file.clone()).or(self.default.clone());
        merged.check().map_err(Usage)?;
        let data = value(merged.data.clone());
        let event_bytes_max = value(merged.event_max) as usize;
        Ok(Config {
            engine: merged.engine(&data, event_bytes_max)?,
            listen: value(merged.listen),
            data,
            admin_key: merged.admin_key.map(SecretString::from),
            init: merged.init,
            rate_limit: value(merged.rate_limit),
            event_bytes_max,
            grace: value(merged.grace),
            log_level: level(&value(merged.log_level))?,
            log_format: value(merged.log_format).parse().map_err(Usage)?,
            otlp: merged.otlp,
            trust: Trust::of(merged.egress.ca_files),
            tls: merged.tls.files().map_err(Usage)?,
            egress_addresses: merged.egress.addresses,
        })
    }
}

/// Of those that the log has; the lowest one there is belongs to traces.
fn level(name: &str) -> Result<Level, Usage> {
    let known = name.parse().ok().filter(|level| *level <= Level::DEBUG);
    known.ok_or_else(|| Usage("log_level: one of error, warn, info, debug".into()))
}

/// Of a choice that has a default.
fn value<T>(setting: Option<T>) -> T {
    setting.expect("the defaults have a value for it")
}

impl Settings {
    /// Of every choice that has one value by default.
    fn default_values() -> Settings {
        Settings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            data: Some("postrider-data".into()),
            rate_limit: Some(100),
            event_max: Some(256 << 10),
            grace: Some(Duration::from_secs(20)),
            segment: Some(64 << 20),
            retention: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            clock: Some("boot".into()),
            log_level: Some("info".into()),
            log_format: Some("text".into()),
            egress: Egress { https_only: Some(false), http2: Some(true), ..Egress::default() },
            permits: Permits { global: Some(1024), per_webhook: Some(32), per_host: Some(64) },
            failing: Failing { probe_every: Some(Duration::from_secs(60 * 60)), ..Failing::default() },
            ..Settings::default()
        }
    }

    fn engine(&self, data: &Path, event_bytes_max: usize) -> anyhow::Result<EngineBuilder> {
        let Permits { global, per_webhook, per_host } = &self.permits;
        let mut engine = EngineBuilder::default()
            .data(data)
            .event_bytes_max(event_bytes_max)
            .https_only(value(self.egress.https_only))
            .http2(value(self.egress.http2))
            .permits(value(*global), value(*per_webhook), value(*per_host))
            .retention(value(self.retention), self.retention_bytes)
            .failing(self.failing.warn_after, self.failing.off_after, value(self.failing.probe_every))
            .segment_bytes(u32::try_from(value(self.segment))?);
        for range in &self.egress.allow {
            engine = engine.allow(range);
        }
        for path in &self.egress.ca_files {
            let pem = std::fs::read_to_string(path)
                .map_err(|e| Usage(format!("egress.ca_files: {}: {e}", path.display())))?;
            engine = engine.trust(pem);
        }
        if let Some(key) = &self.master_key {
            engine = engine.master_key(MasterKey::parse(key).map_err(|error| Usage(format!("master_key: {error}")))?);
        }
        if let Some(workers) = self.workers {
            engine = engine.workers(workers);
        }
        if let Some(kind) = &self.log {
            engine = engine.log(kind.parse().map_err(Usage)?);
        }
        if self.clock.as_deref() == Some("wall") {
            engine = engine.clock(ClockMode::Wall);
        }
        Ok(engine)
    }

    fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>| match value {
            Some(value) if !range.contains(&value) => {
                Err(format!("{name}: must be from {} to {}", range.start(), range.end()))
            }
            _ => Ok(()),
        };
        within("event_max", self.event_max, 1..=EVENT_BYTES_MAX)?;
        within("segment", self.segment, SEGMENT_RANGE)?;
        within("workers", self.workers.map(|n| n as u64), 1..=256)?;
        for (name, permits) in [
            ("global", self.permits.global),
            ("per_webhook", self.permits.per_webhook),
            ("per_host", self.permits.per_host),
        ] {
            within(&format!("permits.{name}"), permits.map(u64::from), 1..=65_536)?;
        }
        for (name, time) in [
            ("warn_after", self.failing.warn_after),
            ("off_after", self.failing.off_after),
            ("probe_every", self.failing.probe_every),
        ] {
            let millis = time.map(|time| time.as_millis() as u64);
            if millis.is_some_and(|time| !FAILING_RANGE_MS.contains(&time)) {
                return Err(format!("failing.{name}: must be from 1s to 365d"));
            }
        }
        if self.clock.as_deref().is_some_and(|clock| !["boot", "wall"].contains(&clock)) {
            return Err("clock: must be boot or wall".into());
        }
        if self.log.as_ref().is_some_and(|log| log.parse::<LogKind>().is_err()) {
            return Err("log: must be journal or sled; how much is said on stderr is log_level".into());
        }
        if let Some(Err(error)) = self.master_key.as_ref().map(|key| MasterKey::parse(key)) {
            return Err(format!("master_key: {error}"));
        }
        let profiles = profiles();
        if self.init.as_ref().is_some_and(|init| !profiles.contains(init)) {
            return Err(format!("init: must be one of {}", profiles.join(", ")));
        }
        if self.admin_key.as_ref().is_some_and(|key| key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic())) {
            return Err("admin_key: must be visible ASCII characters and no spaces".into());
        }
        Ok(())
    }

    fn or(self, file: Settings) -> Settings {
        fn or<T>(mine: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if mine.is_empty() { theirs } else { mine }
        }
        Settings {
            listen: self.listen.or(file.listen),
            data: self.data.or(file.data),
            admin_key: self.admin_key.or(file.admin_key),
            master_key: self.master_key.or(file.master_key),
            init: self.init.or(file.init),
            rate_limit: self.rate_limit.or(file.rate_limit),
            event_max: self.event_max.or(file.event_max),
            grace: self.grace.or(file.grace),
            workers: self.workers.or(file.workers),
            segment: self.segment.or(file.segment),
            retention: self.retention.or(file.retention),
            retention_bytes: self.retention_bytes.or(file.retention_bytes),
            clock: self.clock.or(file.clock),
            log_level: self.log_level.or(file.log_level),
            log_format: self.log_format.or(file.log_format),
            otlp: self.otlp.or(file.otlp),
            log: self.log.or(file.log),
            tls: Tls { certificate: self.tls.certificate.or(file.tls.certificate), key: self.tls.key.or(file.tls.key) },
            egress: Egress {
                allow: or(self.egress.allow, file.egress.allow),
                https_only: self.egress.https_only.or(file.egress.https_only),
                http2: self.egress.http2.or(file.egress.http2),
                addresses: or(self.egress.addresses, file.egress.addresses),
                ca_files: or(self.egress.ca_files, file.egress.ca_files),
            },
            permits: Permits {
                global: self.permits.global.or(file.permits.global),
                per_webhook: self.permits.per_webhook.or(file.permits.per_webhook),
                per_host: self.permits.per_host.or(file.permits.per_host),
            },
            failing: Failing {
                warn_after: self.failing.warn_after.or(file.failing.warn_after),
                off_after: self.failing.off_after.or(file.failing.off_after),
                probe_every: self.failing.probe_every.or(file.failing.probe_every),
            },
        }
    }
}

impl Tls {
    /// Both, or neither.
    fn files(self) -> Result<Option<Files>, String> {
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Ok(Some(Files { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err("tls.key: is missing; tls.certificate cannot be served with without it".into()),
            (None, Some(_)) => Err("tls.certificate: is missing; tls.key is of no use without it".into()),
        }
    }
}

/// Those that the engine registers. Known before it opens, so that a folder is not made for a word that was misspelt.
fn profiles() -> Vec<String> {
    Profile::built_in().into_iter().map(|p| p.name.to_string()).collect()
}

/// The file and what it names; `None` where none is named and none is there.
fn read(file: Option<&Path>) -> anyhow::Result<Option<(PathBuf, Settings)>> {
    let path = file.unwrap_or(Path::new(FILE_DEFAULT));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Usage(format!("{}: {e}", path.display())).into()),
    };
    let settings = toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    Ok(Some((path.to_owned(), settings)))
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    text(deserializer, args::listen)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    text(deserializer, args::duration)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    text(deserializer, args::size)
}

fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
