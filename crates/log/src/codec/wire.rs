//! The wire types of facts, and the way from and to the domain's.

/// Both directions of a fieldless enum's byte; the order is for ever.
macro_rules! byte_enum {
    ($to:ident, $from:ident, $type:ident: $($byte:literal = $variant:ident),+) => {
        fn $to(value: $type) -> u8 {
            match value { $($type::$variant => $byte),+ }
        }
        fn $from(byte: u8) -> Result<$type, String> {
            match byte {
                $($byte => Ok($type::$variant),)+
                other => Err(format!(concat!("{} is not a ", stringify!($type)), other)),
            }
        }
    };
}

mod replay;
mod restated;
mod signing;
mod webhook;

use std::sync::Arc;

use bincode::{BorrowDecode, Encode};
use postrider_core::attempt::{Attempt, ErrorKind, Exchange, Failure, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::{Chosen, Digest, Event};
use postrider_core::fact::Fact;
use postrider_core::profile::Profile;
use postrider_core::replay::ReplayState;
use postrider_core::sealed::{Sealed, SealingKeyId};
use postrider_core::workspace::{Key, KeyHash, Scopes};
use postrider_core::{AttemptId, DeliveryKey, KeyId, Millis, Position, ReplayId, Time, WebhookId, WorkspaceId};

use replay::WireReplay;
use restated::{WireCarried, WireRestated};
use signing::WireSigning;
use webhook::{Form, WireExtras, WireWebhook};

/// Block and index apart, since both are small where the packed number is large.
type At = (u64, u32);

/// A time as the span from the record's: small, and most often zero.
type Span = i64;

/// A fact's bytes. The number of a variant is its place in this list: append only.
#[derive(Encode, BorrowDecode)]
pub(super) enum WireFact<'a> {
    /// 0: the profile's TOML.
    ProfileRegistered(&'a str),
    /// 1: id, name, profile, sealing key.
    WorkspaceCreated(At, &'a str, &'a str, u64),
    /// 2: id, name.
    WorkspaceRenamed(At, &'a str),
    /// 3: id.
    WorkspaceDeleted(At),
    /// 4
    KeyCreated(WireKey<'a>),
    /// 5: workspace, id.
    KeyRevoked(At, At),
    /// 6
    WebhookCreated(WireWebhook<'a>),
    /// 7
    WebhookChanged(WireWebhook<'a>),
    /// 8: workspace, id.
    WebhookDeleted(At, u64),
    /// 9
    EventAccepted(WireEvent<'a>),
    /// 10
    AttemptFinished(WireCell, WireWas, WireAttempt<'a>),
    /// 11
    RetryRequested(WireCell, WireWas),
    /// 12: workspace, webhook, event id, event type, attempt.
    TestFinished(At, u64, &'a str, &'a str, WireAttempt<'a>),
    /// 13: workspace, event, what was cancelled.
    EventErased(At, At, Vec<WireCell>),
    /// 14: an event that was carried from a place that is not said. Read, and not written any more.
    EventCarried(WireCarried<'a>),
    /// 15
    Restated(WireRestated<'a>),
    /// 16: a webhook that signs was made.
    SigningWebhookCreated(WireWebhook<'a>, WireSigning<'a>),
    /// 17: a webhook was changed that signs.
    SigningWebhookChanged(WireWebhook<'a>, WireSigning<'a>),
    /// 18
    ReplayStarted(WireReplay<'a>),
    /// 19: workspace, id, next, deliveries made due, events skipped.
    ReplayAdvanced(At, At, At, u32, u32),
    /// 20: workspace, id, state.
    ReplayChanged(At, At, u8),
    /// 21
    DeliveryAdded(WireCell),
    /// 22: a webhook was made that has more than the others.
    FullWebhookCreated(WireWebhook<'a>, WireExtras<'a>),
    /// 23
    FullWebhookChanged(WireWebhook<'a>, WireExtras<'a>),
    /// 24: where the payload lay before, then as 14.
    EventCarriedFrom(At, WireCarried<'a>),
}

#[derive(Encode, BorrowDecode)]
pub(super) struct WireKey<'a> {
    id: At,
    workspace: At,
    name: &'a str,
    scopes: u8,
    hash: [u8; 32],
    created_at: Span,
}

#[derive(Encode, BorrowDecode)]
struct WireSealed<'a> {
    key: u64,
    nonce: [u8; 24],
    bytes: &'a [u8],
}

/// The position of an event is its record's, and so is the time of its acceptance.
#[derive(Encode, BorrowDecode)]
pub(super) struct WireEvent<'a> {
    workspace: At,
    id: &'a str,
    event_type: &'a str,
    created: &'a str,
    campaign: Option<&'a str>,
    digest: [u8; 16],
    payload_len: u32,
    profile: At,
    chosen: WireChosen<'a>,
}

/// Webhook and revision of each delivery: a count, then pairs. Written straight from the domain's slice.
enum WireChosen<'a> {
    Domain(&'a [Chosen]),
    Read(Vec<(u64, At)>),
}

#[derive(Encode, BorrowDecode)]
pub(super) struct WireCell {
    event: At,
    ordinal: u32,
    workspace: At,
    webhook: u64,
    status: u8,
    attempts: u32,
    attempts_before: u32,
    due: Span,
    revision: At,
    /// `None` as well where it is the fact's own place.
    last_attempt: Option<At>,
}

#[derive(Encode, BorrowDecode)]
pub(super) struct WireWas {
    status: u8,
    due: Span,
}

#[derive(Encode, BorrowDecode)]
pub(super) struct WireAttempt<'a> {
    id: u64,
    number: u32,
    started: Span,
    duration_ms: u64,
    status_code: Option<u16>,
    /// Kind and message.
    failure: Option<(u8, &'a str)>,
    retry_after_ms: Option<u64>,
    outcome: u8,
    webhook_version: At,
    previous: Option<At>,
}

impl Encode for WireChosen<'_> {
    fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), bincode::error::EncodeError> {
        match self {
            WireChosen::Read(pairs) => pairs.encode(encoder),
            WireChosen::Domain(chosen) => {
                (chosen.len() as u64).encode(encoder)?;
                chosen.iter().try_for_each(|c| (c.webhook.0, at(c.revision)).encode(encoder))
            }
        }
    }
}

impl<'de, C> BorrowDecode<'de, C> for WireChosen<'_> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Vec::borrow_decode(decoder).map(WireChosen::Read)
    }
}

fn at(position: Position) -> At {
    (position.block(), position.index())
}

fn position((block, index): At) -> Result<Position, String> {
    if block > Position::BLOCK_MAX || index > Position::INDEX_MAX {
        return Err(format!("{block}.{index} is not a position"));
    }
    Ok(Position::new(block, index))
}

fn span(time: Time, base: Time) -> Span {
    time.0.wrapping_sub(base.0) as i64
}

fn time(span: Span, base: Time) -> Time {
    Time(base.0.wrapping_add(span as u64))
}

byte_enum!(status_byte, status, Status: 0 = Pending, 1 = Succeeded, 2 = Exhausted, 3 = Removed, 4 = Cancelled);
byte_enum!(replay_state_byte, replay_state, ReplayState: 0 = Running, 1 = Paused, 2 = Finished, 3 = Cancelled);
byte_enum!(outcome_byte, outcome, Outcome:
    0 = Succeeded, 1 = Retrying, 2 = Exhausted, 3 = Removed, 4 = Cancelled, 5 = Failed);
byte_enum!(kind_byte, error_kind, ErrorKind:
    0 = Dns, 1 = BlockedAddress, 2 = Connect, 3 = Tls, 4 = Timeout, 5 = Reset, 6 = ResponseInvalid, 7 = HttpStatus);

impl<'a> WireFact<'a> {
    pub(super) fn from_domain(fact: &'a Fact, base: Time) -> WireFact<'a> {
        match fact {
            Fact::ProfileRegistered(profile) => WireFact::ProfileRegistered(&profile.toml),
            Fact::WorkspaceCreated { id, name, profile, sealing_key } => {
                WireFact::WorkspaceCreated(at(id.0), name, profile, sealing_key.0)
            }
            Fact::WorkspaceRenamed { id, name } => WireFact::WorkspaceRenamed(at(id.0), name),
            Fact::WorkspaceDeleted { id } => WireFact::WorkspaceDeleted(at(id.0)),
            Fact::KeyCreated(key) => WireFact::KeyCreated(WireKey::from_domain(key, base)),
            Fact::KeyRevoked { workspace, id } => WireFact::KeyRevoked(at(workspace.0), at(id.0)),
            Fact::WebhookCreated(webhook) => match Form::from_domain(webhook, base) {
                Form::Plain(wire) => WireFact::WebhookCreated(wire),
                Form::Signing(wire, signing) => WireFact::SigningWebhookCreated(wire, signing),
                Form::Full(wire, extras) => WireFact::FullWebhookCreated(wire, extras),
            },
            Fact::WebhookChanged(webhook) => match Form::from_domain(webhook, base) {
                Form::Plain(wire) => WireFact::WebhookChanged(wire),
                Form::Signing(wire, signing) => WireFact::SigningWebhookChanged(wire, signing),
                Form::Full(wire, extras) => WireFact::FullWebhookChanged(wire, extras),
            },
            Fact::WebhookDeleted { workspace, id } => WireFact::WebhookDeleted(at(workspace.0), id.0),
            Fact::EventAccepted(event) => WireFact::EventAccepted(WireEvent::from_domain(event)),
            Fact::AttemptFinished { cell, was, attempt } => WireFact::AttemptFinished(
                WireCell { last_attempt: None, ..WireCell::from_domain(cell, base) },
                WireWas::from_domain(was, base),
                WireAttempt::from_domain(attempt, base),
            ),
            Fact::RetryRequested { cell, was } => {
                WireFact::RetryRequested(WireCell::from_domain(cell, base), WireWas::from_domain(was, base))
            }
            Fact::EventErased { workspace, event, cancelled } => WireFact::EventErased(
                at(workspace.0),
                at(*event),
                cancelled.iter().map(|cell| WireCell::from_domain(cell, base)).collect(),
            ),
            Fact::EventCarried { event, was, cells } => {
                WireFact::EventCarriedFrom(at(*was), WireCarried::from_domain(event, cells, base))
            }
            Fact::Restated(restated) => WireFact::Restated(WireRestated::from_domain(restated, base)),
            Fact::ReplayStarted(replay) => WireFact::ReplayStarted(WireReplay::from_domain(replay, base)),
            Fact::ReplayAdvanced { workspace, id, next, released, skipped } => {
                WireFact::ReplayAdvanced(at(workspace.0), at(id.0), at(*next), *released, *skipped)
            }
            Fact::ReplayChanged { workspace, id, state } => {
                WireFact::ReplayChanged(at(workspace.0), at(id.0), replay_state_byte(*state))
            }
            Fact::DeliveryAdded { cell } => WireFact::DeliveryAdded(WireCell::from_domain(cell, base)),
            Fact::TestFinished { workspace, webhook, event_id, event_type, attempt } => WireFact::TestFinished(
                at(workspace.0),
                webhook.0,
                event_id.as_str(),
                event_type,
                WireAttempt::from_domain(attempt, base),
            ),
        }
    }

    pub(super) fn into_domain(self, here: Position, base: Time) -> Result<Fact, String> {
        let workspace = |at| position(at).map(WorkspaceId);
        let webhook = |form: Form<'_>| form.into_domain(base).map(Arc::new);
        Ok(match self {
            WireFact::ProfileRegistered(toml) => {
                Fact::ProfileRegistered(Profile::shared(toml).map_err(|e| e.to_string())?)
            }
            WireFact::WorkspaceCreated(id, name, profile, sealing_key) => Fact::WorkspaceCreated {
                id: workspace(id)?,
                name: name.into(),
                profile: profile.into(),
                sealing_key: SealingKeyId(sealing_key),
            },
            WireFact::WorkspaceRenamed(id, name) => Fact::WorkspaceRenamed { id: workspace(id)?, name: name.into() },
            WireFact::WorkspaceDeleted(id) => Fact::WorkspaceDeleted { id: workspace(id)? },
            WireFact::KeyCreated(key) => Fact::KeyCreated(key.into_domain(base)?),
            WireFact::KeyRevoked(of, id) => Fact::KeyRevoked { workspace: workspace(of)?, id: KeyId(position(id)?) },
            WireFact::WebhookCreated(wire) => Fact::WebhookCreated(webhook(Form::Plain(wire))?),
            WireFact::WebhookChanged(wire) => Fact::WebhookChanged(webhook(Form::Plain(wire))?),
            WireFact::SigningWebhookCreated(wire, signing) => {
                Fact::WebhookCreated(webhook(Form::Signing(wire, signing))?)
            }
            WireFact::SigningWebhookChanged(wire, signing) => {
                Fact::WebhookChanged(webhook(Form::Signing(wire, signing))?)
            }
            WireFact::FullWebhookCreated(wire, extras) => Fact::WebhookCreated(webhook(Form::Full(wire, extras))?),
            WireFact::FullWebhookChanged(wire, extras) => Fact::WebhookChanged(webhook(Form::Full(wire, extras))?),
            WireFact::WebhookDeleted(of, id) => Fact::WebhookDeleted { workspace: workspace(of)?, id: WebhookId(id) },
            WireFact::EventAccepted(event) => Fact::EventAccepted(Arc::new(event.into_domain(here, base)?)),
            WireFact::AttemptFinished(cell, was, attempt) => Fact::AttemptFinished {
                cell: Cell { last_attempt: Some(here), ..cell.into_domain(base)? },
                was: was.into_domain(base)?,
                attempt: attempt.into_domain(base)?,
            },
            WireFact::RetryRequested(cell, was) => {
                Fact::RetryRequested { cell: cell.into_domain(base)?, was: was.into_domain(base)? }
            }
            WireFact::EventErased(of, event, cancelled) => Fact::EventErased {
                workspace: workspace(of)?,
                event: position(event)?,
                cancelled: cancelled.into_iter().map(|cell| cell.into_domain(base)).collect::<Result<_, _>>()?,
            },
            WireFact::EventCarried(carried) => carried.into_domain(None, base)?,
            WireFact::EventCarriedFrom(was, carried) => carried.into_domain(Some(position(was)?), base)?,
            WireFact::Restated(restated) => Fact::Restated(restated.into_domain(base)?),
            WireFact::ReplayStarted(replay) => Fact::ReplayStarted(Box::new(replay.into_domain(base)?)),
            WireFact::ReplayAdvanced(of, id, next, released, skipped) => Fact::ReplayAdvanced {
                workspace: workspace(of)?,
                id: ReplayId(position(id)?),
                next: position(next)?,
                released,
                skipped,
            },
            WireFact::ReplayChanged(of, id, state) => Fact::ReplayChanged {
                workspace: workspace(of)?,
                id: ReplayId(position(id)?),
                state: replay_state(state)?,
            },
            WireFact::DeliveryAdded(cell) => Fact::DeliveryAdded { cell: cell.into_domain(base)? },
            WireFact::TestFinished(of, webhook, event_id, event_type, attempt) => Fact::TestFinished {
                workspace: workspace(of)?,
                webhook: WebhookId(webhook),
                event_id: event_id.parse().map_err(|_| "not an event id")?,
                event_type: event_type.into(),
                attempt: attempt.into_domain(base)?,
            },
        })
    }
}

impl<'a> WireKey<'a> {
    fn from_domain(key: &'a Key, base: Time) -> WireKey<'a> {
        WireKey {
            id: at(key.id.0),
            workspace: at(key.workspace.0),
            name: &key.name,
            scopes: key.scopes.to_bits(),
            hash: key.hash.0,
            created_at: span(key.created_at, base),
        }
    }

    fn into_domain(self, base: Time) -> Result<Key, String> {
        Ok(Key {
            id: KeyId(position(self.id)?),
            workspace: WorkspaceId(position(self.workspace)?),
            name: self.name.into(),
            scopes: Scopes::from_bits(self.scopes),
            hash: KeyHash(self.hash),
            created_at: time(self.created_at, base),
        })
    }
}

impl<'a> WireSealed<'a> {
    fn from_domain(sealed: &'a Sealed) -> WireSealed<'a> {
        WireSealed { key: sealed.key.0, nonce: sealed.nonce, bytes: &sealed.bytes }
    }

    fn into_domain(self) -> Sealed {
        Sealed { key: SealingKeyId(self.key), nonce: self.nonce, bytes: self.bytes.into() }
    }
}

impl<'a> WireEvent<'a> {
    fn from_domain(event: &'a Event) -> WireEvent<'a> {
        WireEvent {
            workspace: at(event.workspace.0),
            id: event.id.as_str(),
            event_type: &event.event_type,
            created: &event.created,
            campaign: event.campaign.as_deref(),
            digest: event.digest.0,
            payload_len: event.payload_len,
            profile: at(event.profile),
            chosen: WireChosen::Domain(&event.chosen),
        }
    }

    fn into_domain(self, here: Position, accepted: Time) -> Result<Event, String> {
        let chosen = match self.chosen {
            WireChosen::Domain(chosen) => chosen.into(),
            WireChosen::Read(pairs) => pairs
                .into_iter()
                .map(|(webhook, revision)| Ok(Chosen { webhook: WebhookId(webhook), revision: position(revision)? }))
                .collect::<Result<_, String>>()?,
        };
        Ok(Event {
            at: here,
            accepted,
            workspace: WorkspaceId(position(self.workspace)?),
            id: self.id.parse().map_err(|_| "not an event id")?,
            event_type: self.event_type.into(),
            created: self.created.into(),
            campaign: self.campaign.map(Into::into),
            digest: Digest(self.digest),
            payload_len: self.payload_len,
            profile: position(self.profile)?,
            chosen,
        })
    }
}

impl WireCell {
    fn from_domain(cell: &Cell, base: Time) -> WireCell {
        WireCell {
            event: at(cell.key.event),
            ordinal: cell.key.ordinal,
            workspace: at(cell.workspace.0),
            webhook: cell.webhook.0,
            status: status_byte(cell.status),
            attempts: cell.attempts,
            attempts_before: cell.attempts_before,
            due: span(cell.due, base),
            revision: at(cell.revision),
            last_attempt: cell.last_attempt.map(at),
        }
    }

    fn into_domain(self, base: Time) -> Result<Cell, String> {
        Ok(Cell {
            key: DeliveryKey { event: position(self.event)?, ordinal: self.ordinal },
            workspace: WorkspaceId(position(self.workspace)?),
            webhook: WebhookId(self.webhook),
            status: status(self.status)?,
            attempts: self.attempts,
            attempts_before: self.attempts_before,
            due: time(self.due, base),
            revision: position(self.revision)?,
            last_attempt: self.last_attempt.map(position).transpose()?,
        })
    }
}

impl WireWas {
    fn from_domain(was: &Was, base: Time) -> WireWas {
        WireWas { status: status_byte(was.status), due: span(was.due, base) }
    }

    fn into_domain(self, base: Time) -> Result<Was, String> {
        Ok(Was { status: status(self.status)?, due: time(self.due, base) })
    }
}

impl<'a> WireAttempt<'a> {
    fn from_domain(attempt: &'a Attempt, base: Time) -> WireAttempt<'a> {
        let exchange = &attempt.exchange;
        WireAttempt {
            id: attempt.id.0,
            number: attempt.number,
            started: span(attempt.started, base),
            duration_ms: exchange.duration.0,
            status_code: exchange.status_code,
            failure: exchange.failure.as_ref().map(|f| (kind_byte(f.kind), &*f.message)),
            retry_after_ms: exchange.retry_after.map(|span| span.0),
            outcome: outcome_byte(attempt.outcome),
            webhook_version: at(attempt.webhook_version),
            previous: attempt.previous.map(at),
        }
    }

    fn into_domain(self, base: Time) -> Result<Attempt, String> {
        let failure = match self.failure {
            Some((kind, message)) => Some(Failure { kind: error_kind(kind)?, message: message.into() }),
            None => None,
        };
        Ok(Attempt {
            id: AttemptId(self.id),
            number: self.number,
            started: time(self.started, base),
            exchange: Exchange {
                duration: Millis(self.duration_ms),
                status_code: self.status_code,
                failure,
                retry_after: self.retry_after_ms.map(Millis),
            },
            outcome: outcome(self.outcome)?,
            webhook_version: position(self.webhook_version)?,
            previous: self.previous.map(position).transpose()?,
        })
    }
}
