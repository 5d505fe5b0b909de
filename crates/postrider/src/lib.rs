//! A webhook delivery engine to embed: it takes events, makes them durable, delivers them to the webhooks that want them, retries by a
//! published schedule, and remembers every attempt. The log is in one folder; there is no other service.
//!
//! ```
//! use postrider::{Engine, EventDraft, Field, WebhookDraft};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("postrider-doc-{}", std::process::id()));
//! let engine = Engine::builder().data(&folder).allow("loopback").open()?;
//! let handle = engine.handle();
//!
//! let (workspace, _key) = handle.create_workspace("acme", "genesy").await?;
//! let webhook = WebhookDraft {
//!     name: Field::Set("crm".into()),
//!     url: Field::Set("http://127.0.0.1:9/hook".into()),
//!     events: Field::Set(vec!["EMAIL_SENT".into()]),
//!     ..WebhookDraft::default()
//! };
//! handle.create_webhook(workspace.id, webhook).await?;
//!
//! let data = r#"{"contact":{"id":7,"firstName":"Ada"}}"#.into();
//! let event = EventDraft { event_type: "EMAIL_SENT".into(), data, ..EventDraft::default() };
//! let accepted = handle.publish(workspace.id, event).await?; // durable from here on
//! assert_eq!(accepted.deliveries, 1);
//!
//! engine.shutdown(Duration::from_secs(20)).await;
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! The engine brings its own threads. It never reads the environment, installs a logger, or ends the process: it says what it has to say
//! through `tracing`, and a log that can't be written shows as [`Stopped::Poisoned`] and as [`Refused::Closed`].
//! With the feature `http`, [`http`] serves the API of the binary.

pub mod backup;
mod builder;
mod folder;
pub mod inspect;
pub mod keys;
mod new_folder;
pub mod rehearsal;
pub mod salvage;

pub use builder::EngineBuilder;
pub use postrider_core::attempt::{Attempt, ErrorKind, Exchange, Failure, Outcome};
pub use postrider_core::command::{Accepted, Rejection};
pub use postrider_core::delivery::{Cell, Status};
pub use postrider_core::draft::{Field, PolicyDraft, WebhookDraft};
pub use postrider_core::event::Event;
pub use postrider_core::invalid::FieldError;
pub use postrider_core::policy::{ParseDelayError, RetryPolicy, format_delay, parse_delay};
pub use postrider_core::profile::{EventTypes, Profile};
pub use postrider_core::replay::{Only, Replay, ReplayState, Wish};
pub use postrider_core::signing::{RetiredKey, Scheme, Signing, SigningKey};
pub use postrider_core::webhook::{CampaignId, Settings, Webhook};
pub use postrider_core::workspace::{Key, Scope, Scopes, Workspace};
pub use postrider_core::{
    AttemptId, DeliveryKey, EventId, KeyId, Millis, Position, ReplayId, Time, WebhookId, WorkspaceId,
};
pub use postrider_engine::{
    AttemptDetail, ClockMode, Cursor, DeliveryDetail, DeliveryFilter, DeliveryRow, EventDetail, EventDraft,
    EventFilter, EventSummary, Handle, History, HistoryQuery, HistoryStep, LogEntry, LogFilter, MasterKey, NewKey,
    Page, PageQuery, ParseMasterKeyError, Pending, Refused, ReplayCount, ReplayProgress, SavedWebhook, SentRequest,
    Slot, StartError, Statistics, Stopped, Subject, TestReport, WebhookHealth, WebhookSeries, WindowFigures,
    new_admin_key, public_key_text,
};
pub use postrider_log::LogKind;
pub use secrecy::{ExposeSecret, SecretString};

/// The HTTP API that the binary serves.
#[cfg(feature = "http")]
pub mod http {
    pub use postrider_api::*;
}

/// A running engine. Dropping it without [`Engine::shutdown`] cuts off what is in flight; nothing acknowledged is lost by that.
pub struct Engine(postrider_engine::Engine);

impl Engine {
    /// How an engine is to run.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// What the rest of the program holds of the engine: cheap to clone.
    pub fn handle(&self) -> Handle {
        self.0.handle()
    }

    /// Facts that were replayed at the start.
    pub fn replayed_facts(&self) -> u64 {
        self.0.replayed_facts()
    }

    /// Takes no more commands, lets attempts in flight end for at most `grace` (or the longest timeout of a webhook, if that is longer),
    /// seals the log.
    pub async fn shutdown(self, grace: std::time::Duration) -> Stopped {
        self.0.shutdown(grace).await
    }
}
