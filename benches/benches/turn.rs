//! What the engine costs an event without HTTP and without a disk: decide, apply, encode, schedule, pick, file the outcome.

use bytes::Bytes;
use postrider_benches::{Hash, Scale, genesy_data, report, timed};
use postrider_core::attempt::Exchange;
use postrider_core::command::{Command, Finish, Measured};
use postrider_core::machine::Entropy;
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::{Settings, TIMEOUT_DEFAULT};
use postrider_core::workspace::KeyHash;
use postrider_core::{Millis, Time, WorkspaceId};
use postrider_engine::shard::{Input, Shard};
use postrider_engine::{EventDraft, check_event};
use postrider_log::memory::{Memory, Writer};
use postrider_log::{EventLog, LogId};
use std::sync::Arc;

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
    for (webhooks, per_event) in [(1, 1), (100, 1), (10_000, 1), (10, 10)] {
        let events = scale.pick(200_000, 500) / per_event;
        run(webhooks, per_event, events, &mut hash);
    }
    hash.report();
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
    }
}

fn run(webhooks: u64, per_event: u64, events: u64, hash: &mut Hash) {
    let log = Memory::new(LogId([7; 16])).claim(0, 1, Time(1)).expect("memory has no other owner");
    let mut shard = Shard::new(log.writer, Default::default());
    let profile = Arc::new(Profile::built_in().into_iter().next().expect("there are profiles"));
    let mut entropy = Counter(0);
    let workspace = set_up(&mut shard, &profile, webhooks, per_event, &mut entropy);

    let (mut deliveries, mut check, mut publish, mut finish) =
        (0, Default::default(), Default::default(), Default::default());
    for (now, first) in (1_000..).zip((0..events).step_by(256)) {
        let drafts: Vec<_> = (first..(first + 256).min(events))
            .map(|n| {
                let data = genesy_data(n, 1024).replacen(
                    &format!("\"id\":{}", n % 100),
                    &format!("\"id\":{}", n % webhooks),
                    1,
                );
                EventDraft { event_type: "EMAIL_SENT".into(), data: Bytes::from(data), ..EventDraft::default() }
            })
            .collect();
        let (checked, took) = timed(|| {
            drafts.into_iter().map(|d| check_event(&profile, d, 1 << 20).expect("it is valid")).collect::<Vec<_>>()
        });
        check += took;
        let mut inputs = checked.into_iter().map(|event| Input::new(Command::Publish { workspace, event }, ()));
        let (_, took) = timed(|| shard.turn(Time(now), &mut entropy, || inputs.next()).expect("memory is never full"));
        publish += took;
        // Permits are fewer than a batch has deliveries, so it takes a few rounds.
        loop {
            let (more, took) = timed(|| finish_all(&mut shard, now, &mut entropy, &mut deliveries));
            finish += took;
            if !more {
                break;
            }
        }
    }
    assert_eq!(deliveries, events * per_event, "everything was delivered");
    hash.take(deliveries);
    println!("{webhooks} webhooks, {per_event} an event, 1 KiB:");
    report("to check an event (digest, crc, one pass)", events, check);
    report("to accept an event, 256 a turn", events, publish);
    report("to pick a delivery and file its outcome", deliveries, finish);
}

fn finish_all(shard: &mut Shard<Writer>, now: u64, entropy: &mut Counter, deliveries: &mut u64) -> bool {
    let exchange = Exchange { duration: Millis(1), status_code: Some(200), failure: None, retry_after: None };
    let mut jobs = Vec::new();
    while let Some(job) = shard.pick(Time(now)) {
        jobs.push(job);
    }
    *deliveries += jobs.len() as u64;
    let more = !jobs.is_empty();
    let mut inputs = jobs.into_iter().map(|job| {
        let (started, webhook_version) = (job.started, job.webhook.version);
        let measured = Measured { started, exchange: exchange.clone(), body: Bytes::new(), crc32c: 0, webhook_version };
        Input::new(Command::Finish(Finish { key: job.cell.key, measured }), ())
    });
    shard.turn(Time(now), entropy, || inputs.next()).expect("memory is never full");
    more
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
