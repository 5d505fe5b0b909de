//! The two paths of a receiver's own: `GET /stats` and `GET /requests`. Not counted, not kept, always answered well.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde::Serialize;

use super::{Received, Shared};

#[derive(Serialize)]
struct Page {
    data: Vec<Received>,
}

/// The answer where the request is for one of the two paths.
pub fn answer(shared: &Shared, request: &Parts) -> Option<Response<Full<Bytes>>> {
    if request.method != Method::GET {
        return None;
    }
    let json = match request.uri.path() {
        "/stats" => serde_json::to_vec(&shared.counters.read()),
        "/requests" => serde_json::to_vec(&Page { data: shared.requests() }),
        _ => return None,
    };
    // Maps with string keys and plain fields always serialise; an empty body would show that one did not.
    let mut response = Response::new(Full::new(Bytes::from(json.unwrap_or_default())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(response)
}
