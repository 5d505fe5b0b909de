//! Operators: workspaces and webhooks that are made, changed, switched and deleted, and deliveries sent again by hand.

use std::num::NonZeroU32;

use postrider_core::command::Command;
use postrider_core::machine::Entropy;
use postrider_core::policy::RetryPolicy;
use postrider_core::replay::{Only, ReplayState, Wish};
use postrider_core::sealed::{Sealed, SealingKeyId};
use postrider_core::webhook::{CampaignId, Change, Settings};
use postrider_core::workspace::KeyHash;
use postrider_core::{Millis, Time, WebhookId, WorkspaceId};

use crate::chance::Chance;
use crate::checker::{Asked, Checker};
use crate::publishers::{CAMPAIGNS, types_of};
use crate::receivers::{HOSTS, url_of};
use crate::trouble::{Trouble, Troubles};

/// So many webhooks in all, so that single ones are busy.
const WEBHOOKS_MAX: usize = 14;
/// How far back a replay's window begins, and how long it is: four days.
const WINDOW_MS: u64 = 4 * 24 * 3_600_000;

/// What an operator does next; `None` when there is nothing to do it to.
pub fn next(checker: &Checker, troubles: Troubles, chance: &mut Chance) -> Option<(Command, Asked)> {
    if troubles.has(Trouble::Replay) && chance.one_in(12) {
        return replay(checker, chance);
    }
    let webhooks = checker.webhooks();
    let draw = chance.below(25);
    let trouble = match draw {
        0 | 2..6 => Trouble::Create,
        1 => Trouble::DeleteWorkspace,
        6 | 7 => Trouble::Delete,
        8..12 => Trouble::Switch,
        12..17 => Trouble::Patch,
        24 => Trouble::Erase,
        _ => Trouble::Retry,
    };
    if !troubles.has(trouble) {
        return None;
    }
    match draw {
        0 if checker.workspaces().len() < 4 => Some(workspace(chance)),
        1 if chance.one_in(8) => {
            let (id, _) = *chance.pick(&checker.workspaces())?;
            Some((Command::DeleteWorkspace { id }, Asked::DeleteWorkspace(id)))
        }
        2..6 if webhooks.len() < WEBHOOKS_MAX => webhook(checker, chance),
        6 | 7 if webhooks.len() > 3 => {
            let (workspace, id) = *chance.pick(&webhooks)?;
            Some((Command::DeleteWebhook { workspace, id }, Asked::Delete(id)))
        }
        8..12 => {
            let (workspace, id) = *chance.pick(&webhooks)?;
            if chance.one_in(4) {
                return switch_off(checker, id, chance);
            }
            Some(switch(workspace, id, !chance.one_in(3)))
        }
        12..17 => {
            let (workspace, id) = *chance.pick(&webhooks)?;
            let change = Box::new(change(workspace, checker, chance));
            Some((Command::ChangeWebhook { workspace, id, change }, Asked::Change(id)))
        }
        24 => {
            let (workspace, id) = checker.event(chance.next_u64())?;
            Some((Command::EraseEvent { workspace, id: id.clone() }, Asked::Erase(workspace, id)))
        }
        _ => {
            let (workspace, key) = checker.delivery(chance.next_u64())?;
            Some((Command::Retry { workspace, key }, Asked::Retry(key)))
        }
    }
}

/// A new replay, of all there is or of a window, or another state of one that is not over.
fn replay(checker: &Checker, chance: &mut Chance) -> Option<(Command, Asked)> {
    if let (true, Some(&(workspace, id))) = (chance.one_in(2), chance.pick(&checker.open_replays())) {
        let state = *chance.pick(&[ReplayState::Paused, ReplayState::Running, ReplayState::Cancelled])?;
        return Some((Command::ChangeReplay { workspace, id, state }, Asked::ChangeReplay(workspace, id, state)));
    }
    let (workspace, webhook) = *chance.pick(&checker.webhooks())?;
    let now = checker.last_time();
    let since = if chance.one_in(2) { Time(0) } else { Time(now.0.saturating_sub(chance.below(WINDOW_MS))) };
    let until = chance.one_in(3).then(|| since + Millis(chance.within(1, WINDOW_MS)));
    let profile = checker.workspaces().into_iter().find(|(id, _)| *id == workspace).map(|(_, profile)| profile)?;
    let event_types = if chance.one_in(3) { events(&profile, chance) } else { Vec::new() };
    let only = *chance.pick(&Only::ALL)?;
    let wish = Box::new(Wish { since, until, event_types, only });
    Some((Command::StartReplay { workspace, webhook, wish }, Asked::StartReplay(workspace, webhook)))
}

/// A workspace of one of the profiles.
pub fn workspace(chance: &mut Chance) -> (Command, Asked) {
    let profile = ["genesy", "snaily", "standard"][chance.below(3) as usize];
    let (sealing_key, hash) = (SealingKeyId(chance.next_u64()), chance.next_u64());
    let mut key_hash = KeyHash([0; 32]);
    key_hash.0[..8].copy_from_slice(&hash.to_le_bytes());
    (
        Command::CreateWorkspace { name: "Tech Corp".into(), profile: profile.into(), sealing_key, key_hash },
        Asked::Other,
    )
}

/// A webhook in one of the workspaces.
pub fn webhook(checker: &Checker, chance: &mut Chance) -> Option<(Command, Asked)> {
    let (workspace, profile) = chance.pick(&checker.workspaces())?.clone();
    let settings = Box::new(Settings {
        name: "Orders".into(),
        description: None,
        url: url_of(chance.below(HOSTS)),
        events: events(&profile, chance),
        campaign_ids: campaigns(&profile, chance),
        custom_fields: custom_fields(&profile, chance),
        enabled: !chance.one_in(8),
        secret: secret(chance),
        headers: Vec::new(),
        retry_policy: policy(chance),
        timeout: timeout(chance),
        rate_limit: rate_limit(chance),
        signing: None,
        ordered: chance.one_in(3),
    });
    Some((Command::CreateWebhook { workspace, settings }, Asked::Create(workspace)))
}

/// On or off.
pub fn switch(workspace: WorkspaceId, id: WebhookId, on: bool) -> (Command, Asked) {
    let change = Box::new(Change { enabled: Some(on), ..Change::default() });
    (Command::ChangeWebhook { workspace, id, change }, Asked::Change(id))
}

/// Off since it fails, as far as anybody knows; at times what is known is old.
fn switch_off(checker: &Checker, id: WebhookId, chance: &mut Chance) -> Option<(Command, Asked)> {
    let webhook = checker.webhook(id)?;
    let version = if chance.one_in(8) { webhook.revision } else { webhook.version };
    let failing_since = webhook.updated_at;
    Some((Command::SwitchOff { workspace: webhook.workspace, id, version, failing_since }, Asked::Change(id)))
}

/// No order from here on.
pub fn give_up_order(workspace: WorkspaceId, id: WebhookId) -> (Command, Asked) {
    let change = Box::new(Change { ordered: Some(false), ..Change::default() });
    (Command::ChangeWebhook { workspace, id, change }, Asked::Change(id))
}

fn change(workspace: WorkspaceId, checker: &Checker, chance: &mut Chance) -> Change {
    let workspaces = checker.workspaces();
    let profile = workspaces.iter().find(|(id, _)| *id == workspace).map_or("standard", |(_, profile)| profile);
    let none = Change::default();
    match chance.below(9) {
        8 => Change { ordered: Some(chance.one_in(2)), ..none },
        7 => Change { secret: Some(secret(chance)), ..none },
        0 => Change { url: Some(url_of(chance.below(HOSTS))), ..none },
        1 => Change { events: Some(events(profile, chance)), ..none },
        2 => Change { campaign_ids: Some(campaigns(profile, chance)), ..none },
        3 => Change { custom_fields: Some(custom_fields(profile, chance)), ..none },
        4 => Change { retry_policy: Some(policy(chance)), ..none },
        5 => Change { rate_limit: Some(rate_limit(chance)), ..none },
        _ => Change { timeout: Some(timeout(chance)), name: Some("Renamed".into()), ..none },
    }
}

fn events(profile: &str, chance: &mut Chance) -> Vec<Box<str>> {
    let all = types_of(profile);
    let mut chosen: Vec<Box<str>> = all.iter().filter(|_| chance.one_in(2)).map(|&t| t.into()).collect();
    if chosen.is_empty() {
        chosen.push(all[0].into());
    }
    chosen
}

fn campaigns(profile: &str, chance: &mut Chance) -> Vec<CampaignId> {
    if profile == "standard" || !chance.one_in(3) {
        return Vec::new();
    }
    CAMPAIGNS
        .iter()
        .filter(|_| chance.one_in(2))
        .map(|&text| CampaignId { text: text.into(), is_number: false })
        .collect()
}

fn custom_fields(profile: &str, chance: &mut Chance) -> Vec<Box<str>> {
    if profile != "genesy" {
        return Vec::new();
    }
    ["leadScore", "industry", "unknown"].iter().filter(|_| chance.one_in(2)).map(|&field| field.into()).collect()
}

/// Half of the time the profile's; else up to six tiers from a millisecond to hours, with or without jitter.
fn policy(chance: &mut Chance) -> Option<RetryPolicy> {
    if chance.one_in(2) {
        return None;
    }
    let scale = [1, 1_000, 60_000, 3_600_000][chance.below(4) as usize];
    let delays = (0..chance.below(7)).map(|_| Millis(scale * chance.within(1, 5))).collect();
    let jitter_permille = if chance.one_in(2) { 0 } else { chance.within(1, 1000) as u16 };
    Some(RetryPolicy { delays, jitter_permille })
}

/// Sealed under a key that nobody has: it is compared and never opened.
fn secret(chance: &mut Chance) -> Option<Sealed> {
    let sealed = Sealed { key: SealingKeyId(0), nonce: [0; 24], bytes: chance.next_u64().to_le_bytes().into() };
    (!chance.one_in(3)).then_some(sealed)
}

fn timeout(chance: &mut Chance) -> Millis {
    Millis(chance.within(1_000, 15_000))
}

fn rate_limit(chance: &mut Chance) -> Option<NonZeroU32> {
    if chance.one_in(4) { NonZeroU32::new(chance.within(1, 100) as u32) } else { None }
}
