//! What an attempt's outcome leads to: how many there are, when the next one is due, and what the end is called.

use proptest::prelude::*;

use super::story::{Story, policy, settings};
use crate::attempt::Outcome;
use crate::command::{Command, Rejection};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::Fact;
use crate::ids::{DeliveryKey, Position};
use crate::time::Millis;

const HOUR: u64 = 3_600_000;

/// The attempts' numbers and outcomes, in the order of the log.
fn attempts(story: &Story) -> Vec<(u32, Outcome)> {
    let attempt = |fact: &Fact| match fact {
        Fact::AttemptFinished { attempt, .. } => Some((attempt.number, attempt.outcome)),
        _ => None,
    };
    story.records.iter().filter_map(|record| attempt(&record.fact)).collect()
}

#[test]
fn genesy_gets_four_attempts_after_30_s_5_m_and_50_m_and_is_exhausted() {
    let (mut story, _, key) = Story::delivery_by(None);
    let began = story.fail_to_the_end(key);
    // Each delay counts from the end of an attempt, which takes 20 ms here.
    assert_eq!(began, [0, 30_020, 330_040, 3_330_060]);
    use Outcome::{Exhausted, Retrying};
    assert_eq!(attempts(&story), [(1, Retrying), (2, Retrying), (3, Retrying), (4, Exhausted)]);
    assert_eq!(story.cells[&key].status, Status::Exhausted);
    assert_eq!(story.effects, [Effect::Free(key, Millis(20))]);
}

#[test]
fn snaily_gets_fifteen_attempts_twelve_hours_apart_and_is_removed() {
    let mut story = Story::of("snaily");
    story.webhook(settings(&["contact.connected"]));
    let key = story.publish("contact.connected")[0];
    let expected: Vec<_> = (0..15).map(|n| n * (12 * HOUR + 20)).collect();
    assert_eq!(story.fail_to_the_end(key), expected);
    assert_eq!(story.cells[&key].status, Status::Removed);
    assert_eq!(attempts(&story).last(), Some(&(15, Outcome::Removed)));
}

#[test]
fn a_2xx_ends_the_delivery_and_frees_its_slot() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.fail(key);
    assert_eq!(story.effects, [Effect::Free(key, Millis(20)), Effect::Sleep(story.cells[&key])]);
    assert_eq!(story.succeed(key).status, Status::Succeeded);
    assert_eq!(story.effects, [Effect::Free(key, Millis(20))]);
    assert_eq!(story.kernel.pending_of(webhook), 0);
}

#[test]
fn retry_after_lengthens_a_tier_to_at_most_twice() {
    for (asked, given) in [(1, 30_000), (45_000, 45_000), (86_400_000, 60_000)] {
        let (mut story, _, key) = Story::delivery_by(None);
        assert_eq!(story.fail_asking(key, asked).due, story.now + Millis(given), "asked for {asked} ms");
    }
}

#[test]
fn the_policy_in_force_at_the_failure_decides() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.fail(key);
    let retry_policy = Some(Some(policy(&[1_000, 2_000], 0)));
    story.change(webhook, crate::webhook::Change { retry_policy, ..Default::default() });
    assert_eq!(story.fail(key).due, story.now + Millis(2_000));
    assert_eq!(story.fail(key).status, Status::Exhausted);
}

#[test]
fn an_outcome_of_a_delivery_that_nobody_knows_is_refused() {
    let (mut story, _, key) = Story::delivery_by(None);
    story.fail(key);
    let Some(Fact::AttemptFinished { attempt, .. }) = story.facts.first().cloned() else { panic!("an attempt ended") };
    let unknown = DeliveryKey { event: Position::new(99, 0), ..key };
    let measured = crate::command::Measured {
        started: attempt.started,
        exchange: attempt.exchange,
        body: bytes::Bytes::new(),
        crc32c: 0,
        webhook_version: attempt.webhook_version,
    };
    let finish = crate::command::Finish { key: unknown, measured };
    assert_eq!(story.tell(Command::Finish(finish)).err(), Some(Rejection::NoDelivery));
}

proptest! {
    #[test]
    fn a_policy_of_r_delays_gives_one_and_r_attempts_numbered_densely_and_never_early(
        delays in prop::collection::vec(1u64..100_000_000, 0..20),
        jitter in 0u16..=1000,
        asked in prop::collection::vec(prop::option::of(any::<u64>()), 21),
    ) {
        let (mut story, _, key) = Story::delivery_by(Some(policy(&delays, jitter)));
        for (number, asked) in (1..).zip(asked) {
            let cell = match asked {
                Some(span) => story.fail_asking(key, span),
                None => story.fail(key),
            };
            prop_assert_eq!(cell.attempts, number);
            let Some(&delay) = delays.get(number as usize - 1) else {
                prop_assert_eq!(cell.status, Status::Exhausted);
                break;
            };
            let waits = cell.due.since(story.now).0;
            let most = (delay + delay * u64::from(jitter) / 1000).max(delay * 2);
            prop_assert!(waits >= delay && waits <= most, "{waits} ms for a tier of {delay}");
            story.now = cell.due;
        }
        let numbers: Vec<_> = attempts(&story).iter().map(|a| a.0).collect();
        prop_assert_eq!(numbers, (1..=delays.len() as u32 + 1).collect::<Vec<_>>());
    }
}
