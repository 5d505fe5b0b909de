//! The wire type of a replay.

use bincode::{BorrowDecode, Encode};
use postrider_core::replay::{Only, Replay, Wish};
use postrider_core::{ReplayId, Time, WebhookId, WorkspaceId};

use super::{At, Span, at, position, replay_state, replay_state_byte, span, time};

#[derive(Encode, BorrowDecode)]
pub(in crate::codec) struct WireReplay<'a> {
    id: At,
    workspace: At,
    webhook: u64,
    since: Span,
    until: Option<Span>,
    event_types: Vec<&'a str>,
    only: u8,
    started_at: Span,
    state: u8,
    next: At,
    created: u64,
    skipped: u64,
}

byte_enum!(only_byte, only, Only: 0 = Failed, 1 = All, 2 = Missed);

impl<'a> WireReplay<'a> {
    pub(super) fn from_domain(replay: &'a Replay, base: Time) -> WireReplay<'a> {
        WireReplay {
            id: at(replay.id.0),
            workspace: at(replay.workspace.0),
            webhook: replay.webhook.0,
            since: span(replay.wish.since, base),
            until: replay.wish.until.map(|until| span(until, base)),
            event_types: replay.wish.event_types.iter().map(|name| &**name).collect(),
            only: only_byte(replay.wish.only),
            started_at: span(replay.started_at, base),
            state: replay_state_byte(replay.state),
            next: at(replay.next),
            created: replay.created,
            skipped: replay.skipped,
        }
    }

    pub(super) fn into_domain(self, base: Time) -> Result<Replay, String> {
        Ok(Replay {
            id: ReplayId(position(self.id)?),
            workspace: WorkspaceId(position(self.workspace)?),
            webhook: WebhookId(self.webhook),
            wish: Wish {
                since: time(self.since, base),
                until: self.until.map(|until| time(until, base)),
                event_types: self.event_types.into_iter().map(Into::into).collect(),
                only: only(self.only)?,
            },
            started_at: time(self.started_at, base),
            state: replay_state(self.state)?,
            next: position(self.next)?,
            created: self.created,
            skipped: self.skipped,
        })
    }
}
