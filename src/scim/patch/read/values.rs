//! What an operation does to one attribute that its path or key named: the
//! value in its kept form, a complex value part by part, a `remove` narrowed
//! by its value.

use serde_json::Value;

use super::{Reader, no_value, takes_no_value};
use crate::scim::{
    error::Problem,
    patch::{AttributeChange, Verb},
    path::Path,
    resource::immutable,
    schema::{Attribute, Mutability, Type},
    value::{
        MOST_VALUES, coerce, coerce_element, lone, one_primary, parsed_text, too_many_values,
        unsets,
    },
};

impl Reader<'_> {
    pub(super) fn attribute(
        &mut self,
        verb: Verb,
        path: Path,
        attribute: &Attribute,
        value: Option<Value>,
    ) -> Result<(), Problem> {
        let sub = path
            .sub_attribute
            .as_deref()
            .and_then(|sub| attribute.sub(sub));
        let fixed = |a: &Attribute| a.mutability == Mutability::ReadOnly;
        if self.reading.strict
            && let Some(closed) = [Some(attribute), sub]
                .into_iter()
                .flatten()
                .find(|a| fixed(a))
        {
            return Err(immutable(closed));
        }
        if self.is_members(&path) {
            return self.members(verb, path, value);
        }
        let value = match (verb, value) {
            (Verb::Remove, value) => return self.removal(path, attribute, value),
            (_, None) => return Err(no_value(&attribute.name)),
            (_, Some(value)) => value,
        };
        if let Some(sub) = sub {
            let value = coerce(sub, Some(attribute), value, &mut self.reading)?;
            self.push(verb, path, value);
            return Ok(());
        }
        if path.filter.is_some() {
            let value = coerce_element(attribute, value, &mut self.reading)?;
            self.push(verb, path, value);
            return Ok(());
        }
        if attribute.multi {
            return self.list(verb, path, attribute, value);
        }
        let written = attribute.kind == Type::Complex && !fixed(attribute);
        if written && !unsets(attribute, &value, self.reading.strict) {
            return self.complex(verb, &path, attribute, value);
        }
        let value = coerce(attribute, None, value, &mut self.reading)?;
        self.push(verb, path, value);
        Ok(())
    }

    /// All values of a multi-valued attribute, or more of them; a lone value
    /// is one more (RFC 7644 section 3.5.2.1).
    fn list(
        &mut self,
        verb: Verb,
        path: Path,
        attribute: &Attribute,
        value: Value,
    ) -> Result<(), Problem> {
        let value = match value {
            Value::Object(parts) if attribute.kind == Type::Complex && !parts.is_empty() => {
                vec![Value::Object(parts)].into()
            }
            value => value,
        };
        let value = coerce(attribute, None, value, &mut self.reading)?;
        match &value {
            Some(value) => one_primary(attribute, value)?,
            None if verb == Verb::Add => return Ok(()),
            None => {}
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
        let Value::Object(mut parts) = lone(attribute, None, value.clone(), &self.reading)? else {
            // Not an object in any of its shapes: the refusal is the same.
            let value = coerce(attribute, None, value, &mut self.reading)?;
            self.push(verb, path.clone(), value);
            return Ok(());
        };
        // `value` goes first: it unsets the address of another target.
        if let Some((name, value)) = parts.shift_remove_entry("value") {
            parts.shift_insert(0, name, value);
        }
        for (name, value) in parts {
            let Some(sub) = attribute.sub(&name) else {
                self.reading.unknown_part(&attribute.name, &name)?;
                continue;
            };
            if sub.mutability == Mutability::ReadOnly {
                continue;
            }
            let path = Path {
                sub_attribute: Some(sub.name.clone()),
                ..path.clone()
            };
            let value = coerce(sub, Some(attribute), value, &mut self.reading)?;
            self.push(verb, path, value);
        }
        Ok(())
    }

    /// A `remove`; leniently a value narrows it to the values that are like
    /// it. The RFC has no value here, and one that was not heeded would be
    /// the worst mistake there is.
    fn removal(
        &mut self,
        path: Path,
        attribute: &Attribute,
        value: Option<Value>,
    ) -> Result<(), Problem> {
        let value = value.filter(|value| !value.is_null());
        if self.reading.strict && value.is_some() {
            return Err(takes_no_value(&attribute.name));
        }
        let narrows = attribute.multi && path.filter.is_none() && path.sub_attribute.is_none();
        let list = match value.filter(|_| narrows) {
            None => {
                self.push(Verb::Remove, path, None);
                return Ok(());
            }
            Some(Value::String(text)) => match parsed_text(&text) {
                Some(Value::Array(list)) => list,
                Some(value) => vec![value],
                None => vec![text.into()],
            },
            Some(Value::Array(list)) => list,
            Some(value) => vec![value],
        };
        if list.len() > MOST_VALUES {
            return Err(too_many_values(attribute));
        }
        let mut kept = Vec::with_capacity(list.len());
        for value in list {
            kept.extend(coerce_element(attribute, value, &mut self.reading)?);
        }
        if !kept.is_empty() {
            self.push(Verb::Remove, path, Some(kept.into()));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, verb: Verb, path: Path, value: Option<Value>) {
        self.patch
            .attributes
            .push(AttributeChange { verb, path, value });
    }
}
