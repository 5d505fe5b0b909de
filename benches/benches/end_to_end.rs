//! Events in, requests out: the real server and the embedded engine against `postrider sink`, beside the bare ceiling of the same run, which
//! is our own client posting the same bodies straight to the same sink. Everything shares the machine's cores.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use postrider::{Engine, EventDraft, Field, Handle, WebhookDraft, WorkspaceId};
use postrider_benches::{Scale, genesy_data, median};
use postrider_dispatch::{AddressPolicy, Config, Dispatched, Dispatcher, HeaderName, HeaderValue, Request, Target};
use postrider_tests::{Client, Server, binary};
use serde_json::json;

/// Bytes of an event's data.
const PAYLOAD: usize = 1024;
/// Events of one request.
const PER_REQUEST: u64 = 100;
const RUNS: usize = 5;

fn main() {
    let scale = Scale::of_arguments();
    let events = scale.pick(60_000, 200);
    let runs = scale.pick(RUNS, 1);
    let mut rates = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        rates[0].push(bare(events));
        rates[1].push(embedded(events));
        rates[2].push(served(events, PER_REQUEST));
        rates[3].push(served(events / 4, 1));
    }
    let [bare, embedded, arrays, singles] = rates.map(median);
    println!("{events} events of {PAYLOAD} B to one webhook, durable, all on the same cores, median of {runs}:");
    for (what, rate) in [
        ("bare ceiling: our client straight to the sink", bare),
        ("embedded engine, published in process", embedded),
        ("server, arrays of 100 over HTTP", arrays),
        ("server, one event a request over HTTP", singles),
    ] {
        println!("{rate:>9.0}/s  {:.2} of the ceiling  {what}", rate / bare);
    }
}

/// A sink in a process of its own.
struct Sink {
    child: Child,
    url: String,
}

impl Sink {
    fn start() -> Sink {
        let mut command = Command::new(binary());
        command.args(["sink", "--listen", "127.0.0.1:0", "--quiet", "--threads", "1"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let url = line.split_whitespace().last().expect("the line ends with the address").to_owned();
        Sink { child, url }
    }

    fn count(&self) -> u64 {
        Client::new(&self.url, "").get("/stats").body["requests"].as_u64().unwrap_or(0)
    }

    /// Waits until so many requests have come; how long that was after `began`.
    fn wait_for(&self, requests: u64, began: Instant) -> Duration {
        while self.count() < requests {
            assert!(began.elapsed() < Duration::from_secs(120), "{} of {requests} arrived", self.count());
            std::thread::sleep(Duration::from_millis(10));
        }
        began.elapsed()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bare(requests: u64) -> f64 {
    let sink = Sink::start();
    let policy = AddressPolicy::from_words(["loopback"]).expect("a word it knows");
    let config = Arc::new(Config::new(policy, false, &[] as &[&str]).expect("no extra roots"));
    let left = Arc::new(AtomicU64::new(requests));
    let body = Bytes::from(genesy_data(1, PAYLOAD));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (config, left, body, url) = (Arc::clone(&config), Arc::clone(&left), body.clone(), sink.url.clone());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(tokio::task::LocalSet::new().run_until(post_until_done(config, left, body, url)));
            });
        }
    });
    requests as f64 / began.elapsed().as_secs_f64()
}

async fn post_until_done(config: Arc<Config>, left: Arc<AtomicU64>, body: Bytes, url: String) {
    let dispatcher = std::rc::Rc::new(Dispatcher::new(config));
    let target = std::rc::Rc::new(Target::parse(&url, false).expect("the sink's own URL"));
    let mut lanes = Vec::new();
    for _ in 0..16 {
        let (dispatcher, target, left, body) = (dispatcher.clone(), target.clone(), left.clone(), body.clone());
        lanes.push(tokio::task::spawn_local(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                let headers =
                    vec![(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"))];
                let (body, timeout) = (body.clone(), Duration::from_secs(15));
                let request = Request { target: &target, headers, body, timeout, now: postrider::Time(0) };
                let Dispatched::Done(answer) = dispatcher.attempt(request, || true).await else {
                    unreachable!("it is wanted")
                };
                assert_eq!(answer.exchange.status_code, Some(200));
            }
        }));
    }
    for lane in lanes {
        lane.await.expect("no lane panics");
    }
}

fn embedded(events: u64) -> f64 {
    let sink = Sink::start();
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = Engine::builder().data(folder.path()).allow("loopback").open().expect("a new folder");
        let handle = engine.handle();
        let (workspace, _) = handle.create_workspace("bench", "genesy").await.expect("a workspace");
        let webhook = WebhookDraft {
            name: Field::Set("sink".into()),
            url: Field::Set(sink.url.clone()),
            events: Field::Set(vec!["EMAIL_SENT".into()]),
            ..WebhookDraft::default()
        };
        handle.create_webhook(workspace.id, webhook).await.expect("a webhook");
        let began = Instant::now();
        for first in (0..events).step_by(PER_REQUEST as usize) {
            publish(&handle, workspace.id, first..(first + PER_REQUEST).min(events)).await;
        }
        let took = sink.wait_for(events, began);
        engine.shutdown(Duration::from_secs(5)).await;
        events as f64 / took.as_secs_f64()
    })
}

async fn publish(handle: &Handle, workspace: WorkspaceId, numbers: std::ops::Range<u64>) {
    let draft = |n| EventDraft {
        event_type: "EMAIL_SENT".into(),
        data: genesy_data(n, PAYLOAD).into(),
        ..EventDraft::default()
    };
    let events = numbers.map(|n| handle.check_event(workspace, draft(n)).expect("it is valid")).collect();
    let answers = handle.publish_all(workspace, events).await.expect("there is room");
    assert!(answers.iter().all(Result::is_ok));
}

fn served(events: u64, per_request: u64) -> f64 {
    let sink = Sink::start();
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
    let server = Server::start(folder.path());
    let client = server.workspace("genesy");
    let webhook = json!({ "name": "sink", "url": sink.url, "events": ["EMAIL_SENT"] });
    client.post("/v1/webhooks", &webhook).expect(201);
    let publishers = if per_request == 1 { 32 } else { 2 };
    let requests: u64 = events / per_request;
    let next = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..publishers {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < requests {
                    let event = |n| format!(r#"{{"type":"EMAIL_SENT","data":{}}}"#, genesy_data(n, PAYLOAD));
                    let body = match per_request {
                        1 => event(1),
                        many => format!("[{}]", (0..many).map(event).collect::<Vec<_>>().join(",")),
                    };
                    client.post_raw("/v1/events", "application/json", body.as_bytes()).expect(202);
                }
            });
        }
    });
    (requests * per_request) as f64 / sink.wait_for(requests * per_request, began).as_secs_f64()
}
