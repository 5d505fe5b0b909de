//! The contract with clients, told as requests and answers over a running engine.

mod auth;
mod dashboard;
mod deliveries;
mod document;
mod errors;
mod events;
mod lists;
mod server;
mod support;
mod webhooks;
