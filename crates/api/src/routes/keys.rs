//! `/v1/workspaces/{id}/keys`: keys of a workspace, by the admin key.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::{KeyId, WorkspaceId};
use postrider_engine::{ListName, paginate};
use secrecy::ExposeSecret;

use crate::auth::{Admin, names_of};
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::extract::{Id, Ids, Json};
use crate::openapi::{BodyErrors, Errors};
use crate::query::{NoQuery, PageParameters, Query};
use crate::state::Api;
use crate::wire::workspace::{KeyMade, KeyView, NewKey};

/// Makes a key.
#[utoipa::path(post, operation_id = "createKey", path = "/v1/workspaces/{id}/keys", tag = "workspaces", params(("id" = String, Path)), request_body = NewKey,
    responses((status = 201, description = "Made; the key is shown here only.", body = One<KeyMade>), BodyErrors))]
pub async fn create(
    State(api): State<Api>,
    _: Admin,
    Id(id): Id<WorkspaceId>,
    _: NoQuery,
    Json(new): Json<NewKey>,
) -> Result<Response, ApiError> {
    api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?;
    let scopes = new.scopes()?;
    let made = api.handle().create_key(id, &new.name, scopes).await?;
    let workspace = api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?;
    let key = workspace.keys.get(&made.id).ok_or_else(|| ApiError::not_found("key"))?;
    let made = KeyMade {
        id: key.id.to_string(),
        name: key.name.to_string(),
        scopes: names_of(key.scopes),
        key: made.key.expose_secret().to_owned(),
        created_at: key.created_at.to_string(),
    };
    Ok(envelope::one(StatusCode::CREATED, "Key created; keep it, it is not shown again.", made))
}

/// Lists the keys of a workspace, without the keys themselves.
#[utoipa::path(get, operation_id = "listKeys", path = "/v1/workspaces/{id}/keys", tag = "workspaces", params(("id" = String, Path), PageParameters),
    responses((status = 200, description = "A page of keys.", body = List<KeyView>), Errors))]
pub async fn list(
    State(api): State<Api>,
    _: Admin,
    Id(id): Id<WorkspaceId>,
    Query(parameters): Query<PageParameters>,
) -> Result<Response, ApiError> {
    let query = parameters.page_query(ListName::Keys)?;
    let workspace = api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?;
    let page = paginate(
        ListName::Keys,
        query,
        |cursor| {
            let places = workspace.keys.values().rev().map(|key| ((key.id.0.to_u64(), 0), key));
            places.filter(move |(place, _)| cursor.is_none_or(|cursor| *place < cursor))
        },
        |_| true,
    );
    Ok(envelope::list(page.map(KeyView::from), &query))
}

/// Revokes a key at once.
#[utoipa::path(delete, operation_id = "revokeKey", path = "/v1/workspaces/{id}/keys/{keyId}", tag = "workspaces",
    params(("id" = String, Path), ("keyId" = String, Path)),
    responses((status = 204, description = "Revoked; it is refused from now on."), Errors))]
pub async fn revoke(
    State(api): State<Api>,
    _: Admin,
    Ids(id, key): Ids<WorkspaceId, KeyId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    api.handle().revoke_key(id, key).await?;
    Ok(envelope::nothing())
}
