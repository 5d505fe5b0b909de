//! A server within this process, for commands that need one for a while: the engine on a temporary folder, the API on a free port of
//! loopback. It is spoken to as from outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use postrider::http::{self, ApiOptions};
use postrider::{Engine, SecretString, Stopped};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The engine's default, which the API has to know too.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// A running server. Dropped without [`LocalServer::stop`] it leaves nothing behind either, but cuts off what is in flight.
pub struct LocalServer {
    pub address: SocketAddr,
    pub admin_key: SecretString,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    engine: Engine,
    folder: TempDir,
}

impl LocalServer {
    /// Delivers to public addresses and those of `allow`.
    ///
    /// # Errors
    /// No folder, no port, or the engine does not start.
    pub async fn start(prefix: &str, allow: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
        let builder = Engine::builder().data(folder.path()).event_bytes_max(EVENT_BYTES_MAX).workers(2);
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let engine = allow.iter().fold(builder.listens_at(address), |builder, range| builder.allow(*range)).open()?;
        let admin_key = postrider::new_admin_key();
        let options = ApiOptions {
            admin_key: admin_key.clone(),
            // The command looks several times a second.
            rate_limit_per_minute: 0,
            event_bytes_max: EVENT_BYTES_MAX,
            egress_addresses: Vec::new(),
            metrics: Some(http::install_recorder()?),
            tls: None,
        };
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(http::serve(listener, engine.handle(), options, async move {
            // A server that is dropped stops as well.
            let _ = stopped.await;
        }));
        Ok(Self { address, admin_key, stop, serving, engine, folder })
    }

    /// Lets attempts in flight end for at most `grace`, and removes the folder.
    ///
    /// # Errors
    /// The log could not be written any more, or the folder cannot be removed.
    pub async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        drop(self.stop);
        self.serving.await?;
        let stopped = self.engine.shutdown(grace).await;
        self.folder.close().context("the temporary folder cannot be removed")?;
        match stopped {
            Stopped::Clean => Ok(()),
            Stopped::Poisoned(reason) => Err(anyhow!(reason)),
        }
    }
}
