//! Publishers: new events, the same again, and another one under a used id.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use postrider_core::command::Command;
use postrider_core::machine::Entropy;
use postrider_core::profile::Profile;
use postrider_core::{Time, WorkspaceId, limits};
use postrider_engine::{EventDraft, check_event};

use crate::chance::Chance;
use crate::checker::Asked;
use crate::trouble::{Trouble, Troubles};

/// Types that publishers use, by profile; webhooks choose among the same.
pub fn types_of(profile: &str) -> &'static [&'static str] {
    match profile {
        "genesy" => &["EMAIL_SENT", "MESSAGE_REPLIED", "POST_LIKED"],
        "snaily" => &["contact.connected", "contact.replied", "invitation.sent"],
        _ => &["order.paid", "order.sent"],
    }
}

/// Campaigns that events and webhooks name: the samples' own, and others.
pub const CAMPAIGNS: [&str; 4] = ["4821", "campaign-id-456", "7", "8"];

/// Events that may be published again.
const REMEMBERED: usize = 200;

/// See the module.
#[derive(Default)]
pub struct Publishers {
    recent: VecDeque<(WorkspaceId, Arc<Profile>, EventDraft)>,
    made: u64,
}

impl Publishers {
    /// The next event for one of the workspaces.
    pub fn next(
        &mut self,
        workspaces: &[(WorkspaceId, Box<str>)],
        profiles: &[Arc<Profile>],
        now: Time,
        troubles: Troubles,
        chance: &mut Chance,
    ) -> Option<(Command, Asked)> {
        let (workspace, profile, draft) = match chance.below(10) {
            0 if !troubles.has(Trouble::Repost) => return None,
            1 if !troubles.has(Trouble::OtherBody) => return None,
            0 => self.again(chance, |draft| draft)?,
            1 => self.again(chance, other_body)?,
            _ => self.new_event(workspaces, profiles, now, chance)?,
        };
        let checked = check_event(&profile, draft, limits::EVENT_BYTES_DEFAULT);
        let event = checked.expect("samples pass their schemas, whatever their campaign");
        let asked = Asked::Publish(workspace, event.id.clone(), event.digest);
        Some((Command::Publish { workspace, event }, asked))
    }

    fn again(
        &self,
        chance: &mut Chance,
        change: impl Fn(EventDraft) -> EventDraft,
    ) -> Option<(WorkspaceId, Arc<Profile>, EventDraft)> {
        let nth = chance.below(self.recent.len() as u64) as usize;
        let (workspace, profile, draft) = self.recent.get(nth)?;
        Some((*workspace, Arc::clone(profile), change(draft.clone())))
    }

    fn new_event(
        &mut self,
        workspaces: &[(WorkspaceId, Box<str>)],
        profiles: &[Arc<Profile>],
        now: Time,
        chance: &mut Chance,
    ) -> Option<(WorkspaceId, Arc<Profile>, EventDraft)> {
        let (workspace, name) = chance.pick(workspaces)?;
        let profile = profiles.iter().find(|profile| profile.name == *name)?;
        let event_type = chance.pick(types_of(name))?;
        let sample = std::str::from_utf8(profile.sample(event_type)?).ok()?;
        let campaign = chance.pick(&CAMPAIGNS)?;
        let data = sample.replace("\"campaign-id-456\"", &format!("\"{campaign}\"")).replace("4821", "7");
        let data = if chance.one_in(2) { data } else { sample.to_owned() };
        self.made += 1;
        let id = chance.one_in(3).then(|| format!("order-{}", self.made));
        // Whole seconds, so that times collide.
        let created =
            chance.one_in(3).then(|| Time((now.0 / 1000 * 1000).saturating_sub(chance.below(3) * 1000)).to_string());
        let draft = EventDraft { id, event_type: (*event_type).into(), created, data: Bytes::from(data) };
        if draft.id.is_some() {
            self.recent.push_back((*workspace, Arc::clone(profile), draft.clone()));
            self.recent.truncate(REMEMBERED);
            if self.recent.len() == REMEMBERED {
                self.recent.drain(..chance.next_u64() as usize % REMEMBERED);
            }
        }
        Some((*workspace, Arc::clone(profile), draft))
    }
}

/// The same members, other bytes.
fn other_body(draft: EventDraft) -> EventDraft {
    let data = [&draft.data[..], b" "].concat().into();
    EventDraft { data, ..draft }
}
