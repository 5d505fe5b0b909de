//! What attempts came to by the hour or by the day, for as long as the log is kept: what the store has added up of each hour, and of what
//! the store has not taken yet, a count in the tail.
//!
//! Each attempt is counted once. A day is counted under one view of the store, which says from which block on it counts nothing; that is
//! where the tail begins. While the view lives no commit ends, so the tail lets go of nothing that the view does not have.

use std::ops::Range;

use postrider_core::invalid::FieldError;
use postrider_core::{Position, Time, WebhookId, WorkspaceId};
use postrider_store::Summary;

use super::{Look, Slot, WindowFigures};
use crate::stored::StoredError;

/// Slots of one history: a month of hours, or two years of days.
pub const SLOTS_MAX: u64 = 750;
/// Webhooks that are counted under one view of the store.
const COUNTED_AT_ONCE: usize = 1_024;
/// Attempts that are looked at while the views are locked once.
const LOCKED_AT_ONCE: usize = 1_024;

const HOUR: u64 = 60 * 60_000;
const DAY: u64 = 24 * HOUR;

/// How long a slot of a history is; it begins with an hour, or a day, of the clock (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryStep {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// Which history is asked for. A bound within a slot means all of that slot.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery {
    /// How long its slots are.
    pub step: HistoryStep,
    /// From then on; without it from 7 days before the end, where the step is a day from 30.
    pub since: Option<Time>,
    /// Up to then; without it up to now.
    pub until: Option<Time>,
}

/// What attempts came to over time. Tests are not counted, nor, for a whole workspace, what was sent to webhooks that were deleted.
#[derive(Clone, Debug)]
pub struct History {
    /// When it was counted.
    pub now: Time,
    /// How long a slot is.
    pub step: HistoryStep,
    /// When the log began that is kept now; `None` while nothing was let go of. Slots that were over before are left out, and the one in
    /// which this lies may count less than there was.
    pub kept_since: Option<Time>,
    /// Oldest first, those without an attempt too. An attempt counts in the slot in which it ended. A percentile is exact below 8 ms, from
    /// there at most a quarter too high, and never too low.
    pub slots: Vec<Slot>,
}

/// The slots that are asked for, by number, counted from 1970.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    now: Time,
    step: HistoryStep,
    slots: Range<u64>,
}

impl HistoryStep {
    /// All there are.
    pub const ALL: [HistoryStep; 2] = [HistoryStep::Hour, HistoryStep::Day];

    /// As the API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            HistoryStep::Hour => "hour",
            HistoryStep::Day => "day",
        }
    }

    /// In milliseconds.
    pub fn len_ms(self) -> u64 {
        match self {
            HistoryStep::Hour => HOUR,
            HistoryStep::Day => DAY,
        }
    }

    fn default_days(self) -> u64 {
        match self {
            HistoryStep::Hour => 7,
            HistoryStep::Day => 30,
        }
    }
}

impl HistoryQuery {
    /// Of these slots, up to now.
    pub fn by(step: HistoryStep) -> HistoryQuery {
        HistoryQuery { step, since: None, until: None }
    }

    /// What it asks for at `now`.
    ///
    /// # Errors
    /// When there is nothing between its bounds, or more than [`SLOTS_MAX`] slots.
    pub(crate) fn span(&self, now: Time) -> Result<Span, Vec<FieldError>> {
        let (step, len) = (self.step, self.step.len_ms());
        let until = self.until.unwrap_or(Time(now.0 + 1));
        let since = self.since.unwrap_or(Time(until.0.saturating_sub(step.default_days() * DAY)));
        if since >= until {
            let message = "must be before until, which is now where it is not given";
            return Err(vec![FieldError::new("since", message)]);
        }
        let slots = since.0 / len..until.0.div_ceil(len);
        if slots.end - slots.start > SLOTS_MAX {
            let message =
                format!("reaches over more than {SLOTS_MAX} slots; ask for a shorter time, or for longer steps");
            return Err(vec![FieldError::new("since", message)]);
        }
        Ok(Span { now, step, slots })
    }
}

impl Look<'_> {
    /// What the attempts of one webhook, or of all of a workspace, came to; `None` when there is no such webhook or workspace.
    ///
    /// # Errors
    /// When the store or the log cannot be read.
    pub(crate) fn history(
        &self,
        workspace: WorkspaceId,
        of: Option<WebhookId>,
        span: Span,
    ) -> Result<Option<History>, StoredError> {
        let Some(webhooks) = self.webhooks(workspace, of) else { return Ok(None) };
        let kept_since = self.stored.begin()?;
        let now = span.now;
        let mut sums = Sums::new(span, kept_since);
        let mut behind = vec![Position::default(); webhooks.len()];
        for day in sums.days() {
            for (webhooks, behind) in webhooks.chunks(COUNTED_AT_ONCE).zip(behind.chunks_mut(COUNTED_AT_ONCE)) {
                self.stored.view(|view| {
                    let first = view.hourly(webhooks, Time(day * DAY), |_, hour, summary| {
                        sums.at(hour).into_iter().for_each(|sum| sum.add(summary));
                    })?;
                    for (webhook, behind) in webhooks.iter().zip(behind) {
                        *behind = Position::new(first, 0).max(*behind);
                        self.count_tail(*webhook, day, behind, &mut sums);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(Some(History { now, step: sums.step, kept_since, slots: sums.told() }))
    }

    /// In ascending order.
    fn webhooks(&self, workspace: WorkspaceId, of: Option<WebhookId>) -> Option<Vec<WebhookId>> {
        let views = self.views.read();
        let Some(of) = of else {
            views.directory.workspace(workspace)?;
            let mut all: Vec<_> = views.directory.webhooks_in(workspace).map(|webhook| webhook.id).collect();
            all.sort_unstable();
            return Some(all);
        };
        views.directory.webhook(of).filter(|webhook| webhook.workspace == workspace).map(|webhook| vec![webhook.id])
    }

    /// Counts a webhook's attempts of a day that the tail has from `behind` on, and moves `behind` past them.
    fn count_tail(&self, webhook: WebhookId, day: u64, behind: &mut Position, sums: &mut Sums) {
        loop {
            let places = self.views.read().tail.attempts_up(webhook, *behind, LOCKED_AT_ONCE);
            for place in &places {
                if place.time.0 / DAY > day {
                    return;
                }
                *behind = Position::from_u64(place.position.to_u64() + 1);
                // One of a day before came while the days were counted, after its own.
                let is_meant = place.time.0 / DAY == day && place.key.is_some();
                if let Some(sum) = sums.at(place.time).filter(|_| is_meant) {
                    sum.count(place.outcome, place.latency);
                }
            }
            if places.len() < LOCKED_AT_ONCE {
                return;
            }
        }
    }
}

/// Slots in the making.
struct Sums {
    step: HistoryStep,
    first: u64,
    /// What was before this is not counted: it lies before the hour with which the log begins.
    from: Time,
    slots: Vec<Summary>,
}

impl Sums {
    fn new(span: Span, kept_since: Option<Time>) -> Sums {
        let Span { step, slots, .. } = span;
        let begin = kept_since.map_or(0, |time| time.0 / HOUR * HOUR);
        let first = slots.start.max(begin / step.len_ms());
        let from = Time(begin.max(first * step.len_ms()));
        Sums { step, first, from, slots: vec![Summary::EMPTY; slots.end.saturating_sub(first) as usize] }
    }

    /// The days in which these lie, counted from 1970.
    fn days(&self) -> Range<u64> {
        if self.slots.is_empty() {
            return 0..0;
        }
        let end = (self.first + self.slots.len() as u64).saturating_mul(self.step.len_ms());
        self.from.0 / DAY..end.div_ceil(DAY)
    }

    /// The slot that a time lies in.
    fn at(&mut self, time: Time) -> Option<&mut Summary> {
        let slot = (time.0 / self.step.len_ms()).checked_sub(self.first).filter(|_| time >= self.from)?;
        self.slots.get_mut(slot as usize)
    }

    fn told(&self) -> Vec<Slot> {
        let starts = (self.first..).map(|number| Time(number * self.step.len_ms()));
        starts.zip(&self.slots).map(|(start, sum)| Slot { start, figures: figures(sum) }).collect()
    }
}

fn figures(sum: &Summary) -> WindowFigures {
    let [p50, p95, p99] = [500, 950, 990].map(|per_mille| sum.quantile(per_mille).map(|latency| latency.at_most()));
    let succeeded = sum.of(postrider_core::attempt::Outcome::Succeeded);
    WindowFigures { attempts: sum.attempts(), succeeded: u64::from(succeeded), p50, p95, p99 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-19T10:30:00Z.
    const NOW: Time = Time(1_771_497_000_000);

    fn slots(query: HistoryQuery) -> Result<(u64, u64), String> {
        let span = query.span(NOW).map_err(|faults| format!("{} {}", faults[0].field, faults[0].message))?;
        Ok((span.slots.start * span.step.len_ms(), span.slots.end - span.slots.start))
    }

    #[test]
    fn what_is_not_said_is_a_week_of_hours_and_a_month_of_days() {
        let week = NOW.0 - NOW.0 % HOUR - 7 * DAY;
        assert_eq!(slots(HistoryQuery::by(HistoryStep::Hour)), Ok((week, 7 * 24 + 1)));
        let month = NOW.0 - NOW.0 % DAY - 30 * DAY;
        assert_eq!(slots(HistoryQuery::by(HistoryStep::Day)), Ok((month, 31)));
        let until = Some(Time(NOW.0 - NOW.0 % DAY));
        let query = HistoryQuery { until, ..HistoryQuery::by(HistoryStep::Day) };
        assert_eq!(slots(query), Ok((month, 30)), "the slot that begins at the end is not among them");
    }

    #[test]
    fn bounds_that_have_nothing_or_too_much_between_them_are_refused() {
        let query = |since, until| HistoryQuery { step: HistoryStep::Hour, since, until };
        for (since, until) in [(NOW, NOW), (Time(NOW.0 + 1), NOW)] {
            assert!(slots(query(Some(since), Some(until))).unwrap_err().starts_with("since must be before until"));
        }
        assert!(slots(query(Some(Time(NOW.0 + 1)), None)).is_err());
        assert_eq!(slots(query(Some(NOW), None)), Ok((NOW.0 - NOW.0 % HOUR, 1)));
        let begin = NOW.0 - NOW.0 % HOUR;
        let longest = query(Some(Time(begin - (SLOTS_MAX - 1) * HOUR)), None);
        assert_eq!(slots(longest).map(|(_, count)| count), Ok(SLOTS_MAX));
        let longer = query(Some(Time(begin - (SLOTS_MAX - 1) * HOUR - 1)), None);
        assert!(slots(longer).unwrap_err().starts_with("since reaches over more than 750 slots"));
        assert!(slots(query(Some(Time(0)), Some(Time(u64::MAX)))).is_err());
    }

    #[test]
    fn what_lies_before_the_hour_in_which_the_log_begins_is_left_out() {
        let span = HistoryQuery::by(HistoryStep::Day).span(NOW).expect("good");
        let mut sums = Sums::new(span, Some(Time(NOW.0 - DAY)));
        assert_eq!((sums.slots.len(), sums.days().count()), (2, 2));
        let hour = NOW.0 - DAY - HOUR / 2;
        assert!(sums.at(Time(hour - 1)).is_none() && sums.at(Time(hour)).is_some());
        assert!(sums.at(Time(NOW.0 + DAY)).is_none());
        let span = HistoryQuery { until: Some(Time(NOW.0 - 9 * DAY)), ..HistoryQuery::by(HistoryStep::Hour) };
        let sums = Sums::new(span.span(NOW).expect("good"), Some(NOW));
        assert_eq!((sums.told().len(), sums.days().count()), (0, 0), "all of it was let go of");
    }
}
