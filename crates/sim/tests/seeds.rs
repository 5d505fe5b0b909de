//! No law is broken on fixed seeds, nor on any that once broke one; and the same seed gives the same trace.

use postrider_sim::{Plan, Summary, regressions, run};

fn hold(seed: u64, steps: u64) -> Summary {
    run(Plan::new(seed, steps)).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn no_law_is_broken_on_fixed_seeds() {
    let mut total = Summary::default();
    for seed in 1_000..1_040 {
        println!("seed {seed}");
        let summary = hold(seed, 400);
        total.add(&summary);
    }
    // A simulator in which nothing happens breaks no law either.
    assert!(total.attempts > 20_000 && total.crashes > 400 && total.stops > 50 && total.duplicates > 100, "{total:?}");
    assert!(total.rots > 30 && total.replayed > 1_500, "{total:?}");
}

#[test]
fn seeds_that_once_broke_a_law_hold() {
    for plan in regressions() {
        println!("seed {}, {} steps", plan.seed, plan.steps);
        hold(plan.seed, plan.steps);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    assert_eq!(hold(7, 200), hold(7, 200));
    assert_ne!(hold(7, 200).trace, hold(8, 200).trace);
}
