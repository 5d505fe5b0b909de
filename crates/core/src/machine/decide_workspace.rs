//! Decisions about profiles, workspaces and keys.

use std::sync::Arc;

use super::{Decision, Kernel, Moment};
use crate::command::{Rejection, Reply};
use crate::fact::Fact;
use crate::ids::{KeyId, Position, WorkspaceId};
use crate::limits;
use crate::profile::Profile;
use crate::sealed::SealingKeyId;
use crate::workspace::{Key, KeyHash, Scopes};

pub(super) fn register_profile(kernel: &Kernel, profile: &Arc<Profile>) -> Decision {
    let newest = kernel.directory.profile_named(&profile.name);
    if newest.is_some_and(|(_, registered)| registered.hash == profile.hash) {
        return Decision::nothing(Reply::Done);
    }
    Decision::one(Fact::ProfileRegistered(Arc::clone(profile)), Reply::Done)
}

pub(super) fn create(
    kernel: &Kernel,
    name: &str,
    profile: &str,
    sealing_key: SealingKeyId,
    key_hash: KeyHash,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    kernel.directory.profile_named(profile).ok_or(Rejection::NoProfile)?;
    if kernel.directory.workspaces().len() >= limits::WORKSPACES_MAX {
        return Err(Rejection::TooMany { what: "workspaces", max: limits::WORKSPACES_MAX });
    }
    let id = WorkspaceId(moment.at);
    let key_id = KeyId(Position::new(moment.at.block(), moment.at.index() + 1));
    let key = Key {
        id: key_id,
        workspace: id,
        name: "default".into(),
        scopes: Scopes::ALL,
        hash: key_hash,
        created_at: moment.now,
    };
    let facts = vec![
        Fact::WorkspaceCreated { id, name: name.into(), profile: profile.into(), sealing_key },
        Fact::KeyCreated(key),
    ];
    Ok(Decision { facts, reply: Reply::WorkspaceCreated(id, key_id) })
}

pub(super) fn rename(kernel: &Kernel, id: WorkspaceId, name: &str) -> Result<Decision, Rejection> {
    kernel.directory.workspace(id).ok_or(Rejection::NoWorkspace)?;
    Ok(Decision::one(Fact::WorkspaceRenamed { id, name: name.into() }, Reply::Done))
}

/// Its webhooks go first, each with its own fact: what is derived from the log knows deliveries by their webhook, and not by its workspace.
pub(super) fn delete(kernel: &Kernel, id: WorkspaceId) -> Result<Decision, Rejection> {
    kernel.directory.workspace(id).ok_or(Rejection::NoWorkspace)?;
    let webhooks = kernel.directory.webhooks_in(id);
    let mut facts: Vec<Fact> = webhooks.map(|webhook| Fact::WebhookDeleted { workspace: id, id: webhook.id }).collect();
    facts.push(Fact::WorkspaceDeleted { id });
    Ok(Decision { facts, reply: Reply::Done })
}

pub(super) fn create_key(
    kernel: &Kernel,
    workspace: WorkspaceId,
    name: &str,
    scopes: Scopes,
    hash: KeyHash,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let keys = &kernel.directory.workspace(workspace).ok_or(Rejection::NoWorkspace)?.keys;
    if keys.len() >= limits::KEYS_MAX {
        return Err(Rejection::TooMany { what: "keys in a workspace", max: limits::KEYS_MAX });
    }
    let id = KeyId(moment.at);
    let key = Key { id, workspace, name: name.into(), scopes, hash, created_at: moment.now };
    Ok(Decision::one(Fact::KeyCreated(key), Reply::KeyCreated(id)))
}

pub(super) fn revoke_key(kernel: &Kernel, workspace: WorkspaceId, id: KeyId) -> Result<Decision, Rejection> {
    let keys = &kernel.directory.workspace(workspace).ok_or(Rejection::NoWorkspace)?.keys;
    keys.get(&id).ok_or(Rejection::NoKey)?;
    Ok(Decision::one(Fact::KeyRevoked { workspace, id }, Reply::Done))
}
