//! Deliveries: one event for one webhook.

use postrider_core::delivery::Status;
use postrider_engine::DeliveryDetail;
use serde::Serialize;
use utoipa::ToSchema;

use super::log::AttemptView;

/// A delivery.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    #[schema(example = "dlv_00000000000200000")]
    id: String,
    #[schema(example = "evt-1")]
    event_id: String,
    #[schema(example = "MESSAGE_REPLIED")]
    event_type: String,
    #[schema(example = 1)]
    webhook_id: u64,
    /// `pending`, `succeeded`, `exhausted`, `removed` or `cancelled`.
    #[schema(value_type = String, example = "pending")]
    status: &'static str,
    /// Attempts that have ended.
    #[schema(example = 1)]
    attempt_count: u32,
    /// When the next attempt is due; null unless pending.
    next_attempt_at: Option<String>,
    /// Of an ordered webhook: the delivery that has to end before this one is attempted, whenever that is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, example = "dlv_00000000000200000")]
    blocked_by: Option<String>,
    /// When the event was accepted.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    created_at: String,
}

impl From<&DeliveryDetail> for DeliveryView {
    fn from(delivery: &DeliveryDetail) -> DeliveryView {
        let (cell, event) = (&delivery.row.cell, &delivery.row.event);
        DeliveryView {
            id: cell.key.to_string(),
            event_id: event.id.to_string(),
            event_type: event.event_type.to_string(),
            webhook_id: cell.webhook.0,
            status: delivery.status.as_str(),
            attempt_count: cell.attempts,
            next_attempt_at: (delivery.status == Status::Pending).then(|| cell.due.to_string()),
            blocked_by: delivery.blocked_by.map(|key| key.to_string()),
            created_at: event.accepted.to_string(),
        }
    }
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
pub struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// Oldest first.
    attempts: Vec<AttemptView>,
}

impl From<&DeliveryDetail> for DeliveryWithAttempts {
    fn from(delivery: &DeliveryDetail) -> DeliveryWithAttempts {
        DeliveryWithAttempts {
            delivery: delivery.into(),
            attempts: delivery.attempts.iter().map(AttemptView::from).collect(),
        }
    }
}
