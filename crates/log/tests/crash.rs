//! Power cuts: at every sync, at every byte of the last block, with sectors kept by lot. What was acknowledged is always there, and
//! what is there besides is a whole block that was being appended.

mod support;

use postrider_core::Time;
use postrider_log::fault::{FaultDisk, Keep};
use postrider_log::{AppendError, Kind, LogReader, LogWriter, Payload, ReserveError, TruncateError};
use support::{Content, batch, claim, content, contents, open};

/// Appends, seals, truncates and reopens over several segments. Returns every block that was appended, with the number of syncs after
/// which it was acknowledged.
fn workload(disk: &FaultDisk) -> Vec<(u64, Content)> {
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let mut log = claim(disk);
        let mut note = |reader: &_, number| {
            let block = LogReader::read_block(reader, number).expect("reads").expect("is there");
            acknowledged.push((disk.syncs(), content(&block)));
        };
        note(&log.reader, log.writer.tail() - 1);
        for step in 0..12 {
            let number = log.writer.tail();
            if step == 7 {
                log.writer.seal().expect("seals");
            } else {
                log.writer.append(number, &batch(number)).expect("appends");
            }
            note(&log.reader, number);
        }
        log.writer.truncate(log.writer.tail() - 9).expect("truncates");
    }
    acknowledged
}

/// The survivor opens, holds all that was acknowledged before the cut that was not truncated away, and goes on.
fn check(survivor: &FaultDisk, appended: &[(u64, Content)], cut: u64, what: &str) {
    let journal = open(survivor).unwrap_or_else(|error| panic!("{what}: {error}"));
    let report = journal.report();
    drop(journal);
    let acknowledged = appended.iter().filter(|(syncs, _)| *syncs <= cut).count() as u64;
    assert!(
        report.end >= acknowledged && report.end <= acknowledged + 1,
        "{what}: {acknowledged} acknowledged, {report:?}"
    );

    let mut log = claim(survivor);
    let (first, end) = (report.first as usize, report.end as usize);
    let found = contents(&log.reader);
    let expected: Vec<Content> = appended[first..end].iter().map(|(_, content)| content.clone()).collect();
    assert_eq!(found[..end - first], expected, "{what}");
    log.writer.append(report.end + 1, &batch(report.end + 1)).expect("goes on");
    assert!(!survivor.names().contains(&"next.tmp".into()), "{what}: a segment in the making is left");
    drop(log);
    assert_eq!(open(survivor).expect("opens").report().end, report.end + 2, "{what}");
}

#[test]
fn a_power_cut_during_any_sync_loses_nothing_acknowledged() {
    let whole = FaultDisk::new();
    let appended = workload(&whole);
    let syncs = whole.syncs();
    assert!(syncs > 50, "{syncs} syncs are too few to say much");
    for cut in 0..syncs {
        let disk = FaultDisk::new();
        disk.freeze_at_sync(cut);
        assert_eq!(workload(&disk), appended, "the workload is the same each time");
        let keeps = [Keep::Nothing, Keep::Everything].into_iter().chain((0..24).map(Keep::Sectors));
        for keep in keeps {
            check(&disk.crash(keep), &appended, cut, &format!("cut at sync {cut}, {keep:?}"));
        }
    }
}

#[test]
fn a_last_block_torn_at_any_byte_is_dropped_whole() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..4 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    disk.freeze_at_sync(disk.syncs());
    let last = batch(5);
    log.writer.append(4, &last).expect("is not told");

    let expected = contents(&log.reader);
    for bytes in 0..=last.bytes() {
        let survivor = disk.crash(Keep::Prefix(bytes));
        let report = open(&survivor).unwrap_or_else(|error| panic!("torn at {bytes}: {error}")).report();
        // Padding is zeros, which the space held before: the block is whole with its last payload byte.
        let whole = report.end == 5;
        // Up to the number (at 32; of 4 only one byte is not zero, and one may be wrong) nothing tells a begun block from what the space held
        // before.
        assert_eq!(report.torn.is_some(), !whole && bytes >= 32, "torn at {bytes}: {report:?}");
        assert!(whole || bytes < last.bytes());
        let log = claim(&survivor);
        assert_eq!(contents(&log.reader)[..report.end as usize], expected[..report.end as usize], "torn at {bytes}");
    }
}

#[test]
fn a_block_whose_payload_did_not_reach_the_disk_is_torn() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    disk.freeze_at_sync(disk.syncs());
    let last = batch(5);
    log.writer.append(1, &last).expect("is not told");
    let survivor = disk.crash(Keep::Prefix(last.bytes() - 512));
    let report = open(&survivor).expect("opens").report();
    let torn = report.torn.expect("is reported");
    assert_eq!((report.end, torn.offset, torn.file.as_str()), (1, 512, "log/00000000000000.seg"));
    assert!(torn.fault.to_string().contains("payload"), "{torn}");
}

#[test]
fn a_failed_sync_poisons_the_writer_and_the_next_claim_makes_the_block_durable() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    disk.fail_sync(0);
    assert!(matches!(log.writer.append(1, &batch(1)), Err(AppendError::Unavailable(_))));
    assert!(matches!(log.writer.append(1, &batch(1)), Err(AppendError::Unavailable(_))));
    assert!(matches!(log.writer.reserve(1), Err(ReserveError::Unavailable(_))));
    assert!(matches!(log.writer.seal(), Err(AppendError::Unavailable(_))));
    assert_eq!(log.reader.end(), 1, "what is not durable is not read");
    drop(log);

    // The system shows the block to the next process, though it never reached the disk and would never have.
    let log = claim(&disk);
    assert_eq!(log.writer.tail(), 3);
    let survivor = disk.crash(Keep::Nothing);
    assert_eq!(contents(&claim(&survivor).reader)[..3], contents(&log.reader));
}

#[test]
fn a_failed_write_poisons_the_writer_and_leaves_a_torn_tail() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    log.writer.append(1, &batch(1)).expect("appends");
    disk.fail_write(0);
    assert!(matches!(log.writer.append(2, &batch(5)), Err(AppendError::Unavailable(_))));
    assert!(matches!(log.writer.append(2, &batch(5)), Err(AppendError::Unavailable(_))));
    drop(log);
    let report = open(&disk).expect("opens").report();
    assert_eq!((report.end, report.torn.map(|torn| torn.block)), (2, Some(2)));
}

#[test]
fn a_full_disk_refuses_before_it_writes_and_goes_on_when_there_is_space() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    disk.set_capacity(Some(3 * u64::from(support::SEGMENT_BYTES)));
    let refused = loop {
        let number = log.writer.tail();
        let next = batch(number);
        match log.writer.reserve(next.bytes()) {
            Ok(()) => assert_eq!(log.writer.append(number, &next).expect("was reserved"), number),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ReserveError::Full), "{refused}");
    let tail = log.writer.tail();
    assert!(matches!(log.writer.append(tail, &batch(tail)), Err(AppendError::Full)));
    log.writer.seal().expect("a seal always finds room");
    assert!(!disk.names().contains(&"next.tmp".into()), "nothing is left behind");

    log.writer.truncate(log.writer.tail() - 1).expect("truncates");
    log.writer.append(tail + 1, &batch(tail + 1)).expect("goes on");
    drop(log);
    assert_eq!(open(&disk).expect("opens").report().end, tail + 2);
}

#[test]
fn a_truncation_keeps_all_that_is_not_below() {
    let whole = FaultDisk::new();
    let mut log = claim(&whole);
    for number in 1..20 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    let expected = contents(&log.reader);
    drop(log);
    for below in 0..25 {
        let disk = whole.crash(Keep::Everything);
        let mut log = claim(&disk);
        let first = log.writer.truncate(below).expect("truncates");
        assert!(first <= below && first == log.reader.first(), "below {below}: {first}");
        assert!(below < 6 || first > 0, "whole segments below {below} go");
        assert_eq!(contents(&log.reader)[..20 - first as usize], expected[first as usize..]);
        assert_eq!(log.writer.truncate(0).expect("does nothing"), first);
    }
}

#[test]
fn a_spare_that_is_too_small_is_not_written() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..9 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    log.writer.truncate(8).expect("truncates");
    let mut large = batch(8);
    large.push(b"large", Some(Payload::new(&[7; 2 * support::SEGMENT_BYTES as usize])));
    log.writer.append(9, &large).expect("appends");
    drop(log);
    assert_eq!(open(&disk).expect("opens").report().end, 10);
}

#[test]
fn a_truncation_without_space_changes_nothing() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..9 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    disk.set_capacity(Some(0));
    assert!(matches!(log.writer.truncate(8), Err(TruncateError::Full)));
    assert_eq!(log.reader.first(), 0);
    disk.set_capacity(None);
    let first = log.writer.truncate(8).expect("is not poisoned");
    assert!((1..=8).contains(&first) && log.reader.first() == first);
}

#[test]
fn recycled_space_brings_no_old_block_back() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for round in 0..40 {
        for _ in 0..5 {
            let number = log.writer.tail();
            log.writer.append(number, &batch(number)).expect("appends");
        }
        let first = log.writer.truncate(log.writer.tail()).expect("truncates");
        assert_eq!(log.reader.first(), first);
        assert!(log.reader.read_block(first - 1).expect("no error").is_none());
        let expected = contents(&log.reader);
        let survivor = disk.crash(Keep::Everything);
        let report = open(&survivor).unwrap_or_else(|error| panic!("round {round}: {error}")).report();
        assert_eq!((report.first, report.end, report.torn), (first, log.writer.tail(), None));
        assert_eq!(contents(&claim(&survivor).reader)[..expected.len()], expected);
    }
    assert!(disk.names().len() <= 9, "old files are overwritten, not kept: {:?}", disk.names());
}

#[test]
fn time_goes_on_from_the_last_record_after_a_crash() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    log.writer.append(1, &batch(900)).expect("appends");
    let log = claim(&disk.crash(Keep::Nothing));
    assert_eq!(log.time, Time(1900));
    let owner = log.reader.read_block(2).expect("reads").expect("is there");
    assert_eq!((owner.kind(), owner.time(), owner.owner().epoch), (Kind::Owner, Time(1900), 2));
}
