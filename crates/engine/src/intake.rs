//! An event on its way in: everything that takes a pass over the payload, done on the publisher's thread before the writer sees it.

use bytes::Bytes;
use postrider_core::event::{Digest, NewEvent};
use postrider_core::invalid::FieldError;
use postrider_core::profile::{CreatedForm, Profile, is_date_time};
use postrider_core::{EventId, Time, limits};

/// An event as a publisher hands it over.
#[derive(Clone, Debug, Default)]
pub struct EventDraft {
    /// The idempotency key.
    pub id: Option<String>,
    /// A type of the profile's catalogue.
    pub event_type: String,
    /// When it happened: RFC 3339.
    pub created: Option<String>,
    /// A JSON object.
    pub data: Bytes,
}

/// Why an event is not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntakeError {
    /// What is wrong, field by field.
    Invalid(Vec<FieldError>),
    /// `data` is larger than the limit, in bytes.
    TooLarge(usize),
}

/// Checks an event against its profile.
///
/// # Errors
/// When the publisher has to mend it.
pub fn check(profile: &Profile, draft: EventDraft, data_bytes_max: usize) -> Result<NewEvent, IntakeError> {
    if draft.data.len() > data_bytes_max {
        return Err(IntakeError::TooLarge(data_bytes_max));
    }
    let mut faults = Vec::new();
    let id = draft.id.as_deref().map(str::parse::<EventId>).transpose().unwrap_or_else(|_| {
        faults.push(FieldError::new("id", "must be 1 to 128 of A-Z, a-z, 0-9, _, : and -"));
        None
    });
    let given = draft.created.as_deref();
    if given.is_some_and(|text| !is_date_time(text) || text.parse::<Time>().is_err()) {
        faults.push(FieldError::new("created", postrider_core::time::ParseTimeError.to_string()));
    }
    if draft.event_type.chars().count() > limits::EVENT_TYPE_CHARS_MAX {
        faults.push(FieldError::new("type", format!("must have at most {} characters", limits::EVENT_TYPE_CHARS_MAX)));
        return Err(IntakeError::Invalid(faults));
    }
    let checked = match profile.check(&draft.event_type, &draft.data) {
        Ok(checked) if faults.is_empty() => checked,
        Ok(_) => return Err(IntakeError::Invalid(faults)),
        Err(more) => {
            faults.extend(more);
            return Err(IntakeError::Invalid(faults));
        }
    };
    let digest = Digest::of(&draft.event_type, given, &draft.data);
    let created = match profile.created.form {
        CreatedForm::AsGiven => draft.created.map(Into::into).or(checked.created),
        CreatedForm::UtcMillis => {
            let text = given.or(checked.created.as_deref());
            text.and_then(|text| text.parse::<Time>().ok()).map(|time| time.to_string().into())
        }
    };
    Ok(NewEvent {
        id,
        event_type: draft.event_type.into(),
        created,
        campaign: checked.campaign,
        digest,
        crc32c: crc32c::crc32c(&draft.data),
        data: draft.data,
    })
}
