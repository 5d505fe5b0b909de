//! Workspaces and their keys.

use postrider_core::draft::Field;
use postrider_core::invalid::FieldError;
use postrider_core::profile::Profile;
use postrider_core::workspace::{Key, Scope, Scopes, Workspace};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{Array, ArrayBuilder, Object};

use crate::auth::names_of;
use crate::error::ApiError;
use crate::json::field;
use crate::openapi::words;

/// A new workspace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// 1 to 255 characters.
    #[schema(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", min_length = 1, max_length = 255, example = "Acme")]
    pub name: String,
    /// `genesy`, `snaily` or `standard`; cannot be changed later.
    #[schema(schema_with = profiles)]
    pub profile: String,
}

fn profiles() -> Object {
    let names: Vec<_> = Profile::built_in().into_iter().map(|profile| profile.name).collect();
    words("Cannot be changed later.", names.iter().map(|name| &**name), "genesy")
}

/// A change of a workspace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceChange {
    /// 1 to 255 characters.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = String, required = false, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", min_length = 1, max_length = 255, example = "Acme Ltd")]
    name: Field<String>,
    /// Refused: a workspace keeps its profile.
    #[serde(default)]
    #[schema(ignore)]
    pub profile: Option<serde::de::IgnoredAny>,
}

impl WorkspaceChange {
    /// The new name, if there is one.
    pub fn name(self) -> Result<Option<String>, ApiError> {
        if self.profile.is_some() {
            return Err(ApiError::field("profile", "cannot be changed; make another workspace"));
        }
        match self.name {
            Field::Absent => Ok(None),
            Field::Null => Err(ApiError::field("name", "is required")),
            Field::Set(name) => Ok(Some(name)),
        }
    }
}

/// A workspace.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceView {
    #[schema(example = "ws_0000000000020")]
    id: String,
    #[schema(example = "Acme")]
    name: String,
    #[schema(example = "genesy")]
    profile: String,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    created_at: String,
}

impl From<&Workspace> for WorkspaceView {
    fn from(workspace: &Workspace) -> WorkspaceView {
        WorkspaceView {
            id: workspace.id.to_string(),
            name: workspace.name.to_string(),
            profile: workspace.profile.to_string(),
            created_at: workspace.created_at.to_string(),
        }
    }
}

/// A workspace that was just made, with its first key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceMade {
    #[schema(example = "ws_0000000000020")]
    pub id: String,
    #[schema(example = "Acme")]
    pub name: String,
    #[schema(example = "genesy")]
    pub profile: String,
    /// May do everything in the workspace. Shown once.
    #[schema(example = "prk_…")]
    pub api_key: String,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    pub created_at: String,
}

/// A new key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// 1 to 255 characters.
    #[schema(
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        min_length = 1,
        max_length = 255,
        example = "publisher"
    )]
    pub name: String,
    /// At least one of `READ` (every GET), `EVENTS_WRITE` (publishing, the catalogue) and `ALL`.
    #[schema(schema_with = scopes)]
    pub scopes: Vec<String>,
}

fn scopes() -> Array {
    let said = "`READ`: every GET; `EVENTS_WRITE`: publishing, and the catalogue; `ALL`.";
    let one = words(said, Scope::NAMES.into_iter().map(|(_, name)| name), "EVENTS_WRITE");
    ArrayBuilder::new().items(one).min_items(Some(1)).description(Some("At least one.")).build()
}

impl NewKey {
    /// The scopes by name.
    pub fn scopes(&self) -> Result<Scopes, ApiError> {
        if self.scopes.is_empty() {
            return Err(ApiError::field("scopes", "must name at least one of READ, EVENTS_WRITE, ALL"));
        }
        let mut scopes = Scopes::default();
        let mut faults = Vec::new();
        for (i, name) in self.scopes.iter().enumerate() {
            match Scope::NAMES.iter().find(|(_, known)| known == name) {
                Some((scope, _)) => scopes = scopes.with(*scope),
                None => faults.push(FieldError::new(format!("scopes[{i}]"), "must be one of READ, EVENTS_WRITE, ALL")),
            }
        }
        if faults.is_empty() { Ok(scopes) } else { Err(ApiError::invalid(faults)) }
    }
}

/// A key, without the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    #[schema(example = "key_0000000000021")]
    id: String,
    #[schema(example = "publisher")]
    name: String,
    #[schema(value_type = Vec<String>, example = json!(["EVENTS_WRITE"]))]
    scopes: Vec<&'static str>,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    created_at: String,
}

impl From<&Key> for KeyView {
    fn from(key: &Key) -> KeyView {
        KeyView {
            id: key.id.to_string(),
            name: key.name.to_string(),
            scopes: names_of(key.scopes),
            created_at: key.created_at.to_string(),
        }
    }
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyMade {
    #[schema(example = "key_0000000000021")]
    pub id: String,
    #[schema(example = "publisher")]
    pub name: String,
    #[schema(value_type = Vec<String>, example = json!(["EVENTS_WRITE"]))]
    pub scopes: Vec<&'static str>,
    /// Shown once.
    #[schema(example = "prk_…")]
    pub key: String,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    pub created_at: String,
}
