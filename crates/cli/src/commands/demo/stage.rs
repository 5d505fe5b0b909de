//! What is really there while the demo runs: a server on a temporary folder, and the receiver on a port of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::StatusCode;
use parking_lot::Mutex;

use super::scenario;
use crate::local::LocalServer;
use crate::receiver::{Answer, Config, Receiver, Request, Responder};

/// How long attempts in flight may go on at the end; the slow receiver takes less.
const GRACE: Duration = Duration::from_secs(3);

/// Server and receiver.
pub struct Stage {
    pub server: LocalServer,
    pub receiver: Receiver,
}

impl Stage {
    /// # Errors
    /// No folder, no port, or the engine does not start.
    pub async fn set() -> anyhow::Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let receiver = Receiver::start(Config { responder: Some(responder()), ..Config::new(loopback) })
            .context("the receiver cannot start")?;
        let server = LocalServer::start("postrider-demo-", &["loopback"]).await?;
        Ok(Self { server, receiver })
    }

    /// Stops the server, then the receiver.
    ///
    /// # Errors
    /// The log could not be written any more, or the temporary folder cannot be removed.
    pub async fn strike(self) -> anyhow::Result<()> {
        self.server.stop(GRACE).await
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
