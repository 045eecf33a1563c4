//! Operations as they are sent, read into changes.
//!
//! Each operation ends as changes of one attribute or sub-attribute, in order,
//! with values already in their kept form; what was not understood was refused
//! before anything is applied.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{AttributeChange, Patch, Verb};
use crate::scim::{
    error::{Problem, ScimType},
    json::{Limits, quoted},
    path::{self, Path, Place},
    resource::{ResourceType, extension_object, immutable, is_members},
    schema::{Attribute, Extension, Mutability, Named, Schemas, Type},
    value::{
        MOST_VALUES, coerce, coerce_element, is_unset, lone, one_primary, parsed_text,
        too_many_values,
    },
};

mod members;

pub(super) struct Reader<'a> {
    of: ResourceType,
    schemas: &'a Schemas,
    limits: &'a Limits,
    patch: Patch,
    /// How many were named so far.
    members: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(of: ResourceType, schemas: &'a Schemas, limits: &'a Limits) -> Self {
        Self {
            of,
            schemas,
            limits,
            patch: Patch::default(),
            members: 0,
        }
    }

    pub(super) fn patch(self) -> Patch {
        self.patch
    }

    pub(super) fn operation(&mut self, operation: Value) -> Result<(), Problem> {
        let Value::Object(operation) = operation else {
            return Err(syntax(
                "every operation must be an object with op, path and value",
            ));
        };
        let [op, path, value] = named(operation, ["op", "path", "value"])?;
        let verb = match op.as_ref().and_then(Value::as_str) {
            Some(op) if op.eq_ignore_ascii_case("add") => Verb::Add,
            Some(op) if op.eq_ignore_ascii_case("remove") => Verb::Remove,
            Some(op) if op.eq_ignore_ascii_case("replace") => Verb::Replace,
            Some(op) => {
                let op = quoted(op);
                return Err(syntax(&format!(
                    "op must be add, remove or replace, not {op}"
                )));
            }
            None => {
                return Err(syntax(
                    "every operation needs an op: add, remove or replace",
                ));
            }
        };
        let first = self.patch.attributes.len();
        match path {
            None | Some(Value::Null) => self.without_path(verb, value),
            Some(Value::String(path)) if path.trim().is_empty() => self.without_path(verb, value),
            Some(Value::String(path)) => self.at(verb, &path, value),
            Some(_) => Err(path::invalid("", "path must be a string")),
        }?;
        self.said_once(first)
    }

    fn without_path(&mut self, verb: Verb, value: Option<Value>) -> Result<(), Problem> {
        if verb == Verb::Remove {
            return Err(Problem::bad(
                ScimType::NoTarget,
                "a remove needs a path that says what to remove",
            ));
        }
        let value = match value {
            Some(Value::String(text)) => parsed_text(&text),
            value => value,
        };
        let Some(Value::Object(attributes)) = value else {
            return Err(invalid_value(
                "an operation without path needs an object of attributes as its value",
            ));
        };
        if attributes.keys().filter(|name| is_members(name)).count() > 1 {
            return Err(twice("members"));
        }
        for (name, value) in attributes {
            self.keyed(verb, &name, value, true)?;
        }
        Ok(())
    }

    /// Refuses one attribute under two spellings with different values: which
    /// of them counted would depend on the reader.
    fn said_once(&self, first: usize) -> Result<(), Problem> {
        let changes = self.patch.attributes.get(first..).unwrap_or_default();
        let mut said = HashMap::with_capacity(changes.len());
        for change in changes.iter().filter(|change| change.path.filter.is_none()) {
            let path = &change.path;
            let place = (&path.extension, &path.attribute, &path.sub_attribute);
            if said
                .insert(place, &change.value)
                .is_some_and(|old| *old != change.value)
            {
                return Err(twice(&path.attribute));
            }
        }
        Ok(())
    }

    /// One key of an operation without path. Keys that no schema knows are
    /// dropped, as in a POST; `nested` allows one level below the core URN.
    fn keyed(&mut self, verb: Verb, name: &str, value: Value, nested: bool) -> Result<(), Problem> {
        let place = match path::parse(name, self.of, self.schemas, self.limits) {
            Ok(place) => place,
            Err(problem) if name.contains('[') => return Err(problem),
            Err(_) => return Ok(()),
        };
        match place {
            Place::Unknown => Ok(()),
            Place::Resource => {
                if let (Value::Object(attributes), true) = (value, nested) {
                    for (name, value) in attributes {
                        self.keyed(verb, &name, value, false)?;
                    }
                }
                Ok(())
            }
            Place::Extension(extension) => self.extension(verb, extension, Some(value)),
            Place::Attribute(path, attribute) => {
                let given = path
                    .sub_attribute
                    .as_deref()
                    .and_then(|sub| attribute.sub(sub));
                let closed = given.is_some_and(|sub| sub.mutability == Mutability::ReadOnly);
                let no_id = path.attribute == "id" && is_unset(&value);
                // As in a PUT: whoever never loaded the members writes null.
                let no_members = self.is_members(&path) && is_unset(&value) && !value.is_array();
                if closed || no_id || no_members || self.is_ours(&path) {
                    return Ok(());
                }
                self.attribute(verb, path, attribute, Some(value))
            }
        }
    }

    fn at(&mut self, verb: Verb, path: &str, value: Option<Value>) -> Result<(), Problem> {
        match path::parse(path, self.of, self.schemas, self.limits)? {
            Place::Unknown if value == Some(Value::Null) => Ok(()),
            Place::Unknown => Err(path::invalid(path, "no schema here has this attribute")),
            Place::Resource => self.without_path(verb, value),
            Place::Extension(extension) => self.extension(verb, extension, value),
            Place::Attribute(path, attribute) => {
                if path.extension.is_none()
                    && matches!(path.attribute.as_str(), "schemas" | "password")
                {
                    return Ok(());
                }
                let sub = path
                    .sub_attribute
                    .as_deref()
                    .and_then(|sub| attribute.sub(sub));
                let closed = sub.is_some_and(|sub| sub.mutability == Mutability::ReadOnly);
                if closed || self.is_ours(&path) {
                    return Err(immutable(attribute));
                }
                self.attribute(verb, path, attribute, value)
            }
        }
    }

    /// `schemas`, `meta`, `groups` and `password`: not the client's, or not kept.
    fn is_ours(&self, path: &Path) -> bool {
        let name = path.attribute.as_str();
        path.extension.is_none()
            && (matches!(name, "schemas" | "meta" | "password")
                || (name == "groups" && self.of == ResourceType::User))
    }

    fn is_members(&self, path: &Path) -> bool {
        self.of == ResourceType::Group && path.extension.is_none() && path.attribute == "members"
    }

    /// A whole extension: each of its attributes by itself.
    fn extension(
        &mut self,
        verb: Verb,
        extension: &'a Extension,
        value: Option<Value>,
    ) -> Result<(), Problem> {
        let clears = value.as_ref().is_none_or(is_unset);
        match (verb, value) {
            (Verb::Remove, _) => {}
            (_, None) => return Err(no_value(&extension.urn)),
            (Verb::Add, Some(_)) if clears => return Ok(()),
            (Verb::Replace, Some(_)) if clears => {}
            (_, Some(value)) => {
                for (name, value) in extension_object(extension, value)? {
                    let Named::Attribute { attribute, sub, .. } = extension.resolve(&name) else {
                        continue;
                    };
                    let path = Path {
                        extension: Some(extension.urn.clone()),
                        attribute: attribute.name.clone(),
                        filter: None,
                        sub_attribute: sub.map(|sub| sub.name.clone()),
                    };
                    if sub.is_none_or(|sub| sub.mutability != Mutability::ReadOnly) {
                        self.attribute(verb, path, attribute, Some(value))?;
                    }
                }
                return Ok(());
            }
        }
        let path = Path {
            extension: Some(extension.urn.clone()),
            attribute: String::new(),
            filter: None,
            sub_attribute: None,
        };
        self.push(Verb::Remove, path, None);
        Ok(())
    }

    fn attribute(
        &mut self,
        verb: Verb,
        path: Path,
        attribute: &Attribute,
        value: Option<Value>,
    ) -> Result<(), Problem> {
        if self.is_members(&path) {
            return self.members(verb, path, value);
        }
        let value = match (verb, value) {
            (Verb::Remove, value) => return self.removal(path, attribute, value),
            (_, None) => return Err(no_value(&attribute.name)),
            (_, Some(value)) => value,
        };
        let sub = path
            .sub_attribute
            .as_deref()
            .and_then(|sub| attribute.sub(sub));
        if let Some(sub) = sub {
            let value = coerce(sub, Some(attribute), value)?;
            self.push(verb, path, value);
            return Ok(());
        }
        if path.filter.is_some() {
            let value = coerce_element(attribute, value)?;
            self.push(verb, path, value);
            return Ok(());
        }
        if attribute.kind == Type::Complex
            && !attribute.multi
            && attribute.mutability != Mutability::ReadOnly
            && !is_unset(&value)
        {
            return self.complex(verb, &path, attribute, value);
        }
        let value = coerce(attribute, None, value)?;
        if attribute.multi {
            match &value {
                Some(value) => one_primary(attribute, value)?,
                None if verb == Verb::Add => return Ok(()),
                None => {}
            }
        }
        self.push(verb, path, value);
        Ok(())
    }

    /// An object for a complex attribute changes the sub-attributes that it
    /// names and leaves the others (RFC 7644 sections 3.5.2.1 and 3.5.2.3).
    fn complex(
        &mut self,
        verb: Verb,
        path: &Path,
        attribute: &Attribute,
        value: Value,
    ) -> Result<(), Problem> {
        let Value::Object(mut parts) = lone(attribute, None, value.clone())? else {
            // Not an object in any of its shapes: the refusal is the same.
            let value = coerce(attribute, None, value)?;
            self.push(verb, path.clone(), value);
            return Ok(());
        };
        // `value` goes first: it unsets the address of another target.
        if let Some((name, value)) = parts.shift_remove_entry("value") {
            parts.shift_insert(0, name, value);
        }
        for (name, value) in parts {
            let Some(sub) = attribute.sub(&name) else {
                continue;
            };
            if sub.mutability == Mutability::ReadOnly {
                continue;
            }
            let path = Path {
                sub_attribute: Some(sub.name.clone()),
                ..path.clone()
            };
            let value = coerce(sub, Some(attribute), value)?;
            self.push(verb, path, value);
        }
        Ok(())
    }

    /// A `remove`; a value narrows it to the values that are like it.
    fn removal(
        &mut self,
        path: Path,
        attribute: &Attribute,
        value: Option<Value>,
    ) -> Result<(), Problem> {
        let narrows = attribute.multi && path.filter.is_none() && path.sub_attribute.is_none();
        let list = match value {
            Some(value) if narrows && value != Value::Null => match value {
                Value::String(text) => match parsed_text(&text) {
                    Some(Value::Array(list)) => list,
                    Some(value) => vec![value],
                    None => vec![text.into()],
                },
                Value::Array(list) => list,
                value => vec![value],
            },
            _ => {
                self.push(Verb::Remove, path, None);
                return Ok(());
            }
        };
        if list.len() > MOST_VALUES {
            return Err(too_many_values(attribute));
        }
        let mut kept = Vec::with_capacity(list.len());
        for value in list {
            kept.extend(coerce_element(attribute, value)?);
        }
        if !kept.is_empty() {
            self.push(Verb::Remove, path, Some(kept.into()));
        }
        Ok(())
    }

    fn push(&mut self, verb: Verb, path: Path, value: Option<Value>) {
        self.patch
            .attributes
            .push(AttributeChange { verb, path, value });
    }
}

/// Takes members of an object by name in any letter case.
pub(super) fn named<const N: usize>(
    object: Map<String, Value>,
    names: [&str; N],
) -> Result<[Option<Value>; N], Problem> {
    let mut found = [const { None }; N];
    for (name, value) in object {
        let mut slots = names.iter().zip(&mut found);
        let Some((name, slot)) = slots.find(|(known, _)| known.eq_ignore_ascii_case(&name)) else {
            continue;
        };
        if slot.is_some() {
            return Err(syntax(&format!("{name} is given twice")));
        }
        *slot = Some(value);
    }
    Ok(found)
}

pub(super) fn syntax(detail: &str) -> Problem {
    Problem::bad(ScimType::InvalidSyntax, detail)
}

fn invalid_value(detail: &str) -> Problem {
    Problem::bad(ScimType::InvalidValue, detail)
}

fn twice(name: &str) -> Problem {
    invalid_value(&format!(
        "{name} is given twice with different values; send it once"
    ))
}

fn no_value(name: &str) -> Problem {
    invalid_value(&format!(
        "the operation on {name} needs a value; null clears"
    ))
}
