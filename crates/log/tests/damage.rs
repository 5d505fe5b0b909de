//! Bits that flip, files that vanish, folders that are not ours: each is refused by name of file and offset, and nothing is touched.

mod support;

use postrider_core::{Position, Time};
use postrider_log::fault::{FaultDisk, Keep};
use postrider_log::journal::{self, Inspect, Journal, OpenError, Options, VerifyError};
use postrider_log::{EventLog, Fault, LogId, LogReader, LogWriter, ReadError};
use support::{batch, claim, content, contents, open};

/// Owner entry, four group commits, and a seal, in two segments.
fn small() -> (FaultDisk, Vec<support::Content>) {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..5 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    log.writer.seal().expect("seals");
    (disk, contents(&log.reader))
}

/// Each block's file, first byte and end.
fn places(disk: &FaultDisk) -> Vec<(String, usize, usize)> {
    let stored = Inspect::open_on(disk.clone()).expect("opens");
    let places = stored.blocks().map(|stored| stored.expect("whole"));
    places.map(|s| (s.file.replace("log/", ""), s.offset as usize, s.offset as usize + s.block.bytes())).collect()
}

/// A copy with one byte changed.
fn flipped(disk: &FaultDisk, file: &str, at: usize) -> FaultDisk {
    let copy = disk.crash(Keep::Everything);
    copy.flip(file, at, 1 << (at % 8));
    copy
}

#[test]
fn every_flipped_bit_before_the_seal_is_found_and_placed() {
    let (disk, expected) = small();
    let places = places(&disk);
    assert!(places[0].0 != places[5].0, "the log has more than one segment");
    for (number, (file, start, end)) in places.iter().enumerate().take(5) {
        for at in *start..*end {
            let copy = flipped(&disk, file, at);
            let before = copy.bytes(file);
            let verified = Inspect::open_on(copy.clone()).expect("HEAD is whole").verify();
            let Err(VerifyError::Damaged(damage)) = verified else { panic!("byte {at} of {file}: {verified:?}") };
            assert_eq!(
                (damage.file, damage.offset, damage.block),
                (format!("log/{file}"), *start as u64, number as u64)
            );
            match open(&copy) {
                Err(OpenError::Damaged(damage)) => {
                    assert_eq!((damage.file, damage.offset), (format!("log/{file}"), *start as u64), "byte {at}");
                    assert_eq!(copy.bytes(file), before, "nothing is touched");
                }
                // A payload, or the zeros behind it: the log opens, and only that payload is refused.
                Ok(journal) => {
                    assert!(
                        matches!(damage.fault, Fault::Payload(_) | Fault::Padding),
                        "byte {at} of {file}: {}",
                        damage.fault
                    );
                    let log = journal.claim(1, 2, Time(1000)).expect("claims");
                    let block = log.reader.read_block(number as u64).expect("reads").expect("is there");
                    for index in 0..block.len() {
                        let singly = log.reader.payload(Position::new(number as u64, index));
                        if damage.fault == Fault::Payload(index) {
                            assert!(
                                matches!(&singly, Err(ReadError::Damaged(d)) if d.fault == damage.fault),
                                "{singly:?}"
                            );
                            assert!(block.payload(index).is_err());
                        } else {
                            assert_eq!(
                                singly.expect("reads").map(|p| p.to_vec()),
                                expected[number].1[index as usize].1
                            );
                        }
                    }
                }
                Err(error) => panic!("byte {at} of {file}: {error}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_block_is_a_torn_tail_and_harms_no_other() {
    let (disk, expected) = small();
    let (file, start, _) = places(&disk)[5].clone();
    for at in start..start + 104 {
        let journal = open(&flipped(&disk, &file, at)).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let report = journal.report();
        assert_eq!(report.end, 5, "byte {at}");
        // Also where the flip hides that a block begins there.
        assert!(report.torn.is_some_and(|torn| torn.block == 5 && torn.offset == start as u64), "byte {at}");
        let log = journal.claim(1, 2, Time(1000)).expect("claims");
        assert_eq!(contents(&log.reader)[..5], expected[..5]);
    }
}

#[test]
fn bytes_behind_the_end_mean_nothing() {
    let (disk, expected) = small();
    let (file, _, end) = places(&disk)[5].clone();
    for at in (end..disk.bytes(&file).expect("is there").len()).step_by(7) {
        assert_eq!(contents(&claim(&flipped(&disk, &file, at)).reader)[..6], expected, "byte {at}");
    }
}

#[test]
fn every_flipped_bit_of_head_is_refused() {
    let (disk, _) = small();
    for at in 0..disk.bytes("HEAD").expect("is there").len() {
        let copy = flipped(&disk, "HEAD", at);
        let before = (copy.names(), copy.bytes("HEAD"));
        let refused = open(&copy).expect_err("is refused");
        let named = match at {
            0..8 => matches!(refused, OpenError::Foreign { .. }),
            8..10 => matches!(refused, OpenError::NewerVersion { .. } | OpenError::Damaged(_)),
            _ => matches!(&refused, OpenError::Damaged(damage) if damage.file == "log/HEAD"),
        };
        assert!(named, "byte {at}: {refused}");
        assert_eq!((copy.names(), copy.bytes("HEAD")), before, "nothing is touched");
    }
}

#[test]
fn a_lost_segment_is_named_by_its_first_block() {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..20 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    drop(log);
    let segments: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    for lost in &segments[..segments.len() - 1] {
        let copy = disk.crash(Keep::Everything);
        postrider_log::journal::Disk::remove(&copy, lost).expect("is there");
        let refused = open(&copy).expect_err("is refused").to_string();
        assert!(refused.contains(lost.as_str()) || refused.contains("no block begins here"), "{lost}: {refused}");
    }
}

/// Few enough blocks for one segment, where nothing after them tells damage from the end.
fn start(disk: &FaultDisk, options: Options, number: u64) {
    let journal = Journal::open_on(disk.clone(), options).expect("opens");
    let mut log = journal.claim(1, 2, Time(1000)).expect("claims");
    log.writer.append(log.writer.tail(), &batch(number)).expect("appends");
}

#[test]
fn a_file_of_another_log_is_not_taken_for_the_end() {
    let (disk, other) = (FaultDisk::new(), FaultDisk::new());
    start(&disk, support::options(), 1);
    start(&other, Options { new_log: LogId([0xcd; 16]), ..support::options() }, 1);
    let file = "00000000000000.seg";
    disk.put(file, &other.bytes(file).expect("is there"));
    let refused = open(&disk).expect_err("is refused");
    assert!(
        matches!(&refused, OpenError::Damaged(damage) if damage.fault == Fault::ForeignLog(LogId([0xcd; 16]))),
        "{refused}"
    );
}

#[test]
fn a_segment_of_this_log_after_another_past_is_refused() {
    let disk = FaultDisk::new();
    start(&disk, support::options(), 1);
    let other = disk.crash(Keep::Everything);
    for (disk, number) in [(&disk, 30), (&other, 31)] {
        let mut log = claim(disk);
        log.writer.append(3, &batch(number)).expect("appends");
        log.writer.append(4, &batch(35)).expect("appends");
    }
    let file = disk.names().into_iter().rfind(|name| name.ends_with(".seg")).expect("is there");
    assert_eq!(file, "00000000000004.seg");
    disk.put(&file, &other.bytes(&file).expect("is there"));
    let refused = open(&disk).expect_err("is refused");
    assert!(matches!(&refused, OpenError::Damaged(damage) if damage.fault == Fault::Chain), "{refused}");
}

#[test]
fn a_second_process_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = journal::open(folder.path(), support::options()).expect("opens");
    let refused = journal::open(folder.path(), support::options()).expect_err("is refused");
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    let log = first.claim(1, 2, Time(1000)).expect("claims");
    assert!(matches!(journal::open(folder.path(), support::options()), Err(OpenError::Locked { .. })));
    journal::open_read_only(folder.path()).expect("looking is always allowed").verify().expect("whole");
    drop(log.writer);
    journal::open(folder.path(), support::options()).expect("the lock goes with the writer");
}

#[test]
fn a_newer_or_foreign_folder_is_refused_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    std::fs::create_dir(&log).expect("made");
    std::fs::write(log.join("syslog"), "Nov 1 kernel: hello").expect("written");
    let refused = journal::open(folder.path(), support::options()).expect_err("is refused");
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert!(!folder.path().join("LOCK").exists());

    let (disk, _) = small();
    let mut head = disk.bytes("HEAD").expect("is there");
    head[8] = 2;
    disk.put("HEAD", &head);
    let refused = open(&disk).expect_err("is refused");
    assert!(matches!(refused, OpenError::NewerVersion { version: 2, .. }), "{refused}");
}

#[test]
fn looking_at_nothing_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = journal::open_read_only(folder.path()).expect_err("is refused");
    assert!(matches!(refused, OpenError::NoLog { .. }), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
}

#[test]
fn inspecting_counts_what_was_appended() {
    let (disk, expected) = small();
    let inspect = Inspect::open_on(disk).expect("opens");
    let stored: Vec<_> = inspect.blocks().map(|stored| content(&stored.expect("whole").block)).collect();
    assert_eq!(stored, expected);
    let stats = inspect.verify().expect("whole");
    let facts = || expected.iter().flat_map(|(_, facts)| facts);
    assert_eq!((stats.segments, stats.blocks, stats.facts), (2, 6, facts().count() as u64));
    assert_eq!(stats.facts_bytes, facts().map(|(fact, _)| fact.len() as u64).sum::<u64>());
    assert_eq!(stats.payloads_bytes, facts().filter_map(|(_, p)| Some(p.as_ref()?.len() as u64)).sum::<u64>());
    assert_eq!((stats.time_first, stats.time_last, stats.torn), (Some(Time(1000)), Some(Time(1004)), None));
}
