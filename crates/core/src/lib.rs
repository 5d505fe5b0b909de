//! The domain of Postrider and the pure machine that decides over it.
//!
//! Everything here is a function of its arguments: no file, socket, clock, chance or unordered map. `machine::decide` turns a command
//! into facts, `machine::apply` turns a fact into state and effects; the floors above bring time, entropy, disk and network.

pub mod attempt;
pub mod command;
pub mod delivery;
pub mod directory;
pub mod draft;
pub mod effect;
pub mod event;
pub mod fact;
pub mod ids;
pub mod invalid;
pub mod limits;
pub mod machine;
pub mod policy;
pub mod profile;
pub mod replay;
pub mod sealed;
pub mod signing;
pub mod time;
pub mod webhook;
pub mod workspace;

pub use ids::{AttemptId, DeliveryKey, EventId, KeyId, Position, ReplayId, WebhookId, WorkspaceId};
pub use time::{Millis, Time};
