//! A copy of a log that is written meanwhile: the same log up to a point, whatever happens to the original under it.

mod support;

use postrider_core::{Position, Time};
use postrider_log::fault::{FaultDisk, FaultFile, FaultLock, Keep};
use postrider_log::journal::{Backup, BackupError, Copied, Disk, DiskFile, Inspect, OpenError, Step, Stored};
use postrider_log::{Batch, Block, Fault, LogReader, LogWriter, Payload};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::{Log, batch, claim, open};

/// Owner entry and 18 group commits, in many segments.
fn log() -> (FaultDisk, Log) {
    let disk = FaultDisk::new();
    let mut log = claim(&disk);
    for number in 1..19 {
        log.writer.append(number, &batch(number)).expect("appends");
    }
    (disk, log)
}

fn append(log: &mut Log) {
    let tail = log.writer.tail();
    log.writer.append(tail, &batch(tail)).expect("appends");
}

fn files(disk: &FaultDisk) -> Vec<(String, Vec<u8>)> {
    disk.names().into_iter().map(|name| (name.clone(), disk.bytes(&name).expect("is there"))).collect()
}

fn stored(disk: &FaultDisk) -> Vec<Stored> {
    Inspect::open_on(disk.clone()).expect("opens").blocks().map(|stored| stored.expect("whole")).collect()
}

/// Steps up to the end; what was copied since the last beginning.
fn run(backup: &mut Backup<'_, FaultDisk, FaultDisk>) -> Result<Vec<Block>, BackupError> {
    let mut blocks = Vec::new();
    loop {
        match backup.step()? {
            Step::Copied(block) => blocks.push(block),
            Step::Again => blocks.clear(),
            Step::End => return Ok(blocks),
        }
    }
}

fn backup(disk: &FaultDisk, erased: &[Position]) -> Result<(FaultDisk, Copied), BackupError> {
    let to = FaultDisk::new();
    let mut backup = Backup::begin(disk, &to)?;
    run(&mut backup)?;
    let copied = backup.finish(erased.iter().copied())?;
    // Nothing of the result rests on what was not synced.
    Ok((to.crash(Keep::Nothing), copied))
}

/// The copy holds the original's blocks at their places up to its end, and goes on as a log.
fn check(copy: &FaultDisk, copied: &Copied, original: &[Stored]) {
    let blocks = stored(copy);
    let count = (copied.end - copied.first) as usize;
    assert_eq!((blocks.len(), blocks[0].block.number()), (count, copied.first));
    let from = original.iter().position(|stored| stored.block.number() == copied.first).expect("is there");
    for (copy, original) in blocks.iter().zip(&original[from..]) {
        assert_eq!(
            (&copy.file, copy.offset, copy.block.hash()),
            (&original.file, original.offset, original.block.hash())
        );
    }
    let report = open(copy).expect("opens").report();
    assert_eq!((report.log, report.first, report.end, report.torn), (copied.log, copied.first, copied.end, None));
    let mut log = claim(copy);
    append(&mut log);
    assert_eq!(contents_from(&log, copied.end).len(), 2);
}

fn contents_from(log: &Log, from: u64) -> Vec<Block> {
    log.reader.blocks(from).map(|block| block.expect("reads")).collect()
}

#[test]
fn a_log_at_rest_is_copied_whole_and_not_changed() {
    let (disk, log) = log();
    drop(log);
    let before = files(&disk);
    let (copy, copied) = backup(&disk, &[]).expect("copies");
    assert!(files(&disk) == before);
    let original = stored(&disk);
    let last = &original.last().expect("is there").block;
    assert_eq!((copied.first, copied.end, copied.time_last), (0, 19, Some(last.time())));
    assert_eq!((copied.erased, &copied.payloads), (0, &vec![]));
    assert_eq!(copied.bytes, original.iter().map(|stored| stored.block.bytes() as u64).sum::<u64>());
    assert_eq!(Inspect::open_on(copy.clone()).expect("opens").verify().expect("whole").blocks, 19);
    // Files end with their last block.
    assert!(copy.used() < disk.used() && copied.bytes <= copy.used());
    check(&copy, &copied, &original);
}

#[test]
fn an_empty_log_is_copied_too() {
    let disk = FaultDisk::new();
    drop(open(&disk).expect("opens"));
    let (copy, copied) = backup(&disk, &[]).expect("copies");
    assert_eq!((copied.first, copied.end, copied.segments, copied.time_last), (0, 0, 0, None));
    assert_eq!(open(&copy).expect("opens").report().end, 0);
}

#[test]
fn what_is_written_meanwhile_is_copied_up_to_the_end_that_is_found() {
    let (disk, mut log) = log();
    let to = FaultDisk::new();
    let mut backup = Backup::begin(&disk, &to).expect("begins");
    let mut copied = 0;
    // Two blocks a step at first, over many segments.
    while !matches!(backup.step().expect("steps"), Step::End) {
        copied += 1;
        if copied < 30 {
            append(&mut log);
            append(&mut log);
        }
    }
    assert_eq!(copied, 19 + 58);
    // It goes on with what comes after an end.
    append(&mut log);
    assert!(matches!(backup.step().expect("steps"), Step::Copied(block) if block.number() == 77));
    assert!(matches!(backup.step().expect("steps"), Step::End));
    append(&mut log);
    let copied = backup.finish(std::iter::empty()).expect("finishes");
    assert_eq!(copied.end, 78);
    check(&to.crash(Keep::Nothing), &copied, &stored(&disk));
}

#[test]
fn copying_begins_again_when_the_beginning_went_from_under_it() {
    for recycle in [false, true] {
        let (disk, mut log) = log();
        let to = FaultDisk::new();
        let mut backup = Backup::begin(&disk, &to).expect("begins");
        for _ in 0..2 {
            assert!(matches!(backup.step().expect("steps"), Step::Copied(_)));
        }
        let first = log.writer.truncate(12).expect("truncates");
        assert!(first > 4);
        // The space of what went is overwritten, or not yet.
        (0..if recycle { 12 } else { 0 }).for_each(|_| append(&mut log));
        let mut steps = Vec::new();
        let blocks = loop {
            match backup.step().expect("steps") {
                Step::End => break steps.len(),
                Step::Again => steps.clear(),
                Step::Copied(block) => steps.push(block.number()),
            }
        };
        assert_eq!((steps[0], blocks as u64), (first, log.writer.tail() - first));
        let copied = backup.finish(std::iter::empty()).expect("finishes");
        assert_eq!((copied.first, copied.end), (first, log.writer.tail()));
        check(&to.crash(Keep::Nothing), &copied, &stored(&disk));
    }
}

#[test]
fn a_beginning_that_is_always_faster_is_an_error() {
    let (disk, mut log) = log();
    let to = FaultDisk::new();
    let mut backup = Backup::begin(&disk, &to).expect("begins");
    let mut again = 0;
    let error = loop {
        match backup.step() {
            Ok(Step::Copied(_)) => {
                (0..12).for_each(|_| append(&mut log));
                log.writer.truncate(log.writer.tail() - 1).expect("truncates");
            }
            Ok(Step::Again) => again += 1,
            Ok(Step::End) => panic!("there is always more"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BackupError::Overtaken), "{error}");
    assert_eq!(again, 7);
    drop(backup);
    assert!(matches!(open(&to), Err(OpenError::Foreign { .. })));
}

#[test]
fn what_a_fact_of_the_copy_says_was_erased_is_erased_in_it() {
    let (disk, mut log) = log();
    let [before, after, last] = [4, 7, 20].map(|block| Position::new(block, 0));
    log.writer.erase(&[before]).expect("erases");
    let to = FaultDisk::new();
    let mut backup = Backup::begin(&disk, &to).expect("begins");
    assert_eq!(run(&mut backup).expect("copies").len(), 19);
    log.writer.erase(&[after]).expect("erases");
    append(&mut log);
    append(&mut log);
    assert_eq!(run(&mut backup).expect("copies").len(), 2);
    let copied = backup.finish([before, after, last].into_iter()).expect("finishes");
    assert_eq!((copied.erased, &copied.payloads), (1, &vec![]), "the last one waits for the next start");
    let copy = to.crash(Keep::Nothing);
    let stats = Inspect::open_on(copy.clone()).expect("opens").verify_erased(|at| [before, after, last].contains(&at));
    let stats = stats.expect("whole");
    assert_eq!((stats.erased, stats.to_erase, stats.torn), (2, vec![last], None));
    check(&copy, &copied, &stored(&disk));
}

#[test]
fn a_payload_that_no_fact_explains_is_copied_as_it_is_and_named() {
    let (disk, mut log) = log();
    log.writer.erase(&[Position::new(4, 0)]).expect("erases");
    drop(log);
    let original = stored(&disk);
    let at = &original[7];
    let front = 104 + 12 * at.block.len() as usize + at.block.facts().map(|(_, fact)| fact.len()).sum::<usize>();
    disk.flip(&at.file.replace("log/", ""), at.offset as usize + front, 1);
    let (copy, copied) = backup(&disk, &[]).expect("copies");
    let named: Vec<_> =
        copied.payloads.iter().map(|damage| (&damage.file, damage.offset, damage.fault.clone())).collect();
    let expected = [(&original[4], Fault::Erased(0)), (at, Fault::Payload(0))];
    assert_eq!(named, expected.map(|(stored, fault)| (&stored.file, stored.offset, fault)));
    check(&copy, &copied, &original);
}

#[test]
fn an_append_that_was_cut_off_is_left_out() {
    for cut in [200, 600] {
        let (disk, mut log) = log();
        disk.freeze_at_sync(disk.syncs());
        let mut long = Batch::new(Time(2000));
        long.push(b"fact", Some(Payload::new(&[b'x'; 900])));
        log.writer.append(19, &long).expect("is not told");
        let disk = disk.crash(Keep::Prefix(cut));
        let (copy, copied) = backup(&disk, &[]).expect("copies");
        assert_eq!(copied.end, 19);
        check(&copy, &copied, &stored(&disk));
    }
}

#[test]
fn damage_is_refused_by_its_place() {
    let (disk, log) = log();
    drop(log);
    let at = &stored(&disk)[7];
    disk.flip(&at.file.replace("log/", ""), at.offset as usize + 104, 1);
    let Err(BackupError::Damaged(damage)) = backup(&disk, &[]) else { panic!("damage") };
    assert_eq!((&damage.file, damage.offset, damage.block), (&at.file, at.offset, 7));
    assert!(matches!(backup(&FaultDisk::new(), &[]), Err(BackupError::Source(OpenError::NoLog { .. }))));
}

#[test]
fn nothing_is_copied_over_another_log() {
    let (disk, log) = log();
    drop(log);
    let (copy, _) = backup(&disk, &[]).expect("copies");
    let before = files(&copy);
    assert!(matches!(Backup::begin(&disk, &copy), Err(BackupError::NotEmpty { .. })));
    assert!(files(&copy) == before);
}

#[test]
fn a_power_cut_at_any_sync_leaves_no_log_or_all_of_it() {
    let (disk, mut log) = log();
    log.writer.erase(&[Position::new(4, 0)]).expect("erases");
    drop(log);
    let erased = [4, 7].map(|block| Position::new(block, 0));
    let cut_at = |sync: u64| {
        let to = FaultDisk::new();
        to.freeze_at_sync(sync);
        let mut backup = Backup::begin(&disk, &to).expect("begins");
        run(&mut backup).expect("copies");
        let copied = backup.finish(erased.into_iter()).expect("is not told");
        (to.syncs(), copied, to)
    };
    let (syncs, ..) = cut_at(u64::MAX);
    assert!(syncs > 8, "{syncs}");
    let mut whole = 0;
    for sync in 0..syncs {
        for keep in [Keep::Nothing, Keep::Everything, Keep::Sectors(sync), Keep::Sectors(sync + 1000)] {
            let (_, copied, to) = cut_at(sync);
            let copy = to.crash(keep);
            if !copy.names().iter().any(|name| name == "HEAD") {
                let is_refused =
                    matches!(Inspect::open_on(copy), Err(OpenError::NoLog { .. } | OpenError::Foreign { .. }));
                assert!(is_refused, "sync {sync}, {keep:?}");
                continue;
            }
            whole += 1;
            let stats = Inspect::open_on(copy.clone()).expect("opens").verify_erased(|at| erased.contains(&at));
            assert_eq!(stats.expect("whole").erased, 2, "sync {sync}, {keep:?}");
            check(&copy, &copied, &stored(&disk));
        }
    }
    assert!(whole > 0, "the last sync may have come too late");
}

/// A disk on which a part of a file is not there yet at the first reads of it, as when an append is under way.
#[derive(Clone, Debug)]
struct Late {
    disk: FaultDisk,
    file: String,
    part: std::ops::Range<u64>,
    reads: Arc<AtomicU64>,
}

#[derive(Debug)]
struct LateFile(FaultFile, Option<Late>);

impl Disk for Late {
    type File = LateFile;
    type Lock = FaultLock;
    fn describe(&self) -> String {
        self.disk.describe()
    }
    fn make(&self) -> io::Result<()> {
        self.disk.make()
    }
    fn lock(&self) -> io::Result<Option<FaultLock>> {
        self.disk.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, write: bool) -> io::Result<LateFile> {
        let late = (name == self.file).then(|| self.clone());
        Ok(LateFile(self.disk.open(name, write)?, late))
    }
    fn create(&self, name: &str) -> io::Result<LateFile> {
        Ok(LateFile(self.disk.create(name)?, None))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
}

impl DiskFile for LateFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buffer, offset)?;
        let Some(Late { part, reads, .. }) = &self.1 else { return Ok(read) };
        let end = offset + read as u64;
        if part.start < end
            && offset < part.end
            && reads.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
        {
            buffer[(part.start.max(offset) - offset) as usize..(part.end.min(end) - offset) as usize].fill(0);
        }
        Ok(read)
    }
    fn write_at(&self, parts: &mut [io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.0.write_at(parts, offset)
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.allocate(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn an_append_under_way_is_no_damage_once_it_is_over() {
    let (disk, log) = log();
    drop(log);
    let original = stored(&disk);
    let (mut whole, mut cut) = (0, 0);
    for at in &original {
        let end = at.offset + at.block.bytes() as u64;
        // All of it, its last sector, and what comes after its first.
        for start in [at.offset, end - 512, (at.offset + 512).min(end - 512)] {
            // The head and the block; then the block after it is found, which was written after this one.
            for reads in 0..=2 {
                let file = at.file.replace("log/", "");
                let late = Late { disk: disk.clone(), file, part: start..end, reads: Arc::new(reads.into()) };
                let to = FaultDisk::new();
                let mut backup = Backup::begin(&late, &to).expect("begins");
                while !matches!(backup.step().expect("steps"), Step::End) {}
                let copied = backup.finish(std::iter::empty()).expect("finishes");
                assert_eq!(copied.payloads, []);
                whole += u64::from(copied.end == 19);
                cut += u64::from(copied.end == 18);
                assert!(copied.end == 19 || at.block.number() == 18, "only the last one is taken for not written yet");
                check(&to.crash(Keep::Nothing), &copied, &original);
            }
        }
    }
    assert!(whole > 150 && cut > 0, "{whole} {cut}");
}

/// Ends the other thread, also when this one panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// How much may be appended to the busy log below while one copy of it is made. A writer with nothing to wait for is as fast as whoever
/// copies from the same memory, which then never comes to an end; on a disk every append waits for a sync.
const APPENDS_A_COPY: u64 = 400;

/// Payloads are erased and segments go while the log is copied again and again. What says that a payload was erased is, in this test, the
/// fact `erase N`, which is appended before it.
#[test]
fn every_copy_of_a_busy_log_is_whole() {
    let (disk, mut log) = log();
    let (is_over, copies, room) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let take_one =
        |from: &AtomicU64| from.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                if !take_one(&room) {
                    std::thread::yield_now();
                    continue;
                }
                append(&mut log);
                let tail = log.writer.tail();
                if tail % 3 == 0 {
                    let erased = tail - 1 - tail % 5;
                    let mut said = Batch::new(Time(1000 + tail));
                    said.push(format!("erase {erased}").as_bytes(), None);
                    log.writer.append(tail, &said).expect("appends");
                    log.writer.erase(&[Position::new(erased, 0)]).expect("erases");
                }
                // Until a copy is through, the log only grows.
                if tail > 200 && take_one(&copies) {
                    log.writer.truncate(tail - 100).expect("truncates");
                }
            }
        });
        let _over = Over(&is_over);
        let mut again = 0;
        for _ in 0..60 {
            let to = FaultDisk::new();
            room.store(APPENDS_A_COPY, Ordering::Release);
            let mut backup = Backup::begin(&disk, &to).expect("begins");
            let (mut blocks, most) = (Vec::new(), again + 3);
            loop {
                match backup.step().expect("steps") {
                    Step::Copied(block) => blocks.push(block),
                    Step::Again => (blocks, again) = (Vec::new(), again + 1),
                    Step::End => break,
                }
                // Not at every beginning: a slow machine would never come to an end.
                if blocks.len() == 20 && again < most {
                    copies.store(1, Ordering::Release);
                }
            }
            let mut erased: Vec<Position> = blocks
                .iter()
                .flat_map(|block| block.facts())
                .filter_map(|(_, fact)| {
                    let number = std::str::from_utf8(fact).ok()?.strip_prefix("erase ")?.parse().ok()?;
                    Some(Position::new(number, 0))
                })
                .collect();
            erased.sort_unstable();
            erased.dedup();
            let copied = backup.finish(erased.iter().copied()).expect("finishes");
            assert_eq!(copied.payloads, []);
            let copy = to.crash(Keep::Nothing);
            let stats = Inspect::open_on(copy.clone()).expect("opens").verify_erased(|at| erased.contains(&at));
            let stats = stats.expect("whole");
            assert_eq!((stats.blocks, &stats.torn), (copied.end - copied.first, &None));
            assert!(stats.to_erase.iter().all(|at| at.block() + 2 >= copied.end), "{stats:?}");
            let reader = claim(&copy);
            assert!(contents_from(&reader, copied.first).len() as u64 > stats.blocks);
        }
        println!("copying began again {again} times");
    });
}
