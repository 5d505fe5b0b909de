//! Without JavaScript, and without a mouse.

use postrider_tests::Server;
use serde_json::json;

use crate::Stage;
use crate::driver::{Browser, soon, tools};

const TAB: &str = "\u{e004}";
const SHIFT_RELEASED: &str = "\u{e000}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

#[test]
fn everything_works_where_pages_run_no_scripts() {
    if tools().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let receiver = postrider_tests::Receiver::answering(500);
    let client = server.workspace("genesy");
    let browser = Browser::open_without_scripts(&server).unwrap();
    browser.go_out("data:text/html,<p>off</p><script>document.querySelector('p').textContent = 'on'</script>");
    assert_eq!(browser.text().trim(), "off", "scripts do not run in this window");
    browser.sign_in(client.key());
    browser.press("Add webhook");
    browser.fill("Name", "crm");
    browser.fill("URL", &receiver.url("/"));
    browser.tick("EMAIL_SENT");
    browser.press("More settings");
    browser.tick("Own retry delays");
    browser.fill("Delays", "1h");
    browser.press("Add webhook");
    browser.wait_for("Webhook created.");
    let page = browser.path();
    client.post("/v1/events", &json!({ "id": "e1", "type": "EMAIL_SENT", "data": {} })).expect(202);
    soon("the first attempt", || (receiver.count() == 1).then_some(()));
    browser.wait("the attempt, by loading the page", || {
        browser.reload();
        browser.text_of("#log").contains("retrying").then_some(())
    });
    browser.choose("Outcome", "retrying");
    browser.press("Filter");
    browser.wait_for("1 attempts");
    browser.press("retrying");
    browser.press("Retry now");
    browser.wait_for("The delivery is due now.");
    browser.go(&page);
    browser.press("Send test");
    browser.wait_for("Test of crm");
    browser.follow("Back to the webhook");
    browser.follow("Replay");
    browser.choose("Accepted since", "2020-01-01T00:00:00");
    browser.press("Count");
    browser.wait_for("would be sent again");
    browser.go(&page);
    browser.press("Switch off");
    browser.wait_for("Webhook switched off");
    browser.press("Delete");
    browser.press("Delete webhook");
    browser.wait_for("Webhook deleted.");
    browser.press("Sign out");
    browser.wait_for("Sign in");
}

#[test]
fn the_keyboard_is_enough() {
    let Some(stage) = Stage::answering("genesy", 200) else { return };
    let browser = &stage.browser;
    let focus =
        || browser.run("const it = document.activeElement; return (it.innerText || it.name || it.tagName).trim()", &[]);
    browser.press("Sign out");
    browser.wait_for("Sign in");
    browser.wait("the field has the focus", || (focus() == "key").then_some(()));
    browser.type_keys(&format!("{}{ENTER}", stage.client.key()));
    browser.wait_for("Sign out");

    // The first thing that Tab comes to leads past what every page begins with.
    browser.type_keys(TAB);
    assert_eq!(focus(), "Skip to the content");
    assert_eq!(browser.run("return document.activeElement.getBoundingClientRect().left >= 0", &[]), true, "it is seen");
    browser.type_keys(&format!("{ENTER}{TAB}"));
    assert_eq!(focus(), "Add webhook");
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(outline, &[]), "solid", "where the focus is can be seen");
    browser.type_keys(ENTER);
    browser.wait_for("Identifier for your webhook subscription.");

    // Through the form by Tab alone, in the order in which it is read.
    tab_to(browser, "name");
    browser.type_keys(&format!("by keys{TAB}{}", stage.receiver.url("/")));
    tab_to(browser, "events");
    browser.type_keys(SPACE);
    browser.type_keys(SHIFT_RELEASED);
    browser.type_keys(ENTER);
    browser.wait_for("Webhook created.");
    tab_to(browser, "Switch off");
    browser.type_keys(ENTER);
    browser.wait_for("Webhook switched off");
}

/// Presses Tab until what has this name or text has the focus.
fn tab_to(browser: &Browser, wanted: &str) {
    let is_there =
        "const it = document.activeElement; return it.name === arguments[0] || it.innerText === arguments[0]";
    for _ in 0..60 {
        if browser.run(is_there, &[wanted.into()]) == true {
            return;
        }
        browser.type_keys(TAB);
    }
    panic!("Tab does not come to {wanted} on {}", browser.path());
}
