//! Identities, and how each is written for people.
//!
//! What the engine numbers itself carries the position of the fact that made it, so that a generated id finds its record without an
//! index. Webhook and attempt ids are small dense integers because clients keep them in JSON numbers (below 2^53).

use std::fmt;
use std::str::FromStr;

/// A record's place in the log: block number (44 bits), then index in the block (20 bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Facts that fit into one block.
    pub const INDEX_MAX: u32 = (1 << 20) - 1;
    /// The last block number there can be.
    pub const BLOCK_MAX: u64 = (1 << 44) - 1;

    /// The `index`-th fact of block `block`.
    pub fn new(block: u64, index: u32) -> Position {
        assert!(block <= Self::BLOCK_MAX && index <= Self::INDEX_MAX, "a position has 44 + 20 bits");
        Position(block << 20 | u64::from(index))
    }

    /// The number of the block it lies in.
    pub fn block(self) -> u64 {
        self.0 >> 20
    }

    /// Its place within the block.
    pub fn index(self) -> u32 {
        (self.0 & u64::from(Self::INDEX_MAX)) as u32
    }

    /// As one integer; ordered as positions are.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// From [`Position::to_u64`].
    pub const fn from_u64(raw: u64) -> Position {
        Position(raw)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.block(), self.index())
    }
}

/// Crockford's base 32 in lower case: sorts like the number, has no letter that is read as a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn write_base32(f: &mut fmt::Formatter<'_>, value: u64, digits: u32) -> fmt::Result {
    for digit in (0..digits).rev() {
        let five = value.checked_shr(digit * 5).unwrap_or(0) & 31;
        fmt::Write::write_char(f, ALPHABET[five as usize] as char)?;
    }
    Ok(())
}

fn read_base32(text: &str) -> Option<u64> {
    text.bytes().try_fold(0u64, |value, byte| {
        let digit = ALPHABET.iter().position(|&a| a == byte)? as u64;
        value.checked_mul(32)?.checked_add(digit)
    })
}

/// Digits of base 32 that hold 64 bits.
const POSITION_DIGITS: usize = 13;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct ParseIdError;

macro_rules! position_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Position);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                write_base32(f, self.0.to_u64(), POSITION_DIGITS as u32)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = text.strip_prefix($prefix).filter(|d| d.len() == POSITION_DIGITS).ok_or(ParseIdError)?;
                read_base32(digits).map(|raw| $name(Position::from_u64(raw))).ok_or(ParseIdError)
            }
        }
    };
}

position_id!(
    /// A workspace, named by the position of its `WorkspaceCreated`.
    WorkspaceId, "ws_"
);
position_id!(
    /// A workspace's key (not the key itself), named by the position of its `KeyCreated`.
    KeyId, "key_"
);
position_id!(
    /// A replay, named by the position of its `ReplayStarted`.
    ReplayId, "rpl_"
);

/// One event for one webhook: the event's position, and the webhook's place among those chosen, or among those added later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// Where the event was accepted.
    pub event: Position,
    /// Which of the event's chosen webhooks, from 0; from [`DeliveryKey::FIRST_ADDED`] on, which of those that replays have added.
    pub ordinal: u32,
}

impl DeliveryKey {
    /// Half of all ordinals is for deliveries that were added after their event was accepted. So an id says which of the two it is,
    /// and none is given twice however many webhooks there will be. Fixed for ever: ids carry it.
    pub const FIRST_ADDED: u32 = 1 << 19;

    /// The `nth` delivery, from 0, that was added to an event.
    pub fn added(event: Position, nth: u32) -> DeliveryKey {
        assert!(nth < Self::FIRST_ADDED, "an ordinal has 20 bits");
        DeliveryKey { event, ordinal: Self::FIRST_ADDED + nth }
    }

    /// Whether a replay has added it, to a webhook that was not chosen when the event came.
    pub fn is_added(self) -> bool {
        self.ordinal >= Self::FIRST_ADDED
    }
}

/// Digits of base 32 for an ordinal below 2^20.
const ORDINAL_DIGITS: usize = 4;

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dlv_")?;
        write_base32(f, self.event.to_u64(), POSITION_DIGITS as u32)?;
        write_base32(f, u64::from(self.ordinal), ORDINAL_DIGITS as u32)
    }
}

impl FromStr for DeliveryKey {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.strip_prefix("dlv_").filter(|d| d.len() == POSITION_DIGITS + ORDINAL_DIGITS && d.is_ascii());
        let (event, ordinal) = digits.ok_or(ParseIdError)?.split_at(POSITION_DIGITS);
        let event = Position::from_u64(read_base32(event).ok_or(ParseIdError)?);
        let ordinal = read_base32(ordinal).and_then(|o| u32::try_from(o).ok()).ok_or(ParseIdError)?;
        Ok(DeliveryKey { event, ordinal })
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            /// Reads plain decimal digits without a sign or leading zeros.
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
                match text.parse() {
                    Ok(number) if plain && number < 1 << 53 => Ok($name(number)),
                    _ => Err(ParseIdError),
                }
            }
        }
    };
}

number_id!(
    /// A webhook: counted from 1 over all workspaces, never reused.
    WebhookId
);
number_id!(
    /// An entry of a webhook's log: one attempt. Counted from 1 over all workspaces, never reused.
    AttemptId
);

/// An event's id: the publisher's idempotency key, or one that we generated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Box<str>);

/// The most characters an event id may have.
pub const EVENT_ID_CHARS_MAX: usize = 128;

impl EventId {
    /// An id that carries the position its event will have, and `salt` so that no publisher can take it beforehand.
    pub fn generate(at: Position, salt: u32) -> EventId {
        struct Generated(Position, u32);
        impl fmt::Display for Generated {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("evt_")?;
                write_base32(f, self.0.to_u64(), POSITION_DIGITS as u32)?;
                write_base32(f, u64::from(self.1), SALT_DIGITS as u32)
            }
        }
        EventId(Generated(at, salt & SALT_MASK).to_string().into())
    }

    /// Where the event lies if the id is one that we generated. The record there has the last word: a publisher may have made it up.
    pub fn position(&self) -> Option<Position> {
        let digits = self.0.strip_prefix("evt_").filter(|d| d.len() == POSITION_DIGITS + SALT_DIGITS)?;
        read_base32(digits.get(..POSITION_DIGITS)?).map(Position::from_u64)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const SALT_DIGITS: usize = 5;
const SALT_MASK: u32 = (1 << (5 * SALT_DIGITS)) - 1;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EventId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
        let fits = !text.is_empty() && text.len() <= EVENT_ID_CHARS_MAX && text.bytes().all(allowed);
        if fits { Ok(EventId(text.into())) } else { Err(ParseIdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back_as_written(raw: u64, ordinal in 0u32..1 << 20, salt: u32) {
            let at = Position::from_u64(raw);
            prop_assert_eq!(WorkspaceId(at).to_string().parse(), Ok(WorkspaceId(at)));
            let key = DeliveryKey { event: at, ordinal };
            prop_assert_eq!(key.is_added(), ordinal >= 1 << 19);
            prop_assert_eq!(key.to_string().parse(), Ok(key));
            prop_assert_eq!(ReplayId(at).to_string().parse(), Ok(ReplayId(at)));
            let event = EventId::generate(at, salt);
            prop_assert_eq!(event.position(), Some(at));
            prop_assert_eq!(event.as_str().parse(), Ok(event.clone()));
        }

        #[test]
        fn no_text_makes_an_id_parser_panic(text: String) {
            let _ = text.parse::<DeliveryKey>();
            let _ = text.parse::<WebhookId>();
            let _ = text.parse::<EventId>().map(|id| id.position());
        }
    }

    #[test]
    fn a_number_id_is_plain_digits_below_2_to_the_53() {
        assert_eq!("7".parse(), Ok(WebhookId(7)));
        for text in ["", "0", "07", "+7", "-7", "7.0", "9007199254740992", "x"] {
            assert_eq!(text.parse::<WebhookId>(), Err(ParseIdError), "{text}");
        }
    }
}
