//! Events: a search by id, type, campaign and time; one with its data, its deliveries, and why each webhook got it or did not.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::{EventId, WorkspaceId};
use postrider_engine::{EventDetail, EventSummary, Explanation, Handle, Verdict};

use super::access::{Member, Seen};
use super::deliveries;
use super::form::{At, filter};
use super::page::{self, PageError, faults};
use super::parts::{field, pager, state, time, time_field, type_field, webhook};
use crate::error::ApiError;
use crate::routes::events::{EventParameters, read};
use crate::state::Api;
use crate::wire::text;

/// Lists events.
pub async fn list(State(api): State<Api>, uri: Uri, Seen { who, notice }: Seen<Member>) -> Result<Response, PageError> {
    let shown = filter::<EventParameters>(&uri).unwrap_or_default();
    let asked =
        filter::<EventParameters>(&uri).and_then(|parameters| read(parameters, |name| who.profile.knows_type(name)));
    let refused = asked.as_ref().err().cloned();
    let found = match asked {
        Ok((filter, query)) => {
            let page = api.handle().events(who.id(), filter, query).await?;
            html! {
                @if page.items.is_empty() { p.empty { "No events." } } @else { (table(&page.items)) }
                (pager(&page, &uri, "events"))
            }
        }
        Err(error) => faults(&error),
    };
    let body = html! {
        h1 { "Events" }
        form.filter method="get" {
            (field("id", "Id", &shown.id))
            (type_field(&who.profile, &shown.event_type))
            @if who.profile.has_campaigns { (field("campaignId", "Campaign id", &shown.campaign_id)) }
            (time_field("since", "Since", shown.since.as_deref(), false))
            (time_field("until", "Until", shown.until.as_deref(), false))
            button type="submit" { "Search" }
        }
        (found)
    };
    Ok(match refused {
        Some(error) => page::refusal(&error, page::member_page(&who, notice, "Events", body)),
        None => page::member(&who, notice, "Events", body),
    })
}

fn table(events: &[EventSummary]) -> Markup {
    html! {
        table {
            thead { tr { th { "Event" } th { "Type" } th { "Accepted (UTC)" } th { "Created" } th { "Campaign" } th { "Deliveries" } } }
            tbody {
                @for EventSummary { event, deliveries } in events {
                    tr {
                        td data-label="Event" { a href={ "/dashboard/events/" (event.id) } { code { (event.id) } } }
                        td data-label="Type" { code { (event.event_type) } }
                        td data-label="Accepted" { (time(event.accepted)) }
                        td data-label="Created" { (event.created) }
                        td data-label="Campaign" { @match &event.campaign { Some(id) => (id), None => span.none { "–" } } }
                        td data-label="Deliveries" { (deliveries) }
                    }
                }
            }
        }
    }
}

/// Shows an event.
pub async fn show(
    State(api): State<Api>,
    At(id): At<EventId>,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let found = api.handle().event(who.id(), id.clone()).await?;
    let detail = found.ok_or_else(|| ApiError::not_found("event"))?;
    let mut explained = api.handle().explain(who.id(), id, None).await?.unwrap_or_default();
    // Webhooks that were gone by then explain nothing, and their pages are gone, too.
    explained.retain(|explanation| explanation.verdict != Verdict::Deleted);
    let body = html! {
        h1 { "Event " code { (detail.event.id) } }
        (facts(&detail))
        h2 { "Deliveries" }
        @if detail.deliveries.is_empty() { p.empty { "None: no webhook was chosen." } }
        @else { (deliveries::table(api.handle(), &detail.deliveries, false)) }
        h2 { "What became of it for each webhook" }
        @if explained.is_empty() { p.empty { "There was no webhook." } } @else { (explanations(api.handle(), who.id(), &explained)) }
        h2 { "Data" }
        @match (&detail.data, detail.erased_at) {
            (Some(data), _) => pre tabindex="0" { (text(data)) },
            (None, Some(at)) => p.none { "Erased at " (time(at)) "." },
            (None, None) => p.none { "It cannot be read." },
        }
    };
    Ok(page::member(&who, notice, "Event", body))
}

fn facts(detail: &EventDetail) -> Markup {
    let event = &detail.event;
    html! {
        dl.figures {
            div { dt { "Type" } dd { code { (event.event_type) } } }
            div { dt { "Accepted (UTC)" } dd { (time(event.accepted)) } }
            div { dt { "Created, as delivered" } dd { (event.created) } }
            @if let Some(id) = &event.campaign { div { dt { "Campaign" } dd { (id) } } }
        }
    }
}

fn explanations(handle: &Handle, workspace: WorkspaceId, explained: &[Explanation]) -> Markup {
    html! {
        table {
            thead { tr { th { "Webhook" } th { "Answer" } th { "Meaning" } } }
            tbody {
                @for explanation in explained {
                    tr {
                        td data-label="Webhook" { (webhook(handle, workspace, explanation.webhook)) }
                        td data-label="Answer" { (state(explanation.verdict.as_str())) }
                        td data-label="Meaning" { (meaning(explanation.verdict.as_str())) }
                    }
                }
            }
        }
    }
}

/// A code of `explain` as a sentence.
fn meaning(code: &str) -> &'static str {
    match code {
        "succeeded" => "It was delivered.",
        "pending" => "It is being delivered, or waits for its next attempt.",
        "exhausted" => "Every attempt of its schedule failed; it can be retried by hand.",
        "removed" => "Every attempt of its schedule failed; nothing sends it again.",
        "cancelled" => "The delivery was cancelled.",
        "webhook_off" => "The webhook was off when the event came.",
        "type_not_subscribed" => "The webhook did not name this type when the event came.",
        "campaign_not_listed" => "The webhook names campaigns, and the event is of none of them.",
        "created_later" => "The webhook did not exist yet.",
        _ => "The webhook existed no more.",
    }
}
