//! A receiver on a real socket, a subscribed workspace, an event, and waiting without guessing how long.
#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

use std::time::Duration;

use bytes::Bytes;
use postrider_core::draft::{Field, PolicyDraft, WebhookDraft};
use postrider_core::{WebhookId, WorkspaceId};
use postrider_engine::{EventDraft, Handle, PageQuery};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A receiver that answers each request with the next status, the last one for ever, and hands on what it got.
pub async fn receiver(statuses: &'static [u16]) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut statuses = statuses.iter().copied().chain(std::iter::repeat(statuses[statuses.len() - 1]));
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
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
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

pub async fn subscribe(handle: &Handle, url: &str, delays: &[&str]) -> (WorkspaceId, WebhookId) {
    let (workspace, _key) = handle.create_workspace("acme", "genesy").await.unwrap();
    let draft = WebhookDraft {
        name: Field::Set("crm".into()),
        url: Field::Set(url.into()),
        events: Field::Set(vec!["EMAIL_SENT".into()]),
        secret: Field::Set("correct horse".into()),
        retry_policy: Field::Set(PolicyDraft { delays: delays.iter().map(|d| d.to_string()).collect(), jitter: 0.0 }),
        ..WebhookDraft::default()
    };
    let webhook = handle.create_webhook(workspace.id, draft).await.unwrap().webhook;
    (workspace.id, webhook.id)
}

pub fn event(id: &str) -> EventDraft {
    let data = Bytes::from_static(br#"{"contact":{"id":7,"firstName":"Ada"}}"#);
    EventDraft {
        id: Some(id.into()),
        event_type: "EMAIL_SENT".into(),
        created: Some("2026-02-19T10:30:00Z".into()),
        data,
    }
}

pub const FIRST_PAGE: PageQuery = PageQuery { page: 1, page_size: 50, cursor: None };

pub async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(limit, waiting).await.expect("it should have happened by now")
}

pub async fn workspace_of(handle: &Handle, profile: &str) -> WorkspaceId {
    handle.create_workspace("acme", profile).await.unwrap().0.id
}
