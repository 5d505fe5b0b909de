//! Deliveries: a list by webhook, type and status; one with each attempt's request and response; retry by hand.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::DeliveryKey;
use postrider_core::delivery::Status;
use postrider_engine::{AttemptDetail, DeliveryDetail, Handle};

use super::access::{Member, Posted, Seen};
use super::form::{At, filter};
use super::page::{self, PageError, faults, redirect, token};
use super::parts::{choice, field, message, pager, state, time, type_field, webhook, why};
use super::session::Notice;
use super::words::Words;
use crate::error::ApiError;
use crate::routes::deliveries::{DeliveryParameters, STATUSES, read};
use crate::state::Api;

/// Lists deliveries.
pub async fn list(State(api): State<Api>, uri: Uri, Seen { who, notice }: Seen<Member>) -> Result<Response, PageError> {
    let parameters = filter::<DeliveryParameters>(&uri);
    let asked = parameters.as_ref().map_err(Clone::clone);
    let asked = asked.and_then(|parameters| read(parameters, |name| who.profile.knows_type(name)));
    let parameters = parameters.unwrap_or_default();
    let refused = asked.as_ref().err().cloned();
    let found = match asked {
        Ok((filter, query)) => {
            let page = api.handle().deliveries(who.id(), filter, query).await?;
            html! {
                @if page.items.is_empty() { p.empty { "No deliveries." } } @else { (table(api.handle(), &page.items, true)) }
                (pager(&page, &uri, "deliveries"))
            }
        }
        Err(error) => faults(&error),
    };
    let body = html! {
        h1 { "Deliveries" }
        form.filter method="get" {
            (choice("status", "Status", &parameters.status, STATUSES.iter().copied().map(Status::as_str)))
            (type_field(&who.profile, &parameters.event_type))
            (field("webhookId", "Webhook id", &parameters.webhook_id))
            button type="submit" { "Filter" }
        }
        div #deliveries data-live { (found) }
    };
    Ok(match refused {
        Some(error) => page::refusal(&error, page::member_page(&who, notice, "Deliveries", body)),
        None => page::member(&who, notice, "Deliveries", body),
    })
}

/// Deliveries as rows; with their events where these are not known from the page.
pub fn table(handle: &Handle, deliveries: &[DeliveryDetail], with_event: bool) -> Markup {
    html! {
        table {
            thead { tr {
                th { "Delivery" } th { "Status" }
                @if with_event { th { "Event" } th { "Type" } }
                th { "Webhook" } th { "Attempts" } th { "Next attempt (UTC)" }
            } }
            tbody { @for delivery in deliveries { (row(handle, delivery, with_event)) } }
        }
    }
}

fn row(handle: &Handle, delivery: &DeliveryDetail, with_event: bool) -> Markup {
    let (cell, event) = (&delivery.row.cell, &delivery.row.event);
    html! {
        tr {
            td data-label="Delivery" { a href={ "/dashboard/deliveries/" (cell.key) } { code { (cell.key) } } }
            td data-label="Status" { (state(delivery.status.as_str())) }
            @if with_event {
                td data-label="Event" { a href={ "/dashboard/events/" (event.id) } { code { (event.id) } } }
                td data-label="Type" { code { (event.event_type) } }
            }
            td data-label="Webhook" { (webhook(handle, event.workspace, cell.webhook)) }
            td data-label="Attempts" { (cell.attempts) }
            td data-label="Next attempt" { @if delivery.status == Status::Pending { (time(cell.due)) } @else { span.none { "–" } } }
        }
    }
}

/// Shows a delivery.
pub async fn show(
    State(api): State<Api>,
    At(key): At<DeliveryKey>,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let found = api.handle().delivery(who.id(), key).await?;
    let delivery = found.ok_or_else(|| ApiError::not_found("delivery"))?;
    let words = Words::of(&who.profile.name);
    let (cell, event) = (&delivery.row.cell, &delivery.row.event);
    let can_retry = matches!(delivery.status, Status::Pending | Status::Succeeded | Status::Exhausted);
    let body = html! {
        div.head {
            h1 { "Delivery " code { (key) } }
            @if who.may_change() && can_retry {
                form method="post" action={ "/dashboard/deliveries/" (key) "/retry" } {
                    (token(&who.session))
                    button type="submit" { "Retry now" }
                }
            }
        }
        div #delivery data-live data-live-webhook=(cell.webhook) {
            dl.figures {
                div { dt { "Status" } dd { (state(delivery.status.as_str())) } }
                div { dt { "Event" } dd { a href={ "/dashboard/events/" (event.id) } { code { (event.id) } } } }
                div { dt { "Type" } dd { code { (event.event_type) } } }
                div { dt { "Webhook" } dd { (webhook(api.handle(), event.workspace, cell.webhook)) } }
                div { dt { "Accepted (UTC)" } dd { (time(event.accepted)) } }
                @if delivery.status == Status::Pending { div { dt { "Next attempt (UTC)" } dd { (time(cell.due)) } } }
            }
            @if delivery.attempts.is_empty() { p.empty { "No attempts yet." } }
            @for detail in delivery.attempts.iter().rev() { (attempt(detail, words)) }
        }
    };
    Ok(page::member(&who, notice, "Delivery", body))
}

fn attempt(detail: &AttemptDetail, words: &Words) -> Markup {
    let attempt = &detail.entry.attempt;
    html! {
        section.card {
            h2 { "Attempt " (attempt.number) " " (state(attempt.outcome.as_str())) }
            p {
                (time(attempt.started)) ", " (attempt.exchange.duration.0) " ms, "
                @match attempt.exchange.status_code { Some(code) => { "status " (code) }, None => "no response" } "."
            }
            (why(attempt, words))
            details {
                summary { "Request" }
                @match &detail.request {
                    Some(request) => (message(&request.headers, request.body.as_deref())),
                    None => p.none { "It cannot be made again." },
                }
            }
            @if attempt.exchange.status_code.is_some() {
                details { summary { "Response" } (message(&[], Some(&detail.response_body))) }
            }
        }
    }
}

/// Makes a delivery due now.
pub async fn retry(
    State(api): State<Api>,
    At(key): At<DeliveryKey>,
    Posted { who, .. }: Posted<Member>,
) -> Result<Response, PageError> {
    api.handle().retry(who.id(), key).await?;
    let path = format!("/dashboard/deliveries/{key}");
    let notice = Notice { path: path.clone(), text: "The delivery is due now.", secret: None };
    api.sessions().leave(&who.session.token, notice);
    Ok(redirect(&path))
}
