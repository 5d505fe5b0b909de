//! The envelope: how a body is made of an event.
//!
//! A profile writes it as the JSON that receivers get, with `"$…"` where the event's parts go. It is compiled to a flat list of steps,
//! so that rendering is one pass over `data` and one loop that copies: values go out as the raw text they came in, never re-serialised.
//!
//! | written | stands for |
//! |---|---|
//! | `$event.id`, `$event.type`, `$event.created` | the event's own, as JSON strings |
//! | `$data` | the whole payload, byte for byte |
//! | `$data.a.b` | that member; left out with its key where `data` lacks it |
//! | `$data.a{x,y}` | of that object these members, in this order; left out like it; `null` stays `null` |
//! | `$custom_fields` | an object of what the webhook's `customFields` name, `null` for what is nowhere |

use super::EventView;
use super::pick::{Found, Picked, Picks};
use super::rules::DataPath;
use crate::invalid::FieldError;
use crate::limits::JSON_DEPTH_MAX;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A compiled envelope.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    steps: Box<[Step]>,
    picks: Picks,
}

/// One thing to append to the body.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
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
struct Member {
    /// As it is written: `"campaign":`.
    key: Box<str>,
    slot: usize,
    /// If so, only these are sent of it.
    only: Option<Box<[Member]>>,
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
        let json: &RawValue = serde_json::from_str(template).map_err(|e| fault(format!("is not JSON: {e}")))?;
        let mut compiler = Compiler {
            steps: Vec::new(),
            picks: Picks::default(),
        };
        compiler.value(json.get()).map_err(fault)?;
        let has_custom = compiler.steps.contains(&Step::CustomFields);
        if has_custom != look_in.is_some() {
            return Err(fault(
                "$custom_fields and the table custom_fields must both be there, or neither".into(),
            ));
        }
        for path in look_in.unwrap_or_default() {
            compiler
                .picks
                .place(&path.iter().map(|name| &**name).collect::<Vec<_>>());
        }
        Ok(Envelope {
            steps: compiler.steps.into(),
            picks: compiler.picks,
        })
    }

    /// Appends the body to `out`.
    pub fn render(&self, event: &EventView<'_>, custom_fields: &[impl AsRef<str>], out: &mut Vec<u8>) {
        let names: Vec<&str> = custom_fields.iter().map(AsRef::as_ref).collect();
        let data = std::str::from_utf8(event.data).unwrap_or_default();
        let picked = self.picks.pick(data, &names);
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

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Compiler {
    steps: Vec<Step>,
    picks: Picks,
}

impl Compiler {
    /// Constant text joins what stands before it, so that it is copied at once.
    fn text(&mut self, text: &str) {
        match self.steps.last_mut() {
            Some(Step::Text(before)) => *before = format!("{before}{text}").into(),
            _ => self.steps.push(Step::Text(text.into())),
        }
    }

    fn value(&mut self, json: &str) -> Result<(), String> {
        match json.as_bytes().first() {
            Some(b'{') => self.object(json),
            Some(b'[') => self.array(json),
            Some(b'"') => {
                let text: String = serde_json::from_str(json).map_err(|e| e.to_string())?;
                let step = if text.starts_with('$') {
                    step_of(&text)?
                } else {
                    Step::Text(quoted(&text).into())
                };
                match step {
                    Step::Text(text) => self.text(&text),
                    step => self.steps.push(step),
                }
                Ok(())
            }
            _ => {
                self.text(json);
                Ok(())
            }
        }
    }

    fn array(&mut self, json: &str) -> Result<(), String> {
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| e.to_string())?;
        self.text("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            self.value(item.get())?;
        }
        self.text("]");
        Ok(())
    }

    fn object(&mut self, json: &str) -> Result<(), String> {
        let members = members_of(json).map_err(|e| e.to_string())?;
        self.text("{");
        // Whether a member stands before that is always there: then the comma is known beforehand.
        let mut after_fixed = false;
        for (index, (key, value)) in members.iter().enumerate() {
            let key = format!("{}:", quoted(key));
            if let Some(reference) = data_reference(value.get()) {
                let member = self.member(&key, &reference)?;
                self.steps.push(Step::Member(member));
                continue;
            }
            match (after_fixed, index) {
                (true, _) => self.text(","),
                (false, 0) => {}
                (false, _) => self.steps.push(Step::Comma),
            }
            after_fixed = true;
            self.text(&key);
            self.value(value.get())?;
        }
        self.text("}");
        Ok(())
    }

    /// `a.b` or `a{x,y}`.
    fn member(&mut self, key: &str, reference: &str) -> Result<Member, String> {
        let (path, only) = match reference.split_once('{') {
            Some((path, only)) => (path, Some(only.strip_suffix('}').ok_or("a { is never closed")?)),
            None => (reference, None),
        };
        let path: Vec<&str> = path.split('.').collect();
        let named = |name: &str| !name.is_empty() && !name.contains(['{', '}', '.', ',']);
        if !path.iter().all(|name| named(name)) || only.is_some_and(|names| !names.split(',').all(named)) {
            return Err(format!(
                "$data.{reference} is not of the form $data.a.b or $data.a{{x,y}}"
            ));
        }
        let inner = |picks: &mut Picks, name: &str| Member {
            key: format!("{}:", quoted(name)).into(),
            slot: picks.slot(&[&*path, &[name]].concat(), true),
            only: None,
        };
        let slot = self.picks.slot(&path, only.is_none());
        let only = only.map(|names| names.split(',').map(|name| inner(&mut self.picks, name)).collect());
        Ok(Member {
            key: key.into(),
            slot,
            only,
        })
    }
}

/// What follows `$data.` in a string of the template.
fn data_reference(json: &str) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    text.strip_prefix("$data.").map(str::to_owned)
}

fn step_of(reference: &str) -> Result<Step, String> {
    match reference {
        "$event.id" => Ok(Step::Id),
        "$event.type" => Ok(Step::EventType),
        "$event.created" => Ok(Step::Created),
        "$data" => Ok(Step::Data),
        "$custom_fields" => Ok(Step::CustomFields),
        other if other.starts_with("$data.") => Err(format!("{other} can be left out, so it must be a member's value")),
        other => Err(format!("{other} refers to nothing")),
    }
}

/// An object's members in the order they are written, which a map would lose.
fn members_of(json: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    struct Ordered;
    impl<'de> Visitor<'de> for Ordered {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Ordered)
}
