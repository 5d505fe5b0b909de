//! The envelope: how a body is made of an event.
//!
//! A profile writes it as the JSON that receivers get, with `"$…"` where the event's parts go. It is compiled to a flat list of steps,
//! so that rendering is one pass over `data` and one loop that copies: values go out as the raw text they came in, never re-serialised.

use super::EventView;
use super::pick::{Found, Picked, Picks};
use super::rules::DataPath;
use super::template;
use crate::invalid::FieldError;
use crate::limits::JSON_DEPTH_MAX;

/// A compiled envelope.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    steps: Box<[Step]>,
    picks: Picks,
}

/// One thing to append to the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Text(Box<str>),
    /// A comma, unless an object has just been opened.
    Comma,
    Id,
    EventType,
    Created,
    Data,
    CustomFields,
    Member(Member),
}

/// A member of `data`, left out with its key where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// As it is written: `"campaign":`.
    pub key: Box<str>,
    pub slot: usize,
    /// If so, only these are sent of it.
    pub only: Option<Box<[Member]>>,
}

impl Envelope {
    /// Compiles a template; `look_in` are the places of custom fields, where the profile has them.
    ///
    /// # Errors
    /// When it is not JSON, or refers to what there is not.
    pub fn compile(template: &str, look_in: Option<&[DataPath]>) -> Result<Envelope, FieldError> {
        let fault = |message: String| FieldError::new("envelope", message);
        if !super::depth_within(template.as_bytes(), JSON_DEPTH_MAX) {
            return Err(fault(format!("is nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        let (steps, mut picks) = template::compile(template).map_err(fault)?;
        let has_custom = steps.contains(&Step::CustomFields);
        if has_custom != look_in.is_some() {
            return Err(fault("$custom_fields and the table custom_fields must both be there, or neither".into()));
        }
        for path in look_in.unwrap_or_default() {
            picks.place(&path.iter().map(|name| &**name).collect::<Vec<_>>());
        }
        Ok(Envelope { steps: steps.into(), picks })
    }

    /// Appends the body to `out`.
    pub fn render(&self, event: &EventView<'_>, custom_fields: &[impl AsRef<str>], out: &mut Vec<u8>) {
        let names: Vec<&str> = custom_fields.iter().map(AsRef::as_ref).collect();
        let picked = self.picks.pick(event.data, &names);
        out.reserve(event.data.len() + ENVELOPE_BYTES_USUAL);
        for step in &self.steps {
            match step {
                Step::Text(text) => out.extend_from_slice(text.as_bytes()),
                Step::Comma => comma(out),
                Step::Id => write_string(event.id, out),
                Step::EventType => write_string(event.event_type, out),
                Step::Created => write_string(event.created, out),
                Step::Data => out.extend_from_slice(event.data),
                Step::CustomFields => write_custom(&names, &picked, out),
                Step::Member(member) => write_member(member, &picked, out),
            }
        }
    }
}

/// What a body is usually longer than its `data`; only a guess for the first allocation.
const ENVELOPE_BYTES_USUAL: usize = 256;

/// No JSON value ends in an opening brace, so the last byte tells whether this is an object's first member.
fn comma(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn write_member(member: &Member, picked: &Picked<'_, '_>, out: &mut Vec<u8>) {
    let found = picked.slot(member.slot);
    if found == Found::Nothing {
        return;
    }
    comma(out);
    out.extend_from_slice(member.key.as_bytes());
    match (found, &member.only) {
        (Found::Text(text), Some(_)) if !text.starts_with('{') => out.extend_from_slice(text.as_bytes()),
        (_, Some(only)) => {
            out.push(b'{');
            only.iter().for_each(|inner| write_member(inner, picked, out));
            out.push(b'}');
        }
        (Found::Text(text), None) => out.extend_from_slice(text.as_bytes()),
        (Found::Object | Found::Nothing, None) => out.extend_from_slice(b"null"),
    }
}

fn write_custom(names: &[&str], picked: &Picked<'_, '_>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, name) in names.iter().enumerate() {
        // A name that is given twice would make a key twice.
        if names[..index].contains(name) {
            continue;
        }
        comma(out);
        write_string(name, out);
        out.push(b':');
        out.extend_from_slice(picked.custom(index).unwrap_or("null").as_bytes());
    }
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().any(|b| b < 0x20 || matches!(b, b'"' | b'\\')) {
        out.extend_from_slice(quoted(text).as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// As a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
