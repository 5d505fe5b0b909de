//! Events as they are read back.

use postrider_core::event::Event;
use postrider_engine::{EventDetail, EventSummary, Explanation};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::delivery::DeliveryView;

/// An event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    #[schema(example = "evt-1")]
    id: String,
    #[serde(rename = "type")]
    #[schema(example = "MESSAGE_REPLIED")]
    event_type: String,
    /// When it happened, as it is delivered.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    created: String,
    /// When it was accepted.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    accepted_at: String,
    /// The campaign it belongs to, as text.
    #[schema(example = "7")]
    campaign_id: Option<String>,
    /// Webhooks that it is sent to: those that were chosen when it came, and those that a replay has added.
    #[schema(example = 1)]
    delivery_count: usize,
}

impl EventView {
    fn new(event: &Event, delivery_count: usize) -> EventView {
        EventView {
            id: event.id.to_string(),
            event_type: event.event_type.to_string(),
            created: event.created.to_string(),
            accepted_at: event.accepted.to_string(),
            campaign_id: event.campaign.as_ref().map(|campaign| campaign.to_string()),
            delivery_count,
        }
    }
}

impl From<&EventSummary> for EventView {
    fn from(summary: &EventSummary) -> EventView {
        EventView::new(&summary.event, summary.deliveries)
    }
}

/// An event with its data and its deliveries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventWithDeliveries {
    #[serde(flatten)]
    event: EventView,
    /// Byte for byte as it was published; null once erased.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// When `data` was erased.
    erased_at: Option<String>,
    /// One a webhook that was chosen, then those that replays have added.
    deliveries: Vec<DeliveryView>,
}

impl From<&EventDetail> for EventWithDeliveries {
    fn from(detail: &EventDetail) -> EventWithDeliveries {
        EventWithDeliveries {
            event: EventView::new(&detail.event, detail.deliveries.len()),
            data: detail.data.as_deref().and_then(super::raw),
            erased_at: detail.erased_at.map(|at| at.to_string()),
            deliveries: detail.deliveries.iter().map(DeliveryView::from).collect(),
        }
    }
}

/// What became of an event for one webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplanationView {
    #[schema(example = 1)]
    webhook_id: u64,
    /// `succeeded`, `pending`, `exhausted`, `removed` or `cancelled` where it was chosen, or a replay has sent it since; else `webhook_off`, `type_not_subscribed`,
    /// `campaign_not_listed`, `created_later` or `deleted`.
    #[schema(value_type = String, example = "campaign_not_listed")]
    code: &'static str,
    /// Null where there is none.
    #[schema(example = "dlv_00000000000200000")]
    delivery_id: Option<String>,
}

impl From<&Explanation> for ExplanationView {
    fn from(explanation: &Explanation) -> ExplanationView {
        ExplanationView {
            webhook_id: explanation.webhook.0,
            code: explanation.verdict.as_str(),
            delivery_id: explanation.delivery.map(|key| key.to_string()),
        }
    }
}
