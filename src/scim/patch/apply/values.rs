//! The values of a multi-valued attribute under change: found by a filter,
//! added once, replaced, removed by what they are like. One `primary: true`
//! takes it from the others (RFC 7644 section 3.5.2).

use serde_json::{Map, Value};

use super::set;
use crate::scim::{
    error::{Problem, ScimType},
    filter::{Filter, fold_case},
    patch::Verb,
    schema::Attribute,
    value::{MOST_VALUES, is_primary, is_unset, too_many_values},
};

/// The values of a multi-valued attribute under change.
pub(super) struct Values<'a> {
    pub(super) attribute: &'a Attribute,
    pub(super) list: Vec<Edited>,
}

pub(super) struct Edited {
    value: Value,
    touched: bool,
}

impl Edited {
    pub(super) fn untouched(value: Value) -> Self {
        Self {
            value,
            touched: false,
        }
    }

    fn touched(value: Value) -> Self {
        Self {
            value,
            touched: true,
        }
    }

    fn set(&mut self, sub: &str, value: Option<&Value>) {
        self.touched = true;
        if let Value::Object(parts) = &mut self.value {
            set(parts, sub, value);
        }
    }

    fn merge(&mut self, value: &Value) {
        self.touched = true;
        match (&mut self.value, value) {
            (Value::Object(old), Value::Object(new)) => {
                old.extend(
                    new.iter()
                        .map(|(name, value)| (name.clone(), value.clone())),
                );
            }
            (old, new) => *old = new.clone(),
        }
    }
}

impl Values<'_> {
    pub(super) fn any(&self, filter: &Filter) -> bool {
        let mut list = self.list.iter();
        list.any(|element| filter.matches_element(&element.value))
    }

    pub(super) fn selected(
        &mut self,
        filter: &Filter,
        sub: Option<&str>,
        verb: Verb,
        value: Option<&Value>,
    ) -> Result<(), Problem> {
        let Some(value) = value else {
            match sub {
                None => self.list.retain(|e| !filter.matches_element(&e.value)),
                Some(sub) => {
                    for element in &mut self.list {
                        if filter.matches_element(&element.value) {
                            element.set(sub, None);
                        }
                    }
                }
            }
            return Ok(());
        };
        let mut found = false;
        for element in &mut self.list {
            if !filter.matches_element(&element.value) {
                continue;
            }
            found = true;
            match (sub, verb) {
                (Some(sub), _) => element.set(sub, Some(value)),
                (None, Verb::Add) => element.merge(value),
                (None, _) => *element = Edited::touched(value.clone()),
            }
        }
        if !found {
            let Some(described) = filter.equalities() else {
                return Err(Problem::bad(
                    ScimType::NoTarget,
                    format!(
                        "no value of {} matches the path's filter, and a value can only be made from eq joined by and",
                        self.attribute.name
                    ),
                ));
            };
            let mut element = Edited::touched(described.into());
            match sub {
                Some(sub) => element.set(sub, Some(value)),
                None => element.merge(value),
            }
            self.list.push(element);
        }
        Ok(())
    }

    /// A sub-attribute of every value; of a first one if there is none.
    pub(super) fn every(&mut self, sub: &str, value: Option<&Value>) {
        if self.list.is_empty() && value.is_some() {
            self.list.push(Edited::touched(Map::new().into()));
        }
        for element in &mut self.list {
            element.set(sub, value);
        }
    }

    pub(super) fn add(&mut self, value: Option<&Value>) {
        for value in value.and_then(Value::as_array).into_iter().flatten() {
            let attribute = self.attribute;
            let mut list = self.list.iter_mut();
            if let Some(element) = list.find(|e| same_value(attribute, &e.value, value)) {
                if let Some(news) = news(attribute, &element.value, value) {
                    element.merge(&news);
                }
            } else if self.list.len() <= MOST_VALUES {
                self.list.push(Edited::touched(value.clone()));
            }
        }
    }

    pub(super) fn replace(&mut self, value: Option<&Value>) {
        let list = value.and_then(Value::as_array);
        self.list = list
            .into_iter()
            .flatten()
            .cloned()
            .map(Edited::untouched)
            .collect();
    }

    /// The values that are like one of the given; all when none are given.
    pub(super) fn remove(&mut self, like: Option<&Value>) {
        match like.and_then(Value::as_array) {
            None => self.list.clear(),
            Some(like) => {
                let attribute = self.attribute;
                self.list
                    .retain(|e| !like.iter().any(|like| is_like(attribute, &e.value, like)));
            }
        }
    }

    /// Drops what was emptied, moves `primary` and bounds the number.
    pub(super) fn settled(mut self) -> Result<Vec<Value>, Problem> {
        self.list.retain(|e| !(e.touched && is_hollow(&e.value)));
        if self.list.len() > MOST_VALUES {
            return Err(too_many_values(self.attribute));
        }
        let mut new_primaries = self
            .list
            .iter()
            .filter(|e| e.touched && is_primary(&e.value));
        let (first, second) = (
            new_primaries.next().is_some(),
            new_primaries.next().is_some(),
        );
        if second {
            return Err(Problem::bad(
                ScimType::InvalidValue,
                format!("only one value of {} can be primary", self.attribute.name),
            ));
        }
        let values = self.list.into_iter().map(|mut element| {
            if first && !element.touched && is_primary(&element.value) {
                element.set("primary", Some(&Value::Bool(false)));
            }
            element.value
        });
        Ok(values.collect())
    }
}

pub(super) fn no_match(attribute: &Attribute) -> Problem {
    Problem::bad(
        ScimType::NoTarget,
        format!("the path selects no value of {}", attribute.name),
    )
}

/// A value about nothing: only its use is left.
fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Object(parts) => parts.keys().all(|name| name == "type" || name == "primary"),
        value => is_unset(value),
    }
}

/// Whether an added value is one that is there: the same `value` and `type`
/// (RFC 7643 section 2.4), or the same in all but `primary`.
fn same_value(attribute: &Attribute, old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(a), Value::Object(b))
            if a.contains_key("value") || b.contains_key("value") =>
        {
            ["value", "type"]
                .iter()
                .all(|name| same_part(attribute, name, a.get(*name), b.get(*name)))
        }
        (Value::Object(a), Value::Object(b)) => a
            .keys()
            .chain(b.keys())
            .filter(|name| *name != "primary")
            .all(|name| same_part(attribute, name, a.get(name), b.get(name))),
        (a, b) => same_text(attribute.case_exact, a, b),
    }
}

/// What of an added value is not there already: what is only spelled in other
/// letters is no change (RFC 7644 section 3.5.2.1).
fn news(attribute: &Attribute, old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return None;
    };
    let differs =
        |(name, part): &(&String, &Value)| !same_part(attribute, name, old.get(*name), Some(part));
    let parts = new.iter().filter(differs);
    let parts: Map<String, Value> = parts.map(|(n, v)| (n.clone(), v.clone())).collect();
    (!parts.is_empty()).then(|| parts.into())
}

/// Whether a value has everything that the one to be removed has.
fn is_like(attribute: &Attribute, value: &Value, like: &Value) -> bool {
    match (value, like) {
        (Value::Object(value), Value::Object(like)) => like
            .iter()
            .filter(|(_, part)| **part != Value::Bool(false))
            .all(|(name, part)| same_part(attribute, name, value.get(name), Some(part))),
        (value, like) => same_text(attribute.case_exact, value, like),
    }
}

fn same_part(attribute: &Attribute, name: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same_text(attribute.sub(name).is_none_or(|s| s.case_exact), a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn same_text(case_exact: bool, a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) if !case_exact => {
            a == b || fold_case(a) == fold_case(b)
        }
        (a, b) => a == b,
    }
}
