//! The binary `postrider`: parses, dispatches to one file a command, and turns the result into an exit code.
//!
//! It is a library for the fuzz targets' sake, which read configurations as it does; nobody else depends on it.
//!
//! Exit 0: done. 1: a failure. 2: bad usage or configuration. Either error is one line on stderr: `postrider: …`.

mod args;
mod client;
mod clock;
mod columns;
mod commands;
mod config;
mod limits;
mod local;
mod logging;
mod numbers;
mod plot;
mod process;
mod progress;
mod receiver;
mod remote;
mod table;
#[cfg_attr(not(feature = "otlp"), path = "traces/absent.rs")]
mod traces;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    Usage, backup, bench, completions, config_show, delivery, demo, emulate, event, key, keys, listen, log, openapi,
    publish, replay, serve, simulate, sink, webhook, workspace,
};

/// Deliver webhooks: take events over HTTP, send them to whoever wants them, retry by a published schedule, show every attempt.
///
/// One program and one folder, nothing else to run. `postrider demo` shows the whole job on this machine;
/// `postrider serve --init genesy` starts a server with a first workspace and prints its key.
///
/// Exit code 0: done. 1: a failure. 2: bad usage or configuration. An error is one line on stderr.
#[derive(Parser)]
#[command(name = "postrider", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Demo(demo::Args),
    Sink(sink::Args),
    Publish(publish::Args),
    Workspace(workspace::Args),
    Key(key::Args),
    Webhook(webhook::Args),
    Event(event::Args),
    Delivery(delivery::Args),
    Replay(replay::Args),
    Listen(listen::Args),
    Emulate(emulate::Args),
    Simulate(Box<simulate::Args>),
    Bench(Box<bench::Args>),
    Log(log::Args),
    Backup(backup::Args),
    #[command(subcommand)]
    Keys(keys::Command),
    #[command(subcommand)]
    Config(config_show::Command),
    Openapi(openapi::Args),
    Completions(completions::Args),
}

/// What the fuzz targets call.
#[doc(hidden)]
pub mod fuzzed {
    pub use crate::args::{bytes, duration, duration_text, listen, moment, rate, share, size, size_text};
    pub use crate::config::{Layer, Layers, Row, Settings};
}

/// Does what the command line says.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => return shown(&error),
        Err(error) => return complain(&usage_line(&error), 2),
    };
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Sink(args) => sink::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Workspace(args) => workspace::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Webhook(args) => webhook::run(&args),
        Command::Event(args) => event::run(&args),
        Command::Delivery(args) => delivery::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Emulate(args) => emulate::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Log(args) => log::run(args),
        Command::Backup(args) => backup::run(&args),
        Command::Keys(command) => keys::run(&command),
        Command::Config(command) => config_show::run(&command),
        Command::Openapi(args) => openapi::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    };
    match result {
        Ok(code) => code,
        Err(error) => complain(&told(&error), if error.is::<Usage>() { 2 } else { 1 }),
    }
}

/// Help and version: not errors, whether or not the reader is still there.
fn shown(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::SUCCESS
}

/// An error with its causes, each once: some tell theirs themselves.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match &*told {
        "" => cause,
        _ if told.ends_with(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

fn complain(message: &str, code: u8) -> ExitCode {
    let line: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("postrider: {}", line.join(" "));
    ExitCode::from(code)
}

/// What clap says in several paragraphs, without the usage and the pointer to `--help`.
fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")?.strip_suffix(" <COMMAND>"));
        let usage = usage.map_or("postrider", |usage| usage.trim_end_matches(" [OPTIONS]"));
        return format!("a command is missing; `{usage} --help` lists them");
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let told = |paragraph: &&str| !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information");
    text.split("\n\n").map(str::trim).filter(told).collect::<Vec<_>>().join("; ")
}
