//! How a workspace and a webhook are doing, over time.

use postrider_engine::{Slot, Statistics, WebhookSeries};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::{WindowView, WindowsView};

/// How a workspace's webhooks are doing together.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsView {
    /// When it was counted.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    at: String,
    /// How many webhooks there are.
    #[schema(example = 12)]
    webhooks: usize,
    /// Of these, those that are on.
    #[schema(example = 11)]
    webhooks_on: usize,
    /// Over the last five minutes; over less where more than 50,000 events came in less.
    #[schema(example = 3.5)]
    events_per_second: f64,
    /// Over the last five minutes.
    #[schema(example = 8.2)]
    attempts_per_second: f64,
    pending: PendingView,
    windows: WindowsView,
    /// The last hour by the minute, oldest first: 61, of which the first and the last are not whole.
    minutes: Vec<MinuteView>,
    /// The last 24 hours by the quarter of an hour, oldest first: 97, of which the first and the last are not whole.
    quarters: Vec<SlotView>,
}

/// Unfinished deliveries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingView {
    /// All of them, exactly.
    #[schema(example = 340)]
    total: u64,
    /// By how many attempts of their present schedule have failed: none, one, and so on. No zero at the end.
    #[schema(example = json!([2, 0, 338]))]
    by_tier: Vec<u64>,
    /// Those of webhooks that are off. They are in none of the next three.
    #[schema(example = 0)]
    off: u64,
    /// Those that are due: in flight, or waiting for their turn.
    #[schema(example = 2)]
    due: u64,
    /// Those that come due in each hour of the clock, the one that has begun and seven days from there, oldest first; hours without any are
    /// left out. A webhook that has very many due times at once counts some of them a few minutes early.
    calendar: Vec<HourView>,
    /// Those that come due after that.
    #[schema(example = 0)]
    later: u64,
}

/// An hour in which deliveries come due.
#[derive(Serialize, ToSchema)]
pub struct HourView {
    /// When it begins.
    #[schema(example = "2026-02-19T22:00:00.000Z")]
    start: String,
    /// How many.
    #[schema(example = 338)]
    deliveries: u64,
}

/// What came in one minute.
#[derive(Serialize, ToSchema)]
pub struct MinuteView {
    /// Events that were accepted; null where that is not known, since more than 50,000 came after it.
    #[schema(example = 210)]
    events: Option<u64>,
    #[serde(flatten)]
    slot: SlotView,
}

/// What came of the attempts that began in one minute, or in one quarter of an hour.
#[derive(Serialize, ToSchema)]
pub struct SlotView {
    /// When it begins.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    start: String,
    #[serde(flatten)]
    figures: WindowView,
}

/// One webhook's attempts over time.
#[derive(Serialize, ToSchema)]
pub struct WebhookStatsView {
    /// When it was counted.
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    at: String,
    /// The last hour by the minute, oldest first: 61, of which the first and the last are not whole.
    minutes: Vec<SlotView>,
    /// The last 24 hours by the quarter of an hour, oldest first: 97, of which the first and the last are not whole.
    quarters: Vec<SlotView>,
}

impl From<&Statistics> for StatsView {
    fn from(statistics: &Statistics) -> StatsView {
        let pending = &statistics.pending;
        let hours = pending.calendar.iter().filter(|(_, count)| *count > 0);
        let minutes = statistics.minutes.iter().zip(&statistics.events);
        StatsView {
            at: statistics.now.to_string(),
            webhooks: statistics.webhooks,
            webhooks_on: statistics.on,
            events_per_second: statistics.events_per_second(),
            attempts_per_second: statistics.attempts_per_second(),
            pending: PendingView {
                total: pending.all,
                by_tier: pending.by_tier.clone(),
                off: pending.off,
                due: pending.due,
                calendar: hours.map(|(at, count)| HourView { start: at.to_string(), deliveries: *count }).collect(),
                later: pending.later,
            },
            windows: WindowsView::of([&statistics.five_minutes, &statistics.hour, &statistics.day]),
            minutes: minutes.map(|(slot, events)| MinuteView { events: *events, slot: slot.into() }).collect(),
            quarters: statistics.quarters.iter().map(SlotView::from).collect(),
        }
    }
}

impl From<&WebhookSeries> for WebhookStatsView {
    fn from(series: &WebhookSeries) -> WebhookStatsView {
        let views = |slots: &[Slot]| slots.iter().map(SlotView::from).collect();
        WebhookStatsView {
            at: series.now.to_string(),
            minutes: views(&series.minutes),
            quarters: views(&series.quarters),
        }
    }
}

impl From<&Slot> for SlotView {
    fn from(slot: &Slot) -> SlotView {
        SlotView { start: slot.start.to_string(), figures: WindowView::from(&slot.figures) }
    }
}
