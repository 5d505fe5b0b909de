//! The shapes that every answer has: one resource, or a list with its metadata.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use postrider_engine::{Page, PageQuery};
use serde::Serialize;
use utoipa::ToSchema;

/// One resource.
#[derive(Serialize, ToSchema)]
pub struct One<T> {
    /// Always `success`.
    #[schema(value_type = String, example = "success")]
    status: &'static str,
    /// One sentence for a person.
    message: String,
    /// The resource.
    data: T,
}

/// A list, newest first.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    /// The entries of this page.
    data: Vec<T>,
    meta: Meta,
}

/// Which page of what.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The page's number; 1 on a page by cursor.
    #[schema(example = 1)]
    page: usize,
    #[schema(example = 50)]
    page_size: usize,
    /// Entries of the whole list, exact up to 10,000.
    #[schema(example = 123)]
    total: usize,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
    /// There when the list has, or may have, more entries than `total` says.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    total_is_capped: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Any value as a JSON answer.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Wire types have string keys and no values that JSON lacks, so that writing them cannot fail.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// One resource as an answer.
pub fn one(status: StatusCode, message: impl Into<String>, data: impl Serialize) -> Response {
    let message = message.into();
    json(status, &One { status: "success", message, data })
}

/// A page as an answer.
pub fn list<T: Serialize>(page: Page<T>, query: &PageQuery) -> Response {
    let meta = Meta {
        page: query.page,
        page_size: query.page_size,
        total: page.total,
        next_cursor: page.next_cursor,
        total_is_capped: page.total_is_capped,
    };
    json(StatusCode::OK, &List { data: page.items, meta })
}

/// 204.
pub fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
