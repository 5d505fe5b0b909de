//! What the admin key sees of the server: how log and store stand, where it may send, and its profiles.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use postrider_core::Time;
use postrider_core::policy::format_delay;
use postrider_core::profile::{EventTypes, Profile, Terminal};
use postrider_engine::EngineFigures;

use super::access::{Operator, Seen};
use super::page;
use super::parts::{maybe_time, size};
use crate::state::Api;
use crate::tls::Tls;

/// Shows it.
pub async fn show(State(api): State<Api>, Seen { who, notice }: Seen<Operator>) -> Response {
    let handle = api.handle();
    let body = html! {
        h1 { "Server" }
        (figures(&handle.figures(), api.options().tls.as_ref().map(Tls::expires_at)))
        h2 { "Where deliveries may go" }
        (egress(&api))
        h2 { "Profiles" }
        @for profile in handle.profiles() { (one(&profile)) }
        p.help { "More figures: " a href="/metrics" { "metrics" } " for Prometheus, " a href="/openapi.json" { "openapi.json" } " for programs." }
    };
    page::operator(&who, notice, "Server", body)
}

/// `expires` says until when the certificate is good, where there is one.
fn figures(figures: &EngineFigures, expires: Option<Option<Time>>) -> Markup {
    let pending: u64 = figures.pending_by_tier.iter().sum();
    let behind = figures.log_end.saturating_sub(figures.covered);
    html! {
        dl.figures {
            div { dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) } }
            div { dt { "Workspaces" } dd { (figures.workspaces) } }
            div { dt { "Webhooks" } dd { (figures.webhooks) } }
            div { dt { "Attempts in flight" } dd { (figures.in_flight) } }
            div {
                dt { "Pending" } dd { (pending)
                    @if figures.pending_by_tier.len() > 1 {
                        @for (failed, count) in figures.pending_by_tier.iter().enumerate().filter(|(_, count)| **count > 0) {
                            br; small { (count) " after " (failed) " failed" }
                        }
                    }
                }
            }
            div { dt { "Log on disk" } dd { (size(figures.log_bytes)) } }
            div { dt { "Log, blocks" } dd { (figures.log_first) " to " (figures.log_end) } }
            div { dt { "Store, blocks behind" } dd { (behind) } }
            @if let Some(expires) = expires {
                div { dt { "Certificate good until (UTC)" } dd { (maybe_time(expires)) } }
            }
            div { dt { "Deliveries in the store" } dd { @match figures.in_store { Some(count) => (count), None => span.none { "no store" } } } }
        }
    }
}

fn egress(api: &Api) -> Markup {
    let rules = api.handle().egress_rules();
    let from = &api.options().egress_addresses;
    html! {
        dl.pairs {
            dt { "Open beside public addresses" }
            dd { @if rules.allow.is_empty() { "nothing" } @for range in &rules.allow { code { (range) } " " } }
            dt { "Plain http" } dd { @if rules.https_only { "refused" } @else { "allowed" } }
            dt { "Deliveries come from" }
            dd { @if from.is_empty() { "not configured" } @for address in from { code { (address) } " " } }
        }
    }
}

fn one(profile: &Profile) -> Markup {
    let delays: Vec<_> = profile.retry.delays.iter().copied().map(format_delay).collect();
    let jitter = f64::from(profile.retry.jitter_permille) / 1000.0;
    html! {
        details.card {
            summary { (profile.title) " " code { (profile.name) } }
            dl.pairs {
                dt { "Event types" }
                dd {
                    @match &profile.event_types {
                        EventTypes::Listed(listed) => { @for entry in listed { code { (entry.name) } " " } }
                        EventTypes::Any(any) => { "any that is " code { (any.pattern.as_str()) } }
                    }
                }
                dt { "Attempts" } dd { (delays.len() + 1) }
                dt { "Retries after" }
                dd { @if delays.is_empty() { "none" } @else { (delays.join(", ")) } @if jitter > 0.0 { ", up to " (jitter) " of it more by chance" } }
                dt { "Then it is" }
                dd { @match profile.terminal {
                    Terminal::Exhausted => "exhausted: kept, and can be retried by hand",
                    Terminal::Removed => "removed: nothing sends it again, and its payload is erased",
                } }
                dt { "Secret" }
                dd { @match &profile.secret { Some(rule) => { "in the header " code { (rule.header) } } None => "no header of its own" } }
                dt { "Signed" } dd { @match profile.signing { Some(scheme) => { "always, " (scheme.as_str()) }, None => "on demand" } }
            }
            details { summary { "As it is configured" } pre tabindex="0" { (profile.toml) } }
        }
    }
}
