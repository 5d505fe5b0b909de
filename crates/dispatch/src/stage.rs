//! How far an attempt has come, so that one that is out of time says what it waited for: that is what a person has to look at.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use postrider_core::attempt::{ErrorKind, Failure};

use crate::Target;
use crate::classify::{failure, seconds};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The name's addresses.
    Name,
    /// A connection to one of them.
    Connection,
    /// The session on it.
    Session,
    /// The answer.
    Answer,
}

/// Each at its own number.
const STAGES: [Stage; 4] = [Stage::Name, Stage::Connection, Stage::Session, Stage::Answer];

/// Of one attempt. Whoever begins with something says so.
pub(crate) struct Progress(AtomicU8);

impl Progress {
    /// At the beginning.
    pub(crate) fn new() -> Progress {
        Progress(AtomicU8::new(Stage::Name as u8))
    }

    /// Now this is waited for.
    pub(crate) fn begin(&self, stage: Stage) {
        self.0.store(stage as u8, Relaxed);
    }

    /// What did not come within `limit`.
    pub(crate) fn overdue(&self, target: &Target, limit: Duration) -> Failure {
        let (origin, limit) = (target.origin(), seconds(limit));
        let words = match STAGES[usize::from(self.0.load(Relaxed))] {
            Stage::Name => format!(
                "{} was not resolved within {limit}; check its name servers, and this machine's resolver if other names fail too",
                target.host()
            ),
            Stage::Connection => format!(
                "no connection to {origin} within {limit}; check that the receiver is up and its firewall lets this in"
            ),
            Stage::Session => format!(
                "{origin} took the connection, but no TLS session came of it within {limit}; check that the port is an https one \
                 and that the receiver is not overloaded"
            ),
            Stage::Answer => format!("no complete answer within {limit}; answer 2xx first and process afterwards"),
        };
        failure(ErrorKind::Timeout, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_words_of_its_own() {
        let target = Target::parse("https://example.com/a?secret", false).expect("a URL");
        let progress = Progress::new();
        let mut said = std::collections::BTreeSet::new();
        for stage in STAGES {
            progress.begin(stage);
            assert_eq!(STAGES[stage as usize], stage);
            let failure = progress.overdue(&target, Duration::from_millis(1_500));
            assert!(failure.message.starts_with("timeout: ") && failure.message.contains("within 1.5 s; "));
            assert!(!failure.message.contains("secret"), "{}", failure.message);
            said.insert(failure.message);
        }
        assert_eq!(said.len(), STAGES.len());
    }
}
