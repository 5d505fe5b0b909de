//! Says in time that the certificate ends: at the start, when there is another one, when the end comes near, and then every day.

use std::time::Duration;

use postrider_core::{Millis, Time};
use postrider_engine::{Hands, SystemHands};

use super::Tls;
use crate::limits::{CERTIFICATE_MONTH, CERTIFICATE_TOLD_EVERY, CERTIFICATE_WEEK};

/// How often the clock is looked at. Hardly anything is done then.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How near the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Far,
    Month,
    Week,
    Over,
}

/// What was said last.
#[derive(Default)]
struct Teller(Option<Told>);

struct Told {
    expires: Time,
    nearness: Nearness,
    at: Time,
}

/// Says it for as long as it is polled; never ends.
pub async fn tell(tls: Option<Tls>) {
    let Some(tls) = tls else {
        return std::future::pending().await;
    };
    let mut teller = Teller::default();
    let mut now_and_then = tokio::time::interval(LOOK_EVERY);
    loop {
        now_and_then.tick().await;
        let (expires, now) = (tls.expires_at(), SystemHands.wall());
        if let Some(expires) = expires
            && let Some(nearness) = teller.look(expires, now)
        {
            say(nearness, expires, now);
        }
    }
}

fn say(nearness: Nearness, expires: Time, now: Time) {
    let days = expires.since(now).0 / Millis::from_secs(24 * 3600).0;
    match nearness {
        Nearness::Far => tracing::info!(%expires, days, "the certificate is good until then"),
        Nearness::Month | Nearness::Week => {
            tracing::warn!(%expires, days, "the certificate expires soon: put a renewed one in its place");
        }
        Nearness::Over => {
            tracing::error!(%expires, "the certificate has expired: clients refuse it; put a renewed one in its place");
        }
    }
}

impl Teller {
    /// What is to be said now, if anything is.
    fn look(&mut self, expires: Time, now: Time) -> Option<Nearness> {
        let nearness = nearness(expires, now);
        let is_news = self.0.as_ref().is_none_or(|told| {
            let is_due = nearness > Nearness::Far && now.since(told.at) >= CERTIFICATE_TOLD_EVERY;
            told.expires != expires || nearness > told.nearness || is_due
        });
        if is_news {
            self.0 = Some(Told { expires, nearness, at: now });
        }
        is_news.then_some(nearness)
    }
}

fn nearness(expires: Time, now: Time) -> Nearness {
    let left = expires.since(now);
    match () {
        () if expires <= now => Nearness::Over,
        () if left <= CERTIFICATE_WEEK => Nearness::Week,
        () if left <= CERTIFICATE_MONTH => Nearness::Month,
        () => Nearness::Far,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    /// 2026-02-19T10:30:00Z.
    const START: u64 = 1_771_497_000_000;

    /// What is said in an hourly look over so many days, and after how many hours.
    fn said(teller: &mut Teller, expires: u64, from: u64, days: u64) -> Vec<(u64, Nearness)> {
        let looks = (0..days * 24).map(|hour| (hour, Time(from + hour * HOUR)));
        looks.filter_map(|(hour, now)| Some((hour, teller.look(Time(expires), now)?))).collect()
    }

    #[test]
    fn one_that_is_good_for_long_is_told_once() {
        assert_eq!(said(&mut Teller::default(), START + 90 * DAY, START, 59), [(0, Nearness::Far)]);
    }

    #[test]
    fn from_30_days_before_the_end_it_is_told_every_day_and_at_7_and_at_the_end_at_once() {
        let expires = START + 31 * DAY + 5 * HOUR;
        let all = said(&mut Teller::default(), expires, START, 33);
        assert_eq!(all[0], (0, Nearness::Far));
        assert_eq!(all[1], (24 + 5, Nearness::Month), "30 days before");
        assert_eq!(all.iter().filter(|(_, nearness)| *nearness == Nearness::Month).count(), 23);
        let week = all.iter().find(|(_, nearness)| *nearness == Nearness::Week);
        assert_eq!(week, Some(&(24 * 24 + 5, Nearness::Week)), "7 days before");
        let over: Vec<_> = all.iter().filter(|(_, nearness)| *nearness == Nearness::Over).collect();
        assert_eq!(over, [&(31 * 24 + 5, Nearness::Over), &(32 * 24 + 5, Nearness::Over)]);
        assert_eq!(all.len(), 1 + 23 + 7 + 2);
    }

    #[test]
    fn another_certificate_is_told_at_once() {
        let mut teller = Teller::default();
        assert_eq!(teller.look(Time(START + DAY), Time(START)), Some(Nearness::Week));
        assert_eq!(teller.look(Time(START + 90 * DAY), Time(START + 1)), Some(Nearness::Far));
        assert_eq!(teller.look(Time(START + 90 * DAY), Time(START + 2)), None);
        assert_eq!(teller.look(Time(START - 1), Time(START + 3)), Some(Nearness::Over));
        // A clock that is set back says nothing again and again.
        assert_eq!(teller.look(Time(START - 1), Time(START - DAY)), None);
    }
}
