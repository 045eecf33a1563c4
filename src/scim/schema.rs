//! The schemas (RFC 7643 sections 4 to 8): one source for what `/Schemas`
//! says and what the parsers enforce.
//!
//! The documents are data (`schemas/*.json`); the lookup tables here are read
//! from the very values that are served, after an application's extensions
//! and adjustments were merged in. How an attribute is written is told only where
//! it can be. `password` is known, so that it can be told from unknown names, but
//! not served.

use serde_json::{Map, Value, json};

use super::resource::ResourceType;

mod attribute;
mod names;

pub(super) use attribute::{Attribute, Mutability, Type};
pub(super) use names::{Extension, Kind, Named};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The documents that every connection serves, in the order of the list.
const STANDARD: [&str; 6] = [
    include_str!("schemas/user.json"),
    include_str!("schemas/group.json"),
    include_str!("schemas/enterprise-user.json"),
    include_str!("schemas/service-provider-config.json"),
    include_str!("schemas/resource-type.json"),
    include_str!("schemas/schema.json"),
];
/// `schemas`, `id` and `meta`, which every resource has (RFC 7643 section 3.1).
const COMMON: &str = include_str!("schemas/common.json");
/// Attributes of a user that are known and not served.
const UNSERVED: &str = include_str!("schemas/unserved.json");

/// The mutability, in an [`Adjustment`], of what only the application changes:
/// served as `readOnly`, but another value is refused instead of ignored
/// (RFC 7644 section 3.5.1 would ignore it), because a client that is not told
/// believes that it was done.
pub const KEPT: &str = "kept";

/// A connection's schemas: the core ones, the enterprise extension, and the
/// application's own, with what the application cannot change marked so.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    documents: Vec<Value>,
    user: Kind,
    group: Kind,
}

/// How one application bends a standard attribute, said in `/Schemas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// The schema's URN and the attribute, e.g. (`USER`, `roles`) or (`USER`, `roles.value`).
    pub schema: String,
    pub attribute: String,
    /// The RFC's word, or [`KEPT`].
    pub mutability: Option<&'static str>,
    pub canonical_values: Vec<String>,
    /// Appended to the description: the reason, in the words the plan uses.
    pub note: String,
}

impl Schemas {
    /// The standard schemas with an application's `extensions` (whole schema
    /// documents, see RFC 7643 section 7) and adjustments. An extension belongs
    /// to groups when its URN ends in `:Group`, otherwise to users. An
    /// adjustment of an attribute that does not exist changes nothing.
    pub fn new(extensions: &[Value], adjustments: &[Adjustment]) -> Self {
        let mut documents: Vec<Value> = STANDARD.iter().map(|text| embedded(text)).collect();
        for (place, extension) in extensions.iter().enumerate() {
            documents.insert(3 + place, complete(extension));
        }
        each_adjusted(&mut documents, adjustments, restrict);
        for document in &mut documents {
            tell_how_to_write(document.get_mut("attributes"));
        }
        each_adjusted(&mut documents, adjustments, remark);
        let mut user = Kind::new(ResourceType::User, &documents);
        let mut group = Kind::new(ResourceType::Group, &documents);
        let kept = |adjustment: &&Adjustment| adjustment.mutability == Some(KEPT);
        for adjustment in adjustments.iter().filter(kept) {
            user.keep(&adjustment.schema, &adjustment.attribute);
            group.keep(&adjustment.schema, &adjustment.attribute);
        }
        Self {
            documents,
            user,
            group,
        }
    }

    /// The schemas of a resource type beside users and groups; its attributes
    /// are those that a user has elsewhere.
    pub(super) fn alone(urn: &'static str, documents: Vec<Value>) -> Self {
        Self {
            user: Kind::alone(urn, &documents),
            group: Kind::alone(urn, &[]),
            documents,
        }
    }

    /// The schema documents as `/Schemas` lists them. `meta.location` is
    /// `/Schemas/{urn}`: the HTTP front puts its base before it.
    pub fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// The URNs of the extensions that a resource type may carry.
    pub fn extensions(&self, of: ResourceType) -> Vec<&str> {
        let extensions = self.kind(of).extensions.iter();
        extensions.map(|e| e.urn.as_str()).collect()
    }

    /// Whether a user or a group has an attribute or an extension of this name.
    pub fn has(&self, name: &str) -> bool {
        let named = [&self.user, &self.group].map(|kind| kind.resolve(name));
        let is = |named: &Named<'_>| matches!(named, Named::Attribute { .. } | Named::Extension(_));
        named.iter().any(is)
    }

    pub(super) fn kind(&self, of: ResourceType) -> &Kind {
        match of {
            ResourceType::User => &self.user,
            ResourceType::Group => &self.group,
        }
    }
}

const STANDARD_IDS: [&str; 5] = [
    USER,
    GROUP,
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig",
    "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
    "urn:ietf:params:scim:schemas:core:2.0:Schema",
];

fn id(document: &Value) -> &str {
    document
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A document that is part of the program; a test reads them all.
fn embedded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// An extension as it is served: with `schemas` and `meta`, whatever the
/// application's text leaves out.
fn complete(extension: &Value) -> Value {
    let mut document = extension.clone();
    let location = format!("/Schemas/{}", id(extension));
    if let Some(map) = document.as_object_mut() {
        let urn = "urn:ietf:params:scim:schemas:core:2.0:Schema";
        map.insert("schemas".into(), json!([urn]));
        map.insert(
            "meta".into(),
            json!({"resourceType": "Schema", "location": location}),
        );
    }
    document
}

/// An attribute of a served document.
type Served = Map<String, Value>;

fn each_adjusted(
    documents: &mut [Value],
    adjustments: &[Adjustment],
    act: fn(&mut Served, &Adjustment),
) {
    for adjustment in adjustments {
        for document in documents.iter_mut() {
            if id(document) == adjustment.schema
                && let Some(attribute) = named(document, &adjustment.attribute)
            {
                act(attribute, adjustment);
            }
        }
    }
}

/// An attribute by its name, or a part of one behind a dot.
fn named<'a>(document: &'a mut Value, name: &str) -> Option<&'a mut Served> {
    let (name, part) = name
        .split_once('.')
        .map_or((name, None), |(of, part)| (of, Some(part)));
    let mut found = one_of(document.get_mut("attributes"), name)?;
    if let Some(part) = part {
        found = one_of(found.get_mut("subAttributes"), part)?;
    }
    Some(found)
}

fn one_of<'a>(list: Option<&'a mut Value>, name: &str) -> Option<&'a mut Served> {
    let mut all = attributes(list);
    all.find(|it| it.get("name").and_then(Value::as_str) == Some(name))
}

fn attributes(list: Option<&mut Value>) -> impl Iterator<Item = &mut Served> {
    let list = list.and_then(Value::as_array_mut).into_iter().flatten();
    list.filter_map(Value::as_object_mut)
}

fn restrict(attribute: &mut Served, adjustment: &Adjustment) {
    if let Some(mutability) = adjustment.mutability {
        let mutability = if mutability == KEPT {
            "readOnly"
        } else {
            mutability
        };
        attribute.insert("mutability".into(), mutability.into());
        // What cannot be written has no parts that can.
        for part in attributes(attribute.get_mut("subAttributes")) {
            part.insert("mutability".into(), mutability.into());
        }
    }
    if !adjustment.canonical_values.is_empty() {
        attribute.insert(
            "canonicalValues".into(),
            adjustment.canonical_values.clone().into(),
        );
    }
}

/// How an attribute is written (`written` in our documents, which no RFC knows)
/// becomes a part of its description where it can be written, and is told
/// nowhere else.
fn tell_how_to_write(list: Option<&mut Value>) {
    for attribute in attributes(list) {
        let written = attribute.remove("written");
        let shown = attribute
            .get("mutability")
            .is_some_and(|it| it == "readOnly");
        if let (false, Some(written)) = (shown, written.as_ref().and_then(Value::as_str)) {
            describe(attribute, written);
        }
        tell_how_to_write(attribute.get_mut("subAttributes"));
    }
}

fn remark(attribute: &mut Served, adjustment: &Adjustment) {
    describe(attribute, &adjustment.note);
}

fn describe(attribute: &mut Served, more: &str) {
    if !more.is_empty() {
        let old = attribute.get("description").and_then(Value::as_str);
        let text = [old.unwrap_or_default(), more].join(" ");
        attribute.insert("description".into(), text.trim().into());
    }
}

#[cfg(test)]
mod tests;
