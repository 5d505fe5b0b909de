//! What sleeping costs in the store: inserting, waking, looking up, reopening, and RAM and disk for each delivery that sleeps.
//!
//! Deliveries fail over simulated days: seven in ten wait for 12 h as Snaily's do, the others for 30 s, 5 min and 50 min as Genesy's do;
//! none moves on before all are asleep. `POSTRIDER_STORE_SLEEPERS` says how many, `POSTRIDER_STORE_FOLDER` where.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use postrider_benches::{Hash, Scale, report, spread, timed};
use postrider_core::attempt::{Attempt, Exchange, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::{Chosen, Digest, Event};
use postrider_core::fact::{Fact, Record};
use postrider_core::{AttemptId, DeliveryKey, EventId, Millis, Position, Time, WebhookId, WorkspaceId};
use postrider_store::{LogIdentity, Mark, Opened, Part, Store, Summary};

const START: u64 = 1_771_459_200_000;
const WEBHOOKS: u64 = 10_000;
/// Deliveries of one block, as a busy turn has them.
const BLOCK: u64 = 1000;
/// Days over which they fall asleep.
const DAYS: u64 = 7;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Blocks of a commit.
const COMMIT_BLOCKS: u64 = 128;
const LOG: [u8; 16] = [9; 16];

fn main() {
    let scale = Scale::of_arguments();
    let sleepers = std::env::var("POSTRIDER_STORE_SLEEPERS").ok().and_then(|n| n.parse().ok());
    let sleepers = sleepers.unwrap_or(scale.pick(10_000_000, 4_000));
    let within = std::env::var("POSTRIDER_STORE_FOLDER").unwrap_or_else(|_| std::env::temp_dir().display().to_string());
    let temporary = tempfile::tempdir_in(within).expect("a folder");
    let folder = temporary.path().join("store");
    let mut hash = Hash::new();
    let mut world = World { sleepers, moved: 0 };
    println!("{sleepers} sleepers of {WEBHOOKS} webhooks, a commit every {} records", 2 * COMMIT_BLOCKS * BLOCK);

    let rss = rss_bytes();
    let mut opened = open(&folder);
    let (blocks, took) = fill(&world, &mut opened, Part::Pending);
    report("a delivery that falls asleep: taken and committed, pending alone", sleepers, took);
    say_size("RAM", rss_bytes().saturating_sub(rss), sleepers);
    say_size("disk for what is pending", disk_bytes(&folder.join("pending")), sleepers);
    assert_eq!(opened.store.read().asleep_len(), sleepers);

    wake(&opened, sleepers, &mut hash);
    opened.writer.close();
    drop(opened.store);
    let rss = rss_bytes();
    let (reopened, took) = timed(|| open(&folder));
    opened = reopened;
    println!("{:>9.2} s   to reopen, all that is pending verified", took.as_secs_f64());
    say_size("RAM more after reopening", rss_bytes().saturating_sub(rss), sleepers);
    assert_eq!(opened.store.read().asleep_len(), sleepers);

    let (_, took) = fill(&world, &mut opened, Part::History);
    report("the same delivery's event, id, attempt and head, as history that follows", sleepers, took);
    say_size("disk for history: event, id, attempt, head", disk_bytes(&folder.join("days")), sleepers);

    let moving = sleepers / 10;
    let took = move_on(&mut world, &mut opened, blocks, moving);
    report("a delivery that moves on to its next sleep, all parts", moving, took);
    say_size("disk for what is pending, a tenth moved on", disk_bytes(&folder.join("pending")), sleepers);
    say_size("disk for history then", disk_bytes(&folder.join("days")), sleepers);
    say_size("RAM then, history's manifests and caches too", rss_bytes(), sleepers);
    assert_eq!(opened.store.read().asleep_len(), sleepers);

    look_up(&world, &mut opened, scale.pick(20_000, 200), &mut hash);
    opened.writer.close();
    drop(opened.store);

    let folder = temporary.path().join("heads");
    let mut opened = open(&folder);
    let took = put_off(&world, &mut opened);
    report(
        "a delivery put off twice by hand: entry, tombstone, entry, and its head, durable each time",
        sleepers,
        took,
    );
    say_size("disk for all that sleeps, with heads and tombstones", disk_bytes(&folder), sleepers);
    assert_eq!(opened.store.read().asleep_len(), sleepers);
    hash.report();
}

struct World {
    sleepers: u64,
    /// How many have had their second attempt.
    moved: u64,
}

impl World {
    fn time(&self, number: u64) -> Time {
        Time(START + (u128::from(number) * u128::from(DAYS * DAY_MS) / u128::from(self.sleepers)) as u64)
    }

    fn workspace(&self) -> WorkspaceId {
        WorkspaceId(Position::from_u64(1))
    }

    /// Where the `number`-th delivery's event is; its first attempt is the record behind it.
    fn event_at(&self, number: u64) -> Position {
        Position::new(number / BLOCK, (number % BLOCK) as u32 * 2)
    }

    fn webhook(&self, number: u64) -> WebhookId {
        WebhookId(1 + spread(number) % WEBHOOKS)
    }

    fn delay_ms(&self, number: u64) -> u64 {
        match spread(number ^ 0x5555) % 10 {
            0 => 30_000,
            1 => 5 * 60_000,
            2 => 50 * 60_000,
            _ => 12 * 60 * 60_000,
        }
    }

    fn id(&self, number: u64) -> EventId {
        format!("order-{number}").parse().expect("an id")
    }

    fn cell(&self, number: u64) -> Cell {
        let event = self.event_at(number);
        let key = DeliveryKey { event, ordinal: 0 };
        Cell::fresh(key, self.workspace(), self.webhook(number), event, self.time(number))
    }

    /// The event's acceptance and its first attempt, which fails.
    fn fall_asleep(&self, number: u64, out: &mut Vec<Record>) {
        let (at, time, cell) = (self.event_at(number), self.time(number), self.cell(number));
        let event = Event {
            at,
            accepted: time,
            workspace: cell.workspace,
            id: self.id(number),
            event_type: "x".into(),
            created: "".into(),
            campaign: None,
            digest: Digest([0; 16]),
            payload_len: 0,
            profile: at,
            chosen: [Chosen { webhook: cell.webhook, revision: at }].into(),
        };
        out.push(Record { position: at, time, fact: Fact::EventAccepted(event.into()) });
        let position = Position::new(at.block(), at.index() + 1);
        out.push(self.fail(number, cell, position, time));
    }

    fn fail(&self, number: u64, old: Cell, position: Position, time: Time) -> Record {
        let delay = Millis(self.delay_ms(number));
        let (attempts, last_attempt) = (old.attempts + 1, Some(position));
        let cell = Cell { attempts, status: Status::Pending, due: time + delay, last_attempt, ..old };
        let duration = Millis(spread(number) % 2000);
        let exchange = Exchange { duration, status_code: None, failure: None, retry_after: None };
        let attempt = Attempt {
            id: AttemptId(number),
            number: cell.attempts,
            started: time,
            exchange,
            outcome: Outcome::Retrying,
            webhook_version: position,
            previous: old.last_attempt,
        };
        Record { position, time, fact: Fact::AttemptFinished { cell, was: Was::from(&old), attempt } }
    }
}

fn open(folder: &Path) -> Opened {
    let opened = Store::open(folder, LogIdentity { log: LOG, chain_at: &|_| Some([1; 16]) }).expect("opens");
    assert_eq!(opened.set_aside, None);
    opened
}

fn mark(block: u64) -> Mark {
    Mark { block, chain: [1; 16] }
}

/// Puts all to sleep. Only what the store does is timed.
fn fill(world: &World, opened: &mut Opened, part: Part) -> (u64, Duration) {
    let mut took = Duration::ZERO;
    let mut longest = Duration::ZERO;
    let blocks = world.sleepers.div_ceil(BLOCK);
    let mut records = Vec::new();
    for block in 0..blocks {
        records.clear();
        (block * BLOCK..((block + 1) * BLOCK).min(world.sleepers)).for_each(|n| world.fall_asleep(n, &mut records));
        let started = Instant::now();
        records.iter().for_each(|record| opened.writer.take(part, record).expect("taken"));
        if (block + 1) % COMMIT_BLOCKS == 0 || block + 1 == blocks {
            let committing = Instant::now();
            opened.writer.commit(part, mark(block + 1), None).expect("committed");
            longest = longest.max(committing.elapsed());
        }
        took += started.elapsed();
    }
    println!("{:>9.1} ms  the longest commit", longest.as_secs_f64() * 1e3);
    (blocks, took)
}

/// The first of those that sleep fail once more.
fn move_on(world: &mut World, opened: &mut Opened, first_block: u64, moving: u64) -> Duration {
    let mut took = Duration::ZERO;
    let now = world.time(world.sleepers);
    for block in 0..moving.div_ceil(BLOCK) {
        let numbers = block * BLOCK..((block + 1) * BLOCK).min(moving);
        let records: Vec<_> = numbers
            .map(|n| {
                let due = world.time(n) + Millis(world.delay_ms(n));
                let position = Position::new(first_block + block, (n % BLOCK) as u32);
                world.fail(n, Cell { attempts: 1, due, ..world.cell(n) }, position, Time(now.0 + n / 10))
            })
            .collect();
        let started = Instant::now();
        records.iter().for_each(|record| opened.writer.take(Part::Both, record).expect("taken"));
        if (block + 1) % COMMIT_BLOCKS == 0 || (block + 1) * BLOCK >= moving {
            opened.writer.commit(Part::Both, mark(first_block + block + 1), None).expect("committed");
        }
        took += started.elapsed();
    }
    world.moved = moving;
    took
}

/// Facts that make nothing but what sleeps and heads: each delivery is put to sleep, and 64 blocks later, when that is durable, to another.
fn put_off(world: &World, opened: &mut Opened) -> Duration {
    let mut took = Duration::ZERO;
    let behind = 64 * BLOCK;
    for block in 0..(world.sleepers + behind).div_ceil(BLOCK) {
        let mut records = Vec::new();
        let numbers = block * BLOCK..(block + 1) * BLOCK;
        let mut put_off = |number: u64, from: Status, delays: u64| {
            let old = Cell {
                attempts: 1,
                status: from,
                due: world.time(number) + Millis(world.delay_ms(number)),
                ..world.cell(number)
            };
            let cell = Cell { status: Status::Pending, due: old.due + Millis(delays * world.delay_ms(number)), ..old };
            let position = Position::new(block, records.len() as u32);
            records.push(Record {
                position,
                time: world.time(block * BLOCK),
                fact: Fact::RetryRequested { cell, was: Was::from(&old) },
            });
        };
        for number in numbers {
            if number < world.sleepers {
                put_off(number, Status::Succeeded, 0);
            }
            if let Some(earlier) = number.checked_sub(behind).filter(|earlier| *earlier < world.sleepers) {
                put_off(earlier, Status::Pending, 1);
            }
        }
        let started = Instant::now();
        records.iter().for_each(|record| opened.writer.take(Part::Both, record).expect("taken"));
        if (block + 1) % (COMMIT_BLOCKS / 4) == 0 || (block + 1) * BLOCK >= world.sleepers + behind {
            opened.writer.commit(Part::Both, mark(block + 1), None).expect("committed");
        }
        took += started.elapsed();
    }
    took
}

/// Goes through all that sleep, in due order, as windows are loaded.
fn wake(opened: &Opened, sleepers: u64, hash: &mut Hash) {
    let reader = opened.store.read();
    let started = Instant::now();
    let (mut last, mut woken) = (None, 0);
    loop {
        let some = reader.due(last, Time(u64::MAX), 64 << 10).expect("reads");
        let Some(newest) = some.last() else { break };
        last = Some(*newest);
        woken += some.len() as u64;
        some.iter().for_each(|asleep| hash.take(asleep.due.0));
    }
    report("a waking, loaded in due order", woken, started.elapsed());
    assert_eq!(woken, sleepers);
}

fn look_up(world: &World, opened: &mut Opened, times: u64, hash: &mut Hash) {
    let (_, took) = timed(|| while opened.writer.build_filter().expect("builds") {});
    println!("{:>9.2} s   to build the filters over all ids", took.as_secs_f64());
    let reader = opened.store.read();
    let some = |n: u64| spread(n) % world.sleepers;
    let started = Instant::now();
    for n in (0..times).map(some) {
        let head = reader.head(world.cell(n).key).expect("reads").expect("kept");
        hash.take(head.to_u64());
        assert_eq!(head > Position::new(world.sleepers.div_ceil(BLOCK) - 1, u32::from(u16::MAX)), n < world.moved);
    }
    report("a head", times, started.elapsed());
    let started = Instant::now();
    for n in (0..times).map(some) {
        assert!(reader.candidates(world.workspace(), &world.id(n)).expect("reads").contains(&world.event_at(n)));
    }
    report("an id that is there, eight days", times, started.elapsed());
    let started = Instant::now();
    let found = (0..times).map(|n| reader.candidates(world.workspace(), &world.id(world.sleepers + n)).expect("reads"));
    hash.take(found.map(|found| found.len() as u64).sum());
    report("an id that is not there, eight days", times, started.elapsed());
    let pages = times / 10;
    let started = Instant::now();
    for n in 0..pages {
        let before = Some(world.event_at(some(n)));
        hash.take(reader.attempts(world.webhook(n), before, 50).expect("reads").len() as u64);
    }
    report("a page of 50 attempts at any depth", pages, started.elapsed());
    let started = Instant::now();
    for n in 0..pages {
        hash.take(reader.events(world.workspace(), Some(world.event_at(some(n))), 50).expect("reads").len() as u64);
    }
    report("a page of 50 events at any depth", pages, started.elapsed());
    let started = Instant::now();
    for n in 0..pages {
        let mut attempts = 0;
        let count = |_, _, summary: &Summary| attempts += summary.attempts();
        reader.hourly(&[world.webhook(n)], world.time(some(n)), count).expect("reads");
        hash.take(attempts);
    }
    report("a webhook's hours of a day", pages, started.elapsed());
}

fn say_size(what: &str, bytes: u64, sleepers: u64) {
    println!("{:>9.1} B   {what}, for each sleeper; {} MB", bytes as f64 / sleepers as f64, bytes >> 20);
}

fn rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

fn disk_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}
