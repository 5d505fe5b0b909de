//! What the admin key sees: workspaces and their keys.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::workspace::{Scope, Workspace};
use postrider_core::{KeyId, WorkspaceId};
use serde_json::{Map, Value};

use super::access::{Operator, Posted, Seen};
use super::form::{At, Form, as_request};
use super::page::{self, PageError, faults, redirect, token};
use super::parts::time;
use super::session::Notice;
use crate::auth::names_of;
use crate::error::ApiError;
use crate::extract::Ids;
use crate::state::Api;
use crate::wire::workspace::{NewKey, NewWorkspace};

/// The profiles that are built in.
const PROFILES: [&str; 3] = ["genesy", "snaily", "standard"];

/// All workspaces, and the form for a new one.
pub fn list(
    api: &Api,
    who: &Operator,
    notice: Option<Notice>,
    refused: Option<(&Form, &ApiError)>,
) -> Result<Response, PageError> {
    let workspaces = api.handle().workspaces();
    let text = |name: &str| refused.map_or("", |(form, _)| form.text(name));
    let body = html! {
        h1 { "Workspaces" }
        @if workspaces.is_empty() { p.empty { "There is none yet." } } @else { (table(&workspaces)) }
        h2 { "New workspace" }
        @if let Some((_, error)) = refused { (faults(error)) }
        form.card.settings method="post" action="/dashboard/workspaces" {
            (token(&who.session))
            label for="name" { "Name" }
            input #name type="text" name="name" required value=(text("name"));
            label for="profile" { "Profile" }
            select #profile name="profile" {
                @for name in PROFILES { option value=(name) selected[text("profile") == name] { (name) } }
            }
            p.help { "What it behaves as; it cannot be changed later." }
            div.actions { button type="submit" { "Create workspace" } }
        }
    };
    let page = page::operator_page(who, notice, "Workspaces", body);
    Ok(match refused {
        Some((_, error)) => page::refusal(error, page),
        None => page::answer(axum::http::StatusCode::OK, page),
    })
}

fn table(workspaces: &[Workspace]) -> Markup {
    html! {
        table {
            thead { tr { th { "Workspace" } th { "Id" } th { "Profile" } th { "Keys" } th { "Created (UTC)" } } }
            tbody {
                @for workspace in workspaces.iter().rev() {
                    tr {
                        td data-label="Workspace" { a href={ "/dashboard/workspaces/" (workspace.id) } { (workspace.name) } }
                        td data-label="Id" { code { (workspace.id) } }
                        td data-label="Profile" { (workspace.profile) }
                        td data-label="Keys" { (workspace.keys.len()) }
                        td data-label="Created" { (time(workspace.created_at)) }
                    }
                }
            }
        }
    }
}

/// Makes a workspace.
pub async fn create(State(api): State<Api>, Posted { who, form }: Posted<Operator>) -> Result<Response, PageError> {
    let members = Map::from_iter(["name", "profile"].map(|name| (name.to_owned(), form.text(name).into())));
    let made = match as_request::<NewWorkspace>(members) {
        Ok(new) => api.handle().create_workspace(&new.name, &new.profile).await.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match made {
        Ok((workspace, key)) => {
            let path = format!("/dashboard/workspaces/{}", workspace.id);
            let text = "Workspace created. Its first key may do everything in it; keep it, it is not shown again:";
            let notice = Notice { path: path.clone(), text, secret: Some(key.key) };
            api.sessions().leave(&who.session.token, notice);
            Ok(redirect(&path))
        }
        Err(error) => list(&api, &who, None, Some((&form, &error))),
    }
}

/// Shows a workspace with its keys.
pub async fn show(
    State(api): State<Api>,
    At(id): At<WorkspaceId>,
    Seen { who, notice }: Seen<Operator>,
) -> Result<Response, PageError> {
    let workspace = find(&api, id)?;
    Ok(page::operator(&who, notice, &workspace.name, one(&who, &workspace, None)))
}

fn find(api: &Api, id: WorkspaceId) -> Result<Workspace, PageError> {
    Ok(api.handle().workspace(id).ok_or_else(|| ApiError::not_found("workspace"))?)
}

fn refuse(who: &Operator, workspace: &Workspace, error: &ApiError) -> Response {
    page::refusal(error, page::operator_page(who, None, &workspace.name, one(who, workspace, Some(error))))
}

fn one(who: &Operator, workspace: &Workspace, error: Option<&ApiError>) -> Markup {
    html! {
        div.head {
            h1 { (workspace.name) }
            a.button.danger href={ "/dashboard/workspaces/" (workspace.id) "/delete" } { "Delete" }
        }
        p { code { (workspace.id) } ", profile " (workspace.profile) ", created " (time(workspace.created_at)) }
        @if let Some(error) = error { (faults(error)) }
        form.inline method="post" action={ "/dashboard/workspaces/" (workspace.id) } {
            (token(&who.session))
            label { "Name" input type="text" name="name" required value=(workspace.name); }
            button type="submit" { "Rename" }
        }
        h2 { "Keys" }
        @if workspace.keys.is_empty() { p.empty { "There is none." } } @else { (keys(who, workspace)) }
        h2 { "New key" }
        form.card.settings method="post" action={ "/dashboard/workspaces/" (workspace.id) "/keys" } {
            (token(&who.session))
            label for="key-name" { "Name" }
            input #key-name type="text" name="name" required;
            fieldset {
                legend { "Scopes" }
                @for (scope, name) in Scope::NAMES {
                    label.box { input type="checkbox" name="scopes" value=(name); " " code { (name) } " " span.help { (meaning(scope)) } }
                }
            }
            div.actions { button type="submit" { "Create key" } }
        }
    }
}

fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "see everything in the workspace, change nothing",
        Scope::EventsWrite => "publish events",
        Scope::All => "everything in the workspace",
    }
}

fn keys(who: &Operator, workspace: &Workspace) -> Markup {
    html! {
        table {
            thead { tr { th { "Key" } th { "Id" } th { "Scopes" } th { "Created (UTC)" } th { "Revoke" } } }
            tbody {
                @for key in workspace.keys.values().rev() {
                    tr {
                        td data-label="Key" { (key.name) }
                        td data-label="Id" { code { (key.id) } }
                        td data-label="Scopes" { (names_of(key.scopes).join(", ")) }
                        td data-label="Created" { (time(key.created_at)) }
                        td data-label="Revoke" {
                            details {
                                summary { "Revoke" }
                                form method="post" action={ "/dashboard/workspaces/" (workspace.id) "/keys/" (key.id) "/revoke" } {
                                    (token(&who.session))
                                    button.danger type="submit" { "Revoke it now" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn back_to(
    api: &Api,
    who: &Operator,
    id: WorkspaceId,
    notice: (&'static str, Option<secrecy::SecretString>),
) -> Response {
    let path = format!("/dashboard/workspaces/{id}");
    let (text, secret) = notice;
    api.sessions().leave(&who.session.token, Notice { path: path.clone(), text, secret });
    redirect(&path)
}

/// Renames a workspace.
pub async fn rename(
    State(api): State<Api>,
    At(id): At<WorkspaceId>,
    Posted { who, form }: Posted<Operator>,
) -> Result<Response, PageError> {
    let workspace = find(&api, id)?;
    match api.handle().rename_workspace(id, form.text("name")).await {
        Ok(()) => Ok(back_to(&api, &who, id, ("Workspace renamed.", None))),
        Err(error) => Ok(refuse(&who, &workspace, &error.into())),
    }
}

/// Asks whether a workspace is to be deleted.
pub async fn confirm_delete(
    State(api): State<Api>,
    At(id): At<WorkspaceId>,
    Seen { who, notice }: Seen<Operator>,
) -> Result<Response, PageError> {
    let workspace = find(&api, id)?;
    let webhooks = api.handle().webhooks(id).len();
    let body = html! {
        section.card.narrow {
            h1 { "Delete " (workspace.name) "?" }
            p { "Its " (webhooks) " webhooks, its events and its keys go with it, and nothing more is sent. This cannot be undone." }
            form method="post" {
                (token(&who.session))
                label for="confirm" { "Write its id to confirm: " code { (id) } }
                input #confirm type="text" name="confirm" required autocomplete="off" spellcheck="false";
                div.actions {
                    button.danger type="submit" { "Delete workspace" }
                    a href={ "/dashboard/workspaces/" (id) } { "Keep it" }
                }
            }
        }
    };
    Ok(page::operator(&who, notice, "Delete workspace", body))
}

/// Deletes a workspace.
pub async fn delete(
    State(api): State<Api>,
    At(id): At<WorkspaceId>,
    Posted { who, form }: Posted<Operator>,
) -> Result<Response, PageError> {
    if form.text("confirm") != id.to_string() {
        return Err(ApiError::field("confirm", "must be the id of the workspace").into());
    }
    api.handle().delete_workspace(id).await?;
    let notice = Notice { path: "/".to_owned(), text: "Workspace deleted.", secret: None };
    api.sessions().leave(&who.session.token, notice);
    Ok(redirect("/"))
}

/// Makes a key.
pub async fn create_key(
    State(api): State<Api>,
    At(id): At<WorkspaceId>,
    Posted { who, form }: Posted<Operator>,
) -> Result<Response, PageError> {
    let workspace = find(&api, id)?;
    let scopes: Vec<Value> = form.all("scopes").map(Value::from).collect();
    let members = Map::from_iter([("name".to_owned(), form.text("name").into()), ("scopes".to_owned(), scopes.into())]);
    let asked = as_request::<NewKey>(members).and_then(|new| Ok((new.scopes()?, new.name)));
    let made = match asked {
        Ok((scopes, name)) => api.handle().create_key(id, &name, scopes).await.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match made {
        Ok(key) => Ok(back_to(&api, &who, id, ("Key created; keep it, it is not shown again:", Some(key.key)))),
        Err(error) => Ok(refuse(&who, &workspace, &error)),
    }
}

/// A workspace and a key of it, by the path.
pub struct KeyAt(WorkspaceId, KeyId);

impl FromRequestParts<Api> for KeyAt {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, PageError> {
        let Ids(workspace, key) = Ids::from_request_parts(parts, api).await?;
        Ok(KeyAt(workspace, key))
    }
}

/// Revokes a key at once; sessions that began with it end with it.
pub async fn revoke_key(
    State(api): State<Api>,
    KeyAt(id, key): KeyAt,
    Posted { who, .. }: Posted<Operator>,
) -> Result<Response, PageError> {
    api.handle().revoke_key(id, key).await?;
    Ok(back_to(&api, &who, id, ("Key revoked; it is refused from now on.", None)))
}
