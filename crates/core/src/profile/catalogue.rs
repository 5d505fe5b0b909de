//! The catalogue: which event types a profile has, and what each one's `data` is.

use super::rules::{DataPath, label};
use super::schema;
use super::shape::{Capture, Shape};
use super::types::Types;
use super::wire::{AnyTypeToml, EventTypeToml, ProfileToml};
use crate::invalid::FieldError;
use crate::limits::{EVENT_BYTES_DEFAULT, EVENT_TYPE_CHARS_MAX};

/// The event types of a profile.
#[derive(Clone, Debug)]
pub enum EventTypes {
    /// These and no others.
    Listed(Box<[EventType]>),
    /// Whatever has a fitting name.
    Any(AnyType),
}

/// An entry of the catalogue.
#[derive(Clone, Debug)]
pub struct EventType {
    /// What events name it by.
    pub name: Box<str>,
    /// For people.
    pub display_name: Box<str>,
    /// When it happens.
    pub description: Box<str>,
    /// The JSON Schema (draft 2020-12) of `data`, as JSON text.
    pub schema: Box<str>,
    /// A whole `data`, as JSON text without space between tokens.
    pub sample: Box<str>,
    pub(super) shape: Shape,
}

/// What stands for the catalogue where any type is allowed: `data` is any object.
#[derive(Clone, Debug)]
pub struct AnyType {
    /// Which names are allowed.
    pub pattern: TypePattern,
    /// A whole `data`, as JSON text without space between tokens.
    pub sample: Box<str>,
    pub(super) shape: Shape,
}

/// A regular expression of the one form `[…]{min,max}`: so many of these characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    text: Box<str>,
    /// One bit an ASCII character.
    allowed: u128,
    chars_min: usize,
    chars_max: usize,
}

impl TypePattern {
    /// The regular expression.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        let fits = |b: u8| b.is_ascii() && self.allowed & (1 << b) != 0;
        (self.chars_min..=self.chars_max).contains(&name.len()) && name.bytes().all(fits)
    }

    /// `None` where it is of another form.
    fn parse(text: &str) -> Option<TypePattern> {
        let (class, counts) = text.strip_prefix('[')?.strip_suffix('}')?.split_once("]{")?;
        let (chars_min, chars_max) = counts.split_once(',')?;
        let (chars_min, chars_max) = (chars_min.parse().ok()?, chars_max.parse().ok()?);
        let bounded = 1 <= chars_min && chars_min <= chars_max && chars_max <= EVENT_TYPE_CHARS_MAX;
        (bounded).then_some(TypePattern { text: text.into(), allowed: characters(class)?, chars_min, chars_max })
    }
}

/// `A-Za-z0-9._-`: ranges and single characters. A name stands in bodies, queries and header-like places, so no others are offered.
fn characters(class: &str) -> Option<u128> {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    let mut rest = class.as_bytes();
    let mut allowed = 0u128;
    while let Some((&first, after)) = rest.split_first() {
        let (last, after) = match after {
            [b'-', last, after @ ..] => (*last, after),
            _ => (first, after),
        };
        if first > last || !(first..=last).all(usual) {
            return None;
        }
        (first..=last).for_each(|b| allowed |= 1 << b);
        rest = after;
    }
    (allowed != 0).then_some(allowed)
}

pub(super) fn compile(text: &ProfileToml, campaign: Option<&[Box<str>]>) -> Result<EventTypes, FieldError> {
    let campaign: Option<DataPath> = campaign.map(Into::into);
    match (&text.any_type, &*text.event_types) {
        (Some(any), []) => any_type(any, campaign.as_ref()).map(EventTypes::Any),
        (None, [_, ..]) => listed(text, campaign.as_ref()).map(EventTypes::Listed),
        _ => Err(FieldError::new("event_types", "must be there, or any_type, and not both")),
    }
}

fn any_type(text: &AnyTypeToml, campaign: Option<&DataPath>) -> Result<AnyType, FieldError> {
    let pattern = TypePattern::parse(&text.pattern)
        .ok_or_else(|| FieldError::new("any_type.pattern", "must be of the form [A-Za-z0-9._-]{1,128}"))?;
    let mut shape = Shape { types: Types::OBJECT, ..Shape::ANY };
    if let Some(path) = campaign {
        schema::take(&mut shape, path, Capture::Campaign)?;
    }
    let sample = sample("any_type.sample", &text.sample, &shape)?;
    Ok(AnyType { pattern, sample, shape })
}

fn listed(text: &ProfileToml, campaign: Option<&DataPath>) -> Result<Box<[EventType]>, FieldError> {
    let mut listed: Vec<EventType> = Vec::with_capacity(text.event_types.len());
    for entry in &text.event_types {
        let field = format!("event_types.{}", entry.name);
        if listed.iter().any(|t| *t.name == *entry.name) {
            return Err(FieldError::new(field, "is there twice"));
        }
        let inside = |e: FieldError| FieldError::new(format!("{field}: {}", e.field), e.message);
        listed.push(event_type(entry, text, campaign).map_err(inside)?);
    }
    Ok(listed.into())
}

fn event_type(entry: &EventTypeToml, text: &ProfileToml, campaign: Option<&DataPath>) -> Result<EventType, FieldError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    if entry.name.is_empty() || entry.name.len() > EVENT_TYPE_CHARS_MAX || !entry.name.bytes().all(plain) {
        return Err(FieldError::new("name", "must be 1 to 128 of A-Z, a-z, 0-9, ., _, : and -"));
    }
    let mut schema = schema::compile(&entry.schema, &text.schemas)?;
    if let Some(path) = campaign {
        schema::take(&mut schema.shape, path, Capture::Campaign)?;
    }
    if let Some(name) = &entry.created_from {
        schema::take_created(&mut schema.shape, name)?;
    }
    Ok(EventType {
        name: entry.name.as_str().into(),
        display_name: label("display_name", &entry.display_name)?,
        description: entry.description.as_str().into(),
        sample: sample("sample", &entry.sample, &schema.shape)?,
        schema: schema.json,
        shape: schema.shape,
    })
}

/// The sample without space between tokens, once it has passed its own schema.
fn sample(field: &str, text: &str, shape: &Shape) -> Result<Box<str>, FieldError> {
    if text.len() > EVENT_BYTES_DEFAULT || !super::depth_within(text.as_bytes(), crate::limits::JSON_DEPTH_MAX) {
        return Err(FieldError::new(field, "is larger or deeper than an event can be"));
    }
    match shape.check(text).map_err(|mut faults| faults.swap_remove(0)) {
        Ok(_) => Ok(compact(text)),
        Err(fault) => Err(FieldError::new(format!("{field}: {}", fault.field), fault.message)),
    }
}

/// Valid JSON without the space between its tokens.
fn compact(json: &str) -> Box<str> {
    let (mut in_string, mut escaped) = (false, false);
    let mut keep = |c: char| {
        let quote = c == '"' && !escaped;
        escaped = in_string && c == '\\' && !escaped;
        in_string ^= quote;
        in_string || !c.is_ascii_whitespace()
    };
    json.chars().filter(|c| keep(*c)).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_class_and_a_count() {
        let any = TypePattern::parse("[A-Za-z0-9._-]{1,128}").expect("of the form");
        assert!(any.matches("user.created_v2-x") && any.matches(&"x".repeat(128)));
        for name in ["", "a b", "ü", "a/b", "a\n", &"x".repeat(129)] {
            assert!(!any.matches(name), "{name}");
        }
    }

    #[test]
    fn a_pattern_of_another_form_is_refused() {
        for text in
            ["", ".*", "[a-z]", "[]{1,2}", "[a-z]{0,2}", "[a-z]{3,2}", "[a-z]{1,999}", "[z-a]{1,2}", "[ -~]{1,2}"]
        {
            assert_eq!(TypePattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn space_goes_between_tokens_and_stays_in_strings() {
        assert_eq!(&*compact("{ \"a \\\" b\" :\n [ 1 , \"\\\\\" ] }"), r#"{"a \" b":[1,"\\"]}"#);
    }
}
