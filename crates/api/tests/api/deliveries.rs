//! Deliveries, their attempts, tests and retries, with a receiver on this machine.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{World, event};

/// A receiver that gives one answer to everything; its URL.
async fn receiver(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                while matches!(stream.read(&mut request).await, Ok(n) if n > 0) {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-seen: 1\r\n\r\nfine";
const BAD: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";

/// The first delivery once it satisfies `until`.
async fn delivery(world: &World, key: &str, until: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let list = world.get(key, "/v1/deliveries").await.data();
        if until(&list[0]) {
            return list[0].clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the delivery did not get there in 5 s");
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_delivery_and_its_log_entry_show_what_happened() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    let url = receiver(GOOD).await;
    let settings = json!({"name": "h", "url": url, "events": ["POST_LIKED"], "secret": "correct horse", "headers": {"X-Own": "hidden"}});
    let hook = world.post(&key, "/v1/webhooks", settings).await.data()["id"].clone();
    world.post(&key, "/v1/events", event("e1")).await;
    let done = delivery(&world, &key, |d| d["status"] == "succeeded").await;
    assert_eq!(
        (&done["eventId"], &done["webhookId"], &done["attemptCount"], &done["nextAttemptAt"]),
        (&json!("e1"), &hook, &json!(1), &json!(null))
    );

    let logs =
        world.get(&key, &format!("/v1/webhooks/{hook}/logs?outcome=succeeded&statusCode=200&eventId=e1")).await.json();
    assert_eq!(logs["meta"]["total"], 1);
    let entry = &logs["data"][0];
    let mut names = members(entry);
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "attemptNumber",
            "createdAt",
            "deliveryId",
            "durationMs",
            "errorKind",
            "errorMessage",
            "eventId",
            "eventType",
            "id",
            "nextAttemptAt",
            "outcome",
            "responseBody",
            "statusCode",
            "test"
        ]
    );
    assert_eq!(
        (&entry["statusCode"], &entry["errorKind"], &entry["attemptNumber"], &entry["test"]),
        (&json!(200), &json!(null), &json!(1), &json!(false))
    );
    assert_eq!((&entry["deliveryId"], &entry["outcome"]), (&done["id"], &json!("succeeded")));
    assert_eq!(entry["responseBody"].as_str().map(|body| body.starts_with("fine")), Some(true));

    let shown = world.get(&key, &format!("/v1/deliveries/{}", done["id"].as_str().unwrap())).await;
    assert!(!shown.text.contains("correct horse") && !shown.text.contains("hidden"), "{}", shown.text);
    let attempt = &shown.data()["attempts"][0];
    assert_eq!(attempt["attemptNumber"], 1);
    let body: Value = serde_json::from_str(attempt["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["eventId"], "e1");
    assert_eq!(attempt["request"]["headers"]["postrider-event-id"], "e1");
}

#[tokio::test]
async fn a_retry_takes_the_next_attempt_now_and_a_webhook_that_is_off_refuses_it() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, &receiver(BAD).await).await;
    world.post(&key, "/v1/events", event("e1")).await;
    let failed = delivery(&world, &key, |d| d["attemptCount"] == 1).await;
    assert_eq!(failed["status"], "pending");
    assert!(failed["nextAttemptAt"].is_string());
    let path = format!("/v1/deliveries/{}/retry", failed["id"].as_str().unwrap());
    let retried = world.post(&key, &path, "").await;
    assert_eq!(retried.status, 202, "{}", retried.text);
    assert_eq!(retried.data()["id"], failed["id"]);
    delivery(&world, &key, |d| d["attemptCount"] == 2).await;
    let entry = world.get(&key, &format!("/v1/webhooks/{hook}/logs")).await.data()[0].clone();
    assert_eq!(
        (&entry["outcome"], &entry["errorKind"], &entry["statusCode"]),
        (&json!("retrying"), &json!("http_status"), &json!(503))
    );
    assert!(entry["errorMessage"].as_str().is_some_and(|m| m.starts_with("http_status")));
    assert!(entry["nextAttemptAt"].is_string());

    world.patch(&key, &format!("/v1/webhooks/{hook}"), json!({"enabled": false})).await;
    let off = world.post(&key, &path, "").await;
    assert_eq!((off.status.as_u16(), &*off.code()), (409, "conflict"));
    world.delete(&key, &format!("/v1/webhooks/{hook}")).await;
    assert_eq!(world.post(&key, &path, "").await.status, 409);
    let cancelled = world.get(&key, "/v1/deliveries?status=cancelled").await.json();
    assert_eq!(cancelled["meta"]["total"], 1);
    assert_eq!(cancelled["data"][0]["nextAttemptAt"], json!(null));
}

#[tokio::test]
async fn a_test_is_sent_at_once_also_when_the_webhook_is_off() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, &receiver(GOOD).await).await;
    let path = format!("/v1/webhooks/{hook}");
    world.patch(&key, &path, json!({"enabled": false, "secret": "correct horse"})).await;
    let test = format!("{path}/test");
    let bare = axum::http::Request::post(&test).header("x-api-key", &key).body(axum::body::Body::empty());
    let good = world.send(bare.unwrap()).await;
    assert_eq!(good.status, 200, "{}", good.text);
    assert!(!good.text.contains("correct horse"));
    let good = good.data();
    assert_eq!((&good["success"], &good["statusCode"], &good["errorKind"]), (&json!(true), &json!(200), &json!(null)));
    assert_eq!(good["response"]["headers"]["x-seen"], "1");
    assert!(good["request"]["body"].as_str().is_some_and(|body| body.contains("POST_LIKED")));

    let typed = world.post(&key, &test, json!({"eventType": "EMAIL_SENT"})).await.data();
    assert!(typed["request"]["body"].as_str().is_some_and(|body| body.contains("EMAIL_SENT")));
    for (body, field) in [(json!({"eventType": "NOPE"}), "eventType"), (json!({"x": 1}), "x"), (json!([]), "body")] {
        assert_eq!(world.post(&key, &test, body).await.fields(), [field]);
    }

    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
    world.patch(&key, &path, json!({"url": format!("http://{nobody}/")})).await;
    let failed = world.post(&key, &test, "{}").await;
    assert_eq!(failed.status, 200);
    let failed = failed.data();
    assert_eq!(
        (&failed["success"], &failed["statusCode"], &failed["response"], &failed["errorKind"]),
        (&json!(false), &json!(null), &json!(null), &json!("connect"))
    );

    let logs = world.get(&key, &format!("{path}/logs")).await.json();
    assert_eq!(logs["meta"]["total"], 3);
    let newest = &logs["data"][0];
    assert_eq!(
        (&newest["test"], &newest["outcome"], &newest["deliveryId"], &newest["responseBody"]),
        (&json!(true), &json!("failed"), &json!(null), &json!(null))
    );
    assert_eq!(world.get(&key, "/v1/deliveries").await.json()["meta"]["total"], 0);
}
