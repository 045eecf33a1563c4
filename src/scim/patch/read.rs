//! Operations as they are sent, read into changes.
//!
//! Each operation ends as changes of one attribute or sub-attribute, in order,
//! with values already in their kept form; what was not understood was refused
//! before anything is applied. Strictly every operation has a path (the
//! interoperability profile wants it so, though RFC 7644 does not), and the
//! path is an attribute's.

use std::collections::HashMap;

use serde_json::Value;

use super::{Patch, Verb};
use crate::scim::{
    dropped::{Reading, Taken},
    error::{Problem, ScimType},
    json::Limits,
    path::{self, Path, Place},
    resource::{ResourceType, extension_object, immutable, is_members},
    schema::{Attribute, Extension, Mutability, Named, Schemas},
    value::{is_unset, parsed_text},
};

mod members;
mod message;
mod values;

pub(super) use message::{named, patch_op, syntax};

pub(super) struct Reader<'a> {
    of: ResourceType,
    schemas: &'a Schemas,
    limits: &'a Limits,
    patch: Patch,
    reading: Reading,
    /// How many were named so far.
    members: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(of: ResourceType, schemas: &'a Schemas, limits: &'a Limits) -> Self {
        Self {
            of,
            schemas,
            limits,
            patch: Patch {
                strict: limits.strict,
                ..Patch::default()
            },
            reading: Reading::new(limits),
            members: 0,
        }
    }

    pub(super) fn patch(self) -> Taken<Patch> {
        self.reading.taken(self.patch)
    }

    pub(super) fn operation(&mut self, operation: Value) -> Result<(), Problem> {
        let Value::Object(operation) = operation else {
            return Err(syntax(
                "every operation must be an object with op, path and value",
            ));
        };
        let strict = self.reading.strict;
        let [op, path, value] = named(operation, ["op", "path", "value"], strict)?;
        let verb = message::verb(op.as_ref(), strict)?;
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
        if self.reading.strict {
            let why =
                "this connection is strict, so every operation needs the path of an attribute";
            return Err(path::invalid("", why));
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

    /// One key of an operation without path, which only lenient reading has.
    /// Keys that no schema knows are left out, as in a POST; `nested` allows
    /// one level below the core URN.
    fn keyed(&mut self, verb: Verb, name: &str, value: Value, nested: bool) -> Result<(), Problem> {
        let place = match path::parse(name, self.of, self.schemas, self.limits) {
            Ok(place) => place,
            Err(problem) if name.contains('[') => return Err(problem),
            Err(_) => Place::Unknown,
        };
        match place {
            Place::Unknown if is_unset(&value) => Ok(()),
            Place::Unknown => self.reading.unknown(name),
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
                let no_id = path.attribute == "id" && is_unset(&value);
                // As in a PUT: whoever never loaded the members writes null.
                let no_members = self.is_members(&path) && is_unset(&value) && !value.is_array();
                if is_password(&path) && !is_unset(&value) {
                    return self.reading.unknown(name);
                }
                if is_closed(&path, attribute) || no_id || no_members || self.is_ours(&path) {
                    return Ok(());
                }
                self.attribute(verb, path, attribute, Some(value))
            }
        }
    }

    fn at(&mut self, verb: Verb, path: &str, value: Option<Value>) -> Result<(), Problem> {
        let strict = self.reading.strict;
        match path::parse(path, self.of, self.schemas, self.limits)? {
            Place::Unknown if value == Some(Value::Null) && !strict => Ok(()),
            Place::Unknown => Err(path::invalid(path, "no schema here has this attribute")),
            Place::Resource => self.without_path(verb, value),
            Place::Extension(extension) => self.extension(verb, extension, value),
            Place::Attribute(found, _) if is_password(&found) => {
                let said = value.is_some_and(|value| !is_unset(&value));
                if said && verb != Verb::Remove {
                    self.reading.unknown(path)?;
                }
                Ok(())
            }
            Place::Attribute(path, attribute) => {
                if path.extension.is_none() && path.attribute == "schemas" && !strict {
                    return Ok(());
                }
                if is_closed(&path, attribute) || self.is_ours(&path) {
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
        let strict = self.reading.strict;
        match (verb, value) {
            (Verb::Remove, Some(value)) if strict && !value.is_null() => {
                return Err(takes_no_value(&extension.urn));
            }
            (Verb::Remove, _) => {}
            (_, None) => return Err(no_value(&extension.urn)),
            (Verb::Add, Some(_)) if clears => return Ok(()),
            (Verb::Replace, Some(_)) if clears => {}
            (_, Some(value)) => {
                for (name, value) in extension_object(extension, value, strict)? {
                    self.extended(verb, extension, &name, value)?;
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

    /// One key of an object under an extension's URN.
    fn extended(
        &mut self,
        verb: Verb,
        extension: &'a Extension,
        name: &str,
        value: Value,
    ) -> Result<(), Problem> {
        let strict = self.reading.strict;
        let (attribute, sub) = match extension.resolve(name) {
            Named::Attribute { attribute, sub, .. } if sub.is_none() || !strict => (attribute, sub),
            _ if !strict && is_unset(&value) => return Ok(()),
            _ => return self.reading.unknown(&format!("{}:{name}", extension.urn)),
        };
        let path = Path {
            extension: Some(extension.urn.clone()),
            attribute: attribute.name.clone(),
            filter: None,
            sub_attribute: sub.map(|sub| sub.name.clone()),
        };
        if is_closed(&path, attribute) {
            return Ok(());
        }
        self.attribute(verb, path, attribute, Some(value))
    }
}

/// What is known so that it can be told apart, and is never kept.
fn is_password(path: &Path) -> bool {
    path.extension.is_none() && path.attribute == "password"
}

/// Whether a path leads to a read-only part of an attribute.
fn is_closed(path: &Path, attribute: &Attribute) -> bool {
    let sub = path.sub_attribute.as_deref();
    let sub = sub.and_then(|sub| attribute.sub(sub));
    sub.is_some_and(|sub| sub.mutability == Mutability::ReadOnly)
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

fn takes_no_value(name: &str) -> Problem {
    invalid_value(&format!(
        "a remove of {name} takes no value; select what to remove in the path, \
         for example {name}[value eq \"..\"]"
    ))
}
