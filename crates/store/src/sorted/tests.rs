//! Packed runs against ordered maps: any entries in any batches are found again, at any key, in either direction, also after reopening.

use std::collections::BTreeMap;

use postrider_core::{DeliveryKey, Position, Time, WebhookId};
use proptest::prelude::*;

use super::*;
use crate::count::count;
use crate::disk::CHUNK;
use crate::entry::dormant::{Asleep, ByDue, Dormant, Lane};
use crate::entry::event::{EventOf, EventPlace};
use crate::entry::gone::Gone;
use crate::entry::head::Head;
use crate::walk::Walk;

/// A database that is committed to as the writer does.
struct Bed<E: Entry> {
    _folder: tempfile::TempDir,
    disk: Disk,
    sorted: Sorted<E>,
    ledger: Ledger,
    outdated: Vec<u64>,
}

impl<E: Entry> Bed<E> {
    fn new() -> Bed<E> {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let disk = Disk::open(folder.path(), "bed".into(), 1 << 20).expect("opens");
        Bed { _folder: folder, disk, sorted: Sorted::default(), ledger: Ledger::default(), outdated: Vec::new() }
    }

    fn commit(&mut self, mut entries: Vec<E>, end: Option<E::Key>) -> Vec<E> {
        settle(&mut entries);
        let mut changes = Changes::new(self.ledger, &self.outdated);
        let (disk, keep) = (&self.disk, |_: &E| true);
        let (taken, rest) = match end {
            Some(end) => self.sorted.without(disk, end, &mut changes, &keep).expect("reads"),
            None => (Vec::new(), self.sorted.clone()),
        };
        self.sorted = rest.with(disk, &entries, &mut changes, &keep).expect("reads");
        let (batch, ledger, outdated) = changes.finish();
        self.disk.apply(batch).expect("applies");
        (self.ledger, self.outdated) = (ledger, outdated);
        self.check();
        taken
    }

    /// What holds of every state.
    fn check(&self) {
        let mut found = Ledger::default();
        let again = Sorted::<E>::load(&self.disk, &mut found).expect("loads");
        assert!(self.ledger.counts(&found));
        assert_eq!(again.buckets, self.sorted.buckets);
        let mut chunks = self.outdated.clone();
        chunks.extend(again.buckets.iter().flat_map(|bucket| bucket.chunks()).map(|chunk| chunk.number));
        chunks.sort_unstable();
        let mut there = Vec::new();
        let number = |key: &[u8]| key[1..].try_into().map(u64::from_be_bytes).expect("a chunk's key");
        let note = |key: &[u8], _: &[u8]| {
            there.push(number(key));
            Ok(())
        };
        self.disk.scan(&[CHUNK], note).expect("scans");
        assert_eq!(there, chunks, "no chunk is left over, and none is missing");
        let froms: Vec<_> = again.buckets.iter().map(|bucket| bucket.from.key()).collect();
        assert!(froms.is_sorted_by(|a, b| a < b));
        for (at, bucket) in again.buckets.iter().enumerate() {
            assert!(bucket.manifest().len() < 6 << 10, "sled keeps it within its file");
            assert!(bucket.runs.len() <= 9, "look-ups stay cheap: {} runs", bucket.runs.len());
            assert!(bucket.chunks().count() <= CHUNKS_MAX);
            for run in &bucket.runs {
                assert!(run.chunks.is_sorted_by(|a, b| a.first.key() < b.first.key()));
                assert!(run.chunks[0].first.key() >= froms[at]);
                assert!(froms.get(at + 1).is_none_or(|next| run.last.key() <= *next));
            }
        }
    }

    fn up(&self, start: E::Key) -> Vec<E> {
        let mut walk = Walk::up(&self.disk, &self.sorted, start);
        std::iter::from_fn(|| walk.next().expect("reads")).collect()
    }

    fn down(&self, start: E::Key) -> Vec<E> {
        let mut walk = Walk::down(&self.disk, &self.sorted, start);
        std::iter::from_fn(|| walk.next().expect("reads")).collect()
    }
}

/// How a batch lies: scattered over `width` keys from `base` on.
fn batch() -> impl Strategy<Value = (u64, u64, usize, u64)> {
    (0u64..40_000, prop_oneof![1u64..100, 1000u64..60_000], 1usize..6000, any::<u64>())
}

fn scatter((base, width, n, seed): (u64, u64, usize, u64)) -> impl Iterator<Item = u64> {
    (0..n as u64).map(move |i| base + (i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) % width)
}

fn delivery(n: u64) -> DeliveryKey {
    DeliveryKey { event: Position::new(n / 7, n as u32 % 7), ordinal: n as u32 % 3 }
}

#[test]
fn one_that_fell_asleep_again_at_the_same_time_is_met_over_three_runs() {
    let dormant = |n: u64, is_over| {
        let asleep = Asleep { due: Time(n), key: delivery(0), webhook: WebhookId(1), lane: Lane::Retry };
        ByDue(Dormant { asleep, is_over })
    };
    let mut bed = Bed::<ByDue>::new();
    // Each much smaller than the one before, so that none is merged; all spread, so that none is appended.
    bed.commit((0..10_000).map(|n| dormant(n, false)).collect(), None);
    bed.commit((0..1000).map(|n| dormant(n * 10, true)).collect(), None);
    bed.commit((0..100).map(|n| dormant(n * 100, false)).collect(), None);
    assert_eq!(bed.sorted.buckets[0].runs.len(), 3);
    let expected: Vec<_> = (0..10_000).filter(|n| n % 10 != 0 || n % 100 == 0).map(|n| dormant(n, false)).collect();
    assert_eq!(bed.up(dormant(0, false).key()), expected);
    let mut down = bed.down(dormant(u64::MAX, false).key());
    down.reverse();
    assert_eq!(down, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_the_newest(batches in prop::collection::vec(batch(), 1..30), probes in prop::collection::vec(0u64..110_000, 20)) {
        let mut bed = Bed::<Head>::new();
        let mut model = BTreeMap::new();
        for (number, batch) in batches.into_iter().enumerate() {
            let newest = Position::new(number as u64, 3);
            let heads: Vec<_> = scatter(batch).map(|n| Head { key: delivery(n), newest }).collect();
            model.extend(heads.iter().map(|head| (head.key, head.newest)));
            bed.commit(heads, None);
        }
        let all: Vec<_> = model.iter().map(|(key, newest)| Head { key: *key, newest: *newest }).collect();
        prop_assert_eq!(bed.up(delivery(0)), all);
        for probe in probes {
            let key = delivery(probe);
            let found = bed.sorted.get(&bed.disk, key).expect("reads").map(|head| head.newest);
            prop_assert_eq!(found, model.get(&key).copied());
        }
    }

    #[test]
    fn sleepers_are_once_there_until_they_move_on(
        batches in prop::collection::vec((batch(), 0usize..4000, prop::option::weighted(0.1, 0u64..60_000)), 1..30),
        start in 0u64..60_000,
    ) {
        let asleep = |n: u64| Asleep {
            due: Time(n / 2), key: delivery(n), webhook: WebhookId(n % 11), lane: if n.is_multiple_of(5) { Lane::Fresh } else { Lane::Retry },
        };
        let mut bed = Bed::<ByDue>::new();
        let mut model = BTreeMap::new();
        for (batch, over, end) in batches {
            let mut entries = Vec::new();
            for n in scatter(batch) {
                if model.insert(asleep(n), n).is_none() {
                    entries.push(ByDue(Dormant { asleep: asleep(n), is_over: false }));
                }
            }
            // As many move on: the first ones, as when they wake, and some anywhere.
            let some = model.keys().copied().take(over / 2).chain(model.keys().copied().skip(over).step_by(3).take(over / 2));
            for asleep in some.collect::<std::collections::BTreeSet<_>>() {
                model.remove(&asleep);
                entries.push(ByDue(Dormant { asleep, is_over: true }));
            }
            bed.commit(entries, None);
            if let Some(end) = end {
                let end = asleep(end);
                let taken: Vec<_> = bed.commit(Vec::new(), Some(end)).iter().map(Entry::key).collect();
                let rest = model.split_off(&end);
                prop_assert_eq!(taken, std::mem::replace(&mut model, rest).into_keys().collect::<Vec<_>>());
            }
        }
        let keys = |entries: Vec<ByDue>| entries.iter().map(Entry::key).collect::<Vec<_>>();
        prop_assert_eq!(keys(bed.up(asleep(0))), model.keys().copied().collect::<Vec<_>>());
        let start = asleep(start);
        prop_assert_eq!(keys(bed.up(start)), model.range(start..).map(|(key, _)| *key).collect::<Vec<_>>());
        prop_assert_eq!(keys(bed.down(start)), model.range(..=start).rev().map(|(key, _)| *key).collect::<Vec<_>>());
        // When all have moved on nothing is left, not even a bucket.
        let rest = model.into_keys().map(|asleep| ByDue(Dormant { asleep, is_over: true }));
        bed.commit(rest.collect(), None);
        prop_assert!(bed.sorted.buckets.is_empty());
    }

    #[test]
    fn events_are_counted_and_paged_from_anywhere(
        sizes in prop::collection::vec(1u64..5000, 1..20), workspaces in 1u64..40, at in any::<prop::sample::Index>(),
    ) {
        let mut bed = Bed::<EventOf>::new();
        let mut model = BTreeMap::new();
        let mut next = 0;
        for size in sizes {
            let events: Vec<_> = (next..next + size).map(|n| {
                let workspace = postrider_core::WorkspaceId(Position::from_u64((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % workspaces));
                let position = Position::new(n / 100, n as u32 % 100);
                EventOf { workspace, place: EventPlace { position, time: Time(n), deliveries: 1 } }
            }).collect();
            next += size;
            model.extend(events.iter().map(|event| (event.key(), *event)));
            bed.commit(events, None);
        }
        let keys: Vec<_> = model.keys().copied().collect();
        let (low, high) = (keys[0], *at.get(&keys));
        let n = count(&bed.disk, &bed.sorted, low, high).expect("reads");
        prop_assert_eq!(n, model.range(low..=high).count() as u64);
        let n = count(&bed.disk, &bed.sorted, high, keys[keys.len() - 1]).expect("reads");
        prop_assert_eq!(n, model.range(high..).count() as u64);
        prop_assert_eq!(bed.down(high), model.range(..=high).rev().map(|(_, event)| *event).collect::<Vec<_>>());
    }
}

#[test]
fn a_key_that_is_not_there_is_looked_for_twice_in_chunks_that_are_read_once() {
    let mut bed = Bed::<Gone>::new();
    let gone = |webhook: u64| Gone { webhook: WebhookId(webhook), block: 1 };
    // Runs whose ranges overlap: a key that is in none of them is looked for in each.
    bed.commit((0..40_000).map(|n| gone(n * 2)).collect(), None);
    bed.commit((0..1_000).map(|n| gone(n * 40 + 2_001)).collect(), None);
    let read = |bed: &Bed<Gone>| bed.sorted.last_read.lock().iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(bed.sorted.get(&bed.disk, WebhookId(10_003)).expect("reads"), None);
    let first = read(&bed);
    assert_eq!(first.len(), bed.sorted.buckets[0].runs.len().min(LAST_READ_MAX));
    assert_eq!(bed.sorted.get(&bed.disk, WebhookId(10_003)).expect("reads"), None);
    assert_eq!(read(&bed), first);
    for n in 0..200 {
        bed.sorted.get(&bed.disk, WebhookId(n * 400)).expect("reads");
    }
    assert_eq!(read(&bed).len(), LAST_READ_MAX);
}
