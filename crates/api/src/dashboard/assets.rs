//! The stylesheet, the one script and the icon: part of the binary.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;

/// The stylesheet of all pages.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

/// Renews parts of a page as attempts end.
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("live.js"))
}

/// For the browser's tab.
pub async fn icon() -> Response {
    file("image/svg+xml", include_str!("icon.svg"))
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let set = [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        // An hour at most with the files of an older binary.
        (header::CACHE_CONTROL, "max-age=3600"),
    ];
    for (name, value) in set {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
