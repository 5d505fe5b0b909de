//! What a durable append costs in each log on disk, beside a bare file with the same bytes and the same number of syncs in the same run.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use postrider_benches::{Hash, Scale, median, timed};
use postrider_core::Time;
use postrider_log::{Batch, EventLog, LogId, LogReader, LogWriter, Payload, journal, sled_log};

const RECORD: usize = 1024;

fn main() {
    let scale = Scale::of_arguments();
    let mut hash = Hash::new();
    for per_commit in [1, 16, 256, 700] {
        let commits = scale.pick(40_000 / (per_commit + 60), 3);
        let mut rates = (Vec::new(), Vec::new(), Vec::new());
        let mut amplified = 0.0;
        for _ in 0..scale.pick(5, 1) {
            let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
            rates.0.push(rate(commits, per_commit, bare(folder.path(), commits, per_commit)));
            let (as_journal, in_sled) = (folder.path().join("journal"), folder.path().join("sled"));
            rates.1.push(rate(commits, per_commit, journal(&as_journal, commits, per_commit, &mut hash)));
            // A tenth of it, as it takes ten times as long.
            let fewer = commits.div_ceil(10);
            rates.2.push(rate(fewer, per_commit, sled(&in_sled, fewer, per_commit, &mut hash)));
            let file = std::fs::metadata(in_sled.join("log/sled/db")).expect("it is there").len();
            amplified = file as f64 / (fewer * per_commit * RECORD) as f64;
        }
        let (bare, journal, sled) = (median(rates.0), median(rates.1), median(rates.2));
        println!(
            "{per_commit:>4} records of {RECORD} B a commit: bare file {bare:>9.0}/s, journal {journal:>9.0}/s, ratio {:.2}; \
             sled {sled:>7.0}/s, of the journal {:.3}, its file {amplified:.1} times the records",
            journal / bare,
            sled / journal
        );
    }
    hash.report();
}

fn rate(commits: usize, per_commit: usize, took: Duration) -> f64 {
    (commits * per_commit) as f64 / took.as_secs_f64()
}

/// The floor: one write and one fdatasync a commit, in a file whose space was set aside.
fn bare(folder: &Path, commits: usize, per_commit: usize) -> Duration {
    let path = folder.join("bare");
    let mut file: File = OpenOptions::new().create_new(true).write(true).open(&path).expect("the folder is ours");
    let bytes = vec![7; RECORD * per_commit];
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, (bytes.len() * commits) as u64)
        .expect("there is space");
    file.sync_all().expect("it can be synced");
    let (_, took) = timed(|| {
        for _ in 0..commits {
            file.write_all(&bytes).expect("there is space");
            file.sync_data().expect("it can be synced");
        }
    });
    took
}

fn journal(folder: &Path, commits: usize, per_commit: usize, hash: &mut Hash) -> Duration {
    append(journal::open(folder, options()).expect("a new log"), commits, per_commit, hash)
}

fn sled(folder: &Path, commits: usize, per_commit: usize, hash: &mut Hash) -> Duration {
    append(sled_log::open(folder, options()).expect("a new log"), commits, per_commit, hash)
}

fn options() -> journal::Options {
    journal::Options::new(LogId([7; 16]), Time(1))
}

fn append(opened: impl EventLog, commits: usize, per_commit: usize, hash: &mut Hash) -> Duration {
    let mut log = opened.claim(0, 1, Time(1)).expect("it is ours");
    let payload = vec![7; RECORD - 64];
    let beside = Payload::new(&payload);
    let fact = [3; 64];
    let mut batch = Batch::new(Time(1));
    let (_, took) = timed(|| {
        for commit in 0..commits {
            batch.reset(Time(2 + commit as u64));
            for _ in 0..per_commit {
                batch.push(&fact, Some(beside));
            }
            log.writer.reserve(batch.bytes()).expect("there is space");
            log.writer.append(log.writer.tail(), &batch).expect("it can be written");
        }
    });
    hash.take(log.reader.end());
    took
}
