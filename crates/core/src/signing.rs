//! How a webhook signs what it sends, as Standard Webhooks 1.0 has it: with which keys, and for how long each.
//!
//! Only what has to be remembered is here; secrets are sealed before they come. Making keys and signatures is for those who send.

use serde::Deserialize;

use crate::limits;
use crate::sealed::Sealed;
use crate::time::{Millis, Time};

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HMAC-SHA256 with a secret that both sides know.
    V1,
    /// Ed25519: the receiver has the public key only.
    V1a,
}

impl Scheme {
    /// The name in profiles, signatures and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::V1 => "v1",
            Scheme::V1a => "v1a",
        }
    }
}

/// One key that a webhook signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// What it is a key of.
    pub scheme: Scheme,
    /// The text that begins with `whsec_` or `whsk_`.
    pub secret: Sealed,
    /// What receivers check with; of an Ed25519 key only.
    pub public_key: Option<[u8; 32]>,
}

/// A key that was replaced and signs along until its receivers have the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    /// The key.
    pub key: SigningKey,
    /// From this engine time on it does not sign.
    pub until: Time,
}

/// The keys of one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The newest.
    pub key: SigningKey,
    /// Those before it, the newest first; at most [`limits::SIGNING_KEYS_RETIRED_MAX`].
    pub retired: Vec<RetiredKey>,
}

impl Signing {
    /// One key and none before it.
    pub fn with(key: SigningKey) -> Signing {
        Signing { key, retired: Vec::new() }
    }

    /// The keys that sign at `now`, the newest first.
    pub fn keys_at(&self, now: Time) -> impl Iterator<Item = &SigningKey> {
        let in_grace = self.retired.iter().filter(move |retired| now < retired.until);
        std::iter::once(&self.key).chain(in_grace.map(|retired| &retired.key))
    }

    /// Forgets the keys whose grace is over.
    pub fn prune(&mut self, now: Time) {
        self.retired.retain(|retired| now < retired.until);
    }

    /// Puts `fresh` in the place of the key there is, which signs along for `grace`. `None` when too many keys would sign.
    pub fn rotated(&self, fresh: SigningKey, now: Time, grace: Millis) -> Option<Signing> {
        let mut signing = self.clone();
        let old = std::mem::replace(&mut signing.key, fresh);
        signing.retired.insert(0, RetiredKey { key: old, until: now + grace });
        signing.prune(now);
        (signing.retired.len() <= limits::SIGNING_KEYS_RETIRED_MAX).then_some(signing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::SealingKeyId;

    fn key(n: u8) -> SigningKey {
        let secret = Sealed { key: SealingKeyId(1), nonce: [n; 24], bytes: [n].into() };
        SigningKey { scheme: Scheme::V1, secret, public_key: None }
    }

    fn at(signing: &Signing, now: u64) -> Vec<u8> {
        signing.keys_at(Time(now)).map(|key| key.secret.bytes[0]).collect()
    }

    #[test]
    fn an_old_key_signs_along_until_its_grace_is_over() {
        let signing = Signing::with(key(1)).rotated(key(2), Time(1_000), Millis(500)).unwrap();
        assert_eq!([at(&signing, 1_000), at(&signing, 1_499), at(&signing, 1_500)], [vec![2, 1], vec![2, 1], vec![2]]);
        let again = signing.rotated(key(3), Time(1_200), Millis(1_000)).unwrap();
        assert_eq!([at(&again, 1_200), at(&again, 1_600), at(&again, 2_200)], [vec![3, 2, 1], vec![3, 2], vec![3]]);
    }

    #[test]
    fn without_a_grace_the_old_key_is_gone_at_once() {
        let signing = Signing::with(key(1)).rotated(key(2), Time(1_000), Millis(0)).unwrap();
        assert_eq!(signing, Signing::with(key(2)));
    }

    #[test]
    fn no_more_keys_sign_than_a_header_has_room_for() {
        let mut signing = Signing::with(key(0));
        for n in 0..limits::SIGNING_KEYS_RETIRED_MAX {
            signing = signing.rotated(key(n as u8 + 1), Time(0), Millis(10)).unwrap();
        }
        assert_eq!(signing.rotated(key(9), Time(9), Millis(10)), None);
        assert!(signing.rotated(key(9), Time(10), Millis(10)).is_some_and(|signing| signing.retired.len() == 1));
    }
}
