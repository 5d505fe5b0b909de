//! `postrider completions`: what makes a shell complete commands and options.

use std::process::ExitCode;

use clap_complete::{Shell, generate};

/// Print a script that makes a shell complete commands and options.
///
/// For bash: postrider completions bash > ~/.local/share/bash-completion/completions/postrider. For zsh, into a folder of $fpath, as
/// _postrider. For fish: ~/.config/fish/completions/postrider.fish.
#[derive(clap::Args)]
pub struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// # Errors
/// When it can't be written.
pub fn run(args: &Args, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    generate(args.shell, command, "postrider", &mut text);
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
