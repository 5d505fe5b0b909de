//! Parts that several pages share: times, states, requests and responses, pagers, the fields of filters.

use maud::{Markup, html};
use postrider_core::attempt::Attempt;
use postrider_core::profile::{EventTypes, Profile};
use postrider_core::{Time, WebhookId, WorkspaceId};
use postrider_engine::{AttemptDetail, Handle, Page, Subject};

use super::form::{local, next_page};
use super::words::Words;
use crate::wire::text;

/// A time as people read it; the machine's form with it.
pub fn time(at: Time) -> Markup {
    let full = at.to_string();
    let (day, clock) = full.split_once('T').unwrap_or((&full, ""));
    let clock = clock.trim_end_matches('Z');
    html! { time datetime=(full) title=(full) { (day) " " (clock) } }
}

/// The beginning of a time: so many characters of it, such as its day or its minute.
pub fn moment(at: Time, chars: usize) -> Markup {
    let full = at.to_string();
    let text = full.get(..chars).unwrap_or(&full).replace('T', " ");
    html! { time datetime=(full) { (text) } }
}

/// A time that may not be there.
pub fn maybe_time(at: Option<Time>) -> Markup {
    html! { @match at { Some(at) => (time(at)), None => span.none { "–" } } }
}

/// A webhook by its name, and by the id that filters and the API know it by; one that is gone by that alone.
pub fn webhook(handle: &Handle, workspace: WorkspaceId, id: WebhookId) -> Markup {
    html! {
        @match handle.webhook(workspace, id) {
            Some(webhook) => { a href={ "/dashboard/webhooks/" (id) } { (webhook.settings.name) } " " small { (id) } },
            None => { (id) " " span.none { "deleted" } },
        }
    }
}

/// A size as people read it.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// A state or an outcome.
pub fn state(word: &str) -> Markup {
    let tone = match word {
        "succeeded" | "on" | "finished" => "good",
        "retrying" | "pending" | "running" | "paused" => "waiting",
        "exhausted" | "removed" | "failed" => "bad",
        _ => "idle",
    };
    html! { span class={ "state " (tone) } { (word) } }
}

/// A share as per cent, rounded down: 100 % is all of them.
pub fn percent(succeeded: u64, attempts: u64) -> Markup {
    let whole = (succeeded * 100).checked_div(attempts);
    html! { @match whole { Some(whole) => { (whole) " %" }, None => span.none { "–" } } }
}

/// Headers and body of a request or a response.
pub fn message(headers: &[(String, String)], body: Option<&[u8]>) -> Markup {
    html! {
        @if !headers.is_empty() {
            pre.headers tabindex="0" { @for (name, value) in headers { (name) ": " (value) "\n" } }
        }
        @match body {
            Some(body) if body.is_empty() => p.none { "No body." },
            Some(body) => pre tabindex="0" { (text(body)) },
            None => p.none { "The body was erased, or cannot be made again." },
        }
    }
}

/// Why an attempt failed, and what to check; nothing for one that succeeded.
pub fn why(attempt: &Attempt, words: &Words) -> Markup {
    html! {
        @if let Some(failure) = &attempt.exchange.failure { p.why { (failure.message) } }
        @if let Some(trouble) = words.trouble(&attempt.exchange) {
            div.check {
                strong { (trouble.issue) }
                ul { @for check in trouble.checks { li { (check) } } }
            }
        }
    }
}

/// A product's whole table of troubles.
pub fn troubleshooting(words: &Words) -> Markup {
    html! {
        details.card {
            summary { "Troubleshooting" }
            dl {
                @for trouble in words.table() {
                    dt { (trouble.issue) }
                    @for check in trouble.checks { dd { (check) } }
                }
            }
        }
    }
}

/// Attempts of one webhook, newest first.
pub fn attempts(entries: &[AttemptDetail], words: &Words) -> Markup {
    html! {
        table {
            thead { tr {
                th { "Started (UTC)" } th { "Type" } th { "Outcome" } th { "Status" } th { "Attempt" } th { "Took" } th { "Event" }
            } }
            @for detail in entries {
                tbody { (attempt_rows(detail, words)) }
            }
        }
    }
}

fn attempt_rows(detail: &AttemptDetail, words: &Words) -> Markup {
    let entry = &detail.entry;
    let attempt = &entry.attempt;
    let event = entry.subject.event_id().to_string();
    html! {
        tr {
            td data-label="Started" { (time(attempt.started)) }
            td data-label="Type" { code { (entry.subject.event_type()) } }
            td data-label="Outcome" {
                @match &entry.subject {
                    Subject::Delivery(key, _) => a href={ "/dashboard/deliveries/" (key) } { (state(attempt.outcome.as_str())) },
                    Subject::Test(..) => { (state(attempt.outcome.as_str())) " " span.state.idle { "test" } },
                }
            }
            td data-label="Status" { @match attempt.exchange.status_code { Some(code) => (code), None => span.none { "none" } } }
            td data-label="Attempt" { (attempt.number) }
            td data-label="Took" { (attempt.exchange.duration.0) " ms" }
            td data-label="Event" {
                @match &entry.subject {
                    Subject::Delivery(..) => a href={ "/dashboard/events/" (event) } { code { (event) } },
                    Subject::Test(..) => code { (event) },
                }
            }
        }
        @if attempt.exchange.failure.is_some() || !detail.response_body.is_empty() {
            tr.more {
                td colspan="7" {
                    details {
                        summary { @match &attempt.exchange.failure { Some(failure) => (failure.message), None => "Response" } }
                        (why(attempt, words))
                        @if attempt.exchange.status_code.is_some() {
                            h3 { "Response" }
                            (message(&[], Some(&detail.response_body)))
                        }
                        @if let Some(at) = entry.next_attempt_at { p { "Next attempt due at " (time(at)) "." } }
                    }
                }
            }
        }
    }
}

/// Where a list goes on.
pub fn pager<T>(page: &Page<T>, uri: &axum::http::Uri, what: &str) -> Markup {
    let is_first = !uri.query().unwrap_or_default().contains("cursor=");
    html! {
        nav.pager aria-label="More of this list" {
            span { (page.total) @if page.total_is_capped { " or more" } " " (what) }
            @if !is_first { a href=(uri.path()) { "Newest" } }
            @if let Some(cursor) = &page.next_cursor { a rel="next" href=(next_page(uri, cursor)) { "Older" } }
        }
    }
}

/// A filter's field for one word of a list.
pub fn choice<'a>(name: &str, label: &str, chosen: &Option<String>, words: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                option value="" { "any" }
                @for word in words { option value=(word) selected[chosen.as_deref() == Some(word)] { (word) } }
            }
        }
    }
}

/// A filter's field for text.
pub fn field(name: &str, label: &str, value: &Option<String>) -> Markup {
    html! { label { (label) input type="text" name=(name) value=[value.as_ref()] spellcheck="false"; } }
}

/// A field for a time.
pub fn time_field(name: &str, label: &str, value: Option<&str>, is_required: bool) -> Markup {
    html! {
        label { (label) " (UTC)"
            input type="datetime-local" step="1" name=(name) value=[value.map(local)] required[is_required];
        }
    }
}

/// A filter's field for an event type: a list where the profile has one.
pub fn type_field(profile: &Profile, chosen: &Option<String>) -> Markup {
    match &profile.event_types {
        EventTypes::Listed(listed) => choice("eventType", "Type", chosen, listed.iter().map(|entry| &*entry.name)),
        EventTypes::Any(_) => field("eventType", "Type", chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_is_told_in_the_largest_unit_that_it_fills() {
        let told = [0, 1023, 1024, 67_108_864, 5 << 30, u64::MAX].map(size);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "64.0 MiB", "5.0 GiB", "16777216.0 TiB"]);
    }
}
