//! What a draft makes of the keys that a webhook signs with. New ones are drawn and sealed here, before the writer sees them.

use postrider_core::draft::{Field, WebhookDraft};
use postrider_core::invalid::FieldError;
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::signing::{Scheme, Signing, SigningKey};
use postrider_dispatch::SigningSecret;
use secrecy::{ExposeSecret, SecretString};

use super::{Handle, Refused};
use crate::entropy;

/// What is to become of a webhook's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// They stay; there may be none.
    Keep,
    /// None.
    Remove,
    /// A new one.
    Draw(Scheme),
    /// This one, which can be read.
    Take(&'a str),
}

/// What `draft` asks for; `current` is what the webhook signs by.
///
/// # Errors
/// When a secret can't be read or is of another scheme than the draft names.
pub(super) fn wish<'a>(
    draft: &'a WebhookDraft,
    profile: &Profile,
    current: Option<Scheme>,
) -> Result<Wish<'a>, FieldError> {
    let draw_unless_current = |scheme| if current == Some(scheme) { Wish::Keep } else { Wish::Draw(scheme) };
    let Some(default) = profile.signing else {
        return Ok(match draft.signing {
            Field::Absent => Wish::Keep,
            Field::Null => Wish::Remove,
            Field::Set(scheme) => draw_unless_current(scheme),
        });
    };
    let wished = match draft.signing {
        Field::Absent => None,
        Field::Null => Some(default),
        Field::Set(scheme) => Some(scheme),
    };
    let scheme = wished.or(current).unwrap_or(default);
    match &draft.secret {
        Field::Absent => Ok(draw_unless_current(scheme)),
        Field::Null => Ok(Wish::Draw(scheme)),
        Field::Set(text) => {
            let secret = SigningSecret::parse(text).map_err(|error| FieldError::new("secret", error.to_string()))?;
            if wished.is_some_and(|scheme| scheme != secret.scheme()) {
                return Err(FieldError::new("signing.scheme", "is not the scheme that the secret is for"));
            }
            Ok(Wish::Take(text))
        }
    }
}

impl Handle {
    /// The keys that a wish leads to, if it changes any, and the secret if it was drawn.
    pub(super) fn signing(
        &self,
        sealing_key: SealingKeyId,
        wish: Wish<'_>,
    ) -> Result<(Option<Option<Signing>>, Option<SecretString>), Refused> {
        Ok(match wish {
            Wish::Keep => (None, None),
            Wish::Remove => (Some(None), None),
            Wish::Draw(scheme) => {
                let (key, text) = self.draw_signing_key(sealing_key, scheme)?;
                (Some(Some(Signing::with(key))), Some(text))
            }
            Wish::Take(text) => (Some(Some(Signing::with(self.seal_signing_key(sealing_key, text)?))), None),
        })
    }

    pub(super) fn draw_signing_key(
        &self,
        sealing_key: SealingKeyId,
        scheme: Scheme,
    ) -> Result<(SigningKey, SecretString), Refused> {
        let mut chance = [0; 32];
        entropy::fill(&mut chance);
        let text = SigningSecret::text_of(scheme, &chance);
        Ok((self.seal_signing_key(sealing_key, text.expose_secret())?, text))
    }

    fn seal_signing_key(&self, sealing_key: SealingKeyId, text: &str) -> Result<SigningKey, Refused> {
        let secret = SigningSecret::parse(text).expect("what was drawn or checked can be read");
        let sealed = self.0.keyring.seal(sealing_key, text).ok_or(Refused::KeyMissing)?;
        Ok(SigningKey { scheme: secret.scheme(), secret: sealed, public_key: secret.public_key() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn profile(name: &str) -> Profile {
        Profile::built_in().into_iter().find(|profile| &*profile.name == name).unwrap()
    }

    fn draft(secret: Field<&str>, signing: Field<Scheme>) -> WebhookDraft {
        let secret = match secret {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Set(text) => Field::Set(text.to_owned()),
        };
        WebhookDraft { secret, signing, ..WebhookDraft::default() }
    }

    #[test]
    fn a_webhook_that_always_signs_keeps_its_key_until_another_is_wanted() {
        use Field::{Absent, Null, Set};
        use Scheme::{V1, V1a};
        let standard = profile("standard");
        for (secret, signing, current, wanted) in [
            (Absent, Absent, None, Ok(Wish::Draw(V1))),
            (Absent, Set(V1a), None, Ok(Wish::Draw(V1a))),
            (Absent, Absent, Some(V1a), Ok(Wish::Keep)),
            (Absent, Set(V1a), Some(V1a), Ok(Wish::Keep)),
            (Absent, Set(V1), Some(V1a), Ok(Wish::Draw(V1))),
            (Absent, Null, Some(V1), Ok(Wish::Keep)),
            (Absent, Null, Some(V1a), Ok(Wish::Draw(V1))),
            (Null, Absent, Some(V1a), Ok(Wish::Draw(V1a))),
            (Set(SECRET), Absent, None, Ok(Wish::Take(SECRET))),
            (Set(SECRET), Absent, Some(V1a), Ok(Wish::Take(SECRET))),
            (Set(SECRET), Set(V1a), None, Err("signing.scheme")),
            (Set("hunter2hunter2"), Absent, None, Err("secret")),
        ] {
            let draft = draft(secret, signing);
            let found = wish(&draft, &standard, current).map_err(|error| error.field);
            assert_eq!(found, wanted.map_err(str::to_owned), "{:?} {current:?}", draft.signing);
        }
    }

    #[test]
    fn elsewhere_a_webhook_signs_when_it_wishes_to_and_its_secret_is_its_headers() {
        let genesy = profile("genesy");
        for (signing, current, wanted) in [
            (Field::Absent, None, Wish::Keep),
            (Field::Set(Scheme::V1), None, Wish::Draw(Scheme::V1)),
            (Field::Set(Scheme::V1), Some(Scheme::V1), Wish::Keep),
            (Field::Set(Scheme::V1a), Some(Scheme::V1), Wish::Draw(Scheme::V1a)),
            (Field::Null, Some(Scheme::V1), Wish::Remove),
        ] {
            assert_eq!(wish(&draft(Field::Set("hunter2hunter2"), signing), &genesy, current), Ok(wanted));
        }
    }
}
