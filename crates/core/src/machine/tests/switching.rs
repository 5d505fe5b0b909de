//! Webhooks that are switched off since they fail, and on again by an attempt that succeeds.

use std::sync::Arc;

use super::story::{Story, settings};
use crate::command::{Command, Rejection, Reply};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::Fact;
use crate::ids::{DeliveryKey, Position, WebhookId};
use crate::time::Time;
use crate::webhook::{Change, Webhook};

const SINCE: Time = Time(500);

fn webhook(story: &Story, id: WebhookId) -> Arc<Webhook> {
    Arc::clone(story.kernel.directory.webhook(id).unwrap())
}

fn switch_off(story: &mut Story, id: WebhookId, version: Position) -> Result<Arc<Webhook>, Rejection> {
    let command = Command::SwitchOff { workspace: story.workspace, id, version, failing_since: SINCE };
    match story.tell(command)? {
        Reply::Webhook(webhook) => Ok(webhook),
        other => panic!("{other:?}"),
    }
}

/// A webhook that was switched off, with a delivery that waits.
fn failing() -> (Story, WebhookId, DeliveryKey) {
    let mut story = Story::of("genesy");
    let id = story.webhook(settings(&["EMAIL_SENT"]));
    let key = story.publish("EMAIL_SENT")[0];
    let version = webhook(&story, id).version;
    story.answer(key, 500, version);
    switch_off(&mut story, id, version).unwrap();
    (story, id, key)
}

#[test]
fn it_is_off_for_new_events_and_may_be_tried() {
    let (mut story, id, key) = failing();
    let off = webhook(&story, id);
    assert_eq!((off.settings.enabled, off.failing_since, off.may_be_attempted()), (false, Some(SINCE), true));
    assert_eq!(story.facts, [Fact::WebhookChanged(Arc::clone(&off))]);
    assert_eq!(story.effects, [Effect::Webhook(off)]);
    assert!(story.publish("EMAIL_SENT").is_empty());
    assert_eq!(story.cells[&key].status, Status::Pending, "what is pending waits");
}

#[test]
fn an_attempt_that_succeeds_switches_it_on_again() {
    let (mut story, id, key) = failing();
    let version = webhook(&story, id).version;
    assert_eq!(story.answer(key, 200, version).status, Status::Succeeded);
    let on = webhook(&story, id);
    assert_eq!((on.settings.enabled, on.failing_since), (true, None));
    assert_eq!(Some(on.version), story.records.last().map(|record| record.position), "it names the fact that made it");
    assert!(matches!(&*story.facts, [Fact::AttemptFinished { .. }, Fact::WebhookChanged(_)]));
    assert_eq!(story.publish("EMAIL_SENT").len(), 1);
}

#[test]
fn an_attempt_that_fails_leaves_it_off() {
    let (mut story, id, key) = failing();
    let off = webhook(&story, id);
    story.answer(key, 500, off.version);
    assert_eq!(webhook(&story, id), off);
    assert_eq!(story.facts.len(), 1);
}

#[test]
fn a_success_of_what_it_was_before_says_nothing() {
    let (mut story, id, key) = failing();
    let version = webhook(&story, id).version;
    story.change(id, Change { url: Some("https://example.com/new".into()), ..Change::default() });
    story.answer(key, 200, version);
    let changed = webhook(&story, id);
    assert_eq!((changed.settings.enabled, changed.failing_since), (false, Some(SINCE)), "a change of another setting");
}

#[test]
fn its_owner_has_the_last_word() {
    for enabled in [true, false] {
        let (mut story, id, _) = failing();
        story.switch(id, enabled);
        let webhook = webhook(&story, id);
        assert_eq!((webhook.settings.enabled, webhook.failing_since), (enabled, None));
        assert_eq!(webhook.may_be_attempted(), enabled);
    }
}

#[test]
fn who_was_changed_or_is_off_already_is_left_alone() {
    let (mut story, id, _) = failing();
    story.switch(id, true);
    let on = webhook(&story, id);
    let earlier = Position::new(on.version.block(), on.version.index() + 1);
    assert_eq!(switch_off(&mut story, id, earlier), Ok(on.clone()), "it is another than was found failing");
    assert!(story.facts.is_empty());
    story.switch(id, false);
    let off = webhook(&story, id);
    assert_eq!(switch_off(&mut story, id, off.version), Ok(off.clone()));
    assert_eq!(switch_off(&mut story, WebhookId(99), off.version), Err(Rejection::NoWebhook));
}
