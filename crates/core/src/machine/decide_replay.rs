//! Decisions about replays: whether one may begin, and what one step makes due.

use super::{Decision, Kernel, Moment};
use crate::command::{Rejection, Reply};
use crate::delivery::{Cell, Status, Was};
use crate::fact::Fact;
use crate::ids::{DeliveryKey, Position, ReplayId, WebhookId, WorkspaceId};
use crate::limits;
use crate::replay::{Ahead, Candidate, Judgement, Replay, ReplayState, Wish};
use crate::time::Time;
use crate::webhook::Webhook;

pub(super) fn start(
    kernel: &Kernel,
    workspace: WorkspaceId,
    webhook: WebhookId,
    wish: &Wish,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let target = kernel.directory.webhook_in(workspace, webhook).ok_or(Rejection::NoWebhook)?;
    if !target.settings.enabled {
        return Err(Rejection::WebhookOff);
    }
    if kernel.replays.open(workspace) >= limits::REPLAYS_OPEN_MAX {
        let what = "replays in a workspace that have not ended";
        return Err(Rejection::TooMany { what, max: limits::REPLAYS_OPEN_MAX });
    }
    let replay = Box::new(Replay {
        id: ReplayId(moment.at),
        workspace,
        webhook,
        wish: wish.clone(),
        started_at: moment.now,
        state: ReplayState::Running,
        next: Position::default(),
        created: 0,
        skipped: 0,
    });
    Ok(Decision::one(Fact::ReplayStarted(replay.clone()), Reply::Replay(replay)))
}

/// What it is already is no error and no second fact; neither is the end of one that has ended.
pub(super) fn change(
    kernel: &Kernel,
    workspace: WorkspaceId,
    id: ReplayId,
    state: ReplayState,
) -> Result<Decision, Rejection> {
    let replay = kernel.replays.get(workspace, id).ok_or(Rejection::NoReplay)?;
    let is_over = replay.state.is_over();
    if is_over && state != ReplayState::Cancelled {
        return Err(Rejection::ReplayEnded(replay.state));
    }
    if is_over || replay.state == state {
        return Ok(Decision::nothing(Reply::Replay(Box::new(replay.clone()))));
    }
    let changed = Box::new(Replay { state, ..replay.clone() });
    Ok(Decision::one(Fact::ReplayChanged { workspace, id, state }, Reply::Replay(changed)))
}

/// Looks at the events that were read ahead from the replay's place on, and makes due at most `room` deliveries; it stops before the one
/// that would be one more. Place and deliveries are facts of one decision, hence of one block: after a crash there are both or neither.
pub(super) fn advance(
    kernel: &Kernel,
    read: Option<&Ahead>,
    workspace: WorkspaceId,
    id: ReplayId,
    room: usize,
    moment: &Moment<'_>,
) -> Result<Decision, Rejection> {
    let running = kernel.replays.get(workspace, id).filter(|replay| replay.state == ReplayState::Running);
    let replay = running.ok_or(Rejection::NoReplay)?;
    let webhook = kernel.directory.webhook_in(workspace, replay.webhook).ok_or(Rejection::NoWebhook)?;
    if !webhook.settings.enabled {
        return Err(Rejection::WebhookOff);
    }
    let Some(read) = read else { return Ok(Decision::nothing(Reply::Done)) };
    let (mut due, mut skipped, mut next) = (Vec::new(), 0, read.read_to.min(replay.end()));
    let ahead = replay.next..next;
    for candidate in read.candidates.iter().filter(|candidate| ahead.contains(&candidate.event.at)) {
        match replay.wish.judge(&webhook.settings, candidate) {
            Judgement::Pass => {}
            Judgement::Skip => skipped += 1,
            Judgement::Deliver if due.len() == room => {
                next = candidate.event.at;
                break;
            }
            Judgement::Deliver => due.push(make_due(webhook, candidate, moment.now)),
        }
    }
    if next <= replay.next {
        return Ok(Decision::nothing(Reply::Done));
    }
    let advanced = Fact::ReplayAdvanced { workspace, id, next, released: due.len() as u32, skipped };
    Ok(Decision { facts: std::iter::once(advanced).chain(due).collect(), reply: Reply::Done })
}

/// One that ended begins a new schedule, as by hand; one that never was begins with the custom fields of now.
fn make_due(webhook: &Webhook, candidate: &Candidate, now: Time) -> Fact {
    match &candidate.delivery {
        Some(old) => {
            let cell = Cell { status: Status::Pending, due: now, attempts_before: old.attempts, ..*old };
            Fact::RetryRequested { cell, was: Was::from(old) }
        }
        None => {
            let key = DeliveryKey::added(candidate.event.at, candidate.added);
            let cell = Cell::fresh(key, webhook.workspace, webhook.id, webhook.revision, now);
            Fact::DeliveryAdded { cell }
        }
    }
}
