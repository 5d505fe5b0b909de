//! When an event's payload goes, and what goes with it.

use super::story::{Story, settings};
use crate::command::{Command, Rejection, Reply};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::Fact;
use crate::ids::EventId;

fn erase(story: &mut Story, id: &str) -> Result<Reply, Rejection> {
    let id: EventId = id.parse().expect("an id");
    story.tell(Command::EraseEvent { workspace: story.workspace, id })
}

/// The id of the only event.
fn only_id(story: &Story) -> String {
    story.events.keys().next().expect("there is one").1.to_string()
}

#[test]
fn erasing_cancels_what_is_pending_and_leaves_what_has_ended() {
    let mut story = Story::of("snaily");
    let (ended, pending) =
        (story.webhook(settings(&["contact.connected"])), story.webhook(settings(&["contact.connected"])));
    let keys = story.publish("contact.connected");
    story.succeed(keys[0]);
    let id = only_id(&story);
    erase(&mut story, &id).expect("it is there");
    assert_eq!(story.cells[&keys[0]].status, Status::Succeeded);
    assert_eq!(story.cells[&keys[1]].status, Status::Cancelled);
    assert_eq!(story.effects, [Effect::Forget(keys[1]), Effect::ErasePayload(keys[0].event)]);
    assert_eq!((story.kernel.pending_of(ended), story.kernel.pending_of(pending)), (0, 0));
}

#[test]
fn erasing_twice_is_one_fact_and_an_unknown_event_is_refused() {
    let (mut story, _, _) = Story::delivery_by(None);
    let id = only_id(&story);
    erase(&mut story, &id).expect("it is there");
    erase(&mut story, &id).expect("it still counts as done");
    assert_eq!(story.facts, []);
    assert_eq!(erase(&mut story, "another").err(), Some(Rejection::NoEvent));
}

#[test]
fn an_erased_event_is_not_sent_again_by_hand() {
    let (mut story, _, key) = Story::delivery_by(None);
    story.succeed(key);
    let id = only_id(&story);
    erase(&mut story, &id).expect("it is there");
    let retry = Command::Retry { workspace: story.workspace, key };
    assert_eq!(story.tell(retry).err(), Some(Rejection::Erased));
}

#[test]
fn an_attempt_in_flight_at_the_erasure_still_ends_as_it_may() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    let id = only_id(&story);
    erase(&mut story, &id).expect("it is there");
    story.fail(key);
    assert_eq!(story.cells[&key].status, Status::Cancelled);
    assert_eq!(story.kernel.pending_of(webhook), 0);
}

#[test]
fn a_removed_event_is_erased_once_nothing_of_it_is_pending() {
    let mut story = Story::of("snaily");
    story.webhook(settings(&["contact.connected"]));
    story.webhook(settings(&["contact.connected"]));
    let keys = story.publish("contact.connected");
    let ask = |story: &mut Story| {
        story.tell(Command::EraseRemoved { event: keys[0].event }).expect("never refused");
        story.facts.clone()
    };
    story.fail_to_the_end(keys[0]);
    assert_eq!(story.cells[&keys[0]].status, Status::Removed);
    assert_eq!(ask(&mut story), [], "the other webhook still needs it");
    story.succeed(keys[1]);
    assert!(matches!(&ask(&mut story)[..], [Fact::EventErased { event, .. }] if *event == keys[0].event));
    assert_eq!(ask(&mut story), [], "once is enough");
}

#[test]
fn an_event_that_was_only_delivered_is_kept() {
    let mut story = Story::of("snaily");
    story.webhook(settings(&["contact.connected"]));
    let key = story.publish("contact.connected")[0];
    story.succeed(key);
    story.tell(Command::EraseRemoved { event: key.event }).expect("never refused");
    assert_eq!(story.facts, []);
}
