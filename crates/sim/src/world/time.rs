//! Time goes on: the process runs through it, sleeps through it, or is shown a wrong wall clock.

use postrider_core::{Millis, Time};

use super::{DAY, HOUR, MINUTE, SECOND, World};
use crate::checker::{Verdict, law};
use crate::trouble::Trouble;

/// What can be to do in one moment takes fewer steps than this.
const STEPS_AT_ONCE_MAX: u32 = 10_000;

impl World {
    /// Lets the process run for so long; one that ends meanwhile begins again, and its downtime counts.
    pub(super) fn run_for(&mut self, span: Millis) -> Verdict {
        let end = self.outside.clocks.elapsed().0 + span.0;
        loop {
            let left = end.saturating_sub(self.outside.clocks.elapsed().0);
            if !self.run_to(self.now() + Millis(left))? || left == 0 {
                return Ok(());
            }
        }
    }

    /// To the next step, or to `until` if that comes first; whether there was a step.
    pub(super) fn run_to(&mut self, until: Time) -> Result<bool, crate::checker::Violation> {
        let (now, fault) = (self.now(), self.outside.fault);
        let process = self.process.as_ref().expect("between actions a process runs");
        let next = process.next_step(now, fault).map_or(until, |next| next.max(now));
        if process.is_free() {
            self.outside.checker.sleeps(now, next.min(until), process.free_since(), self.outside.store.is_some())?;
        }
        self.steps_at_once = if next > now { 0 } else { self.steps_at_once + 1 };
        law!(11, self.steps_at_once < STEPS_AT_ONCE_MAX, "at {now} it works without end");
        self.outside.clocks.advance_to(next.min(until));
        if next < until {
            self.step()?;
        }
        Ok(next < until)
    }

    pub(super) fn suspend(&mut self) -> Verdict {
        let chance = &mut self.outside.chance;
        let span = Millis(match chance.below(4) {
            0 => chance.below(MINUTE),
            1 => chance.below(HOUR),
            2 => chance.below(DAY),
            _ => chance.below(3 * DAY),
        });
        self.outside.clocks.suspend(span);
        let now = self.now();
        self.process().slept(span, now);
        self.step()
    }

    pub(super) fn step_wall(&mut self, trouble: Trouble) {
        let (chance, clocks) = (&mut self.outside.chance, &mut self.outside.clocks);
        let step = match trouble {
            Trouble::In1970 => return clocks.set_wall_to_1970(),
            Trouble::WallHours => 13 * HOUR,
            _ => 365 * DAY,
        } as i64;
        match chance.below(3) {
            0 => clocks.set_wall(step + chance.below(SECOND) as i64),
            1 => clocks.set_wall(-step),
            _ => clocks.set_wall(0),
        }
    }
}
