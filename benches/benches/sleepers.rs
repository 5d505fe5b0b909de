//! What sleeping costs the whole engine: N deliveries whose first attempt was refused and whose next one is twelve hours away, with
//! everything that keeps them on disk; then how long a start takes with them, after a clean stop and after a kill.
//!
//! `--count N` sets how many. Each step runs in a process of its own, so that its memory is its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postrider::{Engine, EventDraft, Field, Handle, PolicyDraft, WebhookDraft, WorkspaceId};
use postrider_benches::{Scale, rss_mib};

/// Nobody listens there: each attempt is refused at once.
const NOBODY: &str = "http://127.0.0.1:9/hook";
const WEBHOOKS: u64 = 100;
const EVENTS_AT_ONCE: u64 = 1_000;
/// Where a process publishes that is to be killed.
const BEFORE_KILL: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["fill", folder, count] => on_runtime(fill(folder.as_ref(), count.parse().expect("a number"))),
        ["start", folder] => on_runtime(start(folder.as_ref())),
        ["be-killed", folder] => on_runtime(be_killed(folder.as_ref())),
        _ => measure(&words),
    }
}

fn measure(words: &[&str]) {
    let asked = words.iter().skip_while(|word| **word != "--count").nth(1);
    let count = asked.map_or(Scale::of_arguments().pick(1_000_000, 2_000), |count| count.parse().expect("a number"));
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
    let data = folder.path();
    run(&["fill", &text(data), &count.to_string()]);
    for part in ["log", "store"] {
        let bytes = bytes_in(&data.join(part));
        println!("{part}: {} MiB on disk, {:.1} B a sleeper", bytes >> 20, bytes as f64 / count as f64);
    }
    println!("after a clean stop:");
    run(&["start", &text(data)]);
    println!("after kill -9, a few seconds of publishing later:");
    let mut child = command(&["be-killed", &text(data)]).spawn().expect("itself can be run");
    std::thread::sleep(BEFORE_KILL + Duration::from_secs(2));
    child.kill().and_then(|()| child.wait()).expect("it runs");
    run(&["start", &text(data)]);
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("it has a path"));
    command.args(words).stdout(Stdio::inherit());
    command
}

fn run(words: &[&str]) {
    let status = command(words).status().expect("itself can be run");
    assert!(status.success(), "{words:?}: {status}");
}

fn on_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
}

async fn fill(folder: &Path, count: u64) {
    let engine = open(folder);
    let handle = engine.handle();
    let (workspace, _) = handle.create_workspace("bench", "genesy").await.expect("a workspace");
    for n in 0..WEBHOOKS {
        handle.create_webhook(workspace.id, webhook(n)).await.expect("a webhook");
    }
    let began = Instant::now();
    for first in (0..count).step_by(EVENTS_AT_ONCE as usize) {
        publish(&handle, workspace.id, first..(first + EVENTS_AT_ONCE).min(count)).await;
        // What cannot be begun yet is a backlog and no sleeper: it is kept short.
        while begun(&handle, workspace.id).await < first.saturating_sub(100_000) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    while begun(&handle, workspace.id).await < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = began.elapsed();
    println!("{count} fell asleep in {took:.1?}, {:.0}/s; RSS {} MiB", count as f64 / took.as_secs_f64(), rss_mib());
    engine.shutdown(Duration::from_secs(20)).await;
}

async fn start(folder: &Path) {
    let began = Instant::now();
    let engine = open(folder);
    let took = began.elapsed();
    println!("  {took:.2?} to start, {} facts read; RSS {} MiB", engine.replayed_facts(), rss_mib());
    engine.shutdown(Duration::from_secs(20)).await;
}

async fn be_killed(folder: &Path) {
    let engine = open(folder);
    let handle = engine.handle();
    let workspace = handle.workspaces().first().expect("it was filled").id;
    let began = Instant::now();
    for round in 0.. {
        if began.elapsed() < BEFORE_KILL {
            publish(&handle, workspace, round * EVENTS_AT_ONCE..(round + 1) * EVENTS_AT_ONCE).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn open(folder: &Path) -> Engine {
    Engine::builder().data(folder).allow("loopback").open().expect("the folder is its own")
}

/// An event goes to the webhook whose campaign it names.
fn webhook(n: u64) -> WebhookDraft {
    WebhookDraft {
        name: Field::Set(format!("nobody {n}")),
        url: Field::Set(NOBODY.into()),
        events: Field::Set(vec!["EMAIL_SENT".into()]),
        campaign_ids: Field::Set(vec![postrider::CampaignId { text: n.to_string().into(), is_number: true }]),
        retry_policy: Field::Set(PolicyDraft { delays: vec!["12h".into()], jitter: 0.0 }),
        ..WebhookDraft::default()
    }
}

async fn publish(handle: &Handle, workspace: WorkspaceId, numbers: std::ops::Range<u64>) {
    let draft = |n: u64| EventDraft {
        event_type: "EMAIL_SENT".into(),
        data: format!(r#"{{"campaign":{{"id":{},"name":"c"}}}}"#, n % WEBHOOKS).into(),
        ..EventDraft::default()
    };
    let events = numbers.map(|n| handle.check_event(workspace, draft(n)).expect("it is valid")).collect();
    let answers = handle.publish_all(workspace, events).await.expect("there is room");
    assert!(answers.iter().all(Result::is_ok));
}

/// Deliveries whose first attempt has ended.
async fn begun(handle: &Handle, workspace: WorkspaceId) -> u64 {
    let mut begun = 0;
    for webhook in handle.webhooks(workspace) {
        let health = handle.health(workspace, webhook.id).await.expect("it can be read").expect("it is there");
        begun += health.day.attempts;
    }
    begun
}

fn bytes_in(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).expect("it can be read");
    let bytes = entries.map(|entry| {
        let entry = entry.expect("it can be read");
        match entry.metadata().expect("it is there") {
            data if data.is_dir() => bytes_in(&entry.path()),
            data => data.blocks() * 512,
        }
    });
    bytes.sum()
}
