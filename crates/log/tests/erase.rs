//! Payloads that are overwritten with zeros: power cuts at every step, readers beside it, and who may call zeros damage.

mod support;

use postrider_core::{Position, Time};
use postrider_log::fault::{FaultDisk, Keep};
use postrider_log::journal::{self, Inspect, Options, VerifyError};
use postrider_log::{
    AppendError, Batch, EraseError, EventLog, Fault, Kind, LogId, LogReader, LogWriter, Payload, ReadError,
};
use std::sync::atomic::{AtomicU64, Ordering};
use support::{batch, claim, contents, open};

/// Longer than two sectors, so that a power cut can keep some and lose others.
const LONG: [u8; 2000] = [b'x'; 2000];

/// A log with a long payload in block 1, and after it a block that says it is erased, and another.
fn long() -> FaultDisk {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    let mut first = Batch::new(Time(1001));
    first.push(b"kept", Some(Payload::new(b"kept")));
    first.push(b"long", Some(Payload::new(&LONG)));
    log.writer.append(1, &first).expect("appends");
    for number in 2..4 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    disk
}

fn long_at() -> Position {
    Position::new(1, 1)
}

/// Positions of all payloads of the small log's blocks 1 to 4, in no order.
fn all_payloads() -> Vec<Position> {
    let positions = (1..5).flat_map(|block| [2, 0].map(|index| Position::new(block, index)));
    positions.filter(|at| u64::from(at.index()) <= at.block() % 3).collect()
}

fn verify(disk: &FaultDisk, erased: &[Position]) -> Result<journal::Stats, VerifyError> {
    Inspect::open_on(disk.clone()).expect("HEAD is whole").verify_erased(|at| erased.contains(&at))
}

#[test]
fn a_power_cut_during_any_sync_of_an_erasure_leaves_a_log_that_opens_and_can_be_erased_again() {
    let erased = all_payloads();
    let workload = |disk: &FaultDisk| {
        let mut log = claim(disk);
        for number in 1..6 {
            log.writer.append(number, &batch(number)).expect("appends");
        }
        let before = disk.syncs();
        log.writer.erase(&erased).expect("is not told");
        (before, contents_without(&log.reader, &erased))
    };
    let whole = FaultDisk::new();
    let (before, expected) = workload(&whole);
    assert!(whole.syncs() - before >= 3, "a seal and two files: {}", whole.syncs() - before);
    for cut in before..=whole.syncs() {
        let disk = FaultDisk::new();
        disk.freeze_at_sync(cut);
        workload(&disk);
        let keeps = [Keep::Nothing, Keep::Everything].into_iter().chain((0..24).map(Keep::Sectors));
        for keep in keeps {
            let what = format!("cut at sync {cut}, {keep:?}");
            let survivor = disk.crash(keep);
            let report = open(&survivor).unwrap_or_else(|error| panic!("{what}: {error}")).report();
            assert!((6..=7).contains(&report.end), "{what}: {report:?}");
            let stats = verify(&survivor, &erased).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(stats.erased as usize + stats.to_erase.len(), erased.len(), "{what}");
            assert!(cut < whole.syncs() || stats.to_erase.is_empty(), "{what}: what has returned is durable");

            let mut log = claim(&survivor);
            assert_eq!(contents_without(&log.reader, &erased)[..6], expected[..6], "{what}");
            for at in &erased {
                match log.reader.payload(*at) {
                    Ok(Some(_)) => assert!(stats.to_erase.contains(at), "{what}: {at}"),
                    Err(ReadError::Erased(_)) => assert!(!stats.to_erase.contains(at), "{what}: {at}"),
                    // Half of it.
                    other => assert!(other.is_err() && stats.to_erase.contains(at), "{what}: {at}: {other:?}"),
                }
            }
            log.writer.erase(&erased).expect("erases");
            let survivor = survivor.crash(Keep::Nothing);
            let stats = verify(&survivor, &erased).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!((stats.erased as usize, stats.to_erase), (erased.len(), vec![]), "{what}");
        }
    }
}

/// As `contents`, but for payloads that are to be erased.
fn contents_without(reader: &impl LogReader, erased: &[Position]) -> Vec<support::Content> {
    let block = |number| {
        let block = reader.read_block(number).expect("reads").expect("is there");
        let payload = |at: Position| match erased.contains(&at) {
            true => None,
            false => block.payload(at.index()).expect("whole").map(|p| p.to_vec()),
        };
        (block.time().0, block.facts().map(|(at, fact)| (fact.to_vec(), payload(at))).collect())
    };
    (reader.first()..reader.end()).map(block).collect()
}

#[test]
fn an_erasure_torn_at_any_byte_is_no_damage_to_who_knows_and_damage_to_who_does_not() {
    let disk = long();
    let mut log = claim(&disk);
    disk.freeze_at_sync(disk.syncs());
    log.writer.erase(&[long_at()]).expect("is not told");
    for bytes in 0..=LONG.len() {
        let survivor = disk.crash(Keep::Prefix(bytes));
        let stats = verify(&survivor, &[long_at()]).unwrap_or_else(|error| panic!("torn at {bytes}: {error}"));
        let whole = bytes == LONG.len();
        assert_eq!((stats.erased, stats.to_erase), (u64::from(whole), if whole { vec![] } else { vec![long_at()] }));
        let unknown = match verify(&survivor, &[]) {
            Err(VerifyError::Damaged(damage)) => Some((damage.block, damage.offset, damage.fault)),
            other => {
                other.unwrap_or_else(|error| panic!("torn at {bytes}: {error}"));
                None
            }
        };
        let expected = match bytes {
            0 => None,
            _ if whole => Some((1, 0, Fault::Erased(1))),
            _ => Some((1, 0, Fault::Payload(1))),
        };
        assert_eq!(unknown, expected, "torn at {bytes}");
        let log = claim(&survivor);
        assert_eq!(log.reader.payload(Position::new(1, 0)).expect("reads").as_deref(), Some(&b"kept"[..]));
    }
}

#[test]
fn zeros_that_the_crc_expects_are_a_payload_unless_they_were_to_be_erased() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    let mut zeros = Batch::new(Time(1001));
    zeros.push(b"zeros", Some(Payload::new(&[0; 700])));
    log.writer.append(1, &zeros).expect("appends");
    log.writer.seal().expect("seals");
    let at = Position::new(1, 0);
    assert_eq!(log.reader.payload(at).expect("reads").map(|p| p.len()), Some(700));
    assert_eq!(verify(&disk, &[]).expect("whole").erased, 0);
    assert_eq!(verify(&disk, &[at]).expect("whole").erased, 1);
}

#[test]
fn a_bit_that_flips_in_an_erased_log_is_found() {
    let disk = long();
    let mut log = claim(&disk);
    log.writer.erase(&[long_at()]).expect("erases");
    log.writer.seal().expect("seals");
    drop(log);
    let places: Vec<_> =
        Inspect::open_on(disk.clone()).expect("opens").blocks().map(|stored| stored.expect("whole")).collect();
    let (last, places) = places.split_last().expect("has blocks");
    assert_eq!(last.block.kind(), Kind::Seal);
    for stored in places {
        for at in (0..stored.block.bytes()).step_by(3) {
            let copy = disk.crash(Keep::Everything);
            copy.flip(&stored.file.replace("log/", ""), stored.offset as usize + at, 4);
            match verify(&copy, &[long_at()]) {
                Err(VerifyError::Damaged(damage)) => assert_eq!(damage.block, stored.block.number(), "byte {at}"),
                // In the zeros: they are to be zeros again, and nothing is lost.
                Ok(stats) => assert_eq!((stored.block.number(), stats.to_erase), (1, vec![long_at()]), "byte {at}"),
                Err(error) => panic!("byte {at}: {error}"),
            }
            assert!(verify(&copy, &[]).is_err());
        }
    }
}

#[test]
fn the_loss_of_the_last_block_takes_no_erased_one_with_it() {
    for after in 1..4 {
        let disk = FaultDisk::new();
        let mut log = claim(&disk);
        for number in 1..=1 + after {
            log.writer.append(number, &batch(number)).expect("appends");
        }
        log.writer.erase(&[Position::new(1, 0)]).expect("erases");
        let expected = log.reader.end() - 1;
        drop(log);
        let stored = Inspect::open_on(disk.clone()).expect("opens").blocks().last();
        let last = stored.expect("is there").expect("whole");
        // All that tells a begun block from what the space held before.
        let file = last.file.replace("log/", "");
        (0..40).for_each(|byte| disk.flip(&file, last.offset as usize + byte, 0xff));
        let report = open(&disk).expect("opens").report();
        assert_eq!((report.end, report.torn), (expected, None), "{after} blocks after it");
    }
}

#[test]
fn a_failed_erasure_poisons_the_writer_and_is_made_good_after_the_next_claim() {
    type Fail = fn(&FaultDisk);
    let fails: [Fail; 2] = [|disk| disk.fail_write(0), |disk| disk.fail_sync(0)];
    for fail in fails {
        let disk = long();
        let mut log = claim(&disk);
        fail(&disk);
        assert!(matches!(log.writer.erase(&[long_at()]), Err(EraseError::Unavailable(_))));
        assert!(matches!(log.writer.erase(&[]), Err(EraseError::Unavailable(_))));
        let tail = log.writer.tail();
        assert!(matches!(log.writer.append(tail, &batch(tail)), Err(AppendError::Unavailable(_))));
        drop(log);

        // After the failed sync the system shows zeros that never reached the disk and would never have.
        let mut log = claim(&disk);
        log.writer.erase(&[long_at()]).expect("erases");
        let survivor = disk.crash(Keep::Nothing);
        assert_eq!(verify(&survivor, &[long_at()]).expect("whole").erased, 1);
    }
}

#[test]
fn a_block_that_cannot_be_relied_on_is_not_erased() {
    let disk = long();
    let mut log = claim(&disk);
    let before = log.writer.tail();
    let erased = [Position::new(2, 0), long_at()];
    // In the table of block 1, after the writer has opened the log: the length of the payload.
    disk.flip("00000000000001.seg", 104 + 16, 1);
    let refused = log.writer.erase(&erased).expect_err("is refused");
    assert!(
        matches!(&refused, EraseError::Damaged(damage) if (damage.block, &damage.fault) == (1, &Fault::Table)),
        "{refused}"
    );
    assert!(log.reader.payload(Position::new(2, 0)).expect("reads").is_some(), "nothing is erased");
    assert_eq!(log.writer.tail(), before, "and nothing is sealed");
}

#[test]
fn what_was_truncated_away_is_passed_over() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..20 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    let first = log.writer.truncate(12).expect("truncates");
    assert!(first > 2);
    let expected = contents(&log.reader);
    log.writer.erase(&[Position::new(2, 0), Position::new(1, 0)]).expect("does nothing");
    assert_eq!(contents(&log.reader), expected);
}

#[test]
#[should_panic(expected = "what is erased was appended")]
fn what_was_not_appended_yet_is_not_erased() {
    let mut log = claim(&FaultDisk::new());
    let _ = log.writer.erase(&[Position::new(1, 0)]);
}

#[test]
fn a_reader_beside_the_erasure_sees_all_of_a_payload_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = journal::open(folder.path(), Options::new(LogId([1; 16]), Time(0))).expect("opens");
    let mut log = journal.claim(1, 2, Time(0)).expect("claims");
    let payload = vec![7; 1 << 20];
    for number in 1..=24 {
        let mut large = Batch::new(Time(1));
        large.push(b"large", Some(Payload::new(&payload)));
        log.writer.append(number, &large).expect("appends");
    }
    // The block that is erased next: the reader reads nothing else.
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            loop {
                let number = next.load(Ordering::Acquire);
                match log.reader.payload(Position::new(number, 0)) {
                    Ok(Some(read)) => assert!(read == payload),
                    Err(ReadError::Erased(_)) if number == 24 => break,
                    Err(ReadError::Erased(_)) => {}
                    other => panic!("block {number}: {:?}", other.map(|read| read.is_some())),
                }
            }
        });
        for number in 1..=24 {
            next.store(number, Ordering::Release);
            log.writer.erase(&[Position::new(number, 0)]).expect("erases");
        }
        reader.join().expect("sees nothing else");
    });
}
