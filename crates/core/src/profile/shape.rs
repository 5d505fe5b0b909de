//! A JSON Schema compiled to what one pass over the bytes can check, and that pass.
//!
//! The pass builds no tree: objects and arrays that the schema looks into are walked, everything else is skipped as raw text. It goes
//! on after a fault, so that a publisher sees all of them at once, and on its way takes the texts that the engine wants to know.
//! It recurses by the schema's depth, never by the input's.

use super::Checked;
use super::date_time::is_date_time;
use super::types::{Types, is_integral, list};
use crate::invalid::FieldError;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Of one event's faults this many are told.
pub const ERRORS_MAX: usize = 20;
/// Members that one object of a schema can describe: one bit each.
pub(super) const MEMBERS_MAX: usize = 64;

/// What the pass takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// [`Checked::campaign`].
    Campaign,
    /// [`Checked::created`].
    Created,
}

/// What one place in a document has to be.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub types: Types,
    /// If so, a string has to be one of these; for other types it says nothing.
    pub one_of: Option<Box<[Box<str>]>>,
    /// Whether a string has to be an RFC 3339 date-time.
    pub date_time: bool,
    pub members: Vec<Member>,
    pub items: Option<Box<Shape>>,
    pub capture: Option<Capture>,
}

/// A described member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub name: Box<str>,
    pub required: bool,
    pub shape: Shape,
    /// What is taken from here or below, and is forgotten when the member occurs again: the last one counts.
    pub takes: Option<Capture>,
}

impl Shape {
    pub const ANY: Shape =
        Shape { types: Types::ANY, one_of: None, date_time: false, members: Vec::new(), items: None, capture: None };

    /// Whether the pass need not look inside.
    pub fn is_leaf(&self) -> bool {
        self.members.is_empty() && self.items.is_none()
    }

    /// Checks a whole `data`.
    pub fn check(&self, json: &str) -> Result<Checked, Vec<FieldError>> {
        let mut pass = Pass { errors: Vec::new(), checked: Checked::default(), has_controls: false };
        let mut reader = serde_json::Deserializer::from_str(json);
        let walk = Walk { shape: self, at: &Path::Root, pass: &mut pass };
        if let Err(error) = walk.deserialize(&mut reader).and_then(|()| reader.end()) {
            return Err(not_json(&error));
        }
        // Keys are read as bytes, of which the reader lets those pass that JSON wants escaped.
        if pass.has_controls
            && let Err(error) = serde_json::from_str::<IgnoredAny>(json)
        {
            return Err(not_json(&error));
        }
        if pass.errors.is_empty() { Ok(pass.checked) } else { Err(pass.errors) }
    }
}

fn not_json(error: &serde_json::Error) -> Vec<FieldError> {
    vec![FieldError::new("data", format!("cannot be read as JSON: {error}"))]
}

/// What an array's items are when the schema says nothing.
static ANYTHING: Shape = Shape::ANY;

/// Where the pass is, as frames on its stack; written out only for a fault.
enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => f.write_str("data"),
            Path::Member(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Pass {
    errors: Vec<FieldError>,
    checked: Checked,
    /// A key holds a control character: escaped, as it must be, or as it is.
    has_controls: bool,
}

impl Pass {
    fn fault(&mut self, at: &Path<'_>, message: impl FnOnce() -> String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(FieldError::new(at.to_string(), message()));
        }
    }

    fn expect(&mut self, shape: &Shape, kind: Types, at: &Path<'_>) {
        if !shape.types.has(kind) {
            self.fault(at, || format!("must be {}", shape.types.describe()));
        }
    }

    /// A value that is not looked into, as raw text.
    fn leaf(&mut self, shape: &Shape, raw: &str, at: &Path<'_>) {
        let kind = Types::of(raw);
        self.expect(shape, kind, at);
        if kind == Types::STRING && (shape.one_of.is_some() || shape.date_time || shape.capture.is_some()) {
            self.string(shape, raw, at);
        } else if shape.capture.is_some() && kind.has(Types::INTEGER.with(Types::FRACTION)) {
            self.take(shape.capture, raw);
        }
    }

    fn string(&mut self, shape: &Shape, raw: &str, at: &Path<'_>) {
        let Some(text) = unescape(raw) else {
            return self.fault(at, || "must be Unicode text, without lone surrogates".into());
        };
        if let Some(allowed) = &shape.one_of
            && !allowed.iter().any(|a| **a == *text)
        {
            let names: Vec<&str> = allowed.iter().map(|a| &**a).collect();
            self.fault(at, || format!("must be {}", list(&names)));
        }
        if shape.date_time && !is_date_time(&text) {
            self.fault(at, || "must be an RFC 3339 date-time, such as 2026-02-19T10:30:00Z".into());
        }
        self.take(shape.capture, &text);
    }

    fn take(&mut self, capture: Option<Capture>, text: &str) {
        if let Some(capture) = capture {
            *self.slot(capture) = Some(text.into());
        }
    }

    fn slot(&mut self, capture: Capture) -> &mut Option<Box<str>> {
        match capture {
            Capture::Campaign => &mut self.checked.campaign,
            Capture::Created => &mut self.checked.created,
        }
    }
}

/// The content of a JSON string; `None` where it is not Unicode.
fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    let content = raw.strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(content)) }
}

/// One place of the document about to be read.
struct Walk<'w> {
    shape: &'w Shape,
    at: &'w Path<'w>,
    pass: &'w mut Pass,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if !self.shape.is_leaf() {
            return reader.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(reader)?;
        self.pass.leaf(self.shape, raw.get(), self.at);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk { shape, at, pass } = self;
        pass.expect(shape, Types::OBJECT, at);
        let mut seen = 0u64;
        while let Some(known) = map.next_key_seed(MemberName(&shape.members, &mut pass.has_controls))? {
            let Some(index) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let member = &shape.members[index];
            seen |= 1 << index;
            if let Some(capture) = member.takes {
                *pass.slot(capture) = None;
            }
            map.next_value_seed(Walk { shape: &member.shape, at: &Path::Member(at, &member.name), pass })?;
        }
        for (index, member) in shape.members.iter().enumerate() {
            if member.required && seen & 1 << index == 0 {
                pass.fault(&Path::Member(at, &member.name), || "is required".into());
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Walk { shape, at, pass } = self;
        pass.expect(shape, Types::ARRAY, at);
        let items = shape.items.as_deref().unwrap_or(&ANYTHING);
        let mut index = 0;
        while seq.next_element_seed(Walk { shape: items, at: &Path::Item(at, index), pass })?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.pass.expect(self.shape, Types::NULL, self.at);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.pass.expect(self.shape, Types::BOOLEAN, self.at);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.pass.expect(self.shape, Types::INTEGER, self.at);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.pass.expect(self.shape, Types::INTEGER, self.at);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        let kind = if is_integral(number) { Types::INTEGER } else { Types::FRACTION };
        self.pass.expect(self.shape, kind, self.at);
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.pass.expect(self.shape, Types::STRING, self.at);
        Ok(())
    }
}

/// A key about to be read: which of the described members it is. As bytes, because a key may hold what no `str` can.
struct MemberName<'s>(&'s [Member], &'s mut bool);

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<usize>, D::Error> {
        reader.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for MemberName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Option<usize>, E> {
        *self.1 |= key.iter().any(|byte| *byte < b' ');
        Ok(self.0.iter().position(|m| m.name.as_bytes() == key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|m| *m.name == *key))
    }
}
