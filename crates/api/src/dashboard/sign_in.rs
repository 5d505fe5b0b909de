//! `/`, signing in and signing out.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::workspace::Scope;

use super::access::{COOKIE, Member, Operator, Visitor, check_origin, check_token, is_https, session_of};
use super::form::Form;
use super::page::{self, PageError, faults, redirect};
use super::session::Who;
use super::{webhooks, workspaces};
use crate::auth::{Principal, identify, missing};
use crate::error::ApiError;
use crate::limits::SESSION_AGE_MAX;
use crate::state::Api;

/// Shows the dashboard to a person with a browser: the overview, or the form to sign in with.
#[utoipa::path(get, operation_id = "getDashboard", path = "/", tag = "operations", security(()),
    responses((status = 200, description = "A page for people: a form to sign in with, or the overview of whoever is signed in.",
        body = String, content_type = "text/html")))]
pub async fn index(State(api): State<Api>, headers: HeaderMap, uri: Uri) -> Result<Response, PageError> {
    let Some(session) = session_of(&headers, &api) else {
        return Ok(page::plain("Sign in", sign_in(None)));
    };
    let take_notice = || {
        let is_renewal = headers.contains_key(page::RENEWAL);
        if is_renewal { None } else { api.sessions().take_notice(&session.token, "/") }
    };
    let notice = take_notice();
    match session.who {
        Who::Admin => workspaces::list(&api, &Operator::admit(session, &api)?, notice, None),
        Who::Key(..) => match Member::admit(session, &api) {
            Ok(member) => webhooks::list(&api, &member, notice, &uri).await,
            // Its key was revoked. Going on to `/` would lead here again.
            Err(PageError::SignedOut) => Ok(page::plain("Sign in", sign_in(None))),
            Err(error) => Err(error),
        },
    }
}

fn sign_in(refused: Option<&ApiError>) -> Markup {
    html! {
        section.card.narrow {
            h1 { "Sign in" }
            @if let Some(error) = refused { (faults(error)) }
            form method="post" action="/dashboard/sign-in" autocomplete="off" {
                label for="key" { "Key" }
                input #key name="key" type="password" required autofocus autocomplete="off" spellcheck="false";
                p.help {
                    "A workspace's key (" code { "prk_…" } ") shows that workspace; the admin key manages workspaces and their keys. "
                    "The session ends after 12 hours, or 2 hours without use."
                }
                button type="submit" { "Sign in" }
            }
        }
        p.help.narrow { "Programs use the API under " code { "/v1" } "; " a href="/openapi.json" { "openapi.json" } " describes it." }
    }
}

/// Begins a session.
pub async fn begin(State(api): State<Api>, request: Request) -> Result<Response, PageError> {
    check_origin(request.headers())?;
    let is_secure = is_https(request.headers(), &api);
    let before = session_of(request.headers(), &api);
    let form = Form::read(request, &api).await?;
    let who = match identify(form.text("key"), &api) {
        Ok(Principal::Admin) => Ok(Who::Admin),
        Ok(Principal::Key(key)) if key.scopes.allow(Scope::Read) => Ok(Who::Key(key.workspace, key.id)),
        Ok(Principal::Key(_)) => Err(missing(&[Scope::Read])),
        Err(error) => Err(error),
    };
    let who = match who {
        Ok(who) => who,
        Err(error) => return Ok(page::refusal(&error, page::plain_page("Sign in", sign_in(Some(&error))))),
    };
    if let Some(session) = before {
        api.sessions().end(&session.token);
    }
    let session = api.sessions().begin(who, Instant::now());
    let mut response = redirect("/");
    set_cookie(response.headers_mut(), &session.token, SESSION_AGE_MAX.as_secs(), is_secure);
    Ok(response)
}

/// Ends the session.
pub async fn end(State(api): State<Api>, request: Request) -> Result<Response, PageError> {
    check_origin(request.headers())?;
    let is_secure = is_https(request.headers(), &api);
    let session = session_of(request.headers(), &api).ok_or(PageError::SignedOut)?;
    check_token(&session, &Form::read(request, &api).await?)?;
    api.sessions().end(&session.token);
    let mut response = redirect("/");
    set_cookie(response.headers_mut(), "", 0, is_secure);
    Ok(response)
}

fn set_cookie(headers: &mut HeaderMap, token: &str, seconds: u64, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(header::SET_COOKIE, value);
    }
}
