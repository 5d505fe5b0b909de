//! A customer of the server: makes its workspace and webhooks and publishes events, over HTTP and with its own key, as any client would.

use std::net::SocketAddr;

use anyhow::Context;
use hyper::StatusCode;
use serde_json::json;

use super::scenario::{Hook, Scene};
use crate::client::Client;
use crate::client::wire::{Accepted, EventType, Webhook, Workspace};

/// A workspace, its key and its webhooks.
pub struct Customer {
    pub scene: &'static Scene,
    pub key: String,
    pub client: Client,
    /// The profile's catalogue, as the API tells it.
    pub types: Vec<EventType>,
    /// Webhooks by their ids.
    pub hooks: Vec<(u64, &'static Hook)>,
    /// Events of the first round.
    pub published: Vec<Published>,
    /// Deliveries made of all events so far, by the answers to them.
    pub deliveries: u64,
    sent: usize,
    /// Whether the first event, published once more, was answered as a duplicate.
    pub again: Option<bool>,
}

/// An event that was accepted.
#[derive(Clone)]
pub struct Published {
    pub id: String,
    pub event_type: String,
    /// As it was sent.
    pub data: String,
    /// Webhooks that it goes to, by the API's answer.
    pub deliveries: u64,
}

impl Customer {
    /// Makes the workspace and its webhooks.
    ///
    /// # Errors
    /// The API answers otherwise than documented.
    pub async fn arrive(
        scene: &'static Scene,
        admin: &mut Client,
        server: SocketAddr,
        receiver: SocketAddr,
    ) -> anyhow::Result<Self> {
        let wish = json!({"name": format!("{} demo", scene.profile), "profile": scene.profile});
        let workspace: Workspace = admin.post("/v1/workspaces", wish.to_string(), StatusCode::CREATED).await?;
        let mut client = Client::new(server, &workspace.api_key)?;
        let types: Vec<EventType> = client.get("/v1/event-types").await?;
        anyhow::ensure!(!types.is_empty(), "the catalogue of {} is empty", scene.profile);
        let mut customer = Self {
            scene,
            key: workspace.api_key,
            client,
            types,
            hooks: Vec::new(),
            published: Vec::new(),
            deliveries: 0,
            sent: 0,
            again: None,
        };
        for hook in scene.hooks {
            let id = customer.subscribe(hook, receiver).await.with_context(|| hook.name)?;
            customer.hooks.push((id, hook));
        }
        Ok(customer)
    }

    async fn subscribe(&mut self, hook: &Hook, receiver: SocketAddr) -> anyhow::Result<u64> {
        let names = self.types.iter().map(|known| known.name.as_str());
        let events: Vec<&str> = names.filter(|name| hook.wants(name)).collect();
        let mut wish = json!({
            "name": hook.name,
            "url": format!("http://{receiver}{}", hook.path),
            "events": events,
            "retryPolicy": {"delays": self.scene.delays},
        });
        if let Some(secret) = hook.secret {
            wish["secret"] = secret.into();
        }
        let made: Webhook = self.client.post("/v1/webhooks", wish.to_string(), StatusCode::CREATED).await?;
        Ok(made.id)
    }

    /// Publishes the sample of the next type, round and round, under an id of its own.
    ///
    /// # Errors
    /// It is not accepted, or not as a new event.
    pub async fn publish_next(&mut self) -> anyhow::Result<Published> {
        let of = &self.types[self.sent % self.types.len()];
        self.sent += 1;
        let mut event = Published {
            // Digits of a fixed width: ids rise with time.
            id: format!("demo-{:06}", self.sent),
            event_type: of.name.clone(),
            data: of.sample.get().to_owned(),
            deliveries: 0,
        };
        let accepted = self.publish(&event).await?;
        anyhow::ensure!(!accepted.duplicate && accepted.id == event.id, "{} was taken for another event", event.id);
        event.deliveries = accepted.deliveries;
        self.deliveries += accepted.deliveries;
        Ok(event)
    }

    /// Publishes the first event once more, as a client does that has lost the answer.
    ///
    /// # Errors
    /// It is not accepted.
    pub async fn publish_again(&mut self) -> anyhow::Result<()> {
        if let Some(first) = self.published.first().cloned() {
            self.again = Some(self.publish(&first).await?.duplicate);
        }
        Ok(())
    }

    async fn publish(&mut self, event: &Published) -> anyhow::Result<Accepted> {
        let Published { id, event_type, data, .. } = event;
        // The sample goes out byte for byte: what is compared at the receiver is what stands here.
        let json = format!(r#"{{"id":"{id}","type":"{event_type}","data":{data}}}"#);
        self.client.post("/v1/events", json, StatusCode::ACCEPTED).await
    }
}
