//! The place of the workers and of the network: a request is written as a worker does it, and a receiver answers.

use bytes::Bytes;
use postrider_core::Time;
use postrider_core::command::{Command, Finish, Measured};
use postrider_core::profile::EventView;
use postrider_engine::shard::{Input, Job};
use postrider_log::{LogReader, ReadError};

use super::{Happening, Outside, Process, Token};
use crate::chance::Fnv;
use crate::checker::{Request, Verdict, Violation, broken, law};
use crate::fault::Fault;

impl Process {
    /// What has happened by `now`. The network does not wait for a sync.
    pub(super) fn network(&mut self, now: Time, outside: &mut Outside) -> Verdict {
        while let Some(entry) = self.calendar.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Happening::Write(job) => self.write(*job, now, outside)?,
                Happening::End(finish) => self.end(*finish, now, outside),
            }
        }
        Ok(())
    }

    /// What a worker does just before it writes: asks whether the webhook is still the one that it was given.
    fn write(&mut self, job: Job, now: Time, outside: &mut Outside) -> Verdict {
        let key = job.cell.key;
        let current = self.directory.webhook(job.webhook.id);
        let is_current = match (outside.fault, current) {
            (Some(Fault::IgnoreChange), _) | (Some(Fault::SendAfterDelete), None) => true,
            (_, current) => current.is_some_and(|w| w.version == job.webhook.version && w.may_be_attempted()),
        };
        if !is_current {
            self.withdrawals.push(key);
            return Ok(());
        }
        let Some(body) = self.body(&job, outside)? else {
            law!(10, outside.checker.is_spent(job.payload), "the payload of {key} is gone, and no fact says so");
            self.withdrawals.push(key);
            return Ok(());
        };
        outside.trace.numbers(&[2, now.0, key.event.to_u64(), body]);
        let settings = &job.webhook.settings;
        let mut secret = settings.secret.as_ref();
        if outside.fault == Some(Fault::OldSecret) {
            secret = self.bugs.secrets.entry(job.webhook.id).or_insert_with(|| settings.secret.clone()).as_ref();
        }
        let version = job.webhook.version;
        let request = Request { key, number: job.number, version, url: &settings.url, secret, body };
        outside.checker.written(&request)?;
        let at = outside.clocks.elapsed();
        let exchange = outside.receivers.answer(&settings.url, at, settings.timeout, &mut outside.chance);
        if outside.fault == Some(Fault::HiddenResend) && exchange.failure.is_some() {
            outside.checker.written(&request)?;
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

    /// The body as a worker renders it: payload and revision from the log, whatever the webhook is now. `None` once it was erased.
    fn body(&self, job: &Job, outside: &mut Outside) -> Result<Option<u64>, Violation> {
        let event = &job.event;
        let newest = outside.fault == Some(Fault::RenderNewest);
        let revision = if newest { job.webhook.revision } else { job.cell.revision };
        let mut read = self.reader.payload(job.payload);
        if let (Err(ReadError::Damaged(damage)), Some(rot)) = (&read, &outside.rot) {
            // A flipped bit comes to light, and someone mends it.
            if rot.is_at(damage) {
                rot.mend_now();
                outside.rot = None;
                read = self.reader.payload(job.payload);
            }
        }
        let data = match read {
            Ok(Some(data)) => data,
            Ok(None) | Err(ReadError::Erased(_)) => return Ok(None),
            Err(error) => return Err(broken!(10, "the payload of {} cannot be read: {error}", job.cell.key)),
        };
        let directory = &self.directory;
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

    fn end(&mut self, finish: Finish, now: Time, outside: &mut Outside) {
        outside.trace.numbers(&[3, now.0, finish.key.event.to_u64(), finish.measured.exchange.duration.0]);
        outside.checker.ended(finish.key, now, &finish.measured.exchange);
        if outside.fault == Some(Fault::DropFinish) && outside.chance.one_in(50) {
            return;
        }
        self.outcomes.push_back(Input::new(Command::Finish(finish), Token::Nobody));
        self.want_turn(outside);
    }
}
