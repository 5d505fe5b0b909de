//! One run: ceiling, load, ceiling, then both again at a gentle pace. Everything that is counted is counted at the sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Args;
use super::events::Events;
use super::lanes::{Bare, Batch, Lane, Published, Publisher};
use super::report::{Ceiling, Load, Paced, Point, Run, Spread};
use super::stage::{Stage, Used};
use crate::client::{Address, Client, Connection};
use crate::clock;
use crate::limits::{BENCH_STALL_MAX, BENCH_TIMELINE_MAX};
use crate::receiver::Measured;

/// Between two looks at the sink.
const LOOK: Duration = Duration::from_millis(25);
/// When all has come: for so long nothing more may.
const SETTLE: Duration = Duration::from_millis(200);
/// Those who publish at a gentle pace: one that is busy must not make the next event wait.
const PACED_LANES: usize = 64;
/// Timers are this coarse: less is not lateness.
const TIMER_STEP: Duration = Duration::from_millis(2);
/// What a server has open to one webhook, and to one host, at the most: the bare client has no more.
const PERMITS_PER_WEBHOOK: u64 = 32;
const PERMITS_PER_HOST: u64 = 64;
/// Writes to a bare file that the time of one is taken from.
const WRITES: usize = 200;

/// Raises the stage and measures on it.
///
/// # Errors
/// Something does not start, an event is refused, or what comes is not what was sent.
pub async fn run(stage: &mut Stage, args: &Args) -> anyhow::Result<Run> {
    let events = Arc::new(Events::new(args.payload, args.webhooks, args.fan_out));
    let sink = stage.start_sink(args).await?;
    let publisher = stage.start_subject(args, &events, &sink).await?;
    let sink = sink.address()?;
    let stats = Client::new(sink.clone(), "none")?;
    let mut run = Measuring { args, events, publisher, sink, stats, bar: bar(args) };
    let bare = run.first_request().await?;
    let before = run.ceiling(&bare, stage).await?;
    let load = run.load(stage).await?;
    let after = run.ceiling(&bare, stage).await?;
    let ceiling = Ceiling::mean(&before, &after);
    let rss_max = stage.usage()?.subject.rss_max;
    let paced = if args.rate == 0 { None } else { Some(run.paced(&bare, stage).await?) };
    run.bar.finish_and_clear();
    Ok(Run { ratio: load.delivered_per_second / ceiling.per_second, load, ceiling, rss_max_bytes: rss_max, paced })
}

struct Measuring<'a> {
    args: &'a Args,
    events: Arc<Events>,
    publisher: Publisher,
    sink: Address,
    stats: Client,
    bar: ProgressBar,
}

/// What the sink says of itself.
#[derive(Deserialize)]
struct Stats {
    requests: u64,
    succeeded: u64,
    measured: Measured,
}

/// What those who publish have come to so far.
#[derive(Default)]
struct Progress {
    next: AtomicU64,
    accepted: AtomicU64,
    accepted_us: AtomicU64,
    deliveries: AtomicU64,
    marks: AtomicU64,
    put_off: AtomicU64,
}

impl Measuring<'_> {
    /// Publishes one event, and takes what came of it at the sink as the request that the ceiling is measured with.
    async fn first_request(&mut self) -> anyhow::Result<Bare> {
        #[derive(Deserialize)]
        struct Received {
            path: String,
            headers: std::collections::BTreeMap<String, String>,
            body: String,
        }
        let progress = Progress::default();
        let mut lane = self.publisher.clone().single().lane();
        publish(&mut lane, &self.events, Sent::now('w'), 0..1, &progress).await?;
        self.wait_for(self.events.fan_out(), &progress, |_| {}).await?;
        let kept: Vec<Received> = ask(&mut self.stats, Method::GET, "/requests", "data").await?;
        let first = kept.into_iter().next().context("the sink has kept no request")?;
        let mut headers = HeaderMap::new();
        for (name, value) in first.headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            if name != HOST && name != CONTENT_LENGTH {
                headers.insert(name, HeaderValue::from_str(&value)?);
            }
        }
        Ok(Bare { path: first.path.parse()?, headers, body: Bytes::from(first.body) })
    }

    /// As many bare posts as go into a while, over as many connections as a server would have.
    async fn ceiling(&mut self, bare: &Bare, stage: &Stage) -> anyhow::Result<Ceiling> {
        self.clear().await?;
        let lanes = (PERMITS_PER_WEBHOOK * self.args.webhooks).min(PERMITS_PER_HOST);
        let before = stage.usage()?;
        let (began, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let end = began + self.args.ceiling;
        let mut tasks = JoinSet::new();
        for _ in 0..lanes {
            let (mut connection, bare, count) = (Connection::new(self.sink.clone()), bare.clone(), count.clone());
            tasks.spawn(async move {
                while Instant::now() < end {
                    bare.post(&mut connection, None).await?;
                    count.fetch_add(1, Relaxed);
                }
                anyhow::Ok(())
            });
        }
        join(&mut tasks).await?;
        let (took, posts) = (began.elapsed(), count.load(Relaxed));
        let used = stage.usage()?.since(before);
        let stats = self.stats().await?;
        ensure!(stats.succeeded == posts, "{posts} bare posts were answered, {} came", stats.succeeded);
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / posts.max(1) as f64;
        Ok(Ceiling {
            per_second: posts as f64 / took.as_secs_f64(),
            client_cpu_us: each(used.load.cpu),
            sink_cpu_us: each(used.sink.cpu),
        })
    }

    /// All events as fast as they are taken, until the last delivery has come.
    async fn load(&mut self, stage: &Stage) -> anyhow::Result<Load> {
        self.clear().await?;
        let before = stage.usage()?;
        let (progress, began_us) = (Arc::new(Progress::default()), clock::now_us().unsigned_abs());
        let mut tasks = JoinSet::new();
        for _ in 0..self.args.connections() {
            let (mut lane, events, progress) = (self.publisher.lane(), self.events.clone(), progress.clone());
            let (all, batch) = (self.args.events, self.args.batch());
            tasks.spawn(async move {
                loop {
                    let first = progress.next.fetch_add(batch, Relaxed);
                    if first >= all {
                        return anyhow::Ok(());
                    }
                    publish(&mut lane, &events, Sent::now('a'), first..(first + batch).min(all), &progress).await?;
                }
            });
        }
        let mut timeline = Vec::new();
        let point = |received| {
            let at_us = clock::now_us().unsigned_abs().saturating_sub(began_us);
            if timeline.len() < BENCH_TIMELINE_MAX {
                timeline.push(Point { at_us, accepted: progress.accepted.load(Relaxed), received });
            }
        };
        let stats = tokio::select! {
            stats = self.wait_for(self.args.deliveries(), &progress, point) => stats?,
            // Ready only where one of them cannot go on: those that are done leave the others to themselves.
            error = failed(&mut tasks) => return Err(error),
        };
        let used = stage.usage()?.since(before);
        let seconds = |until_us: u64| until_us.saturating_sub(began_us).max(1) as f64 / 1e6;
        Ok(Load {
            accepted_per_second: self.args.events as f64 / seconds(progress.accepted_us.load(Relaxed)),
            delivered_per_second: stats.requests as f64 / seconds(stats.measured.last_us),
            deliveries: stats.requests,
            put_off: progress.put_off.load(Relaxed),
            sent_to_received: Spread::from(&stats.measured),
            used: self.share(used, stats.requests),
            timeline,
        })
    }

    fn share(&self, used: Used, deliveries: u64) -> super::report::Used {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / deliveries.max(1) as f64;
        super::report::Used {
            subject_cpu_us: each(used.subject.cpu),
            load_cpu_us: (self.args.mode == super::Mode::Http).then(|| each(used.load.cpu)),
            sink_cpu_us: each(used.sink.cpu),
            disk_bytes: used.subject.disk_written as f64 / deliveries.max(1) as f64,
        }
    }

    /// Single events at a gentle rate, then bare posts at the same, then synced writes to a bare file.
    async fn paced(&mut self, bare: &Bare, stage: &Stage) -> anyhow::Result<Paced> {
        let (rate, count) = (self.args.rate, (self.args.rate as f64 * self.args.paced_for.as_secs_f64()).ceil() as u64);
        let progress = Arc::new(Progress::default());
        self.clear().await?;
        let lanes = (0..PACED_LANES).map(|_| self.publisher.clone().single().lane()).collect();
        pace(rate, count, lanes, |mut lane, number, sent_us| {
            let (events, progress) = (self.events.clone(), progress.clone());
            async move {
                publish(&mut lane, &events, Sent { part: 'p', at_us: sent_us }, number..number + 1, &progress).await?;
                Ok(lane)
            }
        })
        .await?;
        let stats = self.wait_for(count * self.events.fan_out(), &progress, |_| {}).await?;
        self.clear().await?;
        let lanes = (0..PACED_LANES).map(|_| Connection::new(self.sink.clone())).collect();
        pace(rate, count, lanes, |mut connection, number, sent_us| {
            let bare = bare.clone();
            async move {
                let id = Events::id('b', number, sent_us);
                bare.post(&mut connection, Some(&id)).await?;
                Ok(connection)
            }
        })
        .await?;
        let posts = self.stats().await?;
        let (folder, payload) = (stage.folder().to_owned(), self.args.payload);
        let bare_write = tokio::task::spawn_blocking(move || synced_writes(&folder, payload)).await??;
        Ok(Paced {
            rate,
            events: count,
            sent_to_received: Spread::from(&stats.measured),
            bare_post: Spread::from(&posts.measured),
            bare_write,
        })
    }

    /// Waits until so many deliveries have come; then no more may, and they have to be those that were made.
    async fn wait_for(
        &mut self,
        deliveries: u64,
        progress: &Progress,
        mut point: impl FnMut(u64),
    ) -> anyhow::Result<Stats> {
        let (mut before, mut moved) = ((0, 0), Instant::now());
        self.bar.set_length(deliveries);
        loop {
            let stats = self.stats().await?;
            point(stats.requests);
            self.bar.set_position(stats.requests);
            if stats.requests >= deliveries && progress.deliveries.load(Relaxed) >= deliveries {
                break;
            }
            let now = (stats.requests, progress.accepted.load(Relaxed));
            if now != before {
                (before, moved) = (now, Instant::now());
            }
            if moved.elapsed() > BENCH_STALL_MAX {
                let seconds = BENCH_STALL_MAX.as_secs();
                bail!("{} of {deliveries} deliveries have come, and for {seconds} s no more", stats.requests);
            }
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(SETTLE).await;
        let stats = self.stats().await?;
        let made = progress.deliveries.load(Relaxed);
        ensure!(made == deliveries, "the server made {made} deliveries where {deliveries} were to be made");
        ensure!(stats.requests == deliveries, "{} requests came for {deliveries} deliveries", stats.requests);
        ensure!(stats.succeeded == deliveries, "only {} of {deliveries} were answered well", stats.succeeded);
        let marks = format!("{:016x}", progress.marks.load(Relaxed));
        ensure!(stats.measured.checksum == marks, "what came is not what was sent: some twice, some not at all");
        Ok(stats)
    }

    async fn stats(&mut self) -> anyhow::Result<Stats> {
        let (status, body) = self.stats.send(Method::GET, "/stats", None).await?;
        ensure!(status == StatusCode::OK, "the sink answered {status}");
        Ok(serde_json::from_slice(&body)?)
    }

    async fn clear(&mut self) -> anyhow::Result<()> {
        let (status, _) = self.stats.send(Method::DELETE, "/stats", None).await?;
        ensure!(status == StatusCode::NO_CONTENT, "the sink answered {status}");
        Ok(())
    }
}

/// One member of an answer of the sink.
async fn ask<T: DeserializeOwned>(client: &mut Client, method: Method, path: &str, member: &str) -> anyhow::Result<T> {
    let (_, body) = client.send(method, path, None).await?;
    let mut answer: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(serde_json::from_value(answer[member].take())?)
}

/// What ids say beside the number.
#[derive(Clone, Copy)]
struct Sent {
    part: char,
    at_us: u64,
}

impl Sent {
    fn now(part: char) -> Self {
        Self { part, at_us: clock::now_us().unsigned_abs() }
    }
}

/// Publishes a batch, again and again while the server asks for patience.
async fn publish(
    lane: &mut Lane,
    events: &Events,
    sent: Sent,
    numbers: std::ops::Range<u64>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let ids: Vec<String> = numbers.clone().map(|number| Events::id(sent.part, number, sent.at_us)).collect();
    let batch = Batch { events, numbers: numbers.clone(), ids: &ids };
    let began = Instant::now();
    loop {
        match lane.publish(&batch).await? {
            Published::Accepted { deliveries } => {
                progress.deliveries.fetch_add(deliveries, Relaxed);
                progress.accepted_us.fetch_max(clock::now_us().unsigned_abs(), Relaxed);
                progress.accepted.fetch_add(numbers.end - numbers.start, Relaxed);
                break;
            }
            Published::Later(_) if began.elapsed() > BENCH_STALL_MAX => {
                bail!("the server has put events off for {} s", BENCH_STALL_MAX.as_secs())
            }
            Published::Later(wait) => {
                progress.put_off.fetch_add(1, Relaxed);
                tokio::time::sleep(wait).await;
            }
        }
    }
    let marks = ids.iter().zip(numbers).map(|(id, number)| events.marks(id, number));
    progress.marks.fetch_add(marks.fold(0, u64::wrapping_add), Relaxed);
    Ok(())
}

/// Begins a piece of work at each tick, on a lane that is free. It is told when it had to begin, in microseconds since 1970: where none is
/// free in time, the wait counts.
async fn pace<L, F>(rate: u64, count: u64, lanes: Vec<L>, work: impl Fn(L, u64, u64) -> F) -> anyhow::Result<()>
where
    L: Send + 'static,
    F: Future<Output = anyhow::Result<L>> + Send + 'static,
{
    let (back, mut free) = mpsc::channel(lanes.len());
    for lane in lanes {
        back.try_send(lane).map_err(|_| anyhow!("there is a place for each lane"))?;
    }
    let (began, mut tasks) = (tokio::time::Instant::now(), JoinSet::new());
    for number in 0..count {
        let due = began + Duration::from_secs_f64(number as f64 / rate as f64);
        tokio::time::sleep_until(due).await;
        let late = Some(due.elapsed()).filter(|late| *late > TIMER_STEP).unwrap_or_default();
        let sent_us = clock::now_us().unsigned_abs().saturating_sub(u64::try_from(late.as_micros())?);
        let lane = tokio::select! {
            lane = free.recv() => lane.context("the lanes come back")?,
            error = failed(&mut tasks) => return Err(error),
        };
        let (work, back) = (work(lane, number, sent_us), back.clone());
        tasks.spawn(async move {
            let lane = work.await?;
            // Nobody waits for the last ones.
            let _ = back.try_send(lane);
            anyhow::Ok(())
        });
    }
    join(&mut tasks).await
}

/// How long it takes to write as much as an event and to sync it, on the disk that is measured. The file has its space before, as the log has.
fn synced_writes(folder: &std::path::Path, payload: u64) -> anyhow::Result<Spread> {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile_in(folder)?;
    let bytes = vec![b'x'; usize::try_from(payload)?];
    for _ in 0..WRITES {
        file.write_all(&bytes)?;
    }
    file.sync_all()?;
    file.rewind()?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(u64::try_from(began.elapsed().as_micros())?);
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    Ok(Spread { p50_us: at(50), p99_us: at(99), max_us: at(100) })
}

async fn join(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Ready with the first error; never where there is none.
async fn failed(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    match join(tasks).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// On stderr, where that is a terminal.
fn bar(args: &Args) -> ProgressBar {
    use std::io::IsTerminal;
    if args.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(args.deliveries());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} delivered") {
        bar.set_style(style);
    }
    bar
}
