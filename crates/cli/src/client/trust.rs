//! TLS as a client of the API: whose certificates a server may have. They are always verified.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Authorities that are trusted beside the public ones.
#[derive(clap::Args, Clone, Default)]
pub struct Trust {
    /// For a server with https: a PEM file of certificate authorities to trust beside the public ones; can be given several times
    #[arg(long = "ca-file", env = "POSTRIDER_CA_FILES", value_name = "FILE", value_delimiter = ',', global = true)]
    ca_files: Vec<PathBuf>,
}

impl Trust {
    /// Of those in these files.
    pub fn of(ca_files: Vec<PathBuf>) -> Trust {
        Trust { ca_files }
    }

    /// # Errors
    /// A file that cannot be read, or has no authority in it; for a person.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for path in &self.ca_files {
            let told = |error: &dyn std::fmt::Display| format!("--ca-file {}: {error}", path.display());
            let before = roots.len();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| told(&error))? {
                roots.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
            }
            if roots.len() == before {
                return Err(told(&"there is no certificate in it"));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
