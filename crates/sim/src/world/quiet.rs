//! The quiet phase: faults stop, and all that is unfinished must end in its time.

use postrider_core::Millis;

use super::{HOUR, MINUTE, World};
use crate::checker::Verdict;
use crate::operators;
use crate::process::Life;
use crate::receivers::Behaviour;
use crate::trouble::Troubles;

/// No replay needs longer, behind caps and rates of one a second.
const REPLAY_HOURS: u64 = 24;

impl World {
    /// Faults stop: the disk holds, webhooks are on, receivers are up or stay down for ever. All must end in its time.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn settle(&mut self) -> Verdict {
        self.make_space();
        self.outside.troubles = Troubles::default();
        // Takes with it what was to fail.
        self.over(Life::Cut)?;
        // Nobody asks for anything; what a crash kept from being erased is erased all the same.
        self.run_for(Millis(MINUTE))?;
        self.look_for_erased()?;
        let is_up = !self.outside.chance.one_in(3);
        self.outside.receivers.settle(if is_up { Behaviour::Up } else { Behaviour::Failing });
        for (workspace, id) in self.outside.checker.webhooks() {
            let (command, asked) = operators::switch(workspace, id, true);
            self.ask(command, asked);
            // Behind one that fails for ever each waits for the whole schedule of all before it: years.
            if !is_up {
                let (command, asked) = operators::give_up_order(workspace, id);
                self.ask(command, asked);
            }
        }
        self.step()?;
        // What the last faults have begun ends first.
        self.run_for(Millis(MINUTE))?;
        // So do replays; what they make due has its schedule then.
        for _ in 0..REPLAY_HOURS {
            if !self.outside.checker.is_replaying() {
                break;
            }
            self.run_for(Millis(HOUR))?;
        }
        let by = self.outside.checker.settled_by(self.now(), is_up);
        while self.outside.checker.unfinished() > 0 && self.run_to(by)? {}
        self.run_for(Millis(MINUTE))?;
        self.outside.checker.settled()?;
        self.look_closely()?;
        self.look_for_erased()?;
        self.stop()?;
        self.look_closely()
    }

    fn look_for_erased(&self) -> Verdict {
        let process = self.process.as_ref().expect("between actions a process runs");
        self.outside.checker.erased_are_zeros(&process.reader)
    }
}
