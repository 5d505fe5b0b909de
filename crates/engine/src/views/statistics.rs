//! How a workspace is doing: the health of its webhooks added up, what came of each minute and each quarter of an hour, and when what is
//! pending will be due.
//!
//! Added up when it is asked for, from what is in RAM of each webhook; the views are locked for a few webhooks at a time, so a change
//! meanwhile may be in one figure and not yet in another. How many events came is counted in their list, so far as it is looked through.

use std::sync::Arc;

use postrider_core::webhook::Webhook;
use postrider_core::{Millis, Time, WebhookId, WorkspaceId};

use super::health::{Slot, Summary, Windows};
use super::{Look, WebhookHealth, WindowFigures};
use crate::stored::StoredError;

/// Webhooks that are looked at while the views are locked once.
const LOCKED_AT_ONCE: usize = 32;
/// Of the webhooks that fail, so many are named.
const WORST_MAX: usize = 5;
/// Hours of the calendar: a week, and the hour that has begun.
const CALENDAR_HOURS: usize = 7 * 24 + 1;
/// Events that are looked at to count those of the last hour.
const EVENTS_MAX: usize = 50_000;
/// Of these at once.
const EVENTS_STEP: usize = 1_000;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// How a workspace's webhooks are doing together. Tests are not counted, and nothing of webhooks that were deleted.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// When it was counted.
    pub now: Time,
    /// How many webhooks there are.
    pub webhooks: usize,
    /// Of these, those that are on.
    pub on: usize,
    /// Unfinished deliveries.
    pub pending: Pending,
    /// The last five minutes, hour and 24 hours, in whole buckets as [`WebhookHealth`] has them.
    pub five_minutes: WindowFigures,
    #[allow(missing_docs, reason = "said above")]
    pub hour: WindowFigures,
    #[allow(missing_docs, reason = "said above")]
    pub day: WindowFigures,
    /// The last hour by the minute, oldest first: 61, since the first and the last one are not whole.
    pub minutes: Vec<Slot>,
    /// The last 24 hours by the quarter of an hour, oldest first: 97.
    pub quarters: Vec<Slot>,
    /// Events that were accepted in each of `minutes`; `None` where it is not known, since there were too many later ones.
    pub events: Vec<Option<u64>>,
    /// The webhooks that failed most in the last hour, the worst first; then those whose last attempts failed.
    pub worst: Vec<(Arc<Webhook>, WebhookHealth)>,
}

/// Unfinished deliveries, by what they wait for.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// All of them.
    pub all: u64,
    /// By how many attempts of their present schedule have failed. No zero at the end.
    pub by_tier: Vec<u64>,
    /// Those of webhooks that are off, which are in none of the next three.
    pub off: u64,
    /// Those that are due: in flight, or waiting for their turn.
    pub due: u64,
    /// Those that come due in each hour of the clock (UTC): the one that has begun, and those of the seven days after it. A webhook that
    /// has very many due times at once counts some of them a few minutes early.
    pub calendar: Vec<(Time, u64)>,
    /// Those that come due after that.
    pub later: u64,
}

/// One webhook's attempts over time.
#[derive(Clone, Debug)]
pub struct WebhookSeries {
    /// When it was counted.
    pub now: Time,
    /// The last hour by the minute, oldest first: 61.
    pub minutes: Vec<Slot>,
    /// The last 24 hours by the quarter of an hour, oldest first: 97.
    pub quarters: Vec<Slot>,
}

impl WebhookSeries {
    pub(super) fn of(windows: &Windows, now: Time) -> WebhookSeries {
        WebhookSeries { now, minutes: windows.by_minute(now), quarters: windows.by_quarter(now) }
    }
}

impl Look<'_> {
    /// How a workspace is doing at `now`, which is no earlier than the last fact; `None` when there is no such workspace.
    ///
    /// # Errors
    /// When its events cannot be counted.
    pub fn statistics(&self, workspace: WorkspaceId, now: Time) -> Result<Option<Statistics>, StoredError> {
        let webhooks: Vec<Arc<Webhook>> = {
            let views = self.views.read();
            if !views.has_workspace(workspace) {
                return Ok(None);
            }
            views.directory.webhooks_in(workspace).map(Arc::clone).collect()
        };
        let mut sum = Sum::new(now);
        for some in webhooks.chunks(LOCKED_AT_ONCE) {
            let views = self.views.read();
            let known = some.iter().filter_map(|webhook| Some((webhook, &views.health.get(&webhook.id)?.1)));
            known.for_each(|(webhook, summary)| sum.add(webhook, summary));
        }
        let Sum { windows, pending, on, troubled, .. } = sum;
        let minutes = windows.by_minute(now);
        Ok(Some(Statistics {
            now,
            webhooks: webhooks.len(),
            on,
            pending,
            five_minutes: windows.five_minutes(now),
            hour: windows.hour(now),
            day: windows.day(now),
            events: self.events_by_minute(workspace, &minutes)?,
            minutes,
            quarters: windows.by_quarter(now),
            worst: self.worst(&webhooks, troubled, now),
        }))
    }

    fn worst(
        &self,
        webhooks: &[Arc<Webhook>],
        mut troubled: Vec<Trouble>,
        now: Time,
    ) -> Vec<(Arc<Webhook>, WebhookHealth)> {
        troubled.sort_unstable_by(|a, b| b.cmp(a));
        let found = troubled.iter().take(WORST_MAX).filter_map(|trouble| {
            let webhook = webhooks.iter().find(|webhook| webhook.id == trouble.webhook)?;
            Some((Arc::clone(webhook), self.views.read().health(webhook.workspace, webhook.id, now)?))
        });
        found.collect()
    }

    /// Counts a workspace's events by the minutes in which they were accepted, newest first, and no more than `EVENTS_MAX` of them.
    fn events_by_minute(&self, workspace: WorkspaceId, minutes: &[Slot]) -> Result<Vec<Option<u64>>, StoredError> {
        let mut counts = vec![Some(0); minutes.len()];
        let Some(first) = minutes.first().map(|slot| slot.start) else { return Ok(counts) };
        let (mut before, mut left) = (None, EVENTS_MAX);
        loop {
            let places = self.events_down(workspace, before, EVENTS_STEP.min(left))?;
            let Some(last) = places.last() else { return Ok(counts) };
            before = Some(last.position);
            left = left.saturating_sub(places.len());
            for place in &places {
                if place.time < first {
                    return Ok(counts);
                }
                let minute = ((place.time.0 - first.0) / MINUTE) as usize;
                if let Some(Some(count)) = counts.get_mut(minute) {
                    *count += 1;
                }
            }
            if left == 0 {
                // Of the minute of the last one seen not all were seen, of those before it none.
                let minute = ((last.time.0 - first.0) / MINUTE) as usize;
                counts.iter_mut().take(minute + 1).for_each(|count| *count = None);
                return Ok(counts);
            }
        }
    }
}

/// What the webhooks come to that were looked at so far.
struct Sum {
    now: Time,
    windows: Windows,
    pending: Pending,
    on: usize,
    troubled: Vec<Trouble>,
}

/// A webhook that fails; the greater the worse.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Trouble {
    failed: u64,
    in_a_row: u64,
    webhook: WebhookId,
}

impl Sum {
    fn new(now: Time) -> Sum {
        let first = now.0 / HOUR;
        let calendar = (0..CALENDAR_HOURS as u64).map(|hour| (Time((first + hour) * HOUR), 0)).collect();
        let pending = Pending { calendar, ..Pending::default() };
        Sum { now, windows: Windows::default(), pending, on: 0, troubled: Vec::new() }
    }

    fn add(&mut self, webhook: &Webhook, summary: &Summary) {
        self.windows.add(summary.windows(), self.now);
        let by_tier = summary.by_tier();
        let all = &mut self.pending.by_tier;
        all.resize(all.len().max(by_tier.len()), 0);
        all.iter_mut().zip(by_tier).for_each(|(all, count)| *all += count);
        self.pending.all += summary.pending();
        if webhook.settings.enabled {
            self.on += 1;
            summary.dues().for_each(|(due, count)| self.pending.plan(due, count, self.now));
        } else {
            self.pending.off += summary.pending();
        }
        let told = summary.windows().hour(self.now);
        let trouble = Trouble {
            failed: told.attempts - told.succeeded,
            in_a_row: summary.consecutive_failures(),
            webhook: webhook.id,
        };
        if trouble.failed > 0 || trouble.in_a_row > 0 {
            self.troubled.push(trouble);
        }
    }
}

impl Pending {
    fn plan(&mut self, due: Time, count: u64, now: Time) {
        if due <= now {
            self.due += count;
            return;
        }
        let hour = (due.0 / HOUR).saturating_sub(now.0 / HOUR) as usize;
        match self.calendar.get_mut(hour) {
            Some((_, there)) => *there += count,
            None => self.later += count,
        }
    }
}

impl Statistics {
    /// Attempts a second, over the last five minutes.
    pub fn attempts_per_second(&self) -> f64 {
        let recent = self.recent().map(|(_, slot)| slot.figures.attempts).sum::<u64>();
        recent as f64 / self.recent_seconds(self.recent().map(|(n, _)| n).min())
    }

    /// Events a second, over the last five minutes, or as much of them as is known.
    pub fn events_per_second(&self) -> f64 {
        let known = || self.recent().filter_map(|(n, _)| Some((n, self.events.get(n).copied().flatten()?)));
        known().map(|(_, count)| count).sum::<u64>() as f64 / self.recent_seconds(known().map(|(n, _)| n).min())
    }

    fn recent(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.minutes.iter().enumerate().skip(self.minutes.len().saturating_sub(6))
    }

    /// Since the beginning of a minute.
    fn recent_seconds(&self, minute: Option<usize>) -> f64 {
        let start = minute.and_then(|n| self.minutes.get(n)).map_or(self.now, |slot| slot.start);
        let Millis(span) = Millis(self.now.0.saturating_sub(start.0).max(1));
        span as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-19T10:30:00Z.
    const START: u64 = 1_771_497_000_000;

    #[test]
    fn what_is_pending_stands_in_the_hour_in_which_it_comes_due() {
        let mut sum = Sum::new(Time(START));
        for (due, count) in [
            (START - 5, 1),
            (START, 2),
            (START + 1, 4),
            (START + HOUR / 2 - 1, 8),
            (START + HOUR / 2, 16),
            (START + 7 * 24 * HOUR, 32),
            (START + 7 * 24 * HOUR + HOUR / 2, 64),
        ] {
            sum.pending.plan(Time(due), count, Time(START));
        }
        let Pending { due, calendar, later, .. } = sum.pending;
        assert_eq!((due, later), (3, 64));
        assert_eq!(calendar.first(), Some(&(Time(START - HOUR / 2), 12)));
        assert_eq!(calendar[1], (Time(START + HOUR / 2), 16));
        assert_eq!(calendar.last(), Some(&(Time(START - HOUR / 2 + 7 * 24 * HOUR), 32)));
        assert_eq!(calendar.iter().map(|(_, count)| count).sum::<u64>(), 60);
    }

    #[test]
    fn the_worst_failed_most_and_then_longest() {
        let trouble = |failed, in_a_row, id| Trouble { failed, in_a_row, webhook: WebhookId(id) };
        let mut all = [trouble(0, 9, 1), trouble(3, 1, 2), trouble(3, 2, 3)];
        all.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(all.iter().map(|trouble| trouble.webhook.0).collect::<Vec<_>>(), [3, 2, 1]);
    }
}
