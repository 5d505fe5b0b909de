//! The start of a process: what `postrider_engine` does before it serves, with the laws watching.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::OnceLock;

use postrider_core::command::Command;
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::Kernel;
use postrider_core::profile::Profile;
use postrider_core::{Millis, Time};
use postrider_engine::recovery::{self, Replayed};
use postrider_engine::shard::{Bounds, Shard};
use postrider_engine::{ClockMode, EngineClock};
use postrider_log::memory::Memory;
use postrider_log::{Claimed, EventLog, LogId, LogReader, codec};
use postrider_scheduler::Limits;

use super::{Bugs, Life, Outside, Process};
use crate::chance::Chance;
use crate::checker::{Asked, Violation, broken, law};
use crate::fault::Fault;
use crate::medium::{NotOpen, Reader, Writer};
use crate::store::Store;

/// What became of a start.
pub enum Begun {
    /// It serves.
    Serves(Box<Process>),
    /// The disk or the power failed meanwhile.
    Ended(Life),
    /// The disk has no space for a start.
    Full,
}

/// The profiles that every engine knows.
pub fn profiles() -> &'static [Arc<Profile>] {
    static PROFILES: OnceLock<Vec<Arc<Profile>>> = OnceLock::new();
    PROFILES.get_or_init(|| Profile::built_in().into_iter().map(Arc::new).collect())
}

impl Process {
    /// Starts, after the machine or the process was down for `downtime`. `kernel`: the state before, if all of it was durable.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn begin(
        limits: Limits,
        downtime: Millis,
        before: Option<Kernel>,
        outside: &mut Outside,
    ) -> Result<Begun, Violation> {
        let claimed = match outside.medium.open(outside.clocks.wall()) {
            Ok(claimed) if !outside.medium.is_cut() => claimed,
            _ if outside.medium.is_cut() => return Ok(Begun::Ended(Life::Cut)),
            Ok(_) | Err(NotOpen::Failed) => return Ok(Begun::Ended(Life::Died)),
            Err(NotOpen::Full) => return Ok(Begun::Full),
            Err(NotOpen::Refused(error)) => return Err(broken!(1, "the log cannot be opened: {error}")),
        };
        let Claimed { writer, reader, time, .. } = claimed;
        let limits = match outside.fault {
            Some(Fault::MorePermits) => Limits { global: limits.global + 1, per_webhook: 99, per_host: 99 },
            _ => limits,
        };
        let mut shard = Shard::new(writer, limits);
        if let Some(store) = &mut outside.store {
            find_store(store, &reader, &mut outside.chance);
            shard.rely(bounds(&mut outside.chance), store.position(), store.swept());
        }
        let replayed = replay(&reader, &mut shard, outside)?;
        outside.checker.reread(&reader)?;
        if outside.chance.one_in(16) {
            law!(2, *shard.kernel() == replayed_again(&reader)?, "replayed twice, the kernel is another");
        }
        law!(2, before.is_none_or(|before| before == *shard.kernel()), "replayed, the kernel is another");
        outside.clocks.begin(outside.checker.last_time());
        let lost = if outside.fault == Some(Fault::SnapshotMissesInFlight) {
            outside.checker.flying()
        } else {
            BTreeSet::new()
        };
        outside.checker.crashed()?;

        if outside.fault != Some(Fault::EraseNotRepeated) {
            shard.erase_again(replayed.last_erased.clone());
            let left = recovery::not_surely_erased(&reader, shard.overlay());
            shard.erase_again(left.map_err(|error| broken!(1, "what was erased cannot be read: {error}"))?);
            let erased = shard.erase();
            match erased {
                _ if outside.medium.is_cut() => return Ok(Begun::Ended(Life::Cut)),
                Err(_) => return Ok(Begun::Ended(Life::Died)),
                Ok(zeroed) => outside.checker.zeroed(&reader, &zeroed)?,
            }
        }
        let mode = if outside.fault == Some(Fault::FollowWall) { ClockMode::Wall } else { ClockMode::Boot };
        let last_record = if outside.fault == Some(Fault::StartBehindLog) { Time(0) } else { time };
        let now = outside.clocks.now();
        let mut process = Process {
            shard,
            reader,
            clock: EngineClock::start_with(outside.clocks.hands(), mode, last_record),
            directory: replayed.directory,
            calendar: BTreeMap::new(),
            happenings: 0,
            outcomes: VecDeque::new(),
            inbox: VecDeque::new(),
            withdrawals: Vec::new(),
            again: Vec::new(),
            wanted: None,
            unreleased: None,
            turn_at: None,
            seal_at: None,
            ballast_asked: now,
            is_full: false,
            full_pause: Millis(0),
            free_since: now,
            retain_at: now,
            retention: outside.retention,
            is_stopping: false,
            steps: 0,
            bugs: Bugs {
                began: now,
                downtime,
                holds_back: outside.medium.holds_back(),
                secrets: BTreeMap::new(),
                lost,
            },
        };
        match process.register_profiles(outside)? {
            Life::Alive => {}
            ended => return Ok(Begun::Ended(ended)),
        }
        if outside.fault == Some(Fault::TriedTooOften) {
            process.shard.probe_every(Millis::from_secs(1));
        }
        if outside.fault != Some(Fault::ForgetToResume) {
            process.shard.resume();
        }
        process.turn_at = process.shard.has_chores().then_some(now);
        outside.checker.each_place(&process.shard, outside.store.as_ref())?;
        Ok(Begun::Serves(Box::new(process)))
    }

    /// A turn of their own, before anything else; none when they are registered.
    fn register_profiles(&mut self, outside: &mut Outside) -> Result<Life, Violation> {
        let directory = &self.directory;
        let is_new = |profile: &&Arc<Profile>| {
            directory.profile_named(&profile.name).is_none_or(|(_, kept)| kept.hash != profile.hash)
        };
        let new: Vec<_> = profiles().iter().filter(is_new).cloned().collect();
        if new.is_empty() {
            return Ok(Life::Alive);
        }
        for profile in new {
            self.ask(Command::RegisterProfile(profile), Asked::Other, outside);
        }
        let life = self.turn(outside.clocks.now(), outside)?;
        match self.unreleased.take() {
            Some(unreleased) if life == Life::Alive => {
                outside.clocks.advance_to(unreleased.until);
                self.release(*unreleased, outside)
            }
            _ if life == Life::Alive && !self.inbox.is_empty() => Ok(Life::Died),
            _ => Ok(life),
        }
    }
}

/// How much is held in RAM: so little that something is always somewhere else.
fn bounds(chance: &mut Chance) -> Bounds {
    Bounds {
        ahead: Millis(chance.within(1, 20_000)),
        lane: chance.within(1, 12) as u32,
        asleep: chance.within(1, 12) as usize,
        batch: chance.within(1, 8) as usize,
        ..Bounds::default()
    }
}

/// What a start finds of the store: all that was in it, or nothing. One that knows more than the log is of no use.
fn find_store(store: &mut Store, reader: &Reader, chance: &mut Chance) {
    let is_of_log = store.position() <= reader.end() && store.position() >= reader.first();
    if !is_of_log || chance.one_in(10) {
        *store = Store::default();
        store.follow(reader);
    }
}

/// The kernel of another replay of the same log.
fn replayed_again(reader: &Reader) -> Result<Kernel, Violation> {
    let nowhere = Memory::new(LogId([0; 16])).claim(0, 1, Time(0)).map_err(|error| broken!(2, "{error}"))?;
    let mut shard = Shard::new(nowhere.writer, Limits::default());
    recovery::replay(reader, &mut shard).map_err(|error| broken!(2, "the second replay fails: {error}"))?;
    Ok(shard.kernel().clone())
}

/// The real replay; or a copy of it with a bug.
fn replay(reader: &Reader, shard: &mut Shard<Writer>, outside: &Outside) -> Result<Replayed, Violation> {
    let fault = outside.fault;
    match fault {
        Some(fault) if fault.is_in_replay() => {}
        _ => {
            let store = outside.store.as_ref();
            let covered = store.map_or(0, Store::position);
            let replayed = recovery::replay_onto(reader, shard, covered, store, store.and_then(Store::snapshot));
            return replayed.map_err(|error| broken!(1, "the log cannot be replayed: {error}"));
        }
    }
    let mut replayed = Replayed::default();
    let mut records: Vec<Record> = Vec::new();
    for block in reader.facts(reader.first()) {
        let block = block.map_err(|error| broken!(1, "the log cannot be read: {error}"))?;
        let decoded = block.facts().map(|(position, bytes)| codec::decode(position, block.time(), bytes));
        for record in decoded {
            records.push(record.map_err(|error| broken!(2, "the log cannot be decoded: {error}"))?);
        }
    }
    match fault {
        Some(Fault::SkipInReplay) => drop(records.pop()),
        Some(Fault::PendingMiscounted) => records.iter_mut().for_each(|record| {
            if let Fact::Restated(Restated::Pending(_, count)) = &mut record.fact {
                *count += 1;
            }
        }),
        Some(Fault::CarriedForgotten) => records.retain(|r| !matches!(r.fact, Fact::EventCarried { .. })),
        Some(Fault::ReplayForgotten) => records.retain(|r| !matches!(r.fact, Fact::ReplayAdvanced { .. })),
        _ => records.retain(|r| !matches!(&r.fact, Fact::EventAccepted(event) if event.chosen.is_empty())),
    }
    for record in &records {
        shard.replay(record);
        replayed.directory.apply(record);
    }
    shard.forget_below(reader.first());
    replayed.directory.forget_below(reader.first());
    Ok(replayed)
}
