//! The quiet phase: faults stop, and all that is unfinished must end in its time.

use postrider_core::Millis;

use super::{MINUTE, World};
use crate::checker::Verdict;
use crate::operators;
use crate::receivers::Behaviour;

impl World {
    /// Faults stop: the disk holds, webhooks are on, receivers are up or stay down for ever. All must end in its time.
    pub(super) fn settle(&mut self) -> Verdict {
        if self.is_armed || self.outside.chance.one_in(2) {
            self.crash()?;
        }
        let is_up = !self.outside.chance.one_in(3);
        self.outside.receivers.set_all(if is_up { Behaviour::Up } else { Behaviour::Failing });
        for (workspace, id) in self.outside.checker.webhooks() {
            let (command, asked) = operators::switch(workspace, id, true);
            self.ask(command, asked);
        }
        self.step()?;
        // What the last faults have begun ends first.
        self.run_until(self.now + Millis(MINUTE))?;
        let by = self.outside.checker.settled_by(self.now, is_up);
        while self.outside.checker.unfinished() > 0 {
            let Some(next) = self.next_step().filter(|next| *next <= by) else {
                break;
            };
            self.run_until(next + Millis(1))?;
        }
        self.run_until(self.now + Millis(MINUTE))?;
        self.outside.checker.settled()?;
        self.look_closely()?;
        self.latest = self.latest.max(self.now);
        self.stop()
    }
}
