//! Values as people write them on the command line: `250ms`, `64MiB`, `0.25`, `127.0.0.1:0`.
//!
//! Every parser refuses rather than guesses: a number without a unit is an error, and so is one out of range.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::clock;

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const DURATION_MAX_MS: u64 = 365 * 86_400_000;
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A whole number with `ms`, `s`, `m`, `h` or `d`; at most a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration: a number with ms, s, m, h or d, such as 30s");
    let ms = with_unit(text, &DURATION_UNITS).ok_or_else(bad)?;
    if ms > DURATION_MAX_MS {
        return Err(format!("`{text}` is longer than a year"));
    }
    Ok(Duration::from_millis(ms))
}

/// A whole number with `B`, `KiB`, `MiB` or `GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    with_unit(text, &SIZE_UNITS)
        .ok_or_else(|| format!("`{text}` is not a size: a number with B, KiB, MiB or GiB, such as 64MiB"))
}

/// A whole number of bytes, alone or with `B`, `KiB`, `MiB` or `GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    text.parse().or_else(|_| size(text))
}

/// A whole number a second: `200` or `200/s`.
pub fn rate(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| format!("`{text}` is not a rate: a whole number a second, such as 200/s"))
}

/// A share of all: 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a share: a number from 0 to 1, such as 0.25")),
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or a port alone (loopback then).
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    match port.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) => Err(format!("`{text}` is not an address to listen on, such as 127.0.0.1:8080")),
    }
}

/// A time, as RFC 3339 has it, or a duration before now: `2026-02-19T10:30:00Z`, `24h`.
pub fn moment(text: &str) -> Result<String, String> {
    if let Ok(before) = duration(text) {
        let ms = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
        return Ok(clock::rfc3339(clock::now_ms().saturating_sub(ms)));
    }
    match clock::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "`{text}` is neither an RFC 3339 time, such as 2026-02-19T10:30:00Z, nor a duration, such as 24h"
        )),
    }
}

/// As it is written: in the largest unit that keeps it whole.
pub fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    in_unit(ms, &DURATION_UNITS)
}

/// As it is written: in the largest unit that keeps it whole.
pub fn size_text(bytes: u64) -> String {
    in_unit(bytes, &SIZE_UNITS)
}

fn in_unit(number: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().rev().find(|(_, factor)| number > 0 && number.is_multiple_of(*factor));
    let (unit, factor) = whole.unwrap_or(&units[0]);
    format!("{}{unit}", number / factor)
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_known_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for bad in ["", "5", "s", "-1s", "1.5s", "1 s", "1S", "99999999999999999999s", "18446744073709551615d", "366d"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        assert_eq!(moment("2026-02-19T10:30:00+01:00").as_deref(), Ok("2026-02-19T10:30:00+01:00"));
        let ago = clock::now_ms() - clock::parse(&moment("1h").unwrap()).unwrap();
        assert!((3_600_000..3_660_000).contains(&ago), "{ago}");
        assert!(moment("yesterday").is_err() && moment("2026-02-19").is_err());
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("17B"), Ok(17));
        for bad in ["64MB", "64", "MiB", "1.5MiB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_and_rates_may_go_without_a_unit() {
        assert_eq!((bytes("1024"), bytes("1KiB")), (Ok(1024), Ok(1024)));
        assert_eq!((rate("200"), rate("200/s")), (Ok(200), Ok(200)));
        assert!(bytes("1KB").is_err() && rate("200/m").is_err() && rate("-1").is_err());
    }

    #[test]
    fn what_is_shown_can_be_written() {
        for text in ["0ms", "1ms", "1500ms", "30s", "90s", "12h", "30d", "365d"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
        for text in ["0B", "17B", "1KiB", "1025B", "256KiB", "64MiB", "20GiB", "1536MiB"] {
            assert_eq!(size_text(size(text).unwrap()), text);
        }
        assert_eq!((duration_text(Duration::from_secs(86_400)), size_text(1024)), ("1d".into(), "1KiB".into()));
    }

    #[test]
    fn shares_lie_between_none_and_all() {
        assert_eq!(share("0.25"), Ok(0.25));
        for bad in ["-0.1", "1.01", "NaN", "inf", "half"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_alone_is_on_loopback() {
        assert_eq!(listen("0"), listen("127.0.0.1:0"));
        assert_eq!(listen("localhost:80"), listen("127.0.0.1:80"));
        assert!(listen("[::1]:8080").is_ok());
        assert!(listen("example.com:80").is_err());
    }
}
