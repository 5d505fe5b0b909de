//! The recorder behind `/metrics`: what the engine tells the `metrics` facade, as Prometheus reads it.

pub use metrics_exporter_prometheus::{BuildError as RecorderError, PrometheusHandle};

use metrics_exporter_prometheus::PrometheusBuilder;
use postrider_core::Time;
use postrider_engine::{Hands, SystemHands};

/// Upper bounds of the histograms, in seconds.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];

const CERTIFICATE_EXPIRY: &str = "postrider_certificate_expiry_seconds";

/// Tells how long the certificate that is served with is good, as of now: less than nothing once it has expired.
pub fn tell_certificate(expires: Time) {
    metrics::gauge!(CERTIFICATE_EXPIRY).set((expires.0 as f64 - SystemHands.wall().0 as f64) / 1000.0);
}

/// Installs the recorder for the whole process: for a program to call, once; no library does.
///
/// # Errors
/// When the process has a recorder already.
pub fn install_recorder() -> Result<PrometheusHandle, RecorderError> {
    let recorder = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
    postrider_engine::metering::describe();
    metrics::describe_gauge!(CERTIFICATE_EXPIRY, "seconds until the server's own certificate expires");
    Ok(recorder)
}
