//! Points and spans of time: integers of milliseconds, so that decisions never round.

use std::fmt;
use std::ops::Add;

/// A point in engine time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Time {
    /// The span from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Millis {
        Millis(seconds * 1000)
    }
}

impl Add<Millis> for Time {
    type Output = Time;
    fn add(self, span: Millis) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl From<Millis> for std::time::Duration {
    fn from(span: Millis) -> Self {
        std::time::Duration::from_millis(span.0)
    }
}

/// RFC 3339 in UTC with `Z` and milliseconds: `2026-02-19T10:30:00.000Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_millisecond(self.0.min(MAX_MILLIS) as i64).map_err(|_| fmt::Error)?;
        write!(f, "{at:.3}")
    }
}

/// 9999-12-30T22:00:00Z, the last hour that every time zone can write with four digits of year.
const MAX_MILLIS: u64 = 253_402_207_200_000;

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time with an offset, such as 2026-02-19T10:30:00Z, between 1970 and 9999")]
pub struct ParseTimeError;

impl std::str::FromStr for Time {
    type Err = ParseTimeError;

    /// Reads RFC 3339 with any offset; digits past the millisecond are cut off.
    fn from_str(text: &str) -> Result<Time, ParseTimeError> {
        let at: jiff::Timestamp = text.parse().map_err(|_| ParseTimeError)?;
        match u64::try_from(at.as_millisecond()) {
            Ok(ms) if ms <= MAX_MILLIS => Ok(Time(ms)),
            _ => Err(ParseTimeError),
        }
    }
}

impl Time {
    /// Reads a bound of a search: as a time is read, but what is earlier than all there can be is the earliest there can be. It finds the same.
    pub fn from_bound(text: &str) -> Result<Time, ParseTimeError> {
        let at: jiff::Timestamp = text.parse().map_err(|_| ParseTimeError)?;
        if at < jiff::Timestamp::UNIX_EPOCH { Ok(Time(0)) } else { text.parse() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_z_and_milliseconds() {
        assert_eq!(Time(1_771_497_000_000).to_string(), "2026-02-19T10:30:00.000Z");
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_bound_may_be_earlier_than_all_there_can_be() {
        assert_eq!(Time::from_bound("0255-03-28T09:45:36+22:46"), Ok(Time(0)));
        assert_eq!(Time::from_bound("2026-02-19T10:30:00Z"), Ok(Time(1_771_497_000_000)));
        assert!(Time::from_bound("yesterday").is_err() && "0255-03-28T09:45:36Z".parse::<Time>().is_err());
    }

    #[test]
    fn any_offset_is_read_and_garbage_is_not() {
        assert_eq!("2026-02-19T12:30:00.1239+02:00".parse(), Ok(Time(1_771_497_000_123)));
        for text in
            ["", "yesterday", "2026-02-19", "2026-02-19T10:30:00", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"]
        {
            assert_eq!(text.parse::<Time>(), Err(ParseTimeError), "{text}");
        }
    }
}
