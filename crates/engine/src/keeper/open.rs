//! Opening the store as the one that was derived from this log.

use std::cell::RefCell;
use std::path::Path;

use postrider_log::LogId;
use postrider_store::{LogIdentity, OpenError, Opened, Store};

use crate::shared::Records;

/// Opens the store in `folder`, or makes one. One that is damaged, of another log or of another version is set aside, which is told.
///
/// # Errors
/// When the folder cannot be used, or the log cannot be read where the store ends.
pub fn open(folder: &Path, log: LogId, records: &dyn Records) -> Result<Opened, OpenError> {
    let unreadable = RefCell::new(None);
    let chain_at = |block| match records.hash_before(block) {
        Ok(hash) => hash.map(|hash| hash.0),
        Err(error) => {
            *unreadable.borrow_mut() = Some(error);
            None
        }
    };
    let opened = Store::open(folder, LogIdentity { log: log.0, chain_at: &chain_at })?;
    if let Some(error) = unreadable.take() {
        tracing::warn!(%error, "the log cannot be read where the store ends");
    }
    if let Some(reason) = &opened.set_aside {
        tracing::warn!(%reason, "the store was set aside and is built anew from the log");
    }
    Ok(opened)
}
