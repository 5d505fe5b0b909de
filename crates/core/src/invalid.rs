//! What is wrong with an input, said so that the one who sent it can mend it.

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field in the request: `url`, `events[0]`, `data.contact.distance`.
    pub field: String,
    /// One sentence for a person.
    pub message: String,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), message: message.into() }
    }
}
