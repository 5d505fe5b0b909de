//! The loader: a thread that reads below W what the writer wants, so that the writer waits for no disk but the log's.
//!
//! Commands are answered in the order in which they came, and so is what the shard wants. What can't be read is said to be, after a pause:
//! the store is being made anew then.

use std::fmt::Display;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use postrider_core::command::Command;

use crate::shard::{self, Below, Loaded, Prefetch, Wanted};

/// After something could not be read.
const PAUSE: Duration = Duration::from_millis(100);

enum Request {
    Wanted(Wanted),
    /// Of one turn.
    Commands(Vec<Command>),
}

/// What was read.
pub enum Read {
    /// What the shard wanted; `None` when it could not be read.
    Loaded(Option<Loaded>),
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
    pub fn start<B>(below: Arc<B>) -> std::io::Result<Loader>
    where
        B: Below<Error: Display> + Send + Sync + ?Sized + 'static,
    {
        let (requests, asked) = unbounded();
        let (answering, answers) = unbounded();
        let thread = std::thread::Builder::new().name("loader".into()).spawn(move || {
            asked.iter().try_for_each(|request| answering.send(read(&*below, request)).ok());
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

fn read<B: Below<Error: Display> + ?Sized>(below: &B, request: Request) -> Read {
    match request {
        Request::Wanted(wanted) => Read::Loaded(or_pause(shard::load(below, &wanted))),
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

fn or_pause<T>(read: Result<T, impl Display>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::debug!(%error, "what lies below W cannot be read");
        std::thread::sleep(PAUSE);
    })
    .ok()
}
