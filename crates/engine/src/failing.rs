//! Webhooks that fail for long: whoever runs the server is warned, then they are switched off.
//!
//! A thread looks at how the webhooks are doing, as the views tell it. How long one has failed is what was seen: from the beginning of its
//! first failed attempt to that of its last, none in between having succeeded; a webhook that gets no events never fails for long. What is
//! told is an event of a workspace with the profile `operator`, accepted and delivered like any other. Its id says what it is about, so that
//! it is told once, also when the process ends between the deed and the telling: all but that a webhook was switched on again, which is
//! told by the process that saw it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use postrider_core::command::Command;
use postrider_core::profile::OPERATOR;
use postrider_core::webhook::Webhook;
use postrider_core::{Millis, WebhookId, WorkspaceId};
use serde_json::json;

use crate::handle::{Handle, Refused};
use crate::intake::EventDraft;
use crate::shard::PROBE_EVERY_DEFAULT;
use crate::views::Failing;

/// What becomes of webhooks that fail for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailingRules {
    /// Tell when all attempts have failed for so long; `None`: never.
    pub warn_after: Option<Millis>,
    /// Switch it off when they have failed for so long; `None`: never.
    pub off_after: Option<Millis>,
    /// Try one that was switched off so often.
    pub probe_every: Millis,
}

impl Default for FailingRules {
    fn default() -> FailingRules {
        FailingRules { warn_after: None, off_after: None, probe_every: PROBE_EVERY_DEFAULT }
    }
}

/// The shortest and the longest time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Looks within the shortest of the times that count.
const LOOKS: u32 = 10;
/// Webhooks that are looked at while the views are locked.
const LOCKED_AT_ONCE: usize = 128;

impl FailingRules {
    fn shortest(&self) -> Option<Millis> {
        self.warn_after.into_iter().chain(self.off_after).min()
    }
}

/// The thread, and how it is told to end.
pub struct Watching {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watching {
    /// Ends it. What it waits for the engine to answer must come, or the engine have ended.
    pub fn stop(self) {
        drop(self.stop);
        // It has nothing to tell: what it saw and did not do is seen again at the next start.
        let _ = self.thread.join();
    }
}

/// Starts to look; `None` where nothing is to come of it.
///
/// # Errors
/// When no thread can be had.
pub fn start(handle: Handle, rules: FailingRules) -> std::io::Result<Option<Watching>> {
    let Some(shortest) = rules.shortest() else { return Ok(None) };
    let every = (Duration::from(shortest) / LOOKS).clamp(LOOK_MIN, LOOK_MAX);
    let (stop, stopped) = bounded(0);
    let watch = Watch { handle, rules, told: BTreeSet::new(), off: BTreeSet::new() };
    let thread = std::thread::Builder::new().name("failing".into()).spawn(move || watch.run(every, &stopped))?;
    Ok(Some(Watching { stop, thread }))
}

struct Watch {
    handle: Handle,
    rules: FailingRules,
    /// Ids of what was told by this process and still holds.
    told: BTreeSet<String>,
    /// Webhooks that are off since they fail.
    off: BTreeSet<WebhookId>,
}

/// What there is to tell of a webhook.
struct Notice {
    event_type: &'static str,
    webhook: Arc<Webhook>,
    failing: Option<Failing>,
}

impl Notice {
    /// The same for the same thing, whoever tells it.
    fn id(&self) -> String {
        let since = self.failing.map_or(self.webhook.updated_at, |failing| failing.since);
        format!("{}-{}-{}", self.event_type.replace('.', "_"), self.webhook.id, since.0)
    }

    fn data(&self, workspace_name: &str) -> Bytes {
        let webhook = &self.webhook;
        let mut data = json!({
            "workspace": { "id": webhook.workspace.to_string(), "name": workspace_name },
            "webhook": { "id": webhook.id.0, "name": webhook.settings.name },
        });
        if let Some(failing) = self.failing {
            data["failingSince"] = failing.since.to_string().into();
            data["lastFailureAt"] = failing.last.to_string().into();
            data["consecutiveFailures"] = failing.consecutive.into();
        }
        data.to_string().into()
    }
}

/// What came of one look, or of one telling: what was refused holds up nothing else, and is tried again with the next.
#[derive(Default)]
struct Round {
    /// Ids of what was told and holds.
    held: BTreeSet<String>,
    refused: Option<Refused>,
}

impl Round {
    /// Whether it was told.
    ///
    /// # Errors
    /// The engine has ended.
    fn take(&mut self, told: Result<String, Refused>) -> Result<bool, Refused> {
        let told = told.map(|id| self.held.insert(id));
        self.did(told.map(|_| true))
    }

    /// Whether it was done.
    ///
    /// # Errors
    /// The engine has ended.
    fn did(&mut self, done: Result<bool, Refused>) -> Result<bool, Refused> {
        match done {
            Ok(done) => Ok(done),
            Err(Refused::Closed) => Err(Refused::Closed),
            Err(refused) => {
                self.refused.get_or_insert(refused);
                Ok(false)
            }
        }
    }

    /// # Errors
    /// The first that was refused.
    fn end(self) -> Result<(), Refused> {
        self.refused.map_or(Ok(()), Err)
    }
}

impl Watch {
    fn run(mut self, every: Duration, stopped: &Receiver<()>) {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            match self.look() {
                Ok(()) => {}
                Err(Refused::Closed) => return,
                // The next look finds the same again.
                Err(error) => tracing::warn!(%error, "webhooks that fail cannot be dealt with just now"),
            }
        }
    }

    /// One that cannot be dealt with leaves the others to be dealt with.
    fn look(&mut self) -> Result<(), Refused> {
        let mut round = Round::default();
        for (webhook, failing) in self.failing() {
            let lasted = failing.last.since(failing.since);
            let is_over = |limit: Option<Millis>| limit.is_some_and(|limit| lasted >= limit);
            if is_over(self.rules.warn_after) {
                let (event_type, webhook) = ("webhook.failing", webhook.clone());
                round.take(self.tell(Notice { event_type, webhook, failing: Some(failing) }))?;
            }
            let is_off = webhook.failing_since.is_some()
                || (is_over(self.rules.off_after) && round.did(self.switch_off(&webhook, failing))?);
            if is_off {
                let since = webhook.failing_since.unwrap_or(failing.since);
                let failing = Some(Failing { since, ..failing });
                self.off.insert(webhook.id);
                round.take(self.tell(Notice { event_type: "webhook.switched_off", webhook, failing }))?;
            }
        }
        self.told = std::mem::take(&mut round.held);
        self.tell_recoveries(&mut round)?;
        round.end()
    }

    /// All that fail and might be over one of the limits, or are off for it; each webhook as it was when it was seen to fail.
    fn failing(&self) -> Vec<(Arc<Webhook>, Failing)> {
        let shortest = self.rules.shortest().unwrap_or_default();
        let (mut found, mut after, mut is_all) = (Vec::new(), None, false);
        while !is_all {
            let views = self.handle.0.shared.views.read();
            let mut looked_at = 0;
            for (id, _, summary) in views.summaries(after).take(LOCKED_AT_ONCE) {
                // One that is off for it is seen whatever the limits are now.
                let is_seen = |failing: &Failing, webhook: &Webhook| {
                    webhook.failing_since.is_some() || failing.last.since(failing.since) >= shortest
                };
                let found_here = views.webhook(id).cloned().zip(summary.failing());
                found.extend(found_here.filter(|(webhook, failing)| is_seen(failing, webhook)));
                after = Some(id);
                looked_at += 1;
            }
            is_all = looked_at < LOCKED_AT_ONCE;
        }
        found
    }

    /// Whether it is off now, for this.
    fn switch_off(&self, webhook: &Webhook, failing: Failing) -> Result<bool, Refused> {
        let Webhook { id, workspace, version, .. } = *webhook;
        if !webhook.settings.enabled {
            return Ok(false);
        }
        let command = Command::SwitchOff { workspace, id, version, failing_since: failing.since };
        match self.handle.ask_blocking(command) {
            Ok(_) => {}
            // Deleted meanwhile.
            Err(Refused::Rejected(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        let directory = self.handle.0.shared.directory.read();
        let is_off = directory.webhook(id).is_some_and(|webhook| webhook.failing_since.is_some());
        if is_off {
            let (since, failures) = (failing.since, failing.consecutive);
            tracing::warn!(webhook = %id, %workspace, %since, failures, "a webhook that fails was switched off");
        }
        Ok(is_off)
    }

    fn tell_recoveries(&mut self, round: &mut Round) -> Result<(), Refused> {
        for id in self.off.clone() {
            let webhook = self.handle.0.shared.directory.read().webhook(id).cloned();
            let is_told = match webhook {
                Some(webhook) if webhook.failing_since.is_some() => false,
                // Its owner may have done it as well: it is on.
                Some(webhook) if webhook.settings.enabled => {
                    round.take(self.tell(Notice { event_type: "webhook.switched_on", webhook, failing: None }))?
                }
                _ => true,
            };
            if is_told {
                self.off.remove(&id);
            }
        }
        Ok(())
    }

    /// Publishes it to all that want to know, unless it was told; says its id.
    fn tell(&mut self, notice: Notice) -> Result<String, Refused> {
        let id = notice.id();
        if self.told.contains(&id) {
            return Ok(id);
        }
        let (listeners, name) = {
            let directory = self.handle.0.shared.directory.read();
            let of_operator = directory.workspaces().filter(|workspace| &*workspace.profile == OPERATOR);
            let listeners: Vec<WorkspaceId> = of_operator.map(|workspace| workspace.id).collect();
            (listeners, directory.workspace(notice.webhook.workspace).map(|workspace| workspace.name.to_string()))
        };
        let mut round = Round::default();
        for workspace in listeners {
            let draft = EventDraft {
                id: Some(id.clone()),
                event_type: notice.event_type.to_owned(),
                created: None,
                data: notice.data(name.as_deref().unwrap_or_default()),
            };
            let published = self.handle.check_event(workspace, draft);
            let published = published.and_then(|event| self.handle.ask_blocking(Command::Publish { workspace, event }));
            round.did(match published {
                // Told before, with figures of then.
                Ok(_) | Err(Refused::Rejected(_)) => Ok(true),
                Err(error) => Err(error),
            })?;
        }
        round.end()?;
        self.told.insert(id.clone());
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_holds_up_no_other_and_is_said_at_the_end() {
        let mut round = Round::default();
        assert!(matches!(round.take(Err(Refused::Overloaded)), Ok(false)));
        assert!(matches!(round.take(Ok("a".into())), Ok(true)));
        assert!(matches!(round.did(Err(Refused::Full)), Ok(false)));
        assert!(matches!(round.did(Ok(false)), Ok(false)));
        assert!(matches!(round.take(Ok("a".into())), Ok(true)), "also what was told before");
        assert_eq!(round.held.iter().collect::<Vec<_>>(), ["a"]);
        assert!(matches!(round.end(), Err(Refused::Overloaded)), "the first");
    }

    #[test]
    fn an_engine_that_has_ended_ends_it() {
        let mut round = Round::default();
        assert!(matches!(round.take(Ok("a".into())), Ok(true)));
        assert!(matches!(round.did(Err(Refused::Closed)), Err(Refused::Closed)));
        assert!(matches!(round.take(Err(Refused::Closed)), Err(Refused::Closed)));
        assert!(round.end().is_ok());
    }
}
