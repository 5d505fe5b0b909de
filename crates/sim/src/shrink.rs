//! Makes a failure small: fewer steps, then fewer troubles. What is left still breaks the same law.

use crate::plan::{Failure, Plan, run};
use crate::trouble::{Trouble, Troubles};

/// The smallest plan found that fails as `failure` does; `say` hears of each step on the way.
pub fn shrink(failure: Failure, mut say: impl FnMut(&Failure)) -> Failure {
    let mut least = failure;
    let law = least.violation.law;
    let mut fails = |plan: Plan| {
        let failed = run(plan).err().filter(|failure| failure.violation.law == law);
        if let Some(failure) = &failed {
            say(failure);
        }
        failed
    };
    if least.step < least.plan.steps {
        least.plan.until_step = Some(least.step);
    } else {
        // It came in the quiet phase: perhaps it also comes after fewer steps.
        let (mut passes, mut steps) = (0, least.plan.steps);
        while passes + 1 < steps {
            let middle = passes + (steps - passes) / 2;
            match fails(Plan { steps: middle, ..least.plan }) {
                Some(failure) => (steps, least) = (middle, failure),
                None => passes = middle,
            }
        }
    }
    for (trouble, _) in Trouble::ALL {
        let without = least.plan.without.with(trouble);
        if !Troubles::of(least.plan.seed).has(trouble) {
            continue;
        }
        if let Some(failure) = fails(Plan { without, ..least.plan }) {
            least = failure;
            least.plan.until_step = least.plan.until_step.map(|_| least.step);
        }
    }
    least
}
