//! The request that a receiver gets: headers and body of one attempt, to be sent, or masked to be shown.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use postrider_core::directory::Directory;
use postrider_core::event::Event;
use postrider_core::profile::{EventView, Profile};
use postrider_core::sealed::Sealed;
use postrider_core::webhook::Webhook;
use postrider_core::{DeliveryKey, EventId, Position, Time};
use postrider_dispatch::SigningSecret;
use secrecy::ExposeSecret;

use crate::keyring::{Keyring, OpenError};

/// Names and values in the order in which they are sent.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// What stands for a secret where a request is shown.
pub const MASK: &str = "***";

/// How sealed values are to appear.
#[derive(Clone, Copy)]
pub enum Secrets<'a> {
    /// In the clear, to be sent.
    Opened(&'a Keyring),
    /// As [`MASK`], to be shown.
    Masked,
}

impl Secrets<'_> {
    fn value(self, sealed: &Sealed) -> Result<HeaderValue, OpenError> {
        match self {
            Secrets::Masked => Ok(HeaderValue::from_static(MASK)),
            Secrets::Opened(keyring) => {
                let secret = keyring.open_sealed(sealed)?;
                let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| OpenError(sealed.key))?;
                value.set_sensitive(true);
                Ok(value)
            }
        }
    }
}

/// The headers that are the same at every attempt with one version of a webhook.
///
/// # Errors
/// When a secret can't be opened, since its workspace is gone.
pub fn webhook_headers(webhook: &Webhook, profile: &Profile, secrets: Secrets<'_>) -> Result<Headers, OpenError> {
    let settings = &webhook.settings;
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    // A webhook that names it sends its own: a request has one.
    if !settings.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(USER_AGENT.as_str())) {
        headers.push((USER_AGENT, HeaderValue::from_static(concat!("Postrider/", env!("CARGO_PKG_VERSION")))));
    }
    for (name, value) in &settings.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("header names are checked before they are kept");
        headers.push((name, secrets.value(value)?));
    }
    if let (Some(rule), Some(secret)) = (&profile.secret, &settings.secret) {
        let name =
            HeaderName::from_bytes(rule.header.as_bytes()).expect("a profile's header name is checked when it is read");
        headers.push((name, secrets.value(secret)?));
    }
    Ok(headers)
}

/// The headers that are an attempt's own. A test has no delivery.
pub fn attempt_headers(headers: &mut Headers, event: &EventId, delivery: Option<DeliveryKey>, number: u32) {
    let text = |text: &str| HeaderValue::from_str(text).expect("ids are visible ASCII");
    headers.push((HeaderName::from_static("postrider-event-id"), text(event.as_str())));
    if let Some(key) = delivery {
        headers.push((HeaderName::from_static("postrider-delivery-id"), text(&key.to_string())));
    }
    headers.push((HeaderName::from_static("postrider-attempt"), HeaderValue::from(number)));
}

/// The keys that one version of a webhook signs with, in the clear.
#[derive(Default)]
pub struct Signers(Vec<Signer>);

struct Signer {
    secret: SigningSecret,
    /// Engine time from which it does not sign; `None` for the newest.
    until: Option<Time>,
}

impl Signers {
    /// Opens a webhook's keys; none where it does not sign.
    ///
    /// # Errors
    /// When one can't be opened, since its workspace is gone.
    pub fn open(webhook: &Webhook, keyring: &Keyring) -> Result<Signers, OpenError> {
        let Some(signing) = &webhook.settings.signing else { return Ok(Signers::default()) };
        let open = |sealed: &Sealed, until| {
            let secret = SigningSecret::parse(keyring.open_sealed(sealed)?.expose_secret());
            Ok(Signer { secret: secret.map_err(|_| OpenError(sealed.key))?, until })
        };
        let retired = signing.retired.iter().map(|retired| open(&retired.key.secret, Some(retired.until)));
        std::iter::once(open(&signing.key.secret, None)).chain(retired).collect::<Result<_, _>>().map(Signers)
    }

    /// Adds the headers of Standard Webhooks. `now` is engine time and says which keys still sign; `wall` is what the receiver compares
    /// with its own clock.
    pub fn sign(&self, headers: &mut Headers, event: &EventId, now: Time, wall: Time, body: &[u8]) {
        let seconds = wall.0 / 1000;
        let signs = |signer: &&Signer| signer.until.is_none_or(|until| now < until);
        let signatures: Vec<String> =
            self.0.iter().filter(signs).map(|signer| signer.secret.sign(event.as_str(), seconds, body)).collect();
        if !signatures.is_empty() {
            signature_headers(headers, event, seconds, &signatures.join(" "));
        }
    }
}

/// The headers of Standard Webhooks as they are shown: without the signature, with which whoever
/// reads it could send the request once more.
pub fn masked_signature(headers: &mut Headers, webhook: &Webhook, event: &EventId, at: Time) {
    if webhook.settings.signing.is_some() {
        signature_headers(headers, event, at.0 / 1000, MASK);
    }
}

fn signature_headers(headers: &mut Headers, event: &EventId, seconds: u64, signatures: &str) {
    let text = |text: &str| HeaderValue::from_str(text).expect("ids and base64 are visible ASCII");
    headers.push((HeaderName::from_static("webhook-id"), text(event.as_str())));
    headers.push((HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds)));
    headers.push((HeaderName::from_static("webhook-signature"), text(signatures)));
}

/// The body of a delivery: the same bytes at every attempt, whatever became of webhook and profile since. `None` when profile or revision
/// are not in the directory, as after their workspace was deleted.
pub fn body(directory: &Directory, event: &Event, webhook: &Webhook, revision: Position, data: &[u8]) -> Option<Bytes> {
    let profile = directory.profile(event.profile)?;
    let custom_fields = directory.projection(webhook.id, revision)?;
    let view = EventView { id: event.id.as_str(), event_type: &event.event_type, created: &event.created, data };
    let mut body = Vec::with_capacity(data.len() + ENVELOPE_BYTES);
    profile.render(&view, custom_fields, &mut body);
    Some(body.into())
}

/// About what an envelope adds to its data.
const ENVELOPE_BYTES: usize = 256;
