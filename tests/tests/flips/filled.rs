//! A server that has something of everything in its log.

use std::time::Duration;

use postrider_tests::{Client, Reaction, Receiver, Server, within};
use serde_json::{Value, json};

/// A server with some of everything that can be in a folder, and nothing that falls due within the hour.
pub fn fill(server: &Server, receiver: &Receiver) -> (Client, Client) {
    let (genesy, snaily) = (server.workspace("genesy"), server.workspace("snaily"));
    let hook = |name: &str, path: &str, policy: Value| {
        json!({ "name": name, "url": receiver.url(path), "events": ["EMAIL_SENT"], "secret": "correct horse",
                "headers": { "X-Team": "sales" }, "customFields": ["industry"], "retryPolicy": { "delays": policy } })
    };
    let up = genesy.post("/v1/webhooks", &hook("up", "/up", json!(["1h"]))).expect(201).data()["id"].clone();
    genesy.post("/v1/webhooks", &hook("down", "/down", json!(["1h"]))).expect(201);
    genesy.post("/v1/webhooks", &hook("gone", "/down", json!(["10ms", "10ms"]))).expect(201);
    let url = receiver.url("/down");
    let down = json!({ "url": url, "events": ["contact.replied"], "secret": "hunter2hunter2" });
    snaily.post("/v1/webhooks", &down).expect(201);
    for n in 0..20 {
        let contact =
            json!({ "id": n, "fullName": "Ada Lovelace, Countess", "industry": "looms", "note": "x".repeat(n * 40) });
        publish(&genesy, &format!("e{n}"), "EMAIL_SENT", &json!({ "contact": contact }));
    }
    let types = snaily.get("/v1/event-types").expect(200);
    let sample = types.data().as_array().unwrap().iter().find(|t| t["name"] == "contact.replied").unwrap();
    (0..4).for_each(|n| publish(&snaily, &format!("s{n}"), "contact.replied", &sample["sample"]));

    genesy.patch(&format!("/v1/webhooks/{up}"), &json!({ "description": "of the sales team" })).expect(200);
    genesy.post(&format!("/v1/webhooks/{up}/test"), &json!({ "eventType": "EMAIL_SENT" }));
    let total = |client: &Client, query: &str| {
        let found = client.get(&format!("/v1/deliveries?pageSize=1&{query}")).expect(200);
        found.body["meta"]["total"].as_u64().unwrap()
    };
    within(Duration::from_secs(20), "what succeeds has, what fails to the end has, and the rest sleeps", || {
        let is_settled = total(&genesy, "status=succeeded") == 20 && total(&genesy, "status=exhausted") == 20;
        // Each of the others is filed once before it sleeps.
        (is_settled && receiver.count() >= 20 + 20 + 60 + 4).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    genesy.delete("/v1/events/e7").expect(204);
    snaily.delete("/v1/events/s1").expect(204);
    (genesy, snaily)
}

pub fn publish(client: &Client, id: &str, event_type: &str, data: &Value) {
    client.post("/v1/events", &json!({ "id": id, "type": event_type, "data": data })).expect(202);
}

pub fn receiver() -> Receiver {
    Receiver::reacting(|request| match &*request.path {
        "/up" => Reaction::Status(200),
        _ => Reaction::Raw("HTTP/1.1 500 X\r\ncontent-length: 42\r\n\r\nwhat the receiver said about what it was sent"),
    })
}
