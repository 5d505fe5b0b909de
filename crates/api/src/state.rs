//! What every handler holds: the engine's handle, the options, and the counts of requests.

use std::sync::Arc;

use postrider_engine::Handle;
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};

use crate::dashboard::Sessions;
use crate::limits::{BODIES_KIB_MAX, WATCHERS_MAX};
use crate::metrics::PrometheusHandle;
use crate::rate::RateLimit;
use crate::request_id::RequestIds;
use crate::tls::Tls;

/// How the API is to be.
#[derive(Clone)]
pub struct ApiOptions {
    /// Manages workspaces and their keys.
    pub admin_key: SecretString,
    /// Requests a minute of each key, on everything under `/v1` but publishing; 0 for no limit.
    pub rate_limit_per_minute: u32,
    /// The most bytes of an event's `data`: the engine's.
    pub event_bytes_max: usize,
    /// The addresses that deliveries come from, for receivers' firewalls.
    pub egress_addresses: Vec<String>,
    /// What `/metrics` renders; see [`crate::install_recorder`]. Without it there are no figures.
    pub metrics: Option<PrometheusHandle>,
    /// What [`serve`](crate::serve) begins TLS with; without it it speaks plain http.
    pub tls: Option<Tls>,
}

/// The state behind the router. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    handle: Handle,
    options: ApiOptions,
    rate: RateLimit,
    sessions: Sessions,
    request_ids: RequestIds,
    bodies: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Api {
    /// An API over a running engine.
    pub fn new(handle: Handle, options: ApiOptions) -> Api {
        let rate = RateLimit::new(options.rate_limit_per_minute);
        let bodies = Arc::new(Semaphore::new(BODIES_KIB_MAX));
        let watchers = Arc::new(Semaphore::new(WATCHERS_MAX));
        Api(Arc::new(Inner {
            handle,
            options,
            rate,
            sessions: Sessions::default(),
            request_ids: RequestIds::new(),
            bodies,
            watchers,
            closing: watch::Sender::new(false),
        }))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }

    pub(crate) fn options(&self) -> &ApiOptions {
        &self.0.options
    }

    pub(crate) fn rate(&self) -> &RateLimit {
        &self.0.rate
    }

    /// Who is signed in to the dashboard.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Names for requests that have none.
    pub(crate) fn request_ids(&self) -> &RequestIds {
        &self.0.request_ids
    }

    /// One permit a client that watches.
    pub(crate) fn watchers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.watchers)
    }

    /// Becomes true when answers without an end have to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// Ends answers that have no end of their own.
    pub(crate) fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// One permit a KiB of request bodies in memory.
    pub(crate) fn bodies(&self) -> &Arc<Semaphore> {
        &self.0.bodies
    }
}
