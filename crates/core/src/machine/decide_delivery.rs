//! Decisions about one delivery: what its attempt's outcome leads to, and whether a person may have it sent again.

use std::sync::Arc;

use super::{Decision, Kernel, Moment, Prior, decide_switch};
use crate::attempt::{Attempt, Outcome};
use crate::command::{Finish, Measured, Rejection, Reply};
use crate::delivery::{Cell, Status, Was};
use crate::fact::Fact;
use crate::ids::{EventId, WebhookId, WorkspaceId};
use crate::profile::Terminal;

/// Files the end of an attempt and schedules the next one by the policy in force now, counted from now, which is after the attempt's end:
/// so a retry is never early.
pub(super) fn finish(
    kernel: &Kernel,
    cell: Option<&Cell>,
    finish: &Finish,
    moment: &mut Moment<'_>,
) -> Result<Decision, Rejection> {
    let old = cell.ok_or(Rejection::NoDelivery)?;
    let mut cell = Cell { attempts: old.attempts + 1, last_attempt: Some(moment.at), ..*old };
    let outcome = if finish.measured.exchange.failure.is_none() {
        cell.status = Status::Succeeded;
        Outcome::Succeeded
    } else {
        fail(kernel, &mut cell, finish, moment)
    };
    let filed = file(kernel, &finish.measured, cell.attempts, outcome);
    let mut attempt = Attempt { previous: old.last_attempt, ..filed };
    let reply = Reply::Recorded(attempt.id);
    let switched = decide_switch::by_answer(kernel, &cell, &finish.measured, moment);
    if let Some(failure) = attempt.exchange.failure.as_mut().filter(|_| switched.is_some()) {
        failure.message = decide_switch::GONE_MESSAGE.into();
    }
    let mut facts = vec![Fact::AttemptFinished { cell, was: Was::from(old), attempt }];
    facts.extend(switched.map(|webhook| Fact::WebhookChanged(Arc::new(webhook))));
    Ok(Decision { facts, reply })
}

fn fail(kernel: &Kernel, cell: &mut Cell, finish: &Finish, moment: &mut Moment<'_>) -> Outcome {
    let webhook = kernel.directory.webhook(cell.webhook);
    let profile = kernel.directory.profile_of(cell.workspace);
    let (Some(webhook), Some((_, profile))) = (webhook, profile) else {
        cell.status = Status::Cancelled;
        return Outcome::Cancelled;
    };
    if cell.status == Status::Cancelled {
        return Outcome::Cancelled;
    }
    let policy = webhook.settings.retry_policy.as_ref().unwrap_or(&profile.retry);
    let failures = cell.attempts - cell.attempts_before;
    match policy.delay_after(failures, finish.measured.exchange.retry_after, moment.entropy.next_u64()) {
        Some(delay) => {
            cell.due = moment.now + delay;
            Outcome::Retrying
        }
        None => match profile.terminal {
            Terminal::Exhausted => {
                cell.status = Status::Exhausted;
                Outcome::Exhausted
            }
            Terminal::Removed => {
                cell.status = Status::Removed;
                Outcome::Removed
            }
        },
    }
}

/// A pending delivery takes its next scheduled attempt now; one that ended, and may be sent again, begins a new schedule.
pub(super) fn retry(
    kernel: &Kernel,
    prior: Prior<'_>,
    workspace: WorkspaceId,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let old = prior.cell.filter(|cell| cell.workspace == workspace).ok_or(Rejection::NoDelivery)?;
    let Some(webhook) = kernel.directory.webhook(old.webhook) else {
        let status = if old.status == Status::Pending { Status::Cancelled } else { old.status };
        return Err(Rejection::Ended(status));
    };
    if matches!(old.status, Status::Removed | Status::Cancelled) {
        return Err(Rejection::Ended(old.status));
    }
    if prior.is_erased {
        return Err(Rejection::Erased);
    }
    if prior.in_flight {
        return Err(Rejection::InFlight);
    }
    if !webhook.settings.enabled {
        return Err(Rejection::WebhookOff);
    }
    let mut cell = Cell { status: Status::Pending, due: moment.now, ..*old };
    if old.status != Status::Pending {
        cell.attempts_before = old.attempts;
    } else if old.due <= moment.now {
        return Ok(Decision::nothing(Reply::Delivery(*old)));
    }
    Ok(Decision::one(Fact::RetryRequested { cell, was: Was::from(old) }, Reply::Delivery(cell)))
}

pub(super) fn record_test(
    kernel: &Kernel,
    workspace: WorkspaceId,
    webhook: WebhookId,
    event_id: &EventId,
    event_type: &str,
    measured: &Measured,
) -> Result<Decision, Rejection> {
    kernel.directory.webhook_in(workspace, webhook).ok_or(Rejection::NoWebhook)?;
    let outcome = if measured.exchange.failure.is_none() { Outcome::Succeeded } else { Outcome::Failed };
    let attempt = file(kernel, measured, 1, outcome);
    let reply = Reply::Recorded(attempt.id);
    let (event_id, event_type) = (event_id.clone(), event_type.into());
    Ok(Decision::one(Fact::TestFinished { workspace, webhook, event_id, event_type, attempt }, reply))
}

fn file(kernel: &Kernel, measured: &Measured, number: u32, outcome: Outcome) -> Attempt {
    Attempt {
        id: kernel.next_attempt_id(),
        number,
        started: measured.started,
        exchange: measured.exchange.clone(),
        outcome,
        webhook_version: measured.webhook_version,
        previous: None,
    }
}
