//! Picks the raw texts of chosen members out of an event's `data`, in one pass and without copying.
//!
//! What a template refers to is known when the profile is loaded and has a numbered slot; what a webhook's `customFields` name is known
//! only at rendering and is looked for in the places that the profile lists. Of members that occur twice the last one counts.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A member to look at, and what to do with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pick {
    name: Box<str>,
    /// Where it is put.
    slot: Option<usize>,
    /// Whether its whole text is wanted, beyond whether it is there.
    whole: bool,
    /// What is picked inside.
    members: Vec<Pick>,
    /// Its rank among the places where custom fields are looked up.
    place: Option<usize>,
}

/// Everything that a profile picks.
#[derive(Clone, Debug, Default)]
pub(super) struct Picks {
    members: Vec<Pick>,
    slots: usize,
    places: usize,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// `data` has no such member.
    Nothing,
    /// An object of which only the members were wanted.
    Object,
    /// The raw text.
    Text(&'a str),
}

/// What was found in one `data`.
pub(super) struct Picked<'a, 'n> {
    slots: Vec<Found<'a>>,
    /// By place, then by name.
    custom: Vec<Option<&'a str>>,
    names: &'n [&'n str],
}

impl<'a> Picked<'a, '_> {
    pub fn slot(&self, slot: usize) -> Found<'a> {
        self.slots[slot]
    }

    /// What the `name`-th custom field is in the first place that has it.
    pub fn custom(&self, name: usize) -> Option<&'a str> {
        self.custom.iter().skip(name).step_by(self.names.len()).find_map(|found| *found)
    }

    fn forget(&mut self, pick: &Pick) {
        if let Some(slot) = pick.slot {
            self.slots[slot] = Found::Nothing;
        }
        if let Some(place) = pick.place {
            self.custom[place * self.names.len()..][..self.names.len()].fill(None);
        }
        pick.members.iter().for_each(|member| self.forget(member));
    }
}

impl Picks {
    /// The slot of what lies at `path`; `whole` when its text is wanted.
    pub fn slot(&mut self, path: &[&str], whole: bool) -> usize {
        let next = self.slots;
        let pick = find(&mut self.members, path);
        pick.whole |= whole;
        let slot = *pick.slot.get_or_insert(next);
        self.slots = self.slots.max(slot + 1);
        slot
    }

    /// Makes the object at `path` the next place of custom fields.
    pub fn place(&mut self, path: &[&str]) {
        find(&mut self.members, path).place = Some(self.places);
        self.places += 1;
    }

    /// One pass over `data`. Where it cannot be read, what was found until there counts.
    pub fn pick<'a, 'n>(&self, data: &'a [u8], names: &'n [&'n str]) -> Picked<'a, 'n> {
        let slots = vec![Found::Nothing; self.slots];
        let mut picked = Picked { slots, custom: vec![None; self.places * names.len()], names };
        if !self.members.is_empty() {
            // Only data that was never checked can fail here, as text or as JSON.
            let text = std::str::from_utf8(data).unwrap_or_default();
            let walk = Walk { members: &self.members, place: None, picked: &mut picked };
            let _ = walk.deserialize(&mut serde_json::Deserializer::from_str(text));
        }
        picked
    }
}

/// The pick at `path`, made if it is not there.
fn find<'p>(members: &'p mut Vec<Pick>, path: &[&str]) -> &'p mut Pick {
    let (first, rest) = path.split_first().expect("a path names at least one member");
    let index = members.iter().position(|m| *m.name == **first).unwrap_or_else(|| {
        members.push(Pick { name: (*first).into(), ..Pick::default() });
        members.len() - 1
    });
    let pick = &mut members[index];
    if rest.is_empty() { pick } else { find(&mut pick.members, rest) }
}

/// A value about to be read that may be an object with something to pick.
struct Walk<'w, 'a, 'n> {
    members: &'w [Pick],
    place: Option<usize>,
    picked: &'w mut Picked<'a, 'n>,
}

impl<'a> DeserializeSeed<'a> for Walk<'_, 'a, '_> {
    type Value = Found<'a>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Found<'a>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Walk<'_, 'a, '_> {
    type Value = Found<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Found<'a>, A::Error> {
        let Walk { members, place, picked } = self;
        let names = if place.is_some() { picked.names } else { &[] };
        while let Some(wanted) = map.next_key_seed(Key { members, names })? {
            let pick = wanted.member.map(|index| &members[index]);
            if let Some(pick) = pick {
                picked.forget(pick);
            }
            match (pick, wanted.name) {
                (None, None) => drop(map.next_value::<IgnoredAny>()?),
                (Some(pick), None) if !pick.whole => {
                    let found = map.next_value_seed(Walk { members: &pick.members, place: pick.place, picked })?;
                    pick.slot.into_iter().for_each(|slot| picked.slots[slot] = found);
                }
                (pick, name) => {
                    let text = map.next_value::<&RawValue>()?.get();
                    if let (Some(place), Some(name)) = (place, name) {
                        picked.custom[place * picked.names.len() + name] = Some(text);
                    }
                    if let Some(pick) = pick {
                        keep_whole(pick, text, picked).map_err(serde::de::Error::custom)?;
                    }
                }
            }
        }
        Ok(Found::Object)
    }

    fn visit_unit<E>(self) -> Result<Found<'a>, E> {
        Ok(Found::Text("null"))
    }

    // Of what is neither object nor null there are no members to send. A schema that describes the object refuses these.

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Found<'a>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found<'a>, E> {
        Ok(Found::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found<'a>, E> {
        Ok(Found::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found<'a>, E> {
        Ok(Found::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found<'a>, E> {
        Ok(Found::Nothing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Found<'a>, E> {
        Ok(Found::Nothing)
    }
}

/// Keeps a member as raw text, and picks inside of that text what is wanted of it beside.
fn keep_whole<'a>(pick: &Pick, text: &'a str, picked: &mut Picked<'a, '_>) -> serde_json::Result<()> {
    if let Some(slot) = pick.slot {
        picked.slots[slot] = Found::Text(text);
    }
    if text.starts_with('{') && (pick.place.is_some() || !pick.members.is_empty()) {
        let walk = Walk { members: &pick.members, place: pick.place, picked };
        walk.deserialize(&mut serde_json::Deserializer::from_str(text))?;
    }
    Ok(())
}

/// A key about to be read. As bytes, because a key may hold what no `str` can.
struct Key<'k> {
    members: &'k [Pick],
    names: &'k [&'k str],
}

/// What a key is: a picked member, a custom field, both or neither.
struct Wanted {
    member: Option<usize>,
    name: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Wanted;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Wanted, D::Error> {
        reader.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Wanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Wanted, E> {
        let member = self.members.iter().position(|m| m.name.as_bytes() == key);
        let name = self.names.iter().position(|n| n.as_bytes() == key);
        Ok(Wanted { member, name })
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Wanted, E> {
        self.visit_bytes(key.as_bytes())
    }
}
