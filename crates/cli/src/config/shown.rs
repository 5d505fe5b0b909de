//! The configuration as a person reads it: every choice with its value as it is written, and which source it comes from.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Layers, Settings};
use crate::args::{duration_text, size_text};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// An option or the environment.
    Named,
    /// The file.
    File,
    /// Neither.
    Default,
}

/// One choice.
pub struct Row {
    /// Its key in the file.
    pub key: &'static str,
    /// As it is written; null where there is none.
    pub value: Value,
    /// Its source.
    pub layer: Layer,
}

impl Layers {
    /// All choices, in the order of the documentation.
    pub fn rows(&self) -> Vec<Row> {
        let layers = [(&self.named, Layer::Named), (&self.file, Layer::File)];
        let mut rows: Vec<Row> =
            self.default.values().map(|(key, value)| Row { key, value, layer: Layer::Default }).into();
        for (index, row) in rows.iter_mut().enumerate() {
            let named = layers.iter().map(|(settings, layer)| (settings.values()[index].1.clone(), *layer));
            if let Some((value, layer)) = named.into_iter().find(|(value, _)| is_named(value)) {
                (row.value, row.layer) = (value, layer);
            }
        }
        rows
    }
}

/// A list that is empty is not named, as where sources are merged.
fn is_named(value: &Value) -> bool {
    !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
}

impl Settings {
    /// Every key, and its value if it is named, else null or an empty list. Secrets are masked.
    fn values(&self) -> [(&'static str, Value); 30] {
        let size = |bytes: Option<u64>| json!(bytes.map(size_text));
        let duration = |duration: Option<Duration>| json!(duration.map(duration_text));
        let path = |path: &PathBuf| path.display().to_string();
        let Settings { egress, failing, permits, tls, .. } = self;
        [
            ("listen", json!(self.listen.map(|address| address.to_string()))),
            ("data", json!(self.data.as_ref().map(path))),
            ("admin_key", json!(self.admin_key.as_ref().map(|_| "***"))),
            ("master_key", json!(self.master_key.as_ref().map(|_| "***"))),
            ("init", json!(self.init)),
            ("rate_limit", json!(self.rate_limit)),
            ("event_max", size(self.event_max)),
            ("grace", duration(self.grace)),
            ("workers", json!(self.workers)),
            ("segment", size(self.segment)),
            ("retention", duration(self.retention)),
            ("retention_bytes", size(self.retention_bytes)),
            ("clock", json!(self.clock)),
            ("log_level", json!(self.log_level)),
            ("log_format", json!(self.log_format)),
            ("otlp", json!(self.otlp)),
            ("log", json!(self.log)),
            ("tls.certificate", json!(tls.certificate.as_ref().map(path))),
            ("tls.key", json!(tls.key.as_ref().map(path))),
            ("egress.allow", json!(egress.allow)),
            ("egress.https_only", json!(egress.https_only)),
            ("egress.http2", json!(egress.http2)),
            ("egress.addresses", json!(egress.addresses)),
            ("egress.ca_files", json!(egress.ca_files.iter().map(path).collect::<Vec<_>>())),
            ("permits.global", json!(permits.global)),
            ("permits.per_webhook", json!(permits.per_webhook)),
            ("permits.per_host", json!(permits.per_host)),
            ("failing.warn_after", duration(failing.warn_after)),
            ("failing.off_after", duration(failing.off_after)),
            ("failing.probe_every", duration(failing.probe_every)),
        ]
    }
}
