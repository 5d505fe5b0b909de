//! The dashboard in a real Chromium, used as people use it: words are read, labels and buttons looked for, keys pressed.
//!
//! Without Chromium on the machine all of it is skipped, and says so; `make browser` installs what it needs and refuses to skip. Pictures of
//! every page are left in `target/browser`, to be looked at.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod admin;
mod driver;
mod hostile;
mod looks;
mod one_webhook;
mod overview;
mod plain;
mod sign_in;
mod story;
mod webhook_forms;

use driver::{Browser, soon};
use postrider_tests::{Client, Reaction, Receiver, Request, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server with one workspace, a receiver, and a browser that is signed in with the workspace's key.
struct Stage {
    // The window goes before the server that it shows.
    browser: Browser,
    server: Server,
    client: Client,
    receiver: Receiver,
    _folder: TempDir,
}

impl Stage {
    /// `None` where there is no browser.
    fn reacting(profile: &str, react: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> Option<Stage> {
        driver::tools()?;
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let client = server.workspace(profile);
        let browser = Browser::open(&server)?;
        browser.sign_in(client.key());
        Some(Stage { browser, server, client, receiver: Receiver::reacting(react), _folder: folder })
    }

    fn answering(profile: &str, status: u16) -> Option<Stage> {
        Stage::reacting(profile, move |_| Reaction::Status(status))
    }

    /// A webhook to the receiver, with more members; the path of its page.
    fn webhook(&self, name: &str, more: Value) -> String {
        let mut webhook = json!({ "name": name, "url": self.receiver.url("/hook"), "events": [self.a_type()] });
        for (name, value) in more.as_object().unwrap() {
            webhook[name] = value.clone();
        }
        format!("/dashboard/webhooks/{}", self.client.post("/v1/webhooks", &webhook).expect(201).data()["id"])
    }

    /// The first type of the workspace's catalogue, if it has one.
    fn a_type(&self) -> String {
        let types = self.client.get("/v1/event-types").expect(200);
        types.data()[0]["name"].as_str().unwrap_or("order.paid").to_owned()
    }

    /// Publishes an event with the sample of its type as data.
    fn publish(&self, id: &str) {
        let types = self.client.get("/v1/event-types").expect(200);
        let sample = types.data()[0]["sample"].clone();
        let data = if sample.is_object() {
            sample["data"].as_object().map_or(sample.clone(), |data| json!(data))
        } else {
            json!({})
        };
        self.client.post("/v1/events", &json!({ "id": id, "type": self.a_type(), "data": data })).expect(202);
    }

    /// The one delivery of an event, once it has this status.
    fn wait_for_delivery(&self, event: &str, status: &str) -> String {
        soon(&format!("{event} {status}"), || {
            let list = self.client.get(&format!("/v1/deliveries?status={status}&pageSize=200")).expect(200);
            let found = list.data().as_array().unwrap().iter().find(|delivery| delivery["eventId"] == event)?;
            Some(found["id"].as_str().unwrap().to_owned())
        })
    }
}
