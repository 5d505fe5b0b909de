//! What operators and their machines ask: alive, ready, figures, the description of the API. No key is needed.

use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::envelope::{self, One};
use crate::error::{ApiError, Code, ErrorBody};
use crate::metrics::{PrometheusHandle, tell_certificate};
use crate::state::Api;
use crate::tls::Tls;

/// How the process is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = true)]
    ready: bool,
    /// Of this server.
    #[schema(value_type = String, example = "0.1.0")]
    version: &'static str,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Tells that the process is up.
#[utoipa::path(get, operation_id = "getHealth", path = "/healthz", tag = "operations", security(()),
    responses((status = 200, description = "The process is up.", body = One<Health>)))]
pub async fn healthz(State(api): State<Api>) -> Response {
    let ready = api.handle().is_ready();
    envelope::one(StatusCode::OK, "The process is up.", Health { ready, version: VERSION })
}

/// Tells whether requests are taken: the log can be written and the schedule is loaded.
#[utoipa::path(get, operation_id = "getReadiness", path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "Ready.", body = One<Health>), (status = 503, description = "Not ready.", body = ErrorBody)))]
pub async fn readyz(State(api): State<Api>) -> Response {
    if !api.handle().is_ready() {
        let message = "The engine is stopping, or its log cannot be written.";
        return ApiError::new(Code::Unavailable, message).after(5).into_response();
    }
    let health = Health { ready: true, version: VERSION };
    envelope::one(StatusCode::OK, "The log can be written and the schedule is loaded.", health)
}

/// Gives figures as Prometheus text.
#[utoipa::path(get, operation_id = "getMetrics", path = "/metrics", tag = "operations", security(()),
    responses((status = 200, description = "Figures; no label names a workspace, webhook or URL.", body = String, content_type = "text/plain")))]
pub async fn metrics(State(api): State<Api>) -> Response {
    let recorder = api.options().metrics.as_ref();
    if recorder.is_some() {
        api.handle().tell_levels();
        if let Some(expires) = api.options().tls.as_ref().and_then(Tls::expires_at) {
            tell_certificate(expires);
        }
    }
    let text = recorder.map(PrometheusHandle::render).unwrap_or_default();
    typed("text/plain; version=0.0.4; charset=utf-8", text)
}

/// Describes the API.
#[utoipa::path(get, operation_id = "getDocument", path = "/openapi.json", tag = "operations", security(()),
    responses((status = 200, description = "This document.", body = Object)))]
pub async fn openapi() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    // The document is made of constants that a test writes out.
    let document = DOCUMENT.get_or_init(|| serde_json::to_vec(&crate::openapi()).unwrap_or_default().into());
    typed("application/json", document.clone())
}

fn typed(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
