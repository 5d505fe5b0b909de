//! The projector: a thread that takes durable records into the views, behind the writer's back.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use postrider_core::fact::Record;

use crate::poison::PoisonOnPanic;
use crate::shared::Shared;
use crate::views::Views;

/// Turns that the projector may lag behind. When it is further behind the writer waits: that bounds memory.
const TURNS_BEHIND_MAX: usize = 1024;

/// The records of one turn, and the end of the log after it.
pub struct Projected {
    /// In the order of the log.
    pub records: Vec<Record>,
    /// Blocks that are durable with it.
    pub end: u64,
    /// The log begins with this block now.
    pub begins: Option<u64>,
}

/// Starts the projector. It ends when the sender is dropped and all is taken in.
///
/// # Errors
/// When no thread can be had.
pub fn start(shared: Arc<Shared>) -> std::io::Result<(Sender<Projected>, JoinHandle<()>)> {
    let (sender, turns) = bounded(TURNS_BEHIND_MAX);
    let thread = std::thread::Builder::new().name("projector".into()).spawn(move || project(&shared, &turns))?;
    Ok((sender, thread))
}

fn project(shared: &Arc<Shared>, turns: &Receiver<Projected>) {
    let _poisons = PoisonOnPanic(Arc::clone(shared));
    while let Ok(first) = turns.recv() {
        // What has come meanwhile goes under the same lock, up to a bound, so that readers get their turn.
        let taken: Vec<Projected> = std::iter::once(first).chain(turns.try_iter().take(16)).collect();
        let mut views = shared.views.write();
        taken.iter().for_each(|turn| take_in(&mut views, turn));
        drop(views);
        if let Some(last) = taken.last() {
            shared.projected.send_replace(last.end);
        }
        if shared.live.is_watched() {
            taken.iter().flat_map(|turn| &turn.records).for_each(|record| shared.live.tell(record));
        }
    }
}

fn take_in(views: &mut Views, turn: &Projected) {
    turn.records.iter().for_each(|record| views.apply(record));
    if let Some(first) = turn.begins {
        views.forget_below(first);
    }
}
