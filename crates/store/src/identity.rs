//! Which log a store is derived from, and up to which block.

/// A place in the log's chain of blocks: all blocks below `block` are covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The first block that is not covered; 0 before the first one.
    pub block: u64,
    /// The hash of the last block that is; zeros before the first one. Opaque here.
    pub chain: [u8; 16],
}

/// The log that a store is to be derived from.
#[derive(Clone, Copy)]
pub struct LogIdentity<'a> {
    /// The log's id.
    pub log: [u8; 16],
    /// The hash of the block before the given one; `None` when the log does not reach there. Asked for marks past block 0 alone.
    pub chain_at: &'a dyn Fn(u64) -> Option<[u8; 16]>,
}

impl LogIdentity<'_> {
    /// Whether a mark lies on the log's chain.
    pub(crate) fn has(&self, mark: Mark) -> bool {
        let chain = if mark.block == 0 { Some([0; 16]) } else { (self.chain_at)(mark.block) };
        chain == Some(mark.chain)
    }
}

/// Where a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// What is pending, and the kernel's bytes as of their own block, are as of here.
    pub pending: Mark,
    /// History (heads, ids, attempts, events) reaches up to here at least.
    pub history: Mark,
    /// The block that the caller's kernel is as of, if there is one.
    pub kernel: Option<u64>,
}

impl At {
    /// The block at which a replay of both parts begins.
    pub fn replay_from(&self) -> u64 {
        self.pending.block.min(self.history.block)
    }
}

/// What a record is taken into, and what a commit covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Both: the rule.
    Both,
    /// What is pending alone: a rebuild does this first, so that deliveries go on while history follows.
    Pending,
    /// History alone.
    History,
}

impl Part {
    pub(crate) fn has_pending(self) -> bool {
        self != Part::History
    }

    pub(crate) fn has_history(self) -> bool {
        self != Part::Pending
    }
}
