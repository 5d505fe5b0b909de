//! One suite for what every log promises, run on every implementation.

use postrider_core::{Position, Time, limits};
use postrider_log::fault::{FaultDisk, FaultJournal};
use postrider_log::journal::{Folder, Journal, Options};
use postrider_log::memory::Memory;
use postrider_log::sled_log::{self, SledLog};
use postrider_log::{
    AppendError, Batch, ChainHash, ClaimError, Claimed, EventLog, Fault, Kind, LogId, LogReader, LogWriter, Payload,
    ReadError,
};
use proptest::prelude::*;

/// Makes a log, and opens it again after its writer is gone.
trait Bed {
    type Log: EventLog;
    fn open(&self) -> Self::Log;
}

type ClaimedOf<B> = Claimed<<<B as Bed>::Log as EventLog>::Writer, <<B as Bed>::Log as EventLog>::Reader>;

fn claim<B: Bed>(bed: &B, now: u64) -> ClaimedOf<B> {
    bed.open().claim(7, 1, Time(now)).expect("claims")
}

fn batch(time: u64, facts: &[(&str, Option<&str>)]) -> Batch {
    let mut batch = Batch::new(Time(time));
    for (fact, payload) in facts {
        batch.push(fact.as_bytes(), payload.map(|p| Payload::new(p.as_bytes())));
    }
    batch
}

fn what_was_appended_is_read_back<B: Bed>(bed: &B) {
    let mut log = claim(bed, 5);
    let at = log.writer.tail();
    assert_eq!(
        log.writer.append(at, &batch(10, &[("one", Some("body")), ("two", None), ("", Some(""))])).expect("appends"),
        at
    );

    assert_eq!((log.writer.tail(), log.reader.end()), (at + 1, at + 1));
    let block = log.reader.read_block(at).expect("reads").expect("is there");
    assert_eq!((block.number(), block.time(), block.kind(), block.len()), (at, Time(10), Kind::Facts, 3));
    let facts: Vec<_> = block.facts().collect();
    assert_eq!(
        facts,
        [(Position::new(at, 0), &b"one"[..]), (Position::new(at, 1), b"two"), (Position::new(at, 2), b"")]
    );
    assert_eq!((block.fact(1), block.fact(3)), (Some(&b"two"[..]), None));
    assert_eq!(block.payload(0).expect("whole").as_deref(), Some(&b"body"[..]));
    assert_eq!((block.payload_len(0), block.payload_len(1), block.payload_len(2)), (Some(4), None, Some(0)));

    let singly = |index| log.reader.payload(Position::new(at, index)).expect("reads").map(|p| p.to_vec());
    assert_eq!([singly(0), singly(1), singly(2), singly(3)], [Some(b"body".to_vec()), None, Some(vec![]), None]);
}

fn a_claim_takes_a_block_and_raises_the_epoch<B: Bed>(bed: &B) {
    let mut first = claim(bed, 5);
    assert_eq!((first.owner.epoch, first.writer.tail(), first.time), (1, 1, Time(5)));
    let block = first.reader.read_block(0).expect("reads").expect("is there");
    assert_eq!((block.kind(), block.owner(), block.is_empty()), (Kind::Owner, first.owner, true));
    first.writer.append(1, &batch(9, &[("fact", None)])).expect("appends");
    let id = first.log;
    drop(first);

    let second = claim(bed, 3);
    assert_eq!((second.owner.epoch, second.writer.tail(), second.log), (2, 3, id));
    assert_eq!(second.time, Time(9), "time never goes back, whatever the clock says");
}

fn another_shard_is_refused<B: Bed>(bed: &B) {
    drop(claim(bed, 1));
    let refused = bed.open().claim(8, 1, Time(1)).err();
    assert!(matches!(refused, Some(ClaimError::WrongShard { asked: 8, found: 7 })), "{refused:?}");
}

fn an_append_elsewhere_than_at_the_tail_is_fenced<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    for wrong in [0, 2] {
        let refused = log.writer.append(wrong, &batch(1, &[("fact", None)]));
        assert!(matches!(refused, Err(AppendError::Fenced { expected, tail: 1 }) if expected == wrong), "{refused:?}");
    }
    log.writer.append(1, &batch(1, &[("fact", None)])).expect("a fenced append harms nothing");
}

fn a_block_over_the_limit_is_refused_and_harms_nothing<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    let mut large = Batch::new(Time(1));
    large.push(&[], Some(Payload::new(&vec![1; limits::BLOCK_BYTES_MAX])));
    assert!(log.writer.reserve(large.bytes()).is_err());
    assert!(matches!(log.writer.append(1, &large), Err(AppendError::TooLarge(_))));
    assert_eq!((log.writer.tail(), log.reader.end()), (1, 1));

    let mut largest = Batch::new(Time(1));
    largest.push(&[], Some(Payload::new(&vec![1; limits::BLOCK_BYTES_MAX - 104 - 12])));
    assert_eq!(largest.bytes(), limits::BLOCK_BYTES_MAX);
    log.writer.append(1, &largest).expect("appends");
    assert!(log.reader.payload(Position::new(1, 0)).expect("reads").is_some());
}

fn a_seal_is_a_block_but_not_twice<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    log.writer.append(1, &batch(4, &[("fact", None)])).expect("appends");
    log.writer.seal().expect("seals");
    log.writer.seal().expect("does nothing");
    assert_eq!((log.writer.tail(), log.reader.end()), (3, 3));
    let seal = log.reader.read_block(2).expect("reads").expect("is there");
    assert_eq!((seal.kind(), seal.time(), seal.len()), (Kind::Seal, Time(4), 0));
    log.writer.append(3, &batch(4, &[("fact", None)])).expect("goes on after a seal");
    log.writer.seal().expect("seals");
    assert_eq!(log.writer.tail(), 5);
}

fn all_blocks_come_in_order_with_one_chain<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    for number in 1..200 {
        let fact = "f".repeat(number as usize % 50);
        log.writer.append(number, &batch(number, &[(&fact, Some(&fact)), ("x", None)])).expect("appends");
    }
    let hash = log.writer.hash();
    drop(log);

    let log = claim(bed, 1);
    let blocks: Vec<_> = log.reader.blocks(0).collect::<Result<_, _>>().expect("reads");
    assert!(blocks.iter().map(|b| b.number()).eq(0..201));
    assert!(blocks.is_sorted_by_key(|b| b.time()));
    assert_eq!(blocks[199].hash(), hash);
    let hashes: std::collections::HashSet<ChainHash> = blocks.iter().map(|b| b.hash()).collect();
    assert_eq!(hashes.len(), blocks.len());
    for (from, expected) in [(150, 51), (200, 1), (201, 0), (u64::MAX, 0)] {
        assert_eq!(log.reader.blocks(from).count(), expected, "from {from}");
    }
    for number in [0, 1, 77, 199] {
        let block = log.reader.read_block(number).expect("reads").expect("is there");
        assert_eq!(block.hash(), blocks[number as usize].hash());
    }
    assert!(log.reader.read_block(201).expect("reads").is_none());
    let before = |number| log.reader.chain_before(number).expect("reads");
    assert_eq!([before(0), before(202)], [Some(ChainHash::default()), None]);
    assert!((1..=201).all(|number| before(number) == Some(blocks[number as usize - 1].hash())));
}

fn a_reader_follows_the_writer<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    let reader = log.reader.clone();
    let mut blocks = reader.blocks(1);
    assert!(blocks.next().is_none());
    log.writer.append(1, &batch(1, &[("fact", None)])).expect("appends");
    assert_eq!(blocks.next().expect("is there").expect("reads").number(), 1);
    assert!(blocks.next().is_none());
}

fn an_erased_payload_is_gone_and_all_else_stays<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    let facts = [
        ("a", Some("gone")),
        ("b", None),
        ("c", Some("")),
        ("d", Some("\0\0")),
        ("e", Some("stays")),
        ("f", Some("too")),
    ];
    log.writer.append(1, &batch(1, &facts)).expect("appends");
    log.writer.append(2, &batch(1, &[("a and f are erased", None)])).expect("appends");
    let before = log.reader.read_block(1).expect("reads").expect("is there");
    let at = |index| Position::new(1, index);
    for _ in 0..2 {
        // The others have no payload, or none that could be erased.
        let payloads = [5, 0, 1, 2, 3, 6, 0].map(at);
        log.writer.erase(&payloads).expect("erases");
    }
    log.writer.erase(&[]).expect("does nothing");
    assert_eq!(before.payload(0).expect("was read before").as_deref(), Some(&b"gone"[..]));
    drop(log);

    let mut log = claim(bed, 1);
    assert_eq!(log.writer.tail(), 5, "one seal, and the next owner");
    let singly = |index| log.reader.payload(at(index));
    for index in [0, 5] {
        let refused = singly(index).expect_err("is gone");
        assert!(
            matches!(&refused, ReadError::Erased(place) if place.block == 1 && place.fault == Fault::Erased(index)),
            "{refused}"
        );
    }
    let others = [1, 2, 3, 4, 6].map(|index| singly(index).expect("reads").map(|p| p.to_vec()));
    assert_eq!(others, [None, Some(vec![]), Some(vec![0, 0]), Some(b"stays".to_vec()), None]);
    let block = log.reader.read_block(1).expect("reads").expect("is there");
    assert_eq!((block.hash(), block.payload_len(0)), (before.hash(), Some(4)));
    assert!(block.facts().eq(before.facts()));
    assert_eq!((block.payload(0), block.payload(1)), (Err(Fault::Erased(0)), Ok(None)));
    log.writer.append(5, &batch(1, &[("g", None)])).expect("goes on");
}

fn erasing_in_the_last_two_blocks_seals_first<B: Bed>(bed: &B) {
    for (after, sealed) in [(0, true), (1, true), (2, false)] {
        let mut log = claim(bed, 1);
        let at = log.writer.tail();
        for number in at..=at + after {
            log.writer.append(number, &batch(1, &[("fact", Some("payload"))])).expect("appends");
        }
        log.writer.erase(&[Position::new(at, 0)]).expect("erases");
        let last = log.reader.read_block(log.reader.end() - 1).expect("reads").expect("is there");
        assert_eq!((last.kind() == Kind::Seal, log.writer.tail()), (sealed, at + after + 1 + u64::from(sealed)));
    }
}

fn it_begins_later_only_where_a_segment_does<B: Bed>(bed: &B) {
    let mut log = claim(bed, 1);
    let mut beginnings = Vec::new();
    for _ in 0..100 {
        log.writer.reserve(4096).expect("there is space");
        let at = log.writer.tail();
        if log.writer.begins_segment() {
            beginnings.push(at);
        }
        log.writer.append(at, &batch(2, &[("fact", Some(&"x".repeat(1000)))])).expect("appends");
        assert!(!log.writer.begins_segment() || log.writer.tail() > at);
    }
    assert!(beginnings.len() > 3, "{beginnings:?}");
    let (whole, to) = (log.writer.bytes_from(0), beginnings[2]);
    assert_eq!(log.writer.truncate(to).expect("truncates"), to);
    assert_eq!((log.reader.first(), log.writer.bytes_from(0)), (to, log.writer.bytes_from(to)));
    assert!(log.writer.bytes_from(to) < whole);
    assert_eq!(log.reader.payload(Position::new(to - 1, 0)).expect("no error"), None);
    assert!(log.reader.payload(Position::new(to, 0)).expect("reads").is_some());
    assert!(log.reader.chain_before(to).expect("reads").is_some());
    assert_eq!(log.reader.chain_before(to - 1).expect("reads"), None);
    let between = (beginnings[2] + beginnings[3]) / 2;
    assert_eq!(log.writer.truncate(between).expect("does nothing"), to);
    // An erasure of what is gone has nothing to do.
    log.writer.erase(&[Position::new(1, 0)]).expect("passes over it");
    drop(log);
    let log = claim(bed, 3);
    assert_eq!((log.reader.first(), log.writer.bytes_from(to)), (to, log.writer.bytes_from(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn reading_facts_alone_gives_what_reading_all_gives(batches in prop::collection::vec(any_batch(), 1..12), from in 0u64..14) {
        facts_are_those_of_the_blocks(&memory(), &batches, from)?;
        facts_are_those_of_the_blocks(&journal(), &batches, from)?;
        facts_are_those_of_the_blocks(&fault(), &batches, from)?;
        facts_are_those_of_the_blocks(&in_sled(), &batches, from)?;
    }
}

/// A fact, and its payload if it has one.
type Pushed = (Vec<u8>, Option<Vec<u8>>);

/// Facts with payloads, some larger than what is read of a block at first.
fn any_batch() -> impl Strategy<Value = Vec<Pushed>> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop::collection::vec((bytes(700), prop::option::of(bytes(3000))), 1..12)
}

fn facts_are_those_of_the_blocks<B: Bed>(bed: &B, batches: &[Vec<Pushed>], from: u64) -> Result<(), TestCaseError> {
    let mut log = claim(bed, 1);
    for facts in batches {
        let mut batch = Batch::new(Time(2));
        for (fact, payload) in facts {
            batch.push(fact, payload.as_deref().map(Payload::new));
        }
        log.writer.append(log.writer.tail(), &batch).expect("appends");
    }
    let all: Vec<_> = log.reader.blocks(from).collect::<Result<_, _>>().expect("reads");
    let facts: Vec<_> = log.reader.facts(from).collect::<Result<_, _>>().expect("reads");
    prop_assert_eq!(facts.len(), all.len());
    for (block, whole) in facts.iter().zip(&all) {
        prop_assert_eq!((block.hash(), block.bytes(), block.len()), (whole.hash(), whole.bytes(), whole.len()));
        prop_assert!(block.facts().eq(whole.facts()));
        for index in 0..=block.len() {
            prop_assert_eq!(block.payload_len(index), whole.payload_len(index));
            if block.payload_len(index).is_some_and(|len| len > 0) {
                prop_assert_eq!(block.payload(index), Err(Fault::NotRead(index)));
            }
        }
        let singly = log.reader.read_facts(block.number()).expect("reads").expect("is there");
        prop_assert!(singly.facts().eq(whole.facts()));
    }
    Ok(())
}

macro_rules! suite {
    ($($bed:ident)*) => { $(
        mod $bed {
            suite!(@ $bed, what_was_appended_is_read_back, a_claim_takes_a_block_and_raises_the_epoch, another_shard_is_refused,
                an_append_elsewhere_than_at_the_tail_is_fenced, a_block_over_the_limit_is_refused_and_harms_nothing,
                a_seal_is_a_block_but_not_twice, all_blocks_come_in_order_with_one_chain, a_reader_follows_the_writer,
                an_erased_payload_is_gone_and_all_else_stays, erasing_in_the_last_two_blocks_seals_first,
                it_begins_later_only_where_a_segment_does);
        }
    )* };
    (@ $bed:ident, $($story:ident),*) => { $(
        #[test]
        fn $story() {
            super::$story(&super::$bed());
        }
    )* };
}

suite! { memory journal fault in_sled }

fn memory() -> Memory {
    Memory::with_segments(LogId([1; 16]), 10)
}

fn journal() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn fault() -> FaultDisk {
    FaultDisk::new()
}

/// A folder with a sled log.
struct InSled(tempfile::TempDir);

fn in_sled() -> InSled {
    InSled(tempfile::tempdir().expect("a folder"))
}

impl Bed for InSled {
    type Log = SledLog;
    fn open(&self) -> SledLog {
        sled_log::open(self.0.path(), options()).expect("opens")
    }
}

impl Bed for Memory {
    type Log = Memory;
    fn open(&self) -> Memory {
        self.clone()
    }
}

/// Segments that many stories outgrow.
fn options() -> Options {
    Options { segment_bytes: 16 * 1024, ..Options::new(LogId([1; 16]), Time(0)) }
}

impl Bed for tempfile::TempDir {
    type Log = Journal<Folder>;
    fn open(&self) -> Journal<Folder> {
        postrider_log::journal::open(self.path(), options()).expect("opens")
    }
}

impl Bed for FaultDisk {
    type Log = FaultJournal;
    fn open(&self) -> FaultJournal {
        Journal::open_on(self.clone(), options()).expect("opens")
    }
}
