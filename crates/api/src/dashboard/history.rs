//! What attempts came to over the last week by the hour, and over the last month by the day.
//!
//! It is read from the store, a day at a time, so it is shown when a page is loaded and is no part of what renews itself.

use maud::{Markup, html};
use postrider_core::{WebhookId, WorkspaceId};
use postrider_engine::{History, HistoryQuery, HistoryStep, Refused, Slot};

use super::overview::{attempts, latency};
use super::page::PageError;
use super::parts::{moment, percent};
use super::plot::Ago;
use crate::error::ApiError;
use crate::state::Api;

/// Of a webhook, or of all of a workspace; nothing where there was nothing to send.
pub async fn section(api: &Api, workspace: WorkspaceId, webhook: Option<WebhookId>) -> Result<Markup, PageError> {
    let mut shown = Vec::with_capacity(2);
    for (step, ago) in [(HistoryStep::Hour, Ago::HOURS), (HistoryStep::Day, Ago::DAYS)] {
        match api.handle().history(workspace, webhook, HistoryQuery::by(step)).await {
            Ok(Some(history)) => shown.push((history, ago)),
            // Deleted between two looks.
            Ok(None) => return Ok(html! {}),
            // The rest of the page can be seen without.
            Err(Refused::Unreadable) => {
                return Ok(framed(html! {
                    p.warning { "It cannot be read just now; load the page again in a while." }
                }));
            }
            Err(error) => return Err(ApiError::from(error).into()),
        }
    }
    let is_any = shown.iter().flat_map(|(history, _)| &history.slots).any(|slot| slot.figures.attempts > 0);
    if !is_any {
        return Ok(html! {});
    }
    Ok(framed(html! { @for (history, ago) in &shown { (plots(history, ago)) } }))
}

fn framed(what: Markup) -> Markup {
    html! {
        section #history {
            h2 { "The last week and month" }
            (what)
        }
    }
}

fn plots(history: &History, ago: &Ago) -> Markup {
    let (by, took) = match history.step {
        HistoryStep::Hour => ("Attempts by the hour, for a week", "How long attempts took, by the hour"),
        HistoryStep::Day => ("Attempts by the day, for a month", "How long attempts took, by the day"),
    };
    html! {
        div.plots {
            (attempts(by, ago, &history.slots, history.now, Vec::new()))
            (latency(took, ago, &history.slots, history.now))
        }
        @if let Some(since) = history.kept_since.filter(|since| history.slots.first().is_some_and(|slot| slot.start <= *since)) {
            p.help { "What ended before " (moment(since, 16)) " is kept no longer." }
        }
        details {
            summary { @match history.step { HistoryStep::Hour => "Hours as a table", HistoryStep::Day => "Days as a table" } }
            (table(history))
        }
    }
}

fn table(history: &History) -> Markup {
    let some = || history.slots.iter().rev().filter(|slot| slot.figures.attempts > 0);
    html! {
        table {
            thead { tr {
                th { "From (UTC)" } th { "Attempts" } th { "Failed" } th { "Success" } th { "p50" } th { "p95" } th { "p99" }
            } }
            tbody { @for slot in some() { (row(slot, history.step)) } }
        }
    }
}

fn row(slot: &Slot, step: HistoryStep) -> Markup {
    let figures = &slot.figures;
    let spans = [("p50", figures.p50), ("p95", figures.p95), ("p99", figures.p99)];
    let chars = match step {
        HistoryStep::Hour => 16,
        HistoryStep::Day => 10,
    };
    html! {
        tr {
            th scope="row" data-label="From" { (moment(slot.start, chars)) }
            td data-label="Attempts" { (figures.attempts) }
            td data-label="Failed" { (figures.attempts - figures.succeeded) }
            td data-label="Success" { (percent(figures.succeeded, figures.attempts)) }
            @for (label, span) in spans {
                td data-label=(label) { @match span { Some(span) => { (span.0) " ms" }, None => span.none { "–" } } }
            }
        }
    }
}
