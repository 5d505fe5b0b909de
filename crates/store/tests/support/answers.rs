//! A model of the store, maps in RAM that are computed anew from the records each time; and the same questions put to the store.

use std::collections::{BTreeMap, BTreeSet};

use postrider_core::attempt::{Attempt, Outcome};
use postrider_core::delivery::{Cell, Status};
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, Position, Time, WebhookId, WorkspaceId};
use postrider_store::{Asleep, AttemptPlace, EventPlace, Lane, Reader, Summary};

use super::{DAY_MS, HOUR_MS, START, WEBHOOKS, WORKSPACES, id, workspace};

/// What the store shall answer.
#[derive(Debug, Default, PartialEq)]
pub struct Answers {
    pub asleep: BTreeSet<Asleep>,
    pub counts: BTreeMap<WebhookId, u64>,
    pub heads: BTreeMap<DeliveryKey, Option<Position>>,
    pub ids: BTreeMap<(u64, u8), Vec<Position>>,
    pub erased: BTreeMap<Position, Option<Position>>,
    pub added: BTreeMap<Position, u32>,
    pub attempts: BTreeMap<WebhookId, Vec<AttemptPlace>>,
    pub events: BTreeMap<WorkspaceId, Vec<EventPlace>>,
    pub hours: BTreeMap<WebhookId, Vec<(Time, Vec<u32>)>>,
}

fn outcomes(summary: &Summary) -> Vec<u32> {
    use Outcome::{Cancelled, Exhausted, Failed, Removed, Retrying, Succeeded};
    [Succeeded, Retrying, Exhausted, Removed, Cancelled, Failed].map(|outcome| summary.of(outcome)).to_vec()
}

fn day_of(time: Time) -> u64 {
    time.0 / DAY_MS
}

/// The answers by the model: of the records below `block`, days before `first_day` forgotten.
pub fn expected(records: &[Record], block: u64, first_day: u64) -> Answers {
    let covered = || records.iter().filter(|record| record.position.block() < block);
    let mut answers = Answers::default();
    let mut cells: BTreeMap<DeliveryKey, Cell> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    let mut newest: BTreeMap<DeliveryKey, Position> = BTreeMap::new();
    let mut accepted: BTreeMap<Position, Time> = BTreeMap::new();
    let mut hours: BTreeMap<(WebhookId, u64), Summary> = BTreeMap::new();
    let mut erased: BTreeMap<Position, Position> = BTreeMap::new();
    for webhook in (1..=WEBHOOKS).map(WebhookId) {
        answers.attempts.insert(webhook, Vec::new());
        answers.hours.insert(webhook, Vec::new());
    }
    for number in 0..WORKSPACES {
        answers.events.insert(workspace(number), Vec::new());
        (0..40).for_each(|n| drop(answers.ids.insert((number, n), Vec::new())));
    }
    for record in covered() {
        let is_kept = day_of(record.time) >= first_day;
        let mut note = |webhook: WebhookId, attempt: &Attempt, key: Option<DeliveryKey>| {
            if is_kept {
                let place = AttemptPlace::new(record.position, record.time, key, attempt);
                answers.attempts.get_mut(&webhook).unwrap().insert(0, place);
                if key.is_some() {
                    let summary = hours.entry((webhook, record.time.0 / HOUR_MS)).or_insert(Summary::EMPTY);
                    summary.count(attempt.outcome, postrider_store::Latency::of(attempt.exchange.duration));
                }
            }
        };
        match &record.fact {
            Fact::EventAccepted(event) => {
                cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                newest.extend(event_cells(event).map(|cell| (cell.key, record.position)));
                accepted.insert(event.at, record.time);
                if is_kept {
                    let deliveries = event.chosen.len() as u32;
                    let place = EventPlace { position: record.position, time: record.time, deliveries };
                    answers.events.get_mut(&event.workspace).unwrap().insert(0, place);
                    let number = event.workspace.0.to_u64() - 1000;
                    let own = event.id.as_str().strip_prefix("order-").map(|n| n.parse().unwrap());
                    own.into_iter().for_each(|n| answers.ids.get_mut(&(number, n)).unwrap().insert(0, record.position));
                }
            }
            Fact::AttemptFinished { cell, attempt, .. } => {
                cells.insert(cell.key, *cell);
                newest.insert(cell.key, record.position);
                note(cell.webhook, attempt, Some(cell.key));
            }
            Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                cells.insert(cell.key, *cell);
                newest.insert(cell.key, record.position);
            }
            Fact::EventErased { event, cancelled, .. } => {
                erased.insert(*event, record.position);
                for cell in cancelled {
                    cells.insert(cell.key, *cell);
                    newest.insert(cell.key, record.position);
                }
            }
            Fact::EventCarried { cells, .. } => newest.extend(cells.iter().map(|cell| (cell.key, record.position))),
            Fact::TestFinished { webhook, attempt, .. } => note(*webhook, attempt, None),
            Fact::WebhookDeleted { id, .. } | Fact::Restated(Restated::WebhookDeleted(id, _)) => drop(gone.insert(*id)),
            _ => unreachable!(),
        }
    }
    for cell in cells.values().filter(|cell| cell.status == Status::Pending && !gone.contains(&cell.webhook)) {
        let lane = if cell.is_fresh() { Lane::Fresh } else { Lane::Retry };
        answers.asleep.insert(Asleep { due: cell.due, key: cell.key, webhook: cell.webhook, lane });
        *answers.counts.entry(cell.webhook).or_default() += 1;
    }
    for (key, position) in newest {
        let is_kept = day_of(accepted[&key.event]) >= first_day;
        answers.heads.insert(key, is_kept.then_some(position));
        if is_kept && key.is_added() {
            *answers.added.entry(key.event).or_default() += 1;
        }
        answers.erased.insert(key.event, erased.get(&key.event).copied().filter(|_| is_kept));
    }
    for ((webhook, hour), summary) in hours {
        answers.hours.get_mut(&webhook).unwrap().push((Time(hour * HOUR_MS), outcomes(&summary)));
    }
    answers
}

/// By day: of all webhooks, and of every other one, between which there are others.
fn read_hours(reader: &Reader<'_>, answers: &mut Answers) -> Result<(), postrider_store::ReadError> {
    let all: Vec<_> = (1..=WEBHOOKS).map(WebhookId).collect();
    let some: Vec<_> = all.iter().copied().step_by(2).collect();
    answers.hours = all.iter().map(|webhook| (*webhook, Vec::new())).collect();
    let last = answers.attempts.values().flatten().map(|attempt| attempt.time.0).max().unwrap_or(START);
    for day in START / DAY_MS..=last / DAY_MS {
        let mut found = Vec::new();
        let mut note = |webhook, start, summary: &Summary| found.push((webhook, start, outcomes(summary)));
        assert!(reader.hourly(&all, Time(day * DAY_MS + 1), &mut note)? >= reader.at().history.block);
        let mut found_again = Vec::new();
        let mut note = |webhook, start, summary: &Summary| found_again.push((webhook, start, outcomes(summary)));
        reader.hourly(&some, Time(day * DAY_MS), &mut note)?;
        assert!(found.iter().filter(|(webhook, ..)| some.contains(webhook)).eq(&found_again));
        for (webhook, start, counts) in found {
            assert_eq!(start.0 / DAY_MS, day);
            answers.hours.entry(webhook).or_default().push((start, counts));
        }
    }
    Ok(())
}

/// The answers that the store gives, page by page. `keys` are the deliveries to ask for.
pub fn given(
    reader: &Reader<'_>,
    keys: impl Iterator<Item = DeliveryKey>,
    page: usize,
) -> Result<Answers, postrider_store::ReadError> {
    let mut answers = given_pending(reader, page)?;
    for key in keys {
        answers.heads.insert(key, reader.head(key)?);
        answers.erased.insert(key.event, reader.erased(key.event)?);
    }
    let last = Position::from_u64(u64::MAX);
    answers.added = reader.added(Position::default(), last)?.into_iter().collect();
    for (event, count) in &answers.added {
        assert_eq!(reader.added(*event, *event)?, [(*event, *count)]);
    }
    for webhook in (1..=WEBHOOKS).map(WebhookId) {
        let mut all: Vec<AttemptPlace> = Vec::new();
        loop {
            let before = all.last().map(|attempt| attempt.position);
            let some = reader.attempts(webhook, before, page)?;
            all.extend(&some);
            if some.len() < page {
                break;
            }
        }
        assert_eq!(reader.attempts_len(webhook)?, all.len() as u64);
        answers.attempts.insert(webhook, all);
    }
    read_hours(reader, &mut answers)?;
    for number in 0..WORKSPACES {
        let workspace = workspace(number);
        let mut all: Vec<EventPlace> = Vec::new();
        loop {
            let before = all.last().map(|event| event.position);
            let some = reader.events(workspace, before, page)?;
            all.extend(&some);
            if some.len() < page {
                break;
            }
        }
        assert_eq!(reader.events_len(workspace)?, all.len() as u64);
        let from = all.get(all.len() / 2).map_or(Position::default(), |place| place.position);
        let up: Vec<_> = all.iter().rev().filter(|place| place.position >= from).copied().collect();
        assert_eq!(reader.events_up(workspace, from, usize::MAX)?, up);
        assert_eq!(reader.events_up(workspace, from, 3)?, up[..up.len().min(3)]);
        for place in &all {
            assert!(reader.day_begin(place.time).is_some_and(|begin| begin <= place.position));
            let next = reader.day_begin(Time(place.time.0 + DAY_MS));
            assert!(next.is_none_or(|begin| begin > place.position));
        }
        answers.events.insert(workspace, all);
        for n in 0..40 {
            answers.ids.insert((number, n), reader.candidates(workspace, &id(n))?);
        }
    }
    Ok(answers)
}

/// The part of the answers that is about what is pending.
pub fn given_pending(reader: &Reader<'_>, page: usize) -> Result<Answers, postrider_store::ReadError> {
    let mut answers = Answers::default();
    let mut add = |some: &[Asleep], after: &mut Option<Asleep>| {
        for asleep in some {
            assert!(Some(*asleep) > *after, "in order");
            assert!(answers.asleep.insert(*asleep), "once: {asleep:?}");
            *after = Some(*asleep);
        }
        some.len() == page
    };
    let mut after = None;
    while add(&reader.due(after, Time(u64::MAX), page)?, &mut after) {}
    let first = reader.next_due(None)?;
    assert!(first.is_none_or(|first| first >= reader.swept()));
    for webhook in (1..=WEBHOOKS).map(WebhookId) {
        for lane in [Lane::Fresh, Lane::Retry] {
            let mut after = None;
            while add(&reader.backlog(webhook, lane, after, page)?, &mut after) {}
            assert!(after.is_none_or(|last| last.due < reader.swept() && (last.webhook, last.lane) == (webhook, lane)));
        }
    }
    assert_eq!(reader.asleep_len(), answers.asleep.len() as u64);
    answers.counts = reader.pending_by_webhook().collect();
    answers.counts.iter().for_each(|(webhook, n)| assert_eq!(reader.pending(*webhook), *n));
    Ok(answers)
}
