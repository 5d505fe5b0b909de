//! The overview: how the workspace is doing, what waits for which attempt, when it will be tried, and which webhooks are worst off.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::Time;
use postrider_core::webhook::Webhook;
use postrider_engine::{Pending, Slot, Statistics, WebhookHealth, WindowFigures};

use super::access::{Member, Seen};
use super::history;
use super::page::{self, PageError};
use super::parts::{maybe_time, moment, percent};
use super::plot::{self, Ago, Bar, Line, Tone};
use crate::error::ApiError;
use crate::state::Api;

/// Shows it.
pub async fn show(
    State(api): State<Api>,
    headers: HeaderMap,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let found = api.handle().statistics(who.id()).await?;
    let statistics = found.ok_or_else(|| ApiError::not_found("workspace"))?;
    let past = if page::is_renewal(&headers) {
        html! {}
    } else {
        history::section(&api, who.id(), None).await?
    };
    let body = html! {
        h1 { "Overview" }
        div #figures data-live {
            (figures(&statistics))
            div.plots {
                (by_minute(&statistics))
                (latency("How long attempts took, by the minute", &Ago::MINUTES, &statistics.minutes, statistics.now))
                (attempts("Attempts by the quarter of an hour", &Ago::QUARTERS, &statistics.quarters, statistics.now, Vec::new()))
                (latency("How long attempts took, by the quarter of an hour", &Ago::QUARTERS, &statistics.quarters, statistics.now))
            }
            h2 { "Pending" }
            (by_tier(&statistics.pending))
            h2 { "Coming attempts (UTC)" }
            (coming(&statistics.pending))
            h2 { "Worst webhooks" }
            (worst(&statistics.worst))
        }
        (past)
    };
    Ok(page::member(&who, notice, "Overview", body))
}

fn figures(statistics: &Statistics) -> Markup {
    let span = |figures: &WindowFigures| [("p50", figures.p50), ("p95", figures.p95), ("p99", figures.p99)];
    html! {
        dl.figures {
            div { dt { "Events a second" } dd { (plot::short(statistics.events_per_second())) } }
            div { dt { "Attempts a second" } dd { (plot::short(statistics.attempts_per_second())) } }
            div { dt { "Success, 1 h" } dd { (percent(statistics.hour.succeeded, statistics.hour.attempts)) } }
            div { dt { "Success, 24 h" } dd { (percent(statistics.day.succeeded, statistics.day.attempts)) } }
            @for (name, span) in span(&statistics.hour) {
                div { dt { (name) ", 1 h" } dd { @match span { Some(span) => { (span.0) " ms" }, None => span.none { "–" } } } }
            }
            div { dt { "Due or in flight" } dd { (statistics.pending.due) } }
            div { dt { "Pending" } dd { (statistics.pending.all) } }
            div { dt { "Webhooks on" } dd { (statistics.on) " of " (statistics.webhooks) } }
        }
        p.help { "A second: over the last five minutes. Tests are not counted." }
    }
}

fn by_minute(statistics: &Statistics) -> Markup {
    let at = statistics.minutes.iter().map(|slot| middle(slot.start, &Ago::MINUTES, statistics.now));
    let events = at.zip(&statistics.events).map(|(at, count)| (at, count.map(|count| count as f64))).collect();
    let events = Line { tone: Tone::Accent, points: events };
    attempts("Attempts and events by the minute", &Ago::MINUTES, &statistics.minutes, statistics.now, vec![events])
}

/// Attempts as bars, with lines over them that count events.
pub fn attempts(title: &str, ago: &Ago, slots: &[Slot], now: Time, lines: Vec<Line>) -> Markup {
    let ago_of = |time: u64| -((now.0 as f64 - time as f64) / ago.unit_ms);
    let bars: Vec<_> = slots
        .iter()
        .map(|slot| Bar {
            from: ago_of(slot.start.0).max(ago.from),
            to: ago_of(slot.start.0 + ago.slot_ms).min(0.0),
            good: slot.figures.succeeded as f64,
            bad: (slot.figures.attempts - slot.figures.succeeded) as f64,
        })
        .filter(|bar| bar.to > bar.from)
        .collect();
    let all: u64 = slots.iter().map(|slot| slot.figures.attempts).sum();
    let succeeded: u64 = slots.iter().map(|slot| slot.figures.succeeded).sum();
    let mut told = format!("{all} attempts, {succeeded} of them succeeded");
    let mut keys = vec![(Tone::Good, "succeeded"), (Tone::Bad, "failed")];
    if !lines.is_empty() {
        let known = lines.iter().flat_map(|line| &line.points).filter_map(|(_, count)| *count);
        told.push_str(&format!("; {} events", known.sum::<f64>()));
        keys.push((Tone::Accent, "events"));
    }
    plot::figure(title, &keys, &told, &plot::chart(ago, &bars, &lines, ""))
}

/// Three percentiles over time.
pub fn latency(title: &str, ago: &Ago, slots: &[Slot], now: Time) -> Markup {
    type Percentile = fn(&WindowFigures) -> Option<postrider_core::Millis>;
    let percentiles: [(Tone, &str, Percentile); 3] =
        [(Tone::Good, "p50", |f| f.p50), (Tone::Warm, "p95", |f| f.p95), (Tone::Bad, "p99", |f| f.p99)];
    let line = |(tone, _, of): &(Tone, &str, Percentile)| {
        let point =
            |slot: &Slot| (middle(slot.start, ago, now).max(ago.from), of(&slot.figures).map(|span| span.0 as f64));
        Line { tone: *tone, points: slots.iter().map(point).collect() }
    };
    let lines = percentiles.each_ref().map(line);
    let last = slots.iter().rev().find(|slot| slot.figures.attempts > 0);
    let told = match last {
        Some(slot) => {
            let all =
                percentiles.iter().filter_map(|(_, name, of)| Some(format!("{name} {} ms", of(&slot.figures)?.0)));
            format!("lastly {}", all.collect::<Vec<_>>().join(", "))
        }
        None => "no attempts".to_owned(),
    };
    plot::figure(title, &percentiles.map(|(tone, name, _)| (tone, name)), &told, &plot::chart(ago, &[], &lines, " ms"))
}

/// How many units ago the middle of a slot was.
fn middle(start: Time, ago: &Ago, now: Time) -> f64 {
    let middle = start.0 as f64 + ago.slot_ms as f64 / 2.0;
    ((middle - now.0 as f64) / ago.unit_ms).min(0.0)
}

fn by_tier(pending: &Pending) -> Markup {
    let top = pending.by_tier.iter().copied().max().unwrap_or(0).max(1);
    html! {
        @if pending.all == 0 { p.empty { "Nothing is pending." } } @else {
            table.narrower {
                thead { tr { th { "Failed attempts so far" } th { "Deliveries" } th { "Share" } } }
                tbody {
                    @for (failed, count) in pending.by_tier.iter().enumerate() {
                        tr {
                            th scope="row" data-label="Failed so far" { (failed) @if failed == 0 { ", the first is to come or under way" } }
                            td data-label="Deliveries" { (count) }
                            td data-label="Share" { meter max=(top) value=(count) aria-label={ (count) " deliveries" } { (count) } }
                        }
                    }
                }
            }
            @if pending.off > 0 { p.help { (pending.off) " of them wait because their webhook is off." } }
        }
    }
}

fn coming(pending: &Pending) -> Markup {
    let all: u64 = pending.calendar.iter().map(|(_, count)| count).sum();
    let some = || pending.calendar.iter().filter(|(_, count)| *count > 0);
    let told = match some().next() {
        Some((first, _)) => {
            format!("{all} attempts within a week, in {} different hours; the first from {first} on", some().count())
        }
        None => "no attempts within a week".to_owned(),
    };
    html! {
        @if all == 0 && pending.later == 0 { p.empty { "No attempt is planned." } } @else {
            (plot::figure("By the hour, for a week", &[], &told, &plot::calendar(&pending.calendar)))
            @if pending.later > 0 { p.help { (pending.later) " more come later." } }
            details {
                summary { "As a table" }
                table.narrower {
                    thead { tr { th { "From (UTC)" } th { "Attempts" } } }
                    tbody {
                        @for (hour, count) in some() {
                            tr { td data-label="From" { (moment(*hour, 16)) } td data-label="Attempts" { (count) } }
                        }
                    }
                }
            }
        }
    }
}

fn worst(webhooks: &[(std::sync::Arc<Webhook>, WebhookHealth)]) -> Markup {
    html! {
        @if webhooks.is_empty() { p.empty { "None has failed in the last hour, and none failed lastly." } } @else {
            table {
                thead { tr {
                    th { "Webhook" } th { "Failed, 1 h" } th { "Success, 1 h" } th { "Failed in a row" } th { "Pending" }
                    th { "Last failure (UTC)" } th { "Next attempt (UTC)" }
                } }
                tbody {
                    @for (webhook, health) in webhooks {
                        tr {
                            td data-label="Webhook" { a href={ "/dashboard/webhooks/" (webhook.id) } { (webhook.settings.name) } }
                            td data-label="Failed, 1 h" { (health.hour.attempts - health.hour.succeeded) }
                            td data-label="Success, 1 h" { (percent(health.hour.succeeded, health.hour.attempts)) }
                            td data-label="In a row" { (health.consecutive_failures) }
                            td data-label="Pending" { (health.pending) }
                            td data-label="Last failure" { (maybe_time(health.last_failure_at)) }
                            td data-label="Next attempt" { (maybe_time(health.next_attempt_at)) }
                        }
                    }
                }
            }
        }
    }
}
