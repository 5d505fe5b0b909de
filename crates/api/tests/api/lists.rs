//! Pages, by number and by cursor.

use serde_json::json;

use crate::support::{ADMIN, World, event};

#[tokio::test]
async fn every_list_is_newest_first_and_its_pages_join() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    for n in 0..5 {
        world.webhook(&key, &format!("https://example.com/{n}")).await;
    }
    let first = world.get(&key, "/v1/webhooks?pageSize=2").await.json();
    assert_eq!(first["meta"]["page"], 1);
    assert_eq!(first["meta"]["pageSize"], 2);
    assert_eq!(first["meta"]["total"], 5);
    assert!(first["meta"].get("totalIsCapped").is_none());
    assert_eq!(first["data"][0]["url"], "https://example.com/4");
    let third = world.get(&key, "/v1/webhooks?pageSize=2&page=3").await.json();
    assert_eq!(third["data"][0]["url"], "https://example.com/0");
    assert_eq!(third["meta"]["nextCursor"], json!(null));

    let mut seen = Vec::new();
    let mut path = "/v1/webhooks?pageSize=2".to_owned();
    loop {
        let page = world.get(&key, &path).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|hook| hook["id"].as_u64().unwrap()));
        let Some(cursor) = page["meta"]["nextCursor"].as_str() else {
            break;
        };
        path = format!("/v1/webhooks?pageSize=2&cursor={cursor}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn events_and_deliveries_page_by_cursor() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    world.webhook(&key, "https://example.com/").await;
    let events: Vec<_> = (0..7).map(|n| event(&format!("e{n}"))).collect();
    assert_eq!(world.post(&key, "/v1/events", json!(events)).await.status, 202);
    for (list, id) in [("events", "id"), ("deliveries", "eventId")] {
        let mut seen = Vec::new();
        let mut path = format!("/v1/{list}?pageSize=3");
        loop {
            let page = world.get(&key, &path).await.json();
            assert_eq!(page["meta"]["total"], 7);
            seen.extend(page["data"].as_array().unwrap().iter().map(|one| one[id].as_str().unwrap().to_owned()));
            let Some(cursor) = page["meta"]["nextCursor"].as_str() else {
                break;
            };
            path = format!("/v1/{list}?pageSize=3&cursor={cursor}");
        }
        assert_eq!(seen, ["e6", "e5", "e4", "e3", "e2", "e1", "e0"], "{list}");
    }
}

#[tokio::test]
async fn nothing_is_clamped() {
    let world = World::new();
    let (id, key) = world.workspace("genesy").await;
    let keys = format!("/v1/workspaces/{id}/keys");
    for (query, field) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("page=%2B1", "page"),
        ("page=", "page"),
        ("page=99999999999999999999", "page"),
        ("pageSize=0", "pageSize"),
        ("pageSize=201", "pageSize"),
        ("page=51&pageSize=200", "page"),
        ("page=201", "page"),
        ("cursor=x", "cursor"),
        ("limit=5", "limit"),
    ] {
        for (key, list) in [
            (&*key, "/v1/webhooks"),
            (&*key, "/v1/events"),
            (&*key, "/v1/deliveries"),
            (&*key, "/v1/event-types"),
            (ADMIN, "/v1/workspaces"),
            (ADMIN, &keys),
        ] {
            let answer = world.get(key, &format!("{list}?{query}")).await;
            assert_eq!(answer.status, 422, "{list}?{query}");
            assert_eq!(answer.fields(), [field], "{list}?{query}");
        }
    }
    assert_eq!(world.get(&key, "/v1/events?page=50&pageSize=200").await.status, 200);
}

#[tokio::test]
async fn a_cursor_is_of_one_list() {
    let world = World::new();
    let (id, key) = world.workspace("genesy").await;
    let keys = format!("/v1/workspaces/{id}/keys");
    let lists = [
        (&*key, "/v1/webhooks", 'w'),
        (&*key, "/v1/events", 'e'),
        (&*key, "/v1/deliveries", 'd'),
        (&*key, "/v1/event-types", 't'),
        (ADMIN, "/v1/workspaces", 's'),
        (ADMIN, &*keys, 'k'),
    ];
    for (key, list, own) in lists {
        for (_, _, letter) in lists {
            let cursor = format!("{letter}000000000000000000000000");
            let answer = world.get(key, &format!("{list}?cursor={cursor}")).await;
            assert_eq!(answer.status, if letter == own { 200 } else { 422 }, "{list} {cursor}");
            let answer = world.get(key, &format!("{list}?page=1&cursor={cursor}")).await;
            assert_eq!(answer.status, 422, "{list} {cursor}");
            assert!(answer.fields().contains(&"page".into()), "{list} {cursor}");
        }
    }
}

#[tokio::test]
async fn the_catalogue_shows_schemas_and_samples_as_json() {
    let world = World::new();
    for (profile, types) in [("genesy", 8), ("snaily", 3)] {
        let (_, key) = world.workspace(profile).await;
        let list = world.get(&key, "/v1/event-types").await.json();
        assert_eq!(list["meta"]["total"], types);
        for entry in list["data"].as_array().unwrap() {
            assert!(entry["name"].is_string() && entry["displayName"].is_string() && entry["description"].is_string());
            assert!(entry["schema"].is_object() && entry["sample"].is_object());
        }
    }
    let (_, key) = world.workspace("genesy").await;
    let list = world.get(&key, "/v1/event-types").await.data();
    assert_eq!(list[0]["name"], "CONNECTION_REQUEST_SENT");
    let egress = world.get(&key, "/v1/egress").await;
    assert_eq!(egress.data(), json!({"addresses": ["203.0.113.7"]}));
}
