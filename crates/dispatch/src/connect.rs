//! From a target to a connection: judged addresses, TCP, TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use postrider_core::attempt::{ErrorKind, Failure};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::classify::failure;
use crate::limits::{ADDRESSES_TRIED_MAX, CONNECT_MAX};
use crate::stage::{Progress, Stage};
use crate::tls::{HTTP2, handshake_failure};
use crate::{AddressPolicy, Target};

/// A new connection to `target` at one of `addresses`, which were judged. The first `ADDRESSES_TRIED_MAX` of them are tried.
///
/// # Errors
/// `blocked_address`, `connect`, `tls`, or `timeout` after `CONNECT_MAX`.
pub(crate) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    policy: &AddressPolicy,
    tls: &Arc<ClientConfig>,
    progress: &Progress,
) -> Result<Stream, Failure> {
    let addresses = &addresses[..addresses.len().min(ADDRESSES_TRIED_MAX)];
    let until = Instant::now() + CONNECT_MAX;
    let stream = match timeout_at(until, connect_any(target, addresses, until, progress)).await {
        Ok(stream) => stream?,
        Err(_) => return Err(progress.overdue(target, CONNECT_MAX)),
    };
    let session = timeout_at(until, secure(target, stream, policy, tls, progress)).await;
    session.unwrap_or_else(|_| Err(progress.overdue(target, CONNECT_MAX)))
}

/// The addresses in order. Each but the last gets its share of the time that is left, so that a silent one does not use it up.
async fn connect_any(
    target: &Target,
    addresses: &[SocketAddr],
    until: Instant,
    progress: &Progress,
) -> Result<TcpStream, Failure> {
    progress.begin(Stage::Connection);
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    for (index, address) in addresses.iter().enumerate() {
        let left = (addresses.len() - index) as u32;
        let share = Instant::now() + until.saturating_duration_since(Instant::now()) / left;
        match timeout_at(share, connect_one(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last_error = error,
            Err(_) => last_error = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    if last_error.kind() == io::ErrorKind::TimedOut {
        return Err(progress.overdue(target, CONNECT_MAX));
    }
    let origin = target.origin();
    Err(failure(
        ErrorKind::Connect,
        format_args!("no connection to {origin} ({last_error}); check that the receiver is up and listens there"),
    ))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where receivers are connected to, at addresses that were judged"
)]
async fn connect_one(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // TCP's simultaneous open connects a socket with itself when a local port without a listener is dialled from that very port.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS where the target wants it, after the address at the other end was judged once more.
async fn secure(
    target: &Target,
    stream: TcpStream,
    policy: &AddressPolicy,
    tls: &Arc<ClientConfig>,
    progress: &Progress,
) -> Result<Stream, Failure> {
    let peer = stream.peer_addr().map_err(|error| failure(ErrorKind::Connect, error))?;
    policy.check(peer).map_err(|refused| failure(ErrorKind::BlockedAddress, refused))?;
    let Some(name) = &target.server_name else {
        return Ok(Stream::new(Socket::Plain(stream), peer));
    };
    progress.begin(Stage::Session);
    match TlsConnector::from(Arc::clone(tls)).connect(name.clone(), stream).await {
        Ok(session) => Ok(Stream::new(Socket::Tls(Box::new(session)), peer)),
        Err(error) => Err(handshake_failure(target.host(), &error)),
    }
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection's bytes. Nothing is read before something was written, so that hyper takes a server that answers on accept for one
/// that answers, whichever comes first.
pub(crate) struct Stream {
    socket: Socket,
    peer: SocketAddr,
    written: bool,
    allowance: Allowance,
}

impl Stream {
    fn new(socket: Socket, peer: SocketAddr) -> Stream {
        Stream { socket, peer, written: false, allowance: Allowance::default() }
    }

    /// The other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the other end chose HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        match &self.socket {
            Socket::Plain(_) => false,
            Socket::Tls(session) => session.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }

    /// What bounds its reads, for whoever knows what is being read.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }
}

/// How many bytes may still be read before the connection breaks. Hyper and h2 bound one head, and skip any number of informational
/// ones before it, as fast as they come.
#[derive(Clone)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl Allowance {
    /// From here on at most `bytes`.
    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Relaxed);
    }

    /// No bound from here on.
    pub(crate) fn lift(&self) {
        self.set(usize::MAX);
    }

    /// So many `bytes` more, but at most `most` in all.
    pub(crate) fn grant(&self, bytes: usize, most: usize) {
        // Never refused by the closure.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_add(bytes).min(most)));
    }

    /// Whether more came than was allowed.
    pub(crate) fn is_used_up(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    fn take(&self, bytes: usize) {
        if self.0.load(Relaxed) != usize::MAX {
            // One task reads, but on HTTP/2 others grant meanwhile. Never refused by the closure.
            let _ = self.0.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(bytes)));
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.written {
            // Hyper reads, then writes: the write follows in the same poll, and this wake brings the next read.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.allowance.is_used_up() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::InvalidData)));
        }
        let before = buf.filled().len();
        let polled = match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        self.allowance.take(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.written = true;
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written = true;
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::tls::client_config;

    async fn connect_to(addresses: &[SocketAddr]) -> Result<Stream, Failure> {
        connect_under(&AddressPolicy::from_words(["loopback"]).expect("a word"), addresses).await
    }

    async fn connect_under(policy: &AddressPolicy, addresses: &[SocketAddr]) -> Result<Stream, Failure> {
        let target = Target::parse("http://example.com/", false).expect("a URL");
        let tls = client_config::<&[u8]>(&[], false).expect("no extra roots");
        connect(&target, addresses, policy, &tls, &Progress::new()).await
    }

    async fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        (listener, address)
    }

    /// A listener whose queue is full drops what comes: a port that neither accepts nor refuses.
    #[allow(clippy::disallowed_methods, reason = "fills a queue of this very test")]
    async fn silent() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has a free port");
        let listener = socket.listen(1).expect("it is bound");
        let address = listener.local_addr().expect("it is bound");
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) =
            timeout_at(Instant::now() + std::time::Duration::from_millis(100), TcpStream::connect(address)).await
        {
            queued.push(stream);
        }
        (listener, address, queued)
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let (closed, refusing) = listening().await;
        drop(closed);
        let (_listener, open) = listening().await;
        assert!(connect_to(&[refusing, open]).await.is_ok());
        assert_eq!(connect_to(&[refusing, refusing]).await.err().map(|failure| failure.kind), Some(ErrorKind::Connect));
    }

    #[tokio::test]
    async fn a_silent_address_leaves_time_for_the_next_and_alone_it_is_a_timeout() {
        let (_full, silent, _queued) = silent().await;
        let (_listener, open) = listening().await;
        // From here on the clock jumps to the next timer whenever there is nothing else to do.
        tokio::time::pause();
        assert!(connect_to(&[silent, open]).await.is_ok());
        let failure = connect_to(&[silent]).await.err().expect("nobody accepts");
        assert_eq!(failure.kind, ErrorKind::Timeout);
        assert!(failure.message.contains("no connection to http://example.com within 5 s"), "{}", failure.message);
    }

    #[tokio::test]
    async fn the_far_end_is_judged_whatever_was_looked_up() {
        let (_listener, open) = listening().await;
        let connected = connect_under(&AddressPolicy::default(), &[open]).await;
        assert_eq!(connected.err().map(|failure| failure.kind), Some(ErrorKind::BlockedAddress));
    }
}
