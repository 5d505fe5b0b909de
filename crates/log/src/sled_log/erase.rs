//! Overwrites payloads with zeros. First all of them are found; then the values that hold them are written anew, a block at a time, and all
//! is synced. sled writes to another place of its file: the old bytes stay there until sled uses that place again.

use super::pieces::{self, Trouble};
use super::reader::Reader;
use super::writer::Writer;
use crate::log::erasure;
use crate::table::Place;
use crate::{EraseError, Fault, LogWriter, ReadError};
use postrider_core::Position;
use std::collections::BTreeMap;
use std::io;

/// What is to be zeros in one block.
struct Holes {
    block: u64,
    places: Vec<Place>,
}

impl Writer {
    /// See [`LogWriter::erase`].
    pub(super) fn zero(&mut self, payloads: &[Position]) -> Result<(), EraseError> {
        let (payloads, seal) = erasure(payloads, self.chain.next);
        if let Some(why) = &self.poison {
            return Err(EraseError::Unavailable(why.clone()));
        }
        let holes = match self.holes(&payloads) {
            Ok(holes) => holes,
            Err(ReadError::Damaged(damage) | ReadError::Erased(damage)) => return Err(EraseError::Damaged(damage)),
            Err(ReadError::Unavailable(error)) => return Err(EraseError::Unavailable(self.poison(error))),
        };
        if seal {
            self.seal()?;
        }
        if holes.is_empty() {
            return Ok(());
        }
        self.fill(&holes).map_err(|error| EraseError::Unavailable(self.poison(error)))
    }

    /// Where `payloads` lie. They are in order.
    fn holes(&self, payloads: &[Position]) -> Result<Vec<Holes>, ReadError> {
        let reader = Reader::new(self.shared.clone());
        let mut holes = Vec::new();
        for in_block in payloads.chunk_by(|a, b| a.block() == b.block()) {
            let block = in_block[0].block();
            let places = reader.look(block, |db, header| {
                let table = pieces::table(db, header)?;
                let places = in_block.iter().map(|at| table.place(at.index())).collect::<Result<Vec<_>, _>>();
                Ok(places?.into_iter().flatten().filter(|place| place.len > 0).collect::<Vec<_>>())
            })?;
            holes.extend(places.filter(|places| !places.is_empty()).map(|places| Holes { block, places }));
        }
        Ok(holes)
    }

    fn fill(&self, holes: &[Holes]) -> io::Result<()> {
        let filled = self.shared.on(|db| {
            let erasing = self.shared.erasing.lock();
            for Holes { block, places } in holes {
                let mut changed: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
                for place in places {
                    let start = place.start as usize;
                    for (index, within) in pieces::parts(start..start + place.len) {
                        let piece = match changed.remove(&index) {
                            Some(piece) => Some(piece),
                            None => db.get(&pieces::key(*block, index))?.map(|piece| piece.to_vec()),
                        };
                        let mut piece = piece.ok_or(Fault::Piece(index))?;
                        piece.get_mut(within).ok_or(Fault::Piece(index))?.fill(0);
                        changed.insert(index, piece);
                    }
                }
                let mut batch = sled::Batch::default();
                changed.into_iter().for_each(|(index, piece)| batch.insert(&pieces::key(*block, index), piece));
                db.apply(batch)?;
            }
            drop(erasing);
            Ok(db.sync()?)
        });
        filled.map_err(|trouble| match trouble {
            Trouble::Fault(fault) => io::Error::other(fault),
            Trouble::Failed(failure) => failure.into(),
        })
    }
}
