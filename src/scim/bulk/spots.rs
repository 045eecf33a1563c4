//! Where a body has the identifier of a resource, by the schemas: an
//! attribute of type reference that stays within this service, and the `value`
//! of a complex attribute that has a `$ref` beside it, such as `members` and
//! `manager` (RFC 7643 sections 2.3.7 and 2.4). What is read-only is never
//! taken from a client, and so has none; what is wrong is left to the parsers.

use serde_json::{Map, Value};

use super::{
    Act, Verb,
    references::{MARK, References},
};
use crate::scim::schema::{Attribute, Extension, Kind, Mutability, Named, Schemas, Type};

/// Hands over the references in the data of an operation.
pub(super) fn each(act: &mut Act, schemas: &Schemas, found: &mut References<'_>) {
    let spots = Spots {
        kind: schemas.kind(act.of),
    };
    match (act.verb, &mut act.data) {
        (Verb::Patch, Value::Object(message)) => spots.message(message, found),
        (_, data) => spots.value(Spot::Resource, data, found),
    }
}

/// What a name leads to.
#[derive(Clone, Copy)]
enum Spot<'a> {
    Resource,
    Extension(&'a Extension),
    Attribute(&'a Attribute),
    /// The identifier of a resource, or its address.
    Identifier,
    Other,
}

struct Spots<'a> {
    kind: &'a Kind,
}

impl Spots<'_> {
    /// The operations of a PATCH.
    fn message(&self, message: &mut Map<String, Value>, found: &mut References<'_>) {
        let lists = message.iter_mut().filter(|(key, _)| is(key, "Operations"));
        for operation in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
            let Some(operation) = operation.as_object_mut() else {
                continue;
            };
            let mut spot = Spot::Resource;
            let paths = operation.iter_mut().filter(|(key, _)| is(key, "path"));
            for (_, path) in paths {
                if let Value::String(path) = path {
                    spot = self.path(Spot::Resource, path.trim());
                    self.filter(path, found);
                }
            }
            let values = operation.iter_mut().filter(|(key, _)| is(key, "value"));
            for (_, value) in values {
                self.value(spot, value, found);
            }
        }
    }

    /// Goes no deeper than the parser let the body be.
    fn value(&self, spot: Spot<'_>, value: &mut Value, found: &mut References<'_>) {
        match value {
            Value::String(text) => {
                let whole = matches!(spot, Spot::Attribute(a) if has_identifier(a));
                if whole || matches!(spot, Spot::Identifier) {
                    found.text(text);
                }
            }
            Value::Array(list) => {
                for value in list {
                    self.value(spot, value, found);
                }
            }
            Value::Object(map) => self.object(spot, map, found),
            _ => {}
        }
    }

    /// A key may be a path with a filter, too.
    fn object(&self, spot: Spot<'_>, map: &mut Map<String, Value>, found: &mut References<'_>) {
        if map.keys().any(|key| key.contains(MARK)) {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(mut key, value)| {
                    self.filter(&mut key, found);
                    (key, value)
                })
                .collect();
        }
        for (key, value) in map.iter_mut() {
            self.value(self.path(spot, key), value, found);
        }
    }

    /// What a path leads to, from where it stands.
    fn path<'s>(&'s self, from: Spot<'s>, path: &str) -> Spot<'s> {
        let (head, after) = match path.split_once('[') {
            None => (path, ""),
            Some((head, rest)) => (head, rest.rsplit_once(']').map_or("", |(_, after)| after)),
        };
        let named = match from {
            Spot::Resource => self.kind.resolve(head),
            Spot::Extension(extension) => extension.resolve(head),
            Spot::Attribute(attribute) => return part(attribute, head),
            Spot::Identifier | Spot::Other => return Spot::Other,
        };
        match named {
            Named::Core => Spot::Resource,
            Named::Extension(extension) => Spot::Extension(extension),
            Named::Attribute { attribute, sub, .. } => {
                let last = after.strip_prefix('.');
                match last.or(sub.map(|sub| sub.name.as_str())) {
                    None => whole(attribute),
                    Some(name) => part(attribute, name),
                }
            }
            Named::Unknown | Named::Malformed => Spot::Other,
        }
    }

    fn filter(&self, path: &mut String, found: &mut References<'_>) {
        let head = path.split('[').next().unwrap_or_default().trim();
        if let Named::Attribute { attribute, .. } = self.kind.resolve(head) {
            let is_id = |name: &str| matches!(part(attribute, name), Spot::Identifier);
            found.in_filter(path, is_id);
        }
    }
}

fn whole(attribute: &Attribute) -> Spot<'_> {
    match attribute.mutability {
        Mutability::ReadOnly => Spot::Other,
        _ if leads_inside(attribute) => Spot::Identifier,
        _ => Spot::Attribute(attribute),
    }
}

/// A sub-attribute.
fn part<'a>(attribute: &'a Attribute, name: &str) -> Spot<'a> {
    let Some(sub) = attribute.sub(name) else {
        return Spot::Other;
    };
    if attribute.mutability == Mutability::ReadOnly {
        return Spot::Other;
    }
    if leads_inside(sub) || (is(&sub.name, "value") && has_identifier(attribute)) {
        Spot::Identifier
    } else {
        Spot::Other
    }
}

fn has_identifier(attribute: &Attribute) -> bool {
    attribute.sub("$ref").is_some()
}

fn leads_inside(attribute: &Attribute) -> bool {
    attribute.kind == Type::Reference && !attribute.external
}

fn is(key: &str, name: &str) -> bool {
    key.eq_ignore_ascii_case(name)
}
