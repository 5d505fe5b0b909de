//! Why a webhook got an event, or did not: the filter evaluated again on what the webhook was when the event was accepted.

use postrider_core::delivery::{Cell, Status};
use postrider_core::event::Event;
use postrider_core::webhook::{History, Unwanted};
use postrider_core::{DeliveryKey, EventId, WebhookId, WorkspaceId};

use super::{Look, Views};
use crate::stored::StoredError;

/// What became of an event for one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Which webhook.
    pub webhook: WebhookId,
    /// The answer.
    pub verdict: Verdict,
    /// The delivery, where the webhook was chosen, or a replay has added one.
    pub delivery: Option<DeliveryKey>,
}

/// Why, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was chosen, then or by a replay; so its delivery stands.
    Chosen(Status),
    /// It was not chosen, for this reason.
    Unwanted(Unwanted),
    /// It did not exist yet.
    CreatedLater,
    /// It existed no more.
    Deleted,
}

impl Verdict {
    /// The code in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Chosen(status) => status.as_str(),
            Verdict::Unwanted(Unwanted::Off) => "webhook_off",
            Verdict::Unwanted(Unwanted::Type) => "type_not_subscribed",
            Verdict::Unwanted(Unwanted::Campaign) => "campaign_not_listed",
            Verdict::CreatedLater => "created_later",
            Verdict::Deleted => "deleted",
        }
    }
}

fn verdict(history: &History, event: &Event) -> Verdict {
    if history.deleted().is_some_and(|at| at < event.at) {
        return Verdict::Deleted;
    }
    let then = history.before(event.at).map(|then| then.settings.wants(&event.event_type, event.campaign.as_deref()));
    match then {
        Some(Err(reason)) => Verdict::Unwanted(reason),
        // A webhook that wanted the event was chosen; `explain` has found its delivery before it came here.
        Some(Ok(())) | None => Verdict::CreatedLater,
    }
}

impl Look<'_> {
    /// What became of an event for each webhook that there is or was, or for the one that is named; `None` when there is no such event, or no
    /// such webhook ever was. Webhooks that were deleted are among them for as long as anything is kept of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn explain(
        &self,
        workspace: WorkspaceId,
        id: &EventId,
        named: Option<WebhookId>,
    ) -> Result<Option<Vec<Explanation>>, StoredError> {
        let Some(event) = self.event_with_id(workspace, id)? else { return Ok(None) };
        let cells = self.cells_of(&event)?;
        let views = self.views.read();
        if let Some(webhook) = named {
            return Ok(views.explain_one(&event, &cells, webhook).map(|explanation| vec![explanation]));
        }
        let histories = views.directory.histories_in(workspace);
        Ok(histories.map(|(webhook, _)| views.explain_one(&event, &cells, webhook)).collect())
    }
}

impl Views {
    /// `cells` are all of the event's.
    fn explain_one(&self, event: &Event, cells: &[Cell], webhook: WebhookId) -> Option<Explanation> {
        let is_theirs = |history: &&History| history.versions()[0].workspace == event.workspace;
        let history = self.directory.history(webhook).filter(is_theirs)?;
        let cell = cells.iter().find(|cell| cell.webhook == webhook);
        let verdict = cell.map_or_else(|| verdict(history, event), |cell| Verdict::Chosen(self.status_of(cell)));
        Some(Explanation { webhook, verdict, delivery: cell.map(|cell| cell.key) })
    }
}
