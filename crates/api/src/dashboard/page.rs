//! What every page has: its frame, its headers, and how a refusal looks.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use postrider_engine::Refused;
use secrecy::ExposeSecret;

use super::access::{Member, Operator};
use super::session::{Notice, Session};
use crate::error::{ApiError, Code};

/// The field of every form that carries the session's token.
pub const FORM_TOKEN: &str = "token";
/// The header by which the script says that it renews parts of a page.
pub const RENEWAL: &str = "postrider-renewal";

/// Whether a page is asked for to renew parts of it: what is not among these need not be there.
pub fn is_renewal(headers: &HeaderMap) -> bool {
    headers.contains_key(RENEWAL)
}

/// Nothing but what comes from here; no script and no style within a page; nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// Why there is no page.
pub enum PageError {
    /// Nobody is signed in, or not any more.
    SignedOut,
    /// In the API's words.
    Api(ApiError),
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> PageError {
        PageError::Api(error)
    }
}

impl From<Refused> for PageError {
    fn from(refused: Refused) -> PageError {
        PageError::Api(refused.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let error = match self {
            PageError::SignedOut => return redirect("/"),
            PageError::Api(error) => error,
        };
        let body = html! {
            h1 { "That did not work" }
            (faults(&error))
            p { a href="/" { "Back to the first page" } }
        };
        refusal(&error, frame("Refused", None, None, body))
    }
}

/// A page with the status of an error.
pub fn refusal(error: &ApiError, page: Markup) -> Response {
    let mut response = answer(error.code.status(), page);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if error.code == Code::Unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The words of an error, as the API says them.
pub fn faults(error: &ApiError) -> Markup {
    html! {
        div.refused role="alert" {
            p { (error.message) }
            @if error.errors.len() > 1 {
                ul { @for fault in &error.errors { li { code { (fault.field) } " " (fault.message) } } }
            }
        }
    }
}

/// A page for a member of a workspace.
pub fn member(who: &Member, notice: Option<Notice>, title: &str, body: Markup) -> Response {
    answer(StatusCode::OK, member_page(who, notice, title, body))
}

/// The same, before it is an answer.
pub fn member_page(who: &Member, notice: Option<Notice>, title: &str, body: Markup) -> Markup {
    let links = [
        ("/", "Webhooks"),
        ("/dashboard/overview", "Overview"),
        ("/dashboard/deliveries", "Deliveries"),
        ("/dashboard/events", "Events"),
    ];
    let place = format!("{} ({})", who.workspace.name, who.profile.title);
    let nav = Nav { session: &who.session, links: &links, place };
    frame(title, Some(nav), notice, body)
}

/// A page for whoever has the admin key.
pub fn operator(who: &Operator, notice: Option<Notice>, title: &str, body: Markup) -> Response {
    answer(StatusCode::OK, operator_page(who, notice, title, body))
}

/// The same, before it is an answer.
pub fn operator_page(who: &Operator, notice: Option<Notice>, title: &str, body: Markup) -> Markup {
    let nav = Nav {
        session: &who.session,
        links: &[("/", "Workspaces"), ("/dashboard/server", "Server")],
        place: "admin key".to_owned(),
    };
    frame(title, Some(nav), notice, body)
}

/// Where one can go, and as whom.
struct Nav<'a> {
    session: &'a Session,
    links: &'a [(&'static str, &'static str)],
    place: String,
}

/// A page for nobody in particular.
pub fn plain(title: &str, body: Markup) -> Response {
    answer(StatusCode::OK, plain_page(title, body))
}

/// The same, before it is an answer.
pub fn plain_page(title: &str, body: Markup) -> Markup {
    frame(title, None, None, body)
}

fn frame(title: &str, nav: Option<Nav<'_>>, notice: Option<Notice>, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Postrider" }
                link rel="icon" href="/dashboard/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/dashboard/style.css";
                @if nav.is_some() { script src="/dashboard/live.js" defer {} }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/" { "Postrider" }
                    @if let Some(nav) = nav {
                        nav aria-label="Pages" { @for (href, text) in nav.links { a href=(href) { (text) } } }
                        span.place { (nav.place) }
                        form method="post" action="/dashboard/sign-out" {
                            (token(nav.session))
                            button.quiet type="submit" { "Sign out" }
                        }
                    }
                }
                main id="main" {
                    @if let Some(notice) = notice { (said(&notice)) }
                    (body)
                }
            }
        }
    }
}

fn said(notice: &Notice) -> Markup {
    html! {
        div.notice role="status" {
            p { (notice.text) }
            @if let Some(secret) = &notice.secret {
                p { code.secret { (secret.expose_secret()) } }
            }
        }
    }
}

/// The field that shows a form to be of this session.
pub fn token(session: &Session) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(session.form_token); }
}

/// A page as an answer.
pub fn answer(status: StatusCode, page: Markup) -> Response {
    let mut response = Response::new(Body::from(page.into_string()));
    *response.status_mut() = status;
    guard(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// On to another page, by GET. `path` is one of ours.
pub fn redirect(path: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    guard(response.headers_mut());
    // Ids and constants only, all of visible ASCII.
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn guard(headers: &mut HeaderMap) {
    let set = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`, by which browsers would hide the origin of our own forms too.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
