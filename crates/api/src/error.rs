//! Errors as clients see them: the one place that knows HTTP's status codes.
//!
//! A message is one sentence for a person. It never repeats a value that was sent, a path of this machine or anything secret.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postrider_core::command::Rejection;
use postrider_core::invalid::FieldError;
use postrider_engine::Refused;
use serde::Serialize;
use utoipa::ToSchema;

use crate::envelope;

/// What kind of error it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 400: the body is not JSON, or did not arrive whole.
    MalformedJson,
    /// 400: plain http on a port that speaks TLS.
    HttpsRequired,
    /// 401: no key, or one that is not known.
    Unauthorized,
    /// 403: the key may not do this.
    Forbidden,
    /// 404: there is no such thing, or it belongs to another workspace.
    NotFound,
    /// 405: the address takes other methods; `Allow` names them.
    MethodNotAllowed,
    /// 408: the body came too slowly.
    RequestTimeout,
    /// 409: the state does not allow it.
    Conflict,
    /// 413: more bytes or events than are taken.
    PayloadTooLarge,
    /// 415: the message names the header to send.
    UnsupportedMediaType,
    /// 422: `errors` says what to mend.
    ValidationFailed,
    /// 429: come again after `Retry-After` seconds.
    RateLimited,
    /// 503: too much is waiting already; come again after `Retry-After` seconds.
    Overloaded,
    /// 503: nothing can be taken now; come again after `Retry-After` seconds.
    Unavailable,
}

impl Code {
    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Code::MalformedJson | Code::HttpsRequired => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Code::Conflict => StatusCode::CONFLICT,
            Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::ValidationFailed => StatusCode::UNPROCESSABLE_ENTITY,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::Overloaded | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Its path in the request.
    #[schema(example = "events[0]")]
    pub field: String,
    /// What to mend.
    #[schema(example = "is not an event type of the profile genesy")]
    pub message: String,
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Fault {
        Fault { field: error.field, message: error.message }
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: Code,
    pub message: String,
    pub errors: Vec<Fault>,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u64>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    /// Always `error`.
    #[schema(value_type = String, example = "error")]
    pub status: &'static str,
    pub code: Code,
    /// One sentence for a person.
    #[schema(value_type = String, example = "events[0] is not an event type of the profile genesy.")]
    pub message: &'a str,
    /// Field by field, where fields are to blame.
    #[schema(value_type = Vec<Fault>)]
    pub errors: &'a [Fault],
}

impl ApiError {
    /// An error without fields.
    pub fn new(code: Code, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into(), errors: Vec::new(), retry_after: None }
    }

    /// A 404.
    pub fn not_found(what: impl fmt::Display) -> ApiError {
        ApiError::new(Code::NotFound, format!("There is no such {what} here."))
    }

    /// A 422 for one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError::invalid(vec![FieldError::new(field, message)])
    }

    /// A 422.
    pub fn invalid(faults: Vec<FieldError>) -> ApiError {
        let message = match &*faults {
            [only] => format!("{} {}.", only.field, only.message),
            several => format!("{} fields have to be mended; errors names each.", several.len()),
        };
        let errors = faults.into_iter().map(Fault::from).collect();
        ApiError { errors, ..ApiError::new(Code::ValidationFailed, message) }
    }

    /// The same, to be tried again in so many seconds.
    pub fn after(self, seconds: u64) -> ApiError {
        ApiError { retry_after: Some(seconds), ..self }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        match refused {
            Refused::Invalid(faults) => ApiError::invalid(faults),
            Refused::TooLarge(max) => ApiError::new(
                Code::PayloadTooLarge,
                format!("data has more than the {max} bytes that an event may have."),
            ),
            Refused::Rejected(rejection) => rejection.into(),
            Refused::Overloaded => {
                ApiError::new(Code::Overloaded, "Too many requests are waiting; try again in a moment.").after(1)
            }
            Refused::Unreadable => {
                let message = "What happened earlier cannot be read just now; try again in a moment.";
                ApiError::new(Code::Unavailable, message).after(2)
            }
            Refused::Full => {
                ApiError::new(Code::Unavailable, "The log cannot be written: it has no space left.").after(30)
            }
            Refused::KeyMissing => ApiError::new(
                Code::Unavailable,
                "The key that the workspace's secrets are sealed with is missing from the server's data folder.",
            )
            .after(30),
            Refused::Closed => {
                ApiError::new(Code::Unavailable, "The engine is stopping, or its log cannot be written.").after(5)
            }
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> ApiError {
        match rejection {
            Rejection::NoWorkspace => ApiError::not_found("workspace"),
            Rejection::NoKey => ApiError::not_found("key"),
            Rejection::NoWebhook => ApiError::not_found("webhook"),
            Rejection::NoEvent => ApiError::not_found("event"),
            Rejection::NoDelivery => ApiError::not_found("delivery"),
            Rejection::NoReplay => ApiError::not_found("replay"),
            Rejection::NoProfile => ApiError::field("profile", "is not the name of a profile"),
            Rejection::IdTaken
            | Rejection::Ended(_)
            | Rejection::InFlight
            | Rejection::Erased
            | Rejection::WebhookOff
            | Rejection::NotSigned
            | Rejection::ReplayEnded(_)
            | Rejection::TooMany { .. } => ApiError::new(Code::Conflict, sentence(&rejection.to_string())),
        }
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { status: "error", code: self.code, message: &self.message, errors: &self.errors };
        let mut response = envelope::json(self.code.status(), &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
