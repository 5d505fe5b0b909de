//! The workers: threads that turn jobs into requests and hand back what came of them.
//!
//! Each is one OS thread with its own runtime and its own connections, so that nothing is shared on the way of a request but the directory.
//! A worker decides nothing: it opens secrets, renders, sends once, and reports.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Sender;
use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::command::{Finish, Measured};
use postrider_core::event::Event;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, Millis, Position, Time, WebhookId};
use postrider_dispatch::{Config, Dispatched, Dispatcher, Request, Target};
use postrider_log::ReadError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet, LocalSet};
use tracing::{Instrument, field};

use crate::clock;
use crate::keyring::Keyring;
use crate::outgoing::{self, Headers, Secrets, Signers};
use crate::shard::Job;
use crate::shared::Shared;

/// What a worker is given.
pub enum Work {
    /// An attempt of a delivery; the payload if it is at hand.
    Attempt(Box<Job>, Option<Bytes>),
    /// A test.
    Test(Box<Trial>),
}

/// A test to be sent now, once, whatever the schedule says.
pub struct Trial {
    /// Where to.
    pub webhook: Arc<Webhook>,
    /// The sample as an event that was never accepted.
    pub event: Event,
    /// The sample's data.
    pub data: Bytes,
    /// When it was asked for.
    pub started: Time,
    /// Who waits for it.
    pub reply: oneshot::Sender<Tried>,
}

/// What a test came to.
pub struct Tried {
    /// As an attempt's.
    pub measured: Measured,
    /// The request's headers, masked.
    pub request_headers: Vec<(String, String)>,
    /// The request's body.
    pub request_body: Bytes,
    /// The response's headers.
    pub response_headers: Vec<(String, String)>,
}

/// What a worker reports of an attempt.
pub enum Report {
    /// It was made.
    Finished(Finish),
    /// It was not made: the webhook changed before the request was written.
    Withdrawn(DeliveryKey),
}

/// What all workers need.
pub struct Bench {
    /// Directory and log.
    pub shared: Arc<Shared>,
    /// To open secrets.
    pub keyring: Arc<Keyring>,
    /// Address policy and roots of trust.
    pub dispatch: Arc<Config>,
    /// Where reports go, as many together as come at once. It has a place for every permit, so that reporting never waits.
    pub reports: Sender<Vec<Report>>,
}

/// The running workers.
pub struct Workers {
    lanes: Vec<mpsc::Sender<Work>>,
    next: usize,
    threads: Vec<JoinHandle<()>>,
    cut: watch::Sender<bool>,
}

impl Workers {
    /// Starts `count` workers, each with room for `queue_max` works that it has not begun.
    ///
    /// # Errors
    /// When a thread or a runtime can't be had.
    pub fn start(count: usize, queue_max: usize, bench: &Arc<Bench>) -> std::io::Result<Workers> {
        let cut = watch::Sender::new(false);
        let mut workers = Workers { lanes: Vec::new(), next: 0, threads: Vec::new(), cut };
        for n in 0..count {
            let (lane, works) = mpsc::channel(queue_max);
            let (bench, cut) = (Arc::clone(bench), workers.cut.subscribe());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let run = move || {
                runtime.block_on(LocalSet::new().run_until(work(bench, works, cut)));
                // A read of the log that was given up on may still hold a thread; nobody waits for it.
                runtime.shutdown_background();
            };
            workers.threads.push(std::thread::Builder::new().name(format!("worker-{n}")).spawn(run)?);
            workers.lanes.push(lane);
        }
        Ok(workers)
    }

    /// Lanes for those who send tests.
    pub fn lanes(&self) -> Vec<mpsc::Sender<Work>> {
        self.lanes.clone()
    }

    /// Hands a job to the next worker in turn.
    ///
    /// # Panics
    /// When a worker has ended or has more work than there are permits.
    pub fn send(&mut self, job: Job, payload: Option<Bytes>) {
        self.next = (self.next + 1) % self.lanes.len();
        let sent = self.lanes[self.next].try_send(Work::Attempt(Box::new(job), payload));
        assert!(sent.is_ok(), "a worker has room for every permit");
    }

    /// Cuts off what is still in flight: it will be attempted again under the same number.
    pub fn cut_off(&self) {
        self.cut.send_replace(true);
    }

    /// Ends the workers once they have nothing in flight.
    pub fn join(self) {
        drop(self.lanes);
        for thread in self.threads {
            // A worker that panicked has said so on stderr; its permits are lost, which the next start mends.
            let _ = thread.join();
        }
    }
}

async fn work(bench: Arc<Bench>, mut works: mpsc::Receiver<Work>, mut cut: watch::Receiver<bool>) {
    let worker = Rc::new(Worker {
        dispatcher: Dispatcher::new(Arc::clone(&bench.dispatch)),
        bench,
        prepared: RefCell::new(HashMap::new()),
        reports: RefCell::new(Vec::new()),
        has_reports: Notify::new(),
    });
    let mut running = JoinSet::new();
    let mut tidy = tokio::time::interval(Duration::from_secs(1));
    let (mut is_open, mut taken) = (true, Vec::with_capacity(TAKEN_MAX));
    while is_open || !running.is_empty() {
        tokio::select! {
            count = works.recv_many(&mut taken, TAKEN_MAX), if is_open => {
                is_open = count > 0;
                taken.drain(..).for_each(|work| drop(running.spawn_local(Rc::clone(&worker).run(work))));
            },
            Some(ended) = running.join_next(), if !running.is_empty() => {
                worker.notice(ended);
                while let Some(ended) = running.try_join_next() {
                    worker.notice(ended);
                }
            }
            () = worker.has_reports.notified() => {
                // What else is ready now reports first: a wake of the writer costs more than an attempt's share of a turn.
                tokio::task::yield_now().await;
                worker.send_reports();
            }
            _ = tidy.tick() => worker.dispatcher.close_idle(),
            _ = cut.changed() => break,
        }
    }
    worker.send_reports();
}

struct Worker {
    bench: Arc<Bench>,
    dispatcher: Dispatcher,
    prepared: RefCell<HashMap<WebhookId, Rc<Prepared>>>,
    /// Not sent yet.
    reports: RefCell<Vec<Report>>,
    has_reports: Notify,
}

/// One version of a webhook, ready to be sent to. Holds its secrets in the clear.
struct Prepared {
    version: Position,
    target: Target,
    headers: Headers,
    signers: Signers,
    timeout: Duration,
}

/// Works that a worker takes at once.
const TAKEN_MAX: usize = 64;
/// Webhooks that a worker keeps ready.
const PREPARED_MAX: usize = 16_384;

/// Why a request can't be made, though its delivery is due.
enum Unready {
    /// Webhook, profile or sealing key are gone.
    Gone,
    /// It can't be made at all; the log shall say why.
    Broken(String),
}

impl Worker {
    async fn run(self: Rc<Self>, work: Work) {
        match work {
            Work::Attempt(job, payload) => {
                let key = job.cell.key;
                let span = span_of(&job);
                let measured = self.attempt(&job, payload).instrument(span.clone()).await;
                record(&span, measured.as_ref());
                let report = match measured {
                    Some(measured) => Report::Finished(Finish { key, measured }),
                    None => Report::Withdrawn(key),
                };
                self.reports.borrow_mut().push(report);
                self.has_reports.notify_one();
            }
            Work::Test(trial) => {
                if let Some(tried) = self.test(&trial).await {
                    let _ = trial.reply.send(tried);
                }
            }
        }
    }

    fn notice(&self, ended: Result<(), JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            // Its permit is lost, and whatever it broke is unknown.
            self.bench.shared.poison.set("an attempt has panicked");
        }
    }

    fn send_reports(&self) {
        let reports = std::mem::take(&mut *self.reports.borrow_mut());
        if !reports.is_empty() {
            // The receiver is gone only when the engine is.
            let _ = self.bench.reports.try_send(reports);
        }
    }

    async fn attempt(&self, job: &Job, payload: Option<Bytes>) -> Option<Measured> {
        let made = match self.make(job, payload).await {
            Ok(made) => made,
            Err(Unready::Gone) => return None,
            Err(Unready::Broken(reason)) => return Some(not_sent(job, &reason)),
        };
        let (prepared, mut headers, body) = made;
        let now = clock::wall();
        prepared.signers.sign(&mut headers, &job.event.id, job.started, now, &body);
        let request = Request { target: &prepared.target, headers, body, timeout: prepared.timeout, now };
        let still_wanted = || self.bench.shared.is_current(job.webhook.id, job.webhook.version, job.event.at);
        match self.dispatcher.attempt(request, still_wanted).await {
            Dispatched::Withdrawn => None,
            Dispatched::Done(answer) => Some(measured(answer.exchange, answer.body, job.started, job.webhook.version)),
        }
    }

    async fn make(&self, job: &Job, payload: Option<Bytes>) -> Result<(Rc<Prepared>, Headers, Bytes), Unready> {
        let payload = match payload {
            Some(payload) => payload,
            None => self.read_payload(job.payload).await?,
        };
        let prepared = self.prepare(&job.webhook)?;
        let directory = self.bench.shared.directory.read();
        let body = outgoing::body(&directory, &job.event, &job.webhook, job.cell.revision, &payload);
        let body = body.ok_or_else(|| Unready::Broken("its profile or revision is not known".into()))?;
        let mut headers = prepared.headers.clone();
        outgoing::attempt_headers(&mut headers, &job.event.id, Some(job.cell.key), job.number);
        Ok((prepared, headers, body))
    }

    async fn read_payload(&self, at: Position) -> Result<Bytes, Unready> {
        let shared = Arc::clone(&self.bench.shared);
        let read = tokio::task::spawn_blocking(move || shared.records.payload(at)).await;
        match read {
            Ok(Ok(Some(payload))) => Ok(payload),
            // Erased after the pick: the delivery was cancelled, or carried to a newer part of the log.
            Ok(Err(ReadError::Erased(_))) | Err(_) => Err(Unready::Gone),
            // Carried to a newer part of the log after the pick.
            Ok(Ok(None)) if at.block() < self.bench.shared.records.first() => Err(Unready::Gone),
            Ok(Ok(None)) => Err(unreadable(at, "there is none")),
            Ok(Err(error)) => Err(unreadable(at, &error.to_string())),
        }
    }

    fn prepare(&self, webhook: &Webhook) -> Result<Rc<Prepared>, Unready> {
        if let Some(prepared) = self.prepared.borrow().get(&webhook.id).filter(|p| p.version == webhook.version) {
            return Ok(Rc::clone(prepared));
        }
        let target = Target::parse(&webhook.settings.url, self.bench.dispatch.https_only())
            .map_err(|error| Unready::Broken(format!("the URL {error}")))?;
        let directory = self.bench.shared.directory.read();
        let (_, profile) = directory.profile_of(webhook.workspace).ok_or(Unready::Gone)?;
        let headers = outgoing::webhook_headers(webhook, profile, Secrets::Opened(&self.bench.keyring));
        let headers = headers.map_err(|error| Unready::Broken(format!("a secret cannot be opened: {error}")))?;
        let signers = Signers::open(webhook, &self.bench.keyring);
        let signers = signers.map_err(|error| Unready::Broken(format!("a secret cannot be opened: {error}")))?;
        let timeout = webhook.settings.timeout.into();
        let prepared = Rc::new(Prepared { version: webhook.version, target, headers, signers, timeout });
        let mut kept = self.prepared.borrow_mut();
        if kept.len() >= PREPARED_MAX {
            kept.clear();
        }
        kept.insert(webhook.id, Rc::clone(&prepared));
        Ok(prepared)
    }

    async fn test(&self, trial: &Trial) -> Option<Tried> {
        let prepared = self.prepare(&trial.webhook).ok()?;
        let now = clock::wall();
        let (body, shown) = {
            let directory = self.bench.shared.directory.read();
            let (_, profile) = directory.profile_of(trial.webhook.workspace)?;
            let body = outgoing::body(&directory, &trial.event, &trial.webhook, trial.webhook.revision, &trial.data)?;
            let mut shown = outgoing::webhook_headers(&trial.webhook, profile, Secrets::Masked).ok()?;
            outgoing::attempt_headers(&mut shown, &trial.event.id, None, 1);
            outgoing::masked_signature(&mut shown, &trial.webhook, &trial.event.id, now);
            (body, shown)
        };
        let mut headers = prepared.headers.clone();
        outgoing::attempt_headers(&mut headers, &trial.event.id, None, 1);
        prepared.signers.sign(&mut headers, &trial.event.id, trial.started, now, &body);
        let timeout = prepared.timeout;
        let request = Request { target: &prepared.target, headers, body: body.clone(), timeout, now };
        let Dispatched::Done(answer) = self.dispatcher.attempt(request, || true).await else {
            return None;
        };
        let response_headers = answer.headers_text();
        let measured = measured(answer.exchange, answer.body, trial.started, trial.webhook.version);
        Some(Tried { measured, request_headers: headers_text(&shown), request_body: body, response_headers })
    }
}

/// For whoever traces. It names what the attempt is of, and nothing of what is sent or where to.
fn span_of(job: &Job) -> tracing::Span {
    tracing::trace_span!(
        "attempt",
        otel.kind = "client",
        otel.status_code = field::Empty,
        event_id = %job.event.id,
        event_type = %job.event.event_type,
        delivery_id = %job.cell.key,
        webhook_id = job.webhook.id.0,
        attempt = job.number,
        outcome = field::Empty,
        status_code = field::Empty,
        error_kind = field::Empty,
    )
}

fn record(span: &tracing::Span, measured: Option<&Measured>) {
    if span.is_disabled() {
        return;
    }
    let Some(exchange) = measured.map(|measured| &measured.exchange) else {
        span.record("outcome", "withdrawn");
        return;
    };
    if let Some(status) = exchange.status_code {
        span.record("status_code", status);
    }
    match &exchange.failure {
        None => span.record("outcome", "succeeded"),
        Some(failure) => {
            span.record("error_kind", failure.kind.as_str());
            span.record("otel.status_code", "error");
            span.record("outcome", "failed")
        }
    };
}

/// Headers for people.
pub fn headers_text(headers: &Headers) -> Vec<(String, String)> {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn measured(exchange: Exchange, body: Bytes, started: Time, webhook_version: Position) -> Measured {
    let crc32c = crc32c::crc32c(&body);
    Measured { started, exchange, body, crc32c, webhook_version }
}

fn unreadable(at: Position, error: &str) -> Unready {
    tracing::error!(%at, %error, "the payload of a due delivery cannot be read");
    Unready::Broken("the stored payload cannot be read; check the log with `postrider log verify`".into())
}

fn not_sent(job: &Job, reason: &str) -> Measured {
    let failure = Failure { kind: ErrorKind::Connect, message: format!("connect: not sent: {reason}").into() };
    let exchange = Exchange { duration: Millis(0), status_code: None, failure: Some(failure), retry_after: None };
    measured(exchange, Bytes::new(), job.started, job.webhook.version)
}
