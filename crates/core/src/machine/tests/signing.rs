//! Keys that replace each other, and a receiver that wants no more.

use super::story::{Story, settings};
use crate::command::{Command, Rejection, Reply};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::Fact;
use crate::ids::{DeliveryKey, WebhookId};
use crate::limits::SIGNING_KEYS_RETIRED_MAX;
use crate::sealed::{Sealed, SealingKeyId};
use crate::signing::{Scheme, Signing, SigningKey};
use crate::time::Millis;
use crate::webhook::{Change, Settings, Webhook};
use std::sync::Arc;

fn key(n: u8) -> SigningKey {
    let secret = Sealed { key: SealingKeyId(1), nonce: [n; 24], bytes: [n].into() };
    SigningKey { scheme: Scheme::V1, secret, public_key: None }
}

fn signing() -> (Story, WebhookId) {
    let mut story = Story::of("standard");
    let id = story.webhook(Settings { signing: Some(Signing::with(key(1))), ..settings(&["invoice.paid"]) });
    (story, id)
}

fn rotate(story: &mut Story, id: WebhookId, n: u8, grace: u64) -> Result<Arc<Webhook>, Rejection> {
    let command = Command::RotateSecret { workspace: story.workspace, id, fresh: key(n), grace: Millis(grace) };
    match story.tell(command)? {
        Reply::Webhook(webhook) => Ok(webhook),
        other => panic!("{other:?}"),
    }
}

fn keys(story: &Story, id: WebhookId) -> Vec<u8> {
    let signing = story.kernel.directory.webhook(id).unwrap().settings.signing.as_ref().unwrap();
    signing.keys_at(story.now).map(|key| key.secret.bytes[0]).collect()
}

#[test]
fn a_replaced_key_signs_along_for_its_grace_and_the_webhook_is_a_new_version() {
    let (mut story, id) = signing();
    let before = story.kernel.directory.webhook(id).unwrap().version;
    let webhook = rotate(&mut story, id, 2, 1_000).unwrap();
    assert!(webhook.version > before);
    assert_eq!(webhook.revision, before, "bodies stay as they are");
    assert_eq!(story.effects, [Effect::Webhook(webhook)]);
    assert_eq!(keys(&story, id), [2, 1]);
    story.wait(999);
    assert_eq!(keys(&story, id), [2, 1]);
    story.wait(1);
    assert_eq!(keys(&story, id), [2]);
    story.change(id, Change { name: Some("Renamed".into()), ..Change::default() });
    let signing = story.kernel.directory.webhook(id).unwrap().settings.signing.clone();
    assert_eq!(signing, Some(Signing::with(key(2))), "a change forgets what is over");
}

#[test]
fn only_so_many_keys_sign_along() {
    let (mut story, id) = signing();
    for n in 0..SIGNING_KEYS_RETIRED_MAX {
        rotate(&mut story, id, n as u8 + 2, 1_000).unwrap();
    }
    assert!(matches!(rotate(&mut story, id, 9, 1_000), Err(Rejection::TooMany { .. })));
    story.wait(1_000);
    assert!(rotate(&mut story, id, 9, 1_000).is_ok());
}

#[test]
fn a_webhook_that_does_not_sign_has_nothing_to_rotate() {
    let mut story = Story::of("genesy");
    let id = story.webhook(settings(&["EMAIL_SENT"]));
    assert_eq!(rotate(&mut story, id, 2, 0).err(), Some(Rejection::NotSigned));
    assert_eq!(rotate(&mut story, WebhookId(99), 2, 0).err(), Some(Rejection::NoWebhook));
}

fn delivery(profile: &str, event_type: &str) -> (Story, WebhookId, DeliveryKey) {
    let mut story = Story::of(profile);
    let id = story.webhook(settings(&[event_type]));
    let key = story.publish(event_type)[0];
    (story, id, key)
}

fn webhook(story: &Story, id: WebhookId) -> Arc<Webhook> {
    Arc::clone(story.kernel.directory.webhook(id).unwrap())
}

#[test]
fn a_410_switches_the_webhook_off_and_the_delivery_waits() {
    let (mut story, id, key) = delivery("standard", "invoice.paid");
    let version = webhook(&story, id).version;
    let cell = story.answer(key, 410, version);
    assert_eq!(cell.status, Status::Pending);
    let off = webhook(&story, id);
    assert!(!off.settings.enabled);
    assert_eq!(Some(off.version), story.records.last().map(|record| record.position), "it names the fact that made it");
    let [Fact::AttemptFinished { attempt, .. }, Fact::WebhookChanged(changed)] = &*story.facts else {
        panic!("{:?}", story.facts)
    };
    assert_eq!(*changed, off);
    let message = &attempt.exchange.failure.as_ref().unwrap().message;
    assert!(message.starts_with("http_status: 410") && message.contains("switched off"), "{message}");
    assert_eq!(story.effects, [Effect::Free(key, Millis(20)), Effect::Sleep(cell), Effect::Webhook(off)]);
    assert_eq!(story.kernel.pending_of(id), 1);
    assert!(story.publish("invoice.paid").is_empty(), "no new events");
}

#[test]
fn a_410_at_the_end_of_the_schedule_exhausts_the_delivery_as_well() {
    let mut story = Story::of("standard");
    let retry_policy = Some(super::story::policy(&[], 0));
    let id = story.webhook(Settings { retry_policy, ..settings(&["invoice.paid"]) });
    let key = story.publish("invoice.paid")[0];
    let version = webhook(&story, id).version;
    assert_eq!(story.answer(key, 410, version).status, Status::Exhausted);
    assert!(!webhook(&story, id).settings.enabled);
}

#[test]
fn a_410_to_what_the_webhook_was_before_switches_nothing_off() {
    let (mut story, id, key) = delivery("standard", "invoice.paid");
    let version = webhook(&story, id).version;
    story.change(id, Change { url: Some("https://example.com/new".into()), ..Change::default() });
    story.answer(key, 410, version);
    assert!(webhook(&story, id).settings.enabled);
    assert_eq!(story.facts.len(), 1);
}

#[test]
fn a_second_410_of_a_webhook_that_is_off_already_changes_nothing_more() {
    let (mut story, id, key) = delivery("standard", "invoice.paid");
    let second = story.publish("invoice.paid")[0];
    let version = webhook(&story, id).version;
    story.answer(key, 410, version);
    let off = webhook(&story, id);
    story.answer(second, 410, version);
    assert_eq!(webhook(&story, id), off);
}

#[test]
fn elsewhere_a_410_is_a_failure_like_others_and_other_statuses_are_so_everywhere() {
    for (profile, event_type, status) in [
        ("genesy", "EMAIL_SENT", 410),
        ("snaily", "contact.replied", 410),
        ("standard", "a", 404),
        ("standard", "a", 200),
    ] {
        let (mut story, id, key) = delivery(profile, event_type);
        let version = webhook(&story, id).version;
        story.answer(key, status, version);
        assert!(webhook(&story, id).settings.enabled, "{profile} {status}");
        assert_eq!(story.facts.len(), 1, "{profile} {status}");
    }
}
