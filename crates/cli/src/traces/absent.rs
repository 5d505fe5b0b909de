//! Traces, where the program was built without them: whoever names a collector is told so.

use tokio::runtime::Handle;

use crate::client::Trust;
use crate::commands::Usage;
use crate::logging::Format;

/// There are none.
pub enum Traces {}

/// # Errors
/// Always [`Usage`].
pub fn start(_: &str, _: &Trust, _: tracing::Level, _: Format, _: &Handle) -> anyhow::Result<Traces> {
    Err(Usage("otlp: this postrider was built without traces; build it with `--features otlp`".into()).into())
}

impl Traces {
    pub fn end(self) {
        match self {}
    }
}
