//! Until when a certificate is good: the one thing that is read of it here. Everything else, and whether it is one at all, is rustls's.
//!
//! X.509 is DER: nested runs of tag, length, content. `notAfter` is found by its place (RFC 5280, 4.1): the second time of the fifth member,
//! the fourth where no version is given.

use postrider_core::Time;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// When a certificate ends to be good; `None` where that does not stand in its place.
pub fn not_after(certificate: &[u8]) -> Option<Time> {
    let mut outer = Der(certificate);
    let mut certificate = Der(outer.take(SEQUENCE)?);
    let mut signed = Der(certificate.take(SEQUENCE)?);
    // The version may be left out; serial number, algorithm and issuer may not.
    let _ = signed.take(VERSION);
    signed.take(INTEGER)?;
    signed.take(SEQUENCE)?;
    signed.take(SEQUENCE)?;
    let mut validity = Der(signed.take(SEQUENCE)?);
    validity.time()?;
    validity.time()
}

/// What is left to be read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next member, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (_, rest) = self.0.split_first().filter(|(found, _)| **found == tag)?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            ..=0x7f => (usize::from(first), rest),
            // So many bytes of length follow.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(content)
    }

    /// Two digits of the year with `UTCTime`, four with `GeneralizedTime`; both end with `Z`.
    fn time(&mut self) -> Option<Time> {
        let (century, digits) = match self.take(UTC_TIME) {
            // Years from 50 on are of the century before.
            Some(text) => (if text.first()? < &b'5' { "20" } else { "19" }, text),
            None => ("", self.take(GENERALIZED_TIME)?),
        };
        let digits = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
        let text = format!("{century}{digits}");
        if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let part = |from: usize, len: usize| text.get(from..from + len).unwrap_or_default();
        let (date, clock) = ([part(0, 4), part(4, 2), part(6, 2)], [part(8, 2), part(10, 2), part(12, 2)]);
        Time::from_bound(&format!("{}T{}Z", date.join("-"), clock.join(":"))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::CertificateDer;

    fn made(year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 2, 19));
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }

    #[test]
    fn the_end_is_read_in_both_forms_of_a_time() {
        for year in [2026, 2049, 2050, 4096] {
            assert_eq!(not_after(&made(year)), format!("{year}-02-19T00:00:00Z").parse().ok());
        }
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_has_none_and_never_panics() {
        let whole = made(2030);
        // The end stands in the first half; what is behind it may be missing only with its length.
        assert!((0..whole.len()).all(|len| not_after(&whole[..len]).is_none()));
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut harmed = whole.to_vec();
                harmed[at] ^= flip;
                let _ = not_after(&harmed);
            }
        }
        for odd in
            [&[][..], &[0x30], &[0x30, 0x80, 0, 0], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0xff], b"-----BEGIN"]
        {
            assert_eq!(not_after(odd), None);
        }
    }

    #[test]
    fn a_time_has_all_its_digits() {
        let time = |tag: u8, text: &str| Der(&[&[tag, text.len() as u8], text.as_bytes()].concat()).time();
        assert_eq!(time(UTC_TIME, "260219103000Z"), "2026-02-19T10:30:00Z".parse().ok());
        assert_eq!(time(UTC_TIME, "991231235959Z"), "1999-12-31T23:59:59Z".parse().ok());
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), None, "past all times that there are here");
        for text in ["2602191030Z", "260219103000", "2602191030+0Z", "26021910300éZ", "261319103000Z", "Z", ""] {
            assert_eq!(time(UTC_TIME, text), None, "{text}");
        }
    }
}
