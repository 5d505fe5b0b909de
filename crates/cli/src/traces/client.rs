//! The way to a collector: the command line's own client, so that no other one is built in.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::client::{AGENT, Address, Connection, problem};
use crate::limits::{OTLP_ANSWER_BYTES_MAX, OTLP_ANSWER_WAIT_MAX};

/// Asked by a thread of its own that knows no runtime.
pub struct Collector {
    path: String,
    connection: Arc<Mutex<Connection>>,
    runtime: Handle,
    /// So that a collector that is not there is told once, not with every batch.
    is_failing: AtomicBool,
}

impl Collector {
    pub fn new(address: Address, runtime: Handle) -> Self {
        let path = format!("{}/v1/traces", address.base);
        let connection = Arc::new(Mutex::new(Connection::new(address)));
        Self { path, connection, runtime, is_failing: AtomicBool::new(false) }
    }

    async fn post(&self, asked: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = asked.into_parts();
        let mut request = Request::builder().method(Method::POST).uri(&self.path).header("user-agent", AGENT);
        // Others may be set from outside, by the variables that OpenTelemetry has for it.
        for (name, value) in head.headers.iter().filter(|(name, _)| **name != "user-agent" && **name != "host") {
            request = request.header(name, value);
        }
        debug_assert!(head.headers.contains_key(CONTENT_TYPE));
        let (request, connection) = (request.body(Full::new(body))?, Arc::clone(&self.connection));
        let exchange =
            async move { connection.lock().await.exchange(request, OTLP_ANSWER_BYTES_MAX, OTLP_ANSWER_WAIT_MAX).await };
        let (head, body) = self.runtime.spawn(exchange).await??;
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        Ok(response)
    }

    fn tell(&self, result: &Result<Response<Bytes>, HttpError>) {
        let failure = match result {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("{} {}", response.status(), problem(response.body()))),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(reason) if !was_failing => {
                tracing::warn!(%reason, "traces are lost: the collector does not take them")
            }
            None if was_failing => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

impl HttpClient for Collector {
    fn send_bytes<'me, 'run>(
        &'me self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'run>>
    where
        'me: 'run,
    {
        Box::pin(async move {
            let result = self.post(request).await;
            self.tell(&result);
            result
        })
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}
