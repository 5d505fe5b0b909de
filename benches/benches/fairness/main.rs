//! Whether those who misbehave cost those who do not: the same load on healthy webhooks, measured without and with trouble beside them, in one
//! run and one process. Every webhook has a host of its own, an address of 127.0.0.0/8, so that only the scheduler stands between them.
//!
//! Latency is from just before an event is published to its whole request at the receiver.

mod receivers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postrider::{CampaignId, Engine, EventDraft, Field, Handle, PolicyDraft, WebhookDraft, WorkspaceId};
use postrider_benches::{Scale, median, rss_mib, spread};
use receivers::{Kind, Receivers, now_micros};

/// Events in one call.
const AT_ONCE: u64 = 20;

struct Sizes {
    webhooks: u64,
    drippers: u64,
    /// Events a second to the healthy ones.
    rate: u64,
    window: Duration,
    /// Until what hangs holds as many slots as it ever will.
    settled: Duration,
    burst: u64,
    runs: usize,
}

fn main() {
    let full = Sizes {
        webhooks: 10_000,
        drippers: 100,
        rate: 1_000,
        window: Duration::from_secs(12),
        settled: Duration::from_secs(20),
        burst: 20_000,
        runs: 3,
    };
    let (window, settled) = (Duration::from_millis(300), Duration::from_millis(100));
    let tiny = Sizes { webhooks: 40, drippers: 4, rate: 100, window, settled, burst: 100, runs: 1 };
    let sizes = Scale::of_arguments().pick(full, tiny);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        one_that_hangs(&sizes).await;
        drippers(&sizes).await;
        a_loud_tenant(&sizes).await;
        all_dead(&sizes).await;
    });
}

/// An engine with receivers, and webhooks of one workspace of which each listens to a campaign of its own.
struct Stage {
    engine: Engine,
    receivers: Receivers,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
        let engine = Engine::builder().data(folder.path()).allow("loopback").open().expect("the folder is free");
        Stage { engine, receivers: Receivers::start(), _folder: folder }
    }

    async fn workspace(&self, kinds: impl Iterator<Item = Kind>, delays: &[&str]) -> Tenant {
        let handle = self.engine.handle();
        let (workspace, _) = handle.create_workspace("tenant", "genesy").await.expect("it can be made");
        let mut webhooks = 0;
        for kind in kinds {
            let draft = WebhookDraft {
                name: Field::Set("bench".into()),
                url: Field::Set(self.receivers.url(kind)),
                events: Field::Set(vec!["EMAIL_SENT".into()]),
                campaign_ids: Field::Set(vec![CampaignId { text: webhooks.to_string().into(), is_number: true }]),
                retry_policy: Field::Set(PolicyDraft {
                    delays: delays.iter().map(|d| d.to_string()).collect(),
                    jitter: 0.0,
                }),
                ..WebhookDraft::default()
            };
            handle.create_webhook(workspace.id, draft).await.expect("a draft without faults");
            webhooks += 1;
        }
        Tenant { handle, workspace: workspace.id, webhooks }
    }

    /// p50 and p99 of what the healthy ones get in this time.
    async fn measure(&self, window: Duration) -> [f64; 2] {
        self.receivers.take_latencies();
        tokio::time::sleep(window).await;
        let mut latencies = self.receivers.take_latencies();
        assert!(latencies.len() > 10, "too little arrived: {}", latencies.len());
        latencies.sort_unstable();
        [0.5, 0.99].map(|share| latencies[(latencies.len() as f64 * share) as usize].as_secs_f64() * 1e3)
    }
}

struct Tenant {
    handle: Handle,
    workspace: WorkspaceId,
    webhooks: u64,
}

impl Tenant {
    async fn publish(&self, webhooks: impl Iterator<Item = u64>) {
        let events = webhooks.map(|webhook| {
            let at = now_micros();
            let data = format!(r#"{{"campaign":{{"id":{webhook},"name":"c"}},"contact":{{"id":{at}}}}}"#);
            let draft = EventDraft { event_type: "EMAIL_SENT".into(), data: data.into(), ..EventDraft::default() };
            self.handle.check_event(self.workspace, draft).expect("a valid event")
        });
        let answers = self.handle.publish_all(self.workspace, events.collect()).await.expect("there is room");
        assert!(answers.iter().all(Result::is_ok));
    }

    /// Publishes at a steady rate to its webhooks in `among`, evenly spread, until told to stop.
    fn load(self: &Arc<Self>, rate: u64, among: std::ops::Range<u64>) -> Load {
        let (stop, published) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (tenant, stopped, count) = (Arc::clone(self), Arc::clone(&stop), Arc::clone(&published));
        let every = Duration::from_secs_f64(AT_ONCE as f64 / rate as f64);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let from = count.fetch_add(AT_ONCE, Ordering::Relaxed);
                let webhook = |n| among.start + spread(n) % (among.end - among.start);
                tenant.publish((from..from + AT_ONCE).map(webhook)).await;
            }
        });
        Load { stop, published, task }
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it publishes");
        self.published.load(Ordering::Relaxed)
    }
}

/// Healthy ones without and with `bad` others, which get `rate` of their own.
async fn beside(sizes: &Sizes, what: &str, kind: Kind, bad: u64, rate: u64) {
    let stage = Stage::new();
    let kinds = (0..sizes.webhooks).map(|n| if n < bad { kind } else { Kind::Healthy });
    let tenant = Arc::new(stage.workspace(kinds, &["1h"]).await);
    let healthy = tenant.load(sizes.rate, bad..tenant.webhooks);
    // Each has answered once before it counts.
    tokio::time::sleep(sizes.settled).await;
    let [p50, p99] = stage.measure(sizes.window).await;
    println!("{what}");
    println!("  without: p50 {p50:.2} ms, p99 {p99:.2} ms");
    let others = tenant.load(rate, 0..bad);
    tokio::time::sleep(sizes.settled).await;
    let [p50, p99_with] = stage.measure(sizes.window).await;
    println!("  with:    p50 {p50:.2} ms, p99 {p99_with:.2} ms, {:.2} of that without", p99_with / p99);
    others.end().await;
    let [p50, p99_after] = stage.measure(sizes.window).await;
    println!("  after:   p50 {p50:.2} ms, p99 {p99_after:.2} ms");
    healthy.end().await;
    stage.engine.shutdown(Duration::ZERO).await;
}

async fn one_that_hangs(sizes: &Sizes) {
    let what = format!(
        "one of {} webhooks never answers, and gets {} events/s beside {}/s to the others:",
        sizes.webhooks,
        sizes.rate / 10,
        sizes.rate
    );
    beside(sizes, &what, Kind::Hangs, 1, sizes.rate / 10).await;
}

async fn drippers(sizes: &Sizes) {
    let rate = (sizes.rate / 10).max(AT_ONCE);
    let what = format!(
        "{} of {} webhooks answer a byte a second, and get {rate} events/s in all beside {}/s to the others:",
        sizes.drippers, sizes.webhooks, sizes.rate
    );
    beside(sizes, &what, Kind::Drips, sizes.drippers, rate).await;
}

async fn a_loud_tenant(sizes: &Sizes) {
    let stage = Stage::new();
    let quiet = Arc::new(stage.workspace((0..100).map(|_| Kind::Healthy), &["1h"]).await);
    let loud = Arc::new(stage.workspace((0..10).map(|_| Kind::Slow), &["1h"]).await);
    let burst = async || {
        stage.receivers.take_latencies();
        let began = Instant::now();
        for first in (0..sizes.burst).step_by(100) {
            quiet.publish((first..first + 100).map(|n| spread(n) % quiet.webhooks)).await;
        }
        while stage.receivers.received() < sizes.burst {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sizes.burst as f64 / began.elapsed().as_secs_f64()
    };
    burst().await;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..sizes.runs {
        without.push(burst().await);
        let load = loud.load(sizes.rate * 9 / 10, 0..loud.webhooks);
        tokio::time::sleep(sizes.settled / 4).await;
        with.push(burst().await);
        load.end().await;
    }
    let (without, with) = (median(without), median(with));
    println!(
        "a tenant publishes {}/s to ten receivers that take 2 s each, which is over five times what these take:",
        sizes.rate * 9 / 10
    );
    println!("  another delivers {without:.0}/s without and {with:.0}/s with it, {:.2} of it", with / without);
    stage.engine.shutdown(Duration::ZERO).await;
}

async fn all_dead(sizes: &Sizes) {
    let stage = Stage::new();
    let tenant = Arc::new(stage.workspace((0..100).map(|_| Kind::Down), &["20s"; 64]).await);
    let load = tenant.load(sizes.rate, 0..tenant.webhooks);
    println!("all receivers answer 503, {} events/s, retried every 20 s:", sizes.rate);
    let mut before = 0;
    for part in 1..=5 {
        tokio::time::sleep(sizes.window).await;
        let published = load.published.load(Ordering::Relaxed);
        let rate = (published - before) as f64 / sizes.window.as_secs_f64();
        before = published;
        println!(
            "  {:>3.0} s: {rate:.0} events/s accepted, RSS {} MiB",
            sizes.window.as_secs_f64() * f64::from(part),
            rss_mib()
        );
    }
    stage.receivers.recover();
    let [p50, p99] = stage.measure(sizes.window).await;
    println!("  they answer again: fresh and old ones together p50 {p50:.0} ms, p99 {p99:.0} ms");
    let published = load.end().await;
    let began = Instant::now();
    let pending = || stage.engine.handle().figures().pending_by_tier.iter().sum::<u64>();
    while pending() > 0 && began.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("  all of {published} have arrived {:.0} s after the last was published", began.elapsed().as_secs_f64());
    stage.engine.shutdown(Duration::ZERO).await;
}
