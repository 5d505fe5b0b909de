//! Facts for people: one line each, without payloads and secrets.

use super::{Fact, Restated};

/// A fact in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The fact's name.
    pub kind: &'static str,
    /// What it is about.
    pub what: String,
}

impl Fact {
    /// Says what happened, in one line.
    pub fn describe(&self) -> Description {
        let (kind, what) = match self {
            Fact::ProfileRegistered(profile) => ("ProfileRegistered", format!("{} {}", profile.name, profile.hash)),
            Fact::WorkspaceCreated { id, name, profile, .. } => {
                ("WorkspaceCreated", format!("{id} {profile} {name:?}"))
            }
            Fact::WorkspaceRenamed { id, name } => ("WorkspaceRenamed", format!("{id} {name:?}")),
            Fact::WorkspaceDeleted { id } => ("WorkspaceDeleted", id.to_string()),
            Fact::KeyCreated(key) => ("KeyCreated", format!("{} in {} {:?}", key.id, key.workspace, key.name)),
            Fact::KeyRevoked { workspace, id } => ("KeyRevoked", format!("{id} in {workspace}")),
            Fact::WebhookCreated(webhook) => ("WebhookCreated", format!("{} in {}", webhook.id, webhook.workspace)),
            Fact::WebhookChanged(webhook) => ("WebhookChanged", format!("{} in {}", webhook.id, webhook.workspace)),
            Fact::WebhookDeleted { workspace, id } => ("WebhookDeleted", format!("{id} in {workspace}")),
            Fact::EventAccepted(event) => {
                let (id, kind, count) = (&event.id, &event.event_type, event.chosen.len());
                ("EventAccepted", format!("{id} {kind} in {} for {count} webhooks", event.workspace))
            }
            Fact::AttemptFinished { cell, attempt, .. } => {
                let status = attempt.exchange.status_code.map_or("-".to_owned(), |code| code.to_string());
                let (key, number, outcome) = (cell.key, attempt.number, attempt.outcome.as_str());
                ("AttemptFinished", format!("{key} attempt {number} to webhook {}: {status} {outcome}", cell.webhook))
            }
            Fact::RetryRequested { cell, .. } => {
                ("RetryRequested", format!("{} to webhook {}", cell.key, cell.webhook))
            }
            Fact::EventErased { event, cancelled, .. } => {
                ("EventErased", format!("the event at {event}, {} deliveries cancelled", cancelled.len()))
            }
            Fact::EventCarried { event, was, cells } => (
                "EventCarried",
                format!("{} accepted at {}, from {was}, with {} deliveries", event.id, event.at, cells.len()),
            ),
            Fact::Restated(restated) => ("Restated", restated.describe()),
            Fact::ReplayStarted(replay) => {
                let (id, webhook, wish) = (replay.id, replay.webhook, &replay.wish);
                ("ReplayStarted", format!("{id} to webhook {webhook}: {} since {}", wish.only.as_str(), wish.since))
            }
            Fact::ReplayAdvanced { id, next, released, skipped, .. } => {
                ("ReplayAdvanced", format!("{id} to {next}: {released} deliveries due, {skipped} skipped"))
            }
            Fact::ReplayChanged { id, state, .. } => ("ReplayChanged", format!("{id} is {}", state.as_str())),
            Fact::DeliveryAdded { cell } => ("DeliveryAdded", format!("{} to webhook {}", cell.key, cell.webhook)),
            Fact::TestFinished { webhook, event_type, attempt, .. } => {
                ("TestFinished", format!("{event_type} to webhook {webhook}: {}", attempt.outcome.as_str()))
            }
        };
        Description { kind, what }
    }
}

impl Restated {
    fn describe(&self) -> String {
        match self {
            Restated::Begin { .. } => "the state begins".into(),
            Restated::Profile(at, profile) => format!("profile {} of {at}", profile.name),
            Restated::Workspace(workspace) => format!("{} with {} keys", workspace.id, workspace.keys.len()),
            Restated::Webhook(webhook) => format!("webhook {} as of {}", webhook.id, webhook.version),
            Restated::WebhookDeleted(id, at) => format!("webhook {id} deleted at {at}"),
            Restated::Pending(id, pending) => format!("webhook {id} with {pending} pending"),
            Restated::TakenTimes(taken) => {
                format!("{} runs of timestamps of {} in {}", taken.millis.len(), taken.event_type, taken.workspace)
            }
            Restated::OwedErasure(event) => format!("event at {event} is to be erased"),
            Restated::Replay(replay) => format!("{} at {}, {}", replay.id, replay.next, replay.state.as_str()),
            Restated::End => "the state is whole".into(),
        }
    }
}
