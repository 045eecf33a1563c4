//! A group's members as they are sent: read in one pass into ids, without
//! building generic JSON in between, because there may be ten thousand.
//!
//! An element is an object with `value`, or the bare id; `display`, `$ref`
//! and what else it carries is read and dropped. A group as a member is
//! refused, since no application behind the bridge can nest groups.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    error::{Problem, ScimType},
    json::{Limits, Strict, twice},
    value::parsed_text,
};

/// Reads `members`. A fault of meaning (not of syntax) is left in `fault`,
/// because serde's errors cannot carry it.
pub(super) struct Members<'a> {
    pub(super) strict: Strict,
    pub(super) most: usize,
    pub(super) fault: &'a mut Option<Problem>,
}

/// The ids in a value that was already parsed; `null` and `[]` are none.
pub(super) fn ids(value: &Value, limits: &Limits) -> Result<Vec<String>, Problem> {
    let mut fault = None;
    let seed = Members {
        strict: Strict::new(limits),
        most: limits.members,
        fault: &mut fault,
    };
    let read = seed.deserialize(value);
    match (read, fault) {
        (_, Some(problem)) => Err(problem),
        (Ok(ids), None) => Ok(ids),
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
            strict: self.strict,
            fault: self.fault,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("members: an array of objects with a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let Some(parsed) = parsed_text(text) else {
            return Ok(vec![text.to_owned()]);
        };
        let limits = Limits {
            members: self.most,
            ..Limits::default()
        };
        ids(&parsed, &limits).map_err(|problem| self.refuse(problem))
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
        self.strict = self.strict.deeper()?;
        let mut ids = Vec::new();
        while let Some(id) = list.next_element_seed(self.one())? {
            let Some(id) = id else { continue };
            if ids.len() == self.most {
                let problem = too_many(self.most);
                return Err(self.refuse(problem));
            }
            ids.push(id);
        }
        Ok(ids)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<Self::Value, A::Error> {
        Ok(self.one().visit_map(map)?.into_iter().collect())
    }
}

struct Member<'a> {
    strict: Strict,
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

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
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
        let inner = self.strict.deeper()?;
        let mut id: Option<Value> = None;
        let mut kind: Option<Value> = None;
        let mut others: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let slot = if key.eq_ignore_ascii_case("value") {
                &mut id
            } else if key.eq_ignore_ascii_case("type") {
                &mut kind
            } else {
                if others.iter().any(|other| *other == *key) {
                    return Err(twice(&key));
                }
                others.push(key.into_owned());
                map.next_value_seed(inner)?;
                continue;
            };
            if slot.is_some() {
                return Err(twice(&key));
            }
            *slot = Some(map.next_value_seed(inner)?);
        }
        if let Some(Value::String(kind)) = &kind
            && kind.eq_ignore_ascii_case("Group")
        {
            let detail = "a group cannot be a member of a group here; name its users instead";
            return Err(self.refuse(Problem::bad(ScimType::InvalidValue, detail)));
        }
        match id {
            Some(Value::String(id)) if !id.is_empty() => Ok(Some(id)),
            None | Some(Value::Null) if others.is_empty() && kind.is_none() => Ok(None),
            _ => {
                let detail = "every member needs a value: the id of a user, in a string";
                Err(self.refuse(Problem::bad(ScimType::InvalidValue, detail)))
            }
        }
    }
}

fn wrong_type(got: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidValue,
        format!("members must be an array of objects with a value; it was given {got}"),
    )
}
