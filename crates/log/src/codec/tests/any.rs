//! Arbitrary facts of each variant, with times, positions and numbers to their ends.

use std::num::NonZeroU32;
use std::sync::Arc;

use postrider_core::attempt::{Attempt, ErrorKind, Exchange, Failure, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::{Chosen, Digest, Event};
use postrider_core::fact::{Fact, Record, Restated, TakenTimes};
use postrider_core::machine::event_cells;
use postrider_core::policy::RetryPolicy;
use postrider_core::profile::{BUILT_IN, Profile};
use postrider_core::replay::{Only, Replay, ReplayState, Wish};
use postrider_core::sealed::{Sealed, SealingKeyId};
use postrider_core::signing::{RetiredKey, Scheme, Signing, SigningKey};
use postrider_core::webhook::{CampaignId, Settings, Webhook};
use postrider_core::workspace::{Key, KeyHash, Scopes, Workspace};
use postrider_core::{
    AttemptId, DeliveryKey, EventId, KeyId, Millis, Position, ReplayId, Time, WebhookId, WorkspaceId, limits,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Small, any, and the ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0u64..1000, 2 => any::<u64>(), 1 => select(vec![0, 250, 251, 1 << 16, 1 << 32, u64::MAX])]
}

fn time() -> impl Strategy<Value = Time> {
    number().prop_map(Time)
}

fn millis() -> impl Strategy<Value = Millis> {
    number().prop_map(Millis)
}

fn position() -> impl Strategy<Value = Position> {
    number().prop_map(Position::from_u64)
}

fn workspace() -> impl Strategy<Value = WorkspaceId> {
    position().prop_map(WorkspaceId)
}

fn webhook_id() -> impl Strategy<Value = WebhookId> {
    number().prop_map(WebhookId)
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![Just(String::new()), "[a-z.]{1,12}", any::<String>()].prop_map(Into::into)
}

fn event_id() -> impl Strategy<Value = EventId> {
    "[A-Za-z0-9_:-]{1,128}".prop_map(|id| id.parse().expect("of the characters that ids have"))
}

fn sealed() -> impl Strategy<Value = Sealed> {
    (number(), any::<[u8; 24]>(), vec(any::<u8>(), 0..40)).prop_map(|(key, nonce, bytes)| Sealed {
        key: SealingKeyId(key),
        nonce,
        bytes: bytes.into(),
    })
}

fn policy() -> impl Strategy<Value = RetryPolicy> {
    (vec(millis(), 0..64), any::<u16>())
        .prop_map(|(delays, jitter_permille)| RetryPolicy { delays: delays.into(), jitter_permille })
}

fn signing_key() -> impl Strategy<Value = SigningKey> {
    (select(vec![Scheme::V1, Scheme::V1a]), sealed(), of(any::<[u8; 32]>()))
        .prop_map(|(scheme, secret, public_key)| SigningKey { scheme, secret, public_key })
}

fn signing() -> impl Strategy<Value = Signing> {
    let retired = (signing_key(), time()).prop_map(|(key, until)| RetiredKey { key, until });
    (signing_key(), vec(retired, 0..3)).prop_map(|(key, retired)| Signing { key, retired })
}

fn settings() -> impl Strategy<Value = Settings> {
    let campaign = (text(), any::<bool>()).prop_map(|(text, is_number)| CampaignId { text, is_number });
    let labels = (text(), of(text()), text(), vec(text(), 0..4), vec(campaign, 0..4), vec(text(), 0..4));
    let sent = (of(sealed()), vec((text(), sealed()), 0..3), of(signing()));
    let rest = (any::<[bool; 2]>(), sent, of(policy()), millis(), any::<u32>());
    (labels, rest).prop_map(|(labels, rest)| {
        let (name, description, url, events, campaign_ids, custom_fields) = labels;
        let ([enabled, ordered], (secret, headers, signing), retry_policy, timeout, rate) = rest;
        let rate_limit = NonZeroU32::new(rate);
        Settings {
            name,
            description,
            url,
            events,
            campaign_ids,
            custom_fields,
            enabled,
            secret,
            headers,
            retry_policy,
            timeout,
            rate_limit,
            signing,
            ordered,
        }
    })
}

fn webhook() -> impl Strategy<Value = Arc<Webhook>> {
    (webhook_id(), workspace(), settings(), time(), time(), position(), position(), of(time())).prop_map(
        |(id, workspace, settings, created_at, updated_at, version, revision, failing_since)| {
            Arc::new(Webhook { id, workspace, settings, created_at, updated_at, version, revision, failing_since })
        },
    )
}

fn key() -> impl Strategy<Value = Key> {
    (position(), workspace(), text(), 0u8..8, any::<[u8; 32]>(), time()).prop_map(
        |(id, workspace, name, scopes, hash, created_at)| Key {
            id: KeyId(id),
            workspace,
            name,
            scopes: Scopes::from_bits(scopes),
            hash: KeyHash(hash),
            created_at,
        },
    )
}

fn event(at: Position, accepted: Time) -> impl Strategy<Value = Arc<Event>> {
    let chosen = (webhook_id(), position()).prop_map(|(webhook, revision)| Chosen { webhook, revision });
    let texts = (event_id(), text(), text(), of(text()));
    (workspace(), texts, any::<[u8; 16]>(), any::<u32>(), position(), vec(chosen, 0..20)).prop_map(
        move |(workspace, (id, event_type, created, campaign), digest, payload_len, profile, chosen)| {
            let (digest, chosen) = (Digest(digest), chosen.into());
            Arc::new(Event {
                at,
                accepted,
                workspace,
                id,
                event_type,
                created,
                campaign,
                digest,
                payload_len,
                profile,
                chosen,
            })
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    use Status::{Cancelled, Exhausted, Pending, Removed, Succeeded};
    select(vec![Pending, Succeeded, Exhausted, Removed, Cancelled])
}

fn cell() -> impl Strategy<Value = Cell> {
    let key = (position(), any::<u32>()).prop_map(|(event, ordinal)| DeliveryKey { event, ordinal });
    (key, workspace(), webhook_id(), status(), any::<u32>(), any::<u32>(), time(), position(), of(position())).prop_map(
        |(key, workspace, webhook, status, attempts, attempts_before, due, revision, last_attempt)| Cell {
            key,
            workspace,
            webhook,
            status,
            attempts,
            attempts_before,
            due,
            revision,
            last_attempt,
        },
    )
}

fn was() -> impl Strategy<Value = Was> {
    (status(), time()).prop_map(|(status, due)| Was { status, due })
}

fn exchange() -> impl Strategy<Value = Exchange> {
    use ErrorKind::{BlockedAddress, Connect, Dns, HttpStatus, Reset, ResponseInvalid, Timeout, Tls};
    let kind = select(vec![Dns, BlockedAddress, Connect, Tls, Timeout, Reset, ResponseInvalid, HttpStatus]);
    let failure = (kind, text()).prop_map(|(kind, message)| Failure { kind, message });
    (millis(), of(any::<u16>()), of(failure), of(millis())).prop_map(|(duration, status_code, failure, retry_after)| {
        Exchange { duration, status_code, failure, retry_after }
    })
}

fn attempt() -> impl Strategy<Value = Attempt> {
    use Outcome::{Cancelled, Exhausted, Failed, Removed, Retrying, Succeeded};
    let outcome = select(vec![Succeeded, Retrying, Exhausted, Removed, Cancelled, Failed]);
    (number(), any::<u32>(), time(), exchange(), outcome, position(), of(position())).prop_map(
        |(id, number, started, exchange, outcome, webhook_version, previous)| Attempt {
            id: AttemptId(id),
            number,
            started,
            exchange,
            outcome,
            webhook_version,
            previous,
        },
    )
}

fn profile() -> impl Strategy<Value = Arc<Profile>> {
    select(&BUILT_IN[..]).prop_map(|(_, toml)| Arc::new(Profile::parse(toml).expect("built in")))
}

fn taken_times() -> impl Strategy<Value = TakenTimes> {
    let (millis, micros) = (vec(any::<(u64, u64)>(), 0..9), vec(any::<(u64, u32)>(), 0..9));
    (workspace(), text(), millis, micros, any::<u64>()).prop_map(
        |(workspace, event_type, millis, micros, micros_from)| TakenTimes {
            workspace,
            event_type,
            millis,
            micros,
            micros_from,
        },
    )
}

fn replay_state() -> impl Strategy<Value = ReplayState> {
    use ReplayState::{Cancelled, Finished, Paused, Running};
    select(vec![Running, Paused, Finished, Cancelled])
}

fn replay() -> impl Strategy<Value = Box<Replay>> {
    let wish = (time(), of(time()), vec(text(), 0..4), select(&Only::ALL[..]));
    let wish = wish.prop_map(|(since, until, event_types, only)| Wish { since, until, event_types, only });
    let progress = (replay_state(), position(), number(), number());
    (position(), workspace(), webhook_id(), wish, time(), progress).prop_map(
        |(id, workspace, webhook, wish, started_at, (state, next, created, skipped))| {
            let id = ReplayId(id);
            Box::new(Replay { id, workspace, webhook, wish, started_at, state, next, created, skipped })
        },
    )
}

fn replays() -> impl Strategy<Value = Fact> {
    let id = || position().prop_map(ReplayId);
    let advanced = (workspace(), id(), position(), any::<u32>(), any::<u32>());
    prop_oneof![
        replay().prop_map(Fact::ReplayStarted),
        advanced.prop_map(|(workspace, id, next, released, skipped)| {
            Fact::ReplayAdvanced { workspace, id, next, released, skipped }
        }),
        (workspace(), id(), replay_state()).prop_map(|(workspace, id, state)| Fact::ReplayChanged {
            workspace,
            id,
            state
        }),
        cell().prop_map(|cell| Fact::DeliveryAdded { cell }),
    ]
}

fn restated() -> impl Strategy<Value = Restated> {
    let keys = vec(key(), 0..4).prop_map(|keys| keys.into_iter().map(|key| (key.id, key)).collect());
    let workspace =
        (workspace(), text(), text(), number(), time(), keys).prop_map(|(id, name, profile, key, created_at, keys)| {
            Box::new(Workspace { id, name, profile, sealing_key: SealingKeyId(key), created_at, keys })
        });
    prop_oneof![
        (number(), number())
            .prop_map(|(webhooks_made, attempts_made)| Restated::Begin { webhooks_made, attempts_made }),
        (position(), profile()).prop_map(|(at, profile)| Restated::Profile(at, profile)),
        workspace.prop_map(Restated::Workspace),
        webhook().prop_map(Restated::Webhook),
        (webhook_id(), position()).prop_map(|(id, at)| Restated::WebhookDeleted(id, at)),
        (webhook_id(), number()).prop_map(|(id, count)| Restated::Pending(id, count)),
        taken_times().prop_map(|taken| Restated::TakenTimes(Box::new(taken))),
        position().prop_map(Restated::OwedErasure),
        replay().prop_map(Restated::Replay),
        Just(Restated::End),
    ]
}

fn carried() -> impl Strategy<Value = Fact> {
    let event = (position(), time()).prop_flat_map(|(at, accepted)| event(at, accepted));
    (event, position(), vec(cell(), 0..10)).prop_map(|(event, was, cells)| Fact::EventCarried {
        event,
        was,
        cells: cells.into(),
    })
}

fn fact(at: Position, now: Time) -> impl Strategy<Value = Fact> {
    prop_oneof![
        profile().prop_map(Fact::ProfileRegistered),
        (workspace(), text(), text(), number()).prop_map(|(id, name, profile, key)| {
            Fact::WorkspaceCreated { id, name, profile, sealing_key: SealingKeyId(key) }
        }),
        (workspace(), text()).prop_map(|(id, name)| Fact::WorkspaceRenamed { id, name }),
        workspace().prop_map(|id| Fact::WorkspaceDeleted { id }),
        key().prop_map(Fact::KeyCreated),
        (workspace(), position()).prop_map(|(workspace, id)| Fact::KeyRevoked { workspace, id: KeyId(id) }),
        webhook().prop_map(Fact::WebhookCreated),
        webhook().prop_map(Fact::WebhookChanged),
        (workspace(), webhook_id()).prop_map(|(workspace, id)| Fact::WebhookDeleted { workspace, id }),
        event(at, now).prop_map(Fact::EventAccepted),
        (cell(), was(), attempt()).prop_map(move |(cell, was, attempt)| {
            let cell = Cell { last_attempt: Some(at), ..cell };
            Fact::AttemptFinished { cell, was, attempt }
        }),
        (cell(), was()).prop_map(|(cell, was)| Fact::RetryRequested { cell, was }),
        (workspace(), position(), vec(cell(), 0..10)).prop_map(|(workspace, event, cancelled)| {
            Fact::EventErased { workspace, event, cancelled: cancelled.into() }
        }),
        (workspace(), webhook_id(), event_id(), text(), attempt()).prop_map(
            |(workspace, webhook, event_id, event_type, attempt)| {
                Fact::TestFinished { workspace, webhook, event_id, event_type, attempt }
            }
        ),
        carried(),
        replays(),
        restated().prop_map(Fact::Restated),
    ]
}

/// Any fact at any place and time.
pub fn record() -> impl Strategy<Value = Record> {
    (position(), time())
        .prop_flat_map(|(position, time)| fact(position, time).prop_map(move |fact| Record { position, time, fact }))
}

/// One event for as many webhooks as there can be, and its erasure.
pub fn largest() -> [Record; 2] {
    let (position, time) = (Position::new(Position::BLOCK_MAX, 70_000), Time(u64::MAX));
    let (workspace, webhooks) = (WorkspaceId(position), limits::WEBHOOKS_MAX as u32);
    let chosen =
        (0..webhooks).map(|n| Chosen { webhook: WebhookId(u64::from(u32::MAX) + u64::from(n)), revision: position });
    let event = Event {
        at: position,
        accepted: time,
        workspace,
        id: EventId::generate(position, 1),
        event_type: "EMAIL_SENT".into(),
        created: "2026-02-19T10:30:00.000Z".into(),
        campaign: None,
        digest: Digest([1; 16]),
        payload_len: 1,
        profile: position,
        chosen: chosen.collect(),
    };
    let cancelled = event_cells(&event).map(|cell| Cell { status: Status::Cancelled, ..cell }).collect();
    let erased = Fact::EventErased { workspace, event: position, cancelled };
    [Fact::EventAccepted(Arc::new(event)), erased].map(|fact| Record { position, time, fact })
}
