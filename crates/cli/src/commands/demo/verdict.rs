//! Holds what happened against what was to happen. Pure: evidence in, plain words out.
//!
//! Each delivery is looked at from both sides, which have to agree: the API's log of it, and the requests at the receiver.

mod summary;

use std::time::Duration;

use hyper::StatusCode;

use super::customer::Published;
use super::evidence::{Evidence, Testimony};
use super::scenario::{Hook, Manners, Scene};
use crate::args;
use crate::client::wire::Delivery;
use crate::receiver::Received;

/// The receiver's clock and the server's are read a moment apart and in whole milliseconds.
const EARLY_SLACK_MS: i64 = 5;

/// What was found.
pub struct Verdict {
    pub took: Duration,
    /// What was checked, a line each.
    pub checked: Vec<String>,
    /// What is not as it has to be, a line each; none: all is well.
    pub failures: Vec<String>,
}

impl Verdict {
    /// One line.
    pub fn headline(&self) -> String {
        let seconds = self.took.as_secs_f64();
        match self.failures.len() {
            0 => format!("Every delivery ended as it has to, in {seconds:.1} s."),
            1 => format!("1 expectation failed, in {seconds:.1} s."),
            failures => format!("{failures} expectations failed, in {seconds:.1} s."),
        }
    }

    /// What was checked, or, where something is not as it has to be, what.
    pub fn lines(&self) -> Vec<String> {
        let details = if self.failures.is_empty() { &self.checked } else { &self.failures };
        let lines = details.iter().map(|line| format!("  {line}"));
        std::iter::once(self.headline()).chain(lines).collect()
    }
}

/// One delivery that has to be there, from both sides.
struct Case<'a> {
    scene: &'static Scene,
    hook: &'static Hook,
    event: &'a Published,
    delivery: &'a Delivery,
    /// Oldest first.
    requests: Vec<&'a Received>,
}

/// Judges one round.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut failures = Vec::new();
    let mut cases = Vec::new();
    for customer in &evidence.customers {
        collect(customer, &evidence.requests, &mut cases, &mut failures);
        check_customer(customer, &mut failures);
    }
    for case in &cases {
        failures.extend(case.faults().into_iter().map(|fault| format!("{}: {fault}", case.title())));
    }
    let expected: usize = cases.iter().map(|case| case.requests.len()).sum();
    if expected != evidence.requests.len() {
        let odd = evidence.requests.len() - expected;
        let odd = if odd == 1 {
            "1 request at the receiver belongs".to_owned()
        } else {
            format!("{odd} requests at the receiver belong")
        };
        failures.push(format!("{odd} to no delivery"));
    }
    Verdict { took: Duration::ZERO, checked: summary::summary(evidence, &cases), failures }
}

/// The deliveries that have to be there; one that is missing, or too many, is a failure.
fn collect<'a>(told: &'a Testimony, requests: &'a [Received], cases: &mut Vec<Case<'a>>, failures: &mut Vec<String>) {
    let before = cases.len();
    for (id, hook) in &told.hooks {
        for event in told.published.iter().filter(|event| hook.wants(&event.event_type)) {
            let is_it = |delivery: &&Delivery| delivery.webhook_id == *id && delivery.event_id == event.id;
            let Some(delivery) = told.deliveries.iter().find(is_it) else {
                failures.push(format!("{}, {}: there is no delivery", hook.name, event.event_type));
                continue;
            };
            let here = |request: &&Received| {
                request.path == hook.path && header(request, "postrider-event-id") == Some(&*event.id)
            };
            cases.push(Case {
                scene: told.scene,
                hook,
                event,
                delivery,
                requests: requests.iter().filter(here).collect(),
            });
        }
    }
    let (wanted, there) = (cases.len() - before, told.deliveries.len());
    if there > wanted {
        failures.push(format!("{}: {there} deliveries instead of {wanted}", told.scene.profile));
    }
}

fn check_customer(told: &Testimony, failures: &mut Vec<String>) {
    let Testimony { scene, again, .. } = told;
    if *again != Some(true) {
        failures.push(format!("{}: an event published again was not seen to be a duplicate", scene.profile));
    }
    for status in told.retries_of_removed.iter().filter(|status| **status != StatusCode::CONFLICT) {
        failures.push(format!("{}: the retry of a removed delivery was answered {status}", scene.profile));
    }
    for event in &told.published {
        let wanted = told.hooks.iter().filter(|(_, hook)| hook.wants(&event.event_type)).count() as u64;
        if event.deliveries != wanted {
            let made = event.deliveries;
            failures.push(format!("{}: publishing told of {made} deliveries instead of {wanted}", event.event_type));
        }
    }
}

impl Case<'_> {
    fn title(&self) -> String {
        format!("{}, {}", self.hook.name, self.event.event_type)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (attempts, status) = self.hook.expected(self.scene);
        let mut differs = |what: &str, is: String, wanted: String| {
            if is != wanted {
                faults.push(format!("{what} {is} instead of {wanted}"));
            }
        };
        differs("it is", self.delivery.status.clone(), status.to_owned());
        differs("attempts at the receiver:", self.requests.len().to_string(), attempts.to_string());
        differs("attempts in the API:", self.delivery.attempts.len().to_string(), attempts.to_string());
        let numbers = self.requests.iter().map(|request| header(request, "postrider-attempt").unwrap_or("-"));
        let wanted: Vec<String> = (1..=self.requests.len()).map(|number| number.to_string()).collect();
        differs("the receiver saw the numbers", numbers.collect::<Vec<_>>().join(" "), wanted.join(" "));
        let logged: Vec<_> = self.delivery.attempts.iter().map(|entry| entry.status_code).collect();
        let answered: Vec<_> = self.requests.iter().map(|request| request.status).collect();
        differs("the statuses in the API are", codes(&logged), codes(&answered));
        let outcomes = self.delivery.attempts.iter().map(|entry| entry.outcome.as_str());
        differs("the outcomes are", outcomes.collect::<Vec<_>>().join(" "), outcomes_of(self.delivery, status));
        self.check_requests(&mut faults);
        faults
    }

    fn check_requests(&self, faults: &mut Vec<String>) {
        let Some(first) = self.requests.first() else { return };
        if self.requests.iter().any(|request| request.body != first.body) {
            faults.push("the body is not the same at every attempt".to_owned());
        }
        if !self.carries_event(&first.body) {
            faults.push("the body does not carry the event".to_owned());
        }
        if self.requests.iter().any(|request| header(request, self.scene.secret_header) != self.hook.secret) {
            faults.push(format!("{} is not the secret that was set", self.scene.secret_header));
        }
        for (pair, delay) in self.requests.windows(2).zip(self.scene.delays) {
            let waited = pair[1].received_ms - pair[0].received_ms;
            let delay = args::duration(delay).map_or(0, |delay| delay.as_millis() as i64);
            if waited + EARLY_SLACK_MS < delay {
                faults.push(format!("a retry came after {waited} ms, before its {delay} ms"));
            }
        }
        if let Manners::Slow(wait) = self.hook.manners
            && self.delivery.attempts.iter().any(|entry| u128::from(entry.duration_ms) < wait.as_millis())
        {
            faults.push("the API has it quicker than the receiver answered".to_owned());
        }
    }

    /// Id and type, and in Snaily's envelope the data byte for byte.
    fn carries_event(&self, body: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(body) else {
            return false;
        };
        let Published { id, event_type, data, .. } = self.event;
        let named = text.contains(&format!("\"{id}\"")) && text.contains(&format!("\"{event_type}\""));
        named && (self.scene.profile != "snaily" || text.contains(data))
    }
}

/// Every attempt but the last is `retrying`.
fn outcomes_of(delivery: &Delivery, last: &str) -> String {
    let mut outcomes = vec!["retrying"; delivery.attempts.len().saturating_sub(1)];
    outcomes.push(last);
    outcomes.join(" ")
}

fn codes(codes: &[Option<u16>]) -> String {
    let words: Vec<String> = codes.iter().map(|code| code.map_or("none".to_owned(), |code| code.to_string())).collect();
    words.join(" ")
}

fn header<'a>(request: &'a Received, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests;
