//! Ids, times, delays, signing secrets and profiles out of any text: an error, or something that reads the same once it was written.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use postrider_core::policy::{DELAY_MAX, format_delay, parse_delay};
use postrider_core::profile::{Profile, is_date_time};
use postrider_core::{DeliveryKey, EventId, KeyId, ReplayId, Time, WebhookId, WorkspaceId};
use postrider_dispatch::SigningSecret;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for twice in [
        twice::<EventId>,
        twice::<DeliveryKey>,
        twice::<WebhookId>,
        twice::<WorkspaceId>,
        twice::<KeyId>,
        twice::<ReplayId>,
        twice::<Time>,
    ] {
        twice(text);
    }
    if is_date_time(text) {
        assert!(text.len() >= "2026-02-19T10:30:00Z".len(), "{text:?}");
    }
    if let Ok(delay) = parse_delay(text) {
        assert!(delay.0 >= 1 && delay <= DELAY_MAX, "{text:?}");
        assert_eq!(parse_delay(&format_delay(delay)), Ok(delay));
    }
    if let Ok(secret) = SigningSecret::parse(text) {
        let signature = secret.sign("id", 1, b"{}");
        assert!(signature.starts_with("v1") && signature == secret.sign("id", 1, b"{}"));
        assert!(!signature.contains(text), "a signature shows no secret");
    }
    if let Ok(profile) = Profile::parse(text) {
        assert_eq!(Profile::parse(&profile.toml).as_ref().map(|again| &again.hash), Ok(&profile.hash));
    }
}

fn twice<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(read) = text.parse::<T>() else { return };
    let written = read.to_string();
    assert_eq!(written.parse::<T>().ok(), Some(read), "{text:?} and {written:?}");
}
