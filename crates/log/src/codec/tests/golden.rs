//! The bytes of one fact of each variant. A line here never changes: logs that were written with it are out there.

use std::num::NonZeroU32;
use std::sync::Arc;

use postrider_core::attempt::{Attempt, ErrorKind, Exchange, Failure, Outcome};
use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::{Chosen, Digest, Event};
use postrider_core::fact::{Fact, Restated, TakenTimes};
use postrider_core::policy::RetryPolicy;
use postrider_core::profile::{BUILT_IN, Profile};
use postrider_core::replay::{Only, Replay, ReplayState, Wish};
use postrider_core::sealed::{Sealed, SealingKeyId};
use postrider_core::signing::{RetiredKey, Scheme, Signing, SigningKey};
use postrider_core::webhook::{CampaignId, Settings, Webhook};
use postrider_core::workspace::{Key, KeyHash, Scopes, Workspace};
use postrider_core::{
    AttemptId, DeliveryKey, EventId, KeyId, Millis, Position, ReplayId, Time, WebhookId, WorkspaceId,
};

use super::{decode, encode};

const NOW: Time = Time(1_771_497_000_000);
const EARLIER: Time = Time(NOW.0 - 70_000);
const LATER: Time = Time(NOW.0 + 30_000);

fn here() -> Position {
    Position::new(300, 2)
}

fn workspace() -> WorkspaceId {
    WorkspaceId(Position::new(7, 0))
}

fn sealed(byte: u8) -> Sealed {
    Sealed { key: SealingKeyId(0x0123_4567_89ab_cdef), nonce: [byte; 24], bytes: [byte, byte + 1].into() }
}

fn webhook() -> Arc<Webhook> {
    let settings = Settings {
        name: "Orders".into(),
        description: Some("d".into()),
        url: "https://example.com/h".into(),
        events: vec!["EMAIL_SENT".into()],
        campaign_ids: vec![CampaignId { text: "4821".into(), is_number: true }],
        custom_fields: vec!["leadScore".into()],
        enabled: true,
        secret: Some(sealed(0x11)),
        headers: vec![("x-a".into(), sealed(0x22))],
        retry_policy: Some(RetryPolicy { delays: [Millis(1), Millis(30_000)].into(), jitter_permille: 100 }),
        timeout: Millis(15_000),
        rate_limit: NonZeroU32::new(50),
        signing: None,
        ordered: false,
    };
    Arc::new(Webhook {
        id: WebhookId(9),
        workspace: workspace(),
        settings,
        created_at: EARLIER,
        updated_at: NOW,
        version: here(),
        revision: Position::new(8, 1),
        failing_since: None,
    })
}

/// A webhook with nothing that can be left out.
fn bare_webhook() -> Arc<Webhook> {
    let mut webhook = Webhook::clone(&webhook());
    webhook.settings = Settings {
        name: "O".into(),
        description: None,
        url: "u".into(),
        events: vec!["t".into()],
        campaign_ids: Vec::new(),
        custom_fields: Vec::new(),
        enabled: false,
        secret: None,
        headers: Vec::new(),
        retry_policy: None,
        timeout: Millis(1_000),
        rate_limit: None,
        signing: None,
        ordered: false,
    };
    Arc::new(webhook)
}

/// A webhook that signs by Ed25519, and by an HMAC secret before it.
fn signing_webhook() -> Arc<Webhook> {
    let mut webhook = Webhook::clone(&bare_webhook());
    let retired = SigningKey { scheme: Scheme::V1, secret: sealed(0x33), public_key: None };
    webhook.settings.signing = Some(Signing {
        key: SigningKey { scheme: Scheme::V1a, secret: sealed(0x44), public_key: Some([0x55; 32]) },
        retired: vec![RetiredKey { key: retired, until: LATER }],
    });
    Arc::new(webhook)
}

/// A webhook that keeps the order, and does or does not sign.
fn ordered_webhook(webhook: Arc<Webhook>) -> Arc<Webhook> {
    let mut webhook = Webhook::clone(&webhook);
    webhook.settings.ordered = true;
    Arc::new(webhook)
}

/// A webhook that was switched off since it failed.
fn failing_webhook() -> Arc<Webhook> {
    let mut webhook = Webhook::clone(&bare_webhook());
    webhook.failing_since = Some(EARLIER);
    Arc::new(webhook)
}

fn event_id() -> EventId {
    "order-1".parse().expect("an id")
}

fn event() -> Fact {
    let chosen = |webhook, block| Chosen { webhook: WebhookId(webhook), revision: Position::new(block, 0) };
    Fact::EventAccepted(Arc::new(Event {
        at: here(),
        accepted: NOW,
        workspace: workspace(),
        id: event_id(),
        event_type: "EMAIL_SENT".into(),
        created: "2026-02-19T10:30:00.000Z".into(),
        campaign: Some("4821".into()),
        digest: Digest([0xd1; 16]),
        payload_len: 1024,
        profile: Position::new(1, 0),
        chosen: [chosen(9, 8), chosen(260, 70_000)].into(),
    }))
}

fn cell(status: Status) -> Cell {
    Cell {
        key: DeliveryKey { event: Position::new(200, 3), ordinal: 1 },
        workspace: workspace(),
        webhook: WebhookId(9),
        status,
        attempts: 2,
        attempts_before: 1,
        due: LATER,
        revision: Position::new(8, 1),
        last_attempt: Some(Position::new(201, 7)),
    }
}

const WAS: Was = Was { status: Status::Pending, due: EARLIER };

fn attempt(failure: Option<ErrorKind>, outcome: Outcome) -> Attempt {
    let is_answered = failure.is_none_or(|kind| kind == ErrorKind::HttpStatus);
    Attempt {
        id: AttemptId(77),
        number: 2,
        started: EARLIER,
        exchange: Exchange {
            duration: Millis(1_234),
            status_code: is_answered.then_some(if failure.is_some() { 503 } else { 200 }),
            failure: failure.map(|kind| Failure { kind, message: "m".into() }),
            retry_after: is_answered.then_some(Millis(5_000)),
        },
        outcome,
        webhook_version: Position::new(8, 1),
        previous: Some(Position::new(201, 7)),
    }
}

fn finished(status: Status, failure: Option<ErrorKind>, outcome: Outcome) -> Fact {
    let cell = Cell { last_attempt: Some(here()), ..cell(status) };
    Fact::AttemptFinished { cell, was: WAS, attempt: attempt(failure, outcome) }
}

fn key() -> Key {
    Key {
        id: KeyId(here()),
        workspace: workspace(),
        name: "ci".into(),
        scopes: Scopes::ALL,
        hash: KeyHash([0xab; 32]),
        created_at: NOW,
    }
}

fn tested() -> Fact {
    Fact::TestFinished {
        workspace: workspace(),
        webhook: WebhookId(9),
        event_id: event_id(),
        event_type: "EMAIL_SENT".into(),
        attempt: attempt(Some(ErrorKind::Dns), Outcome::Failed),
    }
}

fn carried() -> Fact {
    let Fact::EventAccepted(event) = event() else { unreachable!("an event was accepted") };
    let event = Event { at: Position::new(200, 3), accepted: LATER, ..Event::clone(&event) };
    Fact::EventCarried { event: Arc::new(event), was: Position::new(250, 1), cells: [cell(Status::Pending)].into() }
}

fn taken_times() -> Restated {
    let (millis, micros) = (vec![(1_000, 1_009), (1_020, 1_020)], vec![(1, 7), (9, 300)]);
    let (workspace, event_type) = (workspace(), "EMAIL_SENT".into());
    Restated::TakenTimes(Box::new(TakenTimes { workspace, event_type, millis, micros, micros_from: 1 }))
}

fn replay(only: Only, state: ReplayState) -> Box<Replay> {
    Box::new(Replay {
        id: ReplayId(here()),
        workspace: workspace(),
        webhook: WebhookId(9),
        wish: Wish { since: EARLIER, until: Some(LATER), event_types: vec!["EMAIL_SENT".into()], only },
        started_at: NOW,
        state,
        next: Position::new(200, 3),
        created: 70_000,
        skipped: 7,
    })
}

fn bare_replay() -> Box<Replay> {
    let wish = Wish { since: EARLIER, until: None, event_types: Vec::new(), only: Only::All };
    Box::new(Replay {
        wish,
        next: Position::new(0, 0),
        created: 0,
        skipped: 0,
        ..*replay(Only::All, ReplayState::Running)
    })
}

fn restated_workspace() -> Restated {
    Restated::Workspace(Box::new(Workspace {
        id: workspace(),
        name: "Tech Corp".into(),
        profile: "genesy".into(),
        sealing_key: SealingKeyId(0x0123_4567_89ab_cdef),
        created_at: LATER,
        keys: [(key().id, key())].into(),
    }))
}

/// Each fact with its bytes in hex; those of each byte-coded enum's values, too.
fn golden() -> Vec<(Fact, &'static str)> {
    let id = workspace();
    let created = Fact::WorkspaceCreated {
        id,
        name: "Tech Corp".into(),
        profile: "genesy".into(),
        sealing_key: SealingKeyId(0x0123_4567_89ab_cdef),
    };
    vec![
        (created, "010700095465636820436f72700667656e657379fdefcdab8967452301"),
        (Fact::WorkspaceRenamed { id, name: "Ünïts".into() }, "02070007c39c6ec3af7473"),
        (Fact::WorkspaceDeleted { id }, "030700"),
        (
            Fact::KeyCreated(key()),
            "04fb2c0102070002636904abababababababababababababababababababababababababababababababab00",
        ),
        (Fact::KeyRevoked { workspace: id, id: KeyId(here()) }, "050700fb2c0102"),
        (
            Fact::WebhookCreated(webhook()),
            "06090700064f72646572730101641568747470733a2f2f6578616d706c652e636f6d2f68010a454d41494c5f\
53454e540104343832310101096c65616453636f72650101fdefcdab89674523011111111111111111111111\
111111111111111111111111110211120103782d61fdefcdab89674523012222222222222222222222222222\
22222222222222222222022223010201fb307564fb983a32fcdf22020000fb2c01020801",
        ),
        (Fact::WebhookChanged(bare_webhook()), "07090700014f000175010174000000000000fbe80300fcdf22020000fb2c01020801"),
        (
            Fact::WebhookCreated(signing_webhook()),
            "10090700014f000175010174000000000000fbe80300fcdf22020000fb2c0102080101fdefcdab8967452301\
4444444444444444444444444444444444444444444444440244450155555555555555555555555555555555\
555555555555555555555555555555550100fdefcdab89674523013333333333333333333333333333333333\
3333333333333302333400fb60ea",
        ),
        (
            Fact::WebhookChanged(signing_webhook()),
            "11090700014f000175010174000000000000fbe80300fcdf22020000fb2c0102080101fdefcdab8967452301\
4444444444444444444444444444444444444444444444440244450155555555555555555555555555555555\
555555555555555555555555555555550100fdefcdab89674523013333333333333333333333333333333333\
3333333333333302333400fb60ea",
        ),
        (
            Fact::Restated(Restated::Webhook(signing_webhook())),
            "0f07090700014f000175010174000000000000fbe80300fcdf22020000fb2c0102080101fdefcdab89674523\
0144444444444444444444444444444444444444444444444402444501555555555555555555555555555555\
55555555555555555555555555555555550100fdefcdab896745230133333333333333333333333333333333\
333333333333333302333400fb60ea",
        ),
        (
            Fact::WebhookCreated(ordered_webhook(bare_webhook())),
            "16090700014f000175010174000000000000fbe80300fcdf22020000fb2c01020801000100",
        ),
        (
            Fact::WebhookChanged(ordered_webhook(signing_webhook())),
            "17090700014f000175010174000000000000fbe80300fcdf22020000fb2c010208010101fdefcdab89674523\
0144444444444444444444444444444444444444444444444402444501555555555555555555555555555555\
55555555555555555555555555555555550100fdefcdab896745230133333333333333333333333333333333\
333333333333333302333400fb60ea0100",
        ),
        (
            Fact::WebhookChanged(failing_webhook()),
            "17090700014f000175010174000000000000fbe80300fcdf22020000fb2c01020801000001fcdf220200",
        ),
        (
            Fact::Restated(Restated::Webhook(ordered_webhook(bare_webhook()))),
            "0f0b090700014f000175010174000000000000fbe80300fcdf22020000fb2c01020801000100",
        ),
        (Fact::WebhookDeleted { workspace: id, id: WebhookId(9) }, "08070009"),
        (
            event(),
            "090700076f726465722d310a454d41494c5f53454e5418323032362d30322d31395431303a33303a30302e30\
30305a010434383231d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1fb0004010002090800fb0401fc7011010000",
        ),
        (
            finished(Status::Succeeded, None, Outcome::Succeeded),
            "0ac80301070009010201fb60ea08010000fcdf2202004d02fcdf220200fbd20401c80001fb881300080101c907",
        ),
        (
            finished(Status::Pending, Some(ErrorKind::HttpStatus), Outcome::Retrying),
            "0ac80301070009000201fb60ea08010000fcdf2202004d02fcdf220200fbd20401fbf7010107016d01fb881301080101c907",
        ),
        (
            finished(Status::Exhausted, Some(ErrorKind::Timeout), Outcome::Exhausted),
            "0ac80301070009020201fb60ea08010000fcdf2202004d02fcdf220200fbd204000104016d0002080101c907",
        ),
        (
            finished(Status::Removed, Some(ErrorKind::Connect), Outcome::Removed),
            "0ac80301070009030201fb60ea08010000fcdf2202004d02fcdf220200fbd204000102016d0003080101c907",
        ),
        (
            finished(Status::Cancelled, Some(ErrorKind::Reset), Outcome::Cancelled),
            "0ac80301070009040201fb60ea08010000fcdf2202004d02fcdf220200fbd204000105016d0004080101c907",
        ),
        (
            finished(Status::Pending, Some(ErrorKind::BlockedAddress), Outcome::Retrying),
            "0ac80301070009000201fb60ea08010000fcdf2202004d02fcdf220200fbd204000101016d0001080101c907",
        ),
        (
            finished(Status::Pending, Some(ErrorKind::Tls), Outcome::Retrying),
            "0ac80301070009000201fb60ea08010000fcdf2202004d02fcdf220200fbd204000103016d0001080101c907",
        ),
        (
            finished(Status::Pending, Some(ErrorKind::ResponseInvalid), Outcome::Retrying),
            "0ac80301070009000201fb60ea08010000fcdf2202004d02fcdf220200fbd204000106016d0001080101c907",
        ),
        (
            Fact::RetryRequested { cell: cell(Status::Pending), was: WAS },
            "0bc80301070009000201fb60ea080101c90700fcdf220200",
        ),
        (
            Fact::EventErased { workspace: id, event: here(), cancelled: [cell(Status::Cancelled)].into() },
            "0d0700fb2c010201c80301070009040201fb60ea080101c907",
        ),
        (
            carried(),
            "18fa01c803fb60ea0700076f726465722d310a454d41494c5f53454e5418323032362d30322d31395431303a33303a\
30302e3030305a010434383231d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1fb0004010002090800fb0401fc701101000001c803\
01070009000201fb60ea080101c907",
        ),
        (Fact::Restated(Restated::Begin { webhooks_made: 9, attempts_made: 300 }), "0f0009fb2c01"),
        (
            Fact::Restated(restated_workspace()),
            "0f020700095465636820436f72700667656e657379fdefcdab8967452301fb60ea01fb2c0102070002636904\
abababababababababababababababababababababababababababababababab00",
        ),
        (
            Fact::Restated(Restated::Webhook(bare_webhook())),
            "0f03090700014f000175010174000000000000fbe80300fcdf22020000fb2c01020801",
        ),
        (Fact::Restated(Restated::WebhookDeleted(WebhookId(9), here())), "0f0409fb2c0102"),
        (Fact::Restated(Restated::Pending(WebhookId(9), 70_000)), "0f0509fc70110100"),
        (Fact::Restated(taken_times()), "0f0807000a454d41494c5f53454e5402fbe803090b0002010708fb2c0101"),
        (Fact::Restated(Restated::OwedErasure(here())), "0f09fb2c0102"),
        (Fact::Restated(Restated::End), "0f06"),
        (Fact::ReplayStarted(bare_replay()), "12fb2c0102070009fcdf220200000001000000000000"),
        (
            Fact::ReplayStarted(replay(Only::Failed, ReplayState::Paused)),
            "12fb2c0102070009fcdf22020001fb60ea010a454d41494c5f53454e54000001c803fc7011010007",
        ),
        (
            Fact::Restated(Restated::Replay(replay(Only::Missed, ReplayState::Finished))),
            "0f0afb2c0102070009fcdf22020001fb60ea010a454d41494c5f53454e54020002c803fc7011010007",
        ),
        (
            Fact::ReplayAdvanced {
                workspace: id,
                id: ReplayId(here()),
                next: Position::new(200, 3),
                released: 64,
                skipped: 300,
            },
            "130700fb2c0102c80340fb2c01",
        ),
        (
            Fact::ReplayChanged { workspace: id, id: ReplayId(here()), state: ReplayState::Cancelled },
            "140700fb2c010203",
        ),
        (
            Fact::DeliveryAdded { cell: Cell { key: DeliveryKey::added(here(), 1), ..cell(Status::Pending) } },
            "15fb2c0102fc01000800070009000201fb60ea080101c907",
        ),
        (tested(), "0c070009076f726465722d310a454d41494c5f53454e544d02fcdf220200fbd204000100016d0005080101c907"),
    ]
}

/// Bytes of facts that are written in another way now.
fn golden_of_before() -> Vec<(Fact, &'static str)> {
    let Fact::EventCarried { event, cells, .. } = carried() else { unreachable!("an event was carried") };
    vec![(
        Fact::EventCarried { was: event.at, event, cells },
        "0ec803fb60ea0700076f726465722d310a454d41494c5f53454e5418323032362d30322d31395431303a33303a\
30302e3030305a010434383231d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1fb0004010002090800fb0401fc701101000001c803\
01070009000201fb60ea080101c907",
    )]
}

fn hex(fact: &Fact) -> String {
    let mut bytes = Vec::new();
    encode(fact, NOW, &mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_each_variant_are_for_ever() {
    let differing: Vec<_> =
        golden().iter().map(|(fact, bytes)| (hex(fact), *bytes)).filter(|(is, was)| is != was).collect();
    assert!(differing.is_empty(), "(is, was): {differing:#?}");
}

#[test]
fn the_bytes_of_each_variant_are_read_back() {
    for (fact, text) in golden().into_iter().chain(golden_of_before()) {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
        assert_eq!(decode(here(), NOW, &bytes).expect("golden").fact, fact);
    }
}

/// A profile's bytes are its number, its length, and its text.
#[test]
fn a_profile_is_written_as_its_text() {
    let toml = BUILT_IN[2].1;
    let fact = Fact::ProfileRegistered(Arc::new(Profile::parse(toml).expect("built in")));
    let mut bytes = Vec::new();
    encode(&fact, NOW, &mut bytes);
    assert_eq!(bytes[..2], [0, 0xfb], "number 0, then a length of two bytes");
    assert_eq!(bytes[2..4], (toml.len() as u16).to_le_bytes());
    assert_eq!(&bytes[4..], toml.as_bytes());
}
