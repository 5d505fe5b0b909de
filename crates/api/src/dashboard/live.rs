//! `/dashboard/live`: what `/v1/live` says, for a session.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;

use super::access::{Member, Seen};
use super::page::PageError;
use crate::routes::live;
use crate::state::Api;

/// Sends each attempt of the workspace as it ends, until the session ends or its key is revoked.
pub async fn watch(State(api): State<Api>, Seen { who, .. }: Seen<Member>) -> Result<Response, PageError> {
    let (workspace, key, token) = (who.id(), who.key.id, who.session.token);
    let asked = api.clone();
    let may_go_on = move || asked.handle().may_act(workspace, key) && asked.sessions().is_open(&token, Instant::now());
    Ok(live::stream(&api, workspace, may_go_on)?)
}
