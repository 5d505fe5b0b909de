//! What the writer does beside its turns: the log is made to begin later, and zeros are made of what was erased.

use postrider_core::{Millis, Time};
use postrider_engine::Clock;
use postrider_engine::shard::{Retained, TurnError};
use postrider_log::LogReader;

use super::{Life, Outside, Process};
use crate::checker::Violation;

/// How often it is asked whether the log has become too old or too large.
const RETAIN_EVERY: Millis = Millis(1000);

impl Process {
    /// At the end of each round.
    pub(super) fn clean_up(&mut self, now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        let life = self.erase(outside)?;
        if life != Life::Alive || self.retain_at > now {
            return Ok(life);
        }
        match self.retain(now, outside)? {
            Life::Alive => self.erase(outside),
            ended => Ok(ended),
        }
    }

    fn erase(&mut self, outside: &mut Outside) -> Result<Life, Violation> {
        let erased = self.shard.erase();
        if outside.medium.is_cut() {
            return Ok(Life::Cut);
        }
        let Ok(zeroed) = erased else { return Ok(Life::Died) };
        if !zeroed.is_empty() {
            outside.checker.read(&self.reader, None)?;
            outside.checker.zeroed(&self.reader, &zeroed)?;
        }
        Ok(Life::Alive)
    }

    fn retain(&mut self, now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        self.retain_at = now + RETAIN_EVERY;
        let reader = self.reader.clone();
        let retained = self.shard.retain(self.clock.now(), &self.retention, |at| reader.payload(at));
        if outside.medium.is_cut() {
            return Ok(Life::Cut);
        }
        let Retained { records, begins } = match retained {
            Ok(retained) => retained,
            Err(TurnError::Full) => return Ok(Life::Alive),
            Err(_) => return Ok(Life::Died),
        };
        outside.checker.read(&self.reader, Some(now))?;
        if let Some(first) = begins {
            self.directory.forget_below(first);
            outside.trace.numbers(&[6, now.0, first]);
            outside.checker.begins(&self.reader, now, &self.retention)?;
        }
        if !records.is_empty() || begins.is_some() {
            self.retain_at = now;
        }
        Ok(Life::Alive)
    }
}
