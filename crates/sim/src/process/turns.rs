//! The place of the writer: one turn over what has come in, its sync, and the answers once it is durable.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use postrider_core::command::{Accepted, Command, Reply};
use postrider_core::delivery::Status;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::Entropy;
use postrider_core::{Millis, Time};
use postrider_engine::Clock;
use postrider_engine::shard::{Input, TurnError};

use super::{DRY_BEFORE_SEAL, Life, Outside, Process, Token, Unreleased};
use crate::chance::Chance;
use crate::checker::{Asked, Checker, Verdict, Violation};
use crate::fault::Fault;
use crate::trouble::Trouble;

/// While the log is full, it is asked again after this long at first, and then each time after twice as long: a disk can be full for days.
const FULL_PAUSE_MIN: Millis = Millis(50);
const FULL_PAUSE_MAX: Millis = Millis(60_000);
/// How often a full disk is asked for the ballast's space.
const BALLAST_PAUSE: u64 = 1000;

impl Process {
    pub(super) fn turn(&mut self, now: Time, outside: &mut Outside) -> Result<Life, Violation> {
        self.turn_at = None;
        self.is_full = !self.has_ballast(now, outside);
        if self.is_full {
            self.refuse(outside)?;
        }
        self.shard.spare_space(self.is_full);
        let (outcomes, inbox) = (&mut self.outcomes, &mut self.inbox);
        let (promises, fault) = (RefCell::new(Vec::new()), outside.fault);
        let early = fault == Some(Fault::SlotBeforeDurable) && inbox.is_empty() && outside.chance.one_in(4);
        self.bugs.holds_back.store(early, Ordering::Relaxed);
        let next = || {
            let input = outcomes.pop_front().or_else(|| inbox.pop_front())?;
            if let (Token::Person(asked), Some(Fault::AckBeforeAppend)) = (&input.token, fault) {
                promises.borrow_mut().push(asked.clone());
            }
            Some(input)
        };
        let began = self.clock.now();
        // The shard draws from a stream of its own, so that what it draws does not depend on the bug under test.
        let mut entropy = Chance::new(outside.chance.next_u64());
        let turned = self.shard.turn(began, &mut entropy, next);
        if outside.medium.is_cut() {
            return Ok(Life::Cut);
        }
        match turned {
            Ok(turned) => {
                self.full_pause = Millis(0);
                let unreleased = Unreleased { until: now + sync_time(outside), at: now, began, turned };
                if unreleased.until > now {
                    self.unreleased = Some(Box::new(unreleased));
                    return Ok(Life::Alive);
                }
                self.release(unreleased, outside)
            }
            Err(TurnError::Full) => {
                self.refuse(outside)?;
                let is_wanted = !self.outcomes.is_empty() || self.shard.has_chores();
                let pause = if outside.medium.give_ballast() { Millis(1) } else { self.full_pause() };
                self.turn_at = is_wanted.then_some(now + pause);
                Ok(Life::Alive)
            }
            Err(TurnError::Poisoned(_) | TurnError::Erase(_)) => {
                promises.into_inner().iter().try_for_each(|asked| promise(asked, &mut outside.checker))?;
                Ok(Life::Died)
            }
        }
    }

    /// For how long nothing is tried since there is no space.
    pub(super) fn full_pause(&mut self) -> Millis {
        self.full_pause = Millis(self.full_pause.0 * 2).clamp(FULL_PAUSE_MIN, FULL_PAUSE_MAX);
        self.full_pause
    }

    /// There is space again: what waits for it need not wait for the end of a pause.
    pub fn has_space(&mut self, now: Time) {
        self.full_pause = Millis(0);
        self.turn_at = self.turn_at.map(|at| at.min(now));
    }

    /// Whether there is space for more than outcomes, as the writer knows it.
    fn has_ballast(&mut self, now: Time, outside: &mut Outside) -> bool {
        if now.since(self.ballast_asked).0 >= BALLAST_PAUSE {
            self.ballast_asked = now;
            return outside.medium.take_ballast();
        }
        outside.medium.has_ballast()
    }

    /// Whoever asks is told that the log is full.
    fn refuse(&mut self, outside: &mut Outside) -> Verdict {
        if outside.fault == Some(Fault::KeepWhenFull) {
            let asked = self.inbox.iter().filter_map(|input| asked(&input.token));
            asked.for_each(|asked| outside.checker.refused(asked));
            return Ok(());
        }
        for refused in self.inbox.drain(..) {
            let Some(asked) = asked(&refused.token) else { continue };
            match outside.fault {
                Some(Fault::AckWhenFull) => promise(asked, &mut outside.checker)?,
                Some(Fault::DropWhenFull) => continue,
                _ => {}
            }
            outside.checker.refused(asked);
        }
        Ok(())
    }

    /// The turn says that it is durable: whoever watches looks for itself, then hears the answers.
    pub(super) fn release(&mut self, unreleased: Unreleased, outside: &mut Outside) -> Result<Life, Violation> {
        let now = outside.clocks.now();
        let Unreleased { turned, at, .. } = unreleased;
        outside.trace.numbers(&[4, now.0, turned.records.len() as u64]);
        outside.checker.read(&self.reader, Some(at))?;
        self.again.extend(turned.again);
        for record in turned.records.iter().filter(|record| record.fact.concerns_directory()) {
            self.directory.apply(record);
        }
        for (token, answer) in &turned.replies {
            if let Token::Person(asked) = token {
                outside.checker.answered(asked, answer)?;
            }
        }
        if outside.fault == Some(Fault::OneAttemptTooMany) {
            turned.records.iter().filter_map(exhausted).for_each(|command| {
                self.inbox.push_back(Input::new(command, Token::Nobody));
            });
        }
        // Now and then the power fails, or someone kills the process, between a durable turn and what follows from it.
        if outside.troubled(Trouble::PowerCut, 600) {
            return Ok(Life::Cut);
        }
        if outside.troubled(Trouble::Kill, 600) {
            return Ok(Life::Died);
        }
        // One turn is bounded; what it did not hold waits for the next.
        if !self.outcomes.is_empty() || !self.inbox.is_empty() || self.shard.has_chores() {
            self.turn_at = Some(now);
        }
        self.seal_at = Some(now + DRY_BEFORE_SEAL);
        self.free_since = now;
        Ok(Life::Alive)
    }
}

/// How long the sync of this turn takes.
fn sync_time(outside: &mut Outside) -> Millis {
    if !outside.troubles.has(Trouble::SlowSync) {
        return Millis(0);
    }
    match outside.chance.below(24) {
        0 => Millis(outside.chance.within(200, 6_000)),
        1..8 => Millis(outside.chance.below(50)),
        _ => Millis(0),
    }
}

fn asked(token: &Token) -> Option<&Asked> {
    match token {
        Token::Person(asked) => Some(asked),
        Token::Nobody => None,
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
