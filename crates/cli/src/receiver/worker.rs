//! One worker thread: it serves the connections that it is handed and keeps what they brought.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use super::behaviours::Begins;
use super::frames::speak;
use super::plan::Answer;
use super::stats::End;
use super::wire::{Wire, begins_with};
use super::{Request, Shared, control, script};
use crate::clock;
use crate::limits::BODY_KEPT_MAX;

/// Serves until the inbox closes; connections still open then are dropped with the runtime.
pub async fn run(shared: Arc<Shared>, index: usize, mut accepted: mpsc::Receiver<std::net::TcpStream>) {
    while let Some(stream) = accepted.recv().await {
        let Ok(stream) = TcpStream::from_std(stream) else {
            continue;
        };
        // Only latency is lost without it.
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(shared.clone(), index, stream));
    }
}

/// The first byte of a session.
const HANDSHAKE: &[u8; 1] = b"\x16";

struct Connection {
    shared: Arc<Shared>,
    /// Of the worker, and so of its ring.
    index: usize,
    /// Plain http where https is served: only whoever asks for the counts gets what it wants.
    is_astray: bool,
    counted: AtomicBool,
    /// Told when a request has been read that is to be answered on the bare wire.
    taken: Notify,
}

/// One connection to its end. Errors end it and are the client's to notice.
async fn serve(shared: Arc<Shared>, index: usize, stream: TcpStream) {
    let is_https = shared.identity.is_some();
    // Whoever asks for the counts is always answered.
    let is_bypass =
        if is_https { !begins_with(&stream, HANDSHAKE).await } else { is_for_control(&shared, &stream).await };
    let is_astray = is_https && is_bypass;
    let connection = Connection { shared, index, is_astray, counted: false.into(), taken: Notify::new() };
    let Some(wire) = connection.begin(stream).await else { return };
    let behaviour = connection.shared.behaviour;
    let script = behaviour.script().filter(|script| script.from == Begins::Connection);
    match (behaviour.speech(), script) {
        // An error is the client hanging up, which is how these end.
        (Some(speech), _) if !is_bypass => drop(speak(speech, wire, || connection.take_unread(speech.end)).await),
        (None, Some(script)) if !is_bypass => {
            connection.take_unread(script.end);
            let _ = script::play(script.steps, wire).await;
        }
        _ => http(Arc::new(connection), wire).await,
    }
}

/// Looks at a connection's first bytes where they would not be read as a request.
async fn is_for_control(shared: &Shared, stream: &TcpStream) -> bool {
    let script = shared.behaviour.script();
    script.is_some_and(|script| script.from == Begins::Connection) && begins_with(stream, b"GET ").await
}

async fn http(connection: Arc<Connection>, mut wire: Wire) {
    let steps = connection.shared.behaviour.script().map_or(&[][..], |script| script.steps);
    loop {
        let service = service_fn(|request| {
            let connection = connection.clone();
            async move { Ok::<_, Infallible>(connection.handle(request).await) }
        });
        let mut http = http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(wire), service);
        tokio::select! {
            _ = &mut http => return,
            () = connection.taken.notified() => {
                let taken = http.into_parts().io.into_inner();
                match script::play(steps, taken).await {
                    Ok(Some(back)) => wire = back,
                    Ok(None) | Err(_) => return,
                }
            }
        }
    }
}

impl Connection {
    /// The wire that is spoken on; none where the client does not go on with the handshake, which counts as a request that failed.
    async fn begin(&self, stream: TcpStream) -> Option<Wire> {
        let Some(identity) = self.shared.identity.as_ref().filter(|_| !self.is_astray) else {
            return Some(Wire::Plain(stream));
        };
        let session = identity.acceptor.accept(stream).await;
        if session.is_err() {
            self.take_unread(End::Failed);
        }
        session.ok().map(|session| Wire::Tls(Box::new(session)))
    }

    /// Counts a request that is not read. It is not kept: nothing is known of it.
    fn take_unread(&self, end: End) {
        let counters = &self.shared.counters;
        self.count();
        counters.arrived(0, clock::now_ms());
        counters.ended(end);
    }

    /// Counts the connection, with the first request on it; whether this is that.
    fn count(&self) -> bool {
        let is_first = !self.counted.swap(true, Relaxed);
        if is_first {
            self.shared.counters.connected();
        }
        is_first
    }

    async fn handle(&self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        if let Some(response) = control::answer(&self.shared, &head) {
            return response;
        }
        let received_us = clock::now_us();
        let (body, body_bytes) = read(body).await;
        let is_first = self.count();
        let request = Request {
            number: self.shared.counters.arrived(body_bytes, received_us / 1_000),
            received_ms: received_us / 1_000,
            method: head.method.as_str(),
            path: head.uri.path_and_query().map_or("/", |path| path.as_str()),
            headers: &head.headers,
            body: &body,
        };
        if let Some(measure) = &self.shared.measure {
            measure.take(&request, received_us.unsigned_abs());
        }
        let answer = self.decide(&request, body_bytes, is_first);
        let latency = self.shared.plan.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match answer {
            Some(Answer::Reply(status, header)) => reply(status, header),
            Some(Answer::Late(wait, status)) => {
                tokio::time::sleep(wait).await;
                reply(status, None)
            }
            Some(Answer::Hang) => std::future::pending().await,
            None => {
                self.taken.notify_one();
                std::future::pending().await
            }
        }
    }

    /// Decides, counts, keeps and shows one request. No answer: the behaviour's own, on the socket.
    fn decide(&self, request: &Request<'_>, body_bytes: u64, is_first: bool) -> Option<Answer> {
        let shared = &self.shared;
        let told = shared.responder.as_ref().and_then(|responder| responder(request));
        let script = shared.behaviour.script();
        let not_yet = is_first && script.is_some_and(|script| script.from == Begins::SecondRequest);
        let answer = told
            .or_else(|| self.is_astray.then(|| Answer::status(400)))
            .or_else(|| not_yet.then(|| Answer::status(200)))
            .or_else(|| shared.behaviour.answer(&shared.plan, request.number));
        let (end, status) = match &answer {
            Some(Answer::Reply(status, _) | Answer::Late(_, status)) => {
                let end = if status.is_success() { End::Succeeded } else { End::Failed };
                (end, Some(status.as_u16()))
            }
            Some(Answer::Hang) => (End::Hung, None),
            None => script.map_or((End::Failed, None), |script| (script.end, script.status)),
        };
        shared.counters.ended(end);
        shared.rings[self.index].lock().push(request, body_bytes, status);
        if let Some(observer) = &shared.observer {
            observer(request, status);
        }
        answer
    }
}

/// The first part of a body and the length of all of it. A body that breaks off counts as far as it came.
async fn read(mut body: Incoming) -> (Bytes, u64) {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if first.is_empty() && more.is_empty() {
            first = data;
        } else if more.len() < BODY_KEPT_MAX {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&data);
        }
    }
    (if more.is_empty() { first } else { more.freeze() }, length)
}

fn reply(status: StatusCode, header: Option<(HeaderName, HeaderValue)>) -> Response<Full<Bytes>> {
    let body: &'static str = if status.is_success() { "ok\n" } else { "no\n" };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value);
    }
    response
}
