//! The HTTP API: what clients see of the engine, word for word as the contract has it.
//!
//! It owns wire types, authentication, limits of requests and the description of all that; it decides nothing about events, webhooks or
//! deliveries and knows the engine by its handle alone. Bad input is answered with a 4xx that names what to mend; a message never repeats
//! what was sent, since it may be a secret. Nothing here reads the environment, installs a logger or starts a runtime.

mod auth;
mod body;
mod dashboard;
mod envelope;
mod error;
mod extract;
mod json;
mod limits;
mod metrics;
mod openapi;
mod query;
mod rate;
mod request_id;
mod routes;
mod serve;
mod state;
mod tls;
mod wire;

use axum::Router;
use axum::http::Uri;
use utoipa_axum::router::OpenApiRouter;

use crate::error::{ApiError, Code};

pub use crate::metrics::{PrometheusHandle, RecorderError, install_recorder};
pub use serve::serve;
pub use state::{Api, ApiOptions};
pub use tls::{Tls, TlsError};

/// All routes over a running engine.
pub fn router(api: Api) -> Router {
    let (router, _) = described().split_for_parts();
    router
        .merge(dashboard::pages())
        .fallback(no_such_address)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn(body::drain_after))
        .layer(axum::middleware::from_fn_with_state(api.clone(), request_id::name))
        .with_state(api)
}

/// The description of the API as an OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = described().into_openapi();
    openapi::say_left_out(&mut document);
    document
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::frame()).merge(routes::all())
}

async fn no_such_address(_: Uri) -> ApiError {
    ApiError::new(Code::NotFound, "There is nothing at this address; /openapi.json lists what there is.")
}

async fn no_such_method() -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        "This address does not take this method; the header Allow names those it takes.",
    )
}
