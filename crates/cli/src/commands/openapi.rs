//! `postrider openapi`: the description of the API, without a server.

use std::process::ExitCode;

/// Print the description of the HTTP API as an OpenAPI document: the one that a server answers with at /openapi.json.
#[derive(clap::Args)]
pub struct Args {}

/// # Errors
/// When it can't be written.
pub fn run(Args {}: &Args) -> anyhow::Result<ExitCode> {
    let mut text = serde_json::to_vec_pretty(&postrider::http::openapi())?;
    text.push(b'\n');
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
