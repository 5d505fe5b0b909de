//! Paths, query strings and cursors of every list. A page is no longer than it was asked to be; a cursor is of one list, and reads as one text
//! only.

use postrider_engine::{ListName, read_cursor};

use crate::choice;
use crate::world::ask;

const PATHS: [&str; 12] = [
    "/v1/webhooks?",
    "/v1/events?",
    "/v1/deliveries?",
    "/v1/webhooks/1/logs?",
    "/v1/event-types?",
    "/v1/events/e/explain?",
    "/v1/events/",
    "/v1/",
    "/v1/webhooks/1/health?",
    "/v1/deliveries/",
    "/v1/replays/",
    "/v1/webhooks/",
];
const LISTS: [ListName; 8] = [
    ListName::Deliveries,
    ListName::Events,
    ListName::Keys,
    ListName::Logs,
    ListName::Types,
    ListName::Webhooks,
    ListName::Workspaces,
    ListName::Explanations,
];

pub fn run(bytes: &[u8]) {
    let Some((choice, text)) = choice(bytes) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    cursors(text);
    let path = format!("{}{text}", PATHS[(choice >> 2) % PATHS.len()]);
    if path.starts_with("/v1/live") {
        // It has no end.
        return;
    }
    let answer = ask((choice & 3) % 3, "GET", &path, &[], Vec::new());
    let page = answer.body["data"].as_array().map(Vec::len);
    if let (Some(len), Some(size)) = (page, answer.body["meta"]["pageSize"].as_u64()) {
        assert!(len as u64 <= size && size <= 200, "{}", answer.body["meta"]);
    }
}

fn cursors(text: &str) {
    let mut lists = LISTS.iter().filter_map(|list| Some((*list, read_cursor(*list, text).ok()?)));
    if let Some((list, (major, minor))) = lists.next() {
        assert_eq!(format!("{}{major:016x}{minor:08x}", char::from(list as u8)), text);
        assert!(lists.next().is_none(), "a cursor is of one list");
    }
}
