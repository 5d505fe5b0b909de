//! RFC 3339 date-times, to the letter of the RFC's section 5.6: what JSON Schema's `format: date-time` asks for.
//!
//! The parser behind [`crate::Time`] reads more than this (a space for `T`, bracketed zones); receivers may not.

/// Whether `text` is an RFC 3339 date-time with an offset, on a day that the calendar has.
pub fn is_date_time(text: &str) -> bool {
    read(text.as_bytes()).is_some()
}

fn read(text: &[u8]) -> Option<()> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let dashes = date[4] == b'-' && date[7] == b'-';
    let (clock, rest) = rest.split_at_checked(9)?;
    let (hour, minute, second) = (number(&clock[1..3])?, number(&clock[4..6])?, number(&clock[7..])?);
    let marks = matches!(clock[0], b'T' | b't') && clock[3] == b':' && clock[6] == b':';
    let offset = zone(past_fraction(rest)?)?;
    let in_calendar = dashes && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    let in_day = marks && hour < 24 && minute < 60 && second <= 60;
    // A leap second is inserted at the end of a UTC day and nowhere else.
    let leaps_well = second < 60 || (hour * 60 + minute - offset).rem_euclid(24 * 60) == 24 * 60 - 1;
    (in_calendar && in_day && leaps_well).then_some(())
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + i32::from(d - b'0')))
}

/// What follows the fraction of the second, if there is one.
fn past_fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = rest.strip_prefix(b".") else {
        return Some(rest);
    };
    let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 { None } else { fraction.get(digits..) }
}

/// The offset from UTC in minutes.
fn zone(text: &[u8]) -> Option<i32> {
    let [sign, h1, h2, b':', m1, m2] = *text else {
        return matches!(text, b"Z" | b"z").then_some(0);
    };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

fn days_of(year: i32, month: i32) -> i32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_rfc_writes_is_read() {
        for text in [
            "2026-02-19T10:30:00Z",
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T15:59:60-08:00",
            "1937-01-01T12:00:27.87+00:20",
            "2024-02-29t00:00:00.000000001z",
        ] {
            assert!(is_date_time(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in [
            "",
            "2026-02-19",
            "2026-02-19T10:30:00",
            "2026-02-19 10:30:00Z",
            "2026-02-19T10:30Z",
            "2026-02-29T10:30:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-00T00:00:00Z",
            "2026-02-19T24:00:00Z",
            "2026-02-19T10:30:00.Z",
            "2026-02-19T10:30:00+0200",
            "2026-02-19T10:30:00+24:00",
            "2026-02-19T10:30:00Z[UTC]",
            "2026-02-19T10:30:60Z",
            "+2026-02-19T10:30:00Z",
            "2026-02-19T10:30:00Zé",
            "２026-02-19T10:30:00Z",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_we_write_is_one(ms in 0u64..253_402_207_200_000) {
            prop_assert!(is_date_time(&crate::Time(ms).to_string()));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            is_date_time(&text);
        }
    }
}
