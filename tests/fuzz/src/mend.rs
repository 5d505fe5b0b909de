//! Makes checksums and chain of a harmed log fit: `docs/log-format.md`, written a second time.

use crc32c::crc32c;
use postrider_log::fault::FaultDisk;
use sha2::{Digest, Sha256};

const HEAD: usize = 104;
const ROW: usize = 12;
const ALIGN: usize = 512;

/// Of the whole disk.
pub fn mend(disk: &FaultDisk) {
    let mut previous = None;
    for name in disk.names() {
        let Some(mut bytes) = disk.bytes(&name) else { continue };
        if name == "HEAD" && bytes.len() == 68 {
            put(&mut bytes, 64, |head| crc32c(&head[..64]));
        }
        if name.ends_with(".seg") {
            segment(&mut bytes, &mut previous);
        }
        disk.put(&name, &bytes);
    }
}

fn segment(bytes: &mut [u8], previous: &mut Option<[u8; 16]>) {
    for at in (0..bytes.len()).step_by(ALIGN) {
        if bytes[at..].len() >= HEAD && bytes[at..].starts_with(b"PRblock\n") {
            block(&mut bytes[at..], previous);
        }
    }
}

fn block(bytes: &mut [u8], previous: &mut Option<[u8; 16]>) {
    let field = |at: usize| bytes[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let table = HEAD..HEAD.saturating_add(field(12).saturating_mul(ROW));
    let facts = table.end..table.end.saturating_add(field(68));
    for (at, range) in [(76, table), (80, facts)] {
        let crc = bytes.get(range).filter(|part| !part.is_empty()).map_or(0, crc32c);
        put(bytes, at, |_| crc);
    }
    if let Some(hash) = previous {
        bytes[84..100].copy_from_slice(hash);
    }
    put(bytes, 100, |head| crc32c(&head[..100]));
    let digest = Sha256::digest(&bytes[..HEAD]);
    *previous = digest.first_chunk().copied();
}

fn put(bytes: &mut [u8], at: usize, crc: impl FnOnce(&[u8]) -> u32) {
    let crc = crc(bytes);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}
