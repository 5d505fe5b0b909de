//! The checker bites: each bug that is made on purpose is caught within a minute, and by the law that it breaks.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use postrider_sim::{Failure, Fault, Plan, run};

/// For each bug.
const TIME: Duration = Duration::from_secs(60);

/// The laws by which a bug may be found, and words of the reason.
fn found_by(fault: Fault) -> (&'static [u8], &'static str) {
    match fault {
        Fault::AckBeforeAppend | Fault::AckWhenFull => (&[1], "was acknowledged"),
        Fault::KeepWhenFull => (&[12], ""),
        Fault::DropWhenFull => (&[12], "wait for an answer"),
        // The delivery never ends; or a clean stop comes first, and waits for it in vain.
        Fault::DropFinish => (&[9, 11], ""),
        Fault::SlotBeforeDurable => (&[3, 7], ""),
        Fault::RetryEarly | Fault::EarlyByJitter => (&[5], "is attempted at"),
        Fault::CatchUpBurst => (&[5], ""),
        Fault::WheelBorder | Fault::Oversleep | Fault::StopInSuspend => (&[5], ""),
        Fault::FollowWall => (&[5], ""),
        Fault::OneAttemptTooMany => (&[4], "nobody asked for it"),
        Fault::HiddenResend => (&[4], "is written twice"),
        Fault::IgnoreChange | Fault::SendAfterDelete => (&[8], "is sent by version"),
        Fault::OldSecret => (&[8], "another URL or secret"),
        Fault::RenderNewest => (&[10], "has another body"),
        Fault::MorePermits => (&[7], "over"),
        // What is missing depends on the fact.
        Fault::SkipInReplay => (&[1, 2], ""),
        Fault::IdsForgotten => (&[1, 2], ""),
        // A delivery of before is nowhere; or there was none, and one that comes then has no webhook to wait for.
        Fault::ForgetToResume => (&[3, 5], ""),
        Fault::SnapshotMissesInFlight => (&[3], "permits are held for"),
        Fault::CarriedForgotten => (&[1, 2], ""),
        // The kernel that a crash left is compared; what only a restart forgets is sent twice.
        Fault::ReplayForgotten => (&[2, 13], ""),
        // Twice what was not seen to be there, or with the old count of attempts.
        Fault::StalePrefetch => (&[1, 2, 4], "twice"),
        // What the store does not have is never read, or as it was earlier.
        Fault::CoversTooMuch | Fault::LetsGoAboveW | Fault::ForgetsTooEarly => (&[1, 2, 3, 4, 5], ""),
        Fault::LineLosesFirst => (&[3, 14], ""),
        Fault::NeverRests => (&[11], "without end"),
        Fault::TriedTooOften => (&[8], ""),
        Fault::SweepsTooFar | Fault::RecallLosesOne => (&[3, 5], ""),
        Fault::PendingMiscounted => (&[2], ""),
        Fault::EraseNotRepeated => (&[1], "was erased and is there"),
        Fault::StopInFlight => (&[9], "it stopped with"),
        // The shard itself refuses to go back in time.
        Fault::StartBehindLog => (&[0, 5], ""),
        Fault::NoSync | Fault::SyncRetried | Fault::NamesUnsynced => (&[1], ""),
        Fault::DamageIsTheEnd => (&[1], "are left and nobody is told"),
        Fault::ChecksumUnchecked => (&[10], "has another body"),
    }
}

fn find(fault: Fault) -> Option<Failure> {
    let begun = Instant::now();
    let plan = |seed| Plan { fault: Some(fault), ..Plan::new(seed, 400) };
    (0..).take_while(|_| begun.elapsed() < TIME).find_map(|seed| run(plan(seed)).err())
}

#[test]
fn every_bug_is_caught_by_its_law() {
    let faults = Mutex::new(Fault::ALL.into_iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = faults.lock().expect("nobody panics with it").next();
                    let Some(fault) = next else { break };
                    let begun = Instant::now();
                    let found = find(fault);
                    let (laws, words) = found_by(fault);
                    let is_expected = found.as_ref().is_some_and(|failure| {
                        laws.contains(&failure.violation.law) && failure.violation.what.contains(words)
                    });
                    println!("{fault:?} after {:.1} s: {found:?}", begun.elapsed().as_secs_f64());
                    if !is_expected {
                        let found = found.map_or("not at all".into(), |failure| failure.to_string());
                        wrong.lock().expect("nobody panics with it").push(format!("{fault:?} was found: {found}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panicked with it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
