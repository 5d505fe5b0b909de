//! A webhook receiver to test against: it answers as it is told, counts, and keeps the last requests.
//!
//! Promises: it is quick enough to be the other end of a benchmark (one thread accepts, N threads each run their own
//! connections); its memory is bounded (`limits.rs`); what it answers depends on its plan and the request's number
//! only, so a run can be repeated. `GET /stats`, `GET /requests` and `DELETE /stats`, which counts from nothing again, are always
//! answered well and never counted.
//! Refuses: to be a server for anything else. It runs on threads of its own and needs no runtime from its caller.

mod behaviours;
mod certificates;
mod control;
mod frames;
mod kept;
mod measure;
mod plan;
mod script;
mod stats;
mod wire;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::HeaderMap;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::limits::{ACCEPTED_QUEUE_MAX, KEPT_BYTES_MAX, REQUESTS_KEPT_MAX};

pub use behaviours::Behaviour;
use certificates::{Identity, identity, names};
use kept::Ring;
pub use kept::{Received, event_type};
use measure::Measure;
pub use measure::{Measured, mark};
pub use plan::{Answer, Plan};
use stats::Counters;
pub use stats::Stats;

/// One request as it is decided on and observed, before it is answered.
pub struct Request<'a> {
    /// From 1, in the order of arrival at this receiver.
    pub number: u64,
    /// Milliseconds since 1970.
    pub received_ms: i64,
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// Decides instead of the plan where it gives an answer. Called on a worker thread; must not block.
pub type Responder = Arc<dyn Fn(&Request<'_>) -> Option<Answer> + Send + Sync>;
/// Sees every request with the status it gets (none: no whole answer). Called on a worker thread; must not block.
pub type Observer = Arc<dyn Fn(&Request<'_>, Option<u16>) + Send + Sync>;

/// What a receiver is started with.
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that serve connections.
    pub threads: usize,
    pub behaviour: Behaviour,
    /// Whether to serve https, with a certificate that is good for whoever trusts [`Receiver::authority`].
    pub tls: bool,
    pub plan: Plan,
    pub responder: Option<Responder>,
    pub observer: Option<Observer>,
    /// Whether stamped requests are timed: `measured` in what `GET /stats` answers.
    pub measure: bool,
}

impl Config {
    /// One thread that answers 200.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            threads: 1,
            behaviour: Behaviour::OK,
            tls: false,
            plan: Plan::default(),
            responder: None,
            observer: None,
            measure: false,
        }
    }
}

/// A running receiver; dropping it closes every connection and joins its threads.
pub struct Receiver {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What all threads of one receiver see.
struct Shared {
    behaviour: Behaviour,
    /// What https begins with, where it is served.
    identity: Option<Identity>,
    plan: Plan,
    counters: Counters,
    measure: Option<Measure>,
    /// One a worker, so that workers do not wait for each other; merged when read.
    rings: Vec<Mutex<Ring>>,
    responder: Option<Responder>,
    observer: Option<Observer>,
}

impl Receiver {
    /// Binds and serves.
    ///
    /// # Errors
    /// The address cannot be bound, or no thread, runtime or certificate can be had.
    pub fn start(config: Config) -> io::Result<Self> {
        let workers = config.threads.max(1);
        let ring = || Mutex::new(Ring::new(REQUESTS_KEPT_MAX, KEPT_BYTES_MAX / workers));
        let certificate = config.behaviour.certificate(config.tls);
        let identity = certificate.map(|kind| identity(kind, names(config.listen.ip()), config.behaviour.protocol()));
        let shared = Arc::new(Shared {
            behaviour: config.behaviour,
            identity: identity.transpose().map_err(io::Error::other)?,
            plan: config.plan,
            counters: Counters::default(),
            measure: config.measure.then(Measure::default),
            rings: (0..workers).map(|_| ring()).collect(),
            responder: config.responder,
            observer: config.observer,
        });
        let listener = std::net::TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let mut threads = Vec::with_capacity(workers + 1);
        let mut inboxes = Vec::with_capacity(workers);
        for index in 0..workers {
            let (inbox, accepted) = mpsc::channel(ACCEPTED_QUEUE_MAX);
            inboxes.push(inbox);
            threads.push(thread("sink-worker", &ready, worker::run(shared.clone(), index, accepted))?);
        }
        threads.push(thread("sink-accept", &ready, accept(listener, inboxes, stopped))?);
        let receiver = Self { addr, shared, stop: Some(stop), threads };
        drop(ready);
        started.iter().collect::<io::Result<()>>()?;
        Ok(receiver)
    }

    /// The address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate of the authority that a good certificate comes from, as PEM, where https is served.
    pub fn authority(&self) -> Option<&str> {
        self.shared.identity.as_ref().map(|identity| &*identity.authority)
    }

    /// What `GET /stats` answers.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The last requests, newest first: what `GET /requests` answers.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.requests()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn stats(&self) -> Stats {
        Stats { measured: self.measure.as_ref().map(Measure::read), ..self.counters.read() }
    }

    /// Counts from nothing again. What comes meanwhile may be counted in part.
    fn clear_stats(&self) {
        self.counters.clear();
        if let Some(measure) = &self.measure {
            measure.clear();
        }
    }

    fn requests(&self) -> Vec<Received> {
        let mut all: Vec<Received> = self.rings.iter().flat_map(|ring| ring.lock().read()).collect();
        all.sort_unstable_by_key(|request| std::cmp::Reverse(request.number));
        all.truncate(REQUESTS_KEPT_MAX);
        all
    }
}

/// Runs one future on a thread and runtime of its own. The runtime is made and dropped over there: the caller may be in
/// another one, where neither is allowed.
fn thread(
    name: &str,
    ready: &std::sync::mpsc::Sender<io::Result<()>>,
    body: impl Future<Output = ()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let ready = ready.clone();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // The caller hears of it, or is gone.
        let _ = ready.send(runtime.as_ref().map(|_| ()).map_err(|error| io::Error::from(error.kind())));
        drop(ready);
        if let Ok(runtime) = runtime {
            runtime.block_on(body);
        }
    })
}

/// Hands connections to the workers in turn, until told to stop; the workers end when the inboxes close.
async fn accept(
    listener: std::net::TcpListener,
    inboxes: Vec<mpsc::Sender<std::net::TcpStream>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    for inbox in inboxes.iter().cycle() {
        let stream = tokio::select! {
            accepted = next(&listener) => accepted,
            _ = &mut stopped => return,
        };
        if inbox.send(stream).await.is_err() {
            return;
        }
    }
}

async fn next(listener: &TcpListener) -> std::net::TcpStream {
    loop {
        let accepted = match listener.accept().await {
            Ok((stream, _)) => stream.into_std(),
            Err(error) => Err(error),
        };
        match accepted {
            Ok(stream) => return stream,
            // Out of file descriptors, most likely: the connection waits in the backlog until one is free.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[cfg(test)]
mod tests;
