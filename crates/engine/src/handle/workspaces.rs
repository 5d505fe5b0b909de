//! Workspaces and keys through the handle.

use postrider_core::command::{Command, Reply};
use postrider_core::invalid::FieldError;
use postrider_core::workspace::{Key, KeyHash, Scopes, Workspace};
use postrider_core::{KeyId, WorkspaceId, limits};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{Handle, Refused};
use crate::entropy;

/// A key that was just made. The key itself is shown here and nowhere else.
pub struct NewKey {
    /// To revoke it by.
    pub id: KeyId,
    /// To present.
    pub key: SecretString,
}

impl Handle {
    /// Makes a workspace with its first key, which may do everything in it.
    ///
    /// # Errors
    /// When the name is not valid or there is no such profile.
    pub async fn create_workspace(&self, name: &str, profile: &str) -> Result<(Workspace, NewKey), Refused> {
        check_name(name)?;
        if self.0.shared.directory.read().profile_named(profile).is_none() {
            let known: Vec<_> = self.0.shared.directory.read().profile_names().map(str::to_owned).collect();
            let fault = FieldError::new("profile", format!("must be one of {}", known.join(", ")));
            return Err(Refused::Invalid(vec![fault]));
        }
        let sealing_key = self.0.keyring.create().map_err(|error| {
            tracing::error!(%error, "no sealing key can be made");
            Refused::Full
        })?;
        let (key, key_hash) = new_key();
        let command = Command::CreateWorkspace { name: name.into(), profile: profile.into(), sealing_key, key_hash };
        let Reply::WorkspaceCreated(id, key_id) = self.ask(command).await? else {
            unreachable!("making a workspace is answered by WorkspaceCreated")
        };
        let workspace = self.workspace(id).ok_or(postrider_core::command::Rejection::NoWorkspace)?;
        Ok((workspace, NewKey { id: key_id, key }))
    }

    /// Renames a workspace.
    ///
    /// # Errors
    /// When the name is not valid or there is no such workspace.
    pub async fn rename_workspace(&self, id: WorkspaceId, name: &str) -> Result<(), Refused> {
        check_name(name)?;
        self.ask(Command::RenameWorkspace { id, name: name.into() }).await.map(drop)
    }

    /// Deletes a workspace with all that is in it.
    ///
    /// # Errors
    /// When there is no such workspace.
    pub async fn delete_workspace(&self, id: WorkspaceId) -> Result<(), Refused> {
        self.ask(Command::DeleteWorkspace { id }).await.map(drop)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// When the name is not valid or there is no such workspace.
    pub async fn create_key(&self, workspace: WorkspaceId, name: &str, scopes: Scopes) -> Result<NewKey, Refused> {
        check_name(name)?;
        let (key, hash) = new_key();
        let command = Command::CreateKey { workspace, name: name.into(), scopes, hash };
        let Reply::KeyCreated(id) = self.ask(command).await? else {
            unreachable!("making a key is answered by KeyCreated")
        };
        Ok(NewKey { id, key })
    }

    /// Revokes a key; it is of no use when this returns.
    ///
    /// # Errors
    /// When there is no such key.
    pub async fn revoke_key(&self, workspace: WorkspaceId, id: KeyId) -> Result<(), Refused> {
        self.ask(Command::RevokeKey { workspace, id }).await.map(drop)
    }

    /// A workspace.
    pub fn workspace(&self, id: WorkspaceId) -> Option<Workspace> {
        self.0.shared.directory.read().workspace(id).cloned()
    }

    /// All workspaces, oldest first.
    pub fn workspaces(&self) -> Vec<Workspace> {
        self.0.shared.directory.read().workspaces().cloned().collect()
    }

    /// Whether this key of this workspace was not revoked since.
    pub fn may_act(&self, workspace: WorkspaceId, key: KeyId) -> bool {
        let directory = self.0.shared.directory.read();
        directory.workspace(workspace).is_some_and(|workspace| workspace.keys.contains_key(&key))
    }

    /// Whose key this is, and what it may do.
    pub fn authenticate(&self, presented: &str) -> Option<Key> {
        self.0.shared.directory.read().key(&hash_of(presented)).cloned()
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    let fits = (1..=limits::NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    let message = || format!("must have 1 to {} characters and no control characters", limits::NAME_CHARS_MAX);
    if fits { Ok(()) } else { Err(Refused::Invalid(vec![FieldError::new("name", message())])) }
}

fn new_key() -> (SecretString, KeyHash) {
    let key = random_key("prk");
    let hash = hash_of(key.expose_secret());
    (key, hash)
}

/// A key for whoever manages workspaces, to be kept by the caller: the engine knows nothing of it.
pub fn new_admin_key() -> SecretString {
    random_key("pra")
}

/// A secret that lets a browser go on as whoever signed in, to be kept by the caller: the engine knows nothing of it.
pub fn new_session_token() -> SecretString {
    random_key("prs")
}

/// 160 random bits, five a character.
fn random_key(prefix: &str) -> SecretString {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut random = [0; 32];
    entropy::fill(&mut random);
    let digits: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    format!("{prefix}_{digits}").into()
}

fn hash_of(key: &str) -> KeyHash {
    KeyHash(Sha256::digest(key.as_bytes()).into())
}
