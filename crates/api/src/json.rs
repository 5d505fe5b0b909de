//! JSON into wire types, with the path of whatever does not fit.
//!
//! What is not JSON at all is a 400, what is JSON of another shape a 422 that names the field. Messages say what was expected and never
//! repeat what was sent: it may be a secret.

use std::fmt;
use std::marker::PhantomData;

use postrider_core::draft::Field;
use postrider_core::invalid::FieldError;
use postrider_core::limits::JSON_DEPTH_MAX;
use postrider_core::profile::depth_within;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{ApiError, Code};
use crate::limits::FIELD_CHARS_MAX;

/// Reads a JSON object.
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    check_syntax(bytes)?;
    if !depth_within(bytes, JSON_DEPTH_MAX) {
        return Err(ApiError::field("body", format!("is nested deeper than {JSON_DEPTH_MAX} levels")));
    }
    typed::<Object<T>>(bytes).map(|object| object.0)
}

/// Whether the bytes are JSON, without recursion however deep it nests.
pub fn check_syntax(bytes: &[u8]) -> Result<(), ApiError> {
    serde_json::from_slice::<&RawValue>(bytes).map(drop).map_err(|error| malformed(&error))
}

/// Reads bytes that are JSON; the error names the field.
pub fn typed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        let text = inner.to_string();
        let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
        if inner.is_data() || text == "number out of range" || text == NO_WORD {
            ApiError::invalid(vec![fault(&path, text)])
        } else {
            malformed(inner)
        }
    })
}

/// What the parser says where one of several words is expected and the value is no string. It calls that bad syntax, which the bytes have
/// not: they were checked.
const NO_WORD: &str = "expected value";

/// The parser's words on syntax name a place and never a value.
fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(Code::MalformedJson, format!("This is not valid JSON: {error}."))
}

fn fault(path: &str, text: &str) -> FieldError {
    let path = if path == "." { "" } else { path };
    let named = |rest: &str| rest.split_once('`').map_or(String::new(), |(name, _)| name.to_owned());
    let (field, message) = if let Some(rest) = text.strip_prefix("missing field `") {
        (join(path, &named(rest)), "is required".to_owned())
    } else if let Some(rest) = text.strip_prefix("unknown field `") {
        (join(path, &named(rest)), "is not a member of this request".to_owned())
    } else if let Some(rest) = text.strip_prefix("duplicate field `") {
        (join(path, &named(rest)), "is named twice".to_owned())
    } else if text == NO_WORD {
        (path.to_owned(), "must be a string".to_owned())
    } else if let Some((_, expected)) = text.rsplit_once(", expected ") {
        (path.to_owned(), format!("must be {}", plain(expected)))
    } else {
        (path.to_owned(), text.to_owned())
    };
    let field = if field.is_empty() { "body".to_owned() } else { field };
    FieldError::new(field.chars().take(FIELD_CHARS_MAX).collect::<String>(), message)
}

/// The member's path; the parser names the member in the path for some errors and not for others.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == name {
        return name.to_owned();
    }
    let is_named = path.strip_suffix(name).is_some_and(|parent| parent.ends_with('.'));
    if is_named { path.to_owned() } else { format!("{path}.{name}") }
}

/// What serde expects, in JSON's words.
fn plain(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "u64" => "a whole number, 0 or more",
        "f64" => "a number",
        other => other,
    }
}

/// A JSON object as `T`. Serde alone would take an array of the members' values as well.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// For `#[serde(default, deserialize_with = "field")]`: absent, null and a value are three things.
pub fn field<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Ok(match Option::<T>::deserialize(deserializer)? {
        Some(value) => Field::Set(value),
        None => Field::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only how they are read matters")]
    struct Outer {
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        number: Option<u64>,
        #[serde(default)]
        inner: Option<Inner>,
        #[serde(default)]
        word: Option<Word>,
        secret: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
        Other,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only how they are read matters")]
    struct Inner {
        flag: bool,
    }

    fn error(json: &str) -> ApiError {
        object::<Outer>(json.as_bytes()).expect_err(json)
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_path() {
        for (json, field, message) in [
            (r#"{"secret":"x","list":["A",5]}"#, "list[1]", "must be a string"),
            (r#"{"secret":"x","list":{}}"#, "list", "must be an array"),
            (r#"{"secret":"x","number":-1}"#, "number", "must be a whole number, 0 or more"),
            (r#"{"secret":"x","number":1.5}"#, "number", "must be a whole number, 0 or more"),
            (r#"{"secret":"x","inner":{"flag":1}}"#, "inner.flag", "must be true or false"),
            (r#"{"secret":"x","inner":{"flag":true,"z":1}}"#, "inner.z", "is not a member of this request"),
            (r#"{"secret":"x","inner":{}}"#, "inner.flag", "is required"),
            (r#"{"secret":"x","word":"two"}"#, "word", "must be `one` or `other`"),
            (r#"{"secret":"x","word":5}"#, "word", "must be a string"),
            (r#"{"secret":"x","word":["one"]}"#, "word", "must be a string"),
            (r#"{"secret":"x","z":1}"#, "z", "is not a member of this request"),
            (r#"{"secret":"x","secret":"y"}"#, "secret", "is named twice"),
            (r"{}", "secret", "is required"),
            (r#"["x"]"#, "body", "must be an object"),
            ("null", "body", "must be an object"),
        ] {
            let error = error(json);
            assert_eq!(error.code, Code::ValidationFailed, "{json}");
            assert_eq!((&*error.errors[0].field, &*error.errors[0].message), (field, message), "{json}");
        }
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        for json in [r#"{"secret":"x","number":"hunter2"}"#, r#"{"secret":"x","inner":"a, expected hunter2 b"}"#] {
            let error = error(json);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn what_is_not_json_is_malformed_and_what_is_too_deep_is_not_read() {
        let unclosed = "[".repeat(100_000);
        let deep = format!(r#"{{"secret":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        for json in ["", "{", "{\"secret\":5,}", "{} x", "nul", &unclosed, "{\"secret\":\"\\ud800\"}"] {
            assert_eq!(error(json).code, Code::MalformedJson, "{}", &json[..json.len().min(20)]);
        }
        assert_eq!(error(&deep).code, Code::ValidationFailed);
    }
}
