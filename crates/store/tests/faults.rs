//! Stores that cannot be relied on: flipped bits, cut files, other logs, other pasts, foreign files. Each is noticed or harmless: the
//! answers are the model's, or an error, or the store is set aside with its reason.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postrider_core::DeliveryKey;
use postrider_store::{LogIdentity, Mark, OpenError, Opened, Part, Reason, Store};
use support::{DAY_MS, LOG, World, chain, expected, given, given_pending, open};

/// A store of three days with some of everything, closed, and the world that it is of.
fn built(folder: &Path) -> World {
    let mut world = World::new();
    let mut opened = open(folder).unwrap();
    let mut taken = 0;
    for round in 0..12u64 {
        for n in 0..40 {
            let own_id = (n % 3 == 0).then_some((n + round) as u8 % 40);
            world.publish(n % 3, &[1 + n % 6, 1 + (n + round) % 6], own_id);
        }
        let pending: Vec<DeliveryKey> = world.cells.keys().copied().step_by(3).collect();
        for (n, key) in pending.into_iter().enumerate() {
            if world.cells[&key].status == postrider_core::delivery::Status::Pending {
                world.attempt(key, n % 4 == 0, 1 + n as u64 * 7_919 % 40_000_000, n as u64 * 13 % 9000);
            }
        }
        world.end_block();
        world.now += DAY_MS / 5;
        world.records[taken..].iter().for_each(|record| opened.writer.take(Part::Both, record).unwrap());
        taken = world.records.len();
        if round == 6 {
            opened.writer.sweep(postrider_core::Time(world.now));
        }
        opened.writer.commit(Part::Both, world.mark(), Some(&vec![round as u8; 9000])).unwrap();
    }
    opened.writer.close();
    world
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&entry.path())),
            false if entry.metadata().unwrap().len() > 0 => files.push(entry.path()),
            false => {}
        }
    }
    files.sort();
    files
}

/// What came of a damaged store.
#[derive(Debug, PartialEq)]
enum Came {
    /// All answers were right, at once and after a replay.
    Harmless,
    /// It was set aside, or a read or a commit said that it is damaged.
    Noticed,
}

/// Opens a damaged copy and holds what it says against the model.
fn judge(folder: &Path, world: &World, what: &str) -> Came {
    let Opened { store, mut writer, at, set_aside, .. } = match open(folder) {
        Ok(opened) => opened,
        Err(error) => panic!("{what}: {error}"),
    };
    if set_aside.is_some() {
        assert_eq!(at.replay_from(), 0, "{what}: it is a new one");
    }
    match given_pending(&store.read(), 50) {
        Ok(given) => {
            let model = expected(&world.records, at.pending.block, 0);
            assert_eq!((given.asleep, given.counts), (model.asleep, model.counts), "{what}, at once");
        }
        Err(_) => return Came::Noticed,
    }
    let model = expected(&world.records, world.block, 0);
    // History is verified when it is read: before a replay too.
    if at.pending.block == world.block && at.history.block == world.block {
        match given(&store.read(), model.heads.keys().copied(), 50) {
            Ok(given) => assert_eq!(given, model, "{what}, read at once"),
            Err(_) => return Came::Noticed,
        }
    }
    let replay = world.records.iter().filter(|record| record.position.block() >= at.replay_from());
    for record in replay {
        if writer.take(Part::Both, record).is_err() {
            return Came::Noticed;
        }
    }
    if writer.commit(Part::Both, world.mark(), None).is_err() {
        return Came::Noticed;
    }
    match given(&store.read(), model.heads.keys().copied(), 50) {
        Ok(given) => assert_eq!(given, model, "{what}, after a replay"),
        Err(_) => return Came::Noticed,
    }
    if set_aside.is_some() { Came::Noticed } else { Came::Harmless }
}

/// A kill, or a disk without space, while sled writes its snapshot of a database: sled by itself calls what is left corruption.
#[test]
fn a_snapshot_that_was_cut_off_is_no_damage() {
    let folder = support::folder();
    let path = folder.path().join("store");
    let world = built(&path);
    let model = expected(&world.records, world.block, 0);
    let look = || {
        let opened = open(&path).unwrap();
        assert_eq!((opened.set_aside, opened.at.replay_from()), (None, world.block));
        assert_eq!(given(&opened.store.read(), model.heads.keys().copied(), 50).unwrap(), model);
    };
    // Opening leaves one.
    look();
    let snapshots = files(&path).into_iter().filter(|file| is_snapshot(file));
    let snapshots: Vec<(PathBuf, Vec<u8>)> = snapshots.map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    let of_days = snapshots.iter().filter(|(file, _)| file.starts_with(path.join("days"))).count();
    assert!(of_days > 1 && of_days < snapshots.len(), "each database has one: {}", snapshots.len());
    for part in [0, 1, 2] {
        for (snapshot, bytes) in &snapshots {
            let cut_off = snapshot.with_file_name("snap.00000000FFFFFFFF.generating");
            fs::write(cut_off, &bytes[..bytes.len() * part / 3]).unwrap();
        }
        look();
        assert!(!files(&path).iter().any(|file| file.extension().is_some_and(|e| e == "generating")));
    }
}

fn is_snapshot(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("snap."))
}

/// Numbers that are the same at every run.
fn spread(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11
}

fn trials() -> u64 {
    std::env::var("POSTRIDER_STORE_TRIALS").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let folder = support::folder();
    let sound = folder.path().join("sound");
    let world = built(&sound);
    assert_eq!(judge(&sound, &world, "sound"), Came::Harmless);
    let mut noticed = 0;
    for trial in 0..trials() {
        let damaged = folder.path().join(format!("trial-{trial}/store"));
        copy(&sound, &damaged);
        let files = files(&damaged);
        let file = &files[(spread(trial) % files.len() as u64) as usize];
        let mut bytes = fs::read(file).unwrap();
        // Where there is something: most of sled's files are zeros.
        let some: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        let at = some[(spread(trial ^ 0x77) % some.len() as u64) as usize];
        bytes[at] ^= 1 << (trial % 8);
        fs::write(file, bytes).unwrap();
        let what = format!("trial {trial}: {} at {at}", file.strip_prefix(&damaged).unwrap().display());
        noticed += u64::from(judge(&damaged, &world, &what) == Came::Noticed);
        fs::remove_dir_all(damaged.parent().unwrap()).unwrap();
    }
    println!("{noticed} of {} flips were noticed, the others harmless", trials());
    assert!(noticed > 0);
}

#[test]
fn a_cut_or_missing_file_is_noticed_or_harmless() {
    let folder = support::folder();
    let sound = folder.path().join("sound");
    let world = built(&sound);
    for number in 0..files(&sound).len() {
        for keep in [0, 1, 2, 3, 4] {
            let damaged = folder.path().join(format!("cut-{number}-{keep}/store"));
            copy(&sound, &damaged);
            let file = files(&damaged)[number].clone();
            let len = fs::metadata(&file).unwrap().len();
            let what = format!("{} cut to {keep} quarters", file.display());
            match keep {
                4 => fs::remove_file(&file).unwrap(),
                _ => fs::File::options().write(true).open(&file).unwrap().set_len(len * keep / 4).unwrap(),
            }
            judge(&damaged, &world, &what);
            fs::remove_dir_all(damaged.parent().unwrap()).unwrap();
        }
    }
}

/// Opens a sled database. A thread of sled's own may hold the lock for a moment after whoever had it open before.
fn sled_at(database: &Path) -> sled::Db {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match sled::open(database) {
            Err(error) if error.to_string().contains("could not acquire lock") && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// All pairs of a sled database.
fn pairs(database: &Path) -> Vec<(sled::IVec, sled::IVec)> {
    sled_at(database).iter().map(Result::unwrap).collect()
}

/// What sled loses or mixes up without a word: each pair of each database in turn.
#[test]
fn a_record_that_is_missing_or_in_anothers_place_is_noticed() {
    let folder = support::folder();
    let sound = folder.path().join("sound");
    let world = built(&sound);
    let mut databases = vec!["pending".to_owned()];
    let days = fs::read_dir(sound.join("days")).unwrap().map(|day| day.unwrap().file_name().into_string().unwrap());
    databases.extend(days.map(|day| format!("days/{day}")));
    for database in databases {
        let all = pairs(&sound.join(&database));
        assert!(all.len() > 5, "{database} has {} records", all.len());
        for (at, (key, value)) in all.iter().enumerate() {
            let next = &all[(at + 1) % all.len()];
            for instead in [None, Some(&next.1)] {
                let damaged = folder.path().join("damaged/store");
                copy(&sound, &damaged);
                let db = sled_at(&damaged.join(&database));
                match instead {
                    Some(other) => drop(db.insert(key, other).unwrap()),
                    None => drop(db.remove(key).unwrap()),
                }
                drop(db);
                let what =
                    format!("{database}: {key:?} {}", if instead.is_some() { "is another" } else { "is missing" });
                if instead != Some(value) {
                    assert_eq!(judge(&damaged, &world, &what), Came::Noticed, "{what}");
                }
                fs::remove_dir_all(damaged.parent().unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn a_missing_day_is_noticed_when_it_is_read() {
    let folder = support::folder();
    let store = folder.path().join("store");
    let world = built(&store);
    let day = fs::read_dir(store.join("days")).unwrap().next().unwrap().unwrap().path();
    fs::remove_dir_all(day).unwrap();
    assert_eq!(judge(&store, &world, "a day is missing"), Came::Noticed);
}

fn reason(folder: &Path, identity: LogIdentity<'_>) -> Reason {
    let opened = Store::open(folder, identity).unwrap();
    assert_eq!(opened.at.replay_from(), 0);
    assert_eq!(opened.store.read().asleep_len(), 0);
    opened.set_aside.unwrap()
}

#[test]
fn another_log_or_another_past_is_set_aside_and_one_old_store_is_kept() {
    let folder = support::folder();
    let store = folder.path().join("store");
    let world = built(&store);
    let on_chain = |block| Some(chain(block));
    assert_eq!(reason(&store, LogIdentity { log: [1; 16], chain_at: &on_chain }), Reason::ForeignLog);
    assert!(folder.path().join("store.broken-1/pending/db").exists());

    fs::remove_dir_all(&store).unwrap();
    built(&store);
    let other = LogIdentity { log: LOG, chain_at: &|_| Some([9; 16]) };
    assert_eq!(reason(&store, other), Reason::OtherPast { block: world.block });
    assert!(!folder.path().join("store.broken-1").exists());
    assert!(folder.path().join("store.broken-2").exists());

    fs::remove_dir_all(&store).unwrap();
    built(&store);
    let shorter = LogIdentity { log: LOG, chain_at: &|block| Some(chain(block)).filter(|_| block < 5) };
    assert_eq!(reason(&store, shorter), Reason::OtherPast { block: world.block });
}

#[test]
fn a_folder_that_is_no_store_is_set_aside() {
    let folder = support::folder();
    let store = folder.path().join("store");
    // Files in the place of a database; a database without a root; a snapshot of sled's that makes it panic or refuse.
    fs::create_dir_all(store.join("pending/db")).unwrap();
    assert!(matches!(reason(&store, support::identity()), Reason::Sled(_)));
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("pending"), "a file").unwrap();
    assert!(matches!(reason(&store, support::identity()), Reason::Sled(_)));
    fs::remove_dir_all(&store).unwrap();
    drop(sled_at(&store.join("pending")));
    assert_eq!(reason(&store, support::identity()), Reason::Empty);
    fs::remove_dir_all(&store).unwrap();
    built(&store);
    fs::write(store.join("pending/snap.0000000000000FFF"), [0xff; 99]).unwrap();
    let why = reason(&store, support::identity());
    assert!(matches!(why, Reason::Sled(_)), "{why}");
}

#[test]
fn a_store_has_one_owner() {
    let folder = support::folder();
    let store = folder.path().join("store");
    let first = open(&store).unwrap();
    assert!(matches!(open(&store), Err(OpenError::Busy(_))));
    drop(first);
    assert_eq!(open(&store).unwrap().set_aside, None);
}

#[test]
fn a_commit_covers_what_was_taken_and_history_stays_behind_what_is_pending() {
    let folder = support::folder();
    let mut world = World::new();
    let mut opened = open(&folder.path().join("store")).unwrap();
    world.publish(0, &[1], None);
    world.end_block();
    opened.writer.take(Part::Both, &world.records[0]).unwrap();
    assert!(opened.writer.commit(Part::Both, Mark::default(), None).is_err());
    assert!(opened.writer.commit(Part::History, world.mark(), None).is_err());
    opened.writer.commit(Part::Both, world.mark(), None).unwrap();
    assert_eq!(given(&opened.store.read(), world.cells.keys().copied(), 9).unwrap(), expected(&world.records, 1, 0));
}

#[test]
fn what_falls_asleep_before_the_horizon_is_handed_back() {
    let folder = support::folder();
    let mut world = World::new();
    let mut opened = open(&folder.path().join("store")).unwrap();
    (1..=3).for_each(|webhook| world.publish(0, &[webhook], None));
    let keys: Vec<_> = world.cells.keys().copied().collect();
    world.attempt(keys[0], true, 0, 1);
    world.attempt(keys[1], false, 30_000, 1);
    world.end_block();
    world.records.iter().for_each(|record| opened.writer.take(Part::Both, record).unwrap());
    let late = |horizon_ms| -> Vec<_> {
        opened.writer.late(postrider_core::Time(world.now + horizon_ms)).iter().map(|asleep| asleep.key).collect()
    };
    assert_eq!(late(1), [keys[2]]);
    assert_eq!(late(30_001), [keys[2], keys[1]]);
    assert_eq!(late(0), []);
}
