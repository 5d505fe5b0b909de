//! What the configuration needs of the command line's `commands`: the error that is about its use, and where a certificate is.

/// A mistake in what a person wrote.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

pub mod serve {
    //! Of `postrider serve`.

    use std::path::PathBuf;

    /// The server's certificate and key. Nothing here reads them.
    pub struct Files {
        pub certificate: PathBuf,
        pub key: PathBuf,
    }
}
