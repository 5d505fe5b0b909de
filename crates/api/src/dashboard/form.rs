//! Forms: what a browser sends, and how it becomes the JSON that the API takes, so that both are checked by the same code.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::page::PageError;
use crate::body::{self, is_of_type};
use crate::error::{ApiError, Code};
use crate::extract::Id;
use crate::json;
use crate::limits::FORM_BYTES_MAX;
use crate::query::{Parameters, named};
use crate::state::Api;

/// The fields of a form, in their order.
#[derive(Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a request's body.
    pub async fn read(request: Request, api: &Api) -> Result<Form, PageError> {
        if !is_of_type(request.headers(), "application/x-www-form-urlencoded") {
            let message = "Send the header Content-Type: application/x-www-form-urlencoded.";
            return Err(ApiError::new(Code::UnsupportedMediaType, message).into());
        }
        let received = body::read(request.into_body(), api.bodies(), FORM_BYTES_MAX).await?;
        Ok(Form(form_urlencoded::parse(&received.bytes).into_owned().collect()))
    }

    /// A field's text, without space around it; empty where there is none.
    pub fn text<'a>(&'a self, name: &str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }

    /// The texts of all fields of this name.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// Whether a box is ticked.
    pub fn is_on(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The lines of a field, those that are empty left out.
    pub fn lines(&self, name: &str) -> Vec<String> {
        self.text(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// With a field more, for forms that are not sent but shown.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Form {
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

/// JSON as if it had come to the API.
pub fn as_request<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, ApiError> {
    // Strings as keys, and nothing that JSON lacks: it cannot fail.
    json::object(&serde_json::to_vec(&members).unwrap_or_default())
}

/// A number, or the text as it stands for the API's check to refuse.
pub fn number(text: &str) -> Value {
    text.parse::<serde_json::Number>().map_or_else(|_| text.into(), Value::Number)
}

/// The fields of a filter; one that was left empty is as if it were not there. Times without an offset, as browsers write them, are UTC.
pub fn filter<P: Parameters>(uri: &Uri) -> Result<P, ApiError> {
    let text = uri.query().unwrap_or_default();
    let pairs = form_urlencoded::parse(text.as_bytes()).filter(|(_, value)| !value.trim().is_empty());
    named(pairs.map(|(name, value)| {
        let value =
            if matches!(&*name, "since" | "until") { utc(&value).into() } else { value.trim().to_owned().into() };
        (name, value)
    }))
}

/// A time as the API takes it: what a browser's field for times gives has no offset, and perhaps no seconds.
pub fn utc(text: &str) -> String {
    let text = text.trim();
    match text.len() {
        16 => format!("{text}:00Z"),
        19 | 23 if !text.ends_with('Z') => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

/// The same, as the browser's field takes it.
pub fn local(time: &str) -> &str {
    time.strip_suffix('Z').unwrap_or(time)
}

/// The address of the page after this one: the same filter, from `cursor` on.
pub fn next_page(uri: &Uri, cursor: &str) -> String {
    let text = uri.query().unwrap_or_default();
    let kept = form_urlencoded::parse(text.as_bytes()).filter(|(name, _)| !matches!(&**name, "cursor" | "page"));
    let query =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish();
    format!("{}?{query}", uri.path())
}

/// The id in the path; one that is malformed is not there.
pub struct At<T>(pub T);

impl<T: FromStr + Send> FromRequestParts<Api> for At<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, PageError> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        Ok(At(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_writes_as_a_time_is_utc() {
        for (given, expected) in [
            ("2026-02-19T10:30", "2026-02-19T10:30:00Z"),
            ("2026-02-19T10:30:05", "2026-02-19T10:30:05Z"),
            ("2026-02-19T10:30:05.123", "2026-02-19T10:30:05.123Z"),
            ("2026-02-19T10:30:05Z", "2026-02-19T10:30:05Z"),
            ("2026-02-19T10:30:05+02:00", "2026-02-19T10:30:05+02:00"),
            ("soon", "soon"),
        ] {
            assert_eq!(utc(given), expected);
        }
    }

    #[test]
    fn the_next_page_keeps_the_filter() {
        let uri: Uri = "/dashboard/events?eventType=A%26B&cursor=1&id=".parse().unwrap();
        assert_eq!(next_page(&uri, "2"), "/dashboard/events?eventType=A%26B&id=&cursor=2");
    }
}
