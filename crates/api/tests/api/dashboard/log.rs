//! Logs, deliveries and events as pages; whatever was published or answered is shown as text.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::browser::Browser;
use crate::support::{World, event, text};

const HOSTILE: &str = "<script>alert(1)</script>";

/// A receiver that answers everything so; its URL.
async fn receiver(status: u16, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 16 * 1024];
            let _ = stream.read(&mut request).await;
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// The one delivery of an event once it has had this many attempts.
async fn delivery(world: &World, key: &str, event: &str, attempts: u64) -> Value {
    for _ in 0..200 {
        let found = world.get(key, &format!("/v1/events/{event}")).await.data();
        let first = found["deliveries"][0].clone();
        if first["attemptCount"].as_u64() >= Some(attempts) {
            return first;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{event} was not attempted");
}

#[tokio::test]
async fn a_failure_is_found_explained_and_retried() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, &receiver(401, HOSTILE).await).await;
    world.patch(&key, &format!("/v1/webhooks/{hook}"), json!({"secret": "correct horse"})).await;
    let published =
        json!({"id": "e1", "type": "POST_LIKED", "data": {"campaign": {"id": HOSTILE}, "post": {"id": HOSTILE}}});
    assert_eq!(world.post(&key, "/v1/events", published).await.status, 202);
    let id = text(&delivery(&world, &key, "e1", 1).await["id"]);
    let browser = Browser::with_key(&world, &key).await;

    let log = browser
        .page(&format!("/dashboard/webhooks/{hook}?outcome=retrying&statusCode=401&eventType=&since=2020-01-01T00:00"))
        .await;
    for words in ["Verify X-Webhook-Secret header matches your secret", "&lt;script&gt;alert(1)", "http_status", &id] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let none = browser.page(&format!("/dashboard/webhooks/{hook}?outcome=succeeded")).await;
    assert!(none.contains("No attempts."));
    let page = browser.page(&format!("/dashboard/deliveries/{id}")).await;
    for words in ["x-webhook-secret: ***", "eventType", "Unknown webhook source", "Retry now", "postrider-attempt: 1"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let shown = browser.page("/dashboard/events/e1").await;
    for words in ["&lt;script&gt;alert(1)", "pending", "being delivered", &id] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for page in [&log, &page, &shown, &browser.page("/dashboard/events").await] {
        assert!(!page.contains("<script>") && !page.contains("correct horse"));
    }
    assert!(browser.page("/dashboard/deliveries?status=pending").await.contains(&id));
    let (_, page) = browser.do_form(&format!("/dashboard/deliveries/{id}/retry"), &[]).await;
    assert!(page.contains("The delivery is due now."));
    delivery(&world, &key, "e1", 2).await;
}

#[tokio::test]
async fn tables_name_webhooks_and_say_which_are_gone() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, &receiver(500, "").await).await;
    world.patch(&key, &format!("/v1/webhooks/{hook}"), json!({"name": "The <b>CRM</b>"})).await;
    world.post(&key, "/v1/events", event("e1")).await;
    delivery(&world, &key, "e1", 1).await;
    let browser = Browser::with_key(&world, &key).await;
    let link = format!("<a href=\"/dashboard/webhooks/{hook}\">The &lt;b&gt;CRM&lt;/b&gt;</a> <small>{hook}</small>");
    for path in ["/dashboard/deliveries", "/dashboard/events/e1"] {
        let page = browser.page(path).await;
        assert!(page.contains(&link), "{page}");
    }
    world.delete(&key, &format!("/v1/webhooks/{hook}")).await;
    let page = browser.page("/dashboard/deliveries").await;
    assert!(!page.contains("CRM") && page.contains("deleted") && page.contains("cancelled"), "{page}");
}

#[tokio::test]
async fn what_cannot_be_retried_is_refused_in_the_words_of_the_api() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    let hook = world.webhook(&key, &receiver(500, "").await).await;
    world.post(&key, "/v1/events", event("e1")).await;
    let id = text(&delivery(&world, &key, "e1", 1).await["id"]);
    world.patch(&key, &format!("/v1/webhooks/{hook}"), json!({"enabled": false})).await;
    let said = world.post(&key, &format!("/v1/deliveries/{id}/retry"), "").await;
    let browser = Browser::with_key(&world, &key).await;
    let answer = browser.submit(&format!("/dashboard/deliveries/{id}/retry"), &[]).await;
    assert_eq!((said.status.as_u16(), answer.status.as_u16()), (409, 409));
    assert!(answer.text.contains(said.json()["message"].as_str().unwrap()), "{}", answer.text);
}

#[tokio::test]
async fn events_are_searched_and_lists_go_on_by_cursor() {
    let world = World::new();
    let (_, key) = world.workspace("genesy").await;
    for n in 0..60 {
        let published = json!({"id": format!("e{n:02}"), "type": "POST_LIKED", "data": {"campaign": {"id": n % 2}}});
        assert_eq!(world.post(&key, "/v1/events", published).await.status, 202);
    }
    let browser = Browser::with_key(&world, &key).await;
    let first = browser.page("/dashboard/events").await;
    assert!(
        first.contains("60 events") && first.contains(">e59<") && first.contains(">e10<") && !first.contains(">e09<")
    );
    let (before, _) = first.split_once(r#"">Older</a>"#).expect("it goes on");
    let older = before.rsplit_once(r#"href=""#).unwrap().1.replace("&amp;", "&");
    let second = browser.page(&older).await;
    assert!(
        second.contains(">e09<") && second.contains(">e00<") && !second.contains(">e10<") && second.contains("Newest")
    );
    let one =
        browser.page("/dashboard/events?id=e07&eventType=POST_LIKED&campaignId=1&since=2020-01-01T00:00&until=").await;
    assert!(one.contains(">e07<") && one.contains("1 events"), "{one}");
    assert!(!browser.page("/dashboard/events?campaignId=1").await.contains(">e58<"));
    let wrong = browser.open("/dashboard/events?since=soon").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("must be an RFC 3339 time"));
}

#[tokio::test]
async fn the_script_gets_what_ends_in_the_workspace() {
    let world = World::local();
    let (_, key) = world.workspace("genesy").await;
    world.webhook(&key, &receiver(200, "").await).await;
    let browser = Browser::with_key(&world, &key).await;
    let request = axum::http::Request::builder().uri("/dashboard/live").header("cookie", &browser.cookie);
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(world.router.clone(), request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    world.post(&key, "/v1/events", event("e1")).await;
    let mut seen = String::new();
    while !seen.contains("event: attempt") {
        let frame = http_body_util::BodyExt::frame(&mut body);
        let frame =
            tokio::time::timeout(Duration::from_secs(5), frame).await.expect("in time").expect("no end").unwrap();
        seen.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    assert!(seen.contains(r#""eventId":"e1""#), "{seen}");
    // Once the session is over nothing more comes.
    browser.submit("/dashboard/sign-out", &[]).await;
    world.post(&key, "/v1/events", event("e2")).await;
    let rest = async {
        let mut rest = String::new();
        while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut body).await {
            rest.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
        }
        rest
    };
    let rest = tokio::time::timeout(Duration::from_secs(5), rest).await.expect("it ends");
    assert!(!rest.contains("e2"), "{rest}");
}
