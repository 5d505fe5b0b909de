//! One connection to a server, kept alive and opened again when it is gone. Says of every failure whether the request
//! may have arrived; decides nothing about it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::http::response::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Address;
use crate::limits::CONNECT_WAIT_MAX;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection: nothing was sent.
    #[error("{0}")]
    Unsent(String),
    /// The request or part of it was sent; whether it was taken is unknown.
    #[error("{0}")]
    Lost(String),
}

/// A kept connection. One request at a time.
pub struct Connection {
    address: Address,
    kept: Option<SendRequest<Full<Bytes>>>,
    has_connected: bool,
}

impl Connection {
    /// Opened by the first request.
    pub fn new(address: Address) -> Self {
        Self { address, kept: None, has_connected: false }
    }

    /// Whether the server was ever there.
    pub fn has_connected(&self) -> bool {
        self.has_connected
    }

    /// Where it goes.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request, whose `Host` is set here, and reads the answer whole.
    ///
    /// # Errors
    /// No answer within `wait_max`, or none of at most `bytes_max`.
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
        wait_max: Duration,
    ) -> Result<(Parts, Bytes), SendError> {
        let mut connection = self.take().await?;
        let exchange = async {
            let (head, body) = self.begin(&mut connection, request).await?.into_parts();
            let body = Limited::new(body, bytes_max).collect().await.map_err(lost)?.to_bytes();
            Ok((head, body))
        };
        let answer = timeout(wait_max, exchange)
            .await
            .unwrap_or_else(|_| Err(SendError::Lost(format!("no answer within {} s", wait_max.as_secs()))))?;
        self.kept = Some(connection);
        Ok(answer)
    }

    /// Sends a request and reads the head of the answer, whose body comes as long as it comes. The connection goes with it.
    ///
    /// # Errors
    /// No head within `wait_max`.
    pub async fn open(
        &mut self,
        request: Request<Full<Bytes>>,
        wait_max: Duration,
    ) -> Result<Response<Incoming>, SendError> {
        let mut connection = self.take().await?;
        let head = timeout(wait_max, self.begin(&mut connection, request)).await;
        head.unwrap_or_else(|_| Err(SendError::Lost(format!("no answer within {} s", wait_max.as_secs()))))
    }

    async fn begin(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        request.headers_mut().insert(HOST, self.address.authority.clone());
        connection.send_request(request).await.map_err(lost)
    }

    /// The kept connection if it is still open, else a new one.
    async fn take(&mut self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        if let Some(mut kept) = self.kept.take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        self.connect().await
    }

    #[allow(clippy::disallowed_methods, reason = "this client goes where its user says; it delivers nothing")]
    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let Address { host, port, .. } = &self.address;
        let to = format!("cannot connect to {host}:{port}");
        let stream = match timeout(CONNECT_WAIT_MAX, TcpStream::connect((host.as_str(), *port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(SendError::Unsent(format!("{to}: {error}"))),
            Err(_) => {
                return Err(SendError::Unsent(format!("{to} within {} s", CONNECT_WAIT_MAX.as_secs())));
            }
        };
        // Only latency is lost without it.
        let _ = stream.set_nodelay(true);
        let sender = match &self.address.tls {
            None => begin_http(stream).await?,
            Some(config) => begin_http(begin_tls(config, host, stream, &to).await?).await?,
        };
        self.has_connected = true;
        Ok(sender)
    }
}

async fn begin_tls(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
    to: &str,
) -> Result<TlsStream<TcpStream>, SendError> {
    let unsent = |error: &dyn Display| SendError::Unsent(format!("{to}: {error}"));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unsent(&error))?;
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    match timeout(CONNECT_WAIT_MAX, handshake).await {
        Ok(session) => session.map_err(|error| unsent(&error)),
        Err(_) => Err(unsent(&format_args!("no TLS session within {} s", CONNECT_WAIT_MAX.as_secs()))),
    }
}

async fn begin_http<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unsent)?;
    // Ends with the sender or the connection, whichever goes first; the sender hears of errors.
    tokio::spawn(connection);
    Ok(sender)
}

fn unsent(error: impl Display) -> SendError {
    SendError::Unsent(error.to_string())
}

fn lost(error: impl Display) -> SendError {
    SendError::Lost(format!("the connection broke before the answer: {error}"))
}
