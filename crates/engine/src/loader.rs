//! The loader: a thread that reads below W what the writer wants, so that the writer waits for no disk but the log's.
//!
//! Commands are answered in the order in which they came, and so is what the shard wants. What can't be read is said to be, after a pause:
//! the store is being made anew then.
//!
//! With what comes back to a queue that has become short, its payloads are read: it is about to be sent, and a worker that had to read them one
//! by one would hand each to a thread that may wait for the disk.

use std::fmt::Display;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use postrider_core::Position;
use postrider_core::command::Command;

use crate::shard::{self, Below, Found, Loaded, Prefetch, Wanted};
use crate::shared::Records;

/// After something could not be read.
const PAUSE: Duration = Duration::from_millis(100);
/// Payloads that come with one reading.
const PAYLOADS_BYTES_MAX: usize = 8 << 20;

enum Request {
    Wanted(Wanted),
    /// Of one turn.
    Commands(Vec<Command>),
}

/// What was read.
pub enum Read {
    /// What the shard wanted, and payloads of what is about to be sent; `None` when it could not be read.
    Loaded(Option<(Loaded, Vec<(Position, Bytes)>)>),
    /// The commands of one turn, each with what was read for it, if that could be read.
    Commands(Vec<(Command, Option<Prefetch>)>),
}

/// The writer's end. The thread ends when this is dropped.
pub struct Loader {
    requests: Sender<Request>,
    /// What was read, in the order in which it was asked for. As much as was asked for: the asker keeps that within bounds.
    pub answers: Receiver<Read>,
    thread: JoinHandle<()>,
}

impl Loader {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start<B>(below: Arc<B>, records: Arc<dyn Records>) -> std::io::Result<Loader>
    where
        B: Below<Error: Display> + Send + Sync + ?Sized + 'static,
    {
        let (requests, asked) = unbounded();
        let (answering, answers) = unbounded();
        let thread = std::thread::Builder::new().name("loader".into()).spawn(move || {
            asked.iter().try_for_each(|request| answering.send(read(&*below, &*records, request)).ok());
        })?;
        Ok(Loader { requests, answers, thread })
    }

    /// Asks for what the shard wants.
    pub fn want(&self, wanted: Wanted) {
        // The thread ends only after this end.
        let _ = self.requests.send(Request::Wanted(wanted));
    }

    /// Asks for what the commands of one turn are about.
    pub fn prefetch(&self, commands: Vec<Command>) {
        let _ = self.requests.send(Request::Commands(commands));
    }

    /// Waits for the end of what is being read.
    pub fn join(self) {
        drop((self.requests, self.answers));
        let _ = self.thread.join();
    }
}

fn read<B: Below<Error: Display> + ?Sized>(below: &B, records: &dyn Records, request: Request) -> Read {
    match request {
        Request::Wanted(wanted) => Read::Loaded(or_pause(shard::load(below, &wanted)).map(|loaded| {
            let payloads = payloads(&loaded.found, records);
            (loaded, payloads)
        })),
        Request::Commands(commands) => {
            let mut covered = or_pause(below.covered());
            let read = commands.into_iter().map(|command| {
                let prefetch = covered.and_then(|covered| or_pause(shard::prefetch(below, covered, &command)));
                // One pause is enough.
                covered = covered.filter(|_| prefetch.is_some());
                (command, prefetch)
            });
            Read::Commands(read.collect())
        }
    }
}

/// What lies beside the events of a backlog. What cannot be read is left out: whoever sends it will find out why.
fn payloads(found: &Found, records: &dyn Records) -> Vec<(Position, Bytes)> {
    let Found::Backlog { deliveries, .. } = found else { return Vec::new() };
    let (mut payloads, mut bytes) = (Vec::with_capacity(deliveries.len()), 0);
    for recalled in deliveries.iter().filter_map(|(_, recalled)| recalled.as_ref()) {
        if bytes > PAYLOADS_BYTES_MAX {
            break;
        }
        if let Ok(Some(payload)) = records.payload(recalled.payload) {
            bytes += payload.len();
            payloads.push((recalled.payload, payload));
        }
    }
    payloads
}

fn or_pause<T>(read: Result<T, impl Display>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::debug!(%error, "what lies below W cannot be read");
        std::thread::sleep(PAUSE);
    })
    .ok()
}
