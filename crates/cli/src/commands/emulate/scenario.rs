//! What can happen, as data: what each scenario sets up, sends, and takes for a good end.

use clap::ValueEnum;
use postrider::{EventTypes, Profile};

use super::Wish;
use crate::args;

/// One thing that happens to receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// One event of every type
    EveryType,
    /// Every delivery is made again after it has succeeded, as after an answer that was lost
    Retry,
    /// Two subscriptions with the same URL: every event comes twice, with the same id
    Duplicate,
    /// Many events at once
    Burst,
    /// The newest event first, each the older one after it
    OutOfOrder,
    /// Requests with another secret than the receiver's: it should refuse each with a 4xx
    WrongSecret,
    /// Requests without the secret that the receiver expects: it should refuse each with a 4xx
    NoSecret,
}

/// The types that a profile lists.
pub fn types(profile: &Profile) -> Vec<String> {
    match &profile.event_types {
        EventTypes::Listed(listed) => listed.iter().map(|known| known.name.to_string()).collect(),
        EventTypes::Any(_) => Vec::new(),
    }
}

/// What is going to be done, before it is done.
pub fn introduction(wish: &Wish) -> String {
    let published: Vec<String> = wish
        .profile
        .retry
        .delays
        .iter()
        .map(|delay| args::duration_text(std::time::Duration::from_millis(delay.0)))
        .collect();
    let retries = if published == wish.delays {
        format!("retries after {}", in_runs(&published))
    } else {
        format!("retries after {} instead of {}", in_runs(&wish.delays), in_runs(&published))
    };
    let header = wish.profile.secret.as_ref().map_or("no header", |secret| &*secret.header);
    let secret = if wish.secret.is_some() { format!("secret in {header}") } else { "no secret".to_owned() };
    format!("{} to {}: {secret}; {retries}", wish.profile.title, wish.to)
}

/// `30s 5m`, or `14 x 12h`.
fn in_runs(delays: &[String]) -> String {
    let run = |run: &[String]| if run.len() == 1 { run[0].clone() } else { format!("{} x {}", run.len(), run[0]) };
    delays.chunk_by(|a, b| a == b).map(run).collect::<Vec<_>>().join(" ")
}

impl Scenario {
    /// As it is named on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How many webhooks have the URL.
    pub fn webhooks(self) -> usize {
        if self == Scenario::Duplicate { 2 } else { 1 }
    }

    /// The secret that its webhooks have. `fresh` is one that nobody knows.
    pub fn secret(self, wished: Option<&str>, fresh: &str) -> Option<String> {
        match self {
            Scenario::WrongSecret => Some(fresh.to_owned()),
            Scenario::NoSecret => None,
            _ => wished.map(str::to_owned),
        }
    }

    /// Whether the receiver is to refuse what comes. It has one chance then: nobody wants to watch a refusal being retried.
    pub fn wants_refusal(self) -> bool {
        matches!(self, Scenario::WrongSecret | Scenario::NoSecret)
    }

    /// Whether each event waits for the end of the one before.
    pub fn is_in_turn(self) -> bool {
        self == Scenario::OutOfOrder
    }

    /// The types of its events, in the order in which they are sent.
    pub fn events(self, wish: &Wish) -> Vec<String> {
        match self {
            Scenario::Burst => wish.types.iter().cycle().take(wish.count as usize).cloned().collect(),
            _ => wish.types.clone(),
        }
    }

    /// How long before now the `nth` event is said to have happened, in milliseconds.
    pub fn age_ms(self, nth: usize) -> i64 {
        if self == Scenario::OutOfOrder { i64::try_from(nth).unwrap_or(0) * 60_000 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_delays_are_counted() {
        let delays = |texts: &[&str]| in_runs(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!((delays(&["30s", "5m", "50m"]), delays(&["12h"; 14])), ("30s 5m 50m".into(), "14 x 12h".into()));
    }

    #[test]
    fn forged_requests_do_not_have_the_secret() {
        for scenario in Scenario::value_variants() {
            let secret = scenario.secret(Some("the receiver's"), "another");
            assert_eq!(scenario.wants_refusal(), secret.as_deref() != Some("the receiver's"), "{scenario:?}");
        }
    }
}
