//! `postrider config show`: what a server would run with, and where each value comes from. Starts nothing and changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};
use serde_json::{Value, json};

use super::serve;
use crate::config::{Layer, Layers, Row};

/// Show the configuration that a server would run with.
#[derive(clap::Subcommand)]
pub enum Command {
    Show(Box<Show>),
}

/// Show every choice with its value, and whether an option, the environment, the file or the default says so.
///
/// Takes the options of `serve`. Secrets are masked; nothing is started or changed.
#[derive(clap::Args)]
pub struct Show {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: Sourced,
}

/// The options of `serve`, with what named each.
struct Sourced {
    args: serve::Args,
    /// By option: what named its value.
    names: BTreeMap<String, Name>,
}

/// What named a value.
#[derive(Clone)]
enum Name {
    Option(String),
    Environment(String),
}

impl Args for Sourced {
    fn augment_args(command: clap::Command) -> clap::Command {
        serve::Args::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        serve::Args::augment_args_for_update(command)
    }
}

impl FromArgMatches for Sourced {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Sourced, clap::Error> {
        let command = serve::Args::augment_args(clap::Command::new("serve"));
        let named = command.get_arguments().filter_map(|arg| {
            let name = match matches.value_source(arg.get_id().as_str())? {
                ValueSource::EnvVariable => Name::Environment(arg.get_env()?.to_string_lossy().into_owned()),
                ValueSource::CommandLine => Name::Option(format!("--{}", arg.get_long()?)),
                _ => return None,
            };
            Some((arg.get_id().to_string(), name))
        });
        Ok(Sourced { names: named.collect(), args: serve::Args::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Sourced::from_arg_matches(matches)?;
        Ok(())
    }
}

/// # Errors
/// [`Usage`](super::Usage) for what is configured wrong.
pub fn run(Command::Show(show): &Command) -> anyhow::Result<ExitCode> {
    let layers = show.serve.args.layers()?;
    layers.resolve()?;
    let text = if show.json { to_json(show, &layers) } else { to_table(show, &layers) };
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl Show {
    /// What named the value of `row`, if that is an option or the environment. An option is called as its key is, without the section.
    fn name(&self, row: &Row) -> Option<&Name> {
        let id = row.key.rsplit('.').next().unwrap_or_default();
        self.serve.names.get(id).filter(|_| row.layer == Layer::Named)
    }
}

fn to_table(show: &Show, layers: &Layers) -> String {
    let file = layers.path.as_deref().map_or("none".into(), |path: &Path| path.display().to_string());
    let file_from = match show.serve.names.get("config") {
        _ if layers.path.is_none() => "postrider.toml is not in the working directory".into(),
        Some(name) => told(name),
        None => "in the working directory".into(),
    };
    let rows = layers.rows();
    let mut lines = vec![["key".into(), "value".into(), "from".into()], ["(file)".into(), file.clone(), file_from]];
    lines.extend(rows.iter().map(|row| {
        let from = match (row.layer, show.name(row)) {
            (Layer::File, _) => format!("file {file}"),
            (Layer::Named, Some(name)) => told(name),
            _ => "default".into(),
        };
        [row.key.to_owned(), shown(row), from]
    }));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let (keys, values) = (width(0), width(1).min(VALUE_COLUMNS));
    let mut text = String::new();
    for [key, value, from] in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key:keys$}  {value:values$}  {from}");
    }
    text
}

/// What a longer value pushes the next column out of.
const VALUE_COLUMNS: usize = 48;

fn told(name: &Name) -> String {
    match name {
        Name::Option(option) => format!("option {option}"),
        Name::Environment(variable) => format!("environment {variable}"),
    }
}

/// As a person reads it.
fn shown(row: &Row) -> String {
    match (&row.value, row.key) {
        (Value::String(text), _) => text.clone(),
        (Value::Array(list), _) if list.is_empty() => "none".into(),
        (Value::Array(list), _) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        (Value::Null, "admin_key") => "made at the first start".into(),
        (Value::Null, "master_key") => "made once".into(),
        (Value::Null, "workers") => "one for two cores".into(),
        (Value::Null, "retention_bytes") => "no bound".into(),
        (Value::Null, "log") => "journal, or as it is".into(),
        (Value::Null, _) => "–".into(),
        (value, _) => value.to_string(),
    }
}

fn to_json(show: &Show, layers: &Layers) -> String {
    let setting = |row: &Row| {
        let file = layers.path.as_ref().map(|path| path.display().to_string());
        let (source, name) = match (row.layer, show.name(row)) {
            (Layer::File, _) => ("file", file),
            (Layer::Named, Some(Name::Option(option))) => ("option", Some(option.clone())),
            (Layer::Named, Some(Name::Environment(variable))) => ("environment", Some(variable.clone())),
            _ => ("default", None),
        };
        (row.key.to_owned(), json!({ "value": row.value, "source": source, "name": name }))
    };
    let settings: serde_json::Map<String, Value> = layers.rows().iter().map(setting).collect();
    let file = layers.path.as_ref().map(|path| path.display().to_string());
    format!("{}\n", json!({ "file": file, "settings": settings }))
}
