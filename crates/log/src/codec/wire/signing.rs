//! The wire types of the keys that a webhook signs with.

use bincode::{BorrowDecode, Encode};
use postrider_core::Time;
use postrider_core::signing::{RetiredKey, Scheme, Signing, SigningKey};

use super::{Span, WireSealed, span, time};

/// The newest key, then those before it, each with the end of its grace.
#[derive(Encode, BorrowDecode)]
pub(in crate::codec) struct WireSigning<'a> {
    key: WireSigningKey<'a>,
    retired: Vec<(WireSigningKey<'a>, Span)>,
}

#[derive(Encode, BorrowDecode)]
struct WireSigningKey<'a> {
    scheme: u8,
    secret: WireSealed<'a>,
    public_key: Option<[u8; 32]>,
}

byte_enum!(scheme_byte, scheme, Scheme: 0 = V1, 1 = V1a);

impl<'a> WireSigning<'a> {
    pub(super) fn from_domain(signing: &'a Signing, base: Time) -> WireSigning<'a> {
        let retired = |old: &'a RetiredKey| (WireSigningKey::from_domain(&old.key), span(old.until, base));
        WireSigning {
            key: WireSigningKey::from_domain(&signing.key),
            retired: signing.retired.iter().map(retired).collect(),
        }
    }

    pub(super) fn into_domain(self, base: Time) -> Result<Signing, String> {
        let retired = |(key, until): (WireSigningKey<'a>, Span)| {
            key.into_domain().map(|key| RetiredKey { key, until: time(until, base) })
        };
        Ok(Signing {
            key: self.key.into_domain()?,
            retired: self.retired.into_iter().map(retired).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> WireSigningKey<'a> {
    fn from_domain(key: &'a SigningKey) -> WireSigningKey<'a> {
        WireSigningKey {
            scheme: scheme_byte(key.scheme),
            secret: WireSealed::from_domain(&key.secret),
            public_key: key.public_key,
        }
    }

    fn into_domain(self) -> Result<SigningKey, String> {
        Ok(SigningKey { scheme: scheme(self.scheme)?, secret: self.secret.into_domain(), public_key: self.public_key })
    }
}
