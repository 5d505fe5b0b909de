//! Webhooks and workspaces that change or go away, and what becomes of their deliveries.

use super::story::{Story, event, profile, settings};
use crate::command::{Command, Rejection, Reply};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::Fact;
use crate::ids::WebhookId;
use crate::sealed::SealingKeyId;
use crate::time::Millis;
use crate::webhook::Change;
use crate::workspace::{KeyHash, Scopes};

const SENT: &str = "EMAIL_SENT";

#[test]
fn deleting_a_webhook_cancels_what_is_pending() {
    let mut story = Story::of("genesy");
    let (gone, stays) = (story.webhook(settings(&[SENT])), story.webhook(settings(&[SENT])));
    let keys = story.publish(SENT);
    story.delete(gone);
    assert_eq!(story.effects, [Effect::ForgetWebhook(gone)]);
    let pending: Vec<_> = keys.iter().map(|key| story.kernel.is_pending(&story.cells[key])).collect();
    assert_eq!(pending, [false, true]);
    assert_eq!((story.kernel.pending(), story.kernel.pending_of(stays)), (1, 1));
    let again = Command::DeleteWebhook { workspace: story.workspace, id: gone };
    assert_eq!(story.tell(again).err(), Some(Rejection::NoWebhook));
}

#[test]
fn an_attempt_in_flight_when_its_webhook_goes_is_still_filed() {
    for (is_success, status) in [(true, Status::Succeeded), (false, Status::Cancelled)] {
        let (mut story, webhook, key) = Story::delivery_by(None);
        story.delete(webhook);
        let cell = if is_success { story.succeed(key) } else { story.fail(key) };
        assert_eq!((cell.status, cell.attempts, story.kernel.pending()), (status, 1, 0));
        assert_eq!(story.effects, [Effect::Free(key, Millis(20))]);
    }
}

#[test]
fn a_webhooks_id_is_never_used_again() {
    let mut story = Story::of("genesy");
    let first = story.webhook(settings(&[SENT]));
    story.delete(first);
    assert_eq!(story.webhook(settings(&[SENT])), WebhookId(first.0 + 1));
}

#[test]
fn only_other_custom_fields_make_a_new_revision() {
    let mut story = Story::of("genesy");
    let id = story.webhook(settings(&[SENT]));
    let made = story.kernel.directory.webhook(id).expect("just made").clone();
    let renamed = story.change(id, Change { name: Some("Other".into()), ..Change::default() });
    assert!(renamed.revision == made.revision && renamed.version > made.version);
    let same = story.change(id, Change { custom_fields: Some(Vec::new()), ..Change::default() });
    assert_eq!(same.revision, made.revision);
    let other = story.change(id, Change { custom_fields: Some(vec!["leadScore".into()]), ..Change::default() });
    assert_eq!(other.revision, other.version);
}

#[test]
fn a_delivery_keeps_the_custom_fields_that_it_was_chosen_with() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.change(webhook, Change { custom_fields: Some(vec!["leadScore".into()]), ..Change::default() });
    let later = story.publish(SENT)[0];
    let fields = |story: &Story, key| {
        let cell: &crate::delivery::Cell = &story.cells[&key];
        story.kernel.directory.projection(cell.webhook, cell.revision).map(|fields| fields.len())
    };
    story.fail(key);
    assert_eq!((fields(&story, key), fields(&story, later)), (Some(0), Some(1)));
}

#[test]
fn deleting_a_workspace_takes_everything_with_it_and_destroys_its_key() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    let sealing_key = story.kernel.directory.workspace(story.workspace).expect("it is there").sealing_key;
    story.tell(Command::DeleteWorkspace { id: story.workspace }).expect("it is there");
    assert_eq!(story.effects, [Effect::ForgetWebhook(webhook), Effect::DestroyKey(sealing_key)]);
    assert_eq!((story.kernel.pending(), story.kernel.directory.webhooks().count()), (0, 0));
    assert_eq!(story.fail(key).status, Status::Cancelled);
    let webhook = Command::CreateWebhook { workspace: story.workspace, settings: settings(&[SENT]).into() };
    assert_eq!(story.tell(webhook).err(), Some(Rejection::NoWorkspace));
}

#[test]
fn a_key_is_found_by_its_hash_until_it_is_revoked() {
    let mut story = Story::of("genesy");
    let (workspace, hash) = (story.workspace, KeyHash([0xab; 32]));
    let create = Command::CreateKey { workspace, name: "ci".into(), scopes: Scopes::ALL, hash };
    let Ok(Reply::KeyCreated(id)) = story.tell(create) else { panic!("a key is made") };
    assert_eq!(story.kernel.directory.key(&hash).map(|key| key.id), Some(id));
    story.tell(Command::RevokeKey { workspace, id }).expect("it is there");
    assert_eq!(story.kernel.directory.key(&hash), None);
    assert_eq!(story.tell(Command::RevokeKey { workspace, id }).err(), Some(Rejection::NoKey));
}

#[test]
fn with_a_workspace_each_of_its_webhooks_is_said_to_go() {
    let mut story = Story::of("genesy");
    let [first, second] = [story.webhook(settings(&[SENT])), story.webhook(settings(&[SENT]))];
    story.publish(SENT);
    let workspace = story.workspace;
    story.tell(Command::DeleteWorkspace { id: workspace }).expect("it is there");
    let gone = |id: WebhookId| Fact::WebhookDeleted { workspace, id };
    assert_eq!(story.facts, [gone(first), gone(second), Fact::WorkspaceDeleted { id: workspace }]);
    assert_eq!((story.kernel.pending(), story.kernel.directory.webhook(first)), (0, None));
}

#[test]
fn a_profile_that_is_registered_already_leaves_no_fact() {
    let mut story = Story::of("genesy");
    story.tell(Command::RegisterProfile(profile("genesy"))).expect("it is the same");
    assert!(story.facts.is_empty());
    let create = Command::CreateWorkspace {
        name: "x".into(),
        profile: "unknown".into(),
        sealing_key: SealingKeyId(1),
        key_hash: KeyHash([1; 32]),
    };
    assert_eq!(story.tell(create).err(), Some(Rejection::NoProfile));
}

#[test]
fn a_test_is_filed_and_touches_no_delivery() {
    let (mut story, webhook, key) = Story::delivery_by(None);
    story.succeed(key);
    let Some(Fact::AttemptFinished { attempt, .. }) = story.facts.first().cloned() else { panic!("an attempt ended") };
    let measured = crate::command::Measured {
        started: attempt.started,
        exchange: attempt.exchange,
        body: bytes::Bytes::new(),
        crc32c: 0,
        webhook_version: attempt.webhook_version,
    };
    let (workspace, event_type) = (story.workspace, SENT.into());
    let event_id = event(Some("evt_test"), SENT, "{}").id.expect("given");
    let test = Command::RecordTest { workspace, webhook, event_id, event_type, measured };
    assert!(matches!(story.tell(test), Ok(Reply::Recorded(id)) if id.0 == attempt.id.0 + 1));
    assert_eq!((story.effects.len(), story.kernel.pending()), (0, 0));
}
