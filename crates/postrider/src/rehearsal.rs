//! What a retry policy does to an endpoint that is down for a while, in virtual time, by the machine that the engine runs.
//!
//! Every step is a command that `decide` decides and `apply` takes in, as in the engine; time is an argument, so that a week takes no longer
//! than its decisions. Events come in **cohorts**: one is published and attempted for all that come within a step of time, and what becomes
//! of it counts for all of them. So the number of decisions depends on the length of what is rehearsed and not on the rate, and each figure
//! is right to within one step.
//!
//! Not in it: the network and its limits. An attempt takes no time, a failing endpoint refuses at once, and the engine keeps up with any rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::command::{Command, Finish, Measured, Rejection, Reply};
use postrider_core::delivery::{Cell, Status};
use postrider_core::effect::Effect;
use postrider_core::event::{Digest, NewEvent};
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::{Entropy, Kernel, Moment, Prior, apply, decide};
use postrider_core::policy::RetryPolicy;
use postrider_core::profile::{EventTypes, Profile};
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::{Settings, TIMEOUT_DEFAULT};
use postrider_core::workspace::KeyHash;
use postrider_core::{DeliveryKey, Millis, Position, Time, WebhookId, WorkspaceId};

/// Cohorts of one rehearsal at the most, and so its decisions times the attempts of a delivery.
const COHORTS_MAX: u64 = 4_000;
/// Points in the result.
const SAMPLES: u64 = 400;
/// Engine time at the start; any will do.
const START: Time = Time(1_771_497_000_000);

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose events, and what becomes of a delivery whose schedule is used up.
    pub profile: Profile,
    /// Instead of the profile's.
    pub policy: Option<RetryPolicy>,
    /// Events a second, one delivery each.
    pub rate: u64,
    /// The endpoint fails from the start for so long, then succeeds.
    pub failing: Duration,
    /// All of it.
    pub length: Duration,
}

/// How things stand at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Since the start.
    pub at: Duration,
    /// Events so far.
    pub published: u64,
    /// Deliveries that wait for an attempt.
    pub pending: u64,
    /// Deliveries that have ended well.
    pub succeeded: u64,
    /// Deliveries whose schedule is used up.
    pub given_up: u64,
    /// Attempts so far.
    pub attempts: u64,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// Nothing would happen, or more than can be counted.
    #[error("a rehearsal takes at least a second, at one event a second or more, and fewer than 2^53 events")]
    Empty,
    /// The machine refused what the plan asks of it.
    #[error("the machine refuses the plan: {0}")]
    Rejected(#[from] Rejection),
}

/// Plays the plan to its end: a sample every so often, the first at the start, the last at the end.
///
/// # Errors
/// When the plan cannot be meant.
pub fn rehearse(plan: &Plan) -> Result<Vec<Sample>, RehearsalError> {
    let length_s = plan.length.as_secs();
    let events = plan.rate.checked_mul(length_s).filter(|events| *events < 1 << 53);
    if length_s == 0 || plan.rate == 0 || events.is_none() {
        return Err(RehearsalError::Empty);
    }
    let mut world = World::new(plan)?;
    let (step, end) = (length_s.div_ceil(COHORTS_MAX) * 1_000, length_s * 1_000);
    // Whole steps, or the rates between samples would swing.
    let between = step * (end / step).div_ceil(SAMPLES);
    let (mut next_cohort, mut next_sample, mut samples) = (0, 0, Vec::new());
    loop {
        let due = world.sleepers.first_key_value().map_or(u64::MAX, |((due, _), _)| due.0 - START.0);
        let next = next_cohort.min(due).min(next_sample);
        if next > end {
            break;
        }
        world.now = START + Millis(next);
        if next == next_sample {
            samples.push(world.sample());
            next_sample = if next == end { u64::MAX } else { (next + between).min(end) };
        } else if next == next_cohort {
            let seconds = (step / 1_000).min(length_s - next / 1_000);
            if seconds > 0 {
                world.publish(plan.rate * seconds)?;
            }
            next_cohort += step;
        } else {
            world.wake()?;
        }
    }
    Ok(samples)
}

/// The machine's state, and what a shell keeps beside it.
struct World {
    kernel: Kernel,
    workspace: WorkspaceId,
    event_type: Box<str>,
    now: Time,
    up_from: Time,
    blocks: u64,
    entropy: Spread,
    /// By due time: the cell of each cohort's delivery, and how many it counts for.
    sleepers: BTreeMap<(Time, DeliveryKey), (Cell, u64)>,
    counts: Sample,
}

/// Numbers for jitter, the same in each run.
struct Spread(u64);

impl Entropy for Spread {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
    }
}

impl World {
    /// A workspace of the plan's profile with one webhook.
    fn new(plan: &Plan) -> Result<World, RehearsalError> {
        let event_type = match &plan.profile.event_types {
            EventTypes::Listed(listed) => listed[0].name.clone(),
            EventTypes::Any(_) => "rehearsed".into(),
        };
        let mut world = World {
            kernel: Kernel::default(),
            workspace: WorkspaceId(Position::new(0, 0)),
            event_type: event_type.clone(),
            now: START,
            up_from: START + Millis(u64::try_from(plan.failing.as_millis()).unwrap_or(u64::MAX / 2)),
            blocks: 0,
            entropy: Spread(1),
            sleepers: BTreeMap::new(),
            counts: Sample::default(),
        };
        let none = |_: &Effect| {};
        world.turn(&Command::RegisterProfile(Arc::new(plan.profile.clone())), None, none)?;
        let workspace = Command::CreateWorkspace {
            name: "rehearsal".into(),
            profile: plan.profile.name.clone(),
            sealing_key: SealingKeyId(1),
            key_hash: KeyHash([0; 32]),
        };
        if let (_, Reply::WorkspaceCreated(id, _)) = world.turn(&workspace, None, none)? {
            world.workspace = id;
        }
        let settings = Settings {
            name: "endpoint".into(),
            description: None,
            url: "https://endpoint.example/".into(),
            events: [event_type].into(),
            campaign_ids: Vec::new(),
            custom_fields: Vec::new(),
            enabled: true,
            secret: None,
            headers: Vec::new(),
            retry_policy: plan.policy.clone(),
            timeout: TIMEOUT_DEFAULT,
            rate_limit: None,
            signing: None,
            ordered: false,
        };
        world.turn(&Command::CreateWebhook { workspace: world.workspace, settings: Box::new(settings) }, None, none)?;
        Ok(world)
    }

    /// One event, for `weight` of them, and the first attempt of its delivery.
    fn publish(&mut self, weight: u64) -> Result<(), Rejection> {
        let event = NewEvent {
            id: None,
            event_type: self.event_type.clone(),
            created: None,
            campaign: None,
            data: "{}".into(),
            digest: Digest::of(&self.event_type, None, b"{}"),
            crc32c: 0,
        };
        let (mut fresh, command) = (None, Command::Publish { workspace: self.workspace, event });
        self.turn(&command, None, |effect| {
            if let Effect::Deliver(cell) = effect {
                fresh = Some(*cell);
            }
        })?;
        self.counts.published += weight;
        fresh.map_or(Ok(()), |cell| self.attempt(&cell, weight))
    }

    /// The next attempt of whoever is due first.
    fn wake(&mut self) -> Result<(), Rejection> {
        match self.sleepers.pop_first() {
            Some((_, (cell, weight))) => self.attempt(&cell, weight),
            None => Ok(()),
        }
    }

    fn attempt(&mut self, cell: &Cell, weight: u64) -> Result<(), Rejection> {
        let is_up = self.now >= self.up_from;
        let failure = Failure { kind: ErrorKind::Connect, message: "connect: the endpoint is down".into() };
        let measured = Measured {
            started: self.now,
            exchange: Exchange {
                duration: Millis(0),
                status_code: is_up.then_some(200),
                failure: (!is_up).then_some(failure),
                retry_after: None,
            },
            body: Default::default(),
            crc32c: 0,
            webhook_version: self.version_of(cell.webhook),
        };
        self.counts.attempts += weight;
        let (mut asleep, mut status) = (None, None);
        let finish = Command::Finish(Finish { key: cell.key, measured });
        let (facts, _) = self.turn(&finish, Some(cell), |effect| {
            if let Effect::Sleep(cell) = effect {
                asleep = Some(*cell);
            }
        })?;
        for fact in facts {
            if let Fact::AttemptFinished { cell, .. } = fact {
                status = Some(cell.status);
            }
        }
        match (asleep, status) {
            (Some(cell), _) => {
                self.sleepers.insert((cell.due, cell.key), (cell, weight));
            }
            (None, Some(Status::Succeeded)) => self.counts.succeeded += weight,
            (None, _) => self.counts.given_up += weight,
        }
        Ok(())
    }

    fn version_of(&self, webhook: WebhookId) -> Position {
        self.kernel.directory.webhook(webhook).map_or(Position::default(), |webhook| webhook.version)
    }

    fn sample(&self) -> Sample {
        let Sample { published, succeeded, given_up, .. } = self.counts;
        Sample {
            at: Duration::from_millis(self.now.0 - START.0),
            pending: published - succeeded - given_up,
            ..self.counts
        }
    }

    /// Decides and takes in: a turn of one command, in a block of its own.
    fn turn(
        &mut self,
        command: &Command,
        cell: Option<&Cell>,
        mut effect: impl FnMut(&Effect),
    ) -> Result<(Vec<Fact>, Reply), Rejection> {
        let block = self.blocks;
        let mut moment = Moment { now: self.now, at: Position::new(block, 0), entropy: &mut self.entropy };
        let decision = decide(&self.kernel, Prior { cell, ..Prior::default() }, command, &mut moment)?;
        self.blocks += 1;
        let mut facts = Vec::with_capacity(decision.facts.len());
        for (index, fact) in (0..).zip(decision.facts) {
            let record = Record { position: Position::new(block, index), time: self.now, fact };
            apply(&mut self.kernel, &record, |done| effect(&done));
            facts.push(record.fact);
        }
        Ok((facts, decision.reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn plan(profile: &str, rate: u64, failing: Duration, length: Duration) -> Plan {
        let profile = Profile::built_in().into_iter().find(|p| &*p.name == profile).unwrap();
        Plan { profile, policy: None, rate, failing, length }
    }

    fn at(samples: &[Sample], time: Duration) -> Sample {
        *samples.iter().rfind(|sample| sample.at <= time).unwrap()
    }

    #[test]
    fn nothing_is_lost_of_what_a_schedule_outlives() {
        let samples = rehearse(&plan("snaily", 10, 24 * HOUR, 48 * HOUR)).unwrap();
        let last = samples.last().unwrap();
        assert_eq!((last.published, last.succeeded, last.pending, last.given_up), (1_728_000, 1_728_000, 0, 0));
        assert_eq!(at(&samples, 24 * HOUR - HOUR / 2).pending, at(&samples, 24 * HOUR - HOUR / 2).published);
        // One each; one more for what came while it was down, and another for what came in the first half of that.
        assert!(last.attempts.abs_diff(1_728_000 + 864_000 + 432_000) < 1_000, "{last:?}");
    }

    #[test]
    fn what_outlasts_the_schedule_is_given_up() {
        // 30 s, 5 min, 50 min: 3,330 s.
        let samples = rehearse(&plan("genesy", 2, 3 * HOUR, 4 * HOUR)).unwrap();
        let last = samples.last().unwrap();
        let lost = 2 * (3 * 3_600 - 3_330);
        assert!(last.given_up.abs_diff(lost) <= 2 * 4, "{last:?}");
        assert_eq!((last.published, last.pending), (2 * 4 * 3_600, 0));
        assert_eq!(last.succeeded + last.given_up, last.published);
        let full = at(&samples, 2 * HOUR).pending;
        assert!(full.abs_diff(2 * 3_330) <= 2 * 4, "{full} are pending, of all that came within a schedule");
    }

    #[test]
    fn the_rate_scales_everything_and_costs_nothing() {
        let one = rehearse(&plan("snaily", 1, 24 * HOUR, 30 * HOUR)).unwrap();
        let many = rehearse(&plan("snaily", 10_000, 24 * HOUR, 30 * HOUR)).unwrap();
        assert_eq!(one.len(), many.len());
        assert!(one.iter().zip(&many).all(|(one, many)| one.pending * 10_000 == many.pending));
        assert_eq!(many.last().unwrap().at, 30 * HOUR);
    }

    #[test]
    fn a_policy_of_ones_own_goes_before_the_profiles() {
        let policy = RetryPolicy { delays: [Millis(60_000)].into(), jitter_permille: 0 };
        let samples = rehearse(&Plan { policy: Some(policy), ..plan("genesy", 1, HOUR, 2 * HOUR) }).unwrap();
        assert!(samples.last().unwrap().given_up.abs_diff(3_540) <= 2, "{:?}", samples.last());
        let empty = plan("genesy", 0, HOUR, HOUR);
        assert!(matches!(rehearse(&empty), Err(RehearsalError::Empty)));
    }
}
