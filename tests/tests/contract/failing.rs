//! A webhook that fails for long is switched off by the server, which says so, and comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider_tests::{Reaction, Receiver, Request, Server, within};
use serde_json::{Value, json};

use crate::email;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn it_is_told_to_the_operator_shown_to_its_owner_and_over_when_the_receiver_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--failing-warn-after", "1s", "--failing-off-after", "2s", "--failing-probe-every", "1s"];
    let server = Server::start_with(folder.path(), &options, &[]);
    let pager = Receiver::answering(200);
    let types = ["webhook.failing", "webhook.switched_off", "webhook.switched_on"];
    let told = json!({ "name": "pager", "url": pager.url("/"), "events": types });
    server.workspace("operator").post("/v1/webhooks", &told).expect(201);

    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let receiver =
        Receiver::reacting(move |_: &Request| Reaction::Status(if down.load(Ordering::SeqCst) { 500 } else { 200 }));
    let customer = server.workspace("genesy");
    let policy = json!({ "delays": vec!["200ms"; 64] });
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "retryPolicy": policy });
    let made = customer.post("/v1/webhooks", &webhook).expect(201);
    assert_eq!((&made.data()["enabled"], &made.data()["failingSince"]), (&json!(true), &Value::Null));
    let path = format!("/v1/webhooks/{}", made.data()["id"]);
    customer.post("/v1/events", &email("e1")).expect(202);

    let off = within(LIMIT, "it is switched off", || {
        let now = customer.get(&path).expect(200).data().clone();
        (now["enabled"] == false).then_some(now)
    });
    let first = customer.get(&format!("{path}/logs?pageSize=200")).expect(200).body["data"].as_array().unwrap().clone();
    assert_eq!(off["failingSince"], first.last().unwrap()["createdAt"], "since its first failure");
    let page = customer.get("/v1/deliveries").expect(200);
    assert_eq!(page.body["data"][0]["status"], "pending", "what is pending waits");
    assert_eq!(customer.post("/v1/events", &email("e2")).expect(202).data()["deliveries"], 0);
    let explained = customer.get("/v1/events/e2/explain").expect(200);
    assert_eq!(explained.data()[0]["code"], "webhook_off", "{}", explained.text);

    is_down.store(false, Ordering::SeqCst);
    within(LIMIT, "it is switched on", || {
        let now = customer.get(&path).expect(200).data().clone();
        (now["enabled"] == true && now["failingSince"].is_null()).then_some(())
    });
    let notices = within(LIMIT, "the operator knows all of it", || {
        let notices: Vec<Value> =
            pager.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
        (notices.len() == 3).then_some(notices)
    });
    let named: Vec<_> = notices.iter().map(|notice| notice["type"].as_str().unwrap()).collect();
    assert_eq!(named, types);
    for notice in &notices {
        assert_eq!(notice["data"]["webhook"], json!({ "id": made.data()["id"], "name": "crm" }));
    }
    assert_eq!(notices[1]["data"]["failingSince"], off["failingSince"]);
    assert!(pager.requests()[0].header("webhook-signature").starts_with("v1,"), "as Standard Webhooks");
}

#[test]
fn what_its_owner_decides_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--failing-off-after", "1s", "--failing-probe-every", "1h"];
    let server = Server::start_with(folder.path(), &options, &[]);
    let receiver = Receiver::answering(503);
    let customer = server.workspace("genesy");
    let policy = json!({ "delays": vec!["100ms"; 64] });
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "retryPolicy": policy });
    let path = format!("/v1/webhooks/{}", customer.post("/v1/webhooks", &webhook).expect(201).data()["id"]);
    customer.post("/v1/events", &email("e1")).expect(202);
    within(LIMIT, "it is switched off", || {
        (customer.get(&path).expect(200).data()["failingSince"].is_string()).then_some(())
    });
    let settled = within(LIMIT, "what was in flight has ended", || {
        let before = receiver.count();
        std::thread::sleep(Duration::from_millis(300));
        (receiver.count() == before).then_some(before)
    });
    let renamed = customer.patch(&path, &json!({ "name": "CRM" })).expect(200);
    assert!(renamed.data()["failingSince"].is_string(), "another name is no decision");
    within(LIMIT, "it is tried, since it was changed", || (receiver.count() == settled + 1).then_some(()));
    let off = customer.patch(&path, &json!({ "enabled": false })).expect(200);
    assert_eq!((&off.data()["enabled"], &off.data()["failingSince"]), (&json!(false), &Value::Null));
    let on = customer.patch(&path, &json!({ "enabled": true })).expect(200);
    assert_eq!((&on.data()["enabled"], &on.data()["failingSince"]), (&json!(true), &Value::Null));
    within(LIMIT, "what waits goes out", || (receiver.count() > settled + 1).then_some(()));
}

#[test]
fn one_that_is_off_under_a_shorter_limit_than_todays_is_still_seen() {
    let folder = tempfile::tempdir().unwrap();
    let start = |limit| {
        let options = ["--failing-off-after", limit, "--failing-probe-every", "1s"];
        Server::start_with(folder.path(), &options, &[])
    };
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let receiver =
        Receiver::reacting(move |_: &Request| Reaction::Status(if down.load(Ordering::SeqCst) { 500 } else { 200 }));
    let server = start("1s");
    let customer = server.workspace("genesy");
    let policy = json!({ "delays": vec!["200ms"; 64] });
    let webhook = json!({ "name": "crm", "url": receiver.url("/"), "events": ["EMAIL_SENT"], "retryPolicy": policy });
    let path = format!("/v1/webhooks/{}", customer.post("/v1/webhooks", &webhook).expect(201).data()["id"]);
    customer.post("/v1/events", &email("e1")).expect(202);
    let is_on = |customer: &postrider_tests::Client| customer.get(&path).expect(200).data()["enabled"] == true;
    within(LIMIT, "it is switched off", || (!is_on(&customer)).then_some(()));
    assert!(server.terminate().success());

    // So far it has failed for a few seconds.
    let server = start("40s");
    let customer = server.client(customer.key());
    let pager = Receiver::answering(200);
    let told =
        json!({ "name": "pager", "url": pager.url("/"), "events": ["webhook.switched_off", "webhook.switched_on"] });
    server.workspace("operator").post("/v1/webhooks", &told).expect(201);
    within(LIMIT, "an operator who is new hears that it is off", || (pager.count() == 1).then_some(()));
    is_down.store(false, Ordering::SeqCst);
    within(LIMIT, "and that it is back", || (pager.count() == 2).then_some(()));
    let told: Vec<Value> =
        pager.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    assert_eq!((&told[0]["type"], &told[1]["type"]), (&json!("webhook.switched_off"), &json!("webhook.switched_on")));
    assert!(is_on(&customer));
}
