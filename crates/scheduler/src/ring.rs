//! The order of turns: a round robin in which nobody is visited in vain.
//!
//! Deficit round robin gives each member one millisecond of slot time a round and lets it run once it has paid for its last turn.
//! Going round and counting would visit one that owes 15 s fifteen thousand times, so a member stands instead under the round in
//! which it will have paid, and the round in progress jumps to the first one that somebody stands in.
//!
//! Members of a ring stand in classes, because the caps on retries and on slow webhooks close whole classes at once.

use std::collections::BTreeSet;

/// What a member's next attempt needs besides a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Its webhook is slow.
    pub(crate) slow: bool,
    /// It has nothing but retries.
    pub(crate) retry_only: bool,
}

impl Class {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [Class; Class::COUNT] = [
        Class { slow: false, retry_only: false },
        Class { slow: false, retry_only: true },
        Class { slow: true, retry_only: false },
        Class { slow: true, retry_only: true },
    ];

    pub(crate) fn index(self) -> usize {
        usize::from(self.slow) * 2 + usize::from(self.retry_only)
    }
}

/// A round, and who stands under it. Among those of one round the lower number goes first; each turn costs a round at least, so that
/// favours nobody.
type Place = (u64, u32);

/// No round is ever as late, and no member has this number.
const NOBODY: Place = (u64::MAX, u32::MAX);

/// Members by class and round. The first of each class is kept apart from the rest: it is asked for at every pick, and most hosts
/// have one webhook, which then costs no tree and little memory to fetch.
pub(crate) struct Ring {
    first: [Place; Class::COUNT],
    rest: Option<Box<Rest>>,
}

type Rest = [BTreeSet<Place>; Class::COUNT];

impl Ring {
    pub(crate) fn new() -> Ring {
        Ring { first: [NOBODY; Class::COUNT], rest: Default::default() }
    }

    pub(crate) fn insert(&mut self, class: Class, round: u64, member: u32) {
        let (first, place) = (&mut self.first[class.index()], (round, member));
        let later = if place < *first { std::mem::replace(first, place) } else { place };
        if later != NOBODY {
            let rest = self.rest.get_or_insert_default();
            assert!(rest[class.index()].insert(later), "a member stands in one place");
        }
    }

    pub(crate) fn remove(&mut self, class: Class, round: u64, member: u32) {
        let (first, place) = (&mut self.first[class.index()], (round, member));
        let rest = self.rest.as_mut().map(|rest| &mut rest[class.index()]);
        if *first == place {
            *first = rest.and_then(BTreeSet::pop_first).unwrap_or(NOBODY);
        } else {
            assert!(rest.is_some_and(|rest| rest.remove(&place)), "a member stands where it was put");
        }
    }

    /// The member of this class whose turn is first.
    pub(crate) fn first(&self, class: Class) -> Option<(u64, u32)> {
        Some(self.first[class.index()]).filter(|&first| first != NOBODY)
    }
}
