//! Replays: which events each kind means, step by step, and what stops one.

use super::story::{START, Story, event, settings};
use crate::command::{Command, Rejection};
use crate::delivery::Status;
use crate::effect::Effect;
use crate::event::NewEvent;
use crate::fact::Fact;
use crate::ids::{DeliveryKey, Position, ReplayId, WebhookId};
use crate::limits;
use crate::replay::{Only, ReplayState, Wish};
use crate::time::Millis;
use crate::webhook::{CampaignId, Change, Settings};

/// A webhook with four deliveries: succeeded, exhausted, asleep after a failure, and not attempted yet.
fn four() -> (Story, WebhookId, [DeliveryKey; 4]) {
    let mut story = Story::of("genesy");
    let webhook = story.webhook(settings(&["EMAIL_SENT"]));
    let keys = [(); 4].map(|()| story.publish("EMAIL_SENT")[0]);
    story.fail_to_the_end(keys[1]);
    story.succeed(keys[0]);
    story.fail(keys[2]);
    (story, webhook, keys)
}

#[test]
fn failed_means_what_is_exhausted_and_skips_what_is_pending_anyway() {
    let (mut story, webhook, keys) = four();
    let id = story.start_replay(webhook, Only::Failed).unwrap();
    assert_eq!(story.advance(id, 10), Ok(vec![keys[1]]));
    assert_eq!(story.effects, [Effect::Hasten(story.cells[&keys[1]])]);
    let replay = story.replay(id);
    assert_eq!((replay.state, replay.created, replay.skipped), (ReplayState::Finished, 1, 2));
    assert_eq!(story.kernel.pending_of(webhook), 3);
}

#[test]
fn all_means_what_succeeded_too_and_not_what_was_missed() {
    let (mut story, webhook, keys) = four();
    story.change(webhook, Change { events: Some(vec!["POST_LIKED".into()]), ..Change::default() });
    story.accept(event(None, "EMAIL_SENT", "{}")).unwrap();
    let id = story.start_replay(webhook, Only::All).unwrap();
    assert_eq!(story.advance(id, 10), Ok(vec![keys[0], keys[1]]));
}

#[test]
fn what_is_sent_again_gets_a_new_schedule_and_goes_on_counting() {
    let (mut story, webhook, keys) = four();
    let id = story.start_replay(webhook, Only::Failed).unwrap();
    story.advance(id, 10).unwrap();
    assert_eq!(story.fail_to_the_end(keys[1]).len(), 4);
    let cell = story.cells[&keys[1]];
    assert_eq!((cell.attempts, cell.attempts_before, cell.status), (8, 4, Status::Exhausted));
}

#[test]
fn missed_means_what_the_filter_lets_through_now_also_from_before_the_webhook() {
    let mut story = Story::of("genesy");
    let first = story.webhook(settings(&["EMAIL_SENT"]));
    let of = |campaign: &str| NewEvent { campaign: Some(campaign.into()), ..event(None, "EMAIL_SENT", "{}") };
    story.accept(of("7")).unwrap();
    let earlier = story.newest().at;
    story.accept(of("8")).unwrap();
    story.accept(event(None, "POST_LIKED", "{}")).unwrap();
    let campaign_ids = vec![CampaignId { text: "7".into(), is_number: true }];
    let late = story.webhook(Settings { campaign_ids, ..settings(&["EMAIL_SENT"]) });
    story.accept(of("7")).unwrap();
    story.switch(late, false);
    story.accept(of("7")).unwrap();
    let while_off = story.newest().at;
    story.switch(late, true);

    let id = story.start_replay(late, Only::Missed).unwrap();
    let added = [earlier, while_off].map(|at| DeliveryKey::added(at, 0));
    assert_eq!(story.advance(id, 10), Ok(added.to_vec()));
    assert_eq!(story.effects, added.map(|key| Effect::Deliver(story.cells[&key])));
    assert_eq!((story.replay(id).skipped, story.kernel.pending_of(late)), (0, 3));
    // It never had one, and has one now.
    let again = story.start_replay(late, Only::Missed).unwrap();
    assert_eq!(story.advance(again, 10), Ok(vec![]));
    let again = story.start_replay(first, Only::Missed).unwrap();
    assert_eq!(story.advance(again, 10), Ok(vec![]));
}

#[test]
fn what_is_added_is_rendered_as_the_webhook_is_then_and_each_has_an_id_of_its_own() {
    let mut story = Story::of("genesy");
    story.accept(event(None, "EMAIL_SENT", "{}")).unwrap();
    let at = story.newest().at;
    let hooks = [(); 3].map(|()| story.webhook(settings(&["EMAIL_SENT"])));
    let changed = story.change(hooks[1], Change { custom_fields: Some(vec!["leadScore".into()]), ..Change::default() });
    for (nth, webhook) in (0..).zip(hooks) {
        let id = story.start_replay(webhook, Only::Missed).unwrap();
        assert_eq!(story.advance(id, 10), Ok(vec![DeliveryKey::added(at, nth)]));
    }
    story.change(hooks[1], Change { custom_fields: Some(vec![]), ..Change::default() });
    let cell = story.cells[&DeliveryKey::added(at, 1)];
    assert_eq!((cell.webhook, cell.revision, cell.due), (hooks[1], changed.revision, story.now));
    assert!(cell.key.is_added() && !cell.is_fresh());
    assert_eq!(story.fail_to_the_end(cell.key).len(), 4);
    story.retry(cell.key).unwrap();
    assert_eq!(story.succeed(cell.key).attempts, 5);
}

#[test]
fn each_step_makes_due_what_there_is_room_for_and_none_is_made_due_twice() {
    let mut story = Story::of("genesy");
    let webhook = story.webhook(settings(&["EMAIL_SENT"]));
    let keys: Vec<_> = (0..10).map(|_| story.publish("EMAIL_SENT")[0]).collect();
    story.succeed_all(&keys);
    let id = story.start_replay(webhook, Only::All).unwrap();
    let mut due = Vec::new();
    while story.replay(id).state == ReplayState::Running {
        let step = story.advance(id, 3).unwrap();
        assert!(step.len() <= 3);
        // What has ended again is not met again.
        story.succeed_all(&step);
        due.extend(step);
    }
    assert_eq!(due, keys);
    assert_eq!(story.replay(id).created, 10);
    assert_eq!(story.advance(id, 3), Err(Rejection::NoReplay));
}

#[test]
fn a_step_goes_only_as_far_as_was_read() {
    let (mut story, webhook, keys) = four();
    let id = story.start_replay(webhook, Only::All).unwrap();
    story.reads_to = keys[1].event;
    assert_eq!(story.advance(id, 10), Ok(vec![keys[0]]));
    assert_eq!((story.replay(id).next, story.replay(id).state), (keys[1].event, ReplayState::Running));
    // Nothing was read: nothing to say.
    assert_eq!(story.advance(id, 10), Ok(vec![]));
    assert!(story.facts.is_empty());
    story.reads_to = Position::from_u64(u64::MAX);
    assert_eq!(story.advance(id, 10), Ok(vec![keys[1]]));
    assert_eq!(story.replay(id).next, id.0);
}

#[test]
fn a_window_is_of_acceptance_from_since_and_before_until() {
    let mut story = Story::of("genesy");
    let webhook = story.webhook(settings(&["EMAIL_SENT", "POST_LIKED"]));
    let keys: Vec<_> = (0..4)
        .map(|n| {
            let key = story.publish(if n == 2 { "POST_LIKED" } else { "EMAIL_SENT" })[0];
            story.succeed(key);
            story.wait(980);
            key
        })
        .collect();
    let second = |n: u64| START + Millis(n * 1000);
    for (since, until, types, wanted) in [
        (0, None, vec![], vec![0, 1, 2, 3]),
        (1, None, vec![], vec![1, 2, 3]),
        (1, Some(3), vec![], vec![1, 2]),
        (0, Some(1), vec![], vec![0]),
        (0, None, vec!["POST_LIKED".into()], vec![2]),
        (9, None, vec![], vec![]),
    ] {
        let wish = Wish { since: second(since), until: until.map(second), event_types: types, only: Only::All };
        let id = story.start_replay_of(webhook, wish).unwrap();
        let due = story.advance(id, 10).unwrap();
        assert_eq!(due, wanted.iter().map(|&n| keys[n]).collect::<Vec<_>>(), "since {since}, until {until:?}");
        story.succeed_all(&due);
    }
}

#[test]
fn events_that_come_after_its_beginning_are_none_of_its() {
    let (mut story, webhook, _) = four();
    let id = story.start_replay(webhook, Only::All).unwrap();
    let late = story.publish("EMAIL_SENT")[0];
    story.succeed(late);
    assert!(!story.advance(id, 10).unwrap().contains(&late));
}

#[test]
fn what_was_erased_or_removed_is_skipped() {
    let mut story = Story::of("snaily");
    let webhook = story.webhook(settings(&["contact.connected"]));
    let keys: Vec<_> = (0..3).map(|_| story.publish("contact.connected")[0]).collect();
    story.fail_to_the_end(keys[0]);
    story.succeed_all(&keys[1..]);
    let erased = story.events.values().find(|event| event.at == keys[1].event).unwrap().id.clone();
    story.tell(Command::EraseEvent { workspace: story.workspace, id: erased }).unwrap();
    let id = story.start_replay(webhook, Only::All).unwrap();
    assert_eq!(story.advance(id, 10), Ok(vec![keys[2]]));
    assert_eq!(story.replay(id).skipped, 2);
    let missing = story.webhook(settings(&["contact.connected"]));
    let id = story.start_replay(missing, Only::Missed).unwrap();
    assert_eq!(story.advance(id, 10).unwrap().len(), 2, "the removed one has its payload until nothing is pending");
    assert_eq!(story.replay(id).skipped, 1);
}

#[test]
fn a_replay_is_paused_resumed_and_cancelled() {
    let (mut story, webhook, _) = four();
    let id = story.start_replay(webhook, Only::All).unwrap();
    story.advance(id, 1).unwrap();
    assert_eq!(story.change_replay(id, ReplayState::Paused).unwrap().state, ReplayState::Paused);
    assert_eq!(story.advance(id, 1), Err(Rejection::NoReplay));
    assert_eq!(story.kernel.replays.running().count(), 0);
    story.change_replay(id, ReplayState::Paused).unwrap();
    assert!(story.facts.is_empty(), "it is paused already");
    story.change_replay(id, ReplayState::Running).unwrap();
    assert_eq!(story.kernel.replays.running().count(), 1);
    story.change_replay(id, ReplayState::Cancelled).unwrap();
    assert_eq!(story.advance(id, 1), Err(Rejection::NoReplay));
    story.change_replay(id, ReplayState::Cancelled).unwrap();
    assert!(story.facts.is_empty());
    for state in [ReplayState::Paused, ReplayState::Running] {
        let refused = Rejection::ReplayEnded(ReplayState::Cancelled);
        assert_eq!(story.change_replay(id, state), Err(refused));
    }
    assert_eq!(story.replay(id).created, 1, "what it made due stays due");
}

#[test]
fn it_ends_with_its_webhook_and_goes_with_its_workspace() {
    let (mut story, webhook, _) = four();
    let other = story.webhook(settings(&["EMAIL_SENT"]));
    let (id, kept) = (story.start_replay(webhook, Only::All).unwrap(), story.start_replay(other, Only::All).unwrap());
    story.delete(webhook);
    assert_eq!((story.replay(id).state, story.replay(kept).state), (ReplayState::Cancelled, ReplayState::Running));
    story.tell(Command::DeleteWorkspace { id: story.workspace }).unwrap();
    assert!(story.kernel.replays.get(story.workspace, kept).is_none());
    assert_eq!(story.kernel.replays.running().count(), 0);
}

#[test]
fn nothing_begins_or_goes_on_while_the_webhook_is_off() {
    let (mut story, webhook, _) = four();
    let id = story.start_replay(webhook, Only::All).unwrap();
    story.switch(webhook, false);
    assert_eq!(story.start_replay(webhook, Only::All), Err(Rejection::WebhookOff));
    assert_eq!(story.advance(id, 10), Err(Rejection::WebhookOff));
    story.switch(webhook, true);
    assert_eq!(story.advance(id, 10).unwrap().len(), 2);
}

#[test]
fn another_workspace_has_neither_the_webhook_nor_the_replay() {
    let (mut story, webhook, _) = four();
    let id = story.start_replay(webhook, Only::All).unwrap();
    story.workspace = story.another_workspace("genesy");
    assert_eq!(story.start_replay(webhook, Only::All), Err(Rejection::NoWebhook));
    assert_eq!(story.change_replay(id, ReplayState::Paused), Err(Rejection::NoReplay));
    assert_eq!(story.advance(id, 10), Err(Rejection::NoReplay));
}

#[test]
fn few_are_open_at_once_and_of_those_that_ended_the_newest_are_known() {
    let (mut story, webhook, _) = four();
    let ids: Vec<_> = (0..limits::REPLAYS_OPEN_MAX).map(|_| story.start_replay(webhook, Only::All).unwrap()).collect();
    assert!(matches!(story.start_replay(webhook, Only::All), Err(Rejection::TooMany { .. })));
    ids.iter().for_each(|id| drop(story.change_replay(*id, ReplayState::Cancelled).unwrap()));
    let last: Vec<ReplayId> = (0..limits::REPLAYS_ENDED_MAX + 1)
        .map(|_| {
            let id = story.start_replay(webhook, Only::All).unwrap();
            story.change_replay(id, ReplayState::Cancelled).unwrap();
            id
        })
        .collect();
    assert!(ids.iter().all(|id| story.kernel.replays.get(story.workspace, *id).is_none()));
    assert!(last.iter().all(|id| story.kernel.replays.get(story.workspace, *id).is_some()));
}

#[test]
fn a_step_is_one_decision_that_names_how_many_follow() {
    let (mut story, webhook, _) = four();
    let id = story.start_replay(webhook, Only::All).unwrap();
    story.advance(id, 10).unwrap();
    let [Fact::ReplayAdvanced { released: 2, skipped: 2, .. }, follow @ ..] = &story.facts[..] else {
        panic!("{:?}", story.facts)
    };
    assert!(follow.len() == 2 && follow.iter().all(|fact| matches!(fact, Fact::RetryRequested { .. })));
}
