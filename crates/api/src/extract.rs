//! What handlers take from a request beside its parameters: ids out of the path, and JSON bodies.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::body::{self, check_encoding, is_of_type};
use crate::error::{ApiError, Code};
use crate::json;
use crate::limits::BODY_BYTES_MAX;
use crate::state::Api;

/// The id in the path. One that is malformed is not there: 404.
pub struct Id<T>(pub T);

/// Both ids in the path.
pub struct Ids<A, B>(pub A, pub B);

impl<T: FromStr> FromRequestParts<Api> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        match &*segments(parts).await? {
            [id] => id.parse().map(Id).map_err(|_| malformed()),
            _ => Err(malformed()),
        }
    }
}

impl<A: FromStr, B: FromStr> FromRequestParts<Api> for Ids<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        match &*segments(parts).await? {
            [a, b] => Ok(Ids(a.parse().map_err(|_| malformed())?, b.parse().map_err(|_| malformed())?)),
            _ => Err(malformed()),
        }
    }
}

async fn segments(parts: &mut Parts) -> Result<Vec<String>, ApiError> {
    let path = Path::<Vec<String>>::from_request_parts(parts, &()).await;
    path.map(|Path(segments)| segments).map_err(|_| malformed())
}

fn malformed() -> ApiError {
    ApiError::new(Code::NotFound, "There is nothing of this id here.")
}

/// A JSON object.
pub struct Json<T>(pub T);

/// No body, or an empty object: what is sent to a request that has nothing to say must not be thought heard.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A JSON object, or no body at all for the default.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        check_type(&request)?;
        let received = body::read(request.into_body(), api.bodies(), BODY_BYTES_MAX).await?;
        json::object(&received.bytes).map(Json)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Api> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let typed = check_type(&request);
        let received = body::read(request.into_body(), api.bodies(), BODY_BYTES_MAX).await?;
        if received.bytes.is_empty() {
            return Ok(OptionalJson(T::default()));
        }
        typed?;
        json::object(&received.bytes).map(OptionalJson)
    }
}

fn check_type(request: &Request) -> Result<(), ApiError> {
    if !is_of_type(request.headers(), "application/json") {
        return Err(ApiError::new(Code::UnsupportedMediaType, "Send the header Content-Type: application/json."));
    }
    check_encoding(request.headers())
}
