//! Sending again by hand, from wherever the delivery stands.

use super::story::{Story, settings};
use crate::command::{Command, Rejection, Reply};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::Fact;
use crate::ids::{DeliveryKey, Position};

#[test]
fn a_sleeping_delivery_takes_its_next_attempt_now_and_keeps_its_schedule() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.fail(key);
    story.wait(1000);
    assert!(matches!(story.retry(key), Ok(Reply::Delivery(cell)) if cell.due == story.now));
    assert_eq!(story.effects, [Effect::Hasten(story.cells[&key])]);
    assert_eq!(story.kernel.pending_of(webhook), 1);
    // The second failure, so the second tier.
    let cell = story.fail(key);
    assert_eq!((cell.attempts, cell.due.since(story.now).0), (2, 300_000));
}

#[test]
fn one_that_is_due_already_is_left_as_it_is() {
    let (mut story, _, key) = Story::delivery_by(None);
    assert!(matches!(story.retry(key), Ok(Reply::Delivery(_))));
    assert_eq!((story.facts.len(), story.effects.len()), (0, 0));
}

#[test]
fn an_exhausted_one_begins_a_new_schedule_and_goes_on_counting() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.fail_to_the_end(key);
    story.wait(1000);
    story.retry(key).expect("an exhausted delivery can be sent again");
    assert_eq!(story.kernel.pending_of(webhook), 1);
    assert_eq!(story.fail_to_the_end(key).len(), 4);
    let cell = story.cells[&key];
    assert_eq!((cell.attempts, cell.attempts_before, cell.status), (8, 4, Status::Exhausted));
    assert_eq!(story.kernel.pending_of(webhook), 0);
}

#[test]
fn a_succeeded_one_is_sent_again() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.succeed(key);
    story.retry(key).expect("a succeeded delivery can be sent again");
    assert_eq!((story.cells[&key].status, story.kernel.pending_of(webhook)), (Status::Pending, 1));
    assert_eq!(story.succeed(key).attempts, 2);
    assert_eq!(story.kernel.pending_of(webhook), 0);
}

#[test]
fn a_removed_one_is_not() {
    let mut story = Story::of("snaily");
    story.webhook(settings(&["contact.connected"]));
    let key = story.publish("contact.connected")[0];
    story.fail_to_the_end(key);
    assert_eq!(story.retry(key).err(), Some(Rejection::Ended(Status::Removed)));
}

#[test]
fn one_whose_webhook_is_gone_is_not() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    let ended = story.publish("EMAIL_SENT")[0];
    story.succeed(ended);
    story.delete(webhook);
    assert_eq!(story.retry(key).err(), Some(Rejection::Ended(Status::Cancelled)));
    assert_eq!(story.retry(ended).err(), Some(Rejection::Ended(Status::Succeeded)));
}

#[test]
fn one_cancelled_in_flight_is_not() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.delete(webhook);
    assert_eq!(story.fail(key).status, Status::Cancelled);
    assert_eq!(story.retry(key).err(), Some(Rejection::Ended(Status::Cancelled)));
}

#[test]
fn while_the_webhook_is_off_nothing_is_sent_again() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.fail_to_the_end(key);
    story.switch(webhook, false);
    assert_eq!(story.retry(key).err(), Some(Rejection::WebhookOff));
    story.switch(webhook, true);
    assert!(story.retry(key).is_ok());
}

#[test]
fn while_an_attempt_is_in_flight_its_outcome_is_waited_for() {
    let (mut story, _, key) = Story::delivery_by(None);
    story.in_flight.insert(key);
    assert_eq!(story.retry(key).err(), Some(Rejection::InFlight));
    story.succeed(key);
    assert!(story.retry(key).is_ok());
}

#[test]
fn of_another_workspace_there_is_no_such_delivery() {
    let (mut story, _, key) = Story::delivery_by(None);
    let workspace = story.another_workspace("genesy");
    assert_eq!(story.tell(Command::Retry { workspace, key }).err(), Some(Rejection::NoDelivery));
    let unknown = DeliveryKey { event: Position::new(99, 0), ordinal: 0 };
    assert_eq!(story.retry(unknown).err(), Some(Rejection::NoDelivery));
}

#[test]
fn a_second_click_in_the_same_moment_changes_nothing() {
    let (mut story, _, key) = Story::delivery_by(None);
    story.fail_to_the_end(key);
    story.retry(key).expect("the first");
    assert!(matches!(story.facts[..], [Fact::RetryRequested { .. }]));
    story.retry(key).expect("the second");
    assert!(story.facts.is_empty());
}
