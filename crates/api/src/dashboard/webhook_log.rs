//! One webhook: its settings at a glance, its health, what can be done with it, and its delivery log.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::WebhookId;
use postrider_core::attempt::Outcome;
use postrider_core::policy::format_delay;
use postrider_core::profile::EventTypes;
use postrider_core::webhook::Webhook;
use postrider_engine::{LogFilter, PageQuery, WebhookHealth, WebhookSeries, WindowFigures, public_key_text};

use super::access::{Member, Seen};
use super::form::{At, filter};
use super::history;
use super::overview::{attempts as attempts_over_time, latency};
use super::page::{self, PageError, faults, token};
use super::parts::{
    attempts, choice, field, maybe_time, pager, percent, state, time, time_field, troubleshooting, type_field,
};
use super::plot::Ago;
use super::webhooks::find;
use super::words::Words;
use crate::error::ApiError;
use crate::routes::logs::{LogParameters, OUTCOMES, read};
use crate::state::Api;

/// Shows a webhook.
pub async fn show(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    uri: Uri,
    headers: HeaderMap,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let health = api.handle().health(who.id(), id).await?.ok_or_else(|| ApiError::not_found("webhook"))?;
    let series = api.handle().series(who.id(), id).await?.ok_or_else(|| ApiError::not_found("webhook"))?;
    let warnings = api.handle().warnings(&webhook).await;
    let words = Words::of(&who.profile.name);
    let (parameters, asked) = asked(&who, &uri);
    let refused = asked.as_ref().err().cloned();
    let log = match asked {
        Ok((filter, query)) => {
            let page = api.handle().logs(who.id(), id, filter, query).await?;
            html! {
                @if page.items.is_empty() { p.empty { "No attempts." } } @else { (attempts(&page.items, words)) }
                (pager(&page, &uri, "attempts"))
            }
        }
        Err(error) => faults(&error),
    };
    // Whoever looks through the log has seen it.
    let is_first = uri.query().is_none() && !page::is_renewal(&headers);
    let past = if is_first {
        history::section(&api, who.id(), Some(id)).await?
    } else {
        html! {}
    };
    let body = html! {
        (head(&who, &webhook))
        @for warning in &warnings { p.warning { (warning) } }
        (settings(&who, &webhook))
        div #health data-live {
            (figures(&health))
            @if health.day.attempts > 0 { (over_time(&series)) }
        }
        (past)
        @if who.may_change() { (actions(&who, &webhook)) }
        h2 #deliveries { "Delivery log" }
        (filters(&who, &parameters))
        div #log data-live data-live-webhook=(id) { (log) }
        (troubleshooting(words))
    };
    let title = &webhook.settings.name;
    Ok(match refused {
        Some(error) => page::refusal(&error, page::member_page(&who, notice, title, body)),
        None => page::member(&who, notice, title, body),
    })
}

/// The parameters as text, to be shown again, and what they ask for.
fn asked(who: &Member, uri: &Uri) -> (LogParameters, Result<(LogFilter, PageQuery), ApiError>) {
    match filter::<LogParameters>(uri) {
        Ok(parameters) => {
            let asked = read(&parameters, |name| who.profile.knows_type(name));
            (parameters, asked)
        }
        Err(error) => (LogParameters::default(), Err(error)),
    }
}

fn head(who: &Member, webhook: &Webhook) -> Markup {
    let is_on = webhook.settings.enabled;
    html! {
        div.head {
            h1 { (webhook.settings.name) " " (state(if is_on { "on" } else { "off" })) }
            @if who.may_change() {
                div.actions {
                    a.button href={ "/dashboard/webhooks/" (webhook.id) "/edit" } { "Edit" }
                    form method="post" action={ "/dashboard/webhooks/" (webhook.id) "/switch" } {
                        (token(&who.session))
                        input type="hidden" name="to" value=(if is_on { "off" } else { "on" });
                        button type="submit" { @if is_on { "Switch off" } @else { "Switch on" } }
                    }
                    a.button.danger href={ "/dashboard/webhooks/" (webhook.id) "/delete" } { "Delete" }
                }
            }
        }
        p.url { (webhook.settings.url) }
        @if let Some(since) = webhook.failing_since {
            p.warning {
                "Switched off, since all attempts have failed from " (time(since)) " on. It is tried now and then with a delivery that waits, and \
                switched on again when one arrives."
            }
        }
        @if let Some(text) = &webhook.settings.description { p { (text) } }
    }
}

fn settings(who: &Member, webhook: &Webhook) -> Markup {
    let settings = &webhook.settings;
    let policy = settings.retry_policy.as_ref().unwrap_or(&who.profile.retry);
    let delays: Vec<_> = policy.delays.iter().copied().map(format_delay).collect();
    let key = settings.signing.as_ref().map(|signing| &signing.key);
    html! {
        details.card {
            summary { "Settings" }
            dl.pairs {
                dt { "Id" } dd { (webhook.id) }
                dt { "Events" } dd { @for name in &settings.events { code { (name) } " " } }
                @if who.profile.has_campaigns {
                    dt { "Campaigns" }
                    dd { @if settings.campaign_ids.is_empty() { "all" } @for id in &settings.campaign_ids { code { (id.text) } " " } }
                }
                @if who.profile.has_custom_fields {
                    dt { "Custom fields" }
                    dd { @if settings.custom_fields.is_empty() { "none" } @for name in &settings.custom_fields { code { (name) } " " } }
                }
                @if who.profile.secret.is_some() {
                    dt { "Secret" } dd { @if settings.secret.is_some() { "set" } @else { "none" } }
                }
                dt { "Signed" } dd { @match key { Some(key) => (key.scheme.as_str()), None => "no" } }
                @if let Some(public) = key.and_then(|key| key.public_key.as_ref()) {
                    dt { "Public key" } dd { code { (public_key_text(public)) } }
                }
                dt { "Own headers" }
                dd { @if settings.headers.is_empty() { "none" } @for (name, _) in &settings.headers { code { (name) } " " } }
                dt { "Retries after" } dd { @if delays.is_empty() { "none" } @else { (delays.join(", ")) } }
                dt { "Timeout" } dd { (settings.timeout.0) " ms" }
                dt { "Order" } dd { @if settings.ordered { "one at a time, in the order of the events" } @else { "none kept" } }
                dt { "Attempts a second" } dd { @match settings.rate_limit { Some(rate) => { "at most " (rate) }, None => "no limit" } }
                dt { "Created" } dd { (time(webhook.created_at)) }
                dt { "Changed" } dd { (time(webhook.updated_at)) }
            }
        }
    }
}

fn figures(health: &WebhookHealth) -> Markup {
    let windows = [("5 minutes", &health.five_minutes), ("1 hour", &health.hour), ("24 hours", &health.day)];
    html! {
        dl.figures {
            div { dt { "Pending" } dd { (health.pending) (by_tier(&health.pending_by_tier)) } }
            div { dt { "Next attempt (UTC)" } dd { (maybe_time(health.next_attempt_at)) } }
            div { dt { "Failed in a row" } dd { (health.consecutive_failures) } }
            div { dt { "Last success" } dd { (maybe_time(health.last_success_at)) } }
            div { dt { "Last failure" } dd { (maybe_time(health.last_failure_at)) } }
        }
        table {
            thead { tr { th { "Last" } th { "Attempts" } th { "Success" } th { "p50" } th { "p95" } th { "p99" } } }
            tbody { @for (name, window) in windows { (window_row(name, window)) } }
        }
    }
}

/// The last hour where there was anything in it, else the last day.
fn over_time(series: &WebhookSeries) -> Markup {
    let is_recent = series.minutes.iter().any(|slot| slot.figures.attempts > 0);
    let (ago, slots) = if is_recent { (Ago::MINUTES, &series.minutes) } else { (Ago::QUARTERS, &series.quarters) };
    let title = if is_recent { "Attempts by the minute" } else { "Attempts by the quarter of an hour" };
    html! {
        div.plots {
            (attempts_over_time(title, &ago, slots, series.now, Vec::new()))
            (latency("How long they took", &ago, slots, series.now))
        }
    }
}

/// What is pending, by how many attempts have failed; nothing where none has.
fn by_tier(counts: &[u64]) -> Markup {
    let tiers = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    html! {
        @if counts.len() > 1 {
            @for (failed, count) in tiers { br; small { (count) " after " (failed) " failed" } }
        }
    }
}

fn window_row(name: &str, window: &WindowFigures) -> Markup {
    let spans = [("p50", window.p50), ("p95", window.p95), ("p99", window.p99)];
    html! {
        tr {
            th scope="row" data-label="Last" { (name) }
            td data-label="Attempts" { (window.attempts) }
            td data-label="Success" { (percent(window.succeeded, window.attempts)) }
            @for (label, span) in spans {
                td data-label=(label) { @match span { Some(span) => { (span.0) " ms" }, None => span.none { "–" } } }
            }
        }
    }
}

fn actions(who: &Member, webhook: &Webhook) -> Markup {
    let is_any = matches!(who.profile.event_types, EventTypes::Any(_));
    html! {
        div.actions.row {
            form.inline method="post" action={ "/dashboard/webhooks/" (webhook.id) "/test" } {
                (token(&who.session))
                label { "Sample of"
                    @if is_any {
                        input type="text" name="eventType" value=(webhook.settings.events[0]) spellcheck="false";
                    } @else if let EventTypes::Listed(listed) = &who.profile.event_types {
                        select name="eventType" {
                            @for entry in listed {
                                option value=(entry.name) selected[entry.name == webhook.settings.events[0]] { (entry.name) }
                            }
                        }
                    }
                }
                button type="submit" { "Send test" }
            }
            a.button href={ "/dashboard/webhooks/" (webhook.id) "/replay" } { "Replay" }
            @if webhook.settings.signing.is_some() {
                form method="post" action={ "/dashboard/webhooks/" (webhook.id) "/rotate" } {
                    (token(&who.session))
                    button type="submit" { "Rotate secret" }
                }
            }
        }
    }
}

fn filters(who: &Member, asked: &LogParameters) -> Markup {
    html! {
        form.filter method="get" {
            (type_field(&who.profile, &asked.event_type))
            (choice("outcome", "Outcome", &asked.outcome, OUTCOMES.iter().copied().map(Outcome::as_str)))
            (field("statusCode", "Status", &asked.status_code))
            (field("eventId", "Event id", &asked.event_id))
            (time_field("since", "Since", asked.since.as_deref(), false))
            (time_field("until", "Until", asked.until.as_deref(), false))
            button type="submit" { "Filter" }
        }
    }
}
