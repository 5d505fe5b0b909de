//! The engine: what turns the pure machine into a running delivery service.
//!
//! An event's way: `handle` (checked in `intake`) → `inbox` → `writer` runs a turn of the `shard` (decide, apply, append, sync) → replies,
//! `projector` → `views`, the `keeper` takes the log into the store, and jobs to the `worker`s, which render in `outgoing` and send through dispatch → reports back to the writer.
//! One thread decides and appends; nobody else changes anything. There is no HTTP server here and no reading of the environment.

mod ballast;
mod below;
mod clock;
mod entropy;
mod failing;
mod handle;
mod inbox;
mod intake;
mod keeper;
mod keyring;
mod live;
mod loader;
pub mod metering;
mod outgoing;
pub mod overlay;
pub mod past;
mod payloads;
mod poison;
mod projector;
pub mod recovery;
mod restatements;
pub mod shard;
mod shared;
pub mod snapshot;
#[cfg(test)]
mod stage;
mod start;
pub mod stored;
mod views;
mod worker;
mod writer;

pub use clock::{Clock, ClockMode, EngineClock, Hands, SystemHands};
pub use failing::FailingRules;
pub use handle::{
    AttemptDetail, DeliveryDetail, EgressRules, EngineFigures, EventDetail, EventSummary, Handle, NewKey, Refused,
    ReplayProgress, SavedWebhook, SentRequest, TestReport, new_admin_key, new_session_token,
};
pub use intake::{EventDraft, IntakeError, check as check_event};
pub use keyring::{Keyring, KeyringError, MasterKey, NewMaster, ParseMasterKeyError, rotate_master};
pub use live::{Ended, Told, Watch};
pub use overlay::Overlay;
pub use postrider_dispatch::public_key_text;
pub use shard::Retention;
pub use start::{Engine, EngineOptions, StartError, Stopped};
pub use views::{
    Cursor, CursorError, DeliveryFilter, DeliveryRow, EventFilter, Explanation, History, HistoryQuery, HistoryStep,
    ListName, LogEntry, LogFilter, Page, PageQuery, Pending, ReplayCount, Slot, Statistics, Subject, Verdict,
    WebhookHealth, WebhookSeries, WindowFigures, paginate, read_cursor,
};
