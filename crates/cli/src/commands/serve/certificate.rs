//! The server's certificate and its key, as files: read at the start, and again on SIGHUP and when they have changed. A new pair counts for the
//! handshakes that follow; one that is of no use is told in the log, and the pair of before stays.

use std::path::{Path, PathBuf};

use postrider::http::{Tls, TlsError};
use postrider::{ExposeSecret, SecretString};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::commands::Usage;
use crate::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_LOOK};

/// Where they are.
#[derive(Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What the files had in them.
struct Pair {
    certificate: String,
    key: SecretString,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        self.certificate == other.certificate && self.key.expose_secret() == other.key.expose_secret()
    }
}

/// What the server serves with, and what keeps it current.
pub struct Certificate {
    files: Files,
    tls: Tls,
    /// As the files were when they were looked at last, or why they could not be.
    last: Result<Pair, String>,
    hangup: Signal,
}

impl Certificate {
    /// # Errors
    /// [`Usage`] when there is nothing to serve with in the files.
    pub fn load(files: Files) -> anyhow::Result<Certificate> {
        let pair = files.read().map_err(Usage)?;
        let tls = Tls::new(&pair.certificate, &pair.key).map_err(|error| Usage(files.told(&error)))?;
        Ok(Certificate { files, tls, last: Ok(pair), hangup: signal(SignalKind::hangup())? })
    }

    /// For the server, which is kept current with it.
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Looks at the files for as long as it is polled; never ends.
    pub async fn keep_current(mut self) {
        loop {
            let is_told = tokio::select! {
                _ = self.hangup.recv() => true,
                () = sleep(CERTIFICATE_LOOK) => false,
            };
            let files = self.files.clone();
            // A disk may be slow; it is not to hold up requests.
            let Ok(found) = tokio::task::spawn_blocking(move || files.read()).await else { continue };
            if is_told || found != self.last {
                self.take(found);
            }
        }
    }

    fn take(&mut self, found: Result<Pair, String>) {
        let replaced = match &found {
            Ok(pair) => self.tls.replace(&pair.certificate, &pair.key).map_err(|error| self.files.told(&error)),
            Err(told) => Err(told.clone()),
        };
        match replaced {
            Ok(()) => tracing::info!("new connections get the certificate that was read just now"),
            Err(reason) => tracing::warn!(%reason, "the certificate of before stays: the new one is of no use"),
        }
        self.last = found;
    }
}

impl Files {
    fn read(&self) -> Result<Pair, String> {
        Ok(Pair { certificate: read("tls.certificate", &self.certificate)?, key: read("tls.key", &self.key)?.into() })
    }

    /// An error, after the file that it is about.
    fn told(&self, error: &TlsError) -> String {
        let (key, path) = match error {
            TlsError::CertificatePem(_) | TlsError::NoCertificate | TlsError::Pair(_) => {
                ("tls.certificate", &self.certificate)
            }
            TlsError::NoKey | TlsError::Mismatch => ("tls.key", &self.key),
        };
        format!("{key}: {}: {error}", path.display())
    }
}

fn read(key: &str, path: &Path) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| format!("{key}: {}: {error}", path.display());
    let found = std::fs::metadata(path).map_err(|error| told(&error))?;
    // A pipe can be read once, and is read again here.
    if !found.is_file() {
        return Err(told(&"is not a file"));
    }
    let bytes = found.len();
    if bytes > CERTIFICATE_BYTES_MAX {
        return Err(told(&format_args!("has {bytes} bytes, more than the {CERTIFICATE_BYTES_MAX} of any certificate")));
    }
    std::fs::read_to_string(path).map_err(|error| told(&error))
}
