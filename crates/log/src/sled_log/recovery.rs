//! Opening: lock, let sled open, walk the whole chain, and only then take the log for what it is.

use super::PLACE;
use super::database::{Database, Failure};
use super::head::{Head, HeadFile};
use super::reader::Reader;
use super::shared::{Durable, Shared};
use super::walk::{Walk, damage};
use super::writer::{Parts, Writer};
use crate::journal::{Disk, Folder, OpenError, Options, Report};
use crate::layout::{Chain, Owner};
use crate::{ClaimError, Claimed, Damage, EventLog, Fault};
use postrider_core::Time;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// A sled log that is opened, locked and whole, and waits to be claimed.
#[derive(Debug)]
pub struct SledLog {
    shared: Shared,
    lock: File,
    options: Options,
    head: HeadFile,
    chain: Chain,
    torn: Option<Damage>,
}

impl SledLog {
    pub(super) fn open(data: &Path, options: Options) -> Result<SledLog, OpenError> {
        let folder = Folder::new(data);
        // Once before there is a lock file of ours in a folder that may not be.
        Head::read(&folder, &folder.list()?)?;
        folder.make()?;
        let Some(lock) = folder.lock()? else {
            return Err(OpenError::Locked { folder: folder.describe() });
        };
        let head = match Head::read(&folder, &folder.list()?)? {
            Some(head) => HeadFile::open(&folder, head)?,
            None => HeadFile::create(&folder, Head::new(options.new_log, options.now))?,
        };
        let db = database(data, head.head())?;
        folder.sync_names()?;
        let mut walk = Walk::new(head.head());
        while walk.next(&db)?.is_some() {}
        let Walk { chain, segments, torn, .. } = walk;
        let durable = Durable { segments, first: head.head().first, end: chain.next };
        Ok(SledLog { shared: Shared::new(db, chain.log, durable), lock, options, head, chain, torn })
    }

    /// What was found.
    pub fn report(&self) -> Report {
        Report {
            log: self.chain.log,
            created: self.head.head().created,
            first: self.head.head().first,
            end: self.chain.next,
            segments: self.shared.durable.read().segments.len(),
            torn: self.torn.clone(),
        }
    }
}

/// The database of the log in `data`. One that is gone is not made anew, and one that holds nothing yet is: sled does not open what it was
/// kept from making whole.
pub(super) fn database(data: &Path, head: &Head) -> Result<Database, OpenError> {
    let folder = data.join(PLACE);
    match (head.end, Database::is_in(&folder)?) {
        (0, _) if folder.try_exists()? => fs::remove_dir_all(&folder)?,
        (1.., false) => return Err(damage(head.first, Fault::Missing).into()),
        _ => {}
    }
    Database::open(&folder).map_err(|failure| match failure {
        Failure::Disk(error) | Failure::Sled(sled::Error::Io(error)) => OpenError::Unavailable(error),
        failure => OpenError::Sled { folder: data.display().to_string(), why: failure.to_string() },
    })
}

impl EventLog for SledLog {
    type Writer = Writer;
    type Reader = Reader;

    fn claim(self, shard: u32, node: u64, now: Time) -> Result<Claimed<Writer, Reader>, ClaimError> {
        let chain = self.chain;
        if chain.next > 0 && chain.owner.shard != shard {
            return Err(ClaimError::WrongShard { asked: shard, found: chain.owner.shard });
        }
        let owner = Owner { shard, node, epoch: chain.owner.epoch + 1 };
        let time = chain.time.max(now);
        let shared = Arc::new(self.shared);
        let parts = Parts { lock: self.lock, options: self.options, head: self.head, chain };
        let mut writer = Writer::new(shared.clone(), parts);
        writer.own(owner, time)?;
        Ok(Claimed { writer, log: shared.log, reader: Reader::new(shared), owner, time })
    }
}
