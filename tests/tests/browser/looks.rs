//! How every page looks: pictures in light and dark, wide and on a phone; nothing to be scrolled sideways; no serious finding of axe.

use std::io::Write;

use postrider_tests::{Reaction, Request};
use serde_json::{Value, json};

use crate::Stage;
use crate::driver::{self, Browser, soon};

/// What each webhook's receiver does, by the path.
fn react(request: &Request) -> Reaction {
    match &*request.path {
        "/crm" => Reaction::Status(200),
        "/slow" => Reaction::Slow(200, std::time::Duration::from_millis(120)),
        "/flaky" if request.header("postrider-attempt") == "1" => Reaction::Status(502),
        "/flaky" => Reaction::Status(200),
        _ => Reaction::Raw(
            "HTTP/1.1 503 X\r\ncontent-length: 29\r\nconnection: close\r\n\r\n{\"error\":\"try again later :(\"}",
        ),
    }
}

/// A workspace in which there is something to see on every page.
fn stage() -> Option<Stage> {
    let stage = Stage::reacting("genesy", react)?;
    let types = ["EMAIL_SENT", "MESSAGE_REPLIED", "CONNECTION_REQUEST_SENT", "POST_LIKED"];
    for (name, path, delays) in [
        ("CRM of the sales team", "/crm", json!(["30s"])),
        ("Data warehouse", "/slow", json!(["30s"])),
        ("Enrichment", "/flaky", json!(["300ms", "5m"])),
        ("Partner that is down", "/down", json!(["100ms", "12h", "36h", "48h"])),
        ("Old integration", "/crm", json!(["1s"])),
    ] {
        let more = json!({ "url": stage.receiver.url(path), "events": types, "retryPolicy": { "delays": delays }, "secret": "a-long-secret",
            "description": if path == "/down" { "They move to another provider until March." } else { "" },
            "enabled": name != "Old integration" });
        stage.webhook(name, more);
    }
    let events: Vec<Value> = (0..120).map(|n| {
        let data = json!({ "campaign": { "id": 7 + n % 3, "name": "Spring" }, "contact": { "id": n, "firstName": "Ada", "lastName": "Lovelace",
            "email": "ada@example.com" }, "message": { "channel": "EMAIL", "text": "Hello Ada,\nwould Thursday suit you?" } });
        json!({ "id": format!("evt-{n:03}"), "type": types[n % 4], "data": data })
    }).collect();
    stage.client.post("/v1/events", &json!(events)).expect(202);
    // 120 each to two, twice 120 to the flaky one and to the one that is down.
    soon("all attempts that come soon", || (stage.receiver.count() >= 720).then_some(()));
    Some(stage)
}

/// Every page that a member sees, by the name of its picture.
fn pages(stage: &Stage) -> Vec<(&'static str, String)> {
    let list = stage.client.get("/v1/webhooks").expect(200);
    let id_of = |name: &str| {
        let found = list.data().as_array().unwrap().iter().find(|webhook| webhook["name"] == name);
        found.unwrap()["id"].to_string()
    };
    let down = format!("/dashboard/webhooks/{}", id_of("Partner that is down"));
    let delivery = stage.wait_for_delivery("evt-003", "pending");
    let since = json!({ "since": "2020-01-01T00:00:00Z", "only": "all" });
    let replay = stage.client.post(&format!("/v1/webhooks/{}/replay", id_of("Data warehouse")), &since).expect(202);
    let replay = replay.data()["replayId"].as_str().unwrap().to_owned();
    vec![
        ("webhooks", "/".to_owned()),
        ("overview", "/dashboard/overview".to_owned()),
        ("webhook", down.clone()),
        ("webhook-refused-filter", format!("{down}?statusCode=x")),
        ("webhook-new", "/dashboard/webhooks/new".to_owned()),
        ("webhook-edit", format!("{down}/edit")),
        ("webhook-delete", format!("{down}/delete")),
        ("replay-form", format!("{down}/replay")),
        ("replay", format!("/dashboard/replays/{replay}")),
        ("deliveries", "/dashboard/deliveries".to_owned()),
        ("delivery", format!("/dashboard/deliveries/{delivery}")),
        ("events", "/dashboard/events".to_owned()),
        ("event", "/dashboard/events/evt-003".to_owned()),
        ("not-found", "/dashboard/events/nothing".to_owned()),
    ]
}

#[test]
fn every_page_can_be_looked_at_read_aloud_and_held_in_one_hand() {
    let Some(stage) = stage() else { return };
    let mut faults = Vec::new();
    for (name, path) in pages(&stage) {
        look(&stage.browser, name, &path, &mut faults);
    }
    let browser = &stage.browser;
    browser.go("/");
    browser.press("Sign out");
    browser.wait_for("Sign in");
    look(browser, "sign-in", "/", &mut faults);
    browser.sign_in(stage.server.admin().key());
    look(browser, "admin", "/", &mut faults);
    let workspace = browser.run("return document.querySelector('main table a').getAttribute('href')", &[]);
    let workspace = workspace.as_str().unwrap();
    look(browser, "admin-server", "/dashboard/server", &mut faults);
    look(browser, "admin-workspace", workspace, &mut faults);
    look(browser, "admin-workspace-delete", &format!("{workspace}/delete"), &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn look(browser: &Browser, name: &str, path: &str, faults: &mut Vec<String>) {
    browser.widen(1280);
    browser.go(path);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.picture(&format!("{name}-{scheme}"));
        faults.extend(findings(browser).into_iter().map(|finding| format!("{name}, {scheme}: {finding}")));
    }
    browser.widen(390);
    browser.prefer("light");
    // What is folded is there, too.
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })", &[]);
    browser.picture(&format!("{name}-phone"));
    let width = browser.run("return document.documentElement.scrollWidth", &[]).as_u64().unwrap();
    if width > 390 {
        let wide = browser.run("return [...document.querySelectorAll('main *')].filter((element) => element.getBoundingClientRect().right > 391)
            .slice(0, 3).map((element) => element.outerHTML.slice(0, 120)).join(' ; ')", &[]);
        faults.push(format!("{name}: {width} pixels wide on a phone: {wide}"));
    }
    faults.extend(findings(browser).into_iter().map(|finding| format!("{name}, phone: {finding}")));
}

/// The checker's program, whichever version of it is there.
fn axe() -> Option<String> {
    let is_axe = |name: &str| name.starts_with("axe-") && name.ends_with(".min.js");
    let mut files = std::fs::read_dir(driver::output()).ok()?.flatten();
    let found = files.find(|file| file.file_name().to_str().is_some_and(is_axe))?;
    std::fs::read_to_string(found.path()).ok()
}

/// What axe finds that is serious or worse.
fn findings(browser: &Browser) -> Vec<String> {
    let Some(axe) = axe() else {
        assert_ne!(std::env::var("POSTRIDER_BROWSER").as_deref(), Ok("must"), "axe-core is not there");
        static SAID: std::sync::Once = std::sync::Once::new();
        let words = "SKIPPED: the accessibility check: axe-core is not there; `make browser` installs it";
        SAID.call_once(|| drop(writeln!(std::io::stderr(), "{words}")));
        return Vec::new();
    };
    browser.run(&format!("if (!window.axe) {{ {axe} }}"), &[]);
    let found = browser.run(
        "return axe.run().then((found) => found.passes.length < 10 ? ['it has looked at nothing'] : found.violations.filter((rule) => ['serious', 'critical'].includes(rule.impact))
            .flatMap((rule) => rule.nodes.slice(0, 3).map((node) => `${rule.id}: ${node.failureSummary.replaceAll('\\n', ' ')} ${node.html.slice(0, 200)}`)))",
        &[],
    );
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
