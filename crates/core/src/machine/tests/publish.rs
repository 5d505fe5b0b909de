//! Accepting an event: is it new, when did it happen, who gets it.

use std::collections::BTreeSet;

use super::story::{Story, event, settings};
use crate::command::{Command, Rejection};
use crate::effect::Effect;
use crate::event::{Digest, NewEvent};
use crate::webhook::{CampaignId, Change, Settings};

const SENT: &str = "EMAIL_SENT";

fn campaign(text: &str) -> CampaignId {
    CampaignId { text: text.into(), is_number: false }
}

fn chosen(story: &Story) -> Vec<u64> {
    story.newest().chosen.iter().map(|c| c.webhook.0).collect()
}

#[test]
fn the_same_event_again_is_answered_as_before_and_leaves_no_fact() {
    let mut story = Story::of("genesy");
    story.webhook(settings(&[SENT]));
    let first = story.accept(event(Some("order-1"), SENT, "{}")).expect("it is new");
    assert!(!first.duplicate && first.deliveries == 1);
    // Whoever subscribed meanwhile does not change the answer.
    story.webhook(settings(&[SENT]));
    let again = story.accept(event(Some("order-1"), SENT, "{}")).expect("it is the same");
    assert!(again.duplicate && again.deliveries == 1 && again.id == first.id);
    assert_eq!((story.facts.len(), story.effects.len()), (0, 0));
}

#[test]
fn another_event_under_a_used_id_is_refused() {
    let mut story = Story::of("genesy");
    story.accept(event(Some("order-1"), SENT, "{}")).expect("it is new");
    let with_created = Some("2026-02-19T10:30:00.000Z");
    let others = [
        event(Some("order-1"), SENT, "{ }"),
        event(Some("order-1"), "POST_LIKED", "{}"),
        NewEvent {
            created: with_created.map(Into::into),
            digest: Digest::of(SENT, with_created, b"{}"),
            ..event(Some("order-1"), SENT, "{}")
        },
    ];
    for other in others {
        assert_eq!(story.accept(other).err(), Some(Rejection::IdTaken));
    }
}

#[test]
fn an_id_is_taken_in_its_own_workspace_only() {
    let mut story = Story::of("genesy");
    story.accept(event(Some("order-1"), SENT, "{}")).expect("it is new");
    let workspace = story.another_workspace("genesy");
    let other = event(Some("order-1"), SENT, "{ }");
    assert!(story.tell(Command::Publish { workspace, event: other }).is_ok());
}

#[test]
fn a_generated_id_names_the_events_position() {
    let mut story = Story::of("genesy");
    let accepted = story.accept(event(None, SENT, "{}")).expect("it is new");
    assert_eq!(accepted.id.position(), Some(story.newest().at));
}

#[test]
fn webhooks_get_the_types_that_they_list_in_the_order_of_their_ids() {
    let mut story = Story::of("genesy");
    story.webhook(settings(&[SENT, "POST_LIKED"]));
    story.webhook(settings(&["POST_LIKED"]));
    story.webhook(settings(&[SENT]));
    let keys = story.publish(SENT);
    assert_eq!(chosen(&story), [1, 3]);
    let delivered: Vec<_> = keys.iter().map(|key| Effect::Deliver(story.cells[key])).collect();
    assert_eq!(story.effects, delivered);
    story.publish("PROFILE_VISITED");
    assert_eq!((chosen(&story).len(), story.effects.len()), (0, 0));
}

#[test]
fn webhooks_of_some_campaigns_get_only_their_events() {
    let mut story = Story::of("genesy");
    story.webhook(settings(&[SENT]));
    story.webhook(Settings { campaign_ids: vec![campaign("4821"), campaign("9")], ..settings(&[SENT]) });
    story.webhook(Settings { campaign_ids: vec![campaign("7")], ..settings(&[SENT]) });
    for (of, expected) in [(Some("4821"), &[1, 2][..]), (Some("7"), &[1, 3]), (Some("1"), &[1]), (None, &[1])] {
        story.accept(NewEvent { campaign: of.map(Into::into), ..event(None, SENT, "{}") }).expect("it is new");
        assert_eq!(chosen(&story), expected, "{of:?}");
    }
}

#[test]
fn a_change_of_types_or_campaigns_counts_from_the_next_event() {
    let mut story = Story::of("genesy");
    let id = story.webhook(Settings { campaign_ids: vec![campaign("7")], ..settings(&[SENT]) });
    story.change(
        id,
        Change { events: Some(vec!["POST_LIKED".into()]), campaign_ids: Some(Vec::new()), ..Change::default() },
    );
    assert_eq!((story.publish(SENT).len(), story.publish("POST_LIKED").len()), (0, 1));
}

#[test]
fn a_webhook_that_is_off_gets_no_new_events_and_keeps_its_pending_ones() {
    let mut story = Story::of("genesy");
    let id = story.webhook(settings(&[SENT]));
    story.publish(SENT);
    story.switch(id, false);
    assert_eq!((story.publish(SENT).len(), story.kernel.pending_of(id)), (0, 1));
    story.switch(id, true);
    assert_eq!((story.publish(SENT).len(), story.kernel.pending_of(id)), (1, 2));
}

#[test]
fn without_a_time_the_event_happened_when_it_was_accepted() {
    let mut story = Story::of("snaily");
    story.accept(event(None, "contact.connected", "{}")).expect("it is new");
    assert_eq!(&*story.newest().created, "2026-02-19T10:30:00.000Z");
}

#[test]
fn times_do_not_repeat_where_the_profile_says_so() {
    for (profile, event_type, distinct) in [("genesy", SENT, 5), ("snaily", "contact.connected", 1)] {
        let mut story = Story::of(profile);
        let created: BTreeSet<_> = (0..5)
            .map(|_| {
                story.accept(event(None, event_type, "{}")).expect("it is new");
                story.newest().created.clone()
            })
            .collect();
        assert_eq!(created.len(), distinct, "{profile}");
    }
}

#[test]
fn in_a_deleted_workspace_nothing_is_published() {
    let mut story = Story::of("genesy");
    story.tell(Command::DeleteWorkspace { id: story.workspace }).expect("it is there");
    assert_eq!(story.accept(event(None, SENT, "{}")).err(), Some(Rejection::NoWorkspace));
}
