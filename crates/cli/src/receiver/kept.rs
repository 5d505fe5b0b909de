//! The last requests of one worker, in bounded memory.
//!
//! A request is copied, never kept as a slice of the read buffer (which would pin the whole buffer), and the copy takes
//! over the allocations of the entry that it pushes out: in steady state keeping a request allocates nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::Request;
use crate::clock;
use crate::limits::{BODY_KEPT_MAX, HEAD_KEPT_MAX};

/// One kept request, as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// From 1, in the order of arrival.
    pub number: u64,
    /// Milliseconds since 1970.
    pub received_ms: i64,
    pub method: String,
    pub path: String,
    /// Lower-case names; values of a repeated one joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The first 64 KiB of it.
    pub body: Vec<u8>,
    /// The whole body's length.
    pub body_bytes: u64,
    /// None: no whole answer was given.
    pub status: Option<u16>,
}

impl Serialize for Received {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let truncated = self.body_bytes > self.body.len() as u64;
        let text = text(&self.body, truncated);
        let mut fields = serializer.serialize_struct("Received", 9)?;
        fields.serialize_field("receivedAt", &clock::rfc3339(self.received_ms))?;
        fields.serialize_field("method", &self.method)?;
        fields.serialize_field("path", &self.path)?;
        fields.serialize_field("headers", &self.headers)?;
        match text {
            Some(text) => fields.serialize_field("body", text)?,
            None => fields.serialize_field("body", &STANDARD.encode(&self.body))?,
        }
        fields.serialize_field("bodyEncoding", if text.is_some() { "text" } else { "base64" })?;
        fields.serialize_field("bodyBytes", &self.body_bytes)?;
        fields.serialize_field("bodyTruncated", &truncated)?;
        fields.serialize_field("status", &self.status)?;
        fields.end()
    }
}

/// The body where it is UTF-8; a cut may have split its last character, which is then left out.
fn text(body: &[u8], truncated: bool) -> Option<&str> {
    match std::str::from_utf8(body) {
        Ok(text) => Some(text),
        Err(error) if truncated && error.error_len().is_none() => {
            std::str::from_utf8(&body[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// The type of the event in a body of any of the built-in profiles; control characters are left out.
pub fn event_type(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        r#type: Option<Cow<'a, str>>,
    }
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(rename = "eventType", alias = "type", borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(default, borrow)]
        events: Vec<Event<'a>>,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    let kind = envelope.kind.or_else(|| envelope.events.into_iter().next()?.r#type)?;
    Some(kind.chars().filter(|c| !c.is_control()).take(128).collect())
}

#[derive(Default)]
struct Kept {
    number: u64,
    received_ms: i64,
    method: String,
    path: String,
    /// `name:value\n` each: a name has no colon, a value no line feed.
    head: Vec<u8>,
    body: Vec<u8>,
    body_bytes: u64,
    status: Option<u16>,
}

impl Kept {
    fn fill(&mut self, request: &Request<'_>, body_bytes: u64, status: Option<u16>) {
        (self.number, self.received_ms) = (request.number, request.received_ms);
        (self.body_bytes, self.status) = (body_bytes, status);
        self.method.clear();
        self.method.push_str(request.method);
        self.path.clear();
        self.path.push_str(request.path);
        self.body.clear();
        self.body.extend_from_slice(&request.body[..request.body.len().min(BODY_KEPT_MAX)]);
        self.head.clear();
        for (name, value) in request.headers {
            if self.head.len() + name.as_str().len() + value.len() > HEAD_KEPT_MAX {
                break;
            }
            self.head.extend_from_slice(name.as_str().as_bytes());
            self.head.push(b':');
            self.head.extend_from_slice(value.as_bytes());
            self.head.push(b'\n');
        }
    }

    fn bytes(&self) -> usize {
        self.method.capacity() + self.path.capacity() + self.head.capacity() + self.body.capacity()
    }

    fn read(&self) -> Received {
        Received {
            number: self.number,
            received_ms: self.received_ms,
            method: self.method.clone(),
            path: self.path.clone(),
            headers: headers(&self.head),
            body: self.body.clone(),
            body_bytes: self.body_bytes,
            status: self.status,
        }
    }
}

fn headers(head: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (String::from_utf8_lossy(&line[..colon]), String::from_utf8_lossy(&line[colon + 1..]));
        headers
            .entry(name.into_owned())
            .and_modify(|known: &mut String| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    headers
}

/// The newest entries, within a number and a sum of bytes.
pub struct Ring {
    entries: VecDeque<Kept>,
    entries_max: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Ring {
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), entries_max, bytes: 0, bytes_max }
    }

    /// Keeps a copy; `body_bytes` is the whole body's length, of which the request may hold only the first part.
    pub fn push(&mut self, request: &Request<'_>, body_bytes: u64, status: Option<u16>) {
        let mut kept = Kept::default();
        if self.entries.len() >= self.entries_max {
            kept = self.pop();
        }
        kept.fill(request, body_bytes, status);
        self.bytes += kept.bytes();
        self.entries.push_back(kept);
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            self.pop();
        }
    }

    pub fn read(&self) -> Vec<Received> {
        self.entries.iter().map(Kept::read).collect()
    }

    fn pop(&mut self) -> Kept {
        let oldest = self.entries.pop_front().unwrap_or_default();
        self.bytes -= oldest.bytes();
        oldest
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn push(ring: &mut Ring, number: u64, body: &[u8]) {
        let mut headers = HeaderMap::new();
        headers.append("a", "1".parse().unwrap());
        headers.append("a", "2".parse().unwrap());
        let request = Request { number, received_ms: 0, method: "POST", path: "/x", headers: &headers, body };
        ring.push(&request, body.len() as u64, Some(200));
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut ring = Ring::new(3, 1 << 20);
        (1..=5).for_each(|number| push(&mut ring, number, b"{}"));
        let read = ring.read();
        assert_eq!(read.iter().map(|kept| kept.number).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(read[0].headers["a"], "1, 2");
        assert_eq!(ring.bytes, ring.entries.iter().map(Kept::bytes).sum::<usize>());
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut ring = Ring::new(1_000, 100_000);
        (1..=50).for_each(|number| push(&mut ring, number, &[7; 10_000]));
        assert!(ring.bytes <= 100_000 && ring.entries.len() >= 5, "{} bytes", ring.bytes);
        push(&mut ring, 51, &[7; 1 << 20]);
        let last = ring.read().pop().unwrap();
        assert_eq!((last.body.len(), last.body_bytes), (BODY_KEPT_MAX, 1 << 20));
    }

    #[test]
    fn binary_bodies_are_base64_and_a_cut_text_stays_text() {
        let mut ring = Ring::new(9, 1 << 20);
        push(&mut ring, 1, &[0xff, 0x00]);
        push(&mut ring, 2, format!("x{}", "é".repeat(BODY_KEPT_MAX / 2)).as_bytes());
        let json: Vec<_> = ring.read().iter().map(|kept| serde_json::to_value(kept).unwrap()).collect();
        assert_eq!((&json[0]["body"], &json[0]["bodyEncoding"]), (&"/wA=".into(), &"base64".into()));
        assert_eq!((&json[1]["bodyTruncated"], &json[1]["bodyEncoding"]), (&true.into(), &"text".into()));
    }

    #[test]
    fn the_event_type_is_found_in_every_profile() {
        assert_eq!(event_type(br#"{"eventId":"e","eventType":"EMAIL_SENT"}"#).as_deref(), Some("EMAIL_SENT"));
        assert_eq!(
            event_type(br#"{"events":[{"id":"e","type":"contact.replied"}]}"#).as_deref(),
            Some("contact.replied")
        );
        assert_eq!(event_type(br#"{"type":"a\u001b[2Jb","data":{}}"#).as_deref(), Some("a[2Jb"));
        assert_eq!(event_type(b"not json"), None);
    }
}
