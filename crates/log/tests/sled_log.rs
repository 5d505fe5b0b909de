//! What the sled log adds to what every log promises: sled's own failures are noticed, and what is not promised is as it is said to be.

mod support;

use postrider_core::{Position, Time};
use postrider_log::journal::{OpenError, Options};
use postrider_log::sled_log::{self, Reader, SledLog, Writer};
use postrider_log::{
    Batch, Claimed, EventLog, Fault, LogId, LogKind, LogReader, LogWriter, Payload, ReadError, journal,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{Content, batch, contents};

type Log = Claimed<Writer, Reader>;
/// A folder's files with their bytes, by path within it.
type Image = BTreeMap<String, Vec<u8>>;

fn options() -> Options {
    Options { segment_bytes: 8 * 1024, ..Options::new(LogId([0xab; 16]), Time(1000)) }
}

fn open(data: &Path) -> Result<SledLog, OpenError> {
    sled_log::open(data, options())
}

fn claim(data: &Path) -> Log {
    open(data).expect("opens").claim(1, 2, Time(1000)).expect("claims")
}

fn image(data: &Path) -> Image {
    let mut files = Image::new();
    for folder in ["log", "log/sled"] {
        for entry in fs::read_dir(data.join(folder)).expect("is there") {
            let entry = entry.expect("reads");
            if entry.file_type().expect("reads").is_file() {
                let name = format!("{folder}/{}", entry.file_name().display());
                files.insert(name, fs::read(entry.path()).expect("reads"));
            }
        }
    }
    files
}

fn restore(image: &Image) -> tempfile::TempDir {
    let data = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(data.path().join("log/sled")).expect("is made");
    for (name, bytes) in image {
        fs::write(data.path().join(name), bytes).expect("writes");
    }
    data
}

/// A log with `blocks` blocks behind the owner entry, and what it reads as.
fn filled(data: &Path, blocks: u64) -> (Log, Vec<Content>) {
    let mut log = claim(data);
    for number in 1..=blocks {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    let contents = contents(&log.reader);
    (log, contents)
}

/// A spread of numbers that is the same at every run.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

/// Reads all blocks; `None` where a payload is refused. Facts that are refused fail.
fn read(reader: &Reader) -> Option<Vec<Content>> {
    let blocks: Vec<_> = reader.blocks(reader.first()).collect();
    let facts = reader.facts(reader.first()).filter(Result::is_ok).count();
    assert_eq!(facts as u64, reader.end() - reader.first(), "what opened can be read");
    let payloads = |block: &postrider_log::Block| (0..block.len()).all(|index| block.payload(index).is_ok());
    let whole = blocks.iter().all(|block| block.as_ref().is_ok_and(payloads));
    whole.then(|| contents(reader))
}

#[test]
fn a_flipped_bit_is_noticed_or_does_no_harm() {
    let flips = std::env::var("POSTRIDER_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let folder = tempfile::tempdir().expect("a folder");
    let (log, written) = filled(folder.path(), 60);
    let killed = image(folder.path());
    drop(log);
    let stopped = image(folder.path());
    let (mut refused, mut harmless, mut payload) = (0, 0, 0);
    for (image, times) in [(&killed, flips), (&stopped, flips)] {
        let sizes: Vec<(&String, usize)> = image.iter().map(|(name, bytes)| (name, bytes.len())).collect();
        for flip in 0..times {
            // Two in three in sled's file, where there is anything; the others in the small ones.
            let pick = spread(flip + 1) as usize;
            let (name, size) = sizes[if flip % 3 > 0 {
                sizes.iter().position(|(n, _)| n.ends_with("/db")).expect("is there")
            } else {
                pick % sizes.len()
            }];
            if size == 0 {
                continue;
            }
            let used = image[name].iter().rposition(|&byte| byte != 0).map_or(1, |last| last + 1);
            let bit = spread(flip * 31 + 7) as usize % (used * 8);
            let mut harmed = image.clone();
            harmed.get_mut(name).expect("is there")[bit / 8] ^= 1 << (bit % 8);
            let data = restore(&harmed);
            match open(data.path()) {
                Err(
                    OpenError::Damaged(_)
                    | OpenError::Sled { .. }
                    | OpenError::NewerVersion { .. }
                    | OpenError::Foreign { .. },
                ) => refused += 1,
                Err(other) => panic!("{name} bit {bit}: {other}"),
                Ok(opened) => {
                    let log = opened.claim(1, 2, Time(1000)).expect("claims");
                    match read(&log.reader) {
                        None => payload += 1,
                        Some(found) => {
                            assert!(found.starts_with(&written), "{name} bit {bit}: lost or altered in silence");
                            harmless += 1;
                        }
                    }
                }
            }
        }
    }
    println!(
        "{flips} flips in each of a killed and a stopped log: {refused} refused, {harmless} harmless, {payload} with a payload refused"
    );
    assert!(refused > 0 && harmless > 0);
}

#[test]
fn a_power_cut_between_two_commits_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = claim(folder.path());
    let mut before = image(folder.path());
    let mut images = 0;
    for number in 1..=40 {
        let acknowledged = contents(&log.reader);
        log.writer.append(number, &batch(number)).expect("appends");
        let after = image(folder.path());
        // What was written reached the disk in any part: each sector of 512 bytes is the old one or the new one. `HEAD` is written once
        // sled's file is synced.
        let head = |image: &Image| BTreeMap::from([("log/HEAD".to_owned(), image["log/HEAD"].clone())]);
        for cut in 0..6u64 {
            let (mut from, mut to) = (before.clone(), after.clone());
            if cut % 2 == 0 {
                to.extend(head(&before));
            } else {
                from = after.clone();
                from.extend(head(&before));
            }
            let data = restore(&torn(&from, &to, number * 64 + cut));
            let opened = open(data.path()).unwrap_or_else(|error| panic!("block {number}, cut {cut}: {error}"));
            let survivor = opened.claim(1, 2, Time(1000)).expect("claims");
            let found = contents(&survivor.reader);
            assert!(found.starts_with(&acknowledged), "block {number}, cut {cut}");
            assert!(found.len() <= acknowledged.len() + 2, "at most the block that was written, and the owner entry");
            images += 1;
        }
        before = after;
    }
    println!("{images} power cuts");
}

/// Between two states of a folder, by lot. A file's length is the old or the new one.
fn torn(before: &Image, after: &Image, lot: u64) -> Image {
    let mut torn = before.clone();
    for (file, (name, new)) in after.iter().enumerate() {
        let Some(old) = torn.get_mut(name) else { continue };
        let draw = |at: usize| spread(lot * 8_191 + file as u64 * 127 + at as u64) & 1 == 0;
        if new.len() != old.len() && draw(usize::MAX >> 8) {
            old.resize(new.len(), 0);
        }
        for (at, sector) in old.chunks_mut(512).enumerate() {
            let from = at * 512;
            if draw(at) && from + sector.len() <= new.len() {
                sector.copy_from_slice(&new[from..from + sector.len()]);
            }
        }
    }
    torn
}

#[test]
fn a_block_that_head_does_not_know_was_never_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, written) = filled(folder.path(), 5);
    let before = image(folder.path());
    log.writer.append(6, &batch(6)).expect("appends");
    let whole = contents(&log.reader);
    let mut after = image(folder.path());
    // A crash came between sled's sync and that of `HEAD`: the block is whole, so it is taken.
    after.insert("log/HEAD".into(), before["log/HEAD"].clone());
    let data = restore(&after);
    let opened = open(data.path()).expect("opens");
    assert_eq!((opened.report().end, opened.report().torn), (7, None));
    assert!(contents(&opened.claim(1, 2, Time(1000)).expect("claims").reader).starts_with(&whole));
    // And one before it: the block never came.
    let data = restore(&before);
    let opened = open(data.path()).expect("opens");
    assert_eq!(opened.report().end, 6);
    assert!(contents(&opened.claim(1, 2, Time(1000)).expect("claims").reader).starts_with(&written));
}

/// A kill, or a disk without space, while sled writes its snapshot: sled by itself calls what is left corruption.
#[test]
fn a_snapshot_that_was_cut_off_is_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, written) = filled(folder.path(), 30);
    drop(log);
    drop(claim(folder.path()));
    let image = image(folder.path());
    let snapshot = image.keys().find(|name| name.contains("/snap.")).expect("opening leaves one");
    for len in [0, 1, 20, image[snapshot].len() / 2] {
        let mut cut_off = image.clone();
        cut_off.insert("log/sled/snap.00000000FFFFFFFF.generating".into(), image[snapshot][..len].to_vec());
        let data = restore(&cut_off);
        assert!(contents(&claim(data.path()).reader).starts_with(&written));
    }
}

#[test]
fn a_first_start_that_was_cut_off_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()).expect("opens"));
    let image = image(folder.path());
    for name in ["log/sled/conf", "log/sled/db"] {
        let mut cut_off = image.clone();
        cut_off.insert(name.into(), image[name][..image[name].len() / 2].to_vec());
        let data = restore(&cut_off);
        assert_eq!(claim(data.path()).writer.tail(), 1);
    }
}

#[test]
fn a_database_that_is_older_than_head_or_gone_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = filled(folder.path(), 5);
    let mut older = image(folder.path());
    log.writer.append(6, &batch(6)).expect("appends");
    drop(log);
    let newer = image(folder.path());
    older.insert("log/HEAD".into(), newer["log/HEAD"].clone());
    for _ in 0..2 {
        let data = restore(&older);
        let Err(OpenError::Damaged(damage)) = open(data.path()) else { panic!("the newest block is missing") };
        assert_eq!((damage.block, &damage.fault), (6, &Fault::Lost));
        assert_eq!(damage.to_string(), "log/sled: block 6: the block was durable and is not there");
    }
    let head: Image = newer.into_iter().filter(|(name, _)| name == "log/HEAD").collect();
    let data = restore(&head);
    assert!(matches!(open(data.path()), Err(OpenError::Damaged(damage)) if damage.fault == Fault::Missing));
    assert_eq!(image(data.path()), head, "no empty database is made in its place");
}

#[test]
fn a_log_stays_of_its_kind() {
    let data = tempfile::tempdir().expect("a folder");
    let (in_sled, as_journal) = (data.path().join("sled"), data.path().join("journal"));
    drop(claim(&in_sled));
    drop(journal::open(&as_journal, options()).expect("opens"));
    assert_eq!(LogKind::of(&in_sled).expect("reads"), Some(LogKind::Sled));
    assert_eq!(LogKind::of(&as_journal).expect("reads"), Some(LogKind::Journal));
    assert_eq!(LogKind::of(data.path()).expect("reads"), None);
    assert_eq!(LogKind::choose(&in_sled, None).expect("is there"), LogKind::Sled);
    assert_eq!(LogKind::choose(data.path(), None).expect("is new"), LogKind::Journal);
    assert_eq!(LogKind::choose(data.path(), Some(LogKind::Sled)).expect("is new"), LogKind::Sled);
    let refused = LogKind::choose(&in_sled, Some(LogKind::Journal)).expect_err("is another").to_string();
    assert!(refused.contains("`sled`") && refused.contains("`journal`"), "{refused}");
    let before = image(&in_sled);
    assert!(matches!(journal::open(&in_sled, options()), Err(OpenError::Foreign { .. })));
    assert!(matches!(open(&as_journal), Err(OpenError::Foreign { .. })));
    assert_eq!(image(&in_sled), before);
}

#[test]
fn a_second_opener_is_refused_and_a_kept_reader_does_not_hold_the_log() {
    let data = tempfile::tempdir().expect("a folder");
    let log = claim(data.path());
    assert!(matches!(open(data.path()), Err(OpenError::Locked { .. })));
    let Claimed { writer, reader, .. } = log;
    drop(writer);
    let again = claim(data.path());
    assert!(matches!(reader.read_block(0), Err(ReadError::Unavailable(_))), "its log was closed");
    assert_eq!(again.owner.epoch, 2);
}

#[test]
fn a_look_changes_nothing_and_finds_what_a_start_would() {
    let data = tempfile::tempdir().expect("a folder");
    let (log, written) = filled(data.path(), 30);
    drop(log);
    let before = image(data.path());
    let scratch = tempfile::tempdir().expect("a folder");
    let look = sled_log::open_copy(data.path(), scratch.path()).expect("opens");
    let found: Vec<_> = look.blocks().map(|stored| support::content(&stored.expect("reads").block)).collect();
    assert_eq!(found, written);
    let stats = look.verify_erased(|_| false).expect("is whole");
    assert_eq!((stats.blocks, stats.torn), (31, None));
    assert!(stats.segments > 1);
    assert_eq!(image(data.path()), before);
}

#[test]
fn truncation_is_taken_up_again_after_a_crash() {
    let data = tempfile::tempdir().expect("a folder");
    let (mut log, written) = filled(data.path(), 60);
    let before = image(data.path());
    let first = log.writer.truncate(40).expect("truncates");
    assert!((1..=40).contains(&first));
    // `HEAD` names the new beginning, and no block is removed yet.
    let mut between = before;
    between.insert("log/HEAD".into(), image(data.path())["log/HEAD"].clone());
    let data = restore(&between);
    let log = claim(data.path());
    assert_eq!(log.reader.first(), first);
    assert!(contents(&log.reader).starts_with(&written[first as usize..]));
    drop(log);
    let log = claim(data.path());
    assert!(log.reader.read_block(first - 1).expect("no error").is_none());
}

/// The weakness that the documentation tells of. When this fails, it may say something better.
#[test]
fn erased_bytes_stay_in_the_file_of_sled() {
    let data = tempfile::tempdir().expect("a folder");
    let mut log = claim(data.path());
    let mut facts = Batch::new(Time(2000));
    let secret = b"a-payload-that-is-to-go-0123456789".repeat(40);
    facts.push(b"fact", Some(Payload::new(&secret)));
    log.writer.append(1, &facts).expect("appends");
    let at = Position::new(1, 0);
    log.writer.erase(&[at]).expect("erases");
    assert!(matches!(log.reader.payload(at), Err(ReadError::Erased(_))));
    drop(log);
    let log = claim(data.path());
    assert!(matches!(log.reader.payload(at), Err(ReadError::Erased(_))));
    drop(log);
    let found = |image: &Image| image.values().any(|bytes| bytes.windows(secret.len()).any(|part| part == secret));
    assert!(found(&image(data.path())));
}
