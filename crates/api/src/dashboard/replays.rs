//! Replays: which past events to send again, how many that would be, and how far it is.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::profile::EventTypes;
use postrider_core::replay::{Only, ReplayState};
use postrider_core::webhook::Webhook;
use postrider_core::{ReplayId, WebhookId};
use postrider_engine::{ReplayCount, ReplayProgress};
use serde_json::{Map, Value};

use super::access::{Member, Posted, Seen};
use super::form::{At, Form, as_request, utc};
use super::page::{self, PageError, faults, redirect, token};
use super::parts::{state, time, time_field};
use super::session::Notice;
use super::webhooks::find;
use crate::error::ApiError;
use crate::state::Api;
use crate::wire::replay::ReplaySettings;

/// Asks which events are to be sent again.
pub async fn form(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let body = questions(&who, &webhook, &Form::default().with("only", Only::Failed.as_str()), None);
    Ok(page::member(&who, notice, "Replay", body))
}

/// Counts what a replay would come to and shows it with a button; that button begins it.
pub async fn count_or_start(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Posted { who, form }: Posted<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let refuse = |error: ApiError| {
        let body = questions(&who, &webhook, &form, Some(&error));
        Ok(page::refusal(&error, page::member_page(&who, None, "Replay", body)))
    };
    let wish = match as_request::<ReplaySettings>(members(&form)).and_then(ReplaySettings::read) {
        Ok((wish, _)) => wish,
        Err(error) => return refuse(error),
    };
    if form.text("step") != "start" {
        return match api.handle().count_replay(who.id(), id, &wish).await {
            Ok(count) => Ok(page::member(&who, None, "Replay", confirm(&who, &webhook, &form, count))),
            Err(error) => refuse(error.into()),
        };
    }
    match api.handle().start_replay(who.id(), id, wish).await {
        Ok(replay) => Ok(on_to(&api, &who, replay.id, "The replay has begun.")),
        Err(error) => refuse(error.into()),
    }
}

fn on_to(api: &Api, who: &Member, id: ReplayId, text: &'static str) -> Response {
    let path = format!("/dashboard/replays/{id}");
    api.sessions().leave(&who.session.token, Notice { path: path.clone(), text, secret: None });
    redirect(&path)
}

/// The members of the API's request.
fn members(form: &Form) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("since".to_owned(), utc(form.text("since")).into());
    if !form.text("until").is_empty() {
        members.insert("until".to_owned(), utc(form.text("until")).into());
    }
    members.insert("eventTypes".to_owned(), event_types(form).into());
    members.insert("only".to_owned(), form.text("only").into());
    members
}

fn event_types(form: &Form) -> Vec<&str> {
    form.all("eventTypes").flat_map(str::lines).map(str::trim).filter(|name| !name.is_empty()).collect()
}

fn questions(who: &Member, webhook: &Webhook, form: &Form, error: Option<&ApiError>) -> Markup {
    let chosen = event_types(form);
    let kinds = [
        (Only::Failed, "Failed: events whose delivery to this webhook did not succeed"),
        (Only::All, "All: events that have a delivery to this webhook, those that succeeded too"),
        (
            Only::Missed,
            "Missed: events that it would get now and never had, also from while it was off or did not exist",
        ),
    ];
    html! {
        h1 { "Replay to " (webhook.settings.name) }
        p.url { (webhook.settings.url) }
        @if let Some(error) = error { (faults(error)) }
        form.card.settings method="post" {
            (token(&who.session))
            (time_field("since", "Accepted since", Some(form.text("since")), true))
            (time_field("until", "Accepted before", Some(form.text("until")), false))
            p.help { "Left empty: until now." }
            fieldset {
                legend { "Which of them" }
                @for (only, text) in kinds {
                    label.box {
                        input type="radio" name="only" value=(only.as_str()) checked[form.text("only") == only.as_str()];
                        " " (text)
                    }
                }
            }
            fieldset {
                legend { "Types (none ticked: all)" }
                @match &who.profile.event_types {
                    EventTypes::Listed(listed) => {
                        @for entry in listed {
                            label.box {
                                input type="checkbox" name="eventTypes" value=(entry.name) checked[chosen.contains(&&*entry.name)];
                                " " code { (entry.name) }
                            }
                        }
                    }
                    EventTypes::Any(_) => {
                        textarea name="eventTypes" rows="2" spellcheck="false" aria-label="Types, one a line" { (chosen.join("\n")) }
                    }
                }
            }
            div.actions {
                button type="submit" name="step" value="count" { "Count" }
                a href={ "/dashboard/webhooks/" (webhook.id) } { "Cancel" }
            }
            p.help { "Counting sends nothing; the next page shows what it comes to." }
        }
    }
}

fn confirm(who: &Member, webhook: &Webhook, form: &Form, count: Option<ReplayCount>) -> Markup {
    let is_empty = count.as_ref().is_some_and(|count| count.matched == 0);
    html! {
        h1 { "Replay to " (webhook.settings.name) }
        section.card.narrow {
            @match &count {
                Some(count) => {
                    p { strong { (count.matched) " events" } " would be sent again." }
                    @if count.skipped > 0 { p { (count.skipped) " more are skipped: erased, removed, or pending anyway." } }
                }
                None => p { strong { "More than 10,000 events" } " lie in this time; they are not counted beforehand." },
            }
            p { "Which: " (form.text("only")) ", since " (utc(form.text("since")))
                @if !form.text("until").is_empty() { ", before " (utc(form.text("until"))) } "." }
            form method="post" {
                (token(&who.session))
                @for name in ["since", "until", "only"] { input type="hidden" name=(name) value=(form.text(name)); }
                @for name in event_types(form) { input type="hidden" name="eventTypes" value=(name); }
                @if !is_empty { button type="submit" name="step" value="start" { "Start the replay" } " " }
                a href={ "/dashboard/webhooks/" (webhook.id) "/replay" } { "Choose again" }
            }
        }
    }
}

/// Shows how far a replay is.
pub async fn show(
    State(api): State<Api>,
    At(id): At<ReplayId>,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let found = api.handle().replay(who.id(), id).await?;
    let progress = found.ok_or_else(|| ApiError::not_found("replay"))?;
    let body = html! {
        h1 { "Replay " code { (id) } }
        div #replay data-live data-live-webhook=(progress.replay.webhook) { (figures(&progress)) }
        @if who.may_change() && !progress.replay.state.is_over() { (buttons(&who, &progress)) }
        p { a href={ "/dashboard/webhooks/" (progress.replay.webhook) } { "To the webhook" } }
    };
    Ok(page::member(&who, notice, "Replay", body))
}

fn figures(progress: &ReplayProgress) -> Markup {
    let replay = &progress.replay;
    html! {
        dl.figures {
            div { dt { "State" } dd { (state(replay.state.as_str())) } }
            div { dt { "Made due" } dd { (replay.created) } }
            div { dt { "Skipped" } dd { (replay.skipped) } }
            div { dt { "Remaining" } dd { @match progress.remaining { Some(left) => (left), None => "more than 10,000" } } }
            div { dt { "Which" } dd { (replay.wish.only.as_str()) } }
            div { dt { "Since (UTC)" } dd { (time(replay.wish.since)) } }
            @if let Some(until) = replay.wish.until { div { dt { "Before (UTC)" } dd { (time(until)) } } }
            div { dt { "Begun (UTC)" } dd { (time(replay.started_at)) } }
        }
    }
}

fn buttons(who: &Member, progress: &ReplayProgress) -> Markup {
    let is_paused = progress.replay.state == ReplayState::Paused;
    html! {
        form.actions method="post" {
            (token(&who.session))
            @if is_paused { button type="submit" name="to" value="running" { "Resume" } }
            @else { button type="submit" name="to" value="paused" { "Pause" } }
            button.danger type="submit" name="to" value="cancelled" { "Cancel the replay" }
        }
    }
}

/// Pauses a replay, resumes it or ends it.
pub async fn change(
    State(api): State<Api>,
    At(id): At<ReplayId>,
    Posted { who, form }: Posted<Member>,
) -> Result<Response, PageError> {
    let (to, text) = match form.text("to") {
        "paused" => (ReplayState::Paused, "The replay is paused; what it made due goes on."),
        "running" => (ReplayState::Running, "The replay goes on."),
        "cancelled" => (ReplayState::Cancelled, "The replay is cancelled; what it made due goes on."),
        _ => return Err(ApiError::field("to", "must be one of paused, running, cancelled").into()),
    };
    api.handle().change_replay(who.id(), id, to).await?;
    Ok(on_to(&api, &who, id, text))
}
