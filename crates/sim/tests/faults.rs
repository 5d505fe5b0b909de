//! The checker bites: each bug that is made on purpose is caught, and by the law that it breaks.

use postrider_sim::{Fault, Plan, run};

/// Seeds within which each bug must be found.
const SEEDS: u64 = 12;

/// The laws by which a bug may be found, and words of the reason.
fn found_by(fault: Fault) -> (&'static [u8], &'static str) {
    match fault {
        Fault::AckBeforeAppend => (&[1], "was acknowledged"),
        // The delivery never ends; or a clean stop comes first, and waits for it in vain.
        Fault::DropFinish => (&[9, 11], ""),
        Fault::RetryEarly => (&[5], "is attempted at"),
        Fault::OneAttemptTooMany => (&[4], "nobody asked for it"),
        Fault::HiddenResend => (&[4], "is written twice"),
        Fault::IgnoreChange => (&[8], "is sent by version"),
        Fault::RenderNewest => (&[10], "has another body"),
        Fault::MorePermits => (&[7], "over"),
        // What is missing depends on the fact.
        Fault::SkipInReplay => (&[1, 2], ""),
        Fault::ForgetToResume => (&[3], "unfinished true"),
        Fault::Oversleep => (&[5], "is left until"),
        Fault::StopInFlight => (&[9], "it stopped with"),
    }
}

#[test]
fn every_bug_is_caught_by_its_law() {
    for fault in Fault::ALL {
        let plan = |seed| Plan { seed, steps: 400, fault: Some(fault) };
        let found = (0..SEEDS).find_map(|seed| run(plan(seed)).err());
        let Some(failure) = found else { panic!("{fault:?} was not found in {SEEDS} seeds") };
        let (laws, words) = found_by(fault);
        let is_expected = laws.contains(&failure.violation.law) && failure.violation.what.contains(words);
        assert!(is_expected, "{fault:?} was found otherwise: {failure}");
    }
}
