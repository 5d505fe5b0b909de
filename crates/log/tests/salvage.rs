//! What is whole of a damaged log goes into a new one, under the same positions; what is not is listed.

mod support;

use postrider_core::{Position, Time};
use postrider_log::fault::{FaultDisk, Keep};
use postrider_log::journal::{self, Disk, Inspect, Missing, OpenError, Options, SalvageError, Salvaged, Stored};
use postrider_log::{Batch, EventLog, Fault, Kind, LogId, LogReader, LogWriter, Payload, ReadError};
use proptest::prelude::*;
use support::{batch, claim, content, contents, open};

const NEW: LogId = LogId([0xef; 16]);

/// Owner entry and 18 group commits, in many segments.
fn log() -> FaultDisk {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..19 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    disk
}

fn stored(disk: &FaultDisk) -> Vec<Stored> {
    Inspect::open_on(disk.clone()).expect("opens").blocks().map(|stored| stored.expect("whole")).collect()
}

fn file(stored: &Stored) -> String {
    stored.file.replace("log/", "")
}

fn options() -> Options {
    Options { new_log: NEW, ..support::options() }
}

/// The new log; the damaged one is as it was.
fn salvage(damaged: &FaultDisk) -> (FaultDisk, Salvaged) {
    let files = |disk: &FaultDisk| disk.names().into_iter().map(|name| (disk.bytes(&name), name)).collect::<Vec<_>>();
    let (new, before) = (FaultDisk::new(), files(damaged));
    let mut told = Vec::new();
    let salvaged =
        journal::salvage_on(damaged, &new, options(), &mut |progress| told.push(progress)).expect("salvages");
    assert!(told.is_sorted_by_key(|progress| progress.bytes), "it goes on and never back: {told:?}");
    assert!(told.iter().all(|progress| progress.bytes <= progress.size), "{told:?}");
    assert!(files(damaged) == before, "the source is not changed");
    // Nothing of the result rests on what was not synced.
    (new.crash(Keep::Nothing), salvaged)
}

/// The new log holds the blocks of the old, but for gaps, and goes on.
fn check(new: &FaultDisk, salvaged: &Salvaged, old: &[Stored]) {
    let report = open(new).expect("opens").report();
    assert_eq!((report.log, report.first, report.end), (NEW, salvaged.first, salvaged.end));
    assert_eq!(report.torn, None);
    let blocks = stored(new);
    let lost: Vec<u64> = salvaged.missing.iter().flat_map(|missing| missing.blocks.clone()).collect();
    for new in &blocks {
        let number = new.block.number();
        assert_eq!(new.block.kind() == Kind::Gap, lost.contains(&number), "block {number}");
        // The seal at the end may have the number of a block that looks as if it had never been acknowledged.
        if ![Kind::Gap, Kind::Seal].contains(&new.block.kind()) {
            // An owner entry, if `old` was read before it.
            let Some(old) = old.iter().find(|old| old.block.number() == number) else { continue };
            assert_eq!((new.block.time(), new.block.owner()), (old.block.time(), old.block.owner()));
            assert!(new.block.facts().eq(old.block.facts()), "block {number}");
        }
    }
    let last = blocks.last().expect("is there");
    assert_eq!((last.block.kind(), last.block.number()), (Kind::Seal, salvaged.end - 1));

    let mut log = claim(new);
    let tail = log.writer.tail();
    assert_eq!(tail, salvaged.end + 1);
    log.writer.append(tail, &batch(900)).expect("goes on");
}

fn missing(at: &Stored, blocks: std::ops::Range<u64>, fault: Fault) -> Missing {
    let until = at.offset + at.block.bytes() as u64;
    Missing { file: at.file.clone(), offset: at.offset, until, blocks, fault }
}

#[test]
fn a_whole_log_is_copied_whole() {
    let disk = log();
    let (new, salvaged) = salvage(&disk);
    check(&new, &salvaged, &stored(&disk));
    let expected = contents(&claim(&disk.crash(Keep::Everything)).reader);
    assert_eq!(contents(&claim(&new).reader)[..19], expected[..19]);
    assert_eq!((salvaged.copied, salvaged.end, &salvaged.missing, &salvaged.torn), (19, 20, &vec![], &None));
    assert_eq!(Inspect::open_on(new).expect("opens").verify().expect("whole").gaps, 0);
}

#[test]
fn a_block_with_a_flipped_bit_leaves_a_gap_of_its_size() {
    let disk = log();
    let old = stored(&disk);
    let damaged = &old[7];
    let facts = 104 + 12 * damaged.block.len() as usize;
    for (at, fault) in [(0, Fault::NoBlock), (33, Fault::Header), (104, Fault::Table), (facts, Fault::Facts)] {
        let disk = disk.crash(Keep::Everything);
        disk.flip(&file(damaged), damaged.offset as usize + at, 1);
        assert!(matches!(open(&disk), Err(OpenError::Damaged(damage)) if damage.fault == fault));
        let (new, salvaged) = salvage(&disk);
        assert_eq!((salvaged.copied, salvaged.end), (18, 20));
        // The last one of its segment: what follows is space that was never used.
        let until = disk.bytes(&file(damaged)).expect("is there").len() as u64;
        assert_eq!(salvaged.missing, [Missing { until, ..missing(damaged, 7..8, fault) }]);
        assert!(salvaged.missing[0].to_string().contains(": block 7: "), "{}", salvaged.missing[0]);
        check(&new, &salvaged, &old);
        let log = claim(&new);
        assert_eq!(log.reader.payload(Position::new(7, 0)).expect("reads"), None);
        assert_eq!(content(&log.reader.read_block(8).expect("reads").expect("is there")), content(&old[8].block));
        assert_eq!(Inspect::open_on(new).expect("opens").verify().expect("whole").gaps, 1);
    }
}

#[test]
fn a_payload_that_does_not_match_is_copied_and_named() {
    let disk = log();
    let old = stored(&disk);
    let front =
        104 + 12 * old[7].block.len() as usize + old[7].block.facts().map(|(_, fact)| fact.len()).sum::<usize>();
    disk.flip(&file(&old[7]), old[7].offset as usize + front, 1);
    claim(&disk).writer.erase(&[Position::new(8, 0)]).expect("erases");
    let (new, salvaged) = salvage(&disk);
    assert_eq!(salvaged.missing, []);
    let payloads: Vec<_> = salvaged.payloads.iter().map(|damage| (damage.block, damage.fault.clone())).collect();
    assert_eq!(payloads, [(7, Fault::Payload(0)), (8, Fault::Erased(0))]);
    check(&new, &salvaged, &old);
    let reader = claim(&new).reader;
    assert!(matches!(reader.payload(Position::new(7, 0)), Err(ReadError::Damaged(_))));
    assert!(matches!(reader.payload(Position::new(8, 0)), Err(ReadError::Erased(_))));
    assert!(reader.payload(Position::new(8, 2)).expect("reads").is_some());
}

#[test]
fn a_lost_segment_leaves_a_gap_of_its_blocks() {
    let disk = log();
    let old = stored(&disk);
    let segments: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    for lost in &segments[..segments.len() - 1] {
        let disk = disk.crash(Keep::Everything);
        disk.remove(lost).expect("is there");
        let gone: Vec<u64> = old.iter().filter(|s| file(s) == *lost).map(|s| s.block.number()).collect();
        let (new, salvaged) = salvage(&disk);
        let [missing] = &salvaged.missing[..] else { panic!("{lost}: {:?}", salvaged.missing) };
        assert!(missing.blocks.clone().eq(gone.iter().copied()), "{missing}");
        assert_eq!(missing.fault == Fault::Missing, *lost == segments[0], "{missing}");
        assert!(missing.until >= missing.offset, "{missing}");
        let (first, last) = (missing.blocks.start, missing.blocks.end - 1);
        assert!(first == last || missing.to_string().contains(&format!(": blocks {first} to {last}: ")), "{missing}");
        check(&new, &salvaged, &old);
    }
}

#[test]
fn a_truncated_file_leaves_a_gap_up_to_the_next() {
    let disk = log();
    let old = stored(&disk);
    // The second block of a segment that is not the newest, and the first of the next.
    let cut = (1..old.len()).find(|&at| old[at].offset > 0 && old[at].block.number() > 5).expect("is there");
    let next = (cut..old.len()).find(|&at| old[at].file != old[cut].file).expect("is there");
    let mut bytes = disk.bytes(&file(&old[cut])).expect("is there");
    bytes.truncate(old[cut].offset as usize + 200);
    disk.put(&file(&old[cut]), &bytes);
    let (new, salvaged) = salvage(&disk);
    let missing = missing(&old[cut], cut as u64..next as u64, Fault::PastEnd);
    assert_eq!(salvaged.missing, [Missing { until: old[cut].offset + 200, ..missing }]);
    check(&new, &salvaged, &old);
}

/// A block of one sector, so that four of them fill a segment.
fn small(fact: &str) -> Batch {
    let mut batch = Batch::new(Time(1001));
    batch.push(fact.as_bytes(), Some(Payload::new(b"payload")));
    batch
}

/// Of a `small` block's payload, from the block's first byte on.
fn small_payload(fact: &str) -> usize {
    104 + 12 + fact.len()
}

#[test]
fn a_torn_tail_is_dropped_as_opening_does_and_its_number_is_used_again() {
    // In the head, in the facts, in the first and in the second payload.
    for kept in [100, 180, 300, 900] {
        let disk = FaultDisk::new();
        let mut log = claim(&disk);
        let old = stored(&disk);
        disk.freeze_at_sync(disk.syncs());
        log.writer.append(1, &batch(5)).expect("is not told");
        let disk = disk.crash(Keep::Prefix(kept));
        let torn = open(&disk).expect("opens").report().torn;
        assert_eq!(torn.as_ref().map(|torn| torn.block), Some(1), "torn at {kept}");
        let (new, salvaged) = salvage(&disk);
        assert_eq!((salvaged.copied, &salvaged.torn, &salvaged.missing), (1, &torn, &vec![]), "torn at {kept}");
        check(&new, &salvaged, &old);
    }
}

#[test]
fn a_bad_payload_is_no_torn_tail_if_another_block_was_begun() {
    for kept in [100, 512] {
        let disk = FaultDisk::new();
        let mut log = claim(&disk);
        log.writer.append(1, &small("one")).expect("appends");
        disk.freeze_at_sync(disk.syncs());
        log.writer.append(2, &small("two")).expect("is not told");
        let disk = disk.crash(Keep::Prefix(kept));
        disk.flip("00000000000000.seg", 512 + small_payload("one"), 1);
        let (new, salvaged) = salvage(&disk);
        assert_eq!((salvaged.copied, salvaged.torn.is_some()), if kept == 512 { (3, false) } else { (2, true) });
        assert_eq!(salvaged.payloads.iter().map(|damage| damage.block).collect::<Vec<_>>(), [1]);
        assert_eq!(claim(&new).reader.read_block(1).expect("reads").expect("is there").fact(0), Some(&b"one"[..]));
    }
}

#[test]
fn blocks_of_another_past_are_not_copied() {
    let (disk, other) = (FaultDisk::new(), FaultDisk::new());
    for (disk, third) in [(&disk, "three"), (&other, "another")] {
        let mut log = claim(disk);
        for (number, fact) in (1..).zip(["one", "two", third, "four", "five", "six"]) {
            log.writer.append(number, &small(fact)).expect("appends");
        }
    }
    let old = stored(&disk);
    let segment = "00000000000004.seg";
    disk.put(segment, &other.bytes(segment).expect("is there"));
    let (new, salvaged) = salvage(&disk);
    assert_eq!((salvaged.copied, salvaged.end), (4, 5));
    assert_eq!(salvaged.torn.as_ref().map(|torn| (torn.block, &torn.fault)), Some((4, &Fault::Chain)));
    check(&new, &salvaged, &old);
}

#[test]
fn a_block_of_another_log_is_not_copied() {
    let (disk, other) = (FaultDisk::new(), FaultDisk::new());
    claim(&disk);
    journal::Journal::open_on(other.clone(), options()).expect("opens").claim(1, 2, Time(1000)).expect("claims");
    let segment = "00000000000000.seg";
    let mut bytes = disk.bytes(segment).expect("is there");
    bytes[512..1024].copy_from_slice(&other.bytes(segment).expect("is there")[..512]);
    disk.put(segment, &bytes);
    let (_, salvaged) = salvage(&disk);
    assert_eq!((salvaged.copied, salvaged.torn.map(|torn| torn.fault)), (1, Some(Fault::ForeignLog(NEW))));
}

#[test]
fn a_block_within_a_payload_is_not_a_block() {
    let (disk, other) = (FaultDisk::new(), FaultDisk::new());
    let mut log = claim(&other);
    for number in 1..4 {
        log.writer.append(number, &small("forged")).expect("appends");
    }
    let forged = other.bytes("00000000000000.seg").expect("is there")[3 * 512..4 * 512].to_vec();
    let mut log = claim(&disk);
    let mut batch = Batch::new(Time(1001));
    // So long that the payload begins with a sector.
    batch.push(&[b'f'; 512 - 104 - 12], Some(Payload::new(&forged)));
    log.writer.append(1, &batch).expect("appends");
    log.writer.append(2, &small("two")).expect("appends");
    let old = stored(&disk);
    disk.flip("00000000000000.seg", 512 + 104, 1);
    let (new, salvaged) = salvage(&disk);
    assert_eq!((salvaged.copied, salvaged.missing.clone()), (2, vec![missing(&old[1], 1..2, Fault::Table)]));
    check(&new, &salvaged, &old);
}

#[test]
fn a_log_that_was_truncated_keeps_its_first_block() {
    let disk = log();
    let old = stored(&disk);
    let first = claim(&disk).writer.truncate(9).expect("truncates");
    let damaged = &old[first as usize];
    disk.flip(&file(damaged), damaged.offset as usize + 50, 1);
    let (new, salvaged) = salvage(&disk);
    assert_eq!((salvaged.first, salvaged.missing[0].blocks.clone()), (first, first..first + 1));
    check(&new, &salvaged, &old);
}

#[test]
fn there_is_no_new_log_until_it_is_whole_and_none_over_another() {
    let damaged = log();
    let whole = FaultDisk::new();
    journal::salvage_on(&damaged, &whole, options(), &mut |_| ()).expect("salvages");
    for sync in 0..whole.syncs() {
        let new = FaultDisk::new();
        new.freeze_at_sync(sync);
        journal::salvage_on(&damaged, &new, options(), &mut |_| ()).expect("is not told");
        for keep in [Keep::Nothing, Keep::Everything].into_iter().chain((0..8).map(Keep::Sectors)) {
            let new = new.crash(keep);
            match Inspect::open_on(new.clone()) {
                Ok(_) => assert_eq!(open(&new).expect("opens").report().end, 20, "sync {sync}, {keep:?}"),
                Err(OpenError::NoLog { .. } | OpenError::Foreign { .. }) => {}
                Err(error) => panic!("sync {sync}, {keep:?}: {error}"),
            }
        }
    }
    let refused = journal::salvage_on(&damaged, &whole, options(), &mut |_| ()).expect_err("is refused");
    assert!(matches!(refused, SalvageError::NotEmpty { .. }), "{refused}");
}

#[test]
fn a_log_of_which_nothing_is_left_is_not_salvaged() {
    let salvage = |disk: &FaultDisk| {
        journal::salvage_on(disk, &FaultDisk::new(), options(), &mut |_| ()).expect_err("is refused")
    };
    assert!(matches!(salvage(&FaultDisk::new()), SalvageError::Source(OpenError::NoLog { .. })));
    let disk = log();
    for name in disk.names().into_iter().filter(|name| name.ends_with(".seg")) {
        disk.remove(&name).expect("is there");
    }
    assert!(matches!(salvage(&disk), SalvageError::Nothing));
    disk.put("90000000000000.seg", &[0; 512]);
    let refused = salvage(&disk);
    assert!(matches!(&refused, SalvageError::TooMany(blocks) if *blocks == (0..90_000_000_000_000)), "{refused}");
}

#[test]
fn folders_are_salvaged_too() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut log = journal::open(from.path(), support::options()).expect("opens").claim(1, 2, Time(0)).expect("claims");
    let mut large = Batch::new(Time(1));
    large.push(b"large", Some(Payload::new(&[7; 100_000])));
    log.writer.append(1, &large).expect("appends");
    log.writer.append(2, &batch(2)).expect("appends");
    drop(log);
    let segment = from.path().join("log/00000000000000.seg");
    let mut bytes = std::fs::read(&segment).expect("reads");
    bytes[40] ^= 1;
    std::fs::write(&segment, bytes).expect("writes");
    let salvaged = journal::salvage(from.path(), &to.path().join("data"), options(), |_| ()).expect("salvages");
    assert_eq!((salvaged.copied, salvaged.missing.len()), (2, 1));
    let log = journal::open(&to.path().join("data"), support::options()).expect("opens");
    let log = log.claim(1, 2, Time(0)).expect("claims");
    assert_eq!(log.reader.payload(Position::new(1, 0)).expect("reads").map(|p| p.len()), Some(100_000));
    assert_eq!(log.log, NEW);
}

#[derive(Clone, Debug)]
enum Harm {
    /// In the n-th block, at a byte of it.
    Flip(usize, usize, u8),
    /// The n-th segment ends here.
    Cut(usize, usize),
    /// The n-th segment is gone.
    Remove(usize),
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        6 => (0usize..19, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(block, at, mask)| {
            // Heads and tables more often than the rest.
            Harm::Flip(block, at.index(400), mask.max(1))
        }),
        1 => (0usize..9, 0usize..2560).prop_map(|(segment, len)| Harm::Cut(segment, len)),
        1 => (0usize..9).prop_map(Harm::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn every_block_that_was_not_harmed_is_there(harms in prop::collection::vec(any_harm(), 1..8)) {
        let disk = log();
        let old = stored(&disk);
        let segments: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect();
        let mut harmed = vec![false; old.len()];
        for harm in harms {
            match harm {
                Harm::Flip(block, at, mask) => {
                    let (name, at) = (file(&old[block]), at % old[block].block.bytes() + old[block].offset as usize);
                    if disk.bytes(&name).is_some_and(|bytes| at < bytes.len()) {
                        disk.flip(&name, at, mask);
                        harmed[block] = true;
                    }
                }
                Harm::Cut(segment, len) => {
                    let name = &segments[segment % segments.len()];
                    let Some(mut bytes) = disk.bytes(name) else { continue };
                    bytes.truncate(len);
                    disk.put(name, &bytes);
                    let cut = |s: &Stored| file(s) == *name && s.offset as usize + s.block.bytes() > len;
                    old.iter().zip(&mut harmed).filter(|(s, _)| cut(s)).for_each(|(_, harmed)| *harmed = true);
                }
                Harm::Remove(segment) => {
                    let name = &segments[segment % segments.len()];
                    let _ = disk.remove(name);
                    old.iter().zip(&mut harmed).filter(|(s, _)| file(s) == *name).for_each(|(_, harmed)| *harmed = true);
                }
            }
        }
        if harmed.iter().all(|&harmed| harmed) {
            return Ok(());
        }
        let (new, salvaged) = salvage(&disk);
        check(&new, &salvaged, &old);
        let reader = claim(&new).reader;
        for (old, _) in old.iter().zip(harmed).filter(|(_, harmed)| !harmed) {
            let block = reader.read_block(old.block.number()).expect("reads").expect("is there");
            prop_assert_eq!((block.kind(), content(&block)), (old.block.kind(), content(&old.block)));
        }
    }
}
