//! Who is there: profiles, workspaces, keys and webhooks, with the lookups that publishing and authentication need.
//!
//! It is the part of the kernel that changes rarely and is read by everyone, so the engine keeps a second copy of it for readers and
//! feeds both with the same facts. Facts about events and deliveries leave it as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::fact::{Record, Restated};
use crate::ids::{KeyId, Position, WebhookId, WorkspaceId};
use crate::profile::Profile;
use crate::webhook::{History, Webhook};
use crate::workspace::{KeyHash, Workspace};

/// Profiles, workspaces, keys and webhooks as of some position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    profiles: BTreeMap<Position, Arc<Profile>>,
    newest_profiles: BTreeMap<Box<str>, Position>,
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    keys: BTreeMap<KeyHash, (WorkspaceId, KeyId)>,
    webhooks: BTreeMap<WebhookId, Arc<Webhook>>,
    subscriptions: BTreeMap<WorkspaceId, Subscriptions>,
    histories: BTreeMap<WebhookId, History>,
    is_restating: bool,
}

/// The webhooks of one workspace, filed by what they subscribe to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Subscriptions {
    webhooks: BTreeSet<WebhookId>,
    by_type: BTreeMap<Box<str>, Subscribers>,
}

/// The enabled webhooks of one type.
#[derive(Clone, Debug, Default, PartialEq)]
struct Subscribers {
    every_campaign: BTreeSet<WebhookId>,
    by_campaign: BTreeMap<Box<str>, BTreeSet<WebhookId>>,
}

impl Directory {
    /// The profile registered at `at`.
    pub fn profile(&self, at: Position) -> Option<&Arc<Profile>> {
        self.profiles.get(&at)
    }

    /// The newest profile of this name and the position of its fact.
    pub fn profile_named(&self, name: &str) -> Option<(Position, &Arc<Profile>)> {
        let at = *self.newest_profiles.get(name)?;
        self.profiles.get(&at).map(|profile| (at, profile))
    }

    /// The names of all profiles.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.newest_profiles.keys().map(|name| &**name)
    }

    /// The profile that a workspace's new events are accepted under.
    pub fn profile_of(&self, workspace: WorkspaceId) -> Option<(Position, &Arc<Profile>)> {
        self.profile_named(&self.workspaces.get(&workspace)?.profile)
    }

    /// A workspace.
    pub fn workspace(&self, id: WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(&id)
    }

    /// All workspaces, oldest first.
    pub fn workspaces(&self) -> impl DoubleEndedIterator<Item = &Workspace> + ExactSizeIterator {
        self.workspaces.values()
    }

    /// The workspace and the key that a presented key's hash belongs to.
    pub fn key(&self, hash: &KeyHash) -> Option<&crate::workspace::Key> {
        let (workspace, id) = self.keys.get(hash)?;
        self.workspaces.get(workspace)?.keys.get(id)
    }

    /// A webhook of any workspace.
    pub fn webhook(&self, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id)
    }

    /// A webhook of this workspace.
    pub fn webhook_in(&self, workspace: WorkspaceId, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id).filter(|webhook| webhook.workspace == workspace)
    }

    /// All webhooks of a workspace, oldest first.
    pub fn webhooks_in(&self, workspace: WorkspaceId) -> impl DoubleEndedIterator<Item = &Arc<Webhook>> {
        let ids = self.subscriptions.get(&workspace).map(|s| s.webhooks.iter());
        ids.into_iter().flatten().filter_map(|id| self.webhooks.get(id))
    }

    /// How many webhooks a workspace has.
    pub fn webhook_count(&self, workspace: WorkspaceId) -> usize {
        self.subscriptions.get(&workspace).map_or(0, |s| s.webhooks.len())
    }

    /// All webhooks of all workspaces.
    pub fn webhooks(&self) -> impl Iterator<Item = &Arc<Webhook>> {
        self.webhooks.values()
    }

    /// The custom fields that were in force at `revision`.
    pub fn projection(&self, webhook: WebhookId, revision: Position) -> Option<&[Box<str>]> {
        self.histories.get(&webhook)?.version(revision).map(|webhook| &*webhook.settings.custom_fields)
    }

    /// What a webhook was, also one that is deleted.
    pub fn history(&self, webhook: WebhookId) -> Option<&History> {
        self.histories.get(&webhook)
    }

    /// The histories of a workspace's webhooks, also of those that are deleted.
    pub fn histories_in(&self, workspace: WorkspaceId) -> impl Iterator<Item = (WebhookId, &History)> {
        let is_there = move |history: &History| history.versions().iter().any(|webhook| webhook.workspace == workspace);
        self.histories.iter().filter(move |(_, history)| is_there(history)).map(|(id, history)| (*id, history))
    }

    /// Whether what comes now restates what was before the log began.
    pub fn is_restating(&self) -> bool {
        self.is_restating
    }

    /// Forgets what mattered only to events before block `first`: deleted webhooks, and versions that had passed.
    pub fn forget_below(&mut self, first: u64) {
        self.histories.retain(|_, history| history.deleted().is_none_or(|at| at.block() >= first));
        self.histories.values_mut().for_each(|history| history.forget_below(first));
    }

    /// All of it as facts that a log can begin with.
    pub fn restate(&self) -> impl Iterator<Item = Restated> {
        let profiles = self.profiles.iter().map(|(at, profile)| Restated::Profile(*at, Arc::clone(profile)));
        let workspaces = self.workspaces.values().map(|workspace| Restated::Workspace(Box::new(workspace.clone())));
        let webhooks = self.histories.iter().flat_map(|(id, history)| {
            let versions = history.versions().iter().map(|webhook| Restated::Webhook(Arc::clone(webhook)));
            versions.chain(history.deleted().map(|at| Restated::WebhookDeleted(*id, at)))
        });
        profiles.chain(workspaces).chain(webhooks)
    }

    /// The enabled webhooks that want an event of this type and campaign, in the order of their ids.
    pub fn subscribers<'a>(
        &'a self,
        workspace: WorkspaceId,
        event_type: &str,
        campaign: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Webhook>> {
        let subscribers = self.subscriptions.get(&workspace).and_then(|s| s.by_type.get(event_type));
        let listed = subscribers.zip(campaign).and_then(|(s, campaign)| s.by_campaign.get(campaign));
        let every = subscribers.map(|s| s.every_campaign.iter()).into_iter().flatten();
        merge(every, listed.map(BTreeSet::iter).into_iter().flatten()).filter_map(|id| self.webhooks.get(id))
    }

    /// Takes in what a fact says about profiles, workspaces, keys and webhooks.
    pub fn apply(&mut self, record: &Record) {
        use crate::fact::Fact::*;
        match &record.fact {
            ProfileRegistered(profile) => self.put_profile(record.position, profile),
            WorkspaceCreated { id, name, profile, sealing_key } => {
                self.put_workspace(Workspace {
                    id: *id,
                    name: name.clone(),
                    profile: profile.clone(),
                    sealing_key: *sealing_key,
                    created_at: record.time,
                    keys: BTreeMap::new(),
                });
            }
            WorkspaceRenamed { id, name } => {
                if let Some(workspace) = self.workspaces.get_mut(id) {
                    workspace.name = name.clone();
                }
            }
            WorkspaceDeleted { id } => self.remove_workspace(*id),
            KeyCreated(key) => {
                if let Some(workspace) = self.workspaces.get_mut(&key.workspace) {
                    self.keys.insert(key.hash, (key.workspace, key.id));
                    workspace.keys.insert(key.id, key.clone());
                }
            }
            KeyRevoked { workspace, id } => {
                if let Some(key) = self.workspaces.get_mut(workspace).and_then(|w| w.keys.remove(id)) {
                    self.keys.remove(&key.hash);
                }
            }
            WebhookCreated(webhook) | WebhookChanged(webhook) => self.put_webhook(webhook),
            WebhookDeleted { id, .. } => self.remove_webhook(*id, record.position),
            Restated(restated) => self.take_back(restated),
            EventAccepted(_)
            | EventCarried { .. }
            | AttemptFinished { .. }
            | RetryRequested { .. }
            | EventErased { .. }
            | ReplayStarted(_)
            | ReplayAdvanced { .. }
            | ReplayChanged { .. }
            | DeliveryAdded { .. }
            | TestFinished { .. } => {}
        }
    }

    /// What is restated counts only where the log begins with it; elsewhere it says what is known.
    fn take_back(&mut self, restated: &Restated) {
        match restated {
            Restated::Begin { .. } => self.is_restating = self.profiles.is_empty(),
            _ if !self.is_restating => {}
            Restated::Profile(at, profile) => self.put_profile(*at, profile),
            Restated::Workspace(workspace) => self.put_workspace((**workspace).clone()),
            Restated::Webhook(webhook) => self.put_webhook(webhook),
            Restated::WebhookDeleted(id, at) => self.remove_webhook(*id, *at),
            Restated::Pending(..) | Restated::TakenTimes(_) | Restated::OwedErasure(_) | Restated::Replay(_) => {}
            Restated::End => self.is_restating = false,
        }
    }

    fn put_profile(&mut self, at: Position, profile: &Arc<Profile>) {
        self.newest_profiles.insert(profile.name.clone(), at);
        self.profiles.insert(at, Arc::clone(profile));
    }

    fn put_workspace(&mut self, workspace: Workspace) {
        let id = workspace.id;
        self.keys.extend(workspace.keys.values().map(|key| (key.hash, (id, key.id))));
        self.workspaces.insert(id, workspace);
        self.subscriptions.insert(id, Subscriptions::default());
    }

    fn remove_workspace(&mut self, id: WorkspaceId) {
        if let Some(workspace) = self.workspaces.remove(&id) {
            for key in workspace.keys.values() {
                self.keys.remove(&key.hash);
            }
        }
        let webhooks = self.subscriptions.get(&id).map(|s| s.webhooks.clone()).unwrap_or_default();
        for webhook in webhooks {
            self.webhooks.remove(&webhook);
        }
        self.histories.retain(|_, history| history.versions().iter().all(|webhook| webhook.workspace != id));
        self.subscriptions.remove(&id);
    }

    fn put_webhook(&mut self, webhook: &Arc<Webhook>) {
        let old = self.webhooks.insert(webhook.id, Arc::clone(webhook));
        match self.histories.get_mut(&webhook.id) {
            Some(history) => history.note(Arc::clone(webhook)),
            None => {
                self.histories.insert(webhook.id, History::new(Arc::clone(webhook)));
            }
        }
        let Some(subscriptions) = self.subscriptions.get_mut(&webhook.workspace) else {
            return;
        };
        if let Some(old) = old {
            subscriptions.unfile(&old);
        }
        subscriptions.webhooks.insert(webhook.id);
        subscriptions.file(webhook);
    }

    fn remove_webhook(&mut self, id: WebhookId, at: Position) {
        let Some(webhook) = self.webhooks.remove(&id) else {
            return;
        };
        if let Some(history) = self.histories.get_mut(&id) {
            history.end(at);
        }
        if let Some(subscriptions) = self.subscriptions.get_mut(&webhook.workspace) {
            subscriptions.webhooks.remove(&id);
            subscriptions.unfile(&webhook);
        }
    }
}

impl Subscriptions {
    fn file(&mut self, webhook: &Webhook) {
        if !webhook.settings.enabled {
            return;
        }
        for event_type in &webhook.settings.events {
            let subscribers = self.by_type.entry(event_type.clone()).or_default();
            if webhook.settings.campaign_ids.is_empty() {
                subscribers.every_campaign.insert(webhook.id);
            }
            for campaign in &webhook.settings.campaign_ids {
                subscribers.by_campaign.entry(campaign.text.clone()).or_default().insert(webhook.id);
            }
        }
    }

    fn unfile(&mut self, webhook: &Webhook) {
        for event_type in &webhook.settings.events {
            let Some(subscribers) = self.by_type.get_mut(event_type) else {
                continue;
            };
            subscribers.every_campaign.remove(&webhook.id);
            for campaign in &webhook.settings.campaign_ids {
                if let Some(listed) = subscribers.by_campaign.get_mut(&campaign.text) {
                    listed.remove(&webhook.id);
                    if listed.is_empty() {
                        subscribers.by_campaign.remove(&campaign.text);
                    }
                }
            }
            if subscribers.every_campaign.is_empty() && subscribers.by_campaign.is_empty() {
                self.by_type.remove(event_type);
            }
        }
    }
}

/// Two ascending runs without common members as one.
fn merge<'a>(
    left: impl Iterator<Item = &'a WebhookId>,
    right: impl Iterator<Item = &'a WebhookId>,
) -> impl Iterator<Item = &'a WebhookId> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some(l), Some(r)) if r < l => right.next(),
        (None, _) => right.next(),
        _ => left.next(),
    })
}
