//! Who asks for a page, and whether they may: a handler names it in its signature, and nothing of it runs before that was checked.
//!
//! What changes something is a POST that came from a page of this server and carries the token of its session.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use postrider_core::WorkspaceId;
use postrider_core::profile::Profile;
use postrider_core::workspace::{Key, Scope, Workspace};
use subtle::ConstantTimeEq;

use super::form::Form;
use super::page::{self, PageError};
use super::session::{Notice, Session, Who};
use crate::auth::missing;
use crate::error::{ApiError, Code};
use crate::state::Api;

/// The name of the cookie.
pub const COOKIE: &str = "postrider_session";

/// Signed in with a workspace's key that may read.
pub struct Member {
    pub session: Session,
    pub workspace: Workspace,
    pub key: Key,
    pub profile: Arc<Profile>,
}

impl Member {
    /// The only workspace that the pages show.
    pub fn id(&self) -> WorkspaceId {
        self.workspace.id
    }

    /// Whether the key may change something.
    pub fn may_change(&self) -> bool {
        self.key.scopes.allow(Scope::All)
    }
}

/// Signed in with the admin key.
pub struct Operator {
    pub session: Session,
}

/// Somebody that pages are for.
pub trait Visitor: Sized + Send {
    /// Whether this session is one.
    fn admit(session: Session, api: &Api) -> Result<Self, PageError>;
    /// Whether they may change something.
    fn check_change(&self) -> Result<(), PageError>;
    /// The session.
    fn session(&self) -> &Session;
}

impl Visitor for Member {
    fn admit(session: Session, api: &Api) -> Result<Self, PageError> {
        let Who::Key(workspace, key) = session.who else {
            let message =
                "The admin key manages workspaces and their keys; sign in with a workspace's key to see this.";
            return Err(ApiError::new(Code::Forbidden, message).into());
        };
        // The key may have been revoked since.
        let found = api.handle().workspace(workspace).and_then(|w| w.keys.get(&key).cloned().map(|key| (w, key)));
        let Some((workspace, key)) = found else {
            api.sessions().end(&session.token);
            return Err(PageError::SignedOut);
        };
        if !key.scopes.allow(Scope::Read) {
            return Err(missing(&[Scope::Read]).into());
        }
        let profile = api.handle().profile_of(workspace.id)?;
        Ok(Member { session, workspace, key, profile })
    }

    fn check_change(&self) -> Result<(), PageError> {
        if self.may_change() { Ok(()) } else { Err(missing(&[Scope::All]).into()) }
    }

    fn session(&self) -> &Session {
        &self.session
    }
}

impl Visitor for Operator {
    fn admit(session: Session, _: &Api) -> Result<Self, PageError> {
        match session.who {
            Who::Admin => Ok(Operator { session }),
            Who::Key(..) => {
                Err(ApiError::new(Code::Forbidden, "Only the admin key manages workspaces and their keys.").into())
            }
        }
    }

    fn check_change(&self) -> Result<(), PageError> {
        Ok(())
    }

    fn session(&self) -> &Session {
        &self.session
    }
}

/// A page is asked for.
pub struct Seen<V> {
    pub who: V,
    /// What is to be said on this page once.
    pub notice: Option<Notice>,
}

/// A form was sent.
pub struct Posted<V> {
    pub who: V,
    pub form: Form,
}

impl<V: Visitor> FromRequestParts<Api> for Seen<V> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, PageError> {
        let who = visitor::<V>(&parts.headers, api)?;
        // The script asks for a page to renew parts of it, where a notice would be lost.
        let is_renewal = page::is_renewal(&parts.headers);
        let take = || api.sessions().take_notice(&who.session().token, parts.uri.path());
        let notice = if is_renewal { None } else { take() };
        Ok(Seen { who, notice })
    }
}

impl<V: Visitor> FromRequest<Api> for Posted<V> {
    type Rejection = PageError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, PageError> {
        check_origin(request.headers())?;
        let who = visitor::<V>(request.headers(), api)?;
        who.check_change()?;
        let form = Form::read(request, api).await?;
        check_token(who.session(), &form)?;
        Ok(Posted { who, form })
    }
}

/// Refuses a form that is not of this session.
pub fn check_token(session: &Session, form: &Form) -> Result<(), PageError> {
    let message = "This form is not of your session; go back, load the page again and send it once more.";
    let is_its_own = form.text(page::FORM_TOKEN).as_bytes().ct_eq(session.form_token.as_bytes());
    if is_its_own.into() { Ok(()) } else { Err(ApiError::new(Code::Forbidden, message).into()) }
}

fn visitor<V: Visitor>(headers: &HeaderMap, api: &Api) -> Result<V, PageError> {
    let session = session_of(headers, api).ok_or(PageError::SignedOut)?;
    V::admit(session, api)
}

/// The session that the request's cookie names.
pub fn session_of(headers: &HeaderMap, api: &Api) -> Option<Session> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then(|| api.sessions().find(value, Instant::now())).flatten())
}

/// Refuses a form that a browser sends from a page of another site. Who is no browser says nothing of that and is let through.
pub fn check_origin(headers: &HeaderMap) -> Result<(), PageError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let is_own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Browsers leave the other header out on plain http.
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && (host == text("host") || host == text("x-forwarded-host"))
        }
        (None, None) => true,
    };
    let message = "This form was sent from a page of another site.";
    if is_own { Ok(()) } else { Err(ApiError::new(Code::Forbidden, message).into()) }
}

/// Whether the browser speaks TLS, to this server or to whoever stands in front of it.
pub fn is_https(headers: &HeaderMap, api: &Api) -> bool {
    let begins = |name: &str, with: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|text| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with)))
    };
    api.options().tls.is_some() || begins("x-forwarded-proto", "https") || begins("origin", "https://")
}
