//! The template of an envelope: JSON with `"$…"` where the event's parts go, compiled to steps.
//!
//! | written | stands for |
//! |---|---|
//! | `$event.id`, `$event.type`, `$event.created` | the event's own, as JSON strings |
//! | `$data` | the whole payload, byte for byte |
//! | `$data.a.b` | that member; left out with its key where `data` lacks it |
//! | `$data.a{x,y}` | of that object these members, in this order; left out like it; `null` stays `null` |
//! | `$custom_fields` | an object of what the webhook's `customFields` name, `null` for what is nowhere |

use super::envelope::{Member, Step, quoted};
use super::pick::Picks;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The steps that write the template, and what they need of `data`.
///
/// # Errors
/// When it is not JSON, or refers to what there is not.
pub(super) fn compile(template: &str) -> Result<(Vec<Step>, Picks), String> {
    let json: &RawValue = serde_json::from_str(template).map_err(|e| format!("is not JSON: {e}"))?;
    let mut compiler = Compiler { steps: Vec::new(), picks: Picks::default() };
    compiler.value(json.get())?;
    Ok((compiler.steps, compiler.picks))
}

struct Compiler {
    steps: Vec<Step>,
    picks: Picks,
}

impl Compiler {
    /// Constant text joins what stands before it, so that it is copied at once.
    fn text(&mut self, text: &str) {
        match self.steps.last_mut() {
            Some(Step::Text(before)) => *before = format!("{before}{text}").into(),
            _ => self.steps.push(Step::Text(text.into())),
        }
    }

    fn value(&mut self, json: &str) -> Result<(), String> {
        match json.as_bytes().first() {
            Some(b'{') => self.object(json),
            Some(b'[') => self.array(json),
            Some(b'"') => {
                let text: String = serde_json::from_str(json).map_err(|e| e.to_string())?;
                let step = if text.starts_with('$') { step_of(&text)? } else { Step::Text(quoted(&text).into()) };
                match step {
                    Step::Text(text) => self.text(&text),
                    step => self.steps.push(step),
                }
                Ok(())
            }
            _ => {
                self.text(json);
                Ok(())
            }
        }
    }

    fn array(&mut self, json: &str) -> Result<(), String> {
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| e.to_string())?;
        self.text("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            self.value(item.get())?;
        }
        self.text("]");
        Ok(())
    }

    fn object(&mut self, json: &str) -> Result<(), String> {
        let members = members_of(json).map_err(|e| e.to_string())?;
        self.text("{");
        // Whether a member stands before that is always there: then the comma is known beforehand.
        let mut after_fixed = false;
        for (index, (key, value)) in members.iter().enumerate() {
            let key = format!("{}:", quoted(key));
            if let Some(reference) = data_reference(value.get()) {
                let member = self.member(&key, &reference)?;
                self.steps.push(Step::Member(member));
                continue;
            }
            match (after_fixed, index) {
                (true, _) => self.text(","),
                (false, 0) => {}
                (false, _) => self.steps.push(Step::Comma),
            }
            after_fixed = true;
            self.text(&key);
            self.value(value.get())?;
        }
        self.text("}");
        Ok(())
    }

    /// `a.b` or `a{x,y}`.
    fn member(&mut self, key: &str, reference: &str) -> Result<Member, String> {
        let (path, only) = match reference.split_once('{') {
            Some((path, only)) => (path, Some(only.strip_suffix('}').ok_or("a { is never closed")?)),
            None => (reference, None),
        };
        let path: Vec<&str> = path.split('.').collect();
        let named = |name: &str| !name.is_empty() && !name.contains(['{', '}', '.', ',']);
        if !path.iter().all(|name| named(name)) || only.is_some_and(|names| !names.split(',').all(named)) {
            return Err(format!("$data.{reference} is not of the form $data.a.b or $data.a{{x,y}}"));
        }
        let inner = |picks: &mut Picks, name: &str| Member {
            key: format!("{}:", quoted(name)).into(),
            slot: picks.slot(&[&*path, &[name]].concat(), true),
            only: None,
        };
        let slot = self.picks.slot(&path, only.is_none());
        let only = only.map(|names| names.split(',').map(|name| inner(&mut self.picks, name)).collect());
        Ok(Member { key: key.into(), slot, only })
    }
}

/// What follows `$data.` in a string of the template.
fn data_reference(json: &str) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    text.strip_prefix("$data.").map(str::to_owned)
}

fn step_of(reference: &str) -> Result<Step, String> {
    match reference {
        "$event.id" => Ok(Step::Id),
        "$event.type" => Ok(Step::EventType),
        "$event.created" => Ok(Step::Created),
        "$data" => Ok(Step::Data),
        "$custom_fields" => Ok(Step::CustomFields),
        other if other.starts_with("$data.") => Err(format!("{other} can be left out, so it must be a member's value")),
        other => Err(format!("{other} refers to nothing")),
    }
}

/// An object's members in the order they are written, which a map would lose.
fn members_of(json: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    struct Ordered;
    impl<'de> Visitor<'de> for Ordered {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Ordered)
}
