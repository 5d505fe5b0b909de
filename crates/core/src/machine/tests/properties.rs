//! Any run of commands, against naive models: replay gives the live kernel, counts are exact, numbers dense, times unique.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::story::{Story, event, policy, settings};
use crate::command::Command;
use crate::delivery::Status;
use crate::effect::Effect;
use crate::fact::{Fact, Record};
use crate::ids::{DeliveryKey, Position, WebhookId};
use crate::machine::{Kernel, apply};
use crate::replay::{Only, ReplayState};
use crate::time::Time;
use crate::webhook::{Change, Settings};

/// What someone does; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Act {
    Create(bool),
    Switch(usize, bool),
    Delete(usize),
    Publish(u8, bool),
    Succeed(usize),
    Fail(usize, Option<u64>),
    Retry(usize),
    Erase(usize),
    Replay(usize, usize),
    ChangeReplay(usize, usize),
    Advance(usize, usize),
    Wait(u64),
    DeleteWorkspace,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any::<bool>().prop_map(Act::Create),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(n, on)| Act::Switch(n, on)),
        1 => any::<usize>().prop_map(Act::Delete),
        8 => (any::<u8>(), any::<bool>()).prop_map(|(id, other)| Act::Publish(id % 16, other)),
        4 => any::<usize>().prop_map(Act::Succeed),
        8 => (any::<usize>(), prop::option::of(any::<u64>())).prop_map(|(n, asked)| Act::Fail(n, asked)),
        3 => any::<usize>().prop_map(Act::Retry),
        1 => any::<usize>().prop_map(Act::Erase),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(n, only)| Act::Replay(n, only)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(n, state)| Act::ChangeReplay(n, state)),
        4 => (any::<usize>(), 1usize..4).prop_map(|(n, room)| Act::Advance(n, room)),
        3 => (0u64..100_000).prop_map(Act::Wait),
        1 => Just(Act::DeleteWorkspace),
    ]
}

fn nth<T: Copy>(of: impl Iterator<Item = T>, n: usize) -> Option<T> {
    let all: Vec<_> = of.collect();
    all.get(n.checked_rem(all.len())?).copied()
}

fn nth_webhook(story: &Story, n: usize) -> Option<WebhookId> {
    nth(story.kernel.directory.webhooks().map(|webhook| webhook.id), n)
}

/// A delivery that an attempt may be made of.
fn nth_pending(story: &Story, n: usize) -> Option<DeliveryKey> {
    nth(story.cells.values().filter(|cell| cell.status == Status::Pending).map(|cell| cell.key), n)
}

fn perform(story: &mut Story, act: Act) {
    match act {
        Act::Create(own_policy) if story.kernel.directory.workspaces().len() > 0 => {
            let retry_policy = own_policy.then(|| policy(&[1_000, 5_000], 500));
            let settings = Settings { retry_policy, ..settings(&["EMAIL_SENT"]) };
            story.webhook(settings);
        }
        Act::Create(_) => story.workspace = story.another_workspace("genesy"),
        Act::Switch(n, on) => {
            let change = Change { enabled: Some(on), ..Change::default() };
            nth_webhook(story, n).map(|id| story.change(id, change));
        }
        Act::Delete(n) => {
            let found = nth_webhook(story, n);
            found.into_iter().for_each(|id| story.delete(id));
        }
        Act::Publish(id, other) => {
            let id = (id > 3).then(|| format!("order-{id}"));
            let data = if other { "{}" } else { "{ }" };
            let _ = story.accept(event(id.as_deref(), "EMAIL_SENT", data));
        }
        Act::Succeed(n) => {
            nth_pending(story, n).map(|key| story.succeed(key));
        }
        Act::Fail(n, asked) => {
            nth_pending(story, n).map(|key| match asked {
                Some(span) => story.fail_asking(key, span),
                None => story.fail(key),
            });
        }
        Act::Retry(n) => {
            let _ = nth(story.cells.keys().copied(), n).map(|key| story.retry(key));
        }
        Act::Erase(n) => {
            let (workspace, event) = (story.workspace, nth(story.events.keys(), n).cloned());
            let erase = |(_, id)| story.tell(Command::EraseEvent { workspace, id });
            let _ = event.filter(|(of, _)| *of == workspace).map(erase);
        }
        Act::Replay(n, only) => {
            let _ = nth_webhook(story, n).map(|webhook| story.start_replay(webhook, Only::ALL[only % 3]));
        }
        Act::ChangeReplay(n, state) => {
            let known = nth(story.kernel.replays.running().map(|replay| replay.id), n);
            let state = [ReplayState::Paused, ReplayState::Running, ReplayState::Cancelled][state % 3];
            let _ = known.map(|id| story.change_replay(id, state));
        }
        Act::Advance(n, room) => {
            let running = nth(story.kernel.replays.running().map(|replay| replay.id), n);
            let _ = running.map(|id| story.advance(id, room));
        }
        Act::Wait(span) => story.wait(span),
        Act::DeleteWorkspace => {
            let _ = story.tell(Command::DeleteWorkspace { id: story.workspace });
        }
    }
}

/// What is unfinished, counted the slow way.
fn counted(story: &Story) -> BTreeMap<WebhookId, u64> {
    let mut counts: BTreeMap<_, _> = story.kernel.directory.webhooks().map(|webhook| (webhook.id, 0)).collect();
    for cell in story.cells.values().filter(|cell| cell.status == Status::Pending) {
        counts.entry(cell.webhook).and_modify(|count| *count += 1);
    }
    counts
}

proptest! {
    #[test]
    fn a_replay_gives_the_kernel_and_the_effects_of_the_live_run(acts in prop::collection::vec(act(), 1..120)) {
        let mut story = Story::of("genesy");
        let mut live = Vec::new();
        for act in acts {
            story.facts.clear();
            story.effects.clear();
            perform(&mut story, act);
            live.append(&mut story.effects);
        }
        let (mut kernel, mut replayed) = (Kernel::default(), Vec::new());
        for record in &story.records {
            apply(&mut kernel, record, |effect| replayed.push(effect));
        }
        prop_assert_eq!(&kernel, &story.kernel);
        prop_assert_eq!(replayed, live);
    }

    #[test]
    fn a_state_that_was_restated_is_the_state(acts in prop::collection::vec(act(), 1..120), later in prop::collection::vec(act(), 0..20)) {
        let mut story = Story::of("genesy");
        acts.into_iter().for_each(|act| perform(&mut story, act));
        let restate = |kernel: &mut Kernel, facts: Vec<Fact>| {
            for fact in facts {
                apply(kernel, &Record { position: Position::new(0, 0), time: Time(0), fact }, |_| ());
            }
        };
        let mut again = Kernel::default();
        restate(&mut again, story.kernel.restate());
        prop_assert_eq!(&again, &story.kernel);
        let before = story.records.len();
        later.into_iter().for_each(|act| perform(&mut story, act));
        story.records[before..].iter().for_each(|record| apply(&mut again, record, |_| ()));
        prop_assert_eq!(&again, &story.kernel);
        // Where it is known already it says nothing new.
        let facts = again.restate();
        restate(&mut again, facts);
        prop_assert_eq!(&again, &story.kernel);
    }

    #[test]
    fn pending_counts_are_exact_and_effects_keep_one_place_for_each(acts in prop::collection::vec(act(), 1..120)) {
        let mut story = Story::of("genesy");
        let mut resident = BTreeSet::new();
        for act in acts {
            story.effects.clear();
            perform(&mut story, act);
            for effect in story.effects.drain(..) {
                match effect {
                    Effect::Deliver(cell) | Effect::Sleep(cell) => {
                        prop_assert!(resident.insert((cell.webhook, cell.key)), "{} has two places", cell.key);
                    }
                    // One that had ended comes back; one that waits is there already.
                    Effect::Hasten(cell) => { resident.insert((cell.webhook, cell.key)); }
                    Effect::Free(key, _) | Effect::Forget(key) => resident.retain(|(_, resident)| *resident != key),
                    Effect::ForgetWebhook(id) => resident.retain(|(webhook, _)| *webhook != id),
                    Effect::Webhook(_) | Effect::DestroyKey(_) | Effect::ErasePayload(_) => {}
                }
            }
            let counts = counted(&story);
            prop_assert_eq!(story.kernel.pending(), counts.values().sum::<u64>());
            for (&webhook, &count) in &counts {
                prop_assert_eq!(story.kernel.pending_of(webhook), count);
                prop_assert_eq!(resident.iter().filter(|(of, _)| *of == webhook).count() as u64, count);
            }
        }
    }

    #[test]
    fn attempts_are_numbered_densely_in_each_delivery_and_over_all(acts in prop::collection::vec(act(), 1..120)) {
        let mut story = Story::of("genesy");
        acts.into_iter().for_each(|act| perform(&mut story, act));
        let (mut last, mut made) = (BTreeMap::new(), 0);
        for record in &story.records {
            let Fact::AttemptFinished { cell, attempt, .. } = &record.fact else { continue };
            let number = last.entry(cell.key).or_insert(0);
            *number += 1;
            made += 1;
            prop_assert_eq!((attempt.number, cell.attempts, attempt.id.0), (*number, *number, made));
        }
    }

    #[test]
    fn no_time_repeats_within_a_workspace_and_type(
        wishes in prop::collection::vec((0u64..1500, any::<bool>()), 1..200),
    ) {
        let mut story = Story::of("genesy");
        let mut seen = BTreeSet::new();
        for (wish, is_mail) in wishes {
            let event_type = if is_mail { "EMAIL_SENT" } else { "POST_LIKED" };
            let created = Some(crate::time::Time(wish).to_string().into());
            story.accept(crate::event::NewEvent { created, ..event(None, event_type, "{}") }).expect("it is new");
            prop_assert!(seen.insert((event_type, story.newest().created.clone())));
        }
    }
}
