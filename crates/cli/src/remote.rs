//! A server somewhere, for the commands that do over HTTP what an operator does by hand: which server with which key, requests, and how
//! answers are printed.
//!
//! On stdout is what was asked for, and nothing else: a table for people, or with `--json` the API's own JSON as it came. What is said beside
//! it is on stderr.

use std::fmt::{Display, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::client::{Address, Client, Trust, printable, problem};
use crate::columns::{self, Column};
use crate::commands::{Usage, print};
use crate::limits::API_ANSWER_BYTES_MAX;

/// Which server, and how to print.
#[derive(clap::Args)]
#[command(next_help_heading = "The server")]
pub struct Options {
    /// The server, such as http://127.0.0.1:8080
    #[arg(long, env = "POSTRIDER_URL", value_name = "URL", global = true)]
    url: Option<String>,
    /// A key of the workspace
    #[arg(long, env = "POSTRIDER_KEY", value_name = "KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    #[command(flatten)]
    trust: Trust,
    /// Print the API's own JSON
    #[arg(long, global = true)]
    json: bool,
}

/// The same with the key that manages workspaces.
#[derive(clap::Args)]
#[command(next_help_heading = "The server")]
pub struct AdminOptions {
    /// The server, such as http://127.0.0.1:8080
    #[arg(long, env = "POSTRIDER_URL", value_name = "URL", global = true)]
    url: Option<String>,
    /// The admin key: what DATA/admin.key has; POSTRIDER_KEY when neither is given
    #[arg(long, env = "POSTRIDER_ADMIN_KEY", value_name = "KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    #[command(flatten)]
    trust: Trust,
    /// Print the API's own JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Which page of a list.
#[derive(clap::Args)]
pub struct Paging {
    /// The page's number, from 1
    #[arg(long, value_name = "N")]
    page: Option<u32>,
    /// Entries of a page, up to 200 [default: 50]
    #[arg(long, value_name = "N")]
    page_size: Option<u32>,
    /// Where to go on: the page before names it
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// A client, and how its answers are printed.
pub struct Remote {
    client: Client,
    pub json: bool,
}

/// A path of the API with its query, each part escaped.
pub struct Ask(String);

/// An answer that was a success: as it came, and as a value; null where it has no body.
pub struct Answer {
    text: Bytes,
    value: Value,
}

/// Why there is no stream.
pub enum Unwatched {
    /// The server is not there, or cannot just now.
    ForNow(anyhow::Error),
    /// It will not.
    Refused(anyhow::Error),
}

impl Options {
    /// # Errors
    /// [`Usage`]: no server or key is named, or it can't be meant.
    pub fn remote(&self) -> anyhow::Result<Remote> {
        let address = address(self.url.as_deref(), &self.trust)?;
        Remote::new(address, self.key.as_deref(), "a key of the workspace, or POSTRIDER_KEY", self.json)
    }
}

impl AdminOptions {
    /// # Errors
    /// As [`Options::remote`].
    pub fn remote(&self) -> anyhow::Result<Remote> {
        let other = std::env::var("POSTRIDER_KEY").ok();
        let key = self.key.as_deref().or(other.as_deref());
        let address = address(self.url.as_deref(), &self.trust)?;
        Remote::new(address, key, "the admin key, or POSTRIDER_ADMIN_KEY", self.json)
    }
}

fn address(url: Option<&str>, trust: &Trust) -> Result<Address, Usage> {
    let url = url.ok_or_else(|| Usage("--url is missing: the server, or POSTRIDER_URL".to_owned()))?;
    Address::parse(url, trust).map_err(Usage)
}

/// Runs what talks to a server.
///
/// # Errors
/// As `work` has them.
pub fn run(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

impl Remote {
    fn new(address: Address, key: Option<&str>, which_key: &str, json: bool) -> anyhow::Result<Remote> {
        let key = key.ok_or_else(|| Usage(format!("--key is missing: {which_key}")))?;
        Ok(Remote { client: Client::new(address, key)?, json })
    }

    /// # Errors
    /// No answer, or one that is no success, in the server's words.
    pub async fn get(&mut self, ask: Ask) -> anyhow::Result<Answer> {
        self.send(Method::GET, ask, None).await
    }

    /// # Errors
    /// As [`Remote::get`].
    pub async fn post(&mut self, ask: Ask, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, ask, Some(body.to_string())).await
    }

    /// # Errors
    /// As [`Remote::get`].
    pub async fn patch(&mut self, ask: Ask, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PATCH, ask, Some(body.to_string())).await
    }

    /// Deletes, and says so in `done`.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn delete(&mut self, ask: Ask, done: &str) -> anyhow::Result<ExitCode> {
        self.send(Method::DELETE, ask, None).await?;
        eprintln!("{done}");
        Ok(ExitCode::SUCCESS)
    }

    /// The body as it is given.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn send(&mut self, method: Method, ask: Ask, body: Option<String>) -> anyhow::Result<Answer> {
        let (status, text) = self.client.send(method, &ask.0, body).await?;
        if !status.is_success() {
            bail!("the server answered {} {}", status.as_u16(), problem(&text));
        }
        let value = match status {
            StatusCode::NO_CONTENT => Value::Null,
            _ => serde_json::from_slice(&text).context("the answer cannot be read")?,
        };
        Ok(Answer { text, value })
    }

    /// The messages of a stream of server-sent events.
    ///
    /// # Errors
    /// As [`Remote::get`]; it says whether that can pass.
    pub async fn watch(&mut self, ask: Ask) -> Result<Incoming, Unwatched> {
        let answer = self.client.open(&ask.0).await.map_err(Unwatched::ForNow)?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let text = Limited::new(answer.into_body(), API_ANSWER_BYTES_MAX).collect().await;
        let said = problem(&text.map(|text| text.to_bytes()).unwrap_or_default());
        let error = anyhow!("the server answered {} {said}", status.as_u16());
        let can_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(if can_pass { Unwatched::ForNow(error) } else { Unwatched::Refused(error) })
    }

    /// One resource: what the server says of it on stderr, its members on stdout, those of `apart` not among them.
    ///
    /// # Errors
    /// Stdout can't be written. So it is with all that print.
    pub fn show(&self, answer: &Answer, first: &[&str], apart: &[&str]) -> anyhow::Result<()> {
        self.show_part(answer, answer.data(), first, apart)
    }

    /// The same with the members of a part of the resource.
    pub fn show_part(&self, answer: &Answer, part: &Value, first: &[&str], apart: &[&str]) -> anyhow::Result<()> {
        if self.json {
            return self.show_json(answer);
        }
        if let Some(message) = answer.value["message"].as_str() {
            eprintln!("{}", printable(message));
        }
        print(columns::sheet(part, first, apart).as_bytes())
    }

    /// A page of a list, and how to go on from it.
    pub fn list(&self, answer: &Answer, columns: &[Column]) -> anyhow::Result<ExitCode> {
        if self.json {
            self.show_json(answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        let entries = answer.data().as_array().map(Vec::as_slice).unwrap_or_default();
        if entries.is_empty() {
            eprintln!("none");
        } else {
            print(columns::table(entries, columns).as_bytes())?;
        }
        let meta = &answer.value["meta"];
        if let (Some(cursor), Some(total)) = (meta["nextCursor"].as_str(), meta["total"].as_u64()) {
            let or_more = if meta["totalIsCapped"] == true { " or more" } else { "" };
            eprintln!("{} of {total}{or_more}; go on with --cursor {}", entries.len(), printable(cursor));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Entries of a part of a resource, as a table below it.
    pub fn list_part(&self, entries: &Value, columns: &[Column]) -> anyhow::Result<()> {
        match entries.as_array() {
            Some(entries) if !entries.is_empty() && !self.json => {
                print(format!("\n{}", columns::table(entries, columns)).as_bytes())
            }
            _ => Ok(()),
        }
    }

    fn show_json(&self, answer: &Answer) -> anyhow::Result<()> {
        print(&[&answer.text[..], b"\n"].concat())
    }
}

impl Answer {
    /// The resource, or the entries of a list.
    pub fn data(&self) -> &Value {
        &self.value["data"]
    }
}

impl Ask {
    /// A path that stands in the API.
    pub fn of(path: &str) -> Ask {
        Ask(path.to_owned())
    }

    /// A further segment.
    pub fn under(mut self, segment: impl Display) -> Ask {
        self.0.push('/');
        escape(&mut self.0, &segment.to_string());
        self
    }

    /// A parameter, if it has a value.
    pub fn with(mut self, name: &str, value: Option<impl Display>) -> Ask {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            escape(&mut self.0, &value.to_string());
        }
        self
    }

    /// Which page.
    pub fn page(self, paging: &Paging) -> Ask {
        self.with("page", paging.page).with("pageSize", paging.page_size).with("cursor", paging.cursor.as_ref())
    }
}

fn escape(path: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
}

/// For what cannot be undone: `--yes`, or a yes at the terminal.
///
/// # Errors
/// [`Usage`]: neither.
pub fn confirm(yes: bool, what: &str) -> anyhow::Result<()> {
    use std::io::{BufRead, IsTerminal};
    if yes {
        return Ok(());
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Usage(format!("{what}: this cannot be undone; --yes says that it is meant")).into());
    }
    eprint!("{what}: this cannot be undone. Type yes to go on: ");
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    if line.trim() == "yes" { Ok(()) } else { bail!("nothing was done") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_escaped() {
        let ask =
            Ask::of("/v1/events").under("a/b ü").with("type", Some("x&y")).with("no", None::<u8>).with("n", Some(1));
        assert_eq!(ask.0, "/v1/events/a%2Fb%20%C3%BC?type=x%26y&n=1");
    }
}
