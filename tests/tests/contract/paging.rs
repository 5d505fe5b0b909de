//! Deep pages: by cursor to the end of a long list each entry comes once, and the last page costs what the first did.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Stage;

const EVENTS: usize = 30_000;
const BATCH: usize = 5_000;
const PAGE: usize = 200;

#[test]
fn a_page_by_cursor_costs_the_same_at_any_depth() {
    let stage = Stage::new("genesy");
    for batch in 0..EVENTS / BATCH {
        let event = |n: usize| {
            let id = format!("e{}", batch * BATCH + n);
            json!({ "id": id, "type": "EMAIL_SENT", "data": { "contact": { "id": n } } }).to_string()
        };
        let lines: Vec<_> = (0..BATCH).map(event).collect();
        stage.client.post_raw("/v1/events", "application/x-ndjson", lines.join("\n").as_bytes()).expect(202);
    }
    // The store's next commit comes within a second: from then on what is older is read from there.
    std::thread::sleep(Duration::from_millis(2_500));

    let (mut seen, mut took, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let began = Instant::now();
        let page = stage.client.get(&format!("/v1/events?pageSize={PAGE}{cursor}")).expect(200).body;
        took.push(began.elapsed());
        assert_eq!((&page["meta"]["total"], &page["meta"]["totalIsCapped"]), (&json!(10_000), &json!(true)));
        let ids = page["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        match &page["meta"]["nextCursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    assert_eq!(seen.len(), EVENTS);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), EVENTS, "each once");
    assert!(seen.iter().rev().enumerate().all(|(n, id)| *id == format!("e{n}")), "newest first");
    assert_eq!(took.len(), EVENTS / PAGE);
    // Medians, on a machine that does other things as well.
    let median = |some: &[Duration]| {
        let mut some = some.to_vec();
        some.sort_unstable();
        some[some.len() / 2]
    };
    let (first, last) = (median(&took[1..31]), median(&took[took.len() - 30..]));
    assert!(last <= first * 3 + Duration::from_millis(5), "a page took {first:?} at first and {last:?} at last");
}
