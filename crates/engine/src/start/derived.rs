//! What a start derives from the log, through the store as far as that goes.

use std::path::Path;
use std::sync::Arc;

use postrider_core::Time;
use postrider_log::{LogId, LogReader, LogWriter};
use postrider_store::Opened;

use super::{EngineOptions, StartError};
use crate::keeper;
use crate::recovery::{self, ReplayError, Replayed};
use crate::shard::Shard;
use crate::shared::Records;
use crate::snapshot::Snapshot;
use crate::stored::Stored;

/// What is derived from the log, as of a start.
pub(super) struct Derived<W> {
    pub(super) shard: Shard<W>,
    pub(super) replayed: Replayed,
    pub(super) store: Option<Opened>,
    pub(super) stored: Arc<Stored>,
    pub(super) covered: u64,
    pub(super) swept: Time,
}

impl<W: LogWriter> Derived<W> {
    /// Gathers it, through the store as far as that goes. A store that turns out to be of no use is set aside.
    pub(super) fn gather(
        writer: W,
        reader: &impl LogReader,
        log: LogId,
        records: &Arc<dyn Records>,
        folder: Option<&Path>,
        options: &EngineOptions,
    ) -> Result<Derived<W>, StartError> {
        let gather = |writer| Derived::try_gather(writer, reader, log, records, folder, options);
        let (error, writer) = match gather(writer) {
            Ok(derived) => return Ok(derived),
            Err(failed) => failed,
        };
        match (error, folder) {
            (ReplayError::Store(reason), Some(folder)) => {
                tracing::warn!(reason, "the store is set aside and built anew from the log");
                postrider_store::set_aside(folder).map_err(|error| ReplayError::Store(error.to_string()))?;
                Ok(gather(writer).map_err(|(error, _)| error)?)
            }
            (error, _) => Err(error.into()),
        }
    }

    fn try_gather(
        writer: W,
        reader: &impl LogReader,
        log: LogId,
        records: &Arc<dyn Records>,
        folder: Option<&Path>,
        options: &EngineOptions,
    ) -> Result<Derived<W>, (ReplayError, W)> {
        let mut store = folder.and_then(|folder| open_store(folder, log, &**records));
        let stored = Arc::new(Stored::new(Arc::clone(records), store.as_ref().map(|opened| opened.store.clone())));
        let reaches = store.as_ref().map_or(0, |opened| opened.at.replay_from());
        let is_far_behind = folder.is_some() && writer.bytes_from(reaches) > options.bounds.behind;
        let covered = if is_far_behind { reader.end() } else { reaches };
        let swept = stored.view(|view| Ok(view.swept())).unwrap_or(Time(0));
        let mut shard = Shard::new(writer, options.permits);
        if folder.is_some() {
            shard.rely(options.bounds, covered, swept);
        }
        let kernel = store.as_mut().and_then(|opened| opened.kernel.take());
        let snapshot = kernel.and_then(|kernel| Snapshot::read(&kernel.bytes));
        let replayed = recovery::replay_onto(reader, &mut shard, covered, Some(&*stored), snapshot);
        if is_far_behind {
            tracing::warn!(
                "the store is far behind the log: what has happened so far is to be seen, and goes on, once it is built"
            );
            stored.close(true);
        }
        match replayed {
            Ok(replayed) => Ok(Derived { shard, replayed, store, stored, covered, swept }),
            Err(error) => Err((error, shard.into_log())),
        }
    }
}

/// Without a store the engine runs as well; its keeper tries again.
fn open_store(folder: &Path, log: LogId, records: &dyn Records) -> Option<Opened> {
    keeper::open(folder, log, records)
        .inspect_err(|error| tracing::warn!(%error, "the store cannot be opened yet"))
        .ok()
}
