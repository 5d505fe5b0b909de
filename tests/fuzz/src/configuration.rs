//! Any text as the configuration file, and as the values of options: a configuration, or one error that says what is wrong. `config show` shows
//! everything that the file says, as it says it; and what it shows can be written as a file, which then shows the same.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use postrider_cli::fuzzed::{self as cli, Layer, Layers, Row, Settings};
use serde_json::Value;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    options(text);
    // Those are read, whichever they are.
    if text.contains("ca_files") {
        return;
    }
    match layers(text) {
        Ok(layers) => {
            let rows = shown(&layers);
            says(text, &rows);
            let again = layers_of(&rows);
            assert_eq!(shown(&again), rows, "what is shown can be written");
            if let Err(error) = layers.resolve() {
                is_an_error(&error);
            }
        }
        Err(error) => is_an_error(&error),
    }
}

/// Shown in another spelling than they may be written in.
const SPELT: [&str; 6] = ["listen", "event_max", "grace", "segment", "retention", "retention_bytes"];

/// The file, read by somebody else, says no more and nothing else than is shown.
fn says(text: &str, rows: &[(&str, Value)]) {
    let file: toml::Table = toml::from_str(text).expect("it was read as TOML");
    for (key, value) in leaves(&file).into_iter().filter(|(key, _)| !key.ends_with("_key")) {
        let row = rows.iter().find(|(shown, _)| *shown == key);
        // A list that is empty says nothing.
        if value.as_array().is_none_or(|list| !list.is_empty()) {
            let (_, shown) = row.unwrap_or_else(|| panic!("{key} is not shown"));
            assert!(SPELT.contains(&&*key) || *shown == value, "{key}: {shown} is shown, and the file says {value}");
        }
    }
}

fn leaves(file: &toml::Table) -> Vec<(String, Value)> {
    let json = |value: &toml::Value| serde_json::to_value(value).expect("JSON has all that a configuration can be");
    let mut leaves = Vec::new();
    for (key, value) in file {
        match value {
            toml::Value::Table(table) => leaves.extend(table.iter().map(|(of, v)| (format!("{key}.{of}"), json(v)))),
            value => leaves.push((key.clone(), json(value))),
        }
    }
    leaves
}

fn options(text: &str) {
    if let Ok(duration) = cli::duration(text) {
        assert_eq!(cli::duration(&cli::duration_text(duration)), Ok(duration));
    }
    if let Ok(size) = cli::size(text) {
        assert_eq!(cli::size(&cli::size_text(size)), Ok(size));
    }
    if let Ok(share) = cli::share(text) {
        assert!((0.0..=1.0).contains(&share));
    }
    let _ = (cli::bytes(text), cli::rate(text), cli::listen(text), cli::moment(text));
}

fn is_an_error(error: &anyhow::Error) {
    assert!(!error.to_string().trim().is_empty());
}

/// Keys and values that the file names. Secrets are masked, so they are not among them.
fn shown(layers: &Layers) -> Vec<(&'static str, Value)> {
    let named = layers.rows().into_iter().filter(|Row { layer, .. }| *layer == Layer::File);
    named.map(|row| (row.key, row.value)).filter(|(key, _)| !key.ends_with("_key")).collect()
}

fn layers_of(rows: &[(&'static str, Value)]) -> Layers {
    let line = |(key, value): &(&str, Value)| {
        // JSON's strings, numbers and lists are TOML's, but for one character.
        format!("{key} = {}\n", value.to_string().replace('\u{7f}', "\\u007f"))
    };
    let text: String = rows.iter().map(line).collect();
    layers(&text).unwrap_or_else(|error| panic!("what is shown cannot be read: {error}\n{text}"))
}

thread_local! {
    /// Has no name but this process's own for it, so none is left behind.
    static FILE: RefCell<(File, PathBuf)> = RefCell::new({
        let file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).expect("room for a file");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        (file, path)
    });
}

fn layers(text: &str) -> anyhow::Result<Layers> {
    FILE.with_borrow_mut(|(file, path)| {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        Layers::new(Settings::default(), Some(path))
    })
}
