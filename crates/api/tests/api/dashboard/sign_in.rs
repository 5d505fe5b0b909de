//! Who gets in, what a session is, and what protects it.

use axum::http::header;

use super::browser::{Browser, cookie_of};
use crate::support::{ADMIN, Answer, World, options};

fn cookie_line(answer: &Answer) -> &str {
    answer.headers[header::SET_COOKIE].to_str().unwrap()
}

#[tokio::test]
async fn whoever_is_not_signed_in_sees_the_form_and_nothing_else() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    world.webhook(&key, "https://secret-host.example.com/").await;
    let nobody = Browser::new(&world);
    let front = nobody.open("/").await;
    assert_eq!(front.status, 200);
    assert!(front.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
    assert!(front.text.contains(r#"action="/dashboard/sign-in""#), "{}", front.text);
    assert!(!front.text.contains("secret-host"));
    for path in [
        "/dashboard/events",
        "/dashboard/webhooks/1",
        "/dashboard/deliveries",
        "/dashboard/live",
        "/dashboard/webhooks/new",
    ] {
        let answer = nobody.open(path).await;
        assert_eq!((answer.status.as_u16(), &answer.headers[header::LOCATION]), (303, &"/".parse().unwrap()), "{path}");
        assert!(answer.text.is_empty(), "{path}");
    }
    let answer = nobody.send_form("/dashboard/webhooks/1/delete", &[], &[]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(world.get(&key, "/v1/webhooks/1").await.status, 200);
}

#[tokio::test]
async fn a_key_opens_a_session_whose_cookie_no_script_and_no_other_site_gets() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let browser = Browser::new(&world);
    let answer = browser.send_form("/dashboard/sign-in", &[("key", &format!(" {key}\n"))], &[]).await;
    assert_eq!((answer.status.as_u16(), &answer.headers[header::LOCATION]), (303, &"/".parse().unwrap()));
    let line = cookie_line(&answer);
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("Secure") && !line.contains(&key), "{line}");
    for headers in [[("x-forwarded-proto", "https")], [("origin", "https://hooks.example.com")]] {
        let headers = [headers[0], ("host", "hooks.example.com")];
        let answer = browser.send_form("/dashboard/sign-in", &[("key", &key)], &headers).await;
        assert!(cookie_line(&answer).contains("; Secure"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_and_one_that_may_not_read_get_no_session() {
    let world = World::new();
    let (id, _) = world.workspace("genesy").await;
    let publisher = world.key(&id, &["EVENTS_WRITE"]).await;
    let browser = Browser::new(&world);
    for (key, status, message) in [
        ("prk_wrong", 401, "This key is not known"),
        ("", 401, "This key is not known"),
        ("<script>alert(1)</script>", 401, "This key is not known"),
        (&publisher, 403, "This key lacks the scope READ"),
    ] {
        let answer = browser.send_form("/dashboard/sign-in", &[("key", key)], &[]).await;
        assert_eq!(answer.status, status, "{key}");
        assert!(answer.text.contains(message), "{}", answer.text);
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
        assert!(key.is_empty() || !answer.text.contains(key), "a key is not repeated");
    }
}

#[tokio::test]
async fn an_empty_admin_key_opens_nothing() {
    let world = World::with(postrider_api::ApiOptions { admin_key: "".into(), ..options() }, &[]);
    let answer = Browser::new(&world).send_form("/dashboard/sign-in", &[("key", "")], &[]).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_session_ends_by_signing_out_and_with_its_key() {
    let world = World::new();
    let (id, _) = world.workspace("genesy").await;
    let reader = world.key(&id, &["READ"]).await;
    let browser = Browser::with_key(&world, &reader).await;
    assert!(browser.page("/").await.contains("Webhooks"));
    let answer = browser.submit("/dashboard/sign-out", &[]).await;
    assert_eq!(answer.status, 303);
    assert!(cookie_line(&answer).contains("Max-Age=0"));
    assert!(browser.page("/").await.contains("Sign in"), "the cookie is of no use any more");
    let browser = Browser::with_key(&world, &reader).await;
    let keys = world.get(ADMIN, &format!("/v1/workspaces/{id}/keys")).await.data();
    let key = keys.as_array().unwrap().iter().find(|key| key["scopes"] == serde_json::json!(["READ"])).unwrap().clone();
    let path = format!("/v1/workspaces/{id}/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(world.delete(ADMIN, &path).await.status, 204);
    assert!(browser.page("/").await.contains("Sign in"));
    assert_eq!(browser.open("/dashboard/events").await.status, 303);
}

#[tokio::test]
async fn signing_in_again_ends_the_session_before() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let first = Browser::with_key(&world, &key).await;
    let answer = first.send_form("/dashboard/sign-in", &[("key", &key)], &[]).await;
    assert_ne!(cookie_of(&answer), first.cookie);
    assert!(first.page("/").await.contains("Sign in"));
}

#[tokio::test]
async fn a_form_of_another_site_or_without_its_token_changes_nothing() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, "https://example.com/").await;
    let browser = Browser::with_key(&world, &key).await;
    let other = Browser::with_key(&world, &key).await;
    let (token, others) = (browser.token().await, other.token().await);
    let path = format!("/dashboard/webhooks/{hook}/delete");
    let host = ("host", "hooks.example.com");
    for (token, headers) in [
        ("", vec![]),
        ("prs_wrong", vec![]),
        (&*others, vec![]),
        (&*token, vec![("sec-fetch-site", "cross-site")]),
        (&*token, vec![("sec-fetch-site", "same-site")]),
        (&*token, vec![("origin", "https://evil.example.com"), host]),
        (&*token, vec![("origin", "null"), host]),
        (&*token, vec![("origin", "https://hooks.example.com.evil.example"), host]),
    ] {
        for path in [&*path, "/dashboard/sign-out"] {
            let answer = browser.send_form(path, &[("token", token)], &headers).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}");
        }
    }
    assert_eq!(world.get(&key, &format!("/v1/webhooks/{hook}")).await.status, 200);
    let foreign = browser.send_form("/dashboard/sign-in", &[("key", &key)], &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(foreign.status, 403, "nobody is signed in by another site");
    let own = [("origin", "https://hooks.example.com"), host];
    assert_eq!(browser.send_form(&path, &[("token", &token)], &own).await.status, 303);
    assert_eq!(world.get(&key, &format!("/v1/webhooks/{hook}")).await.status, 404);
}

#[tokio::test]
async fn every_page_forbids_what_does_not_come_from_here() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    let browser = Browser::with_key(&world, &key).await;
    let refused = browser.send_form("/dashboard/webhooks/new", &[], &[]).await;
    assert_eq!(refused.status, 403);
    let missing = browser.open("/dashboard/webhooks/99").await;
    assert_eq!(missing.status, 404);
    let mut pages = vec![Browser::new(&world).open("/").await, refused, missing];
    for path in ["/", "/dashboard/webhooks/new", "/dashboard/events", "/dashboard/deliveries"] {
        pages.push(browser.open(path).await);
    }
    for page in pages {
        let header = |name: &str| page.headers[name].to_str().unwrap();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert!(header("content-type").starts_with("text/html"));
        for inline in ["<style", "style=", "onclick", "javascript:", "http-equiv"] {
            assert!(!page.text.contains(inline), "{inline}");
        }
        assert!(
            page.text
                .split("<script")
                .skip(1)
                .all(|rest| rest.starts_with(r#" src="/dashboard/live.js" defer></script>"#))
        );
    }
}

#[tokio::test]
async fn sessions_are_not_counted_against_a_key() {
    let world = World::with(postrider_api::ApiOptions { rate_limit_per_minute: 5, ..options() }, &[]);
    let (_, key) = world.workspace("genesy").await;
    let browser = Browser::with_key(&world, &key).await;
    for _ in 0..20 {
        browser.page("/").await;
    }
    assert_eq!(world.get(&key, "/v1/webhooks").await.status, 200);
}

#[tokio::test]
async fn the_files_of_the_pages_are_there() {
    let world = World::new();
    for (path, content_type) in [
        ("/dashboard/style.css", "text/css"),
        ("/dashboard/live.js", "text/javascript"),
        ("/dashboard/icon.svg", "image/svg+xml"),
    ] {
        let answer = Browser::new(&world).open(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(content_type), "{path}");
        assert!(!answer.text.contains("http://") || path.ends_with("svg"), "{path} loads nothing from elsewhere");
    }
}
