//! What is published: events of one size, each for as many webhooks as every other, whose ids say when they were sent.

use std::fmt::Write;

use crate::receiver::mark;

/// The profile whose events are published.
pub const PROFILE: &str = "genesy";
pub const EVENT_TYPE: &str = "MESSAGE_REPLIED";

/// All events of a run, by their numbers.
pub struct Events {
    payload: usize,
    fan_out: u64,
    /// Webhooks are in so many groups of `fan_out`; an event goes to one group, by its campaign.
    groups: u64,
}

impl Events {
    pub fn new(payload: u64, webhooks: u64, fan_out: u64) -> Self {
        Self { payload: usize::try_from(payload).unwrap_or(usize::MAX), fan_out, groups: webhooks / fan_out }
    }

    /// The campaign whose events a webhook wants.
    pub fn campaign_of(&self, webhook: u64) -> u64 {
        webhook % self.groups
    }

    pub fn fan_out(&self) -> u64 {
        self.fan_out
    }

    /// The id of event `number`, sent at this time, in microseconds since 1970. `part` keeps the numbers of two parts of a run apart.
    pub fn id(part: char, number: u64, sent_us: u64) -> String {
        format!("t{sent_us}-{part}{number}")
    }

    /// The event's data: `payload` bytes, all of which its receivers get.
    pub fn write_data(&self, number: u64, out: &mut String) {
        let start = out.len();
        let campaign = number % self.groups;
        // Writing to a String does not fail.
        let _ = write!(
            out,
            concat!(
                r#"{{"campaign":{{"id":{campaign},"name":"Benchmark"}},"#,
                r#""contact":{{"id":{number},"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}},"#,
                r#""message":{{"channel":"EMAIL","text":""#
            ),
            campaign = campaign,
            number = number
        );
        let end = r#""}}"#;
        let fill = self.payload.saturating_sub(out.len() - start + end.len());
        out.extend(std::iter::repeat_n('x', fill));
        out.push_str(end);
    }

    /// A whole event.
    pub fn write(&self, id: &str, number: u64, out: &mut String) {
        let _ = write!(out, r#"{{"id":"{id}","type":"{EVENT_TYPE}","data":"#);
        self.write_data(number, out);
        out.push('}');
    }

    /// What the deliveries of an event come to in the sink's checksum.
    pub fn marks(&self, id: &str, number: u64) -> u64 {
        let first = number % self.groups;
        let webhooks = (0..self.fan_out).map(|nth| first + nth * self.groups);
        webhooks.fold(0, |sum, webhook| sum.wrapping_add(mark(id, &path(webhook))))
    }
}

/// Where a webhook's requests go.
pub fn path(webhook: u64) -> String {
    format!("/w/{webhook}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_the_size_that_was_asked_for_and_is_json() {
        for (payload, number) in [(256, 0), (1024, 99_999_999), (61_440, 7)] {
            let mut data = String::new();
            Events::new(payload, 10_000, 1).write_data(number, &mut data);
            assert_eq!(data.len() as u64, payload);
            assert!(serde_json::from_str::<serde_json::Value>(&data).unwrap()["message"]["text"].is_string());
        }
    }

    #[test]
    fn every_event_goes_to_as_many_webhooks_as_every_other() {
        let events = Events::new(256, 12, 3);
        for number in 0..20 {
            let wanted: Vec<u64> = (0..12).filter(|w| events.campaign_of(*w) == number % 4).collect();
            assert_eq!(wanted.len(), 3);
            let marks = wanted.iter().fold(0_u64, |sum, w| sum.wrapping_add(mark("t1-a", &path(*w))));
            assert_eq!(events.marks("t1-a", number), marks);
        }
    }
}
