//! Stories of a log that begins later, on a log in memory.

use std::io;
use std::sync::Arc;

use postrider_core::command::Command;
use postrider_core::profile::Profile;
use postrider_core::sealed::SealingKeyId;
use postrider_core::webhook::{Settings, TIMEOUT_DEFAULT};
use postrider_core::workspace::KeyHash;
use postrider_core::{EventId, WorkspaceId};
use postrider_log::memory::{Memory, Reader, Writer};
use postrider_log::{EventLog, LogId, LogReader};
use postrider_scheduler::Limits;

use super::*;
use crate::entropy::SystemEntropy;
use crate::intake::{self, EventDraft};
use crate::shard::Input;

const KEEP: Retention = Retention { age: Millis(1_000), bytes: u64::MAX };

struct Stage {
    shard: Shard<Writer>,
    reader: Reader,
    log: Memory,
    workspace: WorkspaceId,
    profile: Arc<Profile>,
    now: Time,
}

impl Stage {
    /// A log that can begin at every fourth block, and a webhook that is off, so that all that is published stays pending.
    fn new() -> Stage {
        let log = Memory::with_segments(LogId([7; 16]), 4);
        let claimed = log.clone().claim(0, 1, Time(1)).unwrap();
        let profile = Arc::new(Profile::built_in().into_iter().find(|profile| &*profile.name == "genesy").unwrap());
        let shard = Shard::new(claimed.writer, Limits::default());
        let workspace = WorkspaceId(Position::new(0, 0));
        let mut stage = Stage { shard, reader: claimed.reader, log, workspace, profile, now: Time(1) };
        stage.run(Command::RegisterProfile(Arc::clone(&stage.profile)));
        let (name, profile) = ("acme".into(), "genesy".into());
        let key_hash = KeyHash([1; 32]);
        stage.run(Command::CreateWorkspace { name, profile, sealing_key: SealingKeyId(1), key_hash });
        stage.workspace = stage.shard.kernel().directory.workspaces().next().unwrap().id;
        let settings = Settings {
            name: "off".into(),
            description: None,
            url: "http://192.0.2.1/".into(),
            events: vec!["EMAIL_SENT".into()],
            campaign_ids: Vec::new(),
            custom_fields: Vec::new(),
            enabled: true,
            secret: None,
            headers: Vec::new(),
            retry_policy: None,
            timeout: TIMEOUT_DEFAULT,
            rate_limit: None,
            signing: None,
            ordered: false,
        };
        stage.run(Command::CreateWebhook { workspace: stage.workspace, settings: Box::new(settings) });
        stage
    }

    fn run(&mut self, command: Command) {
        let mut once = Some(Input::new(command, ()));
        let turned = self.shard.turn(self.now, &mut SystemEntropy::new(), || once.take()).unwrap();
        assert!(turned.replies.iter().all(|(_, reply)| reply.is_ok()));
        self.shard.erase().unwrap();
    }

    fn publish(&mut self, id: &str) -> Position {
        // Large enough that restating the state is worth it now and then.
        let data = format!(r#"{{"contact":{{"id":"{id}","firstName":"{}"}}}}"#, "x".repeat(50_000)).into();
        let draft = EventDraft { id: Some(id.into()), event_type: "EMAIL_SENT".into(), data, ..EventDraft::default() };
        let event = intake::check(&self.profile, draft, 100_000).unwrap();
        self.run(Command::Publish { workspace: self.workspace, event });
        let id: EventId = id.parse().unwrap();
        self.shard.overlay().event_with_id(self.workspace, &id).unwrap().event.at
    }

    /// Retention until it has nothing more to do, with this payload not to be read.
    fn retain(&mut self, unreadable: Option<Position>) -> Result<(), TurnError> {
        let reader = self.reader.clone();
        let payload = |at| match unreadable == Some(at) {
            true => Err(ReadError::Unavailable(io::Error::other("a bad disk"))),
            false => reader.payload(at),
        };
        for _ in 0..100 {
            let retained = self.shard.retain(self.now, &KEEP, payload)?;
            self.shard.erase().unwrap();
            if retained.records.is_empty() && retained.begins.is_none() {
                return Ok(());
            }
        }
        panic!("retention has no end");
    }

    fn payload(&self, event: Position) -> Option<Bytes> {
        self.reader.payload(self.shard.overlay().payload_of(event)).unwrap()
    }
}

#[test]
fn what_is_unfinished_is_carried_and_the_log_begins_later() {
    let mut stage = Stage::new();
    let events: Vec<_> = (0..30).map(|n| stage.publish(&format!("e{n}"))).collect();
    stage.now = Time(10_000);
    stage.retain(None).unwrap();
    let first = stage.reader.first();
    assert!(first > events[20].block(), "{first}");
    for event in events.iter().filter(|event| event.block() < first) {
        assert!(stage.shard.overlay().payload_of(*event).block() >= first);
    }
    assert!(events.iter().all(|event| stage.payload(*event).is_some_and(|data| data.starts_with(b"{\"contact\""))));
    assert_eq!(stage.shard.kernel().pending(), 30);
}

#[test]
fn what_cannot_be_read_stops_retention_and_nothing_else() {
    let mut stage = Stage::new();
    let events: Vec<_> = (0..30).map(|n| stage.publish(&format!("e{n}"))).collect();
    stage.now = Time(10_000);
    stage.retain(Some(events[3])).unwrap();
    assert_eq!(stage.reader.first(), 0, "what was not carried is not let go");
    assert_eq!(stage.shard.overlay().payload_of(events[3]), events[3]);
    assert!(stage.shard.overlay().payload_of(events[2]) > events[29], "those before it were carried");
    assert!(events.iter().all(|event| stage.payload(*event).is_some()));
    stage.publish("goes-on");
    assert_eq!(stage.shard.kernel().pending(), 31);
}

#[test]
fn a_full_log_carries_nothing_and_still_lets_go_of_what_is_finished() {
    let mut stage = Stage::new();
    let events: Vec<_> = (0..30).map(|n| stage.publish(&format!("e{n}"))).collect();
    stage.now = Time(10_000);
    stage.log.set_capacity(0);
    assert!(matches!(stage.retain(None), Err(TurnError::Full)));
    assert_eq!((stage.reader.first(), stage.payload(events[0]).is_some()), (0, true));
    stage.log.set_capacity(usize::MAX);
    for n in 0..30 {
        let id = format!("e{n}").parse().unwrap();
        stage.run(Command::EraseEvent { workspace: stage.workspace, id });
    }
    stage.now = Time(20_000);
    stage.log.set_capacity(0);
    stage.retain(None).unwrap();
    assert!(stage.reader.first() > events[20].block(), "letting go needs no space");
}
