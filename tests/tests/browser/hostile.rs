//! What comes from outside is text: in payloads, names, URLs, headers and what receivers answer.

use postrider_tests::Reaction;
use serde_json::json;

use crate::Stage;

const SCRIPT: &str = "<script>window.hit=1</script>\"'><img src=x onerror=window.hit=2><svg onload=window.hit=3>";
const ANSWER: &str = "HTTP/1.1 500 <b>X</b>\r\ncontent-type: text/html\r\nx-evil: <script>window.hit=4</script>\r\nconnection: close\r\n\r\n\
     <script>window.hit=5</script></pre></table><img src=x onerror=window.hit=6><iframe src='javascript:window.hit=7'></iframe>";

#[test]
fn nothing_that_comes_from_outside_becomes_more_than_text() {
    let Some(stage) = Stage::reacting("genesy", |_| Reaction::Raw(ANSWER)) else { return };
    let browser = &stage.browser;
    let url = format!("{}?q=%3Cscript%3E'\"<script>window.hit=8</script>", stage.receiver.url("/</code><script>"));
    let page = stage.webhook(SCRIPT, json!({
        "url": url, "description": SCRIPT, "retryPolicy": { "delays": ["1h"] }, "customFields": [SCRIPT], "campaignIds": [SCRIPT]
    }));
    let data =
        json!({ "campaign": { "id": SCRIPT, "name": SCRIPT }, "contact": { "id": SCRIPT, "firstName": SCRIPT } });
    stage.client.post("/v1/events", &json!({ "id": "evil", "type": stage.a_type(), "data": data })).expect(202);
    let delivery = stage.wait_for_delivery("evil", "pending");
    crate::soon("the first attempt", || (stage.receiver.count() == 1).then_some(()));

    let pages = [
        ("/".to_owned(), SCRIPT),
        (page.clone(), SCRIPT),
        (format!("{page}/edit"), "Edit webhook"),
        (format!("{page}/replay"), SCRIPT),
        (format!("{page}/delete"), SCRIPT),
        (format!("/dashboard/deliveries/{delivery}"), "window.hit=1"),
        ("/dashboard/deliveries".to_owned(), "evil"),
        ("/dashboard/events/evil".to_owned(), "window.hit=1"),
        ("/dashboard/events?id=%3Cscript%3Ewindow.hit=9%3C/script%3E".to_owned(), "Events"),
        (
            format!(
                "/dashboard/events?campaignId={}",
                form_urlencoded::byte_serialize(SCRIPT.as_bytes()).collect::<String>()
            ),
            SCRIPT,
        ),
        ("/dashboard/deliveries?status=%3Cscript%3Ewindow.hit=10%3C/script%3E".to_owned(), "status"),
        ("/dashboard/webhooks/%3Cscript%3E".to_owned(), "not"),
    ];
    for (path, words) in pages {
        browser.go(&path);
        browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })", &[]);
        assert!(browser.text().contains(words), "{words} on {path}:\n{}", browser.text());
        is_harmless(&stage, &path);
    }
    browser.go(&page);
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })", &[]);
    browser.wait_for("window.hit=5");
    browser.press("Send test");
    browser.wait_for("Test of");
    browser.wait_for("window.hit=4");
    is_harmless(&stage, "the test");
}

/// Nothing has run, and nothing that could has been made of it.
fn is_harmless(stage: &Stage, place: &str) {
    let browser = &stage.browser;
    assert_eq!(browser.run("return window.hit ?? null", &[]), serde_json::Value::Null, "something ran on {place}");
    let foreign = "return [...document.querySelectorAll('script, iframe, img, svg[onload], [onerror], main b')]
        .filter((element) => element.getAttribute('src') !== '/dashboard/live.js').map((element) => element.outerHTML)";
    assert_eq!(browser.run(foreign, &[]), json!([]), "{place}");
    assert_eq!(browser.dialog(), None, "{place}");
}
