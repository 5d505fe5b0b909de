//! What those who misbehave cost a healthy webhook of the same server.

use std::time::{Duration, Instant};

use postrider_tests::{Client, Receiver, Server, Sink, within};
use serde_json::{Value, json};

/// Events to the healthy one, measured each time.
const EVENTS: usize = 150;

/// A webhook that answers at once, and how long its events took while it was alone.
pub struct Healthy {
    client: Client,
    receiver: Receiver,
    alone: Vec<Duration>,
}

impl Healthy {
    /// With nobody beside it yet.
    pub fn alone(client: &Client) -> Healthy {
        let receiver = Receiver::answering(200);
        hook(client, &receiver.url("/"), "EMAIL_SENT", Duration::from_secs(1));
        let mut healthy = Healthy { client: client.clone(), receiver, alone: Vec::new() };
        healthy.alone = healthy.latencies("alone");
        healthy
    }

    /// Its events are not slower while these others are beside it.
    pub fn assert_not_slowed(&self, others: &str) {
        let (alone, beside) = (&self.alone, self.latencies("beside"));
        let percentile = |sorted: &[Duration], percent: usize| sorted[sorted.len() * percent / 100];
        let line = |of: &[Duration]| format!("p50 {:.1?}, p95 {:.1?}", percentile(of, 50), percentile(of, 95));
        println!("healthy alone: {}; beside {others}: {}", line(alone), line(&beside));
        assert!(percentile(&beside, 50) < percentile(alone, 50) + Duration::from_millis(100), "{}", line(&beside));
        assert!(percentile(&beside, 95) < percentile(alone, 95) + Duration::from_millis(250), "{}", line(&beside));
        assert_eq!(self.receiver.count(), 2 * EVENTS, "one request an event");
    }

    /// Events are published one by one; how long each took to arrive.
    fn latencies(&self, prefix: &str) -> Vec<Duration> {
        let mut took = Vec::new();
        for number in 0..EVENTS {
            let id = format!("{prefix}{number}");
            let (seen, began) = (self.receiver.count(), Instant::now());
            self.client.post("/v1/events", &json!({ "id": id, "type": "EMAIL_SENT", "data": {} })).expect(202);
            within(Duration::from_secs(10), "the healthy webhook gets its event", || {
                (self.receiver.count() > seen).then_some(())
            });
            took.push(began.elapsed());
        }
        took.sort_unstable();
        took
    }
}

/// A webhook of two attempts, each within this time; its id.
pub fn hook(client: &Client, url: &str, event_type: &str, timeout: Duration) -> u64 {
    let webhook = json!({ "name": "n", "url": url, "events": [event_type], "timeoutMs": timeout.as_millis() as u64,
        "retryPolicy": { "delays": ["1s"] } });
    client.post("/v1/webhooks", &webhook).expect(201).data()["id"].as_u64().unwrap()
}

/// Events for those who misbehave, until each has got one.
pub fn publish_liked(client: &Client, events: usize, sinks: &[Sink]) {
    let liked = |n| json!({ "id": format!("wild{n}"), "type": "POST_LIKED", "data": {} });
    client.post("/v1/events", &(0..events).map(liked).collect::<Value>()).expect(202);
    within(Duration::from_secs(10), "all have a request", || {
        sinks.iter().all(|sink| sink.stats()["requests"].as_u64() > Some(0)).then_some(())
    });
}

/// Every slot comes back: each delivery ends within its schedule.
pub fn assert_all_end(client: &Client) {
    within(Duration::from_secs(60), "all deliveries end", || {
        let pending = client.get("/v1/deliveries?status=pending&pageSize=1").expect(200);
        (pending.body["meta"]["total"] == 0).then_some(())
    });
    within(Duration::from_secs(5), "no slot is held", || {
        (client.metric("postrider_inflight") == Some(0)).then_some(())
    });
}

#[test]
fn the_worst_receivers_do_not_slow_a_healthy_one() {
    const WORST: [&str; 8] =
        ["silent", "deaf", "drip-head", "drip-body", "endless-1xx", "endless-body", "huge-head", "reset"];
    let _by_itself = crate::by_itself();
    let folder = tempfile::tempdir().unwrap();
    // Fewer permits than the hanging ones would like to have.
    let server = Server::start_with(folder.path(), &["--permits", "16"], &[]);
    let client = server.workspace("genesy");
    let healthy = Healthy::alone(&client);
    let sinks: Vec<Sink> = WORST.map(Sink::behaving).into();
    for sink in &sinks {
        hook(&client, sink.url(), "POST_LIKED", Duration::from_secs(1));
    }
    publish_liked(&client, 6, &sinks);
    healthy.assert_not_slowed("eight that misbehave");
    assert_all_end(&client);
}
