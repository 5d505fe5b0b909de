//! The one file of the command line that reads the wall clock: when a request came, for people to read. Nothing is
//! decided by it.

use std::time::UNIX_EPOCH;

use jiff::Timestamp;

/// Milliseconds since 1970, UTC.
pub fn now_ms() -> i64 {
    now_us() / 1_000
}

/// Microseconds since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock in this crate; decides nothing")]
pub fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
pub fn rfc3339(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
}

/// Milliseconds since 1970 of an RFC 3339 time; none where it is no such time.
pub fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_always_written() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_700_000_000_120), "2023-11-14T22:13:20.120Z");
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_eq!(parse(&rfc3339(1_700_000_000_120)), Some(1_700_000_000_120));
        assert_eq!(parse("yesterday"), None);
    }
}
