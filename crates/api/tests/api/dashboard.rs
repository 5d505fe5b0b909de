//! The dashboard, told as what a browser asks and what it is shown. Each page is used by its forms alone, without a script.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod admin;
mod browser;
mod log;
mod replay;
mod sign_in;
mod webhooks;
