//! The retry policy: after which delays a failed delivery is attempted again.

use crate::time::Millis;

/// The published schedule of one profile or webhook.
///
/// With R delays a delivery gets at most 1 + R attempts; the n-th delay is counted from the end of the n-th failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// At most [`DELAYS_MAX`], each from 1 ms to [`DELAY_MAX`].
    pub delays: Box<[Millis]>,
    /// Up to this share of a delay is added by chance: 0 to 1,000 thousandths.
    pub jitter_permille: u16,
}

/// The most tiers a policy may have.
pub const DELAYS_MAX: usize = 64;
/// The longest delay: 30 days.
pub const DELAY_MAX: Millis = Millis::from_secs(30 * 24 * 3600);

impl RetryPolicy {
    /// How long to wait after the `failures`-th failed attempt of a schedule (from 1), or `None` when that was the last one.
    ///
    /// `asked` is what the receiver wished for in `Retry-After`: it can lengthen the delay to at most twice the tier's, never shorten it.
    /// `draw` is a random number; jitter only ever adds, so that a retry is never early.
    pub fn delay_after(&self, failures: u32, asked: Option<Millis>, draw: u64) -> Option<Millis> {
        let tier = self.delays.get(failures.checked_sub(1)? as usize)?.0;
        let jitter_max = tier * u64::from(self.jitter_permille) / 1000;
        let jittered = tier + draw % (jitter_max + 1);
        let wished = asked.map_or(0, |a| a.0.min(tier * 2));
        Some(Millis(jittered.max(wished)))
    }
}

/// Why a text is not a delay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDelayError {
    /// Not of the form number and unit.
    #[error("must be a number with ms, s, m, h or d, such as 30s")]
    Form,
    /// Outside of 1 ms to 30 d.
    #[error("must be at least 1ms and at most 30d")]
    Range,
}

/// Reads `30s`, `5m`, `12h`: a number with ms, s, m, h or d. Fractions such as `1.5h` are allowed to the millisecond.
///
/// # Errors
/// When the text has another form, or the delay is not within 1 ms to 30 d.
pub fn parse_delay(text: &str) -> Result<Millis, ParseDelayError> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(ParseDelayError::Form)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(ParseDelayError::Form),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |t: &str| !t.is_empty() && t.len() <= 15 && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(ParseDelayError::Form);
    }
    let parse = |t: &str| t.parse::<u64>().map_err(|_| ParseDelayError::Form);
    let scaled = parse(fraction)? as u128 * unit_ms as u128 / 10u128.pow(fraction.len() as u32);
    let total = parse(whole)? as u128 * unit_ms as u128 + scaled;
    match u64::try_from(total) {
        Ok(ms) if (1..=DELAY_MAX.0).contains(&ms) => Ok(Millis(ms)),
        _ => Err(ParseDelayError::Range),
    }
}

/// Writes a delay in the largest unit that holds it whole: `90s` stays `90s`, `300s` becomes `5m`. One day is `24h`, as schedules that are
/// published have it.
pub fn format_delay(delay: Millis) -> String {
    const DAY: u64 = 86_400_000;
    let units = [(DAY, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let fits = |size: u64| delay.0.is_multiple_of(size) && (size < DAY || delay.0 > DAY);
    let (size, unit) = units.into_iter().find(|(size, _)| fits(*size)).unwrap_or((1, "ms"));
    format!("{}{unit}", delay.0 / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(delays: &[u64], jitter_permille: u16) -> RetryPolicy {
        RetryPolicy { delays: delays.iter().map(|&d| Millis(d)).collect(), jitter_permille }
    }

    #[test]
    fn a_policy_of_r_delays_allows_r_retries() {
        let genesy = policy(&[30_000, 300_000, 3_000_000], 0);
        let waits: Vec<_> = (1..=4).map(|n| genesy.delay_after(n, None, 7).map(|d| d.0)).collect();
        assert_eq!(waits, [Some(30_000), Some(300_000), Some(3_000_000), None]);
    }

    #[test]
    fn retry_after_lengthens_to_at_most_twice_and_never_shortens() {
        let p = policy(&[1000], 0);
        let after = |ms| p.delay_after(1, Some(Millis(ms)), 0);
        assert_eq!(after(10), Some(Millis(1000)));
        assert_eq!(after(1500), Some(Millis(1500)));
        assert_eq!(after(u64::MAX), Some(Millis(2000)));
    }

    #[test]
    fn delays_are_read_and_written() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("30d", DELAY_MAX.0),
            ("1.5s", 1500),
        ] {
            assert_eq!(parse_delay(text), Ok(Millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1e3s", "1 s", "30S", "½s", "1..5s"] {
            assert_eq!(parse_delay(text), Err(ParseDelayError::Form), "{text}");
        }
        for text in ["0s", "0ms", "31d", "0.1ms"] {
            assert_eq!(parse_delay(text), Err(ParseDelayError::Range), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_early_and_jitter_within_its_share(tier in 1u64..=DELAY_MAX.0, jitter in 0u16..=1000, draw: u64) {
            let wait = policy(&[tier], jitter).delay_after(1, None, draw).expect("one tier").0;
            prop_assert!(wait >= tier && wait <= tier + tier * u64::from(jitter) / 1000);
        }

        #[test]
        fn what_is_written_reads_back(ms in 1u64..=DELAY_MAX.0) {
            prop_assert_eq!(parse_delay(&format_delay(Millis(ms))), Ok(Millis(ms)));
        }
    }
}
