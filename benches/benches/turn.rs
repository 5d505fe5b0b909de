//! What the engine costs an event without HTTP and without a disk: decide, apply, encode, schedule, pick, file the outcome. And of that
//! the codec alone, on the facts that came of it.
//!
//! With `--events N`, for `make instructions`: so many events of 256 B to one webhook, of which every eighth fails once and sleeps until its
//! retry. Small ones, since of large ones the digest would be half of all: without the processor's own instructions, as callgrind has it.

use bytes::Bytes;
use postrider_benches::{Hash, Scale, genesy_data, report, timed};
use postrider_core::attempt::{ErrorKind, Exchange, Failure};
use postrider_core::command::{Command, Finish, Measured};
use postrider_core::machine::Entropy;
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::{Settings, TIMEOUT_DEFAULT};
use postrider_core::workspace::KeyHash;
use postrider_core::{Millis, Time, WorkspaceId};
use postrider_engine::shard::{Input, Shard};
use postrider_engine::{EventDraft, check_event};
use postrider_log::memory::{Memory, Reader, Writer};
use postrider_log::{Block, EventLog, LogId, LogReader};
use std::sync::Arc;
use std::time::Duration;

struct Counter(u64);

impl Entropy for Counter {
    fn next_u64(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

fn main() {
    let scale = Scale::of_arguments();
    let mut hash = Hash::new();
    if let Some(events) = events_alone() {
        run(&Load { webhooks: 1, per_event: 1, events, bytes: 256, fails_every: 8 }, &mut hash);
        return hash.report();
    }
    for (webhooks, per_event) in [(1, 1), (100, 1), (10_000, 1), (10, 10)] {
        let events = scale.pick(200_000, 500) / per_event;
        run(&Load { webhooks, per_event, events, bytes: 1024, fails_every: u64::MAX }, &mut hash);
    }
    hash.report();
}

/// What is done.
struct Load {
    webhooks: u64,
    /// Deliveries.
    per_event: u64,
    events: u64,
    /// Of each event.
    bytes: usize,
    /// Of the deliveries, every so many fail once.
    fails_every: u64,
}

/// How many events `--events N` asks for.
fn events_alone() -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--events");
    arguments.nth(1)?.parse().ok()
}

fn settings(number: u64, per_event: u64) -> Settings {
    let campaign = |id: u64| postrider_core::webhook::CampaignId { text: id.to_string().into(), is_number: true };
    Settings {
        name: "bench".into(),
        description: None,
        url: format!("http://host-{number}.example/hook").into(),
        events: vec!["EMAIL_SENT".into()],
        // With one webhook an event, each campaign has its own.
        campaign_ids: if per_event == 1 { vec![campaign(number)] } else { Vec::new() },
        custom_fields: Vec::new(),
        enabled: true,
        secret: None,
        headers: Vec::new(),
        retry_policy: None,
        timeout: TIMEOUT_DEFAULT,
        rate_limit: None,
        signing: None,
        ordered: false,
    }
}

fn run(load: &Load, hash: &mut Hash) {
    let Load { webhooks, per_event, events, bytes, .. } = *load;
    let log = Memory::new(LogId([7; 16])).claim(0, 1, Time(1)).expect("memory has no other owner");
    let mut shard = Shard::new(log.writer, Default::default());
    let profile = Arc::new(Profile::built_in().into_iter().next().expect("there are profiles"));
    let mut entropy = Counter(0);
    let workspace = set_up(&mut shard, &profile, webhooks, per_event, &mut entropy);
    // Made beforehand, so that making them is no part of what is counted.
    let payloads: Vec<_> = (0..webhooks.max(256)).map(|n| payload(n, webhooks, bytes)).collect();
    let draft = |n: u64| {
        let data = payloads[n as usize % payloads.len()].clone();
        EventDraft { event_type: "EMAIL_SENT".into(), data, ..EventDraft::default() }
    };

    let mut attempts = Attempts { fails_every: load.fails_every, ..Attempts::default() };
    let (mut check, mut publish) = (Duration::ZERO, Duration::ZERO);
    for (now, first) in (1_000..).zip((0..events).step_by(256)) {
        let drafts: Vec<_> = (first..(first + 256).min(events)).map(draft).collect();
        let (checked, took) = timed(|| {
            drafts.into_iter().map(|d| check_event(&profile, d, 1 << 20).expect("it is valid")).collect::<Vec<_>>()
        });
        check += took;
        let mut inputs = checked.into_iter().map(|event| Input::new(Command::Publish { workspace, event }, ()));
        let (_, took) = timed(|| shard.turn(Time(now), &mut entropy, || inputs.next()).expect("memory is never full"));
        publish += took;
        attempts.make(&mut shard, Time(now), &mut entropy);
    }
    let behind_all_retries = Time(600_000);
    while shard.advance(behind_all_retries) {}
    attempts.make(&mut shard, behind_all_retries, &mut entropy);
    assert_eq!(attempts.succeeded, events * per_event, "everything was delivered");
    hash.take(attempts.succeeded);
    println!("{webhooks} webhooks, {per_event} an event, {bytes} B:");
    report("to check an event (digest, crc, one pass)", events, check);
    report("to accept an event, 256 a turn", events, publish);
    report("to pick a delivery and file its outcome", attempts.succeeded + attempts.failed, attempts.took);
    codec(&log.reader, hash);
}

fn payload(n: u64, webhooks: u64, bytes: usize) -> Bytes {
    let data = genesy_data(n, bytes);
    data.replacen(&format!("\"id\":{}", n % 100), &format!("\"id\":{}", n % webhooks), 1).into()
}

/// Every fact of the log, read and written once more.
fn codec(log: &Reader, hash: &mut Hash) {
    let blocks: Vec<_> = log.blocks(log.first()).map(|block| block.expect("memory reads")).collect();
    let facts = blocks.iter().map(|block| u64::from(block.len())).sum();
    let (records, took) = timed(|| {
        let read = |block: &'_ Block| {
            let facts = block.facts().map(|(at, fact)| postrider_log::codec::decode(at, block.time(), fact));
            facts.collect::<Result<Vec<_>, _>>().expect("what was written can be read")
        };
        blocks.iter().flat_map(read).collect::<Vec<_>>()
    });
    report("to decode a fact", facts, took);
    let mut bytes = Vec::new();
    let (_, took) = timed(|| {
        for record in &records {
            bytes.clear();
            postrider_log::codec::encode(&record.fact, record.time, &mut bytes);
            hash.take(bytes.len() as u64);
        }
    });
    report("to encode a fact", facts, took);
}

/// What was attempted.
#[derive(Default)]
struct Attempts {
    fails_every: u64,
    succeeded: u64,
    failed: u64,
    took: Duration,
}

impl Attempts {
    /// Attempts all that is due. Permits are fewer than a batch has deliveries, so it takes a few rounds.
    fn make(&mut self, shard: &mut Shard<Writer>, now: Time, entropy: &mut Counter) {
        let (_, took) = timed(|| while self.round(shard, now, entropy) {});
        self.took += took;
    }

    fn round(&mut self, shard: &mut Shard<Writer>, now: Time, entropy: &mut Counter) -> bool {
        let mut jobs = Vec::new();
        while let Some(job) = shard.pick(now) {
            jobs.push(job);
        }
        let more = !jobs.is_empty();
        let mut inputs = jobs.into_iter().map(|job| {
            let (started, webhook_version) = (job.started, job.webhook.version);
            let exchange = self.exchange(job.cell.attempts);
            let measured = Measured { started, exchange, body: Bytes::new(), crc32c: 0, webhook_version };
            Input::new(Command::Finish(Finish { key: job.cell.key, measured }), ())
        });
        shard.turn(now, entropy, || inputs.next()).expect("memory is never full");
        more
    }

    fn exchange(&mut self, attempts_before: u32) -> Exchange {
        let fails = attempts_before == 0 && (self.succeeded + self.failed + 1).is_multiple_of(self.fails_every);
        let failure = fails.then(|| Failure { kind: ErrorKind::HttpStatus, message: "http_status: 500".into() });
        *if fails { &mut self.failed } else { &mut self.succeeded } += 1;
        let status = if fails { 500 } else { 200 };
        Exchange { duration: Millis(1), status_code: Some(status), failure, retry_after: None }
    }
}

fn set_up(
    shard: &mut Shard<Writer>,
    profile: &Arc<Profile>,
    webhooks: u64,
    per_event: u64,
    entropy: &mut Counter,
) -> WorkspaceId {
    let mut first = vec![
        Command::RegisterProfile(Arc::clone(profile)),
        Command::CreateWorkspace {
            name: "bench".into(),
            profile: profile.name.clone(),
            sealing_key: SealingKeyId(1),
            key_hash: KeyHash([0; 32]),
        },
    ]
    .into_iter()
    .map(|command| Input::new(command, ()));
    shard.turn(Time(1), entropy, || first.next()).expect("memory is never full");
    let workspace = shard.kernel().directory.workspaces().next().expect("it was just made").id;
    let mut made = (0..webhooks).map(|n| {
        let settings = Box::new(settings(n, per_event));
        Input::new(Command::CreateWebhook { workspace, settings }, ())
    });
    while shard.kernel().directory.webhook_count(workspace) < webhooks as usize {
        shard.turn(Time(1), entropy, || made.next()).expect("memory is never full");
    }
    workspace
}
