//! The decision about a published event: is it new, when did it happen, who gets it.

use std::sync::Arc;

use super::{Decision, Kernel, Moment};
use crate::command::{Accepted, Rejection, Reply};
use crate::event::{Chosen, Event, NewEvent};
use crate::fact::Fact;
use crate::ids::{EventId, WorkspaceId};

pub(super) fn publish(
    kernel: &Kernel,
    earlier: Option<&Event>,
    workspace: WorkspaceId,
    new: &NewEvent,
    moment: &mut Moment<'_>,
) -> Result<Decision, Rejection> {
    let (profile_at, profile) = kernel.directory.profile_of(workspace).ok_or(Rejection::NoWorkspace)?;
    if let Some(earlier) = earlier {
        return repeat(earlier, new);
    }
    let created = match &new.created {
        Some(given) => given.clone(),
        None => moment.now.to_string().into(),
    };
    let created = match profile.created.unique {
        true => kernel.timestamps.free_from(workspace, &new.event_type, &created),
        false => created,
    };
    let campaign = new.campaign.as_deref();
    let subscribers = kernel.directory.subscribers(workspace, &new.event_type, campaign);
    let chosen: Arc<[Chosen]> = subscribers.map(|w| Chosen { webhook: w.id, revision: w.revision }).collect();
    let id = match &new.id {
        Some(id) => id.clone(),
        None => EventId::generate(moment.at, moment.entropy.next_u64() as u32),
    };
    let reply = Accepted { id: id.clone(), duplicate: false, deliveries: chosen.len() as u32 };
    let event = Event {
        at: moment.at,
        accepted: moment.now,
        workspace,
        id,
        event_type: new.event_type.clone(),
        created,
        campaign: new.campaign.clone(),
        digest: new.digest,
        payload_len: new.data.len() as u32,
        profile: profile_at,
        chosen,
    };
    Ok(Decision::one(Fact::EventAccepted(Arc::new(event)), Reply::Accepted(reply)))
}

fn repeat(earlier: &Event, new: &NewEvent) -> Result<Decision, Rejection> {
    if earlier.digest != new.digest {
        return Err(Rejection::IdTaken);
    }
    let deliveries = earlier.chosen.len() as u32;
    Ok(Decision::nothing(Reply::Accepted(Accepted { id: earlier.id.clone(), duplicate: true, deliveries })))
}
