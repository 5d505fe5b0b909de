//! Where the log can be made to begin, and a replay with it: the blocks in which the whole state is restated.

use std::collections::VecDeque;

use postrider_core::Time;
use postrider_core::fact::{Fact, Record, Restated};

/// A block with which a restatement begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Its number.
    pub block: u64,
    /// Of its record.
    pub time: Time,
}

/// Restatements that are whole, in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restatements {
    whole: VecDeque<Beginning>,
    /// One whose end has not come yet.
    begun: Option<Beginning>,
}

impl Restatements {
    /// These, all of them whole.
    pub fn known(whole: impl IntoIterator<Item = Beginning>) -> Restatements {
        Restatements { whole: whole.into_iter().collect(), begun: None }
    }

    /// Notes what a record says; again, if it was noted before.
    pub fn note(&mut self, record: &Record) {
        match record.fact {
            Fact::Restated(Restated::Begin { .. }) => {
                self.begun = Some(Beginning { block: record.position.block(), time: record.time });
            }
            Fact::Restated(Restated::End) => {
                if let Some(beginning) = self.begun.take() {
                    self.add(beginning);
                }
            }
            _ => {}
        }
    }

    /// Adds one that is newer than all others, or known.
    pub fn add(&mut self, beginning: Beginning) {
        if self.last().is_none_or(|last| last.block < beginning.block) {
            self.whole.push_back(beginning);
        }
    }

    /// Forgets what is not above the block with which the log begins now.
    pub fn forget_to(&mut self, first: u64) {
        self.whole.retain(|beginning| beginning.block > first);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Beginning> {
        self.whole.iter()
    }

    /// The newest.
    pub fn last(&self) -> Option<&Beginning> {
        self.whole.back()
    }
}
