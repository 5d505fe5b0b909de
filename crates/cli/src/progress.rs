//! How far long work is: a bar on stderr, and nothing where that is no terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that looks as its template says. Its length comes with the work.
///
/// # Errors
/// The template is not one.
pub fn bar(template: &str) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    Ok(ProgressBar::no_length().with_style(ProgressStyle::with_template(template)?))
}
