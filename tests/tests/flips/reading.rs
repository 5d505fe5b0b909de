//! All that an engine shows of a folder.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use postrider::{
    DeliveryFilter, Engine, EventFilter, Handle, LogFilter, PageQuery, Refused, StartError, Stopped, WorkspaceId,
};

const SEGMENT: u32 = 4 << 20;

/// All that can be read, in parts: what a payload lies behind is a part of its own, marked `payload`.
pub type Read = BTreeMap<String, String>;

const EVERYTHING: PageQuery = PageQuery { page: 1, page_size: 200, cursor: None };

/// # Errors
/// While something is read that is being gathered from the log again.
async fn read(handle: &Handle) -> Result<Read, Refused> {
    let mut read = Read::new();
    for workspace in handle.workspaces() {
        let id = workspace.id;
        read.insert(format!("workspace {id}"), format!("{workspace:?}"));
        for webhook in handle.webhooks(id) {
            let logs = handle.logs(id, webhook.id, LogFilter::default(), EVERYTHING).await?;
            assert!(logs.items.len() < EVERYTHING.page_size);
            read.insert(format!("webhook {}", webhook.id), format!("{webhook:?} {}", logs.items.len()));
            for entry in logs.items {
                let at = entry.entry.position;
                read.insert(format!("log entry {at}"), format!("{:?}", entry.entry));
                read.insert(format!("payload of log entry {at}"), show(Some(&entry.response_body)));
            }
        }
        read_events(handle, id, &mut read).await?;
        read_deliveries(handle, id, &mut read).await?;
    }
    Ok(read)
}

async fn read_events(handle: &Handle, workspace: WorkspaceId, read: &mut Read) -> Result<(), Refused> {
    let events = handle.events(workspace, EventFilter::default(), EVERYTHING).await?;
    assert!(events.items.len() < EVERYTHING.page_size);
    for event in events.items.into_iter().map(|summary| summary.event) {
        let name = format!("{workspace} {}", event.id);
        let detail = handle.event(workspace, event.id.clone()).await?.unwrap();
        let explained = handle.explain(workspace, event.id.clone(), None).await?;
        let rows: Vec<_> = detail.deliveries.iter().map(|d| (&d.row, d.status)).collect();
        read.insert(format!("event {name}"), format!("{:?} {:?} {rows:?}", detail.event, detail.erased_at));
        read.insert(format!("explanation of {name}"), format!("{:?}", explained.is_some()));
        read.insert(format!("payload of event {name}"), show(detail.data.as_deref()));
    }
    Ok(())
}

async fn read_deliveries(handle: &Handle, workspace: WorkspaceId, read: &mut Read) -> Result<(), Refused> {
    let deliveries = handle.deliveries(workspace, DeliveryFilter::default(), EVERYTHING).await?;
    assert!(deliveries.items.len() < EVERYTHING.page_size);
    for delivery in deliveries.items {
        let key = delivery.row.cell.key;
        let detail = handle.delivery(workspace, key).await?.unwrap();
        read.insert(format!("delivery {key}"), format!("{:?} {:?}", detail.row, detail.status));
        for attempt in detail.attempts {
            let name = format!("{key} {}", attempt.entry.attempt.number);
            let headers = attempt.request.as_ref().map(|request| &request.headers);
            read.insert(format!("attempt {name}"), format!("{:?} {headers:?}", attempt.entry));
            read.insert(format!("payload of response {name}"), show(Some(&attempt.response_body)));
            let body = attempt.request.and_then(|request| request.body);
            read.insert(format!("payload of request {name}"), show(body.as_deref()));
        }
    }
    Ok(())
}

/// A payload's text, or what stands for a long one.
fn show(payload: Option<&[u8]>) -> String {
    let Some(bytes) = payload else { return "None".to_owned() };
    if bytes.len() <= 2_000 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes with hash {:x}", bytes.len(), hasher.finish())
}

pub fn open(data: &Path) -> Result<Read, StartError> {
    let engine = Engine::builder().data(data).allow("loopback").segment_bytes(SEGMENT).workers(1).open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Ok(runtime.block_on(async {
        let handle = engine.handle();
        let read = loop {
            match read(&handle).await {
                Err(Refused::Unreadable) => tokio::time::sleep(Duration::from_millis(20)).await,
                read => break read.unwrap(),
            }
        };
        assert_eq!(engine.shutdown(Duration::from_secs(1)).await, Stopped::Clean);
        read
    }))
}
