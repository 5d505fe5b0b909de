//! JSON Schema text (draft 2020-12, the subset that profiles use) to a [`Shape`].
//!
//! Understood: `type`, `required`, `properties`, `items`, `enum` of strings and null, `format: date-time`, and the notes `$schema` and
//! `description`. Any other keyword is an error: a schema that promises what is not checked would be worse than none.

use super::rules::DataPath;
use super::shape::{Capture, MEMBERS_MAX, Member, Shape};
use super::types::Types;
use crate::invalid::FieldError;
use crate::limits::JSON_DEPTH_MAX;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A schema as clients see it, and compiled.
pub(super) struct Schema {
    pub json: Box<str>,
    pub shape: Shape,
}

/// The one version of JSON Schema that is written here.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

type Texts = BTreeMap<String, String>;

/// Compiles the schema `name`, with those that it refers to set in.
///
/// # Errors
/// When a text is not of the subset, or the schema allows anything but an object.
pub(super) fn compile(name: &str, texts: &Texts) -> Result<Schema, FieldError> {
    let at = format!("schemas.{name}");
    let mut value = read(name, texts)?;
    set_in(&mut value, texts)?;
    let shape = shape_of(&value, &at)?;
    if shape.types != Types::OBJECT {
        return Err(FieldError::new(at, "must have the type object"));
    }
    Ok(Schema { json: value.to_string().into(), shape })
}

fn read(name: &str, texts: &Texts) -> Result<Value, FieldError> {
    let field = || format!("schemas.{name}");
    let text = texts.get(name).ok_or_else(|| FieldError::new(field(), "is referred to and missing"))?;
    if !super::depth_within(text.as_bytes(), JSON_DEPTH_MAX) {
        return Err(FieldError::new(field(), format!("is nested deeper than {JSON_DEPTH_MAX} levels")));
    }
    serde_json::from_str(text).map_err(|e| FieldError::new(field(), format!("is not JSON: {e}")))
}

/// Replaces each `{"$ref": "name"}` by the schema of that name, which refers to no other: so there are no cycles and no explosion.
fn set_in(value: &mut Value, texts: &Texts) -> Result<(), FieldError> {
    match value {
        Value::Object(map) => match reference(map) {
            Some(name) => *value = read(&name, texts)?,
            None => return map.values_mut().try_for_each(|v| set_in(v, texts)),
        },
        Value::Array(items) => return items.iter_mut().try_for_each(|v| set_in(v, texts)),
        _ => {}
    }
    Ok(())
}

fn reference(map: &Map<String, Value>) -> Option<String> {
    let name = map.get("$ref")?.as_str()?;
    (map.len() == 1).then(|| name.to_owned())
}

fn shape_of(value: &Value, at: &str) -> Result<Shape, FieldError> {
    let fault = |message: String| FieldError::new(at, message);
    let map = value.as_object().ok_or_else(|| fault("must be an object of keywords".into()))?;
    let mut shape = Shape::ANY;
    for (keyword, value) in map {
        match keyword.as_str() {
            "$schema" if value == DRAFT => {}
            "description" if value.is_string() => {}
            "type" => shape.types = types(value).ok_or_else(|| fault("type: must be types of JSON".into()))?,
            "properties" => properties(&mut shape, value, at)?,
            "required" => require(&mut shape, value).ok_or_else(|| fault("required: must be names".into()))?,
            "items" => shape.items = Some(Box::new(shape_of(value, &format!("{at}.items"))?)),
            "enum" => {}
            "format" if value == "date-time" => shape.date_time = true,
            "format" => return Err(fault("format: must be date-time, the one that is checked".into())),
            other => return Err(fault(format!("the keyword {other} is not understood here"))),
        }
    }
    if let Some(values) = map.get("enum") {
        choices(&mut shape, values).ok_or_else(|| fault("enum: must be strings and null".into()))?;
    }
    match () {
        () if shape.members.len() > MEMBERS_MAX => Err(fault(format!("describes more than {MEMBERS_MAX} members"))),
        () if !shape.is_leaf() && (shape.date_time || shape.one_of.is_some()) => {
            Err(fault("enum and format cannot stand beside properties, required or items".into()))
        }
        () => Ok(shape),
    }
}

fn types(value: &Value) -> Option<Types> {
    let one = |name: &Value| match name.as_str()? {
        "null" => Some(Types::NULL),
        "boolean" => Some(Types::BOOLEAN),
        "integer" => Some(Types::INTEGER),
        "number" => Some(Types::INTEGER.with(Types::FRACTION)),
        "string" => Some(Types::STRING),
        "array" => Some(Types::ARRAY),
        "object" => Some(Types::OBJECT),
        _ => None,
    };
    match value {
        Value::Array(names) if !names.is_empty() => {
            names.iter().try_fold(Types(0), |types, name| Some(types.with(one(name)?)))
        }
        name => one(name),
    }
}

fn properties(shape: &mut Shape, value: &Value, at: &str) -> Result<(), FieldError> {
    let map = value.as_object().ok_or_else(|| FieldError::new(at, "properties: must be an object"))?;
    for (name, value) in map {
        let described = shape_of(value, &format!("{at}.{name}"))?;
        member(shape, name).shape = described;
    }
    Ok(())
}

fn require(shape: &mut Shape, value: &Value) -> Option<()> {
    for name in value.as_array()? {
        member(shape, name.as_str()?).required = true;
    }
    Some(())
}

/// The member of that name, made if it is not there.
fn member<'s>(shape: &'s mut Shape, name: &str) -> &'s mut Member {
    let index = shape.members.iter().position(|m| *m.name == *name).unwrap_or_else(|| {
        shape.members.push(Member { name: name.into(), required: false, shape: Shape::ANY, takes: None });
        shape.members.len() - 1
    });
    &mut shape.members[index]
}

/// An enum allows its own values only, so it narrows the types to theirs.
fn choices(shape: &mut Shape, value: &Value) -> Option<()> {
    let values = value.as_array()?;
    let mut kinds = Types(0);
    let mut strings = Vec::new();
    for value in values {
        match value {
            Value::Null => kinds = kinds.with(Types::NULL),
            Value::String(text) => {
                kinds = kinds.with(Types::STRING);
                strings.push(text.as_str().into());
            }
            _ => return None,
        }
    }
    shape.types = Types(shape.types.0 & kinds.0);
    shape.one_of = Some(strings.into());
    (shape.types.0 != 0).then_some(())
}

/// Makes the pass take what lies at `path`, describing the way there as far as the schema does not.
///
/// # Errors
/// When the schema has something there that is not looked into.
pub(super) fn take(root: &mut Shape, path: &DataPath, capture: Capture) -> Result<(), FieldError> {
    let at = || format!("data.{}", path.join("."));
    let mut shape = root;
    for name in path {
        if shape.date_time || shape.one_of.is_some() || shape.items.is_some() {
            return Err(FieldError::new(at(), "lies within something that is no object"));
        }
        if shape.members.len() == MEMBERS_MAX && !shape.members.iter().any(|m| *m.name == **name) {
            return Err(FieldError::new(
                at(),
                format!("is one more than the {MEMBERS_MAX} members that can be described"),
            ));
        }
        let next = member(shape, name);
        if next.takes.replace(capture).is_some_and(|other| other != capture) {
            return Err(FieldError::new(at(), "cannot serve for two things"));
        }
        shape = &mut next.shape;
    }
    if !shape.is_leaf() {
        return Err(FieldError::new(at(), "is an object or an array, which has no text"));
    }
    shape.capture = Some(capture);
    Ok(())
}

/// Makes the member `name` of `data` the event's own time.
///
/// # Errors
/// When the schema does not guarantee that it is there and a date-time.
pub(super) fn take_created(root: &mut Shape, name: &str) -> Result<(), FieldError> {
    let found = root.members.iter().find(|m| *m.name == *name);
    if !found.is_some_and(|m| m.required && m.shape.date_time && m.shape.types == Types::STRING) {
        return Err(FieldError::new(
            "created_from",
            format!("{name} must be required and a string of format date-time"),
        ));
    }
    take(root, &[name.into()].into(), Capture::Created)
}
