//! The place of the workers and of the network: a request is written as a worker does it, and a receiver answers.

use bytes::Bytes;
use postrider_core::command::{Command, Finish, Measured};
use postrider_core::profile::EventView;
use postrider_core::{DeliveryKey, Time};
use postrider_engine::shard::{Input, Job};
use postrider_log::{LogReader, ReadError};

use super::{Happening, Outside, Process, Token};
use crate::chance::Fnv;
use crate::checker::{Verdict, Violation, broken, law};
use crate::fault::Fault;

impl Process {
    /// What a worker does just before it writes: asks whether the webhook is still the one that it was given.
    pub(super) fn write(&mut self, job: Job, now: Time, outside: &mut Outside) -> Verdict {
        let key = job.cell.key;
        let current = self.shard.kernel().directory.webhook(job.webhook.id);
        let is_current = current.is_some_and(|w| w.version == job.webhook.version && w.settings.enabled);
        if !is_current && outside.fault != Some(Fault::IgnoreChange) {
            return self.withdraw(key, outside);
        }
        let Some(body) = self.body(&job, outside.fault)? else {
            law!(10, outside.checker.is_erased(key), "the payload of {key} is gone, and no fact says so");
            return self.withdraw(key, outside);
        };
        outside.trace.numbers(&[2, now.0, key.event.to_u64(), body]);
        outside.checker.written(key, job.number, job.webhook.version, body)?;
        let settings = &job.webhook.settings;
        let exchange = outside.receivers.answer(&settings.url, now, settings.timeout, &mut outside.chance);
        if outside.fault == Some(Fault::HiddenResend) && exchange.failure.is_some() {
            outside.checker.written(key, job.number, job.webhook.version, body)?;
        }
        let ended = now + exchange.duration;
        // What is kept of a response lies beside its fact.
        let kept = Bytes::from(vec![b'r'; outside.chance.below(40) as usize]);
        let crc32c = crc32c::crc32c(&kept);
        let measured =
            Measured { started: job.started, exchange, body: kept, crc32c, webhook_version: job.webhook.version };
        self.schedule(ended, Happening::End(Box::new(Finish { key, measured })));
        Ok(())
    }

    fn withdraw(&mut self, key: DeliveryKey, outside: &mut Outside) -> Verdict {
        outside.checker.withdrawn(key)?;
        self.shard.withdrawn(key);
        Ok(())
    }

    /// The body as a worker renders it: payload and revision from the log, whatever the webhook is now. `None` once it was erased.
    fn body(&self, job: &Job, fault: Option<Fault>) -> Result<Option<u64>, Violation> {
        let event = &job.event;
        let newest = fault == Some(Fault::RenderNewest);
        let revision = if newest { job.webhook.revision } else { job.cell.revision };
        let directory = &self.shard.kernel().directory;
        let data = match self.reader.payload(event.at) {
            Ok(Some(data)) => data,
            Ok(None) | Err(ReadError::Erased(_)) => return Ok(None),
            Err(error) => return Err(broken!(10, "the payload of {} cannot be read: {error}", job.cell.key)),
        };
        let (profile, fields) = (directory.profile(event.profile), directory.projection(job.webhook.id, revision));
        let (Some(profile), Some(fields)) = (profile, fields) else {
            return Err(broken!(10, "{} cannot be rendered", job.cell.key));
        };
        let view =
            EventView { id: event.id.as_str(), event_type: &event.event_type, created: &event.created, data: &data };
        let mut body = Vec::with_capacity(data.len() + 256);
        profile.render(&view, fields, &mut body);
        Ok(Some(Fnv::of(&body)))
    }

    pub(super) fn end(&mut self, finish: Finish, now: Time, outside: &mut Outside) {
        outside.trace.numbers(&[3, now.0, finish.key.event.to_u64(), finish.measured.exchange.duration.0]);
        outside.checker.ended(finish.key, now, &finish.measured.exchange);
        if outside.fault == Some(Fault::DropFinish) && outside.chance.one_in(50) {
            return;
        }
        self.outcomes.push_back(Input { command: Command::Finish(finish), token: Token::Nobody });
        self.want_turn(now, outside);
    }
}
