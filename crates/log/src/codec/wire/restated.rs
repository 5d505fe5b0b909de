//! The wire types of what is carried over and restated, so that the log can begin later.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{BorrowDecode, Encode};
use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Restated, TakenTimes};
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::workspace::Workspace;
use postrider_core::{Position, Time, WebhookId, WorkspaceId};

use super::{
    At, Form, Span, WireCell, WireEvent, WireExtras, WireKey, WireReplay, WireSigning, WireWebhook, at, position, span,
    time,
};

/// The event with its own position and time of acceptance, and its deliveries.
#[derive(Encode, BorrowDecode)]
pub(in crate::codec) struct WireCarried<'a> {
    at: At,
    accepted: Span,
    event: WireEvent<'a>,
    cells: Vec<WireCell>,
}

/// A part of the state. The number of a variant is its place in this list: append only.
#[derive(Encode, BorrowDecode)]
pub(in crate::codec) enum WireRestated<'a> {
    /// 0: webhooks made, attempts made.
    Begin(u64, u64),
    /// 1: where it was registered, TOML.
    Profile(At, &'a str),
    /// 2: id, name, profile, sealing key, creation, keys.
    Workspace(At, &'a str, &'a str, u64, Span, Vec<WireKey<'a>>),
    /// 3
    Webhook(Box<WireWebhook<'a>>),
    /// 4: id, where it was deleted.
    WebhookDeleted(u64, At),
    /// 5: webhook, count.
    Pending(u64, u64),
    /// 6
    End,
    /// 7: a version of a webhook that signs.
    SigningWebhook(Box<WireWebhook<'a>>, WireSigning<'a>),
    /// 8
    TakenTimes(WireTaken<'a>),
    /// 9
    OwedErasure(At),
    /// 10
    Replay(WireReplay<'a>),
    /// 11: a version of a webhook that has more than the others.
    FullWebhook(Box<WireWebhook<'a>>, WireExtras<'a>),
}

/// Workspace, type, runs (each as the gap before it and its length), seconds (as the gap before each) with microseconds, the first second
/// with any.
#[derive(Encode, BorrowDecode)]
pub(in crate::codec) struct WireTaken<'a> {
    workspace: At,
    event_type: &'a str,
    millis: Vec<(u64, u64)>,
    micros: Vec<(u64, u32)>,
    micros_from: u64,
}

impl<'a> WireCarried<'a> {
    pub(super) fn from_domain(event: &'a Event, cells: &[Cell], base: Time) -> WireCarried<'a> {
        WireCarried {
            at: at(event.at),
            accepted: span(event.accepted, base),
            event: WireEvent::from_domain(event),
            cells: cells.iter().map(|cell| WireCell::from_domain(cell, base)).collect(),
        }
    }

    /// `was`: where its payload lay before. Where that is not said, it was most likely carried for the first time.
    pub(super) fn into_domain(self, was: Option<Position>, base: Time) -> Result<Fact, String> {
        let event = Arc::new(self.event.into_domain(position(self.at)?, time(self.accepted, base))?);
        Ok(Fact::EventCarried {
            was: was.unwrap_or(event.at),
            event,
            cells: self.cells.into_iter().map(|cell| cell.into_domain(base)).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> WireRestated<'a> {
    pub(super) fn from_domain(restated: &'a Restated, base: Time) -> WireRestated<'a> {
        match restated {
            Restated::Begin { webhooks_made, attempts_made } => WireRestated::Begin(*webhooks_made, *attempts_made),
            Restated::Profile(registered, profile) => WireRestated::Profile(at(*registered), &profile.toml),
            Restated::Workspace(of) => WireRestated::Workspace(
                at(of.id.0),
                &of.name,
                &of.profile,
                of.sealing_key.0,
                span(of.created_at, base),
                of.keys.values().map(|key| WireKey::from_domain(key, base)).collect(),
            ),
            Restated::Webhook(webhook) => match Form::from_domain(webhook, base) {
                Form::Plain(wire) => WireRestated::Webhook(Box::new(wire)),
                Form::Signing(wire, signing) => WireRestated::SigningWebhook(Box::new(wire), signing),
                Form::Full(wire, extras) => WireRestated::FullWebhook(Box::new(wire), extras),
            },
            Restated::WebhookDeleted(id, deleted) => WireRestated::WebhookDeleted(id.0, at(*deleted)),
            Restated::Pending(webhook, count) => WireRestated::Pending(webhook.0, *count),
            Restated::TakenTimes(taken) => WireRestated::TakenTimes(WireTaken::from_domain(taken)),
            Restated::OwedErasure(event) => WireRestated::OwedErasure(at(*event)),
            Restated::Replay(replay) => WireRestated::Replay(WireReplay::from_domain(replay, base)),
            Restated::End => WireRestated::End,
        }
    }

    pub(super) fn into_domain(self, base: Time) -> Result<Restated, String> {
        let webhook = |form: Form<'_>| form.into_domain(base).map(|webhook| Restated::Webhook(Arc::new(webhook)));
        Ok(match self {
            WireRestated::Begin(webhooks_made, attempts_made) => Restated::Begin { webhooks_made, attempts_made },
            WireRestated::Profile(registered, toml) => {
                let profile = Profile::shared(toml).map_err(|e| e.to_string())?;
                Restated::Profile(position(registered)?, profile)
            }
            WireRestated::Workspace(id, name, profile, sealing_key, created_at, keys) => {
                let keys = keys.into_iter().map(|key| key.into_domain(base).map(|key| (key.id, key)));
                Restated::Workspace(Box::new(Workspace {
                    id: WorkspaceId(position(id)?),
                    name: name.into(),
                    profile: profile.into(),
                    sealing_key: SealingKeyId(sealing_key),
                    created_at: time(created_at, base),
                    keys: keys.collect::<Result<BTreeMap<_, _>, _>>()?,
                }))
            }
            WireRestated::Webhook(wire) => webhook(Form::Plain(*wire))?,
            WireRestated::SigningWebhook(wire, signing) => webhook(Form::Signing(*wire, signing))?,
            WireRestated::FullWebhook(wire, extras) => webhook(Form::Full(*wire, extras))?,
            WireRestated::WebhookDeleted(id, deleted) => Restated::WebhookDeleted(WebhookId(id), position(deleted)?),
            WireRestated::Pending(webhook, count) => Restated::Pending(WebhookId(webhook), count),
            WireRestated::TakenTimes(taken) => Restated::TakenTimes(Box::new(taken.into_domain()?)),
            WireRestated::OwedErasure(event) => Restated::OwedErasure(position(event)?),
            WireRestated::Replay(replay) => Restated::Replay(Box::new(replay.into_domain(base)?)),
            WireRestated::End => Restated::End,
        })
    }
}

impl<'a> WireTaken<'a> {
    fn from_domain(taken: &'a TakenTimes) -> WireTaken<'a> {
        let (mut millis, mut micros) = (Vec::with_capacity(taken.millis.len()), Vec::with_capacity(taken.micros.len()));
        let mut before = 0;
        for &(first, last) in &taken.millis {
            millis.push((first.wrapping_sub(before), last.wrapping_sub(first)));
            before = last;
        }
        before = 0;
        for &(second, last) in &taken.micros {
            micros.push((second.wrapping_sub(before), last));
            before = second;
        }
        let (workspace, micros_from) = (at(taken.workspace.0), taken.micros_from);
        WireTaken { workspace, event_type: &taken.event_type, millis, micros, micros_from }
    }

    fn into_domain(self) -> Result<TakenTimes, String> {
        let mut before = 0_u64;
        let run = |(gap, length): (u64, u64)| {
            let first = before.wrapping_add(gap);
            before = first.wrapping_add(length);
            (first, before)
        };
        let millis = self.millis.into_iter().map(run).collect();
        let mut before = 0_u64;
        let second = |(gap, last): (u64, u32)| {
            before = before.wrapping_add(gap);
            (before, last)
        };
        let micros = self.micros.into_iter().map(second).collect();
        let workspace = WorkspaceId(position(self.workspace)?);
        Ok(TakenTimes { workspace, event_type: self.event_type.into(), millis, micros, micros_from: self.micros_from })
    }
}
