//! An embedded engine in a program of one's own: a folder, a workspace, two webhooks, a few events, and what became of them.
//!
//! `cargo run --release -p postrider --example embedded -- http://127.0.0.1:9000/hook` (with `postrider sink` as the receiver).

use std::time::Duration;

use postrider::{DeliveryFilter, Engine, EventDraft, Field, PageQuery, PolicyDraft, Status, Stopped, WebhookDraft};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:9000/hook".into());
    let folder = std::env::temp_dir().join(format!("postrider-embedded-{}", std::process::id()));

    // Loopback is refused by default, as every address that a customer should not reach from inside.
    let engine = Engine::builder().data(&folder).allow("loopback").open()?;
    let handle = engine.handle();
    let (workspace, _key) = handle.create_workspace("acme", "snaily").await?;

    let webhook = |url: String| WebhookDraft {
        url: Field::Set(url),
        events: Field::Set(vec!["contact.replied".into()]),
        secret: Field::Set("a token that the receiver knows".into()),
        // Snaily's own schedule is 14 retries, 12 hours apart; this one ends while you watch.
        retry_policy: Field::Set(PolicyDraft { delays: vec!["100ms".into(); 3], jitter: 0.0 }),
        ..WebhookDraft::default()
    };
    handle.create_webhook(workspace.id, webhook(url)).await?;
    handle.create_webhook(workspace.id, webhook("http://127.0.0.1:9/nobody-listens-here".into())).await?;

    let profile = handle.profile_of(workspace.id)?;
    let sample = profile.sample("contact.replied").ok_or("the profile has a sample of each type")?;
    for number in 1..=3 {
        let event = EventDraft {
            id: Some(format!("reply-{number}")),
            event_type: "contact.replied".into(),
            data: bytes::Bytes::copy_from_slice(sample),
            ..EventDraft::default()
        };
        let accepted = handle.publish(workspace.id, event).await?;
        println!("{} is durable and goes to {} webhooks", accepted.id, accepted.deliveries);
    }

    let page = PageQuery { page: 1, page_size: 50, cursor: None };
    for _ in 0..100 {
        let pending = DeliveryFilter { status: Some(Status::Pending), ..DeliveryFilter::default() };
        if handle.deliveries(workspace.id, pending, page).await?.total == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for delivery in handle.deliveries(workspace.id, DeliveryFilter::default(), page).await?.items {
        let (cell, event) = (delivery.row.cell, &delivery.row.event.id);
        println!("{event} to webhook {}: {} after {} attempts", cell.webhook, delivery.status.as_str(), cell.attempts);
    }

    if let Stopped::Poisoned(reason) = engine.shutdown(Duration::from_secs(20)).await {
        return Err(reason.into());
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
