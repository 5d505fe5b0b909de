//! The program's own log, on stderr: as text for people, or a JSON object a line for programs. Neither holds payloads or secrets, since no
//! line is made of them.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use tracing::Level;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Text,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match name {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err("log_format: must be text or json".into()),
        }
    }
}

/// For the whole process, once; [`traces`](crate::traces) begins it with them.
pub fn start(level: Level, format: Format) {
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(stderr);
    match format {
        Format::Text => log.with_ansi(stderr().is_terminal()).init(),
        // The span is the request that the line is about.
        Format::Json => log.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
}

/// The same as a part of what else listens.
#[cfg(feature = "otlp")]
pub fn layer<S>(format: Format) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    match format {
        Format::Text => Box::new(lines.with_ansi(stderr().is_terminal())),
        Format::Json => Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false)),
    }
}
