//! `postrider sink`, the receiver of the binary itself, in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Client, binary};

/// A running sink. Killed when it is dropped.
pub struct Sink {
    child: Child,
    url: String,
    folder: TempDir,
}

impl Sink {
    /// On a free port of loopback, with these options.
    pub fn start(options: &[&str]) -> Sink {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut child = Command::new(binary())
            .args(["sink", "--listen", "127.0.0.1:0", "--quiet"])
            .args(options)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        Sink { child, url, folder }
    }

    /// One that behaves so to every request.
    pub fn behaving(name: &str) -> Sink {
        Sink::start(&["--threads", "1", "--behaviour", name])
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with the authority of its certificate; none where it has no certificate.
    pub fn authority(&self) -> Option<PathBuf> {
        let file = self.folder.path().join("postrider-sink-ca.pem");
        file.exists().then_some(file)
    }

    /// Its counts, which are told in plain http whatever else is spoken.
    pub fn stats(&self) -> Value {
        Client::new(&self.url.replace("https:", "http:"), "none").get("/stats").expect(200).body
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names that `sink --behaviour` knows, as its help lists them.
pub fn behaviours() -> Vec<String> {
    let help = Command::new(binary()).args(["sink", "--help"]).output().expect("the binary was built");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once(':'));
    named.map(|(name, _)| name.to_owned()).collect()
}
