//! What the server answers to a batch: one entry an event, or one error for all of it.

use std::fmt;

use anyhow::{Context, bail};
use hyper::StatusCode;
use serde::Deserialize;

use super::client::Reply;

/// Characters of a message that are shown.
const MESSAGE_MAX: usize = 300;

/// What became of one event.
#[derive(Debug, Deserialize)]
pub struct Entry {
    #[serde(default)]
    pub duplicate: bool,
    pub error: Option<Problem>,
}

/// The API's error, of an entry or of the whole answer.
#[derive(Debug, Deserialize)]
pub struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    field: String,
    message: String,
}

#[derive(Deserialize)]
struct Batch {
    data: Vec<Entry>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.message.is_empty() { &self.code } else { &self.message })?;
        for Field { field, message } in self.errors.iter().take(3) {
            write!(f, " [{field}: {message}]")?;
        }
        Ok(())
    }
}

/// The entries, in the order of the events.
///
/// # Errors
/// The batch as a whole was refused, or the answer is not the API's.
pub fn entries(reply: &Reply) -> anyhow::Result<Vec<Entry>> {
    let batch = serde_json::from_slice::<Batch>(&reply.body);
    match reply.status {
        StatusCode::ACCEPTED => Ok(batch.context("the answer cannot be read")?.data),
        StatusCode::UNPROCESSABLE_ENTITY if batch.is_ok() => Ok(batch?.data),
        status => bail!("the server answered {} {}", status.as_u16(), problem(&reply.body)),
    }
}

/// The message of an error answer, or the beginning of whatever came instead.
pub fn problem(body: &[u8]) -> String {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => printable(&problem.to_string()),
        Err(_) => printable(&String::from_utf8_lossy(&body[..body.len().min(MESSAGE_MAX)])),
    }
}

/// One line of text from elsewhere, fit for a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply { status: StatusCode::from_u16(status).unwrap(), retry_after: None, body: body.into() }
    }

    #[test]
    fn a_refused_batch_still_has_its_entries() {
        let body = r#"{"data":[{"id":"a","error":{"code":"validation_failed","message":"no","errors":[
            {"field":"type","message":"not in the catalogue"}]}}]}"#;
        let entries = entries(&reply(422, body)).unwrap();
        assert_eq!(entries[0].error.as_ref().unwrap().to_string(), "no [type: not in the catalogue]");
    }

    #[test]
    fn an_error_for_all_of_it_says_what_the_server_said() {
        let error = entries(&reply(401, r#"{"status":"error","code":"unauthorized","message":"unknown key"}"#));
        assert_eq!(error.unwrap_err().to_string(), "the server answered 401 unknown key");
        let error = entries(&reply(200, "<h1>\x1b[2Jhello\n</h1>"));
        assert_eq!(error.unwrap_err().to_string(), "the server answered 200 <h1> [2Jhello </h1>");
    }
}
