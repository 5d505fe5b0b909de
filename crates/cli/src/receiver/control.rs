//! What a receiver answers for itself: `GET /stats`, `DELETE /stats` and `GET /requests`. Not counted, not kept, always answered well.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::{Received, Shared};

#[derive(Serialize)]
struct Page {
    data: Vec<Received>,
}

/// The answer where the request is for one of these.
pub fn answer(shared: &Shared, request: &Parts) -> Option<Response<Full<Bytes>>> {
    let json = match (&request.method, request.uri.path()) {
        (&Method::GET, "/stats") => serde_json::to_vec(&shared.stats()),
        (&Method::GET, "/requests") => serde_json::to_vec(&Page { data: shared.requests() }),
        (&Method::DELETE, "/stats") => {
            shared.clear_stats();
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Some(response);
        }
        _ => return None,
    };
    // Maps with string keys and plain fields always serialise; an empty body would show that one did not.
    let mut response = Response::new(Full::new(Bytes::from(json.unwrap_or_default())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(response)
}
