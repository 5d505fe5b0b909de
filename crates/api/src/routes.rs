//! The routes, one cluster of verbs a file. Each is registered with its own description, so that the document and the router agree.

mod catalogue;
pub mod deliveries;
pub mod events;
mod health;
mod keys;
pub mod live;
pub mod logs;
mod operations;
mod publish;
mod replays;
mod stats;
mod webhooks;
mod workspaces;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// All routes with their descriptions.
pub fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(workspaces::create, workspaces::list))
        .routes(routes!(workspaces::get, workspaces::change, workspaces::delete))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::get, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::test))
        .routes(routes!(logs::list))
        .routes(routes!(health::get))
        .routes(routes!(stats::get))
        .routes(routes!(stats::get_webhook))
        .routes(routes!(publish::publish, events::list))
        .routes(routes!(events::get, events::erase))
        .routes(routes!(events::explain))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::retry))
        .routes(routes!(replays::start))
        .routes(routes!(replays::get, replays::cancel))
        .routes(routes!(replays::pause))
        .routes(routes!(replays::resume))
        .routes(routes!(live::watch))
        .routes(routes!(catalogue::event_types))
        .routes(routes!(catalogue::egress))
        .routes(routes!(crate::dashboard::index))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::openapi))
}
