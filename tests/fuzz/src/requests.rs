//! JSON bodies of everything but publishing: webhooks, replays, retries, workspaces, keys. A webhook that was made reads as it was answered, and
//! its secrets are in no later answer.

use crate::choice;
use crate::world::{AS_ADMIN, JSON, ask};

const ROUTES: [(&str, &str); 10] = [
    ("POST", "/v1/webhooks"),
    ("PATCH", "/v1/webhooks/1"),
    ("POST", "/v1/webhooks/1/replay"),
    ("POST", "/v1/webhooks/3/rotate-secret"),
    ("POST", "/v1/deliveries/dlv_00000000500000000/retry"),
    ("POST", "/v1/replays/rpl_0000000000020/pause"),
    ("POST", "/v1/workspaces"),
    ("PATCH", "/v1/workspaces/ws_0000000020000"),
    ("POST", "/v1/workspaces/ws_0000000020000/keys"),
    // Unknown, so that nothing is sent.
    ("POST", "/v1/webhooks/9007199254740991/test"),
];

pub fn run(bytes: &[u8]) {
    let Some((choice, body)) = choice(bytes) else { return };
    let (method, path) = ROUTES[(choice >> 2) % ROUTES.len()];
    let who = if path.starts_with("/v1/workspaces") { AS_ADMIN } else { (choice & 3) % 3 };
    let answer = ask(who, method, path, &[JSON], body.to_vec());
    if answer.status == 201 && path == "/v1/webhooks" {
        let made = &answer.body["data"];
        let path = format!("/v1/webhooks/{}", made["id"].as_u64().expect("an id"));
        let read = ask(who, "GET", &path, &[], Vec::new());
        for member in ["name", "url", "events", "campaignIds", "customFields", "retryPolicy", "timeoutMs", "hasSecret"]
        {
            assert_eq!(read.body["data"][member], made[member], "{member}");
        }
        assert!(read.body["data"]["signingSecret"].is_null());
        assert!(read.body["data"]["secret"].is_null());
        // Only a few stay.
        assert_eq!(ask(who, "DELETE", &path, &[], Vec::new()).status, 204);
    }
}
