//! Signing in and out, and what protects a session: its cookie, the forms' token, where a form comes from, what a page may run.

use postrider_tests::{Reaction, Receiver, Server};

use crate::Stage;
use crate::driver::{Browser, tools};

#[test]
fn a_session_begins_with_a_key_and_ends_by_the_button() {
    if tools().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.workspace("genesy");
    let browser = Browser::open(&server).unwrap();
    browser.go("/");
    browser.fill("Key", "prk_nobody");
    browser.press("Sign in");
    browser.wait("the refusal", || (browser.count("[role=alert]") == 1).then_some(()));
    assert_eq!(browser.cookies().as_array().unwrap().len(), 0, "nobody is signed in");
    browser.go("/dashboard/events");
    browser.wait_for("Sign in");

    browser.sign_in(client.key());
    let cookies = browser.cookies();
    let cookie = &cookies[0];
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"], &cookie["path"]),
        (&true.into(), &"Strict".into(), &"/".into())
    );
    assert!(cookie["value"].as_str().unwrap().len() >= 32 && !client.key().contains(cookie["value"].as_str().unwrap()));
    assert_eq!(browser.run("return document.cookie", &[]), "", "no script sees it");

    browser.press("Sign out");
    browser.wait_for("Sign in");
    browser.go("/dashboard/deliveries");
    browser.wait_for("Sign in");
    assert!(!browser.text().contains("Sign out"));
}

#[test]
fn a_form_of_another_site_or_another_session_changes_nothing() {
    let Some(stage) = Stage::answering("genesy", 200) else { return };
    let browser = &stage.browser;
    let page = stage.webhook("crm", serde_json::json!({}));

    // Another page of the same machine, to which the browser gives the cookie all the same.
    let form = format!(
        "<form method=post action='{}{page}/delete'><button>Win</button></form>",
        stage.server.base().trim_end_matches('/')
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
        form.len()
    );
    let answer: &'static str = answer.leak();
    let elsewhere = Receiver::reacting(move |_| Reaction::Raw(answer));
    browser.go_out(&elsewhere.url("/"));
    browser.press("Win");
    browser.wait_for("This form was sent from a page of another site.");

    // The right page, but not its token.
    browser.go(&format!("{page}/delete"));
    browser.run("document.querySelector('main [name=token]').value = 'x'.repeat(32)", &[]);
    browser.press("Delete webhook");
    browser.wait_for("This form is not of your session");
    browser.go("/");
    browser.wait_for("crm");
}

#[test]
fn a_page_runs_and_loads_nothing_that_is_not_of_this_server() {
    let Some(stage) = Stage::answering("genesy", 200) else { return };
    let browser = &stage.browser;
    let headers = "const answer = await fetch('/'); return Object.fromEntries(answer.headers)";
    let headers = browser.run(&format!("return (async () => {{ {headers} }})()"), &[]);
    let policy = headers["content-security-policy"].as_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["cache-control"], "no-store");

    let image = stage.receiver.url("/pixel");
    browser.run(
        "const add = (tag, set) => document.body.append(Object.assign(document.createElement(tag), set));
         add('script', { textContent: 'window.ran = 1' });
         add('img', { src: arguments[0] });
         add('img', { src: '/dashboard/icon.svg', onload: null });
         document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 2\"><p id=styled style=\"color: red\">x</p>');",
        &[image.into()],
    );
    browser.wait("the own image", || {
        let loaded =
            "return [...document.images].some((image) => image.src.endsWith('icon.svg') && image.naturalWidth > 0)";
        (browser.run(loaded, &[]) == true).then_some(())
    });
    assert_eq!(browser.run("return window.ran ?? null", &[]), serde_json::Value::Null, "no script within a page");
    assert_ne!(browser.run("return getComputedStyle(document.getElementById('styled')).color", &[]), "rgb(255, 0, 0)");
    assert_eq!(stage.receiver.count(), 0, "nothing is loaded from elsewhere");
}

#[test]
fn a_revoked_key_ends_its_sessions() {
    let Some(stage) = Stage::answering("snaily", 200) else { return };
    let admin = stage.server.admin();
    let workspaces = admin.get("/v1/workspaces").expect(200);
    let id = workspaces.data()[0]["id"].as_str().unwrap().to_owned();
    let key = admin.get(&format!("/v1/workspaces/{id}/keys")).expect(200).data()[0]["id"].as_str().unwrap().to_owned();
    stage.browser.go("/dashboard/events");
    stage.browser.wait_for("Sign out");
    admin.delete(&format!("/v1/workspaces/{id}/keys/{key}")).expect(204);
    stage.browser.reload();
    stage.browser.wait_for("Sign in");
}
