//! What was checked, in plain words. Counted from the evidence, never from the scenario.

use super::{Case, header};
use crate::commands::demo::evidence::{Evidence, Testimony};
use crate::receiver::Received;

/// A line for each thing that was looked at.
pub fn summary(evidence: &Evidence, cases: &[Case<'_>]) -> Vec<String> {
    let per_customer = |count: &dyn Fn(&Testimony) -> usize| {
        let parts = evidence.customers.iter().map(|told| format!("{} {}", count(told), told.scene.profile));
        parts.collect::<Vec<_>>().join(", ")
    };
    let published: usize = evidence.customers.iter().map(|told| told.published.len()).sum();
    let again = evidence.customers.iter().filter(|told| told.again == Some(true)).count();
    let retries: usize = evidence.customers.iter().map(|told| told.retries_of_removed.len()).sum();
    let secret = |request: &Received| cases.iter().any(|c| header(request, c.scene.secret_header).is_some());
    let with_secret = evidence.requests.iter().filter(|request| secret(request)).count();
    let repeats: usize = cases.iter().map(|case| case.requests.len().saturating_sub(1)).sum();
    let events = per_customer(&|told| told.published.len());
    let deliveries = per_customer(&|told| told.deliveries.len());
    let mut lines = vec![
        format!("{published} events published over HTTP, one of every type: {events}"),
        format!("{} deliveries made of them: {deliveries}", cases.len()),
    ];
    lines.extend(ends(cases));
    lines.extend([
        format!("{} requests at the receiver: just the attempts in the API's logs", evidence.requests.len()),
        format!("the same body bytes at all {repeats} retries; Snaily's data exactly as published"),
        format!(
            "the secret's header right on {with_secret} requests, absent on {} without a secret",
            evidence.requests.len() - with_secret
        ),
        "no retry early: each waited its delay, in order, with its attempt's number".to_owned(),
        format!("{} published again: known as duplicates, nothing sent", counted(again, "event", "events")),
        format!("retry of {}: refused with 409", counted(retries, "removed delivery", "removed deliveries")),
    ]);
    lines
}

/// A line for each way to end: `13 succeeded after 1 attempt`.
fn ends(cases: &[Case<'_>]) -> Vec<String> {
    let mut ways: Vec<(&str, usize, usize)> = Vec::new();
    for case in cases {
        let (status, attempts) = (case.delivery.status.as_str(), case.delivery.attempts.len());
        match ways.iter_mut().find(|way| (way.0, way.1) == (status, attempts)) {
            Some(way) => way.2 += 1,
            None => ways.push((status, attempts, 1)),
        }
    }
    ways.sort_by_key(|(_, attempts, _)| *attempts);
    let line = |(status, attempts, count): (&str, usize, usize)| {
        format!("  {count:>2} {status} after {}", counted(attempts, "attempt", "attempts"))
    };
    ways.into_iter().map(line).collect()
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
