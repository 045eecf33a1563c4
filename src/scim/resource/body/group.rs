//! A group's body as one pass: its members apart, everything else as generic
//! JSON.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::scim::{
    dropped::Reading,
    error::Problem,
    json::{Bounded, twice},
    members::Members,
    schema::GROUP,
};

pub(super) struct Group<'a> {
    pub(super) bounded: Bounded,
    pub(super) most: usize,
    pub(super) reading: &'a mut Reading,
    pub(super) fault: &'a mut Option<Problem>,
}

type Parts = (Map<String, Value>, Option<Vec<String>>);

impl<'de> DeserializeSeed<'de> for Group<'_> {
    type Value = Parts;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Parts, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Group<'_> {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object that holds the group")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
        let inner = self.bounded.deeper()?;
        let mut attributes = Map::new();
        let mut spelled = HashSet::new();
        let mut members = None;
        let mut named = false;
        while let Some(name) = map.next_key::<String>()? {
            if is_members(&name) {
                if std::mem::replace(&mut named, true) {
                    return Err(twice(&name));
                }
                members = map.next_value_seed(Members {
                    bounded: inner,
                    most: self.most,
                    reading: self.reading,
                    fault: self.fault,
                })?;
            } else if attributes.contains_key(&name)
                || (self.bounded.strict && !spelled.insert(name.to_ascii_lowercase()))
            {
                return Err(twice(&name));
            } else {
                attributes.insert(name, map.next_value_seed(inner)?);
            }
        }
        Ok((attributes, members))
    }
}

/// Whether a key of a group's body means its members.
pub(in crate::scim) fn is_members(name: &str) -> bool {
    let name = match name.get(..GROUP.len()) {
        Some(urn) if urn.eq_ignore_ascii_case(GROUP) => {
            name.get(GROUP.len() + 1..).unwrap_or_default()
        }
        _ => name,
    };
    name.eq_ignore_ascii_case("members")
}
