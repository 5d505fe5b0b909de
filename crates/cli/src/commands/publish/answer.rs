//! What the server answers to a batch: one entry an event, or one error for all of it.

use anyhow::{Context, bail};
use hyper::StatusCode;
use serde::Deserialize;

use super::client::Reply;
use crate::client::{Problem, problem};

/// What became of one event.
#[derive(Debug, Deserialize)]
pub struct Entry {
    #[serde(default)]
    pub duplicate: bool,
    pub error: Option<Problem>,
}

#[derive(Deserialize)]
struct Batch {
    data: Vec<Entry>,
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
