//! Adding and editing a webhook. Which fields the form has is the profile's data; what is sent becomes the JSON of the API, so that its
//! checks and its words hold here too. Secrets and header values go in and never come out.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::WebhookId;
use postrider_core::policy::format_delay;
use postrider_core::profile::{EventTypes, Profile};
use postrider_core::webhook::{TIMEOUT_DEFAULT, Webhook};
use serde_json::{Map, Value, json};

use super::access::{Member, Posted, Seen};
use super::form::{At, Form, as_request, number};
use super::page::{self, PageError, faults, redirect, token};
use super::session::Notice;
use super::webhooks::find;
use super::words::Words;
use crate::error::ApiError;
use crate::state::Api;
use crate::wire::webhook::WebhookSettings;

/// The form for a new webhook.
pub async fn blank(Seen { who, notice }: Seen<Member>) -> Response {
    let form = Form::default().with("timeoutMs", TIMEOUT_DEFAULT.0.to_string()).with("enabled", "on");
    page::member(&who, notice, "Add webhook", fields(&who, &form, None, None))
}

/// Makes a webhook.
pub async fn create(State(api): State<Api>, Posted { who, form }: Posted<Member>) -> Result<Response, PageError> {
    let settings = as_request::<WebhookSettings>(members(&form, &who.profile, None));
    let made = match settings {
        Ok(settings) => api.handle().create_webhook(who.id(), settings.into()).await.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    let saved = match made {
        Ok(saved) => saved,
        Err(error) => return Ok(again(&who, &form, None, &error)),
    };
    let path = format!("/dashboard/webhooks/{}", saved.webhook.id);
    let text = match saved.signing_secret {
        Some(_) => "Webhook created. It signs with this secret; keep it, it is not shown again:",
        None => "Webhook created.",
    };
    let notice = Notice { path: path.clone(), text, secret: saved.signing_secret };
    api.sessions().leave(&who.session.token, notice);
    Ok(redirect(&path))
}

/// The form with a webhook's settings.
pub async fn edit(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Seen { who, notice }: Seen<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let form = filled(&webhook);
    Ok(page::member(&who, notice, "Edit webhook", fields(&who, &form, Some(&webhook), None)))
}

/// Changes a webhook.
pub async fn change(
    State(api): State<Api>,
    At(id): At<WebhookId>,
    Posted { who, form }: Posted<Member>,
) -> Result<Response, PageError> {
    let webhook = find(&api, who.id(), id)?;
    let settings = as_request::<WebhookSettings>(members(&form, &who.profile, Some(&webhook)));
    let changed = match settings {
        Ok(settings) => api.handle().change_webhook(who.id(), id, settings.into()).await.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    let saved = match changed {
        Ok(saved) => saved,
        Err(error) => return Ok(again(&who, &form, Some(&webhook), &error)),
    };
    let path = format!("/dashboard/webhooks/{id}");
    let text = match saved.signing_secret {
        Some(_) => "Webhook changed. It signs with this secret now; keep it, it is not shown again:",
        None => "Webhook changed.",
    };
    let notice = Notice { path: path.clone(), text, secret: saved.signing_secret };
    api.sessions().leave(&who.session.token, notice);
    Ok(redirect(&path))
}

fn again(who: &Member, form: &Form, webhook: Option<&Webhook>, error: &ApiError) -> Response {
    let title = if webhook.is_some() { "Edit webhook" } else { "Add webhook" };
    page::refusal(error, page::member_page(who, None, title, fields(who, form, webhook, Some(error))))
}

/// A webhook's settings as a form has them; without its secrets.
fn filled(webhook: &Webhook) -> Form {
    let settings = &webhook.settings;
    let joined = |texts: Vec<&str>| texts.join("\n");
    let mut form = Form::default()
        .with("name", &*settings.name)
        .with("description", settings.description.as_deref().unwrap_or_default())
        .with("url", &*settings.url)
        .with("campaignIds", joined(settings.campaign_ids.iter().map(|id| &*id.text).collect()))
        .with("customFields", joined(settings.custom_fields.iter().map(|name| &**name).collect()))
        .with("timeoutMs", settings.timeout.0.to_string())
        .with("rateLimit", settings.rate_limit.map(|rate| rate.to_string()).unwrap_or_default())
        .with("signing", settings.signing.as_ref().map(|signing| signing.key.scheme.as_str()).unwrap_or_default());
    if let Some(policy) = &settings.retry_policy {
        let delays: Vec<_> = policy.delays.iter().copied().map(format_delay).collect();
        let jitter = f64::from(policy.jitter_permille) / 1000.0;
        form = form.with("delays", delays.join(", ")).with("jitter", jitter.to_string()).with("ownPolicy", "on");
    }
    if settings.ordered {
        form = form.with("ordered", "on");
    }
    if settings.enabled {
        form = form.with("enabled", "on");
    }
    settings.events.iter().fold(form, |form, name| form.with("events", &**name))
}

/// The members of the API's request. A new webhook's fields that were left empty are left out; a change names what the form shows, `null`
/// where it was emptied, and leaves alone what is only to be replaced.
fn members(form: &Form, profile: &Profile, webhook: Option<&Webhook>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| {
        if webhook.is_some() || !value.is_null() {
            members.insert(name.to_owned(), value);
        }
    };
    let text = |name: &str| Some(form.text(name)).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from);
    set("name", text("name"));
    set("description", text("description"));
    set("url", text("url"));
    set("events", events(form, profile).into());
    set("enabled", form.is_on("enabled").into());
    set("ordered", form.is_on("ordered").into());
    set("timeoutMs", Some(form.text("timeoutMs")).filter(|text| !text.is_empty()).map_or(Value::Null, number));
    let rate = Some(form.text("rateLimit")).filter(|text| !text.is_empty());
    set("rateLimit", rate.map_or(Value::Null, |rate| json!({ "perSecond": number(rate) })));
    set("retryPolicy", policy(form));
    if profile.has_custom_fields {
        set("customFields", form.lines("customFields").into());
    }
    // Numbers and strings are the same in a form: a list that is as it was stays what it was.
    let campaigns = form.lines("campaignIds");
    let before = webhook.map(|webhook| webhook.settings.campaign_ids.iter().map(|id| id.text.to_string()).collect());
    if profile.has_campaigns && before != Some(campaigns.clone()) {
        set("campaignIds", campaigns.into());
    }
    let scheme = form.text("signing");
    let is_signed = !scheme.is_empty();
    let signs_now =
        webhook.and_then(|webhook| webhook.settings.signing.as_ref()).map(|signing| signing.key.scheme.as_str());
    if is_signed && signs_now != Some(scheme) {
        set("signing", json!({ "scheme": scheme }));
    } else if !is_signed && signs_now.is_some() {
        set("signing", Value::Null);
    }
    if !form.text("secret").is_empty() {
        set("secret", form.text("secret").into());
    } else if form.is_on("noSecret") {
        set("secret", Value::Null);
    }
    if !form.text("headers").is_empty() {
        set("headers", headers(form));
    } else if form.is_on("noHeaders") {
        set("headers", Value::Null);
    }
    members
}

fn events(form: &Form, profile: &Profile) -> Vec<String> {
    match profile.event_types {
        EventTypes::Listed(_) => form.all("events").map(str::to_owned).collect(),
        EventTypes::Any(_) => form
            .all("events")
            .flat_map(str::lines)
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect(),
    }
}

fn policy(form: &Form) -> Value {
    if !form.is_on("ownPolicy") {
        return Value::Null;
    }
    let delays = form.text("delays").split([',', ' ', '\n']).map(str::trim).filter(|delay| !delay.is_empty());
    let jitter = Some(form.text("jitter")).filter(|text| !text.is_empty()).map_or(json!(0), number);
    json!({ "delays": delays.collect::<Vec<_>>(), "jitter": jitter })
}

/// One `Name: value` a line. A line without a colon is a name that no header can have, which the check says.
fn headers(form: &Form) -> Value {
    let lines = form.lines("headers");
    let pairs = lines.iter().map(|line| line.split_once(':').unwrap_or((line, "")));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().into())).collect::<Map<_, _>>().into()
}

fn fields(who: &Member, form: &Form, webhook: Option<&Webhook>, error: Option<&ApiError>) -> Markup {
    let words = Words::of(&who.profile.name);
    let profile = &*who.profile;
    let title = if webhook.is_some() { "Edit webhook" } else { "Add webhook" };
    // Browsers take the attribute without a value for a no.
    let is_bad = |name: &str| {
        let is_named = error.is_some_and(|error| error.errors.iter().any(|fault| root(&fault.field) == name));
        is_named.then_some("true")
    };
    let wrong = |name: &str| wrong(error, name);
    html! {
        h1 { (title) }
        @if let Some(error) = error { (faults(error)) }
        form.card.settings method="post" autocomplete="off" {
            (token(&who.session))
            label for="name" { "Name" @if profile.name_required { " *" } }
            input #name type="text" name="name" value=(form.text("name")) required[profile.name_required || webhook.is_some()]
                aria-invalid=[is_bad("name")];
            p.help { (words.name_help) } (wrong("name"))

            label for="url" { (words.url_label) " *" }
            input #url type="url" name="url" value=(form.text("url")) required spellcheck="false" placeholder="https://"
                aria-invalid=[is_bad("url")];
            p.help { (words.url_help) } (wrong("url"))

            (secret_field(who, form, webhook)) (wrong("secret"))
            (events_field(profile, form, words)) (wrong("events"))

            @if profile.has_campaigns {
                label for="campaignIds" { "Campaign ids" }
                textarea #campaignIds name="campaignIds" rows="2" spellcheck="false" { (form.text("campaignIds")) }
                p.help { (words.campaigns_help) " One a line." } (wrong("campaignIds"))
            }
            @if profile.has_custom_fields {
                label for="customFields" { "Custom fields" }
                textarea #customFields name="customFields" rows="2" spellcheck="false" { (form.text("customFields")) }
                p.help { (words.custom_fields_help) " One a line." } (wrong("customFields"))
            }
            label.box { input type="checkbox" name="enabled" checked[form.is_on("enabled")]; " On" }
            p.help { "Off: it gets no new events, and pending deliveries wait." }
            details open[has_more_faults(error)] {
                summary { "More settings" }
                (more_fields(who, form, webhook, error))
            }
            div.actions {
                button type="submit" { @if webhook.is_some() { "Save" } @else { "Add webhook" } }
                @match webhook {
                    Some(webhook) => a href={ "/dashboard/webhooks/" (webhook.id) } { "Cancel" },
                    None => a href="/" { "Cancel" },
                }
            }
        }
    }
}

fn secret_field(who: &Member, form: &Form, webhook: Option<&Webhook>) -> Markup {
    let words = Words::of(&who.profile.name);
    let is_signed = who.profile.signing.is_some();
    let is_set = webhook.is_some_and(|webhook| webhook.settings.secret.is_some());
    html! {
        @if who.profile.secret.is_some() || is_signed {
            label for="secret" { (words.secret_label) }
            input #secret type="password" name="secret" autocomplete="new-password" spellcheck="false";
            p.help {
                (words.secret_help)
                @if webhook.is_some() {
                    " Left empty, it stays as it is" @if !is_set && !is_signed { " (none)" } "; it is shown to nobody."
                }
            }
            @if is_set {
                label.box { input type="checkbox" name="noSecret" checked[form.is_on("noSecret")]; " Remove the secret" }
            }
        }
    }
}

fn events_field(profile: &Profile, form: &Form, words: &Words) -> Markup {
    html! {
        fieldset {
            legend { "Events *" }
            @match &profile.event_types {
                EventTypes::Listed(listed) => {
                    @for entry in listed {
                        label.box {
                            input type="checkbox" name="events" value=(entry.name)
                                checked[form.all("events").any(|name| name == &*entry.name)];
                            " " code { (entry.name) } " " span.help { (entry.description) }
                        }
                    }
                }
                EventTypes::Any(any) => {
                    textarea name="events" rows="3" required spellcheck="false" aria-label="Events, one a line" {
                        (form.all("events").collect::<Vec<_>>().join("\n"))
                    }
                    p.help { "One a line, each " code { (any.pattern.as_str()) } "." }
                }
            }
            p.help { (words.events_help) }
        }
    }
}

fn more_fields(who: &Member, form: &Form, webhook: Option<&Webhook>, error: Option<&ApiError>) -> Markup {
    let wrong = |name: &str| wrong(error, name);
    let usual: Vec<_> = who.profile.retry.delays.iter().copied().map(format_delay).collect();
    let has_headers = webhook.is_some_and(|webhook| !webhook.settings.headers.is_empty());
    let schemes = [("v1", "HMAC-SHA256 (v1)"), ("v1a", "Ed25519 (v1a)")];
    html! {
        label for="description" { "Description" }
        input #description type="text" name="description" value=(form.text("description")); (wrong("description"))

        label.box { input type="checkbox" name="ownPolicy" checked[form.is_on("ownPolicy")]; " Own retry delays" }
        label for="delays" { "Delays" }
        input #delays type="text" name="delays" value=(form.text("delays")) placeholder=(usual.join(", ")) spellcheck="false";
        p.help { "Used if the box above is ticked; a number with ms, s, m, h or d each. Usual here: " (usual.join(", ")) "." }
        label for="jitter" { "Jitter" }
        input #jitter type="text" inputmode="decimal" name="jitter" value=(form.text("jitter")) placeholder="0";
        p.help { "Up to this share of a delay is added by chance: 0 to 1." } (wrong("retryPolicy"))

        label for="timeoutMs" { "Timeout, in ms" }
        input #timeoutMs type="text" inputmode="numeric" name="timeoutMs" value=(form.text("timeoutMs")); (wrong("timeoutMs"))
        label for="rateLimit" { "Attempts a second, at most" }
        input #rateLimit type="text" inputmode="numeric" name="rateLimit" value=(form.text("rateLimit")) placeholder="no limit";
        (wrong("rateLimit"))

        label.box { input type="checkbox" name="ordered" checked[form.is_on("ordered")]; " In order" }
        p.help { "One delivery at a time, in the order of the events: the next one only once the one before has ended, after all its retries." }
        (wrong("ordered"))

        label for="signing" { "Sign requests (Standard Webhooks)" }
        select #signing name="signing" {
            @if who.profile.signing.is_none() { option value="" { "no" } }
            @for (scheme, text) in schemes { option value=(scheme) selected[form.text("signing") == scheme] { (text) } }
        }
        p.help { "A new scheme makes a new secret, which is shown once." } (wrong("signing"))

        label for="headers" { "Own headers" }
        textarea #headers name="headers" rows="2" spellcheck="false" placeholder="X-Team: sales" {}
        p.help {
            "One " code { "Name: value" } " a line. Values are shown to nobody."
            @if let Some(webhook) = webhook.filter(|_| has_headers) {
                " Set now: " @for (name, _) in &webhook.settings.headers { code { (name) } " " }
                "Left empty, they stay; what is written here replaces them all."
            }
        }
        @if has_headers { label.box { input type="checkbox" name="noHeaders"; " Remove all own headers" } }
        (wrong("headers"))
    }
}

/// What is wrong with a field.
fn wrong(error: Option<&ApiError>, name: &str) -> Markup {
    let faults = error.into_iter().flat_map(|error| &error.errors).filter(|fault| root(&fault.field) == name);
    html! { @for fault in faults { p.wrong { code { (fault.field) } " " (fault.message) } } }
}

fn has_more_faults(error: Option<&ApiError>) -> bool {
    const MORE: [&str; 7] = ["description", "retryPolicy", "timeoutMs", "rateLimit", "ordered", "signing", "headers"];
    error.is_some_and(|error| error.errors.iter().any(|fault| MORE.contains(&root(&fault.field))))
}

/// The member that a path begins with.
fn root(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}
