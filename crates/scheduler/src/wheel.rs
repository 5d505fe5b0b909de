//! A hierarchical timing wheel: what sleeps until its time.
//!
//! Promises: nothing fires before its due time; all that is due by `now` has fired once [`Wheel::advance`] says that there is no
//! more; firing goes in order of ticks, and within a tick in order of insertion where entries came the same way. Inserting and
//! cancelling are O(1), advancing costs what is moved and fired, never the length of the step: a clock that jumps a year costs
//! nothing by itself. Entries are 24 bytes with a four-byte item.
//!
//! A tick's place is found from the highest byte in which it differs from the cursor: byte l gives level l and its value the slot.
//! So every slot on a level lies before every slot on the levels above, and the first occupied one is found with a few bit
//! operations. Four levels of 256 reach 2.2 years ahead, but a border between two such spans can be tomorrow; four levels more cost
//! 16 KiB and cover all that a [`Time`] can say, so there is no overflow to keep in order.
//!
//! Refuses to read a clock, and to call anything back.

use postrider_core::time::Time;

/// The wheel's grain in milliseconds: a due time is rounded up to it, so nothing is early and at most this late.
pub const TICK_MS: u64 = 16;

const LEVEL_BITS: u32 = 8;
const SLOTS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = 8;
/// A link with this bit names a slot's head, else an entry. A list is a ring through its slot.
const SLOT_TAG: u32 = 1 << 31;

/// Names an entry until it fires or is cancelled; after that it is stale and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    index: u32,
    generation: u32,
}

struct Entry<T> {
    due: Time,
    next: u32,
    prev: u32,
    /// Counts the reuses of this place.
    generation: u32,
    item: T,
}

#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    tail: u32,
}

/// See the module.
pub struct Wheel<T> {
    entries: Vec<Entry<T>>,
    vacant: Vec<u32>,
    slots: Box<[Slot]>,
    /// One bit a slot.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    /// One bit a level with an occupied slot.
    levels: u32,
    /// All ticks before this one have fired. Later calls may still put late entries into the slot of this one.
    cursor: u64,
    /// A slot above level 0 that the cursor has entered and that was not emptied within a budget: it goes before all others.
    cascading: Option<usize>,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel at time 0: the first step to the present costs nothing.
    pub fn new() -> Wheel<T> {
        let empty = |slot| Slot { head: SLOT_TAG | slot as u32, tail: SLOT_TAG | slot as u32 };
        Wheel {
            entries: Vec::new(),
            vacant: Vec::new(),
            slots: (0..LEVELS * SLOTS).map(empty).collect(),
            occupied: [[0; SLOTS / 64]; LEVELS],
            levels: 0,
            cursor: 0,
            cascading: None,
        }
    }

    /// Entries asleep.
    pub fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    /// Whether nothing sleeps.
    pub fn is_empty(&self) -> bool {
        self.levels == 0
    }

    /// Puts `item` to sleep until `due`. One that is already due fires at the next step.
    pub fn insert(&mut self, due: Time, item: T) -> Handle {
        let index = match self.vacant.pop() {
            Some(index) => {
                let entry = &mut self.entries[index as usize];
                (entry.due, entry.item) = (due, item);
                index
            }
            None => {
                assert!(self.entries.len() < SLOT_TAG as usize, "the wheel is bounded by its user below 2^31 entries");
                self.entries.push(Entry { due, next: 0, prev: 0, generation: 0, item });
                (self.entries.len() - 1) as u32
            }
        };
        self.link(index);
        Handle { index, generation: self.entries[index as usize].generation }
    }

    /// Takes an entry out; `None` when it has fired or was cancelled before.
    pub fn cancel(&mut self, handle: Handle) -> Option<T> {
        self.entry(handle)?;
        Some(self.take(handle.index))
    }

    /// When the entry is due; `None` when it has fired or was cancelled.
    pub fn due(&self, handle: Handle) -> Option<Time> {
        self.entry(handle).map(|entry| entry.due)
    }

    /// A time before which nothing fires: how long a driver may sleep. At that time there may be only entries to move closer.
    pub fn next_due(&self) -> Option<Time> {
        self.earliest().map(|(_, start)| Time(start.saturating_mul(TICK_MS)))
    }

    /// Moves to `now` and appends what is due to `out`, in order, until `budget` entries were fired or moved closer. True says that
    /// the budget ended it: call again with the same `now`. A `now` before an earlier one fires nothing.
    #[must_use = "true says that more is due"]
    pub fn advance(&mut self, now: Time, budget: usize, out: &mut Vec<T>) -> bool {
        let target = now.0 / TICK_MS;
        let mut left = budget;
        loop {
            self.cascading = self.cascading.filter(|&slot| self.is_occupied(slot));
            let Some((slot, start)) = self.earliest().filter(|&(_, start)| start <= target) else {
                self.cursor = self.cursor.max(target);
                return false;
            };
            if left == 0 {
                return true;
            }
            left -= 1;
            assert!(start >= self.cursor, "the cursor never turns back");
            self.cursor = start;
            let head = self.slots[slot].head;
            if slot < SLOTS {
                out.push(self.take(head));
            } else {
                self.cascading = Some(slot);
                self.unlink(head);
                self.link(head);
            }
        }
    }

    fn entry(&self, handle: Handle) -> Option<&Entry<T>> {
        self.entries.get(handle.index as usize).filter(|entry| entry.generation == handle.generation)
    }

    /// The slot to be emptied next, and the tick at which it begins.
    fn earliest(&self) -> Option<(usize, u64)> {
        if let Some(slot) = self.cascading.filter(|&slot| self.is_occupied(slot)) {
            return Some((slot, self.cursor));
        }
        let level = self.levels.trailing_zeros() as usize;
        let words = self.occupied.get(level)?;
        let word = words.iter().position(|&word| word != 0).expect("a level marked as occupied has an occupied slot");
        let in_level = word * 64 + words[word].trailing_zeros() as usize;
        let shift = level as u32 * LEVEL_BITS;
        let start = (self.cursor >> shift & !(SLOTS as u64 - 1) | in_level as u64) << shift;
        Some((level * SLOTS + in_level, start))
    }

    fn is_occupied(&self, slot: usize) -> bool {
        self.slots[slot].head & SLOT_TAG == 0
    }

    /// Takes an entry out of its slot and gives its place back.
    fn take(&mut self, index: u32) -> T {
        self.unlink(index);
        self.vacant.push(index);
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.item
    }

    /// Appends an entry to the slot that its due time has, seen from the cursor.
    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].due.0.div_ceil(TICK_MS).max(self.cursor);
        let level = (63 - (tick ^ self.cursor | 1).leading_zeros()) / LEVEL_BITS;
        let in_level = (tick >> (level * LEVEL_BITS)) as usize % SLOTS;
        let slot = level as usize * SLOTS + in_level;
        let tail = self.slots[slot].tail;
        let entry = &mut self.entries[index as usize];
        (entry.prev, entry.next) = (tail, SLOT_TAG | slot as u32);
        self.set_next(tail, index);
        self.slots[slot].tail = index;
        self.occupied[level as usize][in_level / 64] |= 1 << (in_level % 64);
        self.levels |= 1 << level;
    }

    fn unlink(&mut self, index: u32) {
        let Entry { next, prev, .. } = self.entries[index as usize];
        self.set_next(prev, next);
        self.set_prev(next, prev);
        // Only a slot that is now empty has itself on both sides.
        if next == prev && next & SLOT_TAG != 0 {
            self.vacate((next & !SLOT_TAG) as usize);
        }
    }

    fn vacate(&mut self, slot: usize) {
        let (level, in_level) = (slot / SLOTS, slot % SLOTS);
        self.occupied[level][in_level / 64] &= !(1 << (in_level % 64));
        if self.occupied[level] == [0; SLOTS / 64] {
            self.levels &= !(1 << level);
        }
    }

    fn set_next(&mut self, at: u32, next: u32) {
        match at & SLOT_TAG {
            0 => self.entries[at as usize].next = next,
            _ => self.slots[(at & !SLOT_TAG) as usize].head = next,
        }
    }

    fn set_prev(&mut self, at: u32, prev: u32) {
        match at & SLOT_TAG {
            0 => self.entries[at as usize].prev = prev,
            _ => self.slots[(at & !SLOT_TAG) as usize].tail = prev,
        }
    }
}

impl<T: Copy> Default for Wheel<T> {
    fn default() -> Self {
        Wheel::new()
    }
}
