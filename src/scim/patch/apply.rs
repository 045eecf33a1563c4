//! Attribute changes carried out on a resource's attributes.
//!
//! A filtered path that matches nothing creates the value its filter
//! describes, against the letter of RFC 7644 section 3.5.2.3 (`noTarget`),
//! because Entra depends on it; a filtered `remove` without a match has
//! nothing to do. One `primary: true` takes it from the others (section 3.5.2).

use serde_json::{Map, Value};

use super::{AttributeChange, Verb};
use crate::scim::{
    error::{Problem, ScimType},
    filter::{Filter, fold_case},
    resource::{ResourceId, immutable, require},
    schema::{Attribute, Kind, Mutability},
    value::{MOST_VALUES, is_primary, is_unset, too_many_values},
};

pub(super) fn all(
    changes: &[AttributeChange],
    attributes: &mut Map<String, Value>,
    id: ResourceId,
    kind: &Kind,
) -> Result<bool, Problem> {
    let before = attributes.clone();
    for change in changes {
        one(change, attributes, id, kind)?;
    }
    require(attributes, kind)?;
    Ok(before != *attributes)
}

fn one(
    change: &AttributeChange,
    attributes: &mut Map<String, Value>,
    id: ResourceId,
    kind: &Kind,
) -> Result<(), Problem> {
    let path = &change.path;
    let name = path.attribute.as_str();
    match &path.extension {
        None if name == "id" => {
            let same = change.value.as_ref().and_then(Value::as_str) == Some(&id.to_string());
            if same && change.verb != Verb::Remove {
                return Ok(());
            }
            let detail = "id is given by this service and cannot be changed";
            Err(Problem::bad(ScimType::Mutability, detail))
        }
        None => guarded(change, attributes, kind.attribute(None, name)),
        Some(urn) if name.is_empty() => remove_extension(attributes, urn, kind),
        Some(urn) => {
            let mut place = match attributes.get_mut(urn) {
                Some(Value::Object(place)) => std::mem::take(place),
                _ => Map::new(),
            };
            guarded(change, &mut place, kind.attribute(Some(urn), name))?;
            if place.is_empty() {
                attributes.shift_remove(urn);
            } else {
                attributes.insert(urn.clone(), place.into());
            }
            Ok(())
        }
    }
}

fn remove_extension(
    attributes: &mut Map<String, Value>,
    urn: &str,
    kind: &Kind,
) -> Result<(), Problem> {
    let Some(Value::Object(old)) = attributes.shift_remove(urn) else {
        return Ok(());
    };
    for name in old.keys() {
        if let Some(attribute) = kind.attribute(Some(urn), name)
            && attribute.mutability != Mutability::ReadWrite
        {
            return Err(immutable(attribute));
        }
    }
    Ok(())
}

/// Edits, and refuses an outcome that the attribute's mutability forbids:
/// saying again what already is so is no change.
fn guarded(
    change: &AttributeChange,
    place: &mut Map<String, Value>,
    attribute: Option<&Attribute>,
) -> Result<(), Problem> {
    let Some(attribute) = attribute else {
        return Ok(());
    };
    let before = place.get(&attribute.name).cloned();
    edit(change, place, attribute)?;
    let after = place.get(&attribute.name);
    check(attribute, before.as_ref(), after)?;
    if !attribute.multi {
        for sub in &attribute.sub {
            let before = before.as_ref().and_then(|value| value.get(&sub.name));
            let after = after.and_then(|value| value.get(&sub.name));
            check(sub, before, after)?;
        }
    }
    Ok(())
}

fn check(
    attribute: &Attribute,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), Problem> {
    let fixed = match attribute.mutability {
        Mutability::ReadOnly => true,
        Mutability::Immutable => before.is_some(),
        Mutability::ReadWrite | Mutability::WriteOnly => false,
    };
    if fixed && before != after {
        return Err(immutable(attribute));
    }
    Ok(())
}

fn edit(
    change: &AttributeChange,
    place: &mut Map<String, Value>,
    attribute: &Attribute,
) -> Result<(), Problem> {
    let name = &attribute.name;
    let value = match change.verb {
        Verb::Remove => None,
        Verb::Add | Verb::Replace => change.value.as_ref(),
    };
    if attribute.multi {
        let mut values = Values {
            attribute,
            list: match place.get_mut(name) {
                Some(Value::Array(list)) => list.drain(..).map(Edited::untouched).collect(),
                _ => Vec::new(),
            },
        };
        let sub = change.path.sub_attribute.as_deref();
        match (&change.path.filter, sub, change.verb) {
            (Some(filter), sub, verb) => values.selected(filter, sub, verb, value)?,
            (None, Some(sub), _) => values.every(sub, value),
            (None, None, Verb::Add) => values.add(value),
            (None, None, Verb::Replace) => values.replace(value),
            (None, None, Verb::Remove) => values.remove(change.value.as_ref()),
        }
        let list = values.settled()?;
        if list.is_empty() {
            place.shift_remove(name);
        } else {
            place.insert(name.clone(), list.into());
        }
        return Ok(());
    }
    match (&change.path.sub_attribute, value) {
        (None, Some(value)) => {
            place.insert(name.clone(), value.clone());
        }
        (None, None) => {
            place.shift_remove(name);
        }
        (Some(sub), value) => {
            let whole = place.entry(name.as_str());
            let whole = whole.or_insert_with(|| Map::new().into());
            if let Value::Object(parts) = whole {
                // The address of another target would be a lie.
                if sub == "value" && parts.get("value") != value {
                    parts.shift_remove("$ref");
                }
                set(parts, sub, value);
            }
            if is_unset(whole) {
                place.shift_remove(name);
            }
        }
    }
    Ok(())
}

fn set(parts: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => {
            parts.insert(name.to_owned(), value.clone());
        }
        None => {
            parts.shift_remove(name);
        }
    }
}

/// The values of a multi-valued attribute under change.
struct Values<'a> {
    attribute: &'a Attribute,
    list: Vec<Edited>,
}

struct Edited {
    value: Value,
    touched: bool,
}

impl Edited {
    fn untouched(value: Value) -> Self {
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
    fn selected(
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
    fn every(&mut self, sub: &str, value: Option<&Value>) {
        if self.list.is_empty() && value.is_some() {
            self.list.push(Edited::touched(Map::new().into()));
        }
        for element in &mut self.list {
            element.set(sub, value);
        }
    }

    fn add(&mut self, value: Option<&Value>) {
        for value in value.and_then(Value::as_array).into_iter().flatten() {
            let attribute = self.attribute;
            let mut list = self.list.iter_mut();
            if let Some(element) = list.find(|e| same_value(attribute, &e.value, value)) {
                element.merge(value);
            } else if self.list.len() <= MOST_VALUES {
                self.list.push(Edited::touched(value.clone()));
            }
        }
    }

    fn replace(&mut self, value: Option<&Value>) {
        let list = value.and_then(Value::as_array);
        self.list = list
            .into_iter()
            .flatten()
            .cloned()
            .map(Edited::untouched)
            .collect();
    }

    /// The values that are like one of the given; all when none are given.
    fn remove(&mut self, like: Option<&Value>) {
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
    fn settled(mut self) -> Result<Vec<Value>, Problem> {
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
