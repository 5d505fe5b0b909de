//! What is really there while the demo runs: the engine on a temporary folder, the API on a free port, the receiver on another.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hyper::StatusCode;
use parking_lot::Mutex;
use postrider::http::{self, ApiOptions};
use postrider::{Engine, SecretString, Stopped};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::scenario;
use crate::receiver::{Answer, Config, Receiver, Request, Responder};

/// How long attempts in flight may go on at the end; the slow receiver takes less.
const GRACE: Duration = Duration::from_secs(3);
/// The engine's default, which the API has to know too.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Server and receiver. Dropped without [`Stage::strike`] it leaves nothing behind either, but cuts off what is in flight.
pub struct Stage {
    pub address: SocketAddr,
    pub admin_key: SecretString,
    pub receiver: Receiver,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    engine: Engine,
    folder: TempDir,
}

impl Stage {
    /// # Errors
    /// No folder, no port, or the engine does not start.
    pub async fn set() -> anyhow::Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let receiver = Receiver::start(Config { responder: Some(responder()), ..Config::new(loopback) })
            .context("the receiver cannot start")?;
        let folder = tempfile::Builder::new().prefix("postrider-demo-").tempdir()?;
        let engine = Engine::builder()
            .data(folder.path())
            .allow("loopback")
            .event_bytes_max(EVENT_BYTES_MAX)
            .workers(2)
            .open()?;
        let listener = TcpListener::bind(loopback).await?;
        let address = listener.local_addr()?;
        let admin_key = postrider::new_admin_key();
        let options = ApiOptions {
            admin_key: admin_key.clone(),
            // The table is read over the API too, several times a second.
            rate_limit_per_minute: 0,
            event_bytes_max: EVENT_BYTES_MAX,
            egress_addresses: Vec::new(),
            metrics: Some(http::install_recorder()?),
        };
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(http::serve(listener, engine.handle(), options, async move {
            // A stage that is gone stops it as well.
            let _ = stopped.await;
        }));
        Ok(Self { address, admin_key, receiver, stop, serving, engine, folder })
    }

    /// Stops the server, then the receiver, and removes the folder.
    ///
    /// # Errors
    /// The log could not be written any more, or the folder cannot be removed.
    pub async fn strike(self) -> anyhow::Result<()> {
        drop(self.stop);
        self.serving.await?;
        let stopped = self.engine.shutdown(GRACE).await;
        drop(self.receiver);
        self.folder.close().context("the temporary folder cannot be removed")?;
        match stopped {
            Stopped::Clean => Ok(()),
            Stopped::Poisoned(reason) => Err(anyhow!(reason)),
        }
    }
}

/// Answers by the webhook's manners. The receiver counts for itself how often an event came; what the server says of it is not asked.
fn responder() -> Responder {
    let came = Mutex::new(BTreeMap::new());
    Arc::new(move |request: &Request<'_>| {
        let Some(hook) = scenario::hook_at(request.path) else {
            return Some(Answer::Reply(StatusCode::NOT_FOUND, None));
        };
        let event = request.headers.get("postrider-event-id").map(|id| id.as_bytes().to_vec());
        let nth = count(&mut came.lock(), (event.unwrap_or_default(), request.path.to_owned()));
        Some(hook.manners.answer(nth))
    })
}

/// How often this came, with this time. Beyond the bound the oldest events (their ids rise) begin anew.
fn count(came: &mut BTreeMap<(Vec<u8>, String), u32>, what: (Vec<u8>, String)) -> u32 {
    const EVENTS_MAX: usize = 4_096;
    let nth = came.entry(what).or_default();
    *nth += 1;
    let nth = *nth;
    if came.len() > EVENTS_MAX {
        came.pop_first();
    }
    nth
}
