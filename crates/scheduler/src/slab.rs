//! Values under small dense numbers that are reused.
//!
//! Promises that a number stays its value's until that is removed. A number used after that is a bug and panics.

use std::ops::{Index, IndexMut};

pub(crate) struct Slab<T> {
    items: Vec<Option<T>>,
    vacant: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Slab<T> {
        Slab { items: Vec::new(), vacant: Vec::new() }
    }

    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(at) = self.vacant.pop() {
            self.items[at as usize] = Some(item);
            return at;
        }
        let at = u32::try_from(self.items.len()).ok().filter(|&at| at < u32::MAX);
        self.items.push(Some(item));
        at.expect("a slab is bounded by its users far below 2^32")
    }

    pub(crate) fn remove(&mut self, at: u32) -> T {
        let item = self.items[at as usize].take().expect("only what is there is removed");
        self.vacant.push(at);
        item
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, at: u32) -> &T {
        self.items[at as usize].as_ref().expect("a number is used only while its value is there")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.items[at as usize].as_mut().expect("a number is used only while its value is there")
    }
}
