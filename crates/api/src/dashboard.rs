//! The dashboard: pages for people, at `/` and under `/dashboard`, rendered here and whole without a script.
//!
//! It sees and does what the API does, by the engine's handle, with the API's wire types and checks, so that both refuse in the same words.
//! Whatever comes from outside (payloads, URLs, responses, names) is text and nothing else: the templates escape it, and no page may run or
//! load anything that does not come from this binary. Every form carries the token of its session. Refusals are pages; only an address that
//! does not exist is answered as the API does.

mod access;
mod assets;
mod deliveries;
mod events;
mod form;
mod history;
mod live;
mod overview;
mod page;
mod parts;
mod plot;
mod replays;
mod session;
mod sign_in;
mod system;
mod webhook_form;
mod webhook_log;
mod webhooks;
mod words;
mod workspaces;

use axum::Router;
use axum::routing::{get, post};

use crate::state::Api;

pub use session::Sessions;
pub use sign_in::{__path_index, index};

/// All pages but `/`, which the API's description names.
pub fn pages() -> Router<Api> {
    Router::new()
        .route("/dashboard/style.css", get(assets::style))
        .route("/dashboard/live.js", get(assets::script))
        .route("/dashboard/icon.svg", get(assets::icon))
        .route("/dashboard/live", get(live::watch))
        .route("/dashboard/sign-in", post(sign_in::begin))
        .route("/dashboard/sign-out", post(sign_in::end))
        .route("/dashboard/overview", get(overview::show))
        .route("/dashboard/webhooks/new", get(webhook_form::blank).post(webhook_form::create))
        .route("/dashboard/webhooks/{id}", get(webhook_log::show))
        .route("/dashboard/webhooks/{id}/edit", get(webhook_form::edit).post(webhook_form::change))
        .route("/dashboard/webhooks/{id}/switch", post(webhooks::switch))
        .route("/dashboard/webhooks/{id}/delete", get(webhooks::confirm_delete).post(webhooks::delete))
        .route("/dashboard/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/dashboard/webhooks/{id}/test", post(webhooks::test))
        .route("/dashboard/webhooks/{id}/replay", get(replays::form).post(replays::count_or_start))
        .route("/dashboard/replays/{id}", get(replays::show).post(replays::change))
        .route("/dashboard/deliveries", get(deliveries::list))
        .route("/dashboard/deliveries/{id}", get(deliveries::show))
        .route("/dashboard/deliveries/{id}/retry", post(deliveries::retry))
        .route("/dashboard/events", get(events::list))
        .route("/dashboard/events/{id}", get(events::show))
        .route("/dashboard/server", get(system::show))
        .route("/dashboard/workspaces", post(workspaces::create))
        .route("/dashboard/workspaces/{id}", get(workspaces::show).post(workspaces::rename))
        .route("/dashboard/workspaces/{id}/delete", get(workspaces::confirm_delete).post(workspaces::delete))
        .route("/dashboard/workspaces/{id}/keys", post(workspaces::create_key))
        .route("/dashboard/workspaces/{id}/keys/{key}/revoke", post(workspaces::revoke_key))
}
