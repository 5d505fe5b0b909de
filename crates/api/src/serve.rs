//! The server: connections in bounds of number and time, and an orderly end.

mod http2;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use postrider_engine::Handle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::error::{ApiError, Code};
use crate::limits::{CONNECTIONS_MAX, HEAD_TIMEOUT, METRICS_UPKEEP, REQUESTS_MAX, SHUTDOWN_GRACE};
use crate::metrics::PrometheusHandle;
use crate::state::{Api, ApiOptions};
use crate::tls::{Greeted, HTTP2, Tls, tell_expiry};

/// Serves the API until `shutdown` is ready; then takes no more connections, lets requests that have begun end for a few seconds, and
/// returns when no connection is left. With [`ApiOptions::tls`] it speaks https, else http. From the call on nothing is delivered to where `listener` listens.
pub async fn serve(listener: TcpListener, handle: Handle, options: ApiOptions, shutdown: impl Future<Output = ()>) {
    // Whoever listens knows where. Without an address there is nothing to deliver to either.
    if let Ok(here) = listener.local_addr() {
        handle.listens_at(here);
    }
    let metrics = options.metrics.clone();
    let api = Api::new(handle, options);
    let tls = api.options().tls.clone();
    let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
    let door = Door { tls: tls.clone(), router: crate::router(api.clone()), requests };
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    // Neither ever ends.
    let upkeep = async { tokio::join!(keep_up(metrics), tell_expiry(tls)) };
    tokio::pin!(shutdown, upkeep);
    loop {
        let next = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, accept(&listener).await)
        };
        let (slot, stream) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            _ = &mut upkeep => continue,
            Some(_) = connections.join_next() => continue,
            accepted = next => accepted,
        };
        let (door, stopping) = (door.clone(), stopping.clone());
        connections.spawn(async move {
            door.receive(stream, stopping).await;
            drop(slot);
        });
    }
    drop(listener);
    drop(stop);
    api.close();
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(SHUTDOWN_GRACE, ended).await.is_err() {
        tracing::warn!(left = connections.len(), "connections are cut off at the end of the grace");
        connections.shutdown().await;
    }
}

/// Puts together what the recorder has gathered; it would grow for as long as nobody reads it.
async fn keep_up(recorder: Option<PrometheusHandle>) {
    let Some(recorder) = recorder else {
        return std::future::pending().await;
    };
    let mut now_and_then = tokio::time::interval(METRICS_UPKEEP);
    loop {
        now_and_then.tick().await;
        recorder.run_upkeep();
    }
}

/// The next connection. An error, such as too many open files, passes with time.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// What a connection is received with.
#[derive(Clone)]
struct Door {
    tls: Option<Tls>,
    router: Router,
    /// One permit for each request of HTTP/2.
    requests: Arc<Semaphore>,
}

impl Door {
    async fn receive(self, stream: TcpStream, mut stopping: watch::Receiver<()>) {
        // Without it small answers are late; a connection that is gone already shows below.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls else {
            return connection(stream, self.router, stopping).await;
        };
        let greeted = tokio::select! {
            greeted = tls.greet(stream) => greeted,
            _ = stopping.changed() => return,
        };
        match greeted {
            Greeted::Tls(session) if is_http2(&session) => {
                http2::connection(*session, self.router, self.requests, stopping).await;
            }
            Greeted::Tls(session) => connection(*session, self.router, stopping).await,
            Greeted::Plain(stream) => connection(stream, Router::new().fallback(speak_tls), stopping).await,
            Greeted::Nothing => {}
        }
    }
}

/// Whether the two have agreed on it.
fn is_http2(session: &TlsStream<TcpStream>) -> bool {
    session.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// To whoever speaks plain http where TLS is spoken.
async fn speak_tls() -> impl IntoResponse {
    let error = ApiError::new(Code::HttpsRequired, "This port speaks TLS; use https:// in the address.");
    ([(CONNECTION, "close")], error)
}

async fn connection<S>(stream: S, router: Router, mut stopping: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return note(ended),
        // Ready when the sender is dropped.
        _ = stopping.changed() => serving.as_mut().graceful_shutdown(),
    }
    note(serving.await);
}

/// What a client did to its connection is no fault of the server.
fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
