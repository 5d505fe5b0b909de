//! How a workspace and a webhook are doing, over time.

use postrider_engine::{History, HistoryStep, Slot, Statistics, WebhookSeries};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::health::{WindowView, WindowsView};
use crate::openapi::words;

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
    /// Where `step` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    history: Option<HistoryView>,
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

/// What came of the attempts that began in one minute, or in one quarter of an hour; in `history`, of those that ended in its slot.
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
    /// Where `step` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    history: Option<HistoryView>,
}

/// Attempts by the hour or the day, for as long as the log is kept. Tests are not counted, nor, for a whole workspace, what was sent to
/// webhooks that were deleted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    /// How long a slot is. It begins with an hour, or a day, of the clock (UTC).
    #[schema(schema_with = step)]
    step: &'static str,
    /// When the log began that is kept now: slots that were over before are left out, and the one in which this lies may count less than there
    /// was. Null while nothing was let go of.
    #[schema(example = json!(null))]
    kept_since: Option<String>,
    /// Oldest first, those without an attempt too. An attempt counts in the slot in which it ended, once its end is in the log. Here
    /// percentiles are exact below 8 ms, from there at most a quarter too high, and never too low.
    slots: Vec<SlotView>,
}

fn step() -> Object {
    words("How long a slot is.", HistoryStep::ALL.into_iter().map(HistoryStep::as_str), "hour")
}

impl StatsView {
    /// With what was asked for beside the rest.
    pub fn of(statistics: &Statistics, history: Option<&History>) -> StatsView {
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
            history: history.map(HistoryView::from),
        }
    }
}

impl From<&History> for HistoryView {
    fn from(history: &History) -> HistoryView {
        HistoryView {
            step: history.step.as_str(),
            kept_since: history.kept_since.map(|time| time.to_string()),
            slots: history.slots.iter().map(SlotView::from).collect(),
        }
    }
}

impl WebhookStatsView {
    /// With what was asked for beside the rest.
    pub fn of(series: &WebhookSeries, history: Option<&History>) -> WebhookStatsView {
        let views = |slots: &[Slot]| slots.iter().map(SlotView::from).collect();
        WebhookStatsView {
            at: series.now.to_string(),
            minutes: views(&series.minutes),
            quarters: views(&series.quarters),
            history: history.map(HistoryView::from),
        }
    }
}

impl From<&Slot> for SlotView {
    fn from(slot: &Slot) -> SlotView {
        SlotView { start: slot.start.to_string(), figures: WindowView::from(&slot.figures) }
    }
}
