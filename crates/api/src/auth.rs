//! Who asks, and whether they may. A handler names what it needs in its signature; nothing of it runs before that was checked.

use std::marker::PhantomData;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use postrider_core::workspace::{Key, Scope, Scopes};
use postrider_core::{KeyId, WorkspaceId};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::error::{ApiError, Code};
use crate::rate::Counted;
use crate::state::Api;

/// What a handler asks of a workspace's key.
pub trait Need: Send {
    /// Any one of these.
    const SCOPES: &'static [Scope];
    /// Whether the request counts against the key's rate limit.
    const IS_COUNTED: bool = true;
}

/// Every GET.
pub struct Read;
/// Everything that changes something but publishing.
pub struct All;
/// Publishing: not counted, so that a publisher is only ever held back by overload.
pub struct Publish;
/// The catalogue, for readers and publishers.
pub struct Catalogue;
/// Watching: not counted, since one request lasts.
pub struct Live;

impl Need for Read {
    const SCOPES: &'static [Scope] = &[Scope::Read];
}
impl Need for All {
    const SCOPES: &'static [Scope] = &[Scope::All];
}
impl Need for Publish {
    const SCOPES: &'static [Scope] = &[Scope::EventsWrite];
    const IS_COUNTED: bool = false;
}
impl Need for Live {
    const SCOPES: &'static [Scope] = &[Scope::Read];
    const IS_COUNTED: bool = false;
}
impl Need for Catalogue {
    const SCOPES: &'static [Scope] = &[Scope::Read, Scope::EventsWrite];
}

/// A workspace's key that may do what `N` names.
pub struct Caller<N> {
    /// The only workspace that the request can see.
    pub workspace: WorkspaceId,
    /// The key that was presented.
    pub key: KeyId,
    need: PhantomData<N>,
}

/// The admin key.
pub struct Admin;

/// Whose key it is.
pub enum Principal {
    /// The admin key.
    Admin,
    /// A workspace's.
    Key(Key),
}

impl<N: Need> FromRequestParts<Api> for Caller<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Principal::Key(key) = principal(&parts.headers, api, N::IS_COUNTED)? else {
            return Err(ApiError::new(
                Code::Forbidden,
                "The admin key manages workspaces and their keys; use a workspace's key here.",
            ));
        };
        if !N::SCOPES.iter().any(|scope| key.scopes.allow(*scope)) {
            return Err(missing(N::SCOPES));
        }
        Ok(Caller { workspace: key.workspace, key: key.id, need: PhantomData })
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        match principal(&parts.headers, api, true)? {
            Principal::Admin => Ok(Admin),
            Principal::Key(_) => {
                Err(ApiError::new(Code::Forbidden, "Only the admin key manages workspaces and their keys."))
            }
        }
    }
}

fn principal(headers: &HeaderMap, api: &Api, is_counted: bool) -> Result<Principal, ApiError> {
    let presented = presented(headers).ok_or_else(|| {
        ApiError::new(Code::Unauthorized, "Send a key in the header x-api-key, or as Authorization: Bearer.")
    })?;
    let principal = identify(presented, api)?;
    if is_counted {
        count(&principal, api)?;
    }
    Ok(principal)
}

/// Whose key this is.
pub fn identify(presented: &str, api: &Api) -> Result<Principal, ApiError> {
    let admin_key = api.options().admin_key.expose_secret();
    if !admin_key.is_empty() && bool::from(presented.as_bytes().ct_eq(admin_key.as_bytes())) {
        return Ok(Principal::Admin);
    }
    let unknown = || ApiError::new(Code::Unauthorized, "This key is not known; it may have been revoked.");
    api.handle().authenticate(presented).map(Principal::Key).ok_or_else(unknown)
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn count(principal: &Principal, api: &Api) -> Result<(), ApiError> {
    let who = match principal {
        Principal::Admin => Counted::Admin,
        Principal::Key(key) => Counted::Key(key.id),
    };
    api.rate().take(who, Instant::now()).map_err(|seconds| {
        let max = api.options().rate_limit_per_minute;
        let message = format!("This key has made its {max} requests of this minute; go on in {seconds} s.");
        ApiError::new(Code::RateLimited, message).after(seconds)
    })
}

/// The refusal of a key that has none of these scopes.
pub fn missing(scopes: &[Scope]) -> ApiError {
    let names: Vec<_> = scopes.iter().map(|scope| name_of(*scope)).collect();
    ApiError::new(Code::Forbidden, format!("This key lacks the scope {}.", names.join(" or ")))
}

fn name_of(scope: Scope) -> &'static str {
    let named = Scope::NAMES.iter().find(|(known, _)| *known == scope);
    named.map_or("ALL", |(_, name)| name)
}

/// The names of a key's scopes.
pub fn names_of(scopes: Scopes) -> Vec<&'static str> {
    let named = Scope::NAMES.iter().filter(|(scope, _)| scopes.names(*scope));
    named.map(|(_, name)| *name).collect()
}
