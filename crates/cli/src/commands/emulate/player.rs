//! Plays one scenario: a workspace of its own, its webhooks and events, and a line for each attempt until nothing is pending.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::{Method, StatusCode};
use postrider::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Wish;
use super::scenario::Scenario;
use crate::client::wire::{Accepted, EventType, LogEntry, Webhook, Workspace};
use crate::client::{Client, List};
use crate::clock;

/// Between two looks at what has ended.
const LOOK: Duration = Duration::from_millis(50);
/// Entries of a page of a log.
const PAGE: u64 = 200;

pub struct Player<'a> {
    wish: &'a Wish,
    scenario: Scenario,
    client: Client,
    webhooks: Vec<u64>,
    /// Attempts whose line is printed.
    seen: BTreeSet<u64>,
    /// Body bytes of each delivery: erased with its event, if that is removed.
    bodies: BTreeMap<String, usize>,
    /// Attempts that ended as they had to.
    well: usize,
}

/// An entry of a log, and of a delivery's own list with what was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(flatten)]
    attempt: LogEntry,
    event_id: String,
    delivery_id: Option<String>,
    #[serde(default)]
    request: Option<Value>,
}

#[derive(Deserialize)]
struct WithAttempts {
    attempts: Vec<Entry>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

impl<'a> Player<'a> {
    /// Makes the workspace and the webhooks.
    ///
    /// # Errors
    /// The server refuses the URL or the secret.
    pub async fn new(
        wish: &'a Wish,
        scenario: Scenario,
        admin: &mut Client,
        server: SocketAddr,
    ) -> anyhow::Result<Self> {
        let workspace = json!({"name": scenario.name(), "profile": wish.profile.name}).to_string();
        let workspace: Workspace = admin.post("/v1/workspaces", workspace, StatusCode::CREATED).await?;
        let mut client = Client::new(server, &workspace.api_key)?;
        let fresh = postrider::new_admin_key();
        let delays = if scenario.wants_refusal() { &[][..] } else { &wish.delays };
        let mut webhooks = Vec::new();
        for nth in 0..scenario.webhooks() {
            let mut webhook = json!({
                "name": format!("{} {nth}", scenario.name()),
                "url": wish.to,
                "events": wish.types,
                "retryPolicy": {"delays": delays},
            });
            if let Some(secret) = scenario.secret(wish.secret.as_deref(), fresh.expose_secret()) {
                webhook["secret"] = secret.into();
            }
            let made: Webhook = client.post("/v1/webhooks", webhook.to_string(), StatusCode::CREATED).await?;
            webhooks.push(made.id);
        }
        Ok(Self { wish, scenario, client, webhooks, seen: BTreeSet::new(), bodies: BTreeMap::new(), well: 0 })
    }

    /// Publishes, waits until nothing is pending, and says what came of it: whether all of it ended well.
    ///
    /// # Errors
    /// The server answers otherwise than documented.
    pub async fn play(&mut self) -> anyhow::Result<bool> {
        say(&format!("\n{}", self.scenario.name()));
        let samples: Vec<EventType> = self.client.get("/v1/event-types").await?;
        let mut deliveries = 0;
        for batch in self.batches(&samples)? {
            let accepted: Vec<Accepted> = self.client.post("/v1/events", batch, StatusCode::ACCEPTED).await?;
            deliveries += accepted.iter().map(|event| event.deliveries).sum::<u64>();
            self.watch_to_the_end().await?;
        }
        if self.scenario == Scenario::Retry {
            let done: List<Id> = self.client.list("/v1/deliveries?status=succeeded&pageSize=200").await?;
            for delivery in done.data.iter().rev() {
                let path = format!("/v1/deliveries/{}/retry", delivery.id);
                let status = self.client.status_of(Method::POST, &path).await?;
                ensure!(status == StatusCode::ACCEPTED, "POST {path}: {status}");
            }
            self.watch_to_the_end().await?;
        }
        let well = if self.scenario.wants_refusal() {
            self.well as u64
        } else {
            self.client.list::<Id>("/v1/deliveries?status=succeeded&pageSize=1").await?.meta.total
        };
        let how = if self.scenario.wants_refusal() { "refused, as they should be" } else { "delivered" };
        say(&format!("{} requests, {well} of {deliveries} deliveries {how}", self.seen.len()));
        Ok(well == deliveries)
    }

    /// What is published at a time, as JSON arrays.
    fn batches(&self, samples: &[EventType]) -> anyhow::Result<Vec<String>> {
        let mut events = Vec::new();
        for (nth, name) in self.scenario.events(self.wish).iter().enumerate() {
            let of = samples.iter().find(|of| of.name == *name).context("the catalogue has every type")?;
            let created = clock::rfc3339(clock::now_ms() - self.scenario.age_ms(nth));
            // The sample goes out byte for byte.
            events.push(format!(r#"{{"type":"{name}","created":"{created}","data":{}}}"#, of.sample.get()));
        }
        let at_a_time = if self.scenario.is_in_turn() { 1 } else { events.len().max(1) };
        Ok(events.chunks(at_a_time).map(|events| format!("[{}]", events.join(","))).collect())
    }

    /// Prints attempts as they end, until no delivery is pending.
    async fn watch_to_the_end(&mut self) -> anyhow::Result<()> {
        loop {
            let pending = self.client.list::<Id>("/v1/deliveries?status=pending&pageSize=1").await?.meta.total;
            for entry in self.fresh().await? {
                self.tell(&entry).await?;
            }
            if pending == 0 {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Attempts that were not there before, oldest first.
    async fn fresh(&mut self) -> anyhow::Result<Vec<Entry>> {
        let mut fresh: Vec<Entry> = Vec::new();
        for webhook in &self.webhooks {
            let mut page = 1;
            loop {
                let path = format!("/v1/webhooks/{webhook}/logs?pageSize={PAGE}&page={page}");
                let entries: List<Entry> = self.client.list(&path).await?;
                let (all, before) = (entries.data.len() as u64, fresh.len());
                fresh.extend(entries.data.into_iter().filter(|entry| !self.seen.contains(&entry.attempt.id)));
                // An attempt that ends meanwhile pushes one on to the next page, where it comes again.
                if all < PAGE || fresh.len() == before || page * PAGE >= 10_000 {
                    break;
                }
                page += 1;
            }
        }
        fresh.sort_by_key(|entry| entry.attempt.id);
        fresh.dedup_by_key(|entry| entry.attempt.id);
        self.seen.extend(fresh.iter().map(|entry| entry.attempt.id));
        Ok(fresh)
    }

    async fn tell(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let attempt = &entry.attempt;
        let is_refused = attempt.status_code.is_some_and(|status| (400..500).contains(&status));
        let outcome = match self.scenario.wants_refusal() {
            true if is_refused => "refused".to_owned(),
            true if attempt.outcome == "succeeded" => "TAKEN".to_owned(),
            _ => attempt.outcome.clone(),
        };
        self.well += usize::from(is_refused);
        let delivery = entry.delivery_id.as_deref().unwrap_or_default();
        let sent = self.sent(delivery, attempt.id).await?;
        let body = sent.as_ref().and_then(|sent| sent["body"].as_str());
        if let Some(body) = body {
            self.bodies.insert(delivery.to_owned(), body.len());
        }
        let bytes = self.bodies.get(delivery).map_or("-".to_owned(), |bytes| format!("{bytes} B"));
        let time = clock::rfc3339(attempt.ended_ms());
        let time = time.split_once('T').map_or(&*time, |(_, time)| time).trim_end_matches('Z');
        let status = attempt.status_code.map_or("---".to_owned(), |status| status.to_string());
        let message = attempt.error_message.as_deref().unwrap_or_default();
        let message = if self.scenario.wants_refusal() && is_refused { "" } else { message };
        let line = format!(
            "{time} {:<27} {} attempt {:<2} {bytes:>7}  {status} {:>5} ms  {outcome:<9}  {message}",
            attempt.event_type, entry.event_id, attempt.attempt_number, attempt.duration_ms
        );
        say(line.trim_end());
        if self.wish.show {
            show(sent.as_ref());
        }
        Ok(())
    }

    /// The request of an attempt.
    async fn sent(&mut self, delivery: &str, attempt: u64) -> anyhow::Result<Option<Value>> {
        let whole: WithAttempts = self.client.get(&format!("/v1/deliveries/{delivery}")).await?;
        Ok(whole.attempts.into_iter().find(|entry| entry.attempt.id == attempt).and_then(|entry| entry.request))
    }
}

fn show(request: Option<&Value>) {
    let Some(request) = request else { return };
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        say(&format!("    {name}: {}", value.as_str().unwrap_or_default()));
    }
    say(&format!("\n    {}\n", request["body"].as_str().unwrap_or("the body is erased")));
}

/// Prints a line. That whoever reads has seen enough is no error.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
