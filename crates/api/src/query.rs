//! Query parameters: each known, each once, each well-formed; anything else is a 422 that names it. Nothing is clamped.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use postrider_core::Time;
use postrider_core::invalid::FieldError;
use postrider_core::profile::is_date_time;
use postrider_engine::{ListName, PageQuery, read_cursor};

use crate::error::ApiError;
use crate::limits::{FIELD_CHARS_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PAGED_MAX};
use crate::state::Api;

/// A set of parameters, as text.
pub trait Parameters: Default + Send {
    /// Where the value of the parameter of this name goes; `None` for a name that is not known.
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>>;
}

/// Parameters of a request: names checked, values not.
pub struct Query<P>(pub P);

/// For requests that have no parameters.
#[derive(Default)]
pub struct NoParameters;

impl Parameters for NoParameters {
    fn slot(&mut self, _: &str) -> Option<&mut Option<String>> {
        None
    }
}

/// No parameters at all.
pub type NoQuery = Query<NoParameters>;

impl<P: Parameters> FromRequestParts<Api> for Query<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = parts.uri.query().unwrap_or_default();
        named(form_urlencoded::parse(text.as_bytes())).map(Query)
    }
}

/// Pairs of names and values as parameters.
pub fn named<'a, P: Parameters>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Result<P, ApiError> {
    let mut parameters = P::default();
    let mut faults = Vec::new();
    for (name, value) in pairs {
        let message = match parameters.slot(&name) {
            Some(slot @ None) => {
                *slot = Some(value.into_owned());
                continue;
            }
            Some(Some(_)) => "is given twice",
            None => "is not a parameter of this request",
        };
        let name: String = name.chars().take(FIELD_CHARS_MAX).collect();
        faults.push(FieldError::new(name, message));
    }
    if faults.is_empty() { Ok(parameters) } else { Err(ApiError::invalid(faults)) }
}

/// Which page, as text.
#[derive(Clone, Copy)]
pub struct PageText<'a> {
    pub page: &'a Option<String>,
    pub page_size: &'a Option<String>,
    pub cursor: &'a Option<String>,
}

/// A list's parameters: those of its filter, each `field "name"`, and those that every list has.
macro_rules! list_parameters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident $shown:literal)* }) => {
        $(#[$doc])*
        #[derive(Default, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            $($(#[$field_doc])* #[param(rename = $shown)] pub $field: Option<String>,)*
            /// The page's number; page × pageSize is at most 10,000, beyond that a cursor goes on. Not together with `cursor`.
            #[param(value_type = Option<u32>, minimum = 1, default = 1)]
            pub page: Option<String>,
            /// Entries of a page.
            #[param(rename = "pageSize", value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
            pub page_size: Option<String>,
            /// `nextCursor` of the page before.
            #[param(min_length = 1)]
            pub cursor: Option<String>,
        }

        impl $crate::query::Parameters for $name {
            fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
                match name {
                    $($shown => Some(&mut self.$field),)*
                    "page" => Some(&mut self.page),
                    "pageSize" => Some(&mut self.page_size),
                    "cursor" => Some(&mut self.cursor),
                    _ => None,
                }
            }
        }

        impl $name {
            fn page_text(&self) -> $crate::query::PageText<'_> {
                $crate::query::PageText { page: &self.page, page_size: &self.page_size, cursor: &self.cursor }
            }
        }
    };
}
pub(crate) use list_parameters;

list_parameters! {
    /// Parameters of a list without a filter.
    PageParameters {}
}

impl PageParameters {
    /// The page that is asked for.
    pub fn page_query(&self, list: ListName) -> Result<PageQuery, ApiError> {
        let mut reader = Reader::default();
        let query = reader.page(list, self.page_text());
        reader.finish(query)
    }
}

/// Reads parameters' values and collects what is wrong with them.
#[derive(Default)]
pub struct Reader(Vec<FieldError>);

impl Reader {
    /// A value that `read` understands; `must` says what it has to be.
    pub fn value<T>(
        &mut self,
        name: &str,
        text: &Option<String>,
        must: impl AsRef<str>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = text.as_deref()?;
        let value = read(text);
        if value.is_none() {
            self.0.push(FieldError::new(name, must.as_ref()));
        }
        value
    }

    /// One of some words.
    pub fn word<T: Copy>(
        &mut self,
        name: &str,
        text: &Option<String>,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Option<T> {
        let words: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
        let must = format!("must be one of {}", words.join(", "));
        self.value(name, text, must, |text| all.iter().copied().find(|one| as_str(*one) == text))
    }

    /// A time.
    pub fn time(&mut self, name: &str, text: &Option<String>) -> Option<Time> {
        let must = "must be an RFC 3339 time with an offset, such as 2026-02-19T10:30:00Z (write + as %2B)";
        self.value(name, text, must, |text| Time::from_bound(text).ok().filter(|_| is_date_time(text)))
    }

    /// Which page of which list.
    pub fn page(&mut self, list: ListName, text: PageText<'_>) -> PageQuery {
        let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n >= 1 && !text.starts_with('+'));
        let size_must = format!("must be a whole number from 1 to {PAGE_SIZE_MAX}");
        let size =
            self.value("pageSize", text.page_size, size_must, |text| number(text).filter(|n| *n <= PAGE_SIZE_MAX));
        let page_size = size.unwrap_or(PAGE_SIZE_DEFAULT);
        let page = self.value("page", text.page, "must be a whole number, 1 or more", number).unwrap_or(1);
        if page.saturating_mul(page_size) > PAGED_MAX {
            let message = format!(
                "reaches past {PAGED_MAX} entries with this pageSize; go on by cursor = nextCursor of the page before"
            );
            self.0.push(FieldError::new("page", message));
        }
        if text.page.is_some() && text.cursor.is_some() {
            self.0.push(FieldError::new("page", "cannot be given together with cursor"));
        }
        let must = "is not a cursor of this list; take nextCursor from the page before";
        let cursor = self.value("cursor", text.cursor, must, |text| read_cursor(list, text).ok());
        PageQuery { page, page_size, cursor }
    }

    /// `value`, unless something was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, ApiError> {
        if self.0.is_empty() { Ok(value) } else { Err(ApiError::invalid(self.0)) }
    }
}
