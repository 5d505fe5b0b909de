//! Goes through a list of both stores side by side, in order of keys, up to the first entry that is not the same.

use std::cmp::Ordering;

use super::told::Told;
use super::{Difference, Trouble};
use crate::disk::Disk;
use crate::entry::Entry;
use crate::error::{CommitError, ReadError};
use crate::sorted::Sorted;
use crate::walk::Walk;

/// A database of both stores; one that is not there has empty lists.
pub struct Lists<D> {
    database: String,
    kept: Option<D>,
    built: Option<D>,
    /// Once there is one, nothing more is compared.
    pub found: Option<Difference>,
}

impl<D: Copy> Lists<D> {
    pub fn new(database: String, kept: Option<D>, built: Option<D>) -> Lists<D> {
        Lists { database, kept, built, found: None }
    }

    /// Compares the entries of one list that are `is_compared`.
    pub fn compare<'a, E: Told>(
        &mut self,
        list: impl Fn(D) -> (&'a Disk, &'a Sorted<E>),
        mut is_compared: impl FnMut(&E) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        if self.found.is_some() {
            return Ok(());
        }
        let kept = self.kept.map(&list).map(|(disk, sorted)| Walk::up(disk, sorted, E::zero().key()));
        let built = self.built.map(&list).map(|(disk, sorted)| Walk::up(disk, sorted, E::zero().key()));
        let mut kept = Entries { walk: kept, fail: Trouble::Kept };
        let mut built = Entries { walk: built, fail: |error| Trouble::Built(CommitError::from(error)) };
        loop {
            let (store, log) = (kept.next(&mut is_compared)?, built.next(&mut is_compared)?);
            if store == log {
                match store {
                    Some(_) => continue,
                    None => return Ok(()),
                }
            }
            let order = match (&store, &log) {
                (Some(store), Some(log)) => store.key().cmp(&log.key()),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let store = store.filter(|_| order != Ordering::Greater).map(|entry| entry.told());
            let log = log.filter(|_| order != Ordering::Less).map(|entry| entry.told());
            self.found = Some(Difference { database: self.database.clone(), list: E::LIST, log, store });
            return Ok(());
        }
    }
}

/// One store's entries.
struct Entries<'a, E: Entry> {
    /// None where there is no such database.
    walk: Option<Walk<'a, E>>,
    fail: fn(ReadError) -> Trouble,
}

impl<E: Entry> Entries<'_, E> {
    fn next(&mut self, is_compared: &mut impl FnMut(&E) -> Result<bool, Trouble>) -> Result<Option<E>, Trouble> {
        let Some(walk) = &mut self.walk else { return Ok(None) };
        while let Some(entry) = walk.next().map_err(self.fail)? {
            if is_compared(&entry)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}
