//! What a start would otherwise read the whole log for. With it, a start reads from where the state was last restated before it.
//!
//! The keeper puts one into the store now and then, as of blocks that the store covers. It says nothing that the log does not say: without
//! one, or with one of another layout, all of the log is read.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use parking_lot::RwLock;
use postrider_core::fact::{Fact, Record};
use postrider_core::{Position, Time, WebhookId, WorkspaceId};

use crate::restatements::{Beginning, Restatements};
use crate::views::{Summary, Views};

/// Raised whenever the layout changes, that of a webhook's health included.
const LAYOUT: u32 = 3;
/// Webhooks whose health is written at once, while the views are locked.
const LOCKED_AT_ONCE: usize = 128;

const CONFIG: bincode::config::Configuration = bincode::config::standard();

/// Places in the log that a start must know of, wherever it begins to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landmarks {
    restatements: Restatements,
    /// The last block with facts that made payloads superfluous.
    last_erasing: Option<u64>,
    /// Blocks were lost, and what they said is not known: the log was salvaged.
    pub has_gaps: bool,
}

impl Landmarks {
    /// Notes what a record says, in the order of the log; again, if it was noted before.
    pub fn note(&mut self, record: &Record) {
        self.restatements.note(record);
        if matches!(record.fact, Fact::EventErased { .. } | Fact::EventCarried { .. }) {
            self.last_erasing = self.last_erasing.max(Some(record.position.block()));
        }
    }

    /// The last block with facts that made payloads superfluous, by an erasure or by carrying them to a newer part of the log.
    pub fn last_erasing(&self) -> Option<u64> {
        self.last_erasing
    }
}

/// How the webhooks are doing: each as of a block of its own.
#[derive(Debug)]
pub struct HealthSketch {
    /// In none of them is less than what lies below this block.
    pub oldest: u64,
    /// In none of them is more.
    pub newest: u64,
    bytes: Vec<u8>,
}

/// One webhook's part of it: webhook, workspace, the block below which all is in it, and how it is doing.
#[derive(Encode)]
struct PieceRef<'a>(u64, u64, u64, &'a Summary);
#[derive(Decode)]
struct Piece(u64, u64, u64, Summary);

impl HealthSketch {
    /// Draws it, locking the views for moments only.
    pub fn draw(views: &RwLock<Views>) -> HealthSketch {
        let mut sketch = HealthSketch { oldest: u64::MAX, newest: 0, bytes: Vec::new() };
        let mut after = None;
        loop {
            let views = views.read();
            let end = views.taken();
            (sketch.oldest, sketch.newest) = (sketch.oldest.min(end), sketch.newest.max(end));
            let mut drawn = 0;
            for (webhook, workspace, summary) in views.summaries(after).take(LOCKED_AT_ONCE) {
                let piece = PieceRef(webhook.0, workspace.0.to_u64(), end, summary);
                put(piece, &mut sketch.bytes);
                after = Some(webhook);
                drawn += 1;
            }
            if drawn < LOCKED_AT_ONCE {
                return sketch;
            }
        }
    }
}

/// How one webhook was doing, as of the block below which all is in it.
#[derive(Debug)]
pub struct Known {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The first block that is not in it.
    pub end: u64,
    /// What is known.
    pub(crate) summary: Summary,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The restatement to begin with is at this block or before it.
    pub block: u64,
    /// As of a block that is not before `block`.
    pub landmarks: Landmarks,
    /// Of all webhooks that there were.
    pub health: BTreeMap<WebhookId, Known>,
}

#[derive(Encode, Decode)]
struct Head {
    layout: u32,
    block: u64,
    has_gaps: bool,
    last_erasing: Option<u64>,
    /// Block and time.
    beginnings: Vec<(u64, u64)>,
}

impl Snapshot {
    /// The bytes of one; `landmarks` must cover what the sketch does.
    pub fn write(landmarks: &Landmarks, sketch: &HealthSketch) -> Vec<u8> {
        let beginnings = landmarks.restatements.iter().map(|beginning| (beginning.block, beginning.time.0)).collect();
        let Landmarks { last_erasing, has_gaps, .. } = *landmarks;
        let head = Head { layout: LAYOUT, block: sketch.oldest, has_gaps, last_erasing, beginnings };
        let mut bytes = Vec::new();
        put(head, &mut bytes);
        bytes.extend(&sketch.bytes);
        bytes
    }

    /// Reads it back; `None` when it is of another layout.
    pub fn read(bytes: &[u8]) -> Option<Snapshot> {
        let (layout, _): (u32, _) = bincode::decode_from_slice(bytes, CONFIG).ok()?;
        if layout != LAYOUT {
            return None;
        }
        let (head, mut at): (Head, _) = bincode::decode_from_slice(bytes, CONFIG).ok()?;
        let mut health = BTreeMap::new();
        while at < bytes.len() {
            let (piece, len): (Piece, _) = bincode::decode_from_slice(&bytes[at..], CONFIG).ok()?;
            let Piece(webhook, workspace, end, summary) = piece;
            let workspace = WorkspaceId(Position::from_u64(workspace));
            health.insert(WebhookId(webhook), Known { workspace, end, summary });
            at += len;
        }
        let beginnings = head.beginnings.into_iter().map(|(block, time)| Beginning { block, time: Time(time) });
        let restatements = Restatements::known(beginnings);
        let landmarks = Landmarks { restatements, last_erasing: head.last_erasing, has_gaps: head.has_gaps };
        Some(Snapshot { block: head.block, landmarks, health })
    }

    /// Where a replay can begin that is to meet all from block `needed` on, in a log that begins with block `first`; and the restatements
    /// before it. `None`: with the log.
    pub fn replay_from(&self, needed: u64, first: u64) -> Option<(u64, Restatements)> {
        let last = self.block.min(needed);
        let within = self.landmarks.restatements.iter().filter(|beginning| beginning.block > first);
        let before: Vec<_> = within.take_while(|beginning| beginning.block <= last).copied().collect();
        let from = before.last()?.block;
        Some((from, Restatements::known(before)))
    }
}

fn put(value: impl Encode, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, CONFIG).expect("a vector takes every byte");
}
