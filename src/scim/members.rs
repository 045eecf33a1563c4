//! A group's members as they are sent: read in one pass into ids, without
//! building generic JSON in between, because there may be ten thousand.
//!
//! An element is an object with `value`, or leniently the bare id; `display`
//! and `$ref` are read and not kept, what no schema defines is counted. A
//! group as a member is refused, since no application behind the bridge can
//! nest groups; so is a list whose elements name nobody, which would empty a
//! group by mistake.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    dropped::Reading,
    error::{Problem, ScimType},
    json::{Bounded, Limits, twice},
    value::parsed_text,
};

/// Reads `members`; `None` for what says nothing (`null`, leniently `""` and
/// `{}`), which is not the same as `[]`. A fault of meaning (not of syntax) is left in `fault`,
/// because serde's errors cannot carry it.
pub(super) struct Members<'a> {
    pub(super) bounded: Bounded,
    pub(super) most: usize,
    pub(super) reading: &'a mut Reading,
    pub(super) fault: &'a mut Option<Problem>,
}

/// The ids in a value that was already parsed; `null` and `[]` are none.
pub(super) fn ids(
    value: &Value,
    limits: &Limits,
    reading: &mut Reading,
) -> Result<Vec<String>, Problem> {
    let mut fault = None;
    let seed = Members {
        bounded: Bounded::new(limits),
        most: limits.members,
        reading,
        fault: &mut fault,
    };
    let read = seed.deserialize(value);
    match (read, fault) {
        (_, Some(problem)) => Err(problem),
        (Ok(ids), None) => Ok(ids.unwrap_or_default()),
        (Err(error), None) => Err(Problem::bad(
            ScimType::InvalidValue,
            format!("members cannot be read: {error}"),
        )),
    }
}

/// The refusal of too many members.
pub(super) fn too_many(most: usize) -> Problem {
    Problem::bad(
        ScimType::TooMany,
        format!("more than {most} members in one request; send them in several"),
    )
}

impl Members<'_> {
    fn refuse<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        let error = E::custom(&problem.detail);
        *self.fault = Some(problem);
        error
    }

    fn one(&mut self) -> Member<'_> {
        Member {
            bounded: self.bounded,
            reading: self.reading,
            fault: self.fault,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Option<Vec<String>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("members: an array of objects with a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<Self::Value, E> {
        if self.bounded.strict {
            return Err(self.refuse(wrong_type("a string")));
        }
        if text.is_empty() {
            return Ok(None);
        }
        let Some(parsed) = parsed_text(text) else {
            return Ok(Some(vec![text.to_owned()]));
        };
        let limits = Limits {
            members: self.most,
            ..Limits::default()
        };
        match ids(&parsed, &limits, self.reading) {
            Ok(ids) => Ok(Some(ids)),
            Err(problem) => Err(self.refuse(problem)),
        }
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a boolean")))
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a number")))
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a number")))
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a number")))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        self.bounded = self.bounded.deeper()?;
        let mut ids = Vec::new();
        let mut hollow = false;
        while let Some(id) = list.next_element_seed(self.one())? {
            let Some(id) = id else {
                hollow = true;
                continue;
            };
            if ids.len() == self.most {
                let problem = too_many(self.most);
                return Err(self.refuse(problem));
            }
            ids.push(id);
        }
        if hollow && ids.is_empty() {
            let detail =
                "members names nobody: its elements are empty; send [] to remove every member";
            return Err(self.refuse(Problem::bad(ScimType::InvalidValue, detail)));
        }
        Ok(Some(ids))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<Self::Value, A::Error> {
        if self.bounded.strict {
            return Err(self.refuse(wrong_type("an object")));
        }
        Ok(self.one().visit_map(map)?.map(|id| vec![id]))
    }
}

struct Member<'a> {
    bounded: Bounded,
    reading: &'a mut Reading,
    fault: &'a mut Option<Problem>,
}

impl Member<'_> {
    fn refuse<E: serde::de::Error>(self, problem: Problem) -> E {
        let error = E::custom(&problem.detail);
        *self.fault = Some(problem);
        error
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member: an object with a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        if self.bounded.strict {
            return Err(self.refuse(wrong_type("null")));
        }
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if self.bounded.strict {
            return Err(self.refuse(wrong_type("a string")));
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a boolean")))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a number")))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a number")))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(self.refuse(wrong_type("a number")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.refuse(wrong_type("an array")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inner = self.bounded.deeper()?;
        let mut id: Option<Value> = None;
        let mut kind: Option<Value> = None;
        let mut others: Vec<String> = Vec::new();
        let mut dropped = [false; 2];
        while let Some(key) = map.next_key_seed(Key)? {
            let again = match &key {
                Part::Value => id.is_some(),
                Part::Type => kind.is_some(),
                Part::Display => std::mem::replace(&mut dropped[0], true),
                Part::Reference => std::mem::replace(&mut dropped[1], true),
                Part::Other(name) => others.contains(name),
            };
            if again {
                return Err(twice(key.name()));
            }
            match key {
                Part::Value => id = Some(map.next_value_seed(inner)?),
                Part::Type => kind = Some(map.next_value_seed(inner)?),
                Part::Reference if self.bounded.strict => {
                    let address: Value = map.next_value_seed(inner)?;
                    if !address.is_string() && !address.is_null() {
                        let detail = "members.$ref must be an address in a string";
                        return Err(self.refuse(Problem::bad(ScimType::InvalidValue, detail)));
                    }
                }
                Part::Display | Part::Reference => map.next_value_seed(Dropped(inner))?,
                Part::Other(name) => {
                    if let Err(problem) = self.reading.unknown_part("members", &name) {
                        return Err(self.refuse(problem));
                    }
                    others.push(name);
                    map.next_value_seed(Dropped(inner))?;
                }
            }
        }
        let bare =
            !self.bounded.strict && others.is_empty() && kind.is_none() && dropped == [false; 2];
        if let Some(problem) = kind.and_then(|kind| wrong_kind(&kind, self.bounded.strict)) {
            return Err(self.refuse(problem));
        }
        match id {
            Some(Value::String(id)) if !id.is_empty() => Ok(Some(id)),
            None | Some(Value::Null) if bare => Ok(None),
            _ => {
                let detail = "every member needs a value: the id of a user, in a string";
                Err(self.refuse(Problem::bad(ScimType::InvalidValue, detail)))
            }
        }
    }
}

/// The parts of a member, in any letter case; without a copy of the name
/// where it is known, for there may be ten thousand of them.
enum Part {
    Value,
    Type,
    Display,
    Reference,
    Other(String),
}

impl Part {
    fn name(&self) -> &str {
        match self {
            Self::Value => "value",
            Self::Type => "type",
            Self::Display => "display",
            Self::Reference => "$ref",
            Self::Other(name) => name,
        }
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Part, D::Error> {
        reader.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Part, E> {
        let known = [Part::Value, Part::Type, Part::Display, Part::Reference];
        let mut known = known.into_iter();
        let found = known.find(|part| part.name().eq_ignore_ascii_case(name));
        Ok(found.unwrap_or_else(|| Part::Other(name.to_owned())))
    }
}

/// Reads a value within bounds and keeps nothing of it; text is not even copied.
struct Dropped(Bounded);

impl<'de> DeserializeSeed<'de> for Dropped {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Dropped {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.visit_seq(list).map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map).map(drop)
    }
}

/// Why a member of this `type` is none; strictly there is only `User`.
fn wrong_kind(kind: &Value, strict: bool) -> Option<Problem> {
    let detail = match kind {
        Value::String(kind) if kind.eq_ignore_ascii_case("Group") => {
            "a group cannot be a member of a group here; name its users instead"
        }
        Value::String(kind) if kind.eq_ignore_ascii_case("User") => return None,
        Value::Null => return None,
        _ if strict => "members.type must be User",
        _ => return None,
    };
    Some(Problem::bad(ScimType::InvalidValue, detail))
}

fn wrong_type(got: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidValue,
        format!("members must be an array of objects with a value; it was given {got}"),
    )
}
