//! The overview: figures, plots, what is pending by tier, the calendar, the worst webhooks.

use postrider_tests::Reaction;
use serde_json::json;

use crate::Stage;

#[test]
fn figures_plots_calendar_and_the_worst_webhooks_are_there_and_follow() {
    let react = |request: &postrider_tests::Request| Reaction::Status(if request.path == "/down" { 503 } else { 200 });
    let Some(stage) = Stage::reacting("genesy", react) else { return };
    let browser = &stage.browser;
    browser.press("Overview");
    browser.wait_for("Nothing is pending.");
    browser.wait_for("No attempt is planned.");
    browser.wait_for("None has failed in the last hour");

    let delays = json!({ "retryPolicy": { "delays": ["12h", "30h"] } });
    let mut down = delays.clone();
    down["url"] = stage.receiver.url("/down").into();
    let bad = stage.webhook("The one that is down", down);
    stage.webhook("The one that works", delays);
    let events: Vec<_> =
        (0..30).map(|n| json!({ "id": format!("e{n}"), "type": stage.a_type(), "data": {} })).collect();
    // The page is not loaded again.
    browser.run("window.stillHere = true", &[]);
    stage.client.post("/v1/events", &json!(events)).expect(202);
    let told = |title: &str| {
        let script = "const figure = [...document.querySelectorAll('figure')].find((figure) => figure.innerText.includes(arguments[0]));
            return figure?.querySelector('[role=img]').getAttribute('aria-label') ?? ''";
        browser.run(script, &[title.into()]).as_str().unwrap().to_owned()
    };
    browser.wait("all attempts", || {
        (told("Attempts and events") == "60 attempts, 30 of them succeeded; 30 events").then_some(())
    });
    assert!(told("Attempts by the quarter").starts_with("60 attempts, 30 of them succeeded"));
    assert!(told("How long attempts took, by the minute").contains("p99"));
    assert!(
        told("By the hour, for a week").starts_with("30 attempts within a week, in 1 different hours"),
        "{}",
        told("By the hour")
    );
    let text = browser.text();
    for words in
        ["Success, 1 h\n50 %", "Pending\n30", "Due or in flight\n0", "Webhooks on\n2 of 2", "The one that is down"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!browser.text_of("#figures").contains("The one that works"), "it has not failed");
    assert_eq!(browser.run("return window.stillHere", &[]), true, "it follows by itself");
    browser.press("As a table");
    assert_eq!(browser.run("return [...document.querySelectorAll('details td')].at(-1).innerText", &[]), "30");

    // What is read from the store is there once the page is loaded anew, and stays as it is while the rest follows.
    assert_eq!(told("Attempts by the hour, for a week"), "");
    browser.go("/dashboard/overview");
    for title in ["Attempts by the hour, for a week", "Attempts by the day, for a month"] {
        assert_eq!(told(title), "60 attempts, 30 of them succeeded");
    }
    browser.press("Days as a table");
    let days = "return [...document.querySelectorAll('#history details[open] td[data-label=Failed]')].map((td) => Number(td.innerText))";
    let failed = browser.run(days, &[]).as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!(failed, 30);

    // The same numbers on the first page and on the webhook's own.
    browser.go("/");
    let spark = "return [...document.querySelectorAll('.spark')].map((spark) => spark.getAttribute('aria-label'))";
    assert_eq!(browser.run(spark, &[]), json!(["30 attempts, 0 failed", "30 attempts, 30 failed"]));
    browser.go(&bad);
    browser.wait("the plots", || (told("Attempts by the minute") == "30 attempts, 0 of them succeeded").then_some(()));

    // Off: it waits, and stands in no hour.
    browser.follow("Switch off");
    browser.follow("Overview");
    browser.wait_for("30 of them wait because their webhook is off.");
    browser.wait_for("No attempt is planned.");
}
