//! `/v1/workspaces`: rooms, by the admin key.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::WorkspaceId;
use postrider_engine::{ListName, paginate};
use secrecy::ExposeSecret;

use crate::auth::Admin;
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::extract::{Id, Json};
use crate::openapi::{BodyErrors, Errors};
use crate::query::{NoQuery, PageParameters, Query};
use crate::state::Api;
use crate::wire::workspace::{NewWorkspace, WorkspaceChange, WorkspaceMade, WorkspaceView};

/// Makes a workspace with its first key.
#[utoipa::path(post, operation_id = "createWorkspace", path = "/v1/workspaces", tag = "workspaces", request_body = NewWorkspace,
    responses((status = 201, description = "Made; its first key is shown here only.", body = One<WorkspaceMade>), BodyErrors))]
pub async fn create(
    State(api): State<Api>,
    _: Admin,
    _: NoQuery,
    Json(new): Json<NewWorkspace>,
) -> Result<Response, ApiError> {
    let (workspace, key) = api.handle().create_workspace(&new.name, &new.profile).await?;
    let made = WorkspaceMade {
        id: workspace.id.to_string(),
        name: workspace.name.to_string(),
        profile: workspace.profile.to_string(),
        api_key: key.key.expose_secret().to_owned(),
        created_at: workspace.created_at.to_string(),
    };
    Ok(envelope::one(StatusCode::CREATED, "Workspace created; keep its key, it is not shown again.", made))
}

/// Lists workspaces.
#[utoipa::path(get, operation_id = "listWorkspaces", path = "/v1/workspaces", tag = "workspaces", params(PageParameters),
    responses((status = 200, description = "A page of workspaces.", body = List<WorkspaceView>), Errors))]
pub async fn list(
    State(api): State<Api>,
    _: Admin,
    Query(parameters): Query<PageParameters>,
) -> Result<Response, ApiError> {
    let query = parameters.page_query(ListName::Workspaces)?;
    let workspaces = api.handle().workspaces();
    let page = paginate(
        ListName::Workspaces,
        query,
        |cursor| {
            let places = workspaces.iter().rev().map(|w| ((w.id.0.to_u64(), 0), w));
            places.filter(move |(place, _)| cursor.is_none_or(|cursor| *place < cursor))
        },
        |_| true,
    );
    Ok(envelope::list(page.map(WorkspaceView::from), &query))
}

/// Shows a workspace.
#[utoipa::path(get, operation_id = "getWorkspace", path = "/v1/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 200, description = "The workspace.", body = One<WorkspaceView>), Errors))]
pub async fn get(State(api): State<Api>, _: Admin, Id(id): Id<WorkspaceId>, _: NoQuery) -> Result<Response, ApiError> {
    let workspace = api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?;
    Ok(envelope::one(StatusCode::OK, "The workspace.", WorkspaceView::from(&workspace)))
}

/// Renames a workspace.
#[utoipa::path(patch, operation_id = "changeWorkspace", path = "/v1/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)), request_body = WorkspaceChange,
    responses((status = 200, description = "As it is now.", body = One<WorkspaceView>), BodyErrors))]
pub async fn change(
    State(api): State<Api>,
    _: Admin,
    Id(id): Id<WorkspaceId>,
    _: NoQuery,
    Json(change): Json<WorkspaceChange>,
) -> Result<Response, ApiError> {
    api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?;
    if let Some(name) = change.name()? {
        api.handle().rename_workspace(id, &name).await?;
    }
    let workspace = api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?;
    Ok(envelope::one(StatusCode::OK, "Workspace changed.", WorkspaceView::from(&workspace)))
}

/// Deletes a workspace with all that is in it.
#[utoipa::path(delete, operation_id = "deleteWorkspace", path = "/v1/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 204, description = "Gone, and its keys with it."), Errors))]
pub async fn delete(
    State(api): State<Api>,
    _: Admin,
    Id(id): Id<WorkspaceId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    api.handle().delete_workspace(id).await?;
    Ok(envelope::nothing())
}
