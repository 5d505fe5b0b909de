//! An event's whole way through a running engine, to a receiver on a real socket and into the log that a customer reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_core::attempt::Outcome;
use postrider_core::delivery::Status;
use postrider_core::draft::{Field, PolicyDraft, WebhookDraft};
use postrider_core::{WebhookId, WorkspaceId};
use postrider_engine::{Engine, EngineOptions, EventDraft, Handle, LogFilter, PageQuery, Stopped};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A receiver that answers each request with the next status, the last one for ever, and hands on what it got.
async fn receiver(statuses: &'static [u16]) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut statuses = statuses.iter().copied().cycle();
        while let Ok((mut socket, _)) = listener.accept().await {
            let status = statuses.next().unwrap();
            let request = read_request(&mut socket).await;
            let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
            socket.write_all(answer.as_bytes()).await.unwrap();
            let _ = sender.send(request);
        }
    });
    (url, requests)
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await.unwrap() {
            0 => return text,
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

fn engine() -> Engine {
    let options = EngineOptions {
        egress_allow: vec!["loopback".into()],
        ..EngineOptions::default()
    };
    Engine::start(options).unwrap()
}

async fn subscribe(handle: &Handle, url: &str, delays: &[&str]) -> (WorkspaceId, WebhookId) {
    let (workspace, _key) = handle.create_workspace("acme", "genesy").await.unwrap();
    let draft = WebhookDraft {
        name: Field::Set("crm".into()),
        url: Field::Set(url.into()),
        events: Field::Set(vec!["EMAIL_SENT".into()]),
        secret: Field::Set("correct horse".into()),
        retry_policy: Field::Set(PolicyDraft {
            delays: delays.iter().map(|d| d.to_string()).collect(),
            jitter: 0.0,
        }),
        ..WebhookDraft::default()
    };
    let webhook = handle.create_webhook(workspace.id, draft).await.unwrap();
    (workspace.id, webhook.id)
}

fn event(id: &str) -> EventDraft {
    let data = Bytes::from_static(br#"{"contact":{"id":7,"firstName":"Ada"}}"#);
    EventDraft {
        id: Some(id.into()),
        event_type: "EMAIL_SENT".into(),
        created: Some("2026-02-19T10:30:00Z".into()),
        data,
    }
}

const FIRST_PAGE: PageQuery = PageQuery {
    page: 1,
    page_size: 50,
    cursor: None,
};

async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(limit, waiting)
        .await
        .expect("it should have happened by now")
}

#[tokio::test]
async fn an_event_is_delivered_and_logged() {
    let (url, mut requests) = receiver(&[200]).await;
    let engine = engine();
    let handle = engine.handle();
    let (workspace, webhook) = subscribe(&handle, &url, &[]).await;

    let accepted = handle.publish(workspace, event("e1")).await.unwrap();
    assert_eq!(
        (accepted.id.as_str(), accepted.duplicate, accepted.deliveries),
        ("e1", false, 1)
    );

    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    for line in [
        "content-type: application/json",
        "x-webhook-secret: correct horse",
        "postrider-event-id: e1",
        "postrider-attempt: 1",
    ] {
        assert!(request.contains(line), "{line} is missing in {request}");
    }
    let body = r#"{"eventId":"e1","eventType":"EMAIL_SENT","timestamp":"2026-02-19T10:30:00.000Z","contact":{"id":7,"firstName":"Ada"},"customFields":{}}"#;
    assert_eq!(request.split_once("\r\n\r\n").unwrap().1, body);

    let entry = within(Duration::from_secs(5), async || {
        let page = handle
            .logs(workspace, webhook, LogFilter::default(), FIRST_PAGE)
            .await
            .unwrap();
        page.items.into_iter().next()
    })
    .await;
    assert_eq!(
        (entry.entry.attempt.outcome, entry.entry.attempt.number),
        (Outcome::Succeeded, 1)
    );
    assert_eq!(entry.response_body, "hello");

    let again = handle.publish(workspace, event("e1")).await.unwrap();
    assert!(again.duplicate);
    let handle_kept = handle.clone();
    assert_eq!(
        tokio::task::spawn_blocking(move || engine.stop(Duration::from_secs(5)))
            .await
            .unwrap(),
        Stopped::Clean
    );
    assert!(handle_kept.publish(workspace, event("e2")).await.is_err());
}

#[tokio::test]
async fn a_failing_receiver_gets_one_attempt_and_its_retries_with_the_same_body_and_then_silence() {
    let (url, mut requests) = receiver(&[500]).await;
    let engine = engine();
    let handle = engine.handle();
    let (workspace, _) = subscribe(&handle, &url, &["10ms", "20ms", "30ms"]).await;
    handle.publish(workspace, event("e1")).await.unwrap();

    let mut bodies = Vec::new();
    for number in 1..=4 {
        let request = requests.recv().await.unwrap();
        assert!(
            request.contains(&format!("postrider-attempt: {number}\r\n")),
            "{request}"
        );
        bodies.push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));

    let delivery = within(Duration::from_secs(5), async || {
        let page = handle
            .deliveries(workspace, Default::default(), FIRST_PAGE)
            .await
            .unwrap();
        page.items
            .into_iter()
            .find(|delivery| delivery.status == Status::Exhausted)
    })
    .await;
    let detail = handle
        .delivery(workspace, delivery.row.cell.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(detail.attempts.len(), 4);
    let (headers, body) = detail.attempts[3].request.clone().unwrap();
    assert_eq!(body, bodies[0]);
    assert!(headers.contains(&("x-webhook-secret".into(), "***".into())));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), requests.recv())
            .await
            .is_err(),
        "the schedule is over"
    );
    drop(Arc::new(handle));
}
