//! The first page: a workspace's webhooks with their health at a glance; and what is done to one by a button.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::draft::{self, Field, WebhookDraft};
use postrider_core::webhook::Webhook;
use postrider_core::{WebhookId, WorkspaceId};
use postrider_engine::{ListName, PageQuery, TestReport, WebhookHealth, WebhookSeries, WindowFigures, paginate};

use super::access::{Member, Posted, Seen};
use super::form::{At, filter};
use super::page::{self, PageError, redirect, token};
use super::parts::{maybe_time, message, pager, percent, state, troubleshooting};
use super::plot;
use super::session::Notice;
use super::words::Words;
use crate::error::ApiError;
use crate::limits::WEBHOOKS_SHOWN;
use crate::query::PageParameters;
use crate::state::Api;

/// The first page.
pub async fn list(api: &Api, who: &Member, notice: Option<Notice>, uri: &Uri) -> Result<Response, PageError> {
    let asked = filter::<PageParameters>(uri)?.page_query(ListName::Webhooks)?;
    let query = PageQuery { page_size: WEBHOOKS_SHOWN, ..asked };
    let webhooks = api.handle().webhooks(who.id());
    let places = |cursor: Option<(u64, u32)>| {
        let places = webhooks.iter().map(|webhook| ((webhook.id.0, 0), webhook));
        places.filter(move |(place, _)| cursor.is_none_or(|cursor| *place < cursor))
    };
    let page = paginate(ListName::Webhooks, query, places, |_| true);
    let mut rows = Vec::with_capacity(page.items.len());
    for webhook in &page.items {
        let health = api.handle().health(who.id(), webhook.id).await?;
        let series = api.handle().series(who.id(), webhook.id).await?;
        rows.push((*webhook, health.zip(series)));
    }
    let body = html! {
        div.head {
            h1 { "Webhooks" }
            @if who.may_change() { a.button href="/dashboard/webhooks/new" { "Add webhook" } }
        }
        div #webhooks data-live {
            @if rows.is_empty() {
                p.empty { "There is no webhook yet. Add one, and what is published from then on goes to its URL." }
            } @else {
                (table(&rows))
            }
        }
        (pager(&page, uri, "webhooks"))
    };
    Ok(page::member(who, notice, "Webhooks", body))
}

/// A webhook and how it is doing; nothing where it was deleted between two looks.
type Row<'a> = (&'a std::sync::Arc<Webhook>, Option<(WebhookHealth, WebhookSeries)>);

fn table(rows: &[Row<'_>]) -> Markup {
    html! {
        table {
            thead { tr {
                th { "Webhook" } th { "State" } th { "Last 24 h" } th { "Success, 1 h" } th { "p95" } th { "Pending" } th { "Next attempt (UTC)" }
                th { "Failed in a row" }
            } }
            @for (webhook, health) in rows {
                tbody {
                    tr {
                        td data-label="Webhook" {
                            a href={ "/dashboard/webhooks/" (webhook.id) } { (webhook.settings.name) }
                            div.url { (webhook.settings.url) }
                        }
                        td data-label="State" { (state(if webhook.settings.enabled { "on" } else { "off" })) }
                        @match health {
                            Some((health, series)) => {
                                td data-label="Last 24 h" { (spark(series)) }
                                td data-label="Success, 1 h" {
                                    (percent(health.hour.succeeded, health.hour.attempts))
                                    @if health.hour.attempts > 0 {
                                        " " meter max=(health.hour.attempts) value=(health.hour.succeeded) { (health.hour.succeeded) }
                                        " " span.none { "of " (health.hour.attempts) }
                                    }
                                }
                                td data-label="p95" {
                                    @match health.hour.p95 { Some(span) => { (span.0) " ms" }, None => span.none { "–" } }
                                }
                                td data-label="Pending" { (health.pending) }
                                td data-label="Next attempt" { (maybe_time(health.next_attempt_at)) }
                                td data-label="Failed in a row" { (health.consecutive_failures) }
                            }
                            // Deleted between the two looks.
                            None => td colspan="6" { span.none { "gone" } },
                        }
                    }
                }
            }
        }
    }
}

/// The attempts of the last 24 hours, half an hour a bar.
fn spark(series: &WebhookSeries) -> Markup {
    let failed = |figures: &WindowFigures| figures.attempts - figures.succeeded;
    let bars = series.quarters.rchunks(2).rev().map(|pair| {
        pair.iter().fold((0, 0), |(good, bad), slot| (good + slot.figures.succeeded, bad + failed(&slot.figures)))
    });
    let bars: Vec<(u64, u64)> = bars.collect();
    let (good, bad) = bars.iter().fold((0, 0), |(good, bad), bar| (good + bar.0, bad + bar.1));
    html! {
        span.spark role="img" aria-label={ (good + bad) " attempts, " (bad) " failed" } { (plot::spark(&bars)) }
    }
}

/// A webhook of the member's workspace.
pub fn find(api: &Api, workspace: WorkspaceId, id: WebhookId) -> Result<std::sync::Arc<Webhook>, PageError> {
    Ok(api.handle().webhook(workspace, id).ok_or_else(|| ApiError::not_found("webhook"))?)
}

/// On to a webhook's page, with something to say.
pub fn back_to(api: &Api, who: &Member, id: WebhookId, text: &'static str) -> Response {
    let path = format!("/dashboard/webhooks/{id}");
    api.sessions().leave(&who.session.token, Notice { path: path.clone(), text, secret: None });
    redirect(&path)
}

/// Switches a webhook on or off.
pub async fn switch(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Posted { who, form }: Posted<Member>,
) -> Result<Response, PageError> {
    let is_on = form.text("to") == "on";
    let draft = WebhookDraft { enabled: Field::Set(is_on), ..WebhookDraft::default() };
    api.handle().change_webhook(who.id(), id, draft).await?;
    let text = if is_on {
        "Webhook switched on; what was waiting goes out."
    } else {
        "Webhook switched off; pending deliveries wait."
    };
    Ok(back_to(&api, &who, id, text))
}

/// Asks whether a webhook is to be deleted.
pub async fn confirm_delete(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let pending = api.handle().health(who.id(), id).await?.map_or(0, |health| health.pending);
    let body = html! {
        section.card.narrow {
            h1 { "Delete " (webhook.settings.name) "?" }
            p.url { (webhook.settings.url) }
            p { "Its " (pending) " pending deliveries are cancelled, and nothing more is sent to it. This cannot be undone." }
            form method="post" {
                (token(&who.session))
                button.danger type="submit" { "Delete webhook" }
                " " a href={ "/dashboard/webhooks/" (id) } { "Keep it" }
            }
        }
    };
    Ok(page::member(&who, notice, "Delete webhook", body))
}

/// Deletes a webhook.
pub async fn delete(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Posted { who, .. }: Posted<Member>,
) -> Result<Response, PageError> {
    api.handle().delete_webhook(who.id(), id).await?;
    let notice = Notice { path: "/".to_owned(), text: "Webhook deleted.", secret: None };
    api.sessions().leave(&who.session.token, notice);
    Ok(redirect("/"))
}

/// Replaces the secret that a webhook signs with.
pub async fn rotate(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Posted { who, .. }: Posted<Member>,
) -> Result<Response, PageError> {
    let saved = api.handle().rotate_secret(who.id(), id, draft::GRACE_DEFAULT).await?;
    let path = format!("/dashboard/webhooks/{id}");
    let text = "Secret rotated. The old one signs along for 24 hours. Keep the new one; it is not shown again:";
    let notice = Notice { path: path.clone(), text, secret: saved.signing_secret };
    api.sessions().leave(&who.session.token, notice);
    Ok(redirect(&path))
}

/// Sends a sample, and shows what came of it.
pub async fn test(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Posted { who, form }: Posted<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let event_type = Some(form.text("eventType")).filter(|name| !name.is_empty());
    let report = api.handle().test_webhook(who.id(), id, event_type).await?;
    Ok(page::member(&who, None, "Test", test_result(&webhook, &report, Words::of(&who.profile.name))))
}

fn test_result(webhook: &Webhook, report: &TestReport, words: &Words) -> Markup {
    let exchange = &report.exchange;
    html! {
        h1 { "Test of " (webhook.settings.name) }
        p {
            (state(if exchange.failure.is_none() { "succeeded" } else { "failed" }))
            @if let Some(code) = exchange.status_code { " Status " (code) "," }
            " " (exchange.duration.0) " ms."
        }
        @if let Some(failure) = &exchange.failure { p.why { (failure.message) } }
        @if let Some(trouble) = words.trouble(exchange) {
            div.check { strong { (trouble.issue) } ul { @for check in trouble.checks { li { (check) } } } }
        }
        h2 { "Request" }
        (message(&report.request_headers, Some(&report.request_body)))
        h2 { "Response" }
        @if exchange.status_code.is_some() { (message(&report.response_headers, Some(&report.response_body))) }
        @else { p.none { "None came." } }
        p { a href={ "/dashboard/webhooks/" (webhook.id) } { "Back to the webhook" } }
        (troubleshooting(words))
    }
}
