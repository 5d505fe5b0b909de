//! The small rules of a profile, and how each is read from its text.

use super::wire::{ProfileToml, RetryToml, SecretToml};
use crate::invalid::FieldError;
use crate::policy::{DELAYS_MAX, RetryPolicy, parse_delay};
use crate::signing::Scheme;
use serde::Deserialize;

/// What becomes of a delivery whose schedule is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terminal {
    /// It is kept and can be sent again by hand.
    Exhausted,
    /// Nothing sends it again, and its payload is erased once no delivery of the event is pending.
    Removed,
}

/// How an event's time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreatedForm {
    /// Byte for byte as it was given.
    AsGiven,
    /// Normalised to UTC, with `Z` and milliseconds.
    UtcMillis,
}

/// How an event's `created` is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CreatedRule {
    /// How it is written.
    pub form: CreatedForm,
    /// Whether it does not repeat within a workspace and type: a taken time moves to the next free one.
    pub unique: bool,
}

/// How a webhook's secret is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRule {
    /// The header that carries it.
    pub header: Box<str>,
    /// Its least length in characters.
    pub chars_min: usize,
    /// Its greatest length in characters.
    pub chars_max: usize,
}

/// The most characters of a profile's name or title.
const NAME_CHARS_MAX: usize = 64;
/// A secret has to fit into a header line beside others.
const SECRET_CHARS_MAX: usize = 4096;

pub(super) fn name(text: &str) -> Result<Box<str>, FieldError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let fits = !text.is_empty() && text.len() <= NAME_CHARS_MAX && text.bytes().all(allowed);
    if fits { Ok(text.into()) } else { Err(FieldError::new("name", "must be 1 to 64 of a-z, 0-9, - and _")) }
}

pub(super) fn label(field: &str, text: &str) -> Result<Box<str>, FieldError> {
    let fits = !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX;
    if fits { Ok(text.into()) } else { Err(FieldError::new(field, "must be 1 to 64 characters")) }
}

pub(super) fn retry(text: &RetryToml) -> Result<RetryPolicy, FieldError> {
    if text.delays.len() > DELAYS_MAX {
        return Err(FieldError::new("retry.delays", format!("are more than {DELAYS_MAX}")));
    }
    let read = |(n, delay): (usize, &String)| {
        parse_delay(delay).map_err(|e| FieldError::new(format!("retry.delays[{n}]"), e.to_string()))
    };
    let delays = text.delays.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    // NaN is in no range, so it is refused with the rest.
    if !(0.0..=1.0).contains(&text.jitter) {
        return Err(FieldError::new("retry.jitter", "must be from 0 to 1"));
    }
    Ok(RetryPolicy { delays, jitter_permille: (text.jitter * 1000.0).round() as u16 })
}

pub(super) fn secret(text: &SecretToml) -> Result<SecretRule, FieldError> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.header.is_empty() || !text.header.bytes().all(token) {
        return Err(FieldError::new("secret.header", "must be the name of an HTTP header"));
    }
    if text.chars_min == 0 || text.chars_min > text.chars_max || text.chars_max > SECRET_CHARS_MAX {
        let message = format!("must be bounds from 1 to {SECRET_CHARS_MAX}, the lower one first");
        return Err(FieldError::new("secret.chars_min", message));
    }
    Ok(SecretRule { header: text.header.as_str().into(), chars_min: text.chars_min, chars_max: text.chars_max })
}

/// A webhook has one `secret`: it cannot go into a header and be the key to sign with as well.
pub(super) fn signing(text: &ProfileToml) -> Result<Option<Scheme>, FieldError> {
    match (&text.signing, &text.secret) {
        (Some(_), Some(_)) => Err(FieldError::new("signing", "must not be there beside secret")),
        (signing, _) => Ok(signing.as_ref().map(|signing| signing.scheme)),
    }
}

/// A path in `data`: member names, outermost first, never none.
pub(super) type DataPath = Box<[Box<str>]>;

/// Reads `contact.customFields`.
pub(super) fn path(field: &str, text: &str) -> Result<DataPath, FieldError> {
    if text.split('.').any(str::is_empty) {
        return Err(FieldError::new(field, "must be names of members joined by dots"));
    }
    Ok(text.split('.').map(Box::from).collect())
}

pub(super) fn paths(field: &str, texts: &[String]) -> Result<Box<[DataPath]>, FieldError> {
    texts.iter().map(|text| path(field, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_names_joined_by_dots() {
        assert_eq!(path("f", "contact.customFields").map(|p| p.len()), Ok(2));
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert!(path("f", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_jitter_outside_of_0_to_1_is_refused() {
        for jitter in [-0.1, 1.1, f64::NAN] {
            assert!(retry(&RetryToml { delays: vec![], jitter }).is_err(), "{jitter}");
        }
        assert_eq!(retry(&RetryToml { delays: vec![], jitter: 0.1 }).map(|r| r.jitter_permille), Ok(100));
    }
}
