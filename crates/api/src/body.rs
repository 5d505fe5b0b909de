//! Request bodies: read within bounds of size and time, and read away where nobody wants them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::{ApiError, Code};
use crate::limits::{BODY_PAUSE_MAX, BODY_TIMEOUT, DRAIN_BYTES_MAX, DRAIN_PAUSE_MAX, DRAIN_TIMEOUT};

/// A whole body, and its share of the memory that bodies may take.
pub struct Received {
    /// The bytes.
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Whether the body is of this media type, whatever its parameters are.
pub fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(media_type))
}

/// Refuses what would have to be decompressed.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(ApiError::new(
            Code::UnsupportedMediaType,
            "Send the body uncompressed, without the header Content-Encoding.",
        )),
        _ => Ok(()),
    }
}

/// Reads a body of at most `max` bytes.
pub async fn read(mut body: Body, bodies: &Arc<Semaphore>, max: usize) -> Result<Received, ApiError> {
    let too_large =
        || ApiError::new(Code::PayloadTooLarge, format!("The body has more than the {max} bytes that are taken here."));
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let began = Instant::now();
    let mut share: Option<OwnedSemaphorePermit> = None;
    let mut parts = Parts::default();
    loop {
        let patience = BODY_PAUSE_MAX.min(BODY_TIMEOUT.saturating_sub(began.elapsed()));
        let frame = timeout(patience, body.frame()).await.map_err(|_| too_slow())?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ApiError::new(Code::MalformedJson, "The body did not arrive whole."))?;
        let Ok(data) = frame.into_data() else { continue };
        if parts.len() + data.len() > max {
            return Err(too_large());
        }
        reserve(bodies, &mut share, parts.len() + data.len())?;
        parts.push(data, &body);
    }
    Ok(Received { bytes: parts.whole(), _share: share })
}

fn too_slow() -> ApiError {
    ApiError::new(
        Code::RequestTimeout,
        format!(
            "The body came too slowly: it has {} s, and no pause may take {} s.",
            BODY_TIMEOUT.as_secs(),
            BODY_PAUSE_MAX.as_secs()
        ),
    )
}

/// Brings `share` up to one permit for each KiB of `bytes`.
fn reserve(bodies: &Arc<Semaphore>, share: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), ApiError> {
    let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let lacking = bytes.div_ceil(1024).saturating_sub(held);
    if lacking == 0 {
        return Ok(());
    }
    let more = Arc::clone(bodies).try_acquire_many_owned(lacking as u32);
    let more = more.map_err(|_| {
        ApiError::new(Code::Overloaded, "Too many request bodies are in memory; try again in a moment.").after(1)
    })?;
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    Ok(())
}

/// What came so far: a body in one piece stays where it is, others are put together once.
#[derive(Default)]
struct Parts {
    first: Bytes,
    joined: BytesMut,
}

impl Parts {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, data: Bytes, rest: &Body) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            // The client's word on what is to come was checked against the limit.
            self.joined.reserve(first.len() + data.len() + rest.size_hint().lower() as usize);
            self.joined.extend_from_slice(&first);
        }
        self.joined.extend_from_slice(&data);
    }

    fn whole(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

/// Reads away what is left of a body before the answer goes out. A client that is still sending would else find its connection broken
/// instead of reading why it was refused.
pub async fn drain_after(request: Request, next: Next) -> Response {
    // A client that waits for `100 Continue` has sent nothing yet.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let left = Arc::new(Mutex::new(None));
    let request = request.map(|inner| Body::new(Watched { inner, left: Arc::clone(&left) }));
    let mut response = next.run(request).await;
    if response.status() == StatusCode::REQUEST_TIMEOUT {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let unread = left.lock().take();
    if let Some(body) = unread {
        // What comes too slowly is left to the connection's end.
        let _ = timeout(DRAIN_TIMEOUT, drain(body)).await;
    }
    response
}

async fn drain(mut body: Body) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout(DRAIN_PAUSE_MAX, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}

/// A body that leaves what was not read of it to be drained.
struct Watched {
    inner: Body,
    left: Arc<Mutex<Option<Body>>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.inner.is_end_stream() {
            *self.left.lock() = Some(std::mem::take(&mut self.inner));
        }
    }
}
