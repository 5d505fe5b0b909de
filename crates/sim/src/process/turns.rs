//! The place of the writer: one turn over what has come in, and the answers once it is durable.

use std::cell::RefCell;

use postrider_core::command::{Accepted, Command, Reply};
use postrider_core::delivery::Status;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::Entropy;
use postrider_core::{Millis, Time};
use postrider_engine::shard::{Input, TurnError, Turned};

use super::{Life, Outside, Process, Token};
use crate::chance::Chance;
use crate::checker::{Asked, Checker, Verdict, Violation};
use crate::fault::Fault;

/// While the log is full, it is asked again after this long.
const FULL_PAUSE: Millis = Millis(50);

impl Process {
    pub(super) fn turn(&mut self, now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        self.turn_at = None;
        let (outcomes, inbox) = (&mut self.outcomes, &mut self.inbox);
        let (promises, fault) = (RefCell::new(Vec::new()), outside.fault);
        let next = || {
            let input = outcomes.pop_front().or_else(|| inbox.pop_front())?;
            if let (Token::Person(asked), Some(Fault::AckBeforeAppend)) = (&input.token, fault) {
                promises.borrow_mut().push(asked.clone());
            }
            Some(input)
        };
        // The shard draws from a stream of its own, so that what it draws does not depend on the bug under test.
        let mut entropy = Chance::new(outside.chance.next_u64());
        match self.shard.turn(now, &mut entropy, next) {
            Ok(turned) => self.release(turned, now, outside).map(|()| Life::Alive),
            Err(TurnError::Full) => {
                for refused in self.inbox.drain(..) {
                    if let Token::Person(asked) = refused.token {
                        outside.checker.refused(&asked);
                    }
                }
                let is_wanted = !self.outcomes.is_empty() || self.shard.has_chores();
                self.turn_at = is_wanted.then_some(now + FULL_PAUSE);
                Ok(Life::Alive)
            }
            Err(TurnError::Poisoned(_) | TurnError::Erase(_)) => {
                promises.into_inner().iter().try_for_each(|asked| promise(asked, &mut outside.checker))?;
                Ok(Life::Over)
            }
        }
    }

    /// Makes zeros of what the durable facts have erased.
    pub(super) fn erase(&mut self, outside: &mut Outside) -> Result<Life, Violation> {
        let Ok(zeroed) = self.shard.erase() else { return Ok(Life::Over) };
        outside.checker.read(&self.reader)?;
        outside.checker.zeroed(&self.reader, &zeroed)?;
        Ok(Life::Alive)
    }

    /// The turn says that it is durable: whoever watches looks for itself, then hears the answers.
    fn release(&mut self, turned: Turned<Token>, now: Time, outside: &mut Outside) -> Verdict {
        outside.trace.numbers(&[4, now.0, turned.records.len() as u64]);
        outside.checker.read(&self.reader)?;
        for (token, answer) in &turned.replies {
            if let Token::Person(asked) = token {
                outside.checker.answered(asked, answer)?;
            }
        }
        if outside.fault == Some(Fault::OneAttemptTooMany) {
            turned.records.iter().filter_map(exhausted).for_each(|command| {
                self.inbox.push_back(Input { command, token: Token::Nobody });
            });
        }
        // One turn is bounded; what it did not hold waits for the next.
        if !self.outcomes.is_empty() || !self.inbox.is_empty() || self.shard.has_chores() {
            self.turn_at = Some(now);
        }
        Ok(())
    }
}

/// The bug of promising what may not be durable.
fn promise(asked: &Asked, checker: &mut Checker) -> Verdict {
    let Asked::Publish(_, Some(id), _) = asked else {
        return Ok(());
    };
    let accepted = Accepted { id: id.clone(), duplicate: false, deliveries: 0 };
    checker.answered(asked, &Ok(Reply::Accepted(accepted)))
}

/// The bug of one attempt too many.
fn exhausted(record: &Record) -> Option<Command> {
    match &record.fact {
        Fact::AttemptFinished { cell, .. } if cell.status == Status::Exhausted => {
            Some(Command::Retry { workspace: cell.workspace, key: cell.key })
        }
        _ => None,
    }
}
