//! The API's error, as one line for a person.

use std::fmt;

use serde::Deserialize;

/// Characters of a message that are shown.
const MESSAGE_MAX: usize = 300;
/// Fields that are named.
const FIELDS_MAX: usize = 3;

/// The API's error, of an entry of a batch or of a whole answer.
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.message.is_empty() { &self.code } else { &self.message })?;
        for Field { field, message } in self.errors.iter().take(FIELDS_MAX) {
            write!(f, " [{field}: {message}]")?;
        }
        Ok(())
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
